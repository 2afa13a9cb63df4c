/* writes.c: appends and checkpoints that the disk refuses: a full disk, one that fails, no descriptor. What was
 * refused is not in the log, the producer was told so, and reads go on; here is how the operator hears of it, once for all
 * partitions, and hears when it is over. A log that failed for good takes its partition offline: offline.c. */
#include "kafka/partition/partition_internal.h"

#include "base/slog.h"

#define QUIET_MS       3000 /* without a refusal, before it counts as over */
#define LOOK_MS        1000
#define FREE_BYTES_MIN MIB(1) /* of a disk that had been full */

static const char *remedy(int err)
{
    switch (err) {
    case ERR_NOSPACE: return "make room on the disk";
    case ERR_FILES: return "raise the limit of open files, or have fewer clients";
    default: return "look at the disk";
    }
}

void partition__write_refused(partition_t *partition, int err)
{
    const kafka_topic_t *topic = partition->topic;
    partition_store_t *store = topic->kafka->partitions;
    store->refused_ns = io_now_ns(store->kafka->loop);
    if (store->refused_err == err) return;
    store->refused_err = err;
    health_raise(&store->kafka->health, "writes",
                 "records are refused (KAFKA_STORAGE_ERROR), first in %s-%" PRId32 ": %s; %s", topic->name,
                 partition->index, err_text(err), remedy(err));
    io_timer_start(&store->refused_timer, LOOK_MS, LOOK_MS);
}

void partition__unreadable(partition_t *partition, int64_t offset, int err)
{
    if (partition->unreadable) return;
    partition->unreadable = true;
    slog(SLOG_ERROR, "kafka", "records cannot be read where they were; consumers there get KAFKA_STORAGE_ERROR",
         "partition=%s-%" PRId32 " offset=%" PRId64 " directory=%s error=\"%s\" help=\"stop the server and see 'trivet "
         "check'\"",
         partition->topic->name, partition->index, offset, log_dir(partition->log), err_text(err));
}

static bool still_full(const partition_store_t *store)
{
    uint64_t free_bytes, total_bytes;
    if (store->refused_err != ERR_NOSPACE) return false;
    int err = io_disk_space(store->kafka->loop, store->kafka->data_dir, &free_bytes, &total_bytes);
    return !err && free_bytes < MIN(FREE_BYTES_MIN, total_bytes / 16);
}

void partition__refused_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, refused_timer);
    uint64_t quiet_ns = io_now_ns(store->kafka->loop) - store->refused_ns;
    if (quiet_ns < QUIET_MS * 1000000ull || still_full(store)) return;
    store->refused_err = 0;
    io_timer_stop(&store->refused_timer);
    health_clear(&store->kafka->health, "writes");
}

void partition__checkpoints_told(partition_store_t *store, int err)
{
    if (err)
        health_raise(&store->kafka->health, "checkpoints",
                     "the checkpoints in %s cannot be written: %s; a start after a crash would read more, %s",
                     store->kafka->data_dir, err_text(err), remedy(err));
    else
        health_clear(&store->kafka->health, "checkpoints");
}
