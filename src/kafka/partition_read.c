/* partition_read.c: finding and reading what is in a partition: for fetches, for readers in the process, by
 * time; and DeleteRecords, which moves what can be read. */
#include "kafka/partition_internal.h"
#include "kafka/record.h"

enum { /* ListOffsets' timestamps that are no time */
       TIME_LATEST = -1,
       TIME_EARLIEST = -2,
       TIME_MAX_TIMESTAMP = -3,
       TIME_EARLIEST_LOCAL = -4,
       TIME_LATEST_TIERED = -5,
};

int16_t partition_find(partition_t *partition, int64_t offset, size_t bytes_max, bool whole_first, bool read_committed,
                       log_slice_t *ret_slice)
{
    int64_t end = read_committed ? partition_last_stable_offset(partition) : partition->high_watermark;
    return partition__error(log_find(partition->log, offset, end, bytes_max, whole_first, ret_slice));
}

int16_t partition_read(partition_t *partition, int64_t offset, size_t bytes_max, buf_t *out, int64_t *ret_next_offset)
{
    log_slice_t slice;
    int16_t error = partition_find(partition, offset, bytes_max, true, false, &slice);
    if (error) return error;
    *ret_next_offset = slice.next_offset;
    if (slice.bytes == 0) return KAFKA_NONE;
    if (buf_try_reserve(out, slice.bytes) != 0) {
        error = KAFKA_KAFKA_STORAGE_ERROR;
    } else {
        ssize_t n = io_file_read(slice.file, slice.position, out->ptr + out->len, slice.bytes);
        if (n == (ssize_t)slice.bytes)
            out->len += slice.bytes;
        else
            error = KAFKA_KAFKA_STORAGE_ERROR;
    }
    log_slice_release(slice.segment);
    return error;
}

/* The first record of one batch that reaches both; ERR_NOT_FOUND when the header promised too much. */
static int find_record(const log_slice_t *slice, int64_t timestamp_ms, int64_t from_offset, record_t *ret_record)
{
    uint8_t *data = mem_try_alloc(slice->bytes);
    if (!data) return ERR_NOMEM;
    record_iter_t iter = {0};
    ssize_t n = io_file_read(slice->file, slice->position, data, slice->bytes);
    int err = n == (ssize_t)slice->bytes ? 0 : ERR_IO;
    if (!err) err = record_iter_init(&iter, bytes_of(data, slice->bytes), PARTITION_OPENED_BATCH_BYTES_MAX);
    while (!err) {
        err = record_iter_next(&iter, ret_record);
        if (!err && ret_record->timestamp_ms >= timestamp_ms && ret_record->offset >= from_offset) break;
    }
    record_iter_deinit(&iter);
    mem_free(data);
    return err;
}

static int16_t offset_by_time(partition_t *partition, int64_t timestamp_ms, int64_t end, partition_offset_t *ret_offset)
{
    int64_t from = log_start_offset(partition->log);
    for (;;) {
        log_batch_t batch;
        log_slice_t slice;
        record_t record;
        int err = log_find_timestamp(partition->log, timestamp_ms, from, &batch, &slice);
        if (err == ERR_NOT_FOUND) return KAFKA_NONE;
        if (err) return partition__error(err);
        err = find_record(&slice, timestamp_ms, from, &record);
        log_slice_release(slice.segment);
        from = log_batch_last_offset(&batch) + 1;
        if (err == ERR_NOT_FOUND) continue;
        if (err == ERR_IO || err == ERR_NOMEM) return KAFKA_KAFKA_STORAGE_ERROR;
        /* A batch that cannot be opened here is still the place to start reading. */
        if (err) record = (record_t){.offset = batch.base_offset, .timestamp_ms = batch.max_timestamp};
        if (record.offset >= end) return KAFKA_NONE;
        *ret_offset =
            (partition_offset_t){record.offset, record.timestamp_ms, log_epoch_at(partition->log, record.offset)};
        return KAFKA_NONE;
    }
}

int16_t partition_offset_for(partition_t *partition, int64_t timestamp_ms, bool read_committed,
                             partition_offset_t *ret_offset)
{
    int64_t start = log_start_offset(partition->log);
    int64_t end = read_committed ? partition_last_stable_offset(partition) : partition->high_watermark;
    *ret_offset = (partition_offset_t){-1, -1, -1};
    switch (timestamp_ms) {
    case TIME_LATEST: *ret_offset = (partition_offset_t){end, -1, partition->leader_epoch}; return KAFKA_NONE;
    case TIME_EARLIEST:
    case TIME_EARLIEST_LOCAL:
        *ret_offset = (partition_offset_t){start, -1, log_epoch_at(partition->log, start)};
        return KAFKA_NONE;
    case TIME_LATEST_TIERED: return KAFKA_NONE; /* nothing is tiered */
    case TIME_MAX_TIMESTAMP: {
        int64_t newest_ms, offset;
        int err = log_max_timestamp(partition->log, &newest_ms, &offset);
        if (err == ERR_NOT_FOUND || (!err && newest_ms < 0)) return KAFKA_NONE;
        if (err) return partition__error(err);
        return offset_by_time(partition, newest_ms, end, ret_offset);
    }
    default: break;
    }
    if (timestamp_ms < 0) return KAFKA_UNSUPPORTED_VERSION;
    return offset_by_time(partition, timestamp_ms, end, ret_offset);
}

int16_t partition_delete_records(partition_t *partition, int64_t offset, int64_t *ret_low_watermark)
{
    if (offset == -1) offset = partition->high_watermark;
    if (offset < 0 || offset > partition->high_watermark) return KAFKA_OFFSET_OUT_OF_RANGE;
    int err = log_advance_start(partition->log, offset);
    if (err) return partition__error(err);
    *ret_low_watermark = log_start_offset(partition->log);
    return KAFKA_NONE;
}
