/* snapshot.c: the producers' state on disk: <offset>.snapshot holds it as of that offset. Written
 * when a segment rolls and at a clean stop; a damaged or missing one is made good from the batch headers in
 * the log. */
#include "kafka/partition/partition_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define SNAPSHOT_BYTES_MAX (MIB(1) + (size_t)PRODUCERS_MAX * 46)
#define SNAPSHOT_FILES_MAX 1024

typedef struct snapshot_list {
    int64_t offsets[SNAPSHOT_FILES_MAX];
    size_t count;
} snapshot_list_t;

static void list_name(void *user, const char *name, bool is_dir)
{
    snapshot_list_t *list = user;
    char *end;
    if (is_dir || strlen(name) != 20 + sizeof(".snapshot") - 1 || strcmp(name + 20, ".snapshot") != 0) return;
    long long offset = strtoll(name, &end, 10);
    if (end != name + 20 || offset < 0 || list->count == SNAPSHOT_FILES_MAX) return;
    list->offsets[list->count++] = offset;
}

static void snapshot_path(const partition_t *partition, int64_t offset, char out[PARTITION_PATH_CHARS_MAX])
{
    int n = snprintf(out, PARTITION_PATH_CHARS_MAX, "%s/%020" PRId64 ".snapshot", log_dir(partition->log), offset);
    ASSERT(n > 0 && n < PARTITION_PATH_CHARS_MAX);
}

static void snapshot_remove(const partition_t *partition, int64_t offset)
{
    char path[PARTITION_PATH_CHARS_MAX];
    snapshot_path(partition, offset, path);
    (void)!io_remove(partition->topic->kafka->loop, path);
}

void partition__snapshot_write(partition_t *partition, int64_t offset)
{
    char path[PARTITION_PATH_CHARS_MAX];
    buf_t text = BUF_INIT;
    snapshot_path(partition, offset, path);
    producers_encode(&partition->producers, &text);
    int err = io_write_whole(partition->topic->kafka->loop, path, buf_bytes(&text));
    buf_deinit(&text);
    if (err) {
        snapshot_remove(partition, offset); /* half of one; the older one and the log serve as well */
        return;
    }
    if (offset == partition->snapshot_offset) return;
    /* Two are kept. A log of thousands of small segments must not list them all at each roll. */
    if (partition->snapshot_before >= 0) snapshot_remove(partition, partition->snapshot_before);
    partition->snapshot_before = partition->snapshot_offset;
    partition->snapshot_offset = offset;
}

static int snapshot_read(partition_t *partition, int64_t offset)
{
    char path[PARTITION_PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    snapshot_path(partition, offset, path);
    int err = io_read_whole(partition->topic->kafka->loop, path, SNAPSHOT_BYTES_MAX, &data, &bytes);
    if (err) return err;
    err = producers_decode(&partition->producers, bytes_of(data, bytes));
    mem_free(data);
    return err;
}

typedef struct replay {
    partition_t *partition;
    int err;
} replay_t;

static void note(void *user, const batch_header_t *batch)
{
    replay_t *r = user;
    if (r->err || batch->producer_id < 0) return;
    if (batch->attributes & RECORD_CONTROL)
        r->err = partition__replay_control(r->partition, batch);
    else
        producers_note(&r->partition->producers, batch);
}

/* Of those below the one that was read, `count` in rising order, the last is kept. */
static void keep_older(partition_t *partition, const int64_t *offsets, size_t count)
{
    if (count > 0) partition->snapshot_before = offsets[count - 1];
    for (size_t i = 0; i + 1 < count; i++) snapshot_remove(partition, offsets[i]);
}

int partition__producers_recover(partition_t *partition, int64_t control_from)
{
    int64_t start = log_start_offset(partition->log), end = log_end_offset(partition->log);
    kafka_t *kafka = partition->topic->kafka;
    partition->snapshot_offset = partition->snapshot_before = -1;
    if (end == 0) return 0;
    snapshot_list_t *list = mem_zalloc(sizeof(*list));
    int err = io_list_dir(kafka->loop, log_dir(partition->log), list_name, list);
    for (size_t i = list->count; !err && i > 0; i--) {
        int64_t offset = list->offsets[i - 1];
        if (offset <= MIN(end, control_from) && offset >= start && snapshot_read(partition, offset) == 0) {
            partition->snapshot_offset = offset;
            keep_older(partition, list->offsets, i - 1);
            break;
        }
        snapshot_remove(partition, offset); /* torn, of a tail that was cut, below what is kept, or too new */
    }
    mem_free(list);
    if (err) return err;
    int64_t from = MAX(partition->snapshot_offset, start);
    replay_t replay = {partition, 0};
    if (from < end) err = log_scan(partition->log, from, note, &replay);
    if (!err) err = replay.err;
    producers_expire(&partition->producers, io_wall_ms(kafka->loop), kafka->config.producer_id_expiration_ms);
    return err;
}
