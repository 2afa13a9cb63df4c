/* filter.h: what compaction leaves of a batch (KIP-58, KIP-354, KIP-534), as Kafka's own cleaner would leave it.
 * Pure functions over bytes.
 *
 * A record stays when its key has no newer one; one without a value (a tombstone) only until its batch's delete horizon,
 * which the first clean that leaves a tombstone in it sets: then baseTimestamp holds the horizon, and bit 6 of the attributes
 * says so. Records of an aborted transaction go; a marker of which nothing is left goes as a tombstone does. A batch that loses records keeps base offset, last offset delta, leader epoch and all that is its producer's;
 * the times become those of the records that are left. */
#ifndef TRIVET_KAFKA_RECORD_FILTER_H
#define TRIVET_KAFKA_RECORD_FILTER_H

#include "base/buf.h"
#include "kafka/record/ended.h"
#include "kafka/record/offset_map.h"
#include "kafka/record/record.h"

typedef struct record_filter {
    offset_map_t newest; /* of each key, among the records below mapped_end */
    int64_t mapped_end;
    int64_t now_ms, delete_retention_ms;
    int levels[RECORD_ZSTD + 1]; /* of each codec */
    size_t opened_bytes_max;
    uint64_t records_seen, records_kept;
    buf_t marks, payload; /* scratch */
} record_filter_t;

void record_filter_deinit(record_filter_t *filter);
/* Notes the newest offset of each key in a batch that counts, from `from` on. *ret_full: the map has no room for a key; the records
 * below filter->mapped_end are in it, in any case. Errors as record_filter_batch. */
int record_filter_note(record_filter_t *filter, bytes_t batch, record_fate_t fate, int64_t from,
                       bool *ret_full) MUST_CHECK;
/* Appends to `out` what is left of a whole batch: as it is, rewritten, only its header (when `keep_empty`), or nothing.
 * ERR_CORRUPT: the checksum or the records are wrong. ERR_LIMIT: opened it is larger than opened_bytes_max. ERR_NOMEM. */
int record_filter_batch(record_filter_t *filter, bytes_t batch, record_fate_t fate, bool keep_empty,
                        buf_t *out) MUST_CHECK;

#endif
