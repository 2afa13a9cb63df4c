/* rdb.c: see rdb.h. Invariant: no length that the input claims is believed before as many bytes are there, or, of a compressed
 * string, could come of those that are. */
#include "wire/rdb.h"

#include "base/num.h"

#include <liblzf/lzf.h>
#include <math.h>
#include <stdlib.h>

#define LENGTH_14        0x40
#define LENGTH_32        0x80
#define LENGTH_64        0x81
#define ENCODED          0xC0
#define LENGTH_BYTES_MAX 9
#define LZF_GAIN_MAX     132 /* three bytes of it become 264 at most; two, one literal */
#define LZF_SPARE_BYTES  4   /* that compression must win */

enum { ENCODED_I8, ENCODED_I16, ENCODED_I32, ENCODED_LZF };

/* ---- writing --------------------------------------------------------------------------------------------------------- */

void rdb_put_u8(rdb_writer_t *w, uint8_t v) { buf_u8(w->out, v); }

void rdb_put_length(rdb_writer_t *w, uint64_t v)
{
    uint8_t *p = buf_reserve(w->out, LENGTH_BYTES_MAX);
    if (v < 64) {
        p[0] = (uint8_t)v;
        w->out->len += 1;
    } else if (v < 16384) {
        store_be16(p, (uint16_t)(LENGTH_14 << 8 | v));
        w->out->len += 2;
    } else if (v <= UINT32_MAX) {
        p[0] = LENGTH_32;
        store_be32(p + 1, (uint32_t)v);
        w->out->len += 5;
    } else {
        p[0] = LENGTH_64;
        store_be64(p + 1, v);
        w->out->len += 9;
    }
}

void rdb_put_i64(rdb_writer_t *w, int64_t v)
{
    store_le64(buf_reserve(w->out, 8), (uint64_t)v);
    w->out->len += 8;
}

void rdb_put_double(rdb_writer_t *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    rdb_put_i64(w, (int64_t)bits);
}

/* True when the number was written as one. */
static bool put_short_integer(rdb_writer_t *w, int64_t v)
{
    uint8_t *p = buf_reserve(w->out, 5);
    size_t bytes = v == (int8_t)v ? 1 : v == (int16_t)v ? 2 : v == (int32_t)v ? 4 : 0;
    if (!bytes) return false;
    p[0] = (uint8_t)(ENCODED | (bytes == 1 ? ENCODED_I8 : bytes == 2 ? ENCODED_I16 : ENCODED_I32));
    for (size_t i = 0; i < bytes; i++) p[1 + i] = (uint8_t)((uint64_t)v >> (8 * i));
    w->out->len += 1 + bytes;
    return true;
}

/* Compresses into a spare buffer first: where the string begins depends on how long it becomes. */
static bool put_compressed(rdb_writer_t *w, bytes_t text)
{
    buf_t packed = BUF_INIT;
    if (text.len > UINT32_MAX || buf_try_reserve(&packed, text.len)) return false;
    size_t len = lzf_compress(text.ptr, (unsigned)text.len, packed.ptr, (unsigned)(text.len - LZF_SPARE_BYTES));
    if (len) {
        rdb_put_u8(w, ENCODED | ENCODED_LZF);
        rdb_put_length(w, len);
        rdb_put_length(w, text.len);
        buf_append(w->out, packed.ptr, len);
    }
    buf_deinit(&packed);
    return len > 0;
}

void rdb_put_string(rdb_writer_t *w, bytes_t text)
{
    int64_t number;
    if (text.len <= RDB_INTEGER_CHARS_MAX && num_parse_i64(text, &number) && put_short_integer(w, number)) return;
    if (!w->compress || text.len < RDB_LZF_BYTES_MIN || !put_compressed(w, text)) {
        rdb_put_length(w, text.len);
        buf_append(w->out, text.ptr, text.len);
    }
    if (w->spill && w->out->len >= RDB_SPILL_BYTES) w->spill(w);
}

void rdb_put_integer(rdb_writer_t *w, int64_t v)
{
    char text[NUM_I64_CHARS_MAX];
    if (put_short_integer(w, v)) return;
    size_t len = num_format_i64(text, v);
    rdb_put_length(w, len);
    buf_append(w->out, text, len);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* The next `bytes`, which are then passed. */
static int take(rdb_reader_t *r, size_t bytes, const uint8_t **ret)
{
    if ((size_t)(r->end - r->at) < bytes) {
        int err = r->more ? r->more(r, bytes) : ERR_TRUNCATED;
        if (err) return err;
    }
    *ret = r->at;
    r->at += bytes;
    return 0;
}

int rdb_get_u8(rdb_reader_t *r, uint8_t *ret)
{
    const uint8_t *p;
    int err = take(r, 1, &p);
    if (!err) *ret = *p;
    return err;
}

int rdb_get_i64(rdb_reader_t *r, int64_t *ret)
{
    const uint8_t *p;
    int err = take(r, 8, &p);
    if (!err) *ret = (int64_t)load_le64(p);
    return err;
}

int rdb_get_i32(rdb_reader_t *r, int32_t *ret)
{
    const uint8_t *p;
    int err = take(r, 4, &p);
    if (!err) *ret = (int32_t)load_le32(p);
    return err;
}

int rdb_get_double(rdb_reader_t *r, double *ret)
{
    int64_t bits;
    int err = rdb_get_i64(r, &bits);
    if (!err) memcpy(ret, &bits, sizeof(*ret));
    return err;
}

int rdb_get_double_text(rdb_reader_t *r, double *ret)
{
    uint8_t len;
    const uint8_t *p;
    int err = rdb_get_u8(r, &len);
    if (err) return err;
    if (len >= 253) {
        *ret = len == 253 ? (double)NAN : len == 254 ? (double)INFINITY : -(double)INFINITY;
        return 0;
    }
    if ((err = take(r, len, &p))) return err;
    char text[256], *end;
    memcpy(text, p, len);
    text[len] = '\0';
    *ret = strtod(text, &end);
    return len && *end == '\0' ? 0 : ERR_CORRUPT;
}

/* `ret_encoded`: the length is the kind of a string that is stored in another form. */
static int get_length(rdb_reader_t *r, uint64_t *ret, bool *ret_encoded)
{
    uint8_t first;
    const uint8_t *p;
    int err = rdb_get_u8(r, &first);
    if (err) return err;
    *ret_encoded = (first & 0xC0) == ENCODED;
    if ((first & 0xC0) == 0 || *ret_encoded) {
        *ret = first & 0x3F;
        return 0;
    }
    size_t bytes = (first & 0xC0) == LENGTH_14 ? 1 : first == LENGTH_32 ? 4 : first == LENGTH_64 ? 8 : 0;
    if (!bytes) return ERR_CORRUPT;
    if ((err = take(r, bytes, &p))) return err;
    *ret = bytes == 1 ? (uint64_t)(first & 0x3F) << 8 | *p : bytes == 4 ? load_be32(p) : load_be64(p);
    return 0;
}

int rdb_get_length(rdb_reader_t *r, uint64_t *ret)
{
    bool encoded;
    int err = get_length(r, ret, &encoded);
    return err ? err : encoded ? ERR_CORRUPT : 0;
}

static int get_integer(rdb_reader_t *r, uint64_t kind, bytes_t *ret)
{
    const uint8_t *p;
    int err = take(r, (size_t)1 << kind, &p);
    if (err) return err;
    int64_t v = kind == ENCODED_I8 ? (int8_t)*p : kind == ENCODED_I16 ? (int16_t)load_le16(p) : (int32_t)load_le32(p);
    buf_clear(&r->scratch);
    r->scratch.len = num_format_i64((char *)buf_reserve(&r->scratch, NUM_I64_CHARS_MAX), v);
    *ret = buf_bytes(&r->scratch);
    return 0;
}

static int get_compressed(rdb_reader_t *r, bytes_t *ret)
{
    uint64_t packed, bytes;
    const uint8_t *p;
    int err = rdb_get_length(r, &packed);
    if (!err) err = rdb_get_length(r, &bytes);
    if (err) return err;
    if (bytes == 0 || bytes > RDB_STRING_BYTES_MAX || packed > bytes || bytes / LZF_GAIN_MAX > packed)
        return ERR_CORRUPT;
    if ((err = take(r, packed, &p))) return err;
    buf_clear(&r->scratch);
    if ((err = buf_try_reserve(&r->scratch, bytes))) return err;
    if (lzf_decompress(p, (unsigned)packed, r->scratch.ptr, (unsigned)bytes) != bytes) return ERR_CORRUPT;
    r->scratch.len = bytes;
    *ret = buf_bytes(&r->scratch);
    return 0;
}

int rdb_get_string(rdb_reader_t *r, bytes_t *ret)
{
    uint64_t len;
    bool encoded;
    const uint8_t *p;
    int err = get_length(r, &len, &encoded);
    if (err) return err;
    if (encoded && len <= ENCODED_I32) return get_integer(r, len, ret);
    if (encoded) return len == ENCODED_LZF ? get_compressed(r, ret) : ERR_CORRUPT;
    if (len > RDB_STRING_BYTES_MAX) return ERR_CORRUPT;
    if (!(err = take(r, len, &p))) *ret = bytes_of(p, len);
    return err;
}
