/* store.c: checkpoints, the clean mark, timers, and waking: see store.h. */
#include "kafka/partition/partition_internal.h"

#include "base/slog.h"

#include <stdio.h>

#define STORE_HOOK_RANK       50 /* behind what appends in this turn, before connections send (90) */
#define STORE_MAINTAIN_MS_MAX 30000
#define STORE_FILES_OTHERS    16
#define CLEAN_MARK            ".kafka_cleanshutdown"
#define BOOT                  ".boot"

static void store_path(const partition_store_t *store, const char *name, char out[PARTITION_PATH_CHARS_MAX])
{
    int n = snprintf(out, PARTITION_PATH_CHARS_MAX, "%s/%s", store->kafka->data_dir, name);
    ASSERT(n > 0 && n < PARTITION_PATH_CHARS_MAX);
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

void partition__store_add(partition_t *partition)
{
    partition_store_t *store = partition->topic->kafka->partitions;
    list_push_back(&store->partitions, &partition->store_node);
    store->partitions_count++;
    partition__checkpoint_opened(store->checkpoints, partition);
}

void partition__store_remove(partition_t *partition, bool deleted)
{
    partition_store_t *store = partition->topic->kafka->partitions;
    list_remove(&partition->store_node);
    list_remove(&partition->news_node);
    store->partitions_count--;
    partition__checkpoint_taken_off(store->checkpoints, partition, deleted);
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
    const kafka_broker_config_t *config = &store->kafka->config;
    partition_t *p = LIST_FIRST(&store->partitions, partition_t, store_node);
    if (!p || store->maintain_left == 0) return SLICE_ENDED;
    store->maintain_left--;
    list_remove(&p->store_node);
    list_push_back(&store->partitions, &p->store_node);
    uint32_t deleted;
    int64_t now_ms = io_wall_ms(store->kafka->loop);
    /* A segment that cannot be removed now is tried again next time. */
    (void)!log_maintain(p->log, now_ms, p->high_watermark, &deleted);
    if (store->expiring) producers_expire(&p->producers, now_ms, config->producer_id_expiration_ms);
    return SLICE_MORE;
}

static void maintain_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, maintain_timer);
    if (list_linked(&store->maintenance.node)) return; /* the round before is not over */
    store->maintain_left = store->partitions_count;
    store->expiring = store->expiry_wanted;
    store->expiry_wanted = false;
    slice_run(&store->kafka->slices, &store->maintenance);
}

static void checkpoint_run(io_timer_t *timer)
{
    partition__checkpoints_run(CONTAINER_OF(timer, partition_store_t, checkpoint_timer)->checkpoints);
}

/* By the next round: both go through all partitions. */
static void expiry_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, expiry_timer);
    store->expiry_wanted = true;
    maintain_run(&store->maintain_timer);
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

void partition_store_opened(kafka_t *kafka)
{
    char path[PARTITION_PATH_CHARS_MAX];
    partition_store_t *store = kafka->partitions;
    store->opened = true;
    partition__checkpoints_drop_unseen(store->checkpoints);
    store_path(store, BOOT, path);
    partition__checkpoints_told(
        store, io_boot_keep(kafka->loop, path)); /* else the next start takes power for lost once more */
}

static void store_free(partition_store_t *store)
{
    partition__checkpoints_free(store->checkpoints);
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
    store->checkpoints = partition__checkpoints_new(store);
    store->files = log_files_new(files_max());
    list_init(&store->partitions);
    list_init(&store->news);
    list_init(&store->offline);
    int err = io_mkdir(kafka->loop, kafka->data_dir);
    if (!err) err = io_list_dir(kafka->loop, kafka->data_dir, remove_deleted_dir, store);
    if (!err) err = partition__checkpoints_read(store->checkpoints);
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
    partition__checkpoints_take_ends(store->checkpoints);
    if (partition__checkpoints_write_now(store->checkpoints) != 0) return;
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
    partition__checkpoints_stop(store->checkpoints);
    stop_clean(store);
    store_free(store);
    kafka->partitions = NULL;
}
