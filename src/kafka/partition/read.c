/* read.c: finding and reading what is in a partition, for fetches and for readers in the process; and
 * DeleteRecords, which moves what can be read. */
#include "kafka/partition/partition_internal.h"

kafka_code_t partition_find(partition_t *partition, int64_t offset, size_t bytes_max, bool whole_first,
                            bool read_committed, log_slice_t *ret_slice)
{
    int64_t end = read_committed ? partition_last_stable_offset(partition) : partition->high_watermark;
    int err = log_find(partition->log, offset, end, bytes_max, whole_first, ret_slice);
    if (err && err != ERR_OUT_OF_RANGE && err != ERR_FILES) partition__unreadable(partition, offset, err);
    return partition__error(err);
}

bool partition_files_scarce(const partition_t *partition)
{
    return log_files_scarce(partition->topic->kafka->partitions->files);
}

kafka_code_t partition_read(partition_t *partition, int64_t offset, size_t bytes_max, buf_t *out,
                            int64_t *ret_next_offset)
{
    log_slice_t slice;
    kafka_code_t error = partition_find(partition, offset, bytes_max, true, false, &slice);
    if (error) return error;
    *ret_next_offset = slice.next_offset;
    if (slice.bytes == 0) return KAFKA_NONE;
    if (buf_try_reserve(out, slice.bytes) != 0) {
        error = KAFKA_KAFKA_STORAGE_ERROR;
    } else {
        ssize_t n = io_file_read(slice.file, slice.position, out->ptr + out->len, slice.bytes);
        if (n == (ssize_t)slice.bytes) {
            out->len += slice.bytes;
        } else {
            error = KAFKA_KAFKA_STORAGE_ERROR;
            partition__unreadable(partition, offset, ERR_IO);
        }
    }
    log_slice_release(slice.segment);
    return error;
}

kafka_code_t partition_delete_records(partition_t *partition, int64_t offset, int64_t *ret_low_watermark)
{
    if (offset == -1) offset = partition->high_watermark;
    if (offset < 0 || offset > partition->high_watermark) return KAFKA_OFFSET_OUT_OF_RANGE;
    int err = log_advance_start(partition->log, offset);
    if (err) return partition__error(err);
    *ret_low_watermark = log_start_offset(partition->log);
    return KAFKA_NONE;
}
