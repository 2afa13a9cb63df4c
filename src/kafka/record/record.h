/* record.h: records inside a batch (format v2): walking them, opened where they are compressed, and building
 * batches of our own. What clients produce goes through record_check once; the rest is for ListOffsets by time,
 * compacted topics, the coordinators and the bridge.
 *
 * A record: length varint, attributes i8, timestamp delta varlong, offset delta varint, key length varint +
 * key, value length varint + value, header count varint, headers (key length varint + key, value length
 * varint + value). */
#ifndef TRIVET_KAFKA_RECORD_H
#define TRIVET_KAFKA_RECORD_H

#include "base/base.h"
#include "base/buf.h"
#include "log/log.h"

enum { /* batch attributes */
       RECORD_COMPRESSION_MASK = 7,
       RECORD_LOG_APPEND_TIME = 8,
       RECORD_TRANSACTIONAL = 16,
       RECORD_CONTROL = 32,
       RECORD_DELETE_HORIZON = 64,
};
typedef enum record_codec { RECORD_NONE, RECORD_GZIP, RECORD_SNAPPY, RECORD_LZ4, RECORD_ZSTD } record_codec_t;

/* One record; bytes are borrowed from the batch or from the iterator's opened copy. */
typedef struct record {
    int64_t offset;
    int64_t timestamp_ms;
    bytes_t key, value; /* ptr NULL = null */
    bytes_t headers;    /* raw, behind their count */
    int32_t headers_count;
} record_t;

typedef struct record_iter {
    batch_header_t batch;
    const uint8_t *ptr, *end;
    int32_t left;    /* records to come */
    uint8_t *opened; /* decompressed payload, owned */
} record_iter_t;

/* `batch` holds one whole batch. The opened payload may take `bytes_max` (ERR_LIMIT). ERR_CORRUPT: bad
 * compression. */
int record_iter_init(record_iter_t *iter, bytes_t batch, size_t bytes_max) MUST_CHECK;
/* The same over a payload that the caller has opened, and keeps. */
void record_iter_init_opened(record_iter_t *iter, const batch_header_t *batch, bytes_t payload);
/* 0 with a record, ERR_NOT_FOUND at the end, ERR_CORRUPT. */
int record_iter_next(record_iter_t *iter, record_t *ret_record) MUST_CHECK;
void record_iter_deinit(record_iter_t *iter);
/* The next header of a record: `at` starts as record.headers. False at the end or when it is malformed. */
bool record_header_next(bytes_t *at, bytes_t *ret_key, bytes_t *ret_value);

/* What is asked of a batch's records, beside their shape. */
typedef struct record_rules {
    size_t opened_bytes_max;  /* what a compressed payload may open to */
    int32_t record_bytes_max; /* of one record in it; 0 = any */
    int64_t from_ms, to_ms;   /* times outside are noted, but for -1 */
} record_rules_t;

enum { RECORD_NOTED_MAX = 100 }; /* of each kind, named one by one: as many as one response tells */
typedef struct record_noted {
    int32_t index, offset_delta;
    int64_t timestamp_ms;
} record_noted_t;

/* What the append must know of a batch's records. */
typedef struct record_facts {
    int64_t max_timestamp_ms; /* -1 when none has a time */
    size_t opened_bytes;      /* what the payload takes when it is not compressed */
    bool oversized;           /* ERR_CORRUPT, for a record is larger than the rules allow */
    int32_t keyless;          /* records without a key, of which the first are in keyless_noted */
    int32_t untimely;         /* records whose time is outside of the rules, likewise */
    record_noted_t keyless_noted[RECORD_NOTED_MAX], untimely_noted[RECORD_NOTED_MAX];
} record_facts_t;
/* Looks at every record of a batch whose header is `batch`. A compressed payload is opened piece by piece and never held as
 * a whole. ERR_CORRUPT: the records are not as many or not of the shape that the header promises (in a compressed batch
 * offsets must follow one another, too). ERR_INVALID: they cannot even be looked at (damaged compression). ERR_LIMIT:
 * opened they take more than the rules allow. ERR_NOMEM. Pure: may run on any thread. */
int record_check(const batch_header_t *batch, bytes_t data, const record_rules_t *rules,
                 record_facts_t *ret_facts) MUST_CHECK;
/* The first record at or after a time and an offset, in a whole batch that is opened in the same way. ERR_NOT_FOUND;
 * errors as above. */
typedef struct record_search {
    int64_t timestamp_ms, from_offset;
    int64_t found_ms, found_offset; /* set on success */
    size_t opened_bytes;            /* what it took */
} record_search_t;
int record_find(const batch_header_t *batch, bytes_t data, size_t opened_bytes_max, record_search_t *search) MUST_CHECK;

/* Builds one uncompressed batch. Initialise, add records, finish; the bytes are the builder's until the next
 * init or deinit. Offsets are relative to 0: the log patches them. */
typedef struct record_builder {
    buf_t buf;
    int32_t count;
    int64_t base_timestamp_ms, max_timestamp_ms;
} record_builder_t;

typedef struct record_header {
    bytes_t key, value;
} record_header_t;

#define RECORD_BUILDER_INIT ((record_builder_t){.buf = BUF_INIT})
void record_builder_reset(record_builder_t *builder);
void record_builder_deinit(record_builder_t *builder);
/* key/value with ptr NULL are null. */
void record_builder_add(record_builder_t *builder, int64_t timestamp_ms, bytes_t key, bytes_t value,
                        const record_header_t *headers, int32_t headers_count);
typedef struct record_producer {
    int64_t id; /* -1 = none */
    int16_t epoch;
    int32_t base_sequence;
} record_producer_t;
#define RECORD_NO_PRODUCER ((record_producer_t){-1, -1, -1})
/* Writes the header with its CRC. At least one record must have been added. The caller may write to the bytes
 * (partition_append does). */
uint8_t *record_builder_finish(record_builder_t *builder, int16_t attributes, record_producer_t producer,
                               size_t *ret_bytes);

/* ---- markers: the control batch that ends a transaction of one producer ---- */

typedef struct record_marker {
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t coordinator_epoch; /* of the coordinator that decided */
    bool commits;              /* else the transaction is aborted */
} record_marker_t;
/* The builder must be empty; as record_builder_finish. */
uint8_t *record_marker_build(record_builder_t *builder, const record_marker_t *marker, int64_t timestamp_ms,
                             size_t *ret_bytes);
/* From a whole control batch. ERR_NOT_FOUND: it ends no transaction (another kind, or compaction has emptied it). ERR_CORRUPT. */
int record_marker_read(bytes_t batch, record_marker_t *ret_marker) MUST_CHECK;
/* From its record; errors as above. */
int record_marker_of(const batch_header_t *batch, const record_t *record, record_marker_t *ret_marker) MUST_CHECK;

/* Appends one record, its deltas given: what the iterator showed can be put into a batch again. */
void record_write(buf_t *out, const record_t *record, int64_t timestamp_delta_ms, int32_t offset_delta);

/* Opens a compressed payload: malloc'd in *ret_data. ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM, ERR_UNSUPPORTED
 * (codec). */
int record_decompress(record_codec_t codec, bytes_t data, size_t bytes_max, uint8_t **ret_data,
                      size_t *ret_bytes) MUST_CHECK;
/* Appends `data` compressed. ERR_NOMEM, ERR_UNSUPPORTED (codec). */
int record_compress(record_codec_t codec, int level, bytes_t data, buf_t *out) MUST_CHECK;
/* A whole batch under another codec, into `out` (emptied first). Errors as above. */
int record_recompress(bytes_t batch, record_codec_t codec, int level, size_t bytes_max, buf_t *out) MUST_CHECK;

#endif
