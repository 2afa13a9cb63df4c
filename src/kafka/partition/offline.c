/* offline.c: partitions that this broker holds and cannot serve. The others serve on; this one answers
 * KAFKA_STORAGE_ERROR, has no leader in Metadata, and is told of in the log, in /metrics and by /readyz.
 *
 *   (open) ──the log failed: a sync, a cut that did not succeed──> offline ──opened again, nothing lost──> (open)
 *   (absent) ──it could not be opened────────────────────────────────┘  └──damaged: stays until a start finds it mended
 *
 * What the disk may yet give is tried again, ever more rarely. A log whose sync failed is read back from the disk, past the
 * page cache, which shows what the disk never got: it comes back only with all that it had acknowledged. */
#include "kafka/partition/partition_internal.h"

#include "base/slog.h"

#include <stdarg.h>
#include <stdio.h>

#define RETRY_MS_MIN 200
#define RETRY_MS_MAX 60000

struct partition_offline {
    list_t node; /* in store->offline */
    kafka_topic_t *topic;
    int32_t index;
    int64_t end_offset; /* when it failed; -1 = it was not open */
    uint64_t retry_ms;
    uint64_t retry_ns; /* on the loop's monotonic clock; 0 = nothing that this process can do helps */
    char why[PARTITION_WHY_CHARS_MAX];
};

void partition__why(char why[PARTITION_WHY_CHARS_MAX], const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, PARTITION_WHY_CHARS_MAX, fmt, args);
    va_end(args);
}

static uint32_t count_offline(const partition_store_t *store)
{
    uint32_t count = 0;
    LIST_EACH(&store->offline, o, partition_offline_t, node) count++;
    return count;
}

uint32_t partition_offline_count(const kafka_t *kafka)
{
    return kafka->partitions ? count_offline(kafka->partitions) : 0;
}

/* Once a turn, however many went at once: the disk of ten thousand fails for all of them. */
static void tell_health(partition_store_t *store)
{
    health_t *health = &store->kafka->health;
    if (list_empty(&store->offline)) {
        health_clear(health, "partitions");
        return;
    }
    const partition_offline_t *first = LIST_FIRST(&store->offline, partition_offline_t, node);
    uint32_t count = count_offline(store);
    if (count == 1)
        health_raise(health, "partitions", "partition %s-%" PRId32 " is offline: %s", first->topic->name, first->index,
                     first->why);
    else
        health_raise(health, "partitions", "%" PRIu32 " partitions are offline, the first of them %s-%" PRId32 ": %s",
                     count, first->topic->name, first->index, first->why);
}

static void arm(partition_store_t *store)
{
    uint64_t due_ns = UINT64_MAX, now_ns = io_now_ns(store->kafka->loop);
    LIST_EACH(&store->offline, o, partition_offline_t, node) {
        if (o->retry_ns) due_ns = MIN(due_ns, o->retry_ns);
    }
    if (store->offline_changed) due_ns = now_ns;
    if (due_ns == UINT64_MAX) return;
    io_timer_start(&store->offline_timer, due_ns > now_ns ? (due_ns - now_ns + 999999) / 1000000 : 0, 0);
}

static void changed(partition_store_t *store)
{
    store->offline_changed = true;
    arm(store);
}

static bool may_pass(int err)
{
    return err == ERR_IO || err == ERR_FILES || err == ERR_NOSPACE || err == ERR_NOMEM || err == ERR_ACCESS;
}

static void schedule(partition_offline_t *o, int err)
{
    uint64_t now_ns = io_now_ns(o->topic->kafka->loop);
    o->retry_ms = MIN(MAX(o->retry_ms * 2, (uint64_t)RETRY_MS_MIN), (uint64_t)RETRY_MS_MAX);
    o->retry_ns = may_pass(err) ? now_ns + o->retry_ms * 1000000 : 0;
}

static void begin(kafka_topic_t *topic, int32_t index, int err, const char *why, int64_t end_offset)
{
    partition_store_t *store = topic->kafka->partitions;
    partition_offline_t *o = mem_zalloc(sizeof(*o));
    *o = (partition_offline_t){.topic = topic, .index = index, .end_offset = end_offset};
    snprintf(o->why, sizeof(o->why), "%s", why);
    topic->partitions[index].offline = o;
    list_push_back(&store->offline, &o->node);
    schedule(o, err);
    slog(SLOG_ERROR, "kafka", o->retry_ns ? "a partition is offline and is tried again" : "a partition is offline",
         "partition=%s-%" PRId32 " error=\"%s\"", topic->name, index, why);
    changed(store);
    kafka_topic_altered(topic);
}

static void end(partition_offline_t *o)
{
    partition_store_t *store = o->topic->kafka->partitions;
    o->topic->partitions[o->index].offline = NULL;
    list_remove(&o->node);
    mem_free(o);
    changed(store);
}

void partition_offline_forget(kafka_topic_t *topic, int32_t index)
{
    if (topic->partitions[index].offline) end(topic->partitions[index].offline);
}

/* What could not be opened may be another topic's, or all that is left of this one: nobody but its owner removes it. */
void partition_offline_deleted(kafka_topic_t *topic, int32_t index)
{
    char dir[PARTITION_PATH_CHARS_MAX];
    if (!topic->partitions[index].offline) return;
    partition__path(topic, index, dir);
    if (io_exists(topic->kafka->loop, dir))
        slog(SLOG_WARN, "kafka", "a topic was deleted while a partition of it was offline; its directory stays",
             "directory=%s help=\"remove it when nothing in it is wanted\"", dir);
    partition_offline_forget(topic, index);
}

void partition_bring(kafka_topic_t *topic, int32_t index)
{
    char why[PARTITION_WHY_CHARS_MAX];
    kafka_partition_state_t *state = &topic->partitions[index];
    if (state->log || state->offline) return;
    int err = partition_open(topic, index, &state->log, why);
    if (err) begin(topic, index, err, why, -1);
}

void partition__fail(partition_t *partition, int err)
{
    char why[PARTITION_WHY_CHARS_MAX];
    kafka_topic_t *topic = partition->topic;
    int32_t index = partition->index;
    int64_t end_offset = log_end_offset(partition->log);
    partition__why(why, "%s cannot be written: %s", log_dir(partition->log), err_text(err));
    topic->partitions[index].log = NULL;
    partition__close_failed(partition);
    begin(topic, index, ERR_IO, why, end_offset);
}

static void try_again(partition_offline_t *o)
{
    partition_t *partition;
    kafka_topic_t *topic = o->topic;
    int32_t index = o->index;
    int err = partition__open_again(topic, index, o->end_offset, &partition, o->why);
    if (err) {
        schedule(o, err);
        if (o->retry_ns) return;
        slog(SLOG_ERROR, "kafka", "a partition stays offline", "partition=%s-%" PRId32 " error=\"%s\"", topic->name,
             index, o->why);
        changed(topic->kafka->partitions);
        return;
    }
    topic->partitions[index].log = partition;
    end(o);
    LIST_EACH(&topic->kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
        if (listener->online) listener->online(listener, topic, index);
    }
    slog(SLOG_INFO, "kafka", "a partition is online again", "partition=%s-%" PRId32 " end=%" PRId64, topic->name, index,
         partition_log_end_offset(partition));
}

/* One a turn: what is read back may be long. */
void partition__offline_run(io_timer_t *timer)
{
    partition_store_t *store = CONTAINER_OF(timer, partition_store_t, offline_timer);
    uint64_t now_ns = io_now_ns(store->kafka->loop);
    LIST_EACH(&store->offline, o, partition_offline_t, node) {
        if (o->retry_ns == 0 || o->retry_ns > now_ns) continue;
        try_again(o);
        break;
    }
    if (store->offline_changed) tell_health(store);
    store->offline_changed = false;
    arm(store);
}
