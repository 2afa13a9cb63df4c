/* stream_fuzz.c: hostile compressed payloads: a byte for the codec and for how much is read at once, then the payload. However
 * it is read, the same bytes come out of it, and the same end. */
#include "kafka/record/stream.h"

#define OPENED_BYTES_MAX MIB(1)
#define BLOCK_BYTES_MAX  KIB(256)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads to the end, or as much as is enough. */
static int open_all(record_codec_t codec, bytes_t data, size_t room, buf_t *out)
{
    record_stream_t *stream;
    int err = record_stream_new(codec, data, BLOCK_BYTES_MAX, &stream);
    if (err) return err;
    for (size_t bytes = 1; !err && bytes > 0 && out->len < OPENED_BYTES_MAX;) {
        buf_reserve(out, room);
        err = record_stream_read(stream, out->ptr + out->len, room, &bytes);
        ASSERT(err || bytes <= room);
        if (!err) out->len += bytes;
    }
    record_stream_free(stream);
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t rooms[] = {1, 7, 61, 1000};
    if (size == 0) return 0;
    record_codec_t codec = RECORD_GZIP + data[0] % (RECORD_ZSTD - RECORD_GZIP + 1);
    bytes_t payload = bytes_of(data + 1, size - 1);
    buf_t whole = BUF_INIT, pieces = BUF_INIT;
    int err = open_all(codec, payload, KIB(64), &whole);
    int err_in_pieces = open_all(codec, payload, rooms[data[0] / 4 % ARRAY_LEN(rooms)], &pieces);
    size_t common = MIN(whole.len, pieces.len);
    ASSERT(common == 0 || memcmp(whole.ptr, pieces.ptr, common) == 0);
    if (MAX(whole.len, pieces.len) < OPENED_BYTES_MAX) ASSERT(err == err_in_pieces && (err || whole.len == pieces.len));
    buf_deinit(&whole);
    buf_deinit(&pieces);
    return 0;
}
