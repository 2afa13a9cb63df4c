/* partition.c: a partition's life: opening with recovery, settings, leader epoch, high watermark, closing and
 * deletion. Called by topics.c; appending and reading are in partition_append.c and partition_read.c. */
#include "kafka/partition_internal.h"

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
/* No transaction can be open: transactional batches are refused. */
int64_t partition_last_stable_offset(const partition_t *partition) { return partition->high_watermark; }
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

int16_t partition_check_epoch(const partition_t *partition, int32_t current_leader_epoch)
{
    if (current_leader_epoch == -1 || current_leader_epoch == partition->leader_epoch) return KAFKA_NONE;
    return current_leader_epoch < partition->leader_epoch ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_UNKNOWN_LEADER_EPOCH;
}

int16_t partition__error(int err)
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

static bool has_policy(const char *policies, const char *word)
{
    const char *at = policies ? strstr(policies, word) : NULL;
    return at != NULL;
}

bool partition__is_compacted(const partition_t *partition)
{
    return has_policy(partition->topic->config.cleanup_policy, "compact");
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
    bool deletes = has_policy(c->cleanup_policy, "delete"), compacts = has_policy(c->cleanup_policy, "compact");
    /* What must be compacted by then must be in a sealed segment by then. */
    int64_t age_ms_max = compacts ? MIN(c->segment_ms, c->max_compaction_lag_ms) : c->segment_ms;
    return (log_options_t){
        .segment_bytes_max = (uint64_t)c->segment_bytes,
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

/* partition.metadata as Kafka writes it. */
static int metadata_text(const kafka_topic_t *topic, char out[64])
{
    char id[KAFKA_UUID_CHARS + 1];
    kafka_uuid_format(topic->id, id);
    return snprintf(out, 64, "version: 0\ntopic_id: %s", id);
}

/* A power failure may leave less than was written of a new partition's file: that says nothing of another
 * topic. */
static bool metadata_is_whole(const uint8_t *data, size_t bytes, size_t whole_bytes)
{
    return bytes >= whole_bytes && memchr(data, 0, whole_bytes) == NULL;
}

/* A directory that belongs to another topic of that name (deleted while we were away) is kept under a name of
 * its own. */
static int check_metadata(const kafka_topic_t *topic, const char *dir)
{
    io_loop_t *loop = topic->kafka->loop;
    char path[PARTITION_PATH_CHARS_MAX + 32], stray[PARTITION_PATH_CHARS_MAX + 64], text[64];
    uint8_t *data = NULL;
    size_t bytes;
    if (!io_exists(loop, dir)) return 0;
    snprintf(path, sizeof(path), "%s/partition.metadata", dir);
    int err = io_read_whole(loop, path, KIB(4), &data, &bytes);
    if (err == ERR_NOT_FOUND) return 0;
    if (err) return err;
    int n = metadata_text(topic, text);
    bool whole = metadata_is_whole(data, bytes, (size_t)n);
    bool ours = whole && memcmp(data, text, (size_t)n) == 0;
    mem_free(data);
    if (ours) return 0;
    if (!whole) return io_remove(loop, path); /* write_metadata makes it anew */
    uint8_t random[8];
    io_random(loop, random, sizeof(random));
    snprintf(stray, sizeof(stray), "%s.%016" PRIx64 "-stray", dir, load_be64(random));
    return io_rename(loop, dir, stray);
}

static int write_metadata(const kafka_topic_t *topic, const char *dir)
{
    char path[PARTITION_PATH_CHARS_MAX + 32], text[64];
    snprintf(path, sizeof(path), "%s/partition.metadata", dir);
    if (io_exists(topic->kafka->loop, path)) return 0;
    int n = metadata_text(topic, text);
    text[n++] = '\n';
    /* Not synced, for a topic may have thousands: check_metadata knows a torn one from another topic's. */
    return partition__write_file(topic->kafka->loop, path, bytes_of(text, (size_t)n));
}

int partition_open(kafka_topic_t *topic, int32_t index, partition_t **ret_partition)
{
    kafka_t *kafka = topic->kafka;
    char dir[PARTITION_PATH_CHARS_MAX];
    partition__path(topic, index, dir);
    partition_checkpoint_t known = partition__store_checkpoint(kafka->partitions, topic->name, index);
    log_options_t options = log_options_of(topic);
    log_recovery_t recovery = {
        .clean = kafka->partitions->clean,
        .power_lost = kafka->partitions->power_lost,
        .recovery_point = MAX(known.recovery_point, 0),
        .start_offset = known.log_start,
        .compacted = has_policy(topic->config.cleanup_policy, "compact") || known.cleaned >= 0,
        .scan_from = INT64_MAX,
    };
    partition_t *p = mem_zalloc(sizeof(*p));
    p->topic = topic;
    p->index = index;
    p->producers = PRODUCERS_INIT;
    p->producers.kept_id = kafka->kept_producer_id;
    list_init(&p->waiters);
    list_init(&p->produces);
    list_init(&p->lookups);
    list_init(&p->news_node);
    int err = check_metadata(topic, dir);
    if (!err && !io_exists(kafka->loop, dir))
        err = partition__store_forget_cleaned(kafka->partitions, topic->name, index);
    if (!err) err = log_open(kafka->loop, dir, &options, &recovery, &p->log);
    if (err) goto out;
    err = write_metadata(topic, dir);
    if (!err) err = partition__producers_recover(p);
    if (err) goto out_log;
    p->high_watermark = log_end_offset(p->log);
    log_on_roll(p->log, rolled, p);
    partition__store_add(p);
    partition_set_leader_epoch(p, topic->partitions[index].leader_epoch);
    *ret_partition = p;
    return 0;
out_log:
    (void)!log_close(p->log);
out:
    producers_deinit(&p->producers);
    mem_free(p);
    return err;
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
    partition__store_news(partition);
}

static void flushed(log_commit_t *commit, int err)
{
    partition_t *p = CONTAINER_OF(commit, partition_t, flush);
    p->flushing = false;
    if (err || p->closing) return;
    partition__advance_high_watermark(p, commit->offset);
    if (partition_needs_commit(p)) { /* more came meanwhile */
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
    int16_t error = KAFKA_NONE;
    if (err)
        error = commit->partition->closing ? commit->partition->closing : KAFKA_KAFKA_STORAGE_ERROR;
    else
        partition__advance_high_watermark(commit->partition, commit->end_offset);
    commit->done(commit, error);
}

void partition_commit(partition_t *partition, partition_commit_t *commit,
                      void (*done)(partition_commit_t *commit, int16_t error))
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

void partition__wake(partition_t *partition, int16_t error)
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

static void partition_free(partition_t *partition)
{
    producers_deinit(&partition->producers);
    mem_free(partition);
}

void partition_close(partition_t *partition)
{
    partition->closing = KAFKA_NOT_LEADER_OR_FOLLOWER;
    partition__wake(partition, partition->closing);
    partition__produces_end(partition, partition->closing);
    partition__lookups_end(partition, partition->closing);
    cleaner_forget(partition->topic->kafka->partitions->cleaner, partition);
    if (log_end_offset(partition->log) > MAX(partition->snapshot_offset, 0)) {
        partition__snapshot_write(partition, log_end_offset(partition->log));
    }
    partition__store_remove(partition, false);
    if (log_close_unsynced(partition->log) != 0) partition->topic->kafka->partitions->failed = true;
    partition_free(partition);
}

void partition_delete(partition_t *partition)
{
    partition->closing = KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    partition__wake(partition, partition->closing);
    partition__produces_end(partition, partition->closing);
    partition__lookups_end(partition, partition->closing);
    cleaner_forget(partition->topic->kafka->partitions->cleaner, partition);
    partition__store_remove(partition, true);
    /* What cannot be removed now is removed at the next start, if it got its -delete name. */
    (void)!log_delete(partition->log);
    partition_free(partition);
}
