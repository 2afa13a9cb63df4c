/* store.c: checkpoints, the clean mark, timers, and waking: see store.h. */
#include "kafka/partition/partition_internal.h"

#include "base/hash.h"
#include "base/slog.h"

#include <stdio.h>
#include <stdlib.h>

#define STORE_HOOK_RANK       50 /* behind what appends in this turn, before connections send (90) */
#define STORE_MAINTAIN_MS_MAX 30000
#define STORE_FILES_OTHERS    16
#define CHECKPOINT_BYTES_MAX  MIB(64)
#define CLEAN_MARK            ".kafka_cleanshutdown"
#define BOOT                  ".boot"
#define RECOVERY_POINTS       "recovery-point-offset-checkpoint"
#define LOG_STARTS            "log-start-offset-checkpoint"
#define HIGH_WATERMARKS       "replication-offset-checkpoint"
#define CLEANED               "cleaner-offset-checkpoint"

static void store_path(const partition_store_t *store, const char *name, char out[PARTITION_PATH_CHARS_MAX])
{
    int n = snprintf(out, PARTITION_PATH_CHARS_MAX, "%s/%s", store->kafka->data_dir, name);
    ASSERT(n > 0 && n < PARTITION_PATH_CHARS_MAX);
}

int partition__write_file(io_loop_t *loop, const char *path, bytes_t data)
{
    io_file_t *file;
    int err = io_file_open(loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    if (err) return err;
    struct iovec iov = {(void *)data.ptr, data.len};
    if (data.len > 0) err = io_file_write(file, 0, &iov, 1);
    io_file_close(file);
    return err;
}

/* ---- checkpoint files: "0", the number of lines, then "topic partition offset" --------------------------------------- */

static partition_checkpoint_t *checkpoint_get(partition_store_t *store, bytes_t key)
{
    partition_checkpoint_t *c = map_get(&store->checkpoints, key);
    if (c) return c;
    c = mem_alloc(sizeof(*c));
    *c = PARTITION_CHECKPOINT_NONE;
    map_put(&store->checkpoints, key, c);
    return c;
}

/* One line into the member at `member`; false when it makes no sense. */
static bool checkpoint_line(partition_store_t *store, char *line, size_t member)
{
    char *last = strrchr(line, ' '), *end;
    if (!last || last == line) return false;
    long long offset = strtoll(last + 1, &end, 10);
    if (end == last + 1 || *end || offset < 0) return false;
    partition_checkpoint_t *c = checkpoint_get(store, bytes_of(line, (size_t)(last - line)));
    *(int64_t *)((char *)c + member) = offset;
    return true;
}

/* The lines, as far as they make sense; false when not all of it does. */
static bool checkpoint_parse(partition_store_t *store, char *text, size_t bytes, size_t member)
{
    char *save = NULL, *end;
    if (bytes == 0 || strlen(text) != bytes || text[bytes - 1] != '\n') return false;
    char *version = strtok_r(text, "\n", &save), *count = strtok_r(NULL, "\n", &save);
    if (!version || !count || strcmp(version, "0") != 0) return false;
    long long left = strtoll(count, &end, 10);
    if (end == count || *end) return false;
    for (char *line; (line = strtok_r(NULL, "\n", &save)); left--) {
        if (!checkpoint_line(store, line, member)) return false;
    }
    return left == 0;
}

/* What a damaged file lacks is read from the logs, so that the mark of a clean stop does not count. */
static int checkpoint_read(partition_store_t *store, const char *name, size_t member)
{
    char path[PARTITION_PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    store_path(store, name, path);
    int err = io_read_whole(store->kafka->loop, path, CHECKPOINT_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND) store->suspect |= strcmp(name, RECOVERY_POINTS) == 0;
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return err;
    bool fits = partition__sums_fit(store, name, bytes_of(data, bytes));
    if (!fits || !checkpoint_parse(store, (char *)data, bytes, member)) {
        store->suspect = true;
        slog(SLOG_WARN, "kafka", "a checkpoint is damaged; the logs are read in its place, and it is written anew",
             "file=%s", path);
    }
    mem_free(data);
    return 0;
}

static void checkpoint_text(const partition_store_t *store, size_t member, buf_t *out)
{
    buf_t lines = BUF_INIT;
    size_t cursor = 0;
    uint32_t count = 0;
    for (map_entry_t *e; (e = map_next(&store->checkpoints, &cursor));) {
        int64_t offset = *(const int64_t *)((const char *)e->value + member);
        if (offset < 0) continue;
        buf_append(&lines, e->key.ptr, e->key.len);
        buf_printf(&lines, " %" PRId64 "\n", offset);
        count++;
    }
    buf_printf(out, "0\n%" PRIu32 "\n", count);
    if (lines.len > 0) buf_append(out, lines.ptr, lines.len);
    buf_deinit(&lines);
}

static bytes_t checkpoint_key(char *out, size_t cap, const char *topic, int32_t index)
{
    int n = snprintf(out, cap, "%s %" PRId32, topic, index);
    ASSERT(n > 0 && (size_t)n < cap);
    return bytes_of(out, (size_t)n);
}

static void checkpoint_take(partition_store_t *store, const partition_t *p)
{
    char key[KAFKA_TOPIC_NAME_BYTES_MAX + 16];
    partition_checkpoint_t *c = checkpoint_get(store, checkpoint_key(key, sizeof(key), p->topic->name, p->index));
    c->recovery_point = log_durable_offset(p->log);
    c->high_watermark = p->high_watermark;
    c->log_start = log_start_offset(p->log);
    c->closed_end = -1;
    c->seen = true;
}

/* Without waiting for the disk. */
static int replace_unsynced(partition_store_t *store, const char *name, bytes_t text)
{
    char path[PARTITION_PATH_CHARS_MAX], temporary[PARTITION_PATH_CHARS_MAX + 8];
    store_path(store, name, path);
    snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    int err = partition__write_file(store->kafka->loop, temporary, text);
    return err ? err : io_rename(store->kafka->loop, temporary, path);
}

/* Writes all three files, unless nothing changed. `recovery` and `start` must be durable when the clean mark
 * says so. */
static int checkpoints_write(partition_store_t *store)
{
    char path[PARTITION_PATH_CHARS_MAX];
    io_loop_t *loop = store->kafka->loop;
    buf_t recovery = BUF_INIT, start = BUF_INIT, high = BUF_INIT;
    LIST_EACH(&store->partitions, p, partition_t, store_node) checkpoint_take(store, p);
    checkpoint_text(store, offsetof(partition_checkpoint_t, recovery_point), &recovery);
    checkpoint_text(store, offsetof(partition_checkpoint_t, log_start), &start);
    checkpoint_text(store, offsetof(partition_checkpoint_t, high_watermark), &high);
    int err = 0;
    uint64_t hash = hash_bytes(recovery.ptr, recovery.len) ^ (hash_bytes(start.ptr, start.len) * 3);
    if (hash != store->written_hash) {
        err = partition__sums_write(store, buf_bytes(&recovery), buf_bytes(&start));
        store_path(store, RECOVERY_POINTS, path);
        if (!err) err = io_replace_whole(loop, path, buf_bytes(&recovery));
        store_path(store, LOG_STARTS, path);
        if (!err) err = io_replace_whole(loop, path, buf_bytes(&start));
        if (!err) store->written_hash = hash;
    }
    /* With one replica the high watermarks are for others to read: the log's end is the truth. */
    if (!err) err = replace_unsynced(store, HIGH_WATERMARKS, buf_bytes(&high));
    if (!err) store->stale = false;
    buf_deinit(&recovery);
    buf_deinit(&start);
    buf_deinit(&high);
    return err;
}

partition_checkpoint_t partition__store_checkpoint(partition_store_t *store, const char *topic, int32_t index)
{
    char key[KAFKA_TOPIC_NAME_BYTES_MAX + 16];
    partition_checkpoint_t *c = map_get(&store->checkpoints, checkpoint_key(key, sizeof(key), topic, index));
    if (c) c->seen = true;
    return c ? *c : PARTITION_CHECKPOINT_NONE;
}

/* Older lines than the truth only make the cleaner read more; those of partitions that are gone must not be met by new
 * ones. */
static int cleaned_write(partition_store_t *store, bool durable)
{
    char path[PARTITION_PATH_CHARS_MAX];
    buf_t text = BUF_INIT;
    checkpoint_text(store, offsetof(partition_checkpoint_t, cleaned), &text);
    store_path(store, CLEANED, path);
    int err = durable ? io_replace_whole(store->kafka->loop, path, buf_bytes(&text))
                      : replace_unsynced(store, CLEANED, buf_bytes(&text));
    buf_deinit(&text);
    if (!err) store->cleaned_stale = false;
    return err;
}

int partition__store_cleaned(partition_t *partition, int64_t offset, bool durable)
{
    char key[KAFKA_TOPIC_NAME_BYTES_MAX + 16];
    partition_store_t *store = partition->topic->kafka->partitions;
    bytes_t name = checkpoint_key(key, sizeof(key), partition->topic->name, partition->index);
    checkpoint_get(store, name)->cleaned = offset;
    return cleaned_write(store, durable);
}

int partition__store_forget(partition_store_t *store, const char *topic, int32_t index)
{
    char key[KAFKA_TOPIC_NAME_BYTES_MAX + 16];
    partition_checkpoint_t *c = map_remove(&store->checkpoints, checkpoint_key(key, sizeof(key), topic, index));
    if (c) store->stale = true;
    if (c && c->cleaned >= 0) store->cleaned_stale = true;
    mem_free(c);
    int err = store->cleaned_stale ? cleaned_write(store, true) : 0;
    return !err && store->stale ? checkpoints_write(store) : err;
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

void partition__store_add(partition_t *partition)
{
    list_push_back(&partition->topic->kafka->partitions->partitions, &partition->store_node);
}

void partition__store_remove(partition_t *partition, bool deleted)
{
    partition_store_t *store = partition->topic->kafka->partitions;
    list_remove(&partition->store_node);
    list_remove(&partition->news_node);
    char key[KAFKA_TOPIC_NAME_BYTES_MAX + 16];
    if (deleted) {
        bytes_t name = checkpoint_key(key, sizeof(key), partition->topic->name, partition->index);
        partition_checkpoint_t *gone = map_remove(&store->checkpoints, name);
        if (gone && gone->cleaned >= 0) store->cleaned_stale = true;
        store->stale = true;
        mem_free(gone);
        return;
    }
    checkpoint_take(store, partition);
}

void partition__store_closed(partition_store_t *store, const kafka_topic_t *topic, int32_t index, int64_t end_offset)
{
    char key[KAFKA_TOPIC_NAME_BYTES_MAX + 16];
    checkpoint_get(store, checkpoint_key(key, sizeof(key), topic->name, index))->closed_end = end_offset;
}

static void tell_news(partition_store_t *store)
{
    while (!list_empty(&store->news)) {
        partition_t *p = LIST_FIRST(&store->news, partition_t, news_node);
        list_remove(&p->news_node);
        partition__wake(p, KAFKA_NONE);
    }
    io_timer_stop(&store->news_timer);
}

static void hook_run(io_hook_t *hook)
{
    partition_store_t *store = CONTAINER_OF(hook, partition_store_t, hook);
    if (!list_empty(&store->news)) tell_news(store);
}

/* For news that come after the hook has run: the loop must not sleep on them. */
static void news_run(io_timer_t *timer) { tell_news(CONTAINER_OF(timer, partition_store_t, news_timer)); }

void partition__store_news(partition_t *partition)
{
    partition_store_t *store = partition->topic->kafka->partitions;
    if (list_empty(&partition->waiters) || list_linked(&partition->news_node)) return;
    if (list_empty(&store->news)) io_timer_start(&store->news_timer, 0, 0);
    list_push_back(&store->news, &partition->news_node);
}

/* ---- timers ---------------------------------------------------------------------------------------------------------- */

/* One partition, and then the next: there may be thousands. Each goes to the end of the list, so that those that come or go
 * meanwhile do no harm. */
static slice_state_t maintain_step(slice_t *slice)
{
    partition_store_t *store = CONTAINER_OF(slice, partition_store_t, maintenance);
    partition_t *p = LIST_FIRST(&store->partitions, partition_t, store_node);
    if (!p || store->maintain_left == 0) return SLICE_ENDED;
    store->maintain_left--;
    list_remove(&p->store_node);
    list_push_back(&store->partitions, &p->store_node);
    uint32_t deleted;
    /* A segment that cannot be removed now is tried again next time. */
    (void)!log_maintain(p->log, io_wall_ms(store->kafka->loop), p->high_watermark, &deleted);
    return SLICE_MORE;
}

static void maintain_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, maintain_timer);
    if (list_linked(&store->maintenance.node)) return; /* the round before is not over */
    store->maintain_left = 0;
    LIST_EACH(&store->partitions, p, partition_t, store_node) store->maintain_left++;
    slice_run(&store->kafka->slices, &store->maintenance);
}

static void checkpoint_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, checkpoint_timer);
    partition__checkpoints_told(store, checkpoints_write(store)); /* older ones only make recovery read more */
}

static void expiry_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, expiry_timer);
    int64_t now_ms = io_wall_ms(store->kafka->loop);
    LIST_EACH(&store->partitions, p, partition_t, store_node) {
        producers_expire(&p->producers, now_ms, store->kafka->config.producer_id_expiration_ms);
    }
}

static void start_timer(partition_store_t *store, io_timer_t *timer, void (*run)(io_timer_t *), int64_t ms)
{
    uint32_t every_ms = (uint32_t)MIN(MAX(ms, 1), INT32_MAX);
    io_timer_init(store->kafka->loop, timer, run);
    io_timer_start(timer, every_ms, every_ms);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void remove_deleted_dir(void *user, const char *name, bool is_dir)
{
    partition_store_t *store = user;
    char path[PARTITION_PATH_CHARS_MAX];
    size_t n = strlen(name), m = strlen("-delete");
    if (!is_dir || n < m || strcmp(name + n - m, "-delete") != 0) return;
    store_path(store, name, path);
    io_remove_later(store->kafka->loop, path); /* what fails is tried again at the next start */
}

static int take_clean_mark(partition_store_t *store)
{
    char path[PARTITION_PATH_CHARS_MAX];
    store_path(store, CLEAN_MARK, path);
    if (!io_exists(store->kafka->loop, path)) return 0;
    store->clean = !store->suspect;
    int err = io_remove(store->kafka->loop, path);
    /* Should this be forgotten by a power failure, the mark would lie. */
    return err ? err : io_sync_dir(store->kafka->loop, store->kafka->data_dir);
}

static int compare_boot(partition_store_t *store)
{
    char path[PARTITION_PATH_CHARS_MAX];
    store_path(store, BOOT, path);
    return io_boot_changed(store->kafka->loop, path, &store->power_lost);
}

/* Lines of topics that are no more: one that gets their name must not be measured by them. */
static int drop_unseen(partition_store_t *store)
{
    map_t kept = MAP_INIT;
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&store->checkpoints, &cursor));) {
        partition_checkpoint_t *c = e->value;
        if (c->seen) {
            map_put(&kept, e->key, c);
            continue;
        }
        store->stale = true;
        if (c->cleaned >= 0) store->cleaned_stale = true;
        mem_free(c);
    }
    map_deinit(&store->checkpoints);
    store->checkpoints = kept;
    int err = store->stale ? checkpoints_write(store) : 0;
    return !err && store->cleaned_stale ? cleaned_write(store, true) : err;
}

void partition_store_opened(kafka_t *kafka)
{
    char path[PARTITION_PATH_CHARS_MAX];
    partition_store_t *store = kafka->partitions;
    store->opened = true;
    int err = drop_unseen(store);
    store_path(store, BOOT, path);
    if (!err) err = io_boot_keep(kafka->loop, path); /* else the next start takes power for lost once more */
    partition__checkpoints_told(store, err);
}

static void store_free(partition_store_t *store)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&store->checkpoints, &cursor));) mem_free(e->value);
    map_deinit(&store->checkpoints);
    log_files_free(store->files);
    mem_free(store);
}

/* Of what the process keeps for files, the logs leave some for those that come and go: checkpoints, snapshots, the tree's
 * log, the append-only file and its rewrite. */
static uint32_t files_max(void)
{
    uint32_t all = io_descriptors_for_files(io_descriptors_max());
    return all - MIN(all / 2, STORE_FILES_OTHERS);
}

uint32_t partition_store_files_open(const kafka_t *kafka)
{
    return kafka->partitions ? log_files_count(kafka->partitions->files) : 0;
}

int partition_store_open(kafka_t *kafka)
{
    partition_store_t *store = mem_zalloc(sizeof(*store));
    store->kafka = kafka;
    store->checkpoints = MAP_INIT;
    store->files = log_files_new(files_max());
    list_init(&store->partitions);
    list_init(&store->news);
    list_init(&store->offline);
    int err = io_mkdir(kafka->loop, kafka->data_dir);
    if (!err) err = io_list_dir(kafka->loop, kafka->data_dir, remove_deleted_dir, store);
    partition__sums_read(store);
    if (!err) err = checkpoint_read(store, RECOVERY_POINTS, offsetof(partition_checkpoint_t, recovery_point));
    if (!err) err = checkpoint_read(store, LOG_STARTS, offsetof(partition_checkpoint_t, log_start));
    if (!err) err = checkpoint_read(store, HIGH_WATERMARKS, offsetof(partition_checkpoint_t, high_watermark));
    if (!err) err = checkpoint_read(store, CLEANED, offsetof(partition_checkpoint_t, cleaned));
    if (!err) err = compare_boot(store);
    if (!err) err = take_clean_mark(store);
    if (err) {
        store_free(store);
        return err;
    }
    store->hook = (io_hook_t){.rank = STORE_HOOK_RANK, .name = "kafka fetches that waited", .run = hook_run};
    io_hook_add(kafka->loop, &store->hook);
    io_timer_init(kafka->loop, &store->news_timer, news_run);
    io_timer_init(kafka->loop, &store->offline_timer, partition__offline_run);
    io_timer_init(kafka->loop, &store->refused_timer, partition__refused_run);
    const kafka_broker_config_t *c = &kafka->config;
    store->maintenance.step = maintain_step;
    start_timer(store, &store->maintain_timer, maintain_run,
                MIN(c->log_retention_check_interval_ms, STORE_MAINTAIN_MS_MAX));
    start_timer(store, &store->checkpoint_timer, checkpoint_run, c->log_flush_offset_checkpoint_interval_ms);
    start_timer(store, &store->expiry_timer, expiry_run, c->producer_id_expiration_check_interval_ms);
    store->cleaner = cleaner_new(kafka, store);
    kafka->partitions = store;
    return 0;
}

/* What the logs wrote becomes durable first, in one go: the mark must not say more than the disk knows. */
static void stop_clean(partition_store_t *store)
{
    char path[PARTITION_PATH_CHARS_MAX], text[64];
    io_loop_t *loop = store->kafka->loop;
    if (io_sync_tree(loop, store->kafka->data_dir) != 0) return;
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&store->checkpoints, &cursor));) {
        partition_checkpoint_t *c = e->value;
        c->recovery_point = MAX(c->recovery_point, c->closed_end);
    }
    if (checkpoints_write(store) != 0) return;
    if (store->failed || !store->opened) return; /* the next start must look at what did not close, or was not open */
    store_path(store, CLEAN_MARK, path);
    int n = snprintf(text, sizeof(text), "{\"version\":0,\"brokerEpoch\":%" PRId64 "}", store->kafka->broker_epoch);
    (void)!io_replace_whole(loop, path, bytes_of(text, (size_t)n)); /* without it, the next start recovers */
}

void partition_store_close(kafka_t *kafka)
{
    partition_store_t *store = kafka->partitions;
    if (!store) return;
    ASSERT(list_empty(&store->partitions) && list_empty(&store->offline));
    io_hook_remove(&store->hook);
    io_timer_stop(&store->news_timer);
    io_timer_stop(&store->offline_timer);
    io_timer_stop(&store->refused_timer);
    io_timer_stop(&store->maintain_timer);
    slice_stop(&store->maintenance);
    io_timer_stop(&store->checkpoint_timer);
    io_timer_stop(&store->expiry_timer);
    cleaner_free(store->cleaner);
    stop_clean(store);
    store_free(store);
    kafka->partitions = NULL;
}
