/* precheck.c: after a crash, what a large log's opening would compute on the loop is computed in the pool before: the checksums of
 * what may not have been durable. Some logs at a time; the pool's other threads stay free for stable storage. Called by
 * topics/store_partitions.c before it opens a partition. */
#include "kafka/partition/partition_internal.h"

#define PRECHECK_BYTES_MIN MIB(1) /* less is checked in a millisecond */

struct partition_precheck {
    io_work_t work;
    kafka_topic_t *topic;
    int32_t index;
    log_precheck_t *log;
    bool done;
};

static void work(io_work_t *w) { log_precheck_run(CONTAINER_OF(w, partition_precheck_t, work)->log); }

static void worked(io_work_t *w)
{
    partition_precheck_t *p = CONTAINER_OF(w, partition_precheck_t, work);
    partition_store_t *store = p->topic->kafka->partitions;
    p->done = true;
    ASSERT(store->prechecks > 0);
    store->prechecks--;
    store->prechecked(p->topic->kafka);
}

bool partition_precheck(kafka_topic_t *topic, int32_t index)
{
    partition_store_t *store = topic->kafka->partitions;
    kafka_partition_state_t *state = &topic->partitions[index];
    char dir[PARTITION_PATH_CHARS_MAX];
    log_precheck_t *log;
    if (store->clean || store->opened || state->log || state->offline) return true;
    if (state->precheck) return state->precheck->done;
    if (!partition_precheck_may_begin(topic->kafka)) return false;
    partition__path(topic, index, dir);
    log_recovery_t recovery = partition__recovery(topic, index);
    /* An error comes again when the log is opened, and is explained there. */
    if (log_precheck_new(topic->kafka->loop, dir, &recovery, PRECHECK_BYTES_MIN, &log) != 0 || !log) return true;
    partition_precheck_t *p = mem_zalloc(sizeof(*p));
    *p = (partition_precheck_t){.topic = topic, .index = index, .log = log};
    p->work.work = work;
    p->work.done = worked;
    state->precheck = p;
    store->prechecks++;
    io_work_start(topic->kafka->loop, &p->work);
    return false;
}

bool partition_precheck_may_begin(const kafka_t *kafka)
{
    return kafka->partitions->prechecks < PARTITION_PRECHECKS_MAX;
}
uint32_t partition_prechecks(const kafka_t *kafka) { return kafka->partitions->prechecks; }

void partition_on_prechecked(kafka_t *kafka, void (*prechecked)(kafka_t *kafka))
{
    kafka->partitions->prechecked = prechecked;
}

const log_precheck_t *partition__precheck_of(const kafka_topic_t *topic, int32_t index)
{
    const partition_precheck_t *p = topic->partitions[index].precheck;
    return p && p->done ? p->log : NULL;
}

void partition_precheck_end(kafka_topic_t *topic, int32_t index)
{
    partition_precheck_t *p = topic->partitions[index].precheck;
    if (!p) return;
    topic->partitions[index].precheck = NULL;
    if (!p->done) {
        log_precheck_stop(p->log);
        io_work_cancel(&p->work);
        topic->kafka->partitions->prechecks--;
    }
    log_precheck_free(p->log);
    mem_free(p);
}
