/* fetch_records.h: how records that were found in a log leave in an answer: large stretches by sendfile, without being read here;
 * small ones are copied, which costs less than the system calls they would need of their own. */
#ifndef TRIVET_KAFKA_FETCH_RECORDS_H
#define TRIVET_KAFKA_FETCH_RECORDS_H

#include "kafka/kafka_internal.h"
#include "log/log.h"

/* What one answer has of records so far; all zero at its beginning. */
typedef struct fetch_records {
    size_t copied_bytes;
} fetch_records_t;

/* Takes the slice, which is not empty, and is empty afterwards. With `scarce` no file may be kept open for it. KAFKA_STORAGE_ERROR. */
kafka_code_t fetch_records_take(fetch_records_t *records, kafka_request_t *request, log_slice_t *slice, bool scarce,
                                kafka_records_t *ret_out) MUST_CHECK;

#endif
