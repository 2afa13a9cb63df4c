/* metadata.c: partition.metadata, which says whose a partition's directory is:
 *
 *   version: 0
 *   topic_id: wPnZMhrzRzCqDcbA6ZSb2w
 *
 * A directory of another topic of the same name (deleted while we were away) is put aside, with a line that says how to undo
 * it. A file that says neither this nor that is damage: the partition stays offline and nothing is touched. */
#include "kafka/partition/partition_internal.h"

#include "base/slog.h"

#include <stdio.h>

#define TEXT_BYTES_MAX 64
#define FILE_BYTES_MAX KIB(4)

typedef enum owner { OWNER_THIS, OWNER_TORN, OWNER_OTHER, OWNER_UNKNOWN } owner_t;

static const char head[] = "version: 0\ntopic_id: ";

static size_t expected_text(const kafka_topic_t *topic, char out[TEXT_BYTES_MAX])
{
    char id[KAFKA_UUID_CHARS + 1];
    kafka_uuid_format(topic->id, id);
    return (size_t)snprintf(out, TEXT_BYTES_MAX, "%s%s\n", head, id);
}

/* A power failure may leave less of a new file than was written, or zeros in its place. */
static bool is_torn(bytes_t data, const char *expected, size_t bytes)
{
    bool zeros = false;
    if (data.len > bytes) return false;
    for (size_t i = 0; i < data.len; i++) {
        if (data.ptr[i] == 0)
            zeros = true;
        else if (data.ptr[i] != (uint8_t)expected[i])
            return false;
    }
    return zeros || data.len < bytes - 1; /* the line's end may be missing */
}

static bool is_id_char(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

static owner_t owner_of(bytes_t data, const char *expected, size_t bytes)
{
    size_t head_bytes = strlen(head), whole_bytes = bytes - 1;
    if (data.len >= whole_bytes && data.len <= bytes && memcmp(data.ptr, expected, data.len) == 0) return OWNER_THIS;
    if (is_torn(data, expected, bytes)) return OWNER_TORN;
    if (data.len < whole_bytes || data.len > bytes || memcmp(data.ptr, head, head_bytes) != 0) return OWNER_UNKNOWN;
    for (size_t i = head_bytes; i < whole_bytes; i++) {
        if (!is_id_char(data.ptr[i])) return OWNER_UNKNOWN;
    }
    return data.len == whole_bytes || data.ptr[whole_bytes] == '\n' ? OWNER_OTHER : OWNER_UNKNOWN;
}

static int put_aside(const kafka_topic_t *topic, const char *dir, const char *expected)
{
    char stray[PARTITION_PATH_CHARS_MAX + TEXT_BYTES_MAX];
    uint8_t random[8];
    io_random(topic->kafka->loop, random, sizeof(random));
    snprintf(stray, sizeof(stray), "%s.%016" PRIx64 "-stray", dir, load_be64(random));
    int err = io_rename(topic->kafka->loop, dir, stray);
    if (err) return err;
    slog(
        SLOG_WARN, "kafka", "a directory whose partition.metadata names another topic is put aside",
        "directory=%s as=%s undo=\"stop the server, remove %s, rename it back and write '%.*s' into the second line of "
        "its partition.metadata\"",
        dir, stray, dir, (int)(strcspn(expected + strlen("version: 0\n"), "\n")), expected + strlen("version: 0\n"));
    return 0;
}

static int refuse(const char *path, const char *expected, char why[PARTITION_WHY_CHARS_MAX])
{
    partition__why(
        why,
        "%s is not what Kafka writes there. Nothing was changed; if the log beside it is this topic's, remove the "
        "file, or let it say '%.*s'",
        path, (int)strcspn(expected + strlen("version: 0\n"), "\n"), expected + strlen("version: 0\n"));
    return ERR_DAMAGED;
}

int partition__metadata_check(const kafka_topic_t *topic, const char *dir, bool *ret_put_aside,
                              char why[PARTITION_WHY_CHARS_MAX])
{
    char path[PARTITION_PATH_CHARS_MAX + 32], expected[TEXT_BYTES_MAX];
    uint8_t *data = NULL;
    size_t bytes, expected_bytes = expected_text(topic, expected);
    *ret_put_aside = false;
    snprintf(path, sizeof(path), "%s/partition.metadata", dir);
    int err = io_read_whole(topic->kafka->loop, path, FILE_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND) return 0;
    if (err == ERR_LIMIT) return refuse(path, expected, why);
    if (err) {
        partition__why(why, "%s cannot be read: %s", path, err_text(err));
        return err;
    }
    owner_t owner = owner_of(bytes_of(data, bytes), expected, expected_bytes);
    mem_free(data);
    switch (owner) {
    case OWNER_THIS: return 0;
    case OWNER_TORN: return io_remove(topic->kafka->loop, path); /* written anew */
    case OWNER_UNKNOWN: return refuse(path, expected, why);
    case OWNER_OTHER: *ret_put_aside = true; return put_aside(topic, dir, expected);
    }
    UNREACHABLE();
}

int partition__metadata_write(const kafka_topic_t *topic, const char *dir)
{
    char path[PARTITION_PATH_CHARS_MAX + 32], text[TEXT_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/partition.metadata", dir);
    if (io_exists(topic->kafka->loop, path)) return 0;
    size_t bytes = expected_text(topic, text);
    /* Not synced, for a topic may have thousands: a torn one is known from another topic's. */
    int err = io_write_whole(topic->kafka->loop, path, bytes_of(text, bytes));
    if (err) (void)!io_remove(topic->kafka->loop, path);
    return err;
}
