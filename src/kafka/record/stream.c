/* stream.c: see stream.h. What each form may look like was compared with Kafka's decoders: java.util.zip,
 * snappy-java, Kafka's own lz4 frames and zstd-jni. Two liberties of theirs are not taken, since librdkafka's consumers
 * could not read the result: an lz4 frame with a wrong checksum of its content, or a wrong size of it. */
#include "kafka/record/stream.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#define GZIP_MEMBER_BYTES_MIN 19 /* what is shorter is not looked at behind a member */
#define SNAPPY_RATIO_MAX      24 /* a copy of 64 bytes takes 3 */
#define XERIAL_HEADER_BYTES   16 /* magic, version and compatible version (i32 each) */
#define LZ4_HEADER_BYTES_MIN  7
#define LZ4_MAGIC             0x184d2204u
#define LZ4_INDEPENDENT       0x20

static const uint8_t xerial_magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};

struct record_stream {
    record_codec_t codec;
    bytes_t rest; /* of the input */
    bool ended;
    size_t block_bytes_max;
    z_stream gzip;
    gz_header gzip_header; /* tells whether a further member has a whole one */
    uint32_t gzip_members; /* that ended */
    bool xerial;
    uint8_t *block; /* one of snappy's, opened, when it did not fit where the caller wanted it */
    size_t block_at, block_bytes;
    LZ4F_dctx *lz4;
    ZSTD_DStream *zstd;
    bool zstd_between; /* a frame has just ended */
};

static void take(record_stream_t *s, size_t bytes) { s->rest = bytes_of(s->rest.ptr + bytes, s->rest.len - bytes); }

/* ---- gzip ------------------------------------------------------------------------------------------------------------ */

static int begin_gzip(record_stream_t *s)
{
    if (s->rest.len > UINT32_MAX) return ERR_CORRUPT;
    s->gzip = (z_stream){.next_in = (Bytef *)s->rest.ptr, .avail_in = (uInt)s->rest.len};
    return inflateInit2(&s->gzip, 15 + 16) == Z_OK ? 0 : ERR_NOMEM;
}

static int end_gzip_member(record_stream_t *s)
{
    s->gzip_members++;
    s->ended = s->gzip.avail_in < GZIP_MEMBER_BYTES_MIN;
    if (s->ended) return 0;
    s->gzip_header = (gz_header){0};
    return inflateReset(&s->gzip) == Z_OK && inflateGetHeader(&s->gzip, &s->gzip_header) == Z_OK ? 0 : ERR_NOMEM;
}

/* Behind a member may stand what is none. What data opened to just before its damage is not seen, as in Java. */
static int gzip_failed(record_stream_t *s, int status)
{
    s->ended = s->gzip_members > 0 && s->gzip_header.done != 1;
    if (s->ended) return 0;
    return status == Z_MEM_ERROR ? ERR_NOMEM : ERR_CORRUPT;
}

static int read_gzip(record_stream_t *s, uint8_t *to, size_t room, size_t *ret_bytes)
{
    int err = 0;
    s->gzip.next_out = to;
    s->gzip.avail_out = (uInt)MIN(room, UINT32_MAX);
    uInt whole = s->gzip.avail_out;
    while (!err && !s->ended && s->gzip.avail_out == whole) {
        int status = inflate(&s->gzip, Z_NO_FLUSH);
        if (status == Z_STREAM_END)
            err = end_gzip_member(s);
        else if (status != Z_OK || (s->gzip.avail_in == 0 && s->gzip.avail_out > 0)) /* damaged, or cut short */
            err = gzip_failed(s, status);
    }
    *ret_bytes = whole - s->gzip.avail_out;
    return err;
}

/* ---- snappy ---------------------------------------------------------------------------------------------------------- */

static bool is_xerial(bytes_t data)
{
    return data.len >= XERIAL_HEADER_BYTES && memcmp(data.ptr, xerial_magic, sizeof(xerial_magic)) == 0;
}

static int begin_snappy(record_stream_t *s)
{
    if (s->rest.len == 0) return ERR_CORRUPT;
    s->xerial = is_xerial(s->rest);
    if (s->xerial) take(s, XERIAL_HEADER_BYTES);
    return 0;
}

/* The next block as it is packed; none at the end. */
static int next_snappy_block(record_stream_t *s, bytes_t *ret_block)
{
    *ret_block = s->rest;
    if (!s->xerial) {
        take(s, s->rest.len);
        return 0;
    }
    while (s->rest.len >= 4 && load_be32(s->rest.ptr) == load_be32(xerial_magic)) { /* another stream begins */
        take(s, MIN(s->rest.len, XERIAL_HEADER_BYTES));
    }
    *ret_block = BYTES_NULL;
    if (s->rest.len < 4) return 0;
    uint32_t bytes = load_be32(s->rest.ptr);
    if (bytes == 0 || bytes > s->rest.len - 4) return ERR_CORRUPT;
    *ret_block = bytes_of(s->rest.ptr + 4, bytes);
    take(s, 4 + bytes);
    return 0;
}

/* Into `to` when there is room, else into a block of our own, from which it is read. */
static int open_snappy_block(record_stream_t *s, bytes_t packed, uint8_t *to, size_t room, size_t *ret_bytes)
{
    size_t bytes;
    *ret_bytes = 0;
    if (snappy_uncompressed_length((const char *)packed.ptr, packed.len, &bytes) != SNAPPY_OK) return ERR_CORRUPT;
    if (bytes > s->block_bytes_max) return ERR_LIMIT;
    if (bytes / SNAPPY_RATIO_MAX > packed.len) return ERR_CORRUPT;
    if (bytes > room) {
        mem_free(s->block);
        s->block_at = s->block_bytes = 0;
        to = s->block = mem_try_alloc(bytes);
        if (!to) return ERR_NOMEM;
    }
    if (snappy_uncompress((const char *)packed.ptr, packed.len, (char *)to, &bytes) != SNAPPY_OK) return ERR_CORRUPT;
    if (to == s->block)
        s->block_bytes = bytes;
    else
        *ret_bytes = bytes;
    return 0;
}

static int read_snappy(record_stream_t *s, uint8_t *to, size_t room, size_t *ret_bytes)
{
    *ret_bytes = 0;
    while (*ret_bytes == 0) {
        size_t held = MIN(s->block_bytes - s->block_at, room);
        if (held) memcpy(to, s->block + s->block_at, held);
        s->block_at += held;
        *ret_bytes = held;
        if (held || s->rest.len == 0) return 0;
        bytes_t packed;
        int err = next_snappy_block(s, &packed);
        if (!err && packed.len == 0) take(s, s->rest.len); /* a few bytes that begin no block */
        if (!err && packed.len > 0) err = open_snappy_block(s, packed, to, room, ret_bytes);
        if (err) return err;
    }
    return 0;
}

/* ---- lz4 ------------------------------------------------------------------------------------------------------------- */

/* Kafka knows one kind of frame, and consumers in Java no other. */
static int begin_lz4(record_stream_t *s)
{
    if (s->rest.len < LZ4_HEADER_BYTES_MIN || load_le32(s->rest.ptr) != LZ4_MAGIC) return ERR_CORRUPT;
    if (!(s->rest.ptr[4] & LZ4_INDEPENDENT)) return ERR_CORRUPT;
    return LZ4F_isError(LZ4F_createDecompressionContext(&s->lz4, LZ4F_VERSION)) ? ERR_NOMEM : 0;
}

static int read_lz4(record_stream_t *s, uint8_t *to, size_t room, size_t *ret_bytes)
{
    *ret_bytes = 0;
    while (*ret_bytes == 0 && !s->ended) {
        size_t bytes = room, taken = s->rest.len;
        size_t hint = LZ4F_decompress(s->lz4, to, &bytes, s->rest.ptr, &taken, NULL);
        if (LZ4F_isError(hint)) return ERR_CORRUPT;
        take(s, taken);
        s->ended = hint == 0;
        if (!s->ended && bytes == 0 && taken == 0) return ERR_CORRUPT; /* cut short */
        *ret_bytes = bytes;
    }
    return 0;
}

/* ---- zstd ------------------------------------------------------------------------------------------------------------ */

static int begin_zstd(record_stream_t *s)
{
    s->zstd = ZSTD_createDStream();
    return s->zstd ? 0 : ERR_NOMEM;
}

static int read_zstd(record_stream_t *s, uint8_t *to, size_t room, size_t *ret_bytes)
{
    ZSTD_outBuffer out = {to, room, 0};
    while (out.pos == 0) {
        ZSTD_inBuffer in = {s->rest.ptr, s->rest.len, 0};
        if (s->zstd_between && in.size == 0) break;
        size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
        if (ZSTD_isError(left))
            return ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation ? ERR_NOMEM : ERR_CORRUPT;
        if (left && out.pos == 0 && in.pos == 0) return ERR_CORRUPT; /* cut short */
        s->zstd_between = left == 0;
        take(s, in.pos);
    }
    *ret_bytes = out.pos;
    return 0;
}

/* ---- any ------------------------------------------------------------------------------------------------------------- */

static int begin(record_stream_t *s)
{
    switch (s->codec) {
    case RECORD_GZIP: return begin_gzip(s);
    case RECORD_SNAPPY: return begin_snappy(s);
    case RECORD_LZ4: return begin_lz4(s);
    case RECORD_ZSTD: return begin_zstd(s);
    case RECORD_NONE: break;
    }
    return ERR_UNSUPPORTED;
}

int record_stream_new(record_codec_t codec, bytes_t data, size_t block_bytes_max, record_stream_t **ret_stream)
{
    record_stream_t *s = mem_zalloc(sizeof(*s));
    s->codec = codec;
    s->rest = data;
    s->block_bytes_max = block_bytes_max;
    int err = begin(s);
    if (err)
        record_stream_free(s);
    else
        *ret_stream = s;
    return err;
}

void record_stream_free(record_stream_t *stream)
{
    if (!stream) return;
    if (stream->codec == RECORD_GZIP) inflateEnd(&stream->gzip);
    LZ4F_freeDecompressionContext(stream->lz4);
    ZSTD_freeDStream(stream->zstd);
    mem_free(stream->block);
    mem_free(stream);
}

int record_stream_read(record_stream_t *stream, uint8_t *to, size_t room, size_t *ret_bytes)
{
    ASSERT(room > 0);
    switch (stream->codec) {
    case RECORD_GZIP: return read_gzip(stream, to, room, ret_bytes);
    case RECORD_SNAPPY: return read_snappy(stream, to, room, ret_bytes);
    case RECORD_LZ4: return read_lz4(stream, to, room, ret_bytes);
    case RECORD_ZSTD: return read_zstd(stream, to, room, ret_bytes);
    case RECORD_NONE: break;
    }
    UNREACHABLE();
}

/* ---- whole ----------------------------------------------------------------------------------------------------------- */

#define GROW_BYTES_MIN KIB(64)
#define RATIO_GUESS    4

/* Reads to the end. With `max` bytes there, one more is too many. */
static int read_all(record_stream_t *s, size_t max, size_t cap, uint8_t **data, size_t *len)
{
    for (;;) {
        uint8_t past;
        size_t bytes;
        if (*len == cap && cap < max) {
            cap = MIN(cap * 2, max);
            uint8_t *more = mem_try_realloc(*data, cap);
            if (!more) return ERR_NOMEM;
            *data = more;
        }
        bool full = *len == cap;
        int err = record_stream_read(s, full ? &past : *data + *len, full ? 1 : cap - *len, &bytes);
        if (err || bytes == 0) return err;
        if (full) return ERR_LIMIT;
        *len += bytes;
    }
}

int record_decompress(record_codec_t codec, bytes_t data, size_t bytes_max, uint8_t **ret_data, size_t *ret_bytes)
{
    record_stream_t *stream;
    int err = record_stream_new(codec, data, bytes_max, &stream);
    if (err) return err;
    size_t cap = MIN(MAX(data.len * RATIO_GUESS, GROW_BYTES_MIN), MAX(bytes_max, 1)), len = 0;
    uint8_t *opened = mem_try_alloc(cap);
    err = opened ? read_all(stream, bytes_max, cap, &opened, &len) : ERR_NOMEM;
    record_stream_free(stream);
    if (err) {
        mem_free(opened);
        return err;
    }
    *ret_data = opened;
    *ret_bytes = len;
    return 0;
}
