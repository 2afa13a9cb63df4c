/* batch.h: the header of a record batch, format v2, in big-endian, the same on the wire and in a log:
 *
 *      0 base offset 8           what the log gives the first record
 *      8 length 4                bytes behind this field
 *     12 leader epoch 4
 *     16 magic 1                 2
 *     17 crc 4                   CRC-32C of all that follows
 *     21 attributes 2            codec (3 bits), 8 log append time, 16 transactional, 32 control, 64 delete horizon
 *     23 last offset delta 4
 *     27 base timestamp 8
 *     35 max timestamp 8
 *     43 producer id 8 | 51 producer epoch 2 | 53 base sequence 4
 *     57 count of records 4
 *     61 records
 *
 * Base offset and leader epoch are not under the checksum, so that a log sets them without reading the records. */
#ifndef TRIVET_WIRE_BATCH_H
#define TRIVET_WIRE_BATCH_H

#include "base/base.h"

#define BATCH_HEADER_BYTES   61
#define BATCH_OVERHEAD_BYTES 12 /* offset and length, in front of what `length` counts */
#define BATCH_MAGIC          2
#define BATCH_CONTROL        32 /* of the attributes: no records of a client, but a transaction's end */

typedef struct batch_header { /* in host byte order */
    int64_t base_offset;
    int32_t length;
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes;
    int32_t last_offset_delta;
    int64_t base_timestamp;
    int64_t max_timestamp;
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
} batch_header_t;

/* Of a batch of no producer, leader or time; the rest is 0. */
#define BATCH_HEADER_NONE                                                                                              \
    ((batch_header_t){.leader_epoch = -1,                                                                              \
                      .magic = BATCH_MAGIC,                                                                            \
                      .base_timestamp = -1,                                                                            \
                      .max_timestamp = -1,                                                                             \
                      .producer_id = -1,                                                                               \
                      .producer_epoch = -1,                                                                            \
                      .base_sequence = -1})

/* Reads a header from at least BATCH_HEADER_BYTES. ERR_TRUNCATED, ERR_CORRUPT (impossible lengths), ERR_UNSUPPORTED (a format
 * before v2). Does not check the CRC. */
int batch_header_read(bytes_t data, batch_header_t *ret_header) MUST_CHECK;
/* Writes all of it, length and checksum as they are given. */
void batch_header_write(uint8_t out[BATCH_HEADER_BYTES], const batch_header_t *header);
/* Sets the length and the checksum of a whole batch whose header and records are there. */
void batch_seal(uint8_t *batch, size_t bytes);
/* The checksum alone. */
void batch_set_crc(uint8_t *batch, size_t bytes);
/* Gives a batch its place in a log. */
void batch_set_place(uint8_t *batch, int64_t base_offset, int32_t leader_epoch);
/* The CRC-32C of a whole batch as stored in it is right. */
bool batch_crc_ok(bytes_t batch);

static inline size_t batch_bytes(const batch_header_t *h) { return BATCH_OVERHEAD_BYTES + (size_t)h->length; }
static inline int64_t batch_last_offset(const batch_header_t *h) { return h->base_offset + h->last_offset_delta; }

/* ---- before it is known that the batch is whole: for who splits a stream into batches ---- */

/* From BATCH_OVERHEAD_BYTES on; may be anything. */
int32_t batch_peek_length(bytes_t data);
/* 0 to 255; -1 when the bytes do not reach so far. Older formats have it in the same place. */
int batch_peek_magic(bytes_t data);
/* From BATCH_HEADER_BYTES on. */
int16_t batch_peek_attributes(bytes_t data);

#endif
