/* stream.h: opening a compressed payload piece by piece: gzip, snappy, lz4 and zstd, in the forms that Kafka's own
 * decoders take. Input is a client's: memory is bounded whatever it claims.
 *
 *   gzip    members, one behind another; what follows the last and is no member is ignored
 *   snappy  one raw block, or the framing of the Java library ("xerial"), several streams of it too
 *   lz4     one frame of independent blocks; what follows it is ignored. No legacy frames.
 *   zstd    frames, one behind another; a window of at most 128 MiB */
#ifndef TRIVET_KAFKA_RECORD_STREAM_H
#define TRIVET_KAFKA_RECORD_STREAM_H

#include "kafka/record/record.h"

typedef struct record_stream record_stream_t;

/* `data` is borrowed. A snappy block, which is opened whole, may take `block_bytes_max`. ERR_CORRUPT, ERR_NOMEM,
 * ERR_UNSUPPORTED (codec). */
int record_stream_new(record_codec_t codec, bytes_t data, size_t block_bytes_max,
                      record_stream_t **ret_stream) MUST_CHECK;
void record_stream_free(record_stream_t *stream);
/* Up to `room` (> 0) bytes more; none at the end. ERR_CORRUPT, ERR_NOMEM; ERR_LIMIT: a snappy block is too large. */
int record_stream_read(record_stream_t *stream, uint8_t *to, size_t room, size_t *ret_bytes) MUST_CHECK;

#endif
