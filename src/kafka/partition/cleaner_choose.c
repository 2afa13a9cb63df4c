/* cleaner_choose.c: which partition is cleaned next, by Kafka's rules: of those whose dirty part is larger than
 * min.cleanable.dirty.ratio of the whole, or waits for longer than max.compaction.lag.ms, the one with the largest. */
#include "kafka/partition/partition_internal.h"

/* Where the last round stopped; a line that does not fit the log counts for none. */
static int64_t first_dirty(partition_store_t *store, const partition_t *p)
{
    int64_t start = log_start_offset(p->log);
    int64_t cleaned = partition__checkpoint(store->checkpoints, p->topic->name, p->index).cleaned;
    return cleaned < start || cleaned > log_end_offset(p->log) ? start : cleaned;
}

/* Sealed segments with something dirty may be cleaned until the first that holds a record younger than
 * min.compaction.lag.ms. *ret_overdue: one of them has waited for longer than max.compaction.lag.ms. */
static int apply_lags(partition_t *p, int64_t dirty, int64_t *end, bool *ret_overdue)
{
    const kafka_topic_config_t *c = &p->topic->config;
    int64_t now_ms = io_wall_ms(p->topic->kafka->loop);
    *ret_overdue = false;
    if (c->min_compaction_lag_ms <= 0 && c->max_compaction_lag_ms == INT64_MAX) return 0;
    for (uint32_t i = 0; i + 1 < log_segments_count(p->log); i++) {
        int64_t first_ms, max_ms;
        log_segment_info_t s = log_segment_info(p->log, i);
        if (s.end_offset <= dirty) continue;
        if (s.base_offset >= *end) break;
        int err = log_segment_times(p->log, i, &first_ms, &max_ms);
        if (err) return err;
        if (c->min_compaction_lag_ms > 0 && max_ms > now_ms - c->min_compaction_lag_ms) *end = s.base_offset;
        if (s.base_offset < *end && first_ms > 0 && now_ms - first_ms > c->max_compaction_lag_ms) *ret_overdue = true;
    }
    return 0;
}

/* Bytes of the segments below `dirty`, and of those from there to `end`, which is brought down to a segment's base. A
 * segment that `dirty` lies in counts for both. */
static void count_bytes(const partition_t *p, int64_t dirty, int64_t *end, uint64_t *ret_clean, uint64_t *ret_dirty)
{
    int64_t limit = *end;
    *ret_clean = *ret_dirty = 0;
    *end = log_segment_info(p->log, 0).base_offset;
    for (uint32_t i = 0; i + 1 < log_segments_count(p->log); i++) {
        log_segment_info_t s = log_segment_info(p->log, i);
        if (s.end_offset > limit) break;
        *end = s.end_offset;
        if (s.base_offset < dirty) *ret_clean += s.bytes;
        if (s.end_offset > dirty) *ret_dirty += s.bytes;
    }
}

static cleaner_range_t look_at(partition_store_t *store, partition_t *p)
{
    static const cleaner_range_t nothing = {0};
    bool overdue;
    uint64_t clean_bytes, dirty_bytes;
    int64_t dirty = first_dirty(store, p);
    int64_t end = MIN(partition_last_stable_offset(p), log_active_base(p->log));
    if (apply_lags(p, dirty, &end, &overdue) != 0) return nothing;
    count_bytes(p, dirty, &end, &clean_bytes, &dirty_bytes);
    if (dirty_bytes == 0) return nothing;
    double ratio = (double)dirty_bytes / (double)(clean_bytes + dirty_bytes);
    if (!overdue && ratio <= p->topic->config.min_cleanable_dirty_ratio) return nothing;
    if (log_durable_offset(p->log) < end) {
        partition__flush(p); /* the next look finds it there */
        return nothing;
    }
    return (cleaner_range_t){p, dirty, end, ratio};
}

cleaner_range_t cleaner_choose(partition_store_t *store)
{
    cleaner_range_t best = {0};
    uint64_t now_ns = io_now_ns(store->kafka->loop);
    LIST_EACH(&store->partitions, p, partition_t, store_node) {
        if (!partition__is_compacted(p)) continue;
        (void)!log_roll_aged(p->log); /* tried again next time; appends tell of what is wrong with the log */
        if (p->clean_not_before > now_ns) continue;
        cleaner_range_t range = look_at(store, p);
        if (range.partition && (!best.partition || range.ratio > best.ratio)) best = range;
    }
    return best;
}
