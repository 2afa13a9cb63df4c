/* fetch_records.c: see fetch_records.h. */
#include "kafka/broker/fetch_records.h"

/* Up to here a copy costs less than a sendfile of its own (measured: even at 32 to 64 KiB). */
#define COPY_BYTES_MAX KIB(32)
/* Copies of one answer, whatever each costs. */
#define COPIES_BYTES_MAX MIB(2)

kafka_code_t fetch_records_take(fetch_records_t *records, kafka_request_t *request, log_slice_t *slice, bool scarce,
                                kafka_records_t *ret_out)
{
    request->kafka->stats.fetched_bytes += slice->bytes;
    if ((slice->bytes > COPY_BYTES_MAX || records->copied_bytes > COPIES_BYTES_MAX) && !scarce) {
        *ret_out = (kafka_records_t){.file = slice->file,
                                     .file_position = slice->position,
                                     .file_bytes = slice->bytes,
                                     .release = log_slice_release,
                                     .release_user = slice->segment};
        *slice = (log_slice_t){0};
        return KAFKA_NONE;
    }
    uint8_t *copy = arena_alloc(&request->arena, slice->bytes);
    records->copied_bytes += slice->bytes;
    bool ok = io_file_read(slice->file, slice->position, copy, slice->bytes) == (ssize_t)slice->bytes;
    if (ok) ret_out->bytes = bytes_of(copy, slice->bytes);
    log_slice_release(slice->segment);
    *slice = (log_slice_t){0};
    return ok ? KAFKA_NONE : KAFKA_KAFKA_STORAGE_ERROR;
}
