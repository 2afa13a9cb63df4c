/* partition.c: a partition's life: opening with recovery, settings, leader epoch, high watermark, closing and
 * deletion. Called by topics.c; appending and reading are in append.c and read.c. */
#include "kafka/partition/partition_internal.h"

#include "base/slog.h"

#include <stdio.h>

static void rolled(void *user, int64_t base_offset);

kafka_topic_t *partition_topic(const partition_t *partition) { return partition->topic; }
int32_t partition_index(const partition_t *partition) { return partition->index; }
int32_t partition_leader_epoch(const partition_t *partition) { return partition->leader_epoch; }
log_t *partition_log(partition_t *partition) { return partition->log; }
uint64_t partition_bytes(const partition_t *partition) { return log_bytes(partition->log); }
int64_t partition_log_start_offset(const partition_t *partition) { return log_start_offset(partition->log); }
int64_t partition_log_end_offset(const partition_t *partition) { return log_end_offset(partition->log); }
int64_t partition_high_watermark(const partition_t *partition) { return partition->high_watermark; }
uint32_t partition_producers_count(const partition_t *partition) { return (uint32_t)partition->producers.by_id.count; }

bool partition_producer_last(const partition_t *partition, int64_t producer_id, int16_t *ret_epoch,
                             int32_t *ret_sequence)
{
    const producer_t *p = producers_get(&partition->producers, producer_id);
    if (!p || p->batches_count == 0) return false;
    *ret_epoch = p->epoch;
    *ret_sequence = p->batches[p->batches_count - 1].last_sequence;
    return true;
}

void partition_keep_producer(partition_t *partition, int64_t producer_id)
{
    partition->producers.kept_id = producer_id;
}

kafka_code_t partition_check_epoch(const partition_t *partition, int32_t current_leader_epoch)
{
    if (current_leader_epoch == -1 || current_leader_epoch == partition->leader_epoch) return KAFKA_NONE;
    return current_leader_epoch < partition->leader_epoch ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

kafka_code_t partition__error(int err)
{
    switch (err) {
    case 0: return KAFKA_NONE;
    case ERR_OUT_OF_RANGE: return KAFKA_OFFSET_OUT_OF_RANGE;
    case ERR_LIMIT: return KAFKA_RECORD_LIST_TOO_LARGE;
    default: return KAFKA_KAFKA_STORAGE_ERROR;
    }
}

void partition__path(const kafka_topic_t *topic, int32_t index, char out[PARTITION_PATH_CHARS_MAX])
{
    int n = snprintf(out, PARTITION_PATH_CHARS_MAX, "%s/%s-%" PRId32, topic->kafka->data_dir, topic->name, index);
    ASSERT(n > 0 && n < PARTITION_PATH_CHARS_MAX);
}

bool partition__is_compacted(const partition_t *partition)
{
    return partition->topic->config.cleanup_policy & KAFKA_CLEANUP_POLICY_COMPACT;
}

/* segment.jitter.ms: so that many partitions do not roll in the same moment. */
static int64_t jitter_ms(const kafka_topic_t *topic, int64_t age_ms_max)
{
    uint64_t random, most = (uint64_t)MIN(topic->config.segment_jitter_ms, age_ms_max);
    if (most == 0) return 0;
    io_random(topic->kafka->loop, &random, sizeof(random));
    return (int64_t)(random % most);
}

static log_options_t log_options_of(const kafka_topic_t *topic)
{
    const kafka_topic_config_t *c = &topic->config;
    bool deletes = c->cleanup_policy & KAFKA_CLEANUP_POLICY_DELETE;
    bool compacts = c->cleanup_policy & KAFKA_CLEANUP_POLICY_COMPACT;
    /* What must be compacted by then must be in a sealed segment by then. */
    int64_t age_ms_max = compacts ? MIN(c->segment_ms, c->max_compaction_lag_ms) : c->segment_ms;
    return (log_options_t){
        .segment_bytes_max = (uint64_t)(c->internal_segment_bytes > 0 ? c->internal_segment_bytes : c->segment_bytes),
        .segment_age_ms_max = age_ms_max - jitter_ms(topic, age_ms_max),
        .index_interval_bytes = (uint32_t)c->index_interval_bytes,
        .index_bytes_max = (uint32_t)c->segment_index_bytes,
        .flush_messages = c->flush_messages,
        .flush_ms = c->flush_ms,
        .retention_ms = deletes ? c->retention_ms : -1,
        .retention_bytes = deletes ? c->retention_bytes : -1,
        .file_delete_delay_ms = c->file_delete_delay_ms,
        .files = topic->kafka->partitions->files,
    };
}

/* How a partition is opened beside what the checkpoints say. */
typedef struct opening {
    bool again;         /* its log had failed */
    int64_t end_offset; /* where it ended then; -1 = not known */
} opening_t;

/* What is known beforehand of a log that is to be opened. */
static log_recovery_t recovery_of(const kafka_topic_t *topic, int32_t index, const opening_t *how, log_report_t *report)
{
    partition_store_t *store = topic->kafka->partitions;
    partition_checkpoint_t known = partition__checkpoint(store->checkpoints, topic->name, index);
    bool clean = store->clean && !how->again;
    /* What lies below a log's start counts as durable, and need not have been: a loss of power may have taken it. */
    int64_t durable =
        store->power_lost && !clean && known.recovery_point <= known.log_start ? 0 : MAX(known.recovery_point, 0);
    return (log_recovery_t){
        .clean = clean,
        .power_lost = store->power_lost,
        .distrust_cache = !clean,
        .recovery_point = durable,
        .end_min = MAX(durable, how->end_offset),
        .start_offset = known.log_start,
        .compacted = (topic->config.cleanup_policy & KAFKA_CLEANUP_POLICY_COMPACT) || known.cleaned >= 0,
        .scan_from = INT64_MAX,
        .report = report,
    };
}

log_recovery_t partition__recovery(const kafka_topic_t *topic, int32_t index)
{
    return recovery_of(topic, index, &(opening_t){.end_offset = -1}, NULL);
}

static void explain(char why[PARTITION_WHY_CHARS_MAX], const char *dir, int err, const log_report_t *report)
{
    char text[LOG_TEXT_CHARS_MAX] = "";
    const char *source = report->damage.fault == LOG_SHORT ? " (recovery-point-offset-checkpoint says so)" : "";
    if (err == ERR_DAMAGED) log_damage_text(&report->damage, text);
    if (text[0])
        partition__why(
            why,
            "%s: %s%s. Nothing was changed; put the file back, or stop the server and see 'trivet check' and 'trivet "
            "repair'",
            dir, text, source);
    else
        partition__why(why, "%s cannot be opened: %s", dir, err_text(err));
}

/* One line for what opening changed. */
static void tell_opened(const partition_t *p, const log_report_t *report)
{
    char text[LOG_TEXT_CHARS_MAX];
    if (report->cut_file[0]) {
        log_cut_text(report, text);
        slog(SLOG_WARN, "kafka", "an unfinished write was cut off a partition", "partition=%s-%" PRId32 " what=\"%s\"",
             p->topic->name, p->index, text);
    }
    if (report->epochs_rebuilt)
        slog(SLOG_WARN, "kafka", "leader-epoch-checkpoint did not fit the log and was made anew",
             "partition=%s-%" PRId32, p->topic->name, p->index);
    if (report->rebuilt_count > 0)
        slog(SLOG_WARN, "kafka", "indexes that did not fit their segments were made anew",
             "partition=%s-%" PRId32 " segments=%" PRIu32, p->topic->name, p->index, report->rebuilt_count);
}

/* An orderly stop leaves the log's start in its checkpoint, and nothing removes segments afterwards but somebody's hand: who
 * makes room so means it, so the log is opened, as Kafka does. After a crash the start says less: retention may have run. */
static void tell_front(const partition_t *p, const log_recovery_t *known)
{
    int64_t start = log_start_offset(p->log);
    if (!known->clean || known->start_offset < 0 || start <= known->start_offset) return;
    slog(SLOG_WARN, "kafka", "the first segments of a partition are gone since the last stop",
         "partition=%s-%" PRId32 " missing=%" PRId64 "-%" PRId64 " start=%" PRId64, p->topic->name, p->index,
         known->start_offset, start - 1, start);
}

static partition_t *partition_new(kafka_topic_t *topic, int32_t index)
{
    partition_t *p = mem_zalloc(sizeof(*p));
    p->topic = topic;
    p->index = index;
    producers_init(&p->producers);
    p->producers.kept_id = topic->kafka->kept_producer_id;
    list_init(&p->decided);
    list_init(&p->waiters);
    list_init(&p->produces);
    list_init(&p->lookups);
    list_init(&p->news_node);
    return p;
}

static void partition_free(partition_t *partition)
{
    producers_deinit(&partition->producers);
    partition__decided_below(partition, INT64_MAX);
    mem_free(partition);
}

static void failed(void *user, int err) { partition__fail(user, err); }

static void rebuilt(void *user, int64_t base_offset)
{
    const partition_t *p = user;
    slog(SLOG_WARN, "kafka", "indexes that did not fit their segment were made anew",
         "partition=%s-%" PRId32 " segment=%020" PRId64, p->topic->name, p->index, base_offset);
}

/* Checkpoints know nothing of a directory that is new, or whose name was another topic's. */
static int forget_if_new(const kafka_topic_t *topic, int32_t index, const char *dir, bool put_aside)
{
    partition_store_t *store = topic->kafka->partitions;
    if (io_exists(topic->kafka->loop, dir) || !(put_aside || store->opened)) return 0;
    return partition__checkpoint_forget(store->checkpoints, topic->name, index);
}

static int open_log(partition_t *p, const char *dir, const opening_t *how, log_report_t *report,
                    char why[PARTITION_WHY_CHARS_MAX])
{
    kafka_topic_t *topic = p->topic;
    bool put_aside;
    int err = partition__metadata_check(topic, dir, &put_aside, why);
    if (!err) err = forget_if_new(topic, p->index, dir, put_aside);
    if (err) return err;
    log_options_t options = log_options_of(topic);
    log_recovery_t recovery = recovery_of(topic, p->index, how, report);
    recovery.precheck = partition__precheck_of(topic, p->index);
    err = log_open(topic->kafka->loop, dir, &options, &recovery, &p->log);
    if (err) return err;
    tell_front(p, &recovery);
    err = partition__metadata_write(topic, dir);
    if (!err) err = partition__producers_recover(p, report->control_from);
    if (err) (void)!log_close(p->log);
    return err;
}

static int open_partition(kafka_topic_t *topic, int32_t index, const opening_t *how, partition_t **ret_partition,
                          char why[PARTITION_WHY_CHARS_MAX])
{
    char dir[PARTITION_PATH_CHARS_MAX];
    log_report_t report = {0};
    partition__path(topic, index, dir);
    why[0] = '\0';
    partition_t *p = partition_new(topic, index);
    int err = open_log(p, dir, how, &report, why);
    if (err) {
        if (!why[0]) explain(why, dir, err, &report);
        partition_free(p);
        return err;
    }
    tell_opened(p, &report);
    p->high_watermark = log_end_offset(p->log);
    log_on_roll(p->log, rolled, p);
    log_on_failure(p->log, failed, p);
    log_on_rebuilt(p->log, rebuilt, p);
    partition__store_add(p);
    partition_set_leader_epoch(p, topic->partitions[index].leader_epoch);
    *ret_partition = p;
    return 0;
}

int partition_open(kafka_topic_t *topic, int32_t index, partition_t **ret_partition, char why[PARTITION_WHY_CHARS_MAX])
{
    return open_partition(topic, index, &(opening_t){.end_offset = -1}, ret_partition, why);
}

int partition__open_again(kafka_topic_t *topic, int32_t index, int64_t end_offset, partition_t **ret_partition,
                          char why[PARTITION_WHY_CHARS_MAX])
{
    return open_partition(topic, index, &(opening_t){true, end_offset}, ret_partition, why);
}

void partition_configure(partition_t *partition)
{
    log_options_t options = log_options_of(partition->topic);
    log_set_options(partition->log, &options);
}

void partition_set_leader_epoch(partition_t *partition, int32_t leader_epoch)
{
    partition->leader_epoch = leader_epoch;
    log_epoch_begin(partition->log, leader_epoch);
}

/* ---- high watermark and stable storage ------------------------------------------------------------------------------- */

void partition__advance_high_watermark(partition_t *partition, int64_t offset)
{
    if (offset <= partition->high_watermark) return;
    partition->high_watermark = offset;
    partition__decided_below(partition, offset);
    partition__store_news(partition);
}

static void flushed(log_commit_t *commit, int err)
{
    partition_t *p = CONTAINER_OF(commit, partition_t, flush);
    p->flushing = false;
    if (err || p->closing) return;
    partition__advance_high_watermark(p, log_durable_offset(p->log)); /* the sync may have covered later ones */
    if (partition_needs_commit(p)) {                                  /* more came meanwhile */
        p->flushing = true;
        log_commit(p->log, &p->flush, flushed);
    }
}

void partition__flush(partition_t *partition)
{
    if (partition->flushing) return;
    partition->flushing = true;
    log_commit(partition->log, &partition->flush, flushed);
}

void partition__appended(partition_t *partition)
{
    if (partition_needs_commit(partition))
        partition__flush(partition);
    else
        partition__advance_high_watermark(partition, log_end_offset(partition->log));
}

/* A segment is done: the producers as of its end, and its bytes on stable storage, so that recovery starts
 * behind it. */
static void rolled(void *user, int64_t base_offset)
{
    partition_t *p = user;
    partition__snapshot_write(p, base_offset);
    partition__flush(p);
}

bool partition_needs_commit(const partition_t *partition) { return log_flush_due(partition->log); }

static void committed(log_commit_t *log_commit, int err)
{
    partition_commit_t *commit = CONTAINER_OF(log_commit, partition_commit_t, log_commit);
    kafka_code_t error = KAFKA_NONE;
    if (err)
        error = commit->partition->closing ? commit->partition->closing : KAFKA_KAFKA_STORAGE_ERROR;
    else
        partition__advance_high_watermark(commit->partition, commit->end_offset);
    commit->done(commit, error);
}

void partition_commit(partition_t *partition, partition_commit_t *commit,
                      void (*done)(partition_commit_t *commit, kafka_code_t error))
{
    commit->done = done;
    commit->partition = partition;
    commit->end_offset = log_end_offset(partition->log);
    log_commit(partition->log, &commit->log_commit, committed);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

void partition_wait(partition_t *partition, partition_waiter_t *waiter)
{
    list_push_back(&partition->waiters, &waiter->node);
}

void partition__wake(partition_t *partition, kafka_code_t error)
{
    list_t ready; /* who waits again in its callback waits for the next news */
    list_init(&ready);
    list_splice_back(&ready, &partition->waiters);
    while (!list_empty(&ready)) {
        partition_waiter_t *waiter = LIST_FIRST(&ready, partition_waiter_t, node);
        list_remove(&waiter->node);
        waiter->wake(waiter, error);
    }
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

/* Whoever waits hears why; the cleaner lets go. */
static void take_off(partition_t *partition, kafka_code_t error, bool deleted)
{
    partition->closing = error;
    partition__wake(partition, error);
    partition__produces_end(partition, error);
    partition__lookups_end(partition, error);
    cleaner_forget(partition->topic->kafka->partitions->cleaner, partition);
    partition__store_remove(partition, deleted);
}

void partition_close(partition_t *partition)
{
    partition_store_t *store = partition->topic->kafka->partitions;
    int64_t end_offset = log_end_offset(partition->log);
    take_off(partition, KAFKA_NOT_LEADER_OR_FOLLOWER, false);
    if (end_offset > MAX(partition->snapshot_offset, 0)) partition__snapshot_write(partition, end_offset);
    if (log_close_unsynced(partition->log) != 0)
        store->failed = true;
    else
        partition__checkpoint_closed(store->checkpoints, partition->topic, partition->index, end_offset);
    partition_free(partition);
}

void partition__close_failed(partition_t *partition)
{
    take_off(partition, KAFKA_KAFKA_STORAGE_ERROR, false);
    (void)!log_close_unsynced(partition->log); /* it has failed: nothing is written */
    partition_free(partition);
}

void partition_delete(partition_t *partition)
{
    take_off(partition, KAFKA_UNKNOWN_TOPIC_OR_PARTITION, true);
    /* What cannot be removed now is removed at the next start, if it got its -delete name. */
    (void)!log_delete(partition->log);
    partition_free(partition);
}
