/* compress.c: a batch under another codec: the payload is opened, compressed anew and given a new
 * header. Only for topics whose compression.type asks for it, and by compaction; elsewhere batches stay as the
 * producer made them.
 *
 * Snappy gets the framing of the Java library and lz4 independent blocks of 64 KiB, which is what every
 * client reads. */
#include "kafka/record/record.h"

#include <lz4frame.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#define XERIAL_BLOCK_BYTES KIB(32)
#define LZ4_LEVEL_DEFAULT  9 /* compression.lz4.level: at this one the Java library takes its fast compressor */

static int pack_gzip(bytes_t data, int level, buf_t *out)
{
    z_stream z = {.next_in = (Bytef *)data.ptr, .avail_in = (uInt)data.len};
    if (deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return ERR_NOMEM;
    size_t bound = deflateBound(&z, data.len);
    int err = buf_try_reserve(out, bound);
    if (!err) {
        z.next_out = out->ptr + out->len;
        z.avail_out = (uInt)bound;
        if (deflate(&z, Z_FINISH) == Z_STREAM_END)
            out->len += bound - z.avail_out;
        else
            err = ERR_NOMEM;
    }
    deflateEnd(&z);
    return err;
}

static int pack_snappy(bytes_t data, buf_t *out)
{
    static const uint8_t head[16] = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1};
    buf_append(out, head, sizeof(head));
    for (size_t at = 0; at < data.len; at += XERIAL_BLOCK_BYTES) {
        size_t n = MIN(data.len - at, XERIAL_BLOCK_BYTES), packed = snappy_max_compressed_length(n);
        int err = buf_try_reserve(out, 4 + packed);
        if (err) return err;
        uint8_t *to = out->ptr + out->len;
        if (snappy_compress((const char *)data.ptr + at, n, (char *)to + 4, &packed) != SNAPPY_OK) return ERR_NOMEM;
        store_be32(to, (uint32_t)packed);
        out->len += 4 + packed;
    }
    return 0;
}

static int pack_lz4(bytes_t data, int level, buf_t *out)
{
    LZ4F_preferences_t how = {.frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
                              .compressionLevel = level == LZ4_LEVEL_DEFAULT ? 0 : level};
    size_t bound = LZ4F_compressFrameBound(data.len, &how);
    int err = buf_try_reserve(out, bound);
    if (err) return err;
    size_t n = LZ4F_compressFrame(out->ptr + out->len, bound, data.ptr, data.len, &how);
    if (LZ4F_isError(n)) return ERR_NOMEM;
    out->len += n;
    return 0;
}

static int pack_zstd(bytes_t data, int level, buf_t *out)
{
    size_t bound = ZSTD_compressBound(data.len);
    int err = buf_try_reserve(out, bound);
    if (err) return err;
    size_t n = ZSTD_compress(out->ptr + out->len, bound, data.ptr, data.len, level);
    if (ZSTD_isError(n)) return ERR_NOMEM;
    out->len += n;
    return 0;
}

int record_compress(record_codec_t codec, int level, bytes_t data, buf_t *out)
{
    switch (codec) {
    case RECORD_NONE: {
        int err = buf_try_reserve(out, data.len);
        if (!err) buf_append(out, data.ptr, data.len);
        return err;
    }
    case RECORD_GZIP: return pack_gzip(data, level, out);
    case RECORD_SNAPPY: return pack_snappy(data, out);
    case RECORD_LZ4: return pack_lz4(data, level, out);
    case RECORD_ZSTD: return pack_zstd(data, level, out);
    }
    return ERR_UNSUPPORTED;
}

int record_recompress(bytes_t batch, record_codec_t codec, int level, size_t bytes_max, buf_t *out)
{
    batch_header_t b;
    uint8_t *opened = NULL;
    size_t bytes;
    int err = batch_header_read(batch, &b);
    if (err) return err;
    bytes_t payload = bytes_of(batch.ptr + BATCH_HEADER_BYTES, batch.len - BATCH_HEADER_BYTES);
    record_codec_t from = (record_codec_t)(b.attributes & RECORD_COMPRESSION_MASK);
    if (from != RECORD_NONE) {
        err = record_decompress(from, payload, bytes_max, &opened, &bytes);
        if (err) return err;
        payload = bytes_of(opened, bytes);
    }
    buf_clear(out);
    buf_append(out, batch.ptr, BATCH_HEADER_BYTES);
    err = record_compress(codec, level, payload, out);
    mem_free(opened);
    if (err) return err;
    b.attributes = (int16_t)((b.attributes & ~RECORD_COMPRESSION_MASK) | codec);
    batch_header_write(out->ptr, &b);
    batch_seal(out->ptr, out->len);
    return 0;
}
