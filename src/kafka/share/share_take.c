/* share_take.c: acquiring: what may be read of the log from the first record that nobody has. */
#include "kafka/share/share_batches.h"
#include "kafka/share/share_leader_internal.h"

/* The log's start moves by retention and by DeleteRecords: nobody answers what is gone. */
static void follow_start(share_leader_t *leader, const partition_t *partition)
{
    share_partition_trim(&leader->records, partition_log_start_offset(partition));
}

static int64_t readable_end(const partition_t *partition, bool read_committed)
{
    return read_committed ? partition_last_stable_offset(partition) : partition_high_watermark(partition);
}

bool share__may_have_some(const share_leader_t *leader)
{
    partition_t *partition;
    if (share__partition(leader, &partition)) return true; /* and be told why not */
    return leader->ready && share_partition_next(&leader->records) < partition_high_watermark(partition);
}

bool share_leader_is_open(const share_leader_t *leader, const share_settings_t *settings)
{
    return leader->ready && share_partition_has_room(&leader->records, &settings->limits);
}

/* An empty slice is no error: nothing can be acquired. */
static kafka_code_t find(share_leader_t *leader, const share_settings_t *settings, size_t bytes_max,
                         partition_t **ret_partition, log_slice_t *ret_slice)
{
    *ret_slice = (log_slice_t){0};
    kafka_code_t error = share__partition(leader, ret_partition);
    if (error) return error;
    if (!leader->ready) return KAFKA_NONE;
    follow_start(leader, *ret_partition);
    int64_t next = share_partition_next(&leader->records);
    if (!share_leader_is_open(leader, settings) || next >= readable_end(*ret_partition, settings->read_committed))
        return KAFKA_NONE;
    return partition_find(*ret_partition, next, bytes_max, true, settings->read_committed, ret_slice);
}

kafka_code_t share_leader_look(share_leader_t *leader, const share_settings_t *settings, size_t bytes_max,
                               size_t *ret_bytes)
{
    partition_t *partition;
    log_slice_t slice;
    kafka_code_t error = find(leader, settings, bytes_max, &partition, &slice);
    *ret_bytes = slice.bytes;
    log_slice_release(slice.segment);
    return error;
}

/* How many records more the group may have under way; records that were given back are under way already. */
static int64_t records_max(const share_leader_t *leader, const share_settings_t *settings, const share_take_t *take)
{
    int64_t room = settings->limits.in_flight_max - (leader->records.end - leader->records.start);
    return MIN(take->records_max, room > 0 ? room : settings->limits.in_flight_max);
}

static void acquire(share_leader_t *leader, const share_settings_t *settings, const share_take_t *take,
                    const share_batches_t *batches, arena_t *arena, share_taken_t *taken)
{
    share_acquire_t in = {.member = take->member,
                          .now_ms = share__now_ms(leader),
                          .batches = batches->items,
                          .batches_count = batches->count,
                          .records_max = records_max(leader, settings, take),
                          .strictly = take->strictly,
                          .range_records = take->range_records};
    int64_t end = leader->records.end, next = share_partition_next(&leader->records);
    taken->records =
        share_partition_acquire(&leader->records, &in, &settings->limits, arena, &taken->acquired, &taken->count);
    taken->passed_over =
        taken->records == 0 && (leader->records.end > end || share_partition_next(&leader->records) > next);
    share__set_timer(leader);
}

kafka_code_t share_leader_take(share_leader_t *leader, const share_settings_t *settings, const share_take_t *take,
                               arena_t *arena, share_taken_t *ret_taken)
{
    partition_t *partition;
    share_batches_t batches;
    ASSERT(take->records_max > 0);
    *ret_taken = (share_taken_t){0};
    kafka_code_t error = find(leader, settings, take->bytes_max, &partition, &ret_taken->slice);
    if (error || ret_taken->slice.bytes == 0) return error;
    int64_t end = MAX(leader->records.end, ret_taken->slice.base_offset) + records_max(leader, settings, take);
    error = share_batches_read(partition, &ret_taken->slice, end, settings->read_committed, arena, &batches);
    if (!error) acquire(leader, settings, take, &batches, arena, ret_taken);
    if (error || ret_taken->count == 0) {
        log_slice_release(ret_taken->slice.segment);
        ret_taken->slice = (log_slice_t){0};
        return error;
    }
    share_batches_cut(&batches, ret_taken->acquired[0].first, ret_taken->acquired[ret_taken->count - 1].last,
                      &ret_taken->slice);
    return KAFKA_NONE;
}
