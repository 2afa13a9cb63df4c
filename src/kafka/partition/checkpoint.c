/* checkpoint.c: the checkpoint files of a data directory; see store.h for their names.
 *
 * Each is "0", the number of lines, then "topic partition offset". There may be a hundred thousand lines: a round collects them in
 * slices and writes the files off the loop, so that no turn waits for it. A round takes each partition as it is when its turn comes;
 * what is older than the truth only makes recovery read more.
 *
 * Invariant: no line on disk counts for another partition than the one it was written for. When a name is used again while files on
 * disk may still have lines of the partition that had it, .checkpoint-void says first that they count for nothing:
 *
 *   dropped ----- a round begins ----> leaving ----- it has ended ----> gone from the disk
 *      \______________________________/
 *        the name is used again: its lines are void until then */
#include "kafka/partition/checkpoint_internal.h"

#include "base/slog.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX   MIB(64)
#define CLEANED_DELAY_MS 1000
#define KEY_CHARS_MAX    (KAFKA_TOPIC_NAME_BYTES_MAX + 16)

const checkpoint_file_t checkpoint__files[CHECKPOINT_TEXTS] = {
    {"recovery-point-offset-checkpoint", offsetof(partition_checkpoint_t, recovery_point)},
    {"log-start-offset-checkpoint", offsetof(partition_checkpoint_t, log_start)},
    {"replication-offset-checkpoint", offsetof(partition_checkpoint_t, high_watermark)},
};
const checkpoint_file_t checkpoint__cleaned_file = {"cleaner-offset-checkpoint",
                                                    offsetof(partition_checkpoint_t, cleaned)};

static void *const IS_IN = (void *)1; /* a key's value */

/* ---- keys ------------------------------------------------------------------------------------------------------------ */

static bytes_t key_of(char out[KEY_CHARS_MAX], const char *topic, int32_t index)
{
    int n = snprintf(out, KEY_CHARS_MAX, "%s %" PRId32, topic, index);
    ASSERT(n > 0 && n < KEY_CHARS_MAX);
    return bytes_of(out, (size_t)n);
}

static bool is_topics(bytes_t key, const char *topic)
{
    size_t n = strlen(topic);
    return key.len > n && key.ptr[n] == ' ' && memcmp(key.ptr, topic, n) == 0;
}

void checkpoint__move_keys(map_t *to, map_t *from)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(from, &cursor));) map_put(to, e->key, IS_IN);
    map_deinit(from);
    *from = MAP_INIT;
}

static checkpoint_line_t *line_get(const partition_checkpoints_t *c, bytes_t key) { return map_get(&c->lines, key); }

static checkpoint_line_t *line_make(partition_checkpoints_t *c, bytes_t key)
{
    checkpoint_line_t *line = line_get(c, key);
    if (line) return line;
    line = mem_zalloc(sizeof(*line) + key.len);
    line->at = PARTITION_CHECKPOINT_NONE;
    line->key_bytes = key.len;
    memcpy(line->key, key.ptr, key.len);
    list_push_back(&c->all, &line->node);
    map_put(&c->lines, key, line);
    return line;
}

static void line_set_cleaned(partition_checkpoints_t *c, checkpoint_line_t *line, int64_t offset)
{
    if (list_linked(&line->cleaned_node)) list_remove(&line->cleaned_node);
    line->at.cleaned = offset;
    if (offset >= 0) list_push_back(&c->cleaned, &line->cleaned_node);
    c->cleaned_stale = true;
}

/* The partition is no more, or has never been. */
static void line_drop(partition_checkpoints_t *c, checkpoint_line_t *line)
{
    bytes_t key = bytes_of(line->key, line->key_bytes);
    map_put(&c->dropped, key, IS_IN);
    if (line->at.cleaned >= 0) line_set_cleaned(c, line, -1);
    if (c->cleaned_stale && c->timer.due_ns == 0) io_timer_start(&c->timer, CLEANED_DELAY_MS, 0);
    list_remove(&line->node);
    map_remove(&c->lines, key);
    mem_free(line);
}

void checkpoint__refresh(checkpoint_line_t *line)
{
    const partition_t *p = line->partition;
    if (!p) return;
    line->at.recovery_point = log_durable_offset(p->log);
    line->at.high_watermark = p->high_watermark;
    line->at.log_start = log_start_offset(p->log);
    line->at.closed_end = -1;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

void checkpoint__path(const partition_checkpoints_t *c, const char *name, char out[PARTITION_PATH_CHARS_MAX])
{
    int n = snprintf(out, PARTITION_PATH_CHARS_MAX, "%s/%s", c->store->kafka->data_dir, name);
    ASSERT(n > 0 && n < PARTITION_PATH_CHARS_MAX);
}

/* One line into its member; false when it makes no sense. */
static bool parse_line(partition_checkpoints_t *c, char *text, size_t member)
{
    char *last = strrchr(text, ' '), *end;
    if (!last || last == text) return false;
    long long offset = strtoll(last + 1, &end, 10);
    if (end == last + 1 || *end || offset < 0) return false;
    bytes_t key = bytes_of(text, (size_t)(last - text));
    if (map_get(&c->voided, key)) return true;
    checkpoint_line_t *line = line_make(c, key);
    if (member == checkpoint__cleaned_file.member)
        line_set_cleaned(c, line, offset);
    else
        *(int64_t *)(void *)((char *)&line->at + member) = offset;
    return true;
}

/* The lines, as far as they make sense; false when not all of it does. */
static bool parse(partition_checkpoints_t *c, char *text, size_t bytes, size_t member)
{
    char *save = NULL, *end;
    if (bytes == 0 || strlen(text) != bytes || text[bytes - 1] != '\n') return false;
    char *version = strtok_r(text, "\n", &save), *count = strtok_r(NULL, "\n", &save);
    if (!version || !count || strcmp(version, "0") != 0) return false;
    long long left = strtoll(count, &end, 10);
    if (end == count || *end) return false;
    for (char *line; (line = strtok_r(NULL, "\n", &save)); left--)
        if (!parse_line(c, line, member)) return false;
    return left == 0;
}

/* What a damaged file lacks is read from the logs, so that the mark of a clean stop does not count. */
static int read_file(partition_checkpoints_t *c, const checkpoint_file_t *file)
{
    char path[PARTITION_PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    partition_store_t *store = c->store;
    checkpoint__path(c, file->name, path);
    int err = io_read_whole(store->kafka->loop, path, FILE_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND) store->suspect |= file == &checkpoint__files[CHECKPOINT_RECOVERY];
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return err;
    bool fits = partition__sums_fit(store, file->name, bytes_of(data, bytes));
    if (!fits || !parse(c, (char *)data, bytes, file->member)) {
        store->suspect = true;
        slog(SLOG_WARN, "kafka", "a checkpoint is damaged; the logs are read in its place, and it is written anew",
             "file=%s", path);
    }
    mem_free(data);
    return 0;
}

/* Names that are void, one a line. Half a file voids less than it should: it is written before the name is used again, and whole. */
static int read_void(partition_checkpoints_t *c)
{
    char path[PARTITION_PATH_CHARS_MAX], *save = NULL;
    uint8_t *text;
    size_t bytes;
    checkpoint__path(c, CHECKPOINT_VOID_NAME, path);
    int err = io_read_whole(c->store->kafka->loop, path, FILE_BYTES_MAX, &text, &bytes);
    if (err) return err == ERR_NOT_FOUND ? 0 : err;
    for (char *key = strtok_r((char *)text, "\n", &save); key; key = strtok_r(NULL, "\n", &save)) {
        map_put(&c->voided, bytes_str(key), IS_IN);
        map_put(&c->dropped, bytes_str(key), IS_IN);
    }
    mem_free(text);
    return 0;
}

int partition__checkpoints_read(partition_checkpoints_t *c)
{
    int err = read_void(c);
    partition__sums_read(c->store);
    for (size_t i = 0; i < CHECKPOINT_TEXTS && !err; i++) err = read_file(c, &checkpoint__files[i]);
    if (!err) err = read_file(c, &checkpoint__cleaned_file);
    c->cleaned_stale = c->voided.count > 0; /* before they count again, it must be without them */
    return err;
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

partition_checkpoint_t partition__checkpoint(const partition_checkpoints_t *c, const char *topic, int32_t index)
{
    char key[KEY_CHARS_MAX];
    checkpoint_line_t *line = line_get(c, key_of(key, topic, index));
    if (line) line->at.seen = true;
    return line ? line->at : PARTITION_CHECKPOINT_NONE;
}

static checkpoint_line_t *line_of(partition_checkpoints_t *c, const kafka_topic_t *topic, int32_t index)
{
    char key[KEY_CHARS_MAX];
    return line_make(c, key_of(key, topic->name, index));
}

void partition__checkpoint_opened(partition_checkpoints_t *c, const partition_t *partition)
{
    checkpoint_line_t *line = line_of(c, partition->topic, partition->index);
    line->partition = partition;
    line->at.seen = true;
}

void partition__checkpoint_taken_off(partition_checkpoints_t *c, const partition_t *partition, bool deleted)
{
    checkpoint_line_t *line = line_of(c, partition->topic, partition->index);
    checkpoint__refresh(line);
    line->partition = NULL;
    if (deleted) line_drop(c, line);
}

void partition__checkpoint_closed(partition_checkpoints_t *c, const kafka_topic_t *topic, int32_t index,
                                  int64_t end_offset)
{
    line_of(c, topic, index)->at.closed_end = end_offset;
}

void partition__checkpoints_take_ends(partition_checkpoints_t *c)
{
    LIST_EACH(&c->all, line, checkpoint_line_t, node)
        line->at.recovery_point = MAX(line->at.recovery_point, line->at.closed_end);
}

static bool may_be_on_disk(const partition_checkpoints_t *c, bytes_t key)
{
    return (map_get(&c->dropped, key) || map_get(&c->leaving, key)) && !map_get(&c->voided, key);
}

static void void_topic(partition_checkpoints_t *c, const map_t *from, const char *topic)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(from, &cursor));)
        if (is_topics(e->key, topic)) map_put(&c->voided, e->key, IS_IN);
}

/* One write for all partitions of the topic. */
int partition__checkpoint_forget(partition_checkpoints_t *c, const char *topic, int32_t index)
{
    char text[KEY_CHARS_MAX];
    bytes_t key = key_of(text, topic, index);
    checkpoint_line_t *line = line_get(c, key);
    if (line) line_drop(c, line);
    if (!may_be_on_disk(c, key)) return 0;
    if (c->writing == WRITES_VOID) checkpoint__interrupt_write(c);
    void_topic(c, &c->dropped, topic);
    void_topic(c, &c->leaving, topic);
    int err = checkpoint__void_write(c);
    if (err) map_remove(&c->voided, key); /* it is tried again */
    return err;
}

void partition__checkpoints_drop_unseen(partition_checkpoints_t *c)
{
    LIST_EACH(&c->all, line, checkpoint_line_t, node)
        if (!line->at.seen) line_drop(c, line);
    if (c->dropped.count > 0) partition__checkpoints_run(c);
}

/* ---- how far partitions are clean ------------------------------------------------------------------------------------ */

/* Not at once: another may be clean in a moment. */
void partition__checkpoint_cleaned(partition_checkpoints_t *c, const partition_t *partition, int64_t offset)
{
    line_set_cleaned(c, line_of(c, partition->topic, partition->index), offset);
    if (c->timer.due_ns == 0) io_timer_start(&c->timer, CLEANED_DELAY_MS, 0);
}

void partition__checkpoint_cleaned_durably(partition_checkpoints_t *c, const partition_t *partition, int64_t offset,
                                           partition_cleaned_waiter_t *waiter)
{
    line_set_cleaned(c, line_of(c, partition->topic, partition->index), offset);
    list_push_back(&c->cleaned_waiters, &waiter->node);
    io_timer_start(&c->timer, 0, 0);
}

void partition__checkpoint_uncleaned(partition_checkpoints_t *c, const partition_t *partition)
{
    line_set_cleaned(c, line_of(c, partition->topic, partition->index), -1);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

partition_checkpoints_t *partition__checkpoints_new(partition_store_t *store)
{
    partition_checkpoints_t *c = mem_zalloc(sizeof(*c));
    c->store = store;
    c->slice.step = checkpoint__collect_step;
    list_init(&c->all);
    list_init(&c->cleaned);
    list_init(&c->cleaned_waiters);
    list_init(&c->cleaned_served);
    io_timer_init(store->kafka->loop, &c->timer, checkpoint__look);
    return c;
}

void partition__checkpoints_stop(partition_checkpoints_t *c)
{
    checkpoint__interrupt(c);
    io_timer_stop(&c->timer);
}

void partition__checkpoints_free(partition_checkpoints_t *c)
{
    io_timer_stop(&c->timer);
    LIST_EACH(&c->all, line, checkpoint_line_t, node) mem_free(line);
    map_deinit(&c->lines);
    map_deinit(&c->dropped);
    map_deinit(&c->leaving);
    map_deinit(&c->voided);
    for (size_t i = 0; i < CHECKPOINT_TEXTS; i++) buf_deinit(&c->texts[i].buf);
    buf_deinit(&c->cleaned_text.buf);
    buf_deinit(&c->sums_text);
    buf_deinit(&c->void_text);
    mem_free(c);
}
