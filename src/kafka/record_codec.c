/* record_codec.c: opening compressed payloads: gzip, snappy (raw or in the framing of the Java library,
 * "xerial"), lz4 frames and zstd. Input is a client's: every size is checked against `bytes_max` before
 * memory grows. */
#include "kafka/record.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#define GROW_BYTES_MIN KIB(64)

typedef struct output {
    uint8_t *data;
    size_t len, cap, max;
} output_t;

/* Room for more; ERR_LIMIT once `max` bytes are there and still more is wanted. */
static int output_grow(output_t *out, size_t want)
{
    if (out->len == out->max) return ERR_LIMIT;
    if (out->cap - out->len >= want) return 0;
    size_t cap = MIN(MAX(MAX(out->cap * 2, out->len + want), GROW_BYTES_MIN), out->max);
    if (cap == out->cap) return 0;
    uint8_t *data = mem_try_realloc(out->data, cap);
    if (!data) return ERR_NOMEM;
    out->data = data;
    out->cap = cap;
    return 0;
}

static int open_gzip(bytes_t data, output_t *out)
{
    z_stream z = {.next_in = (Bytef *)data.ptr, .avail_in = (uInt)data.len};
    if (inflateInit2(&z, 15 + 32) != Z_OK) return ERR_NOMEM;
    int err = 0, status = Z_OK;
    while (!err && status != Z_STREAM_END) {
        err = output_grow(out, MAX(data.len, GROW_BYTES_MIN / 2));
        if (err) break;
        z.next_out = out->data + out->len;
        z.avail_out = (uInt)(out->cap - out->len);
        status = inflate(&z, Z_NO_FLUSH);
        out->len = out->cap - z.avail_out;
        if (status != Z_OK && status != Z_STREAM_END)
            err = ERR_CORRUPT;
        else if (status == Z_OK && z.avail_in == 0 && z.avail_out > 0)
            err = ERR_CORRUPT; /* ends early */
    }
    inflateEnd(&z);
    return err;
}

static int snappy_block(bytes_t block, output_t *out)
{
    size_t n;
    if (snappy_uncompressed_length((const char *)block.ptr, block.len, &n) != SNAPPY_OK) return ERR_CORRUPT;
    if (n > out->max - out->len) return ERR_LIMIT;
    if (n == 0) return 0;
    int err = output_grow(out, n);
    if (err) return err;
    if (snappy_uncompress((const char *)block.ptr, block.len, (char *)out->data + out->len, &n) != SNAPPY_OK) {
        return ERR_CORRUPT;
    }
    out->len += n;
    return 0;
}

/* Java's framing: 8 bytes of magic, version and compatible version (i32 each), then blocks with an i32
 * length. */
static int open_snappy(bytes_t data, output_t *out)
{
    static const uint8_t magic[8] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
    enum { HEADER_BYTES = 16 };
    if (data.len < HEADER_BYTES || memcmp(data.ptr, magic, sizeof(magic)) != 0) return snappy_block(data, out);
    for (size_t at = HEADER_BYTES; at < data.len;) {
        if (data.len - at < 4) return ERR_CORRUPT;
        uint32_t n = load_be32(data.ptr + at);
        at += 4;
        if (n > data.len - at) return ERR_CORRUPT;
        int err = snappy_block(bytes_of(data.ptr + at, n), out);
        if (err) return err;
        at += n;
    }
    return 0;
}

static int open_lz4(bytes_t data, output_t *out)
{
    LZ4F_dctx *ctx;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&ctx, LZ4F_VERSION))) return ERR_NOMEM;
    int err = 0;
    size_t at = 0, hint = 1;
    while (!err && hint != 0) {
        err = output_grow(out, GROW_BYTES_MIN / 2);
        if (err) break;
        size_t room = out->cap - out->len, taken = data.len - at;
        hint = LZ4F_decompress(ctx, out->data + out->len, &room, data.ptr + at, &taken, NULL);
        if (LZ4F_isError(hint))
            err = ERR_CORRUPT;
        else if (room == 0 && taken == 0)
            err = ERR_CORRUPT; /* ends early */
        else {
            out->len += room;
            at += taken;
        }
    }
    LZ4F_freeDecompressionContext(ctx);
    return err;
}

static int open_zstd(bytes_t data, output_t *out)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    if (!z) return ERR_NOMEM;
    ZSTD_inBuffer in = {data.ptr, data.len, 0};
    int err = 0;
    size_t left = 1;
    while (!err && left != 0) {
        err = output_grow(out, GROW_BYTES_MIN / 2);
        if (err) break;
        ZSTD_outBuffer to = {out->data, out->cap, out->len};
        size_t before = in.pos;
        left = ZSTD_decompressStream(z, &to, &in);
        if (ZSTD_isError(left))
            err = ERR_CORRUPT;
        else if (to.pos == out->len && in.pos == before && left != 0)
            err = ERR_CORRUPT; /* ends early */
        else
            out->len = to.pos;
    }
    ZSTD_freeDStream(z);
    return err;
}

int record_decompress(record_codec_t codec, bytes_t data, size_t bytes_max, uint8_t **ret_data, size_t *ret_bytes)
{
    output_t out = {.max = bytes_max};
    int err = ERR_UNSUPPORTED;
    if (data.len > UINT32_MAX) return ERR_LIMIT;
    switch (codec) {
    case RECORD_NONE: break;
    case RECORD_GZIP: err = open_gzip(data, &out); break;
    case RECORD_SNAPPY: err = open_snappy(data, &out); break;
    case RECORD_LZ4: err = open_lz4(data, &out); break;
    case RECORD_ZSTD: err = open_zstd(data, &out); break;
    }
    if (!err && !out.data) err = output_grow(&out, 1); /* nothing, but somewhere */
    if (err) {
        mem_free(out.data);
        return err;
    }
    *ret_data = out.data;
    *ret_bytes = out.len;
    return 0;
}
