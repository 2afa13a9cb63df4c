/* rdb_old.c: the packed forms of servers before Redis 7, element by element into a listpack.
 *
 *     ziplist   | total u32 | tail u32 | count u16 | entry ... | 0xFF |        little-endian; count 65535 = "walk and see"
 *     entry     length of the one before: u8, or 254 and u32 | encoding | data
 *               00xxxxxx string, 6 bits of length     11000000 i16   11110000 i24   11110001 to 11111101: 0 to 12
 *               01xxxxxx string, 14                   11010000 i32   11111110 i8
 *               10______ string, u32 big-endian       11100000 i64
 *     zipmap    | count u8 | length, field, length, free u8, value, free bytes ... | 0xFF |
 *     length    u8, or 254 and u32 */
#include "redis/types/listpack.h"
#include "redis/types/rdb_value.h"

#define ZIPLIST_HEADER_BYTES 10
#define ZIP_END              0xFF
#define ZIP_LONG             254

typedef struct zip {
    const uint8_t *at, *end;
} zip_t;

static bool zip_take(zip_t *z, size_t bytes, const uint8_t **ret)
{
    if ((size_t)(z->end - z->at) < bytes) return false;
    *ret = z->at;
    z->at += bytes;
    return true;
}

/* A length of one byte, or of four behind a 254. */
static bool zip_length(zip_t *z, uint32_t *ret)
{
    const uint8_t *p;
    if (!zip_take(z, 1, &p)) return false;
    *ret = *p;
    if (*p == ZIP_END) return false;
    if (*p == ZIP_LONG) {
        if (!zip_take(z, 4, &p)) return false;
        *ret = load_le32(p);
    }
    return true;
}

static bool zip_text(zip_t *z, size_t bytes, lp_value_t *ret)
{
    const uint8_t *p;
    if (!zip_take(z, bytes, &p)) return false;
    *ret = (lp_value_t){.ptr = p, .len = (uint32_t)bytes};
    return true;
}

static bool zip_number(zip_t *z, size_t bytes, lp_value_t *ret)
{
    const uint8_t *p;
    uint64_t v = 0;
    if (!zip_take(z, bytes, &p)) return false;
    for (size_t i = 0; i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    unsigned unused = (unsigned)(64 - 8 * bytes);
    *ret = (lp_value_t){.i64 = (int64_t)(v << unused) >> unused};
    return true;
}

static bool zip_string_length(zip_t *z, uint8_t first, size_t *ret)
{
    const uint8_t *p;
    if (first >> 6 == 0) {
        *ret = first;
    } else if (first >> 6 == 1) {
        if (!zip_take(z, 1, &p)) return false;
        *ret = (size_t)(first & 0x3F) << 8 | *p;
    } else {
        if (!zip_take(z, 4, &p)) return false;
        *ret = load_be32(p);
    }
    return true;
}

static bool zip_entry(zip_t *z, uint32_t before_bytes, lp_value_t *ret)
{
    uint32_t before;
    const uint8_t *p;
    size_t len;
    if (!zip_length(z, &before) || before != before_bytes || !zip_take(z, 1, &p)) return false;
    if (*p < 0xC0) return zip_string_length(z, *p, &len) && zip_text(z, len, ret);
    switch (*p) {
    case 0xC0: return zip_number(z, 2, ret);
    case 0xD0: return zip_number(z, 4, ret);
    case 0xE0: return zip_number(z, 8, ret);
    case 0xF0: return zip_number(z, 3, ret);
    case 0xFE: return zip_number(z, 1, ret);
    default: break;
    }
    if (*p < 0xF1 || *p > 0xFD) return false;
    *ret = (lp_value_t){.i64 = (*p & 0x0F) - 1};
    return true;
}

static uint8_t *append(uint8_t *lp, const lp_value_t *v)
{
    return v->ptr ? lp_append(lp, bytes_of(v->ptr, v->len)) : lp_append_i64(lp, v->i64);
}

/* Appends to the listpack while there is room in one. */
static int append_all(zip_t *z, uint8_t **lp, size_t *ret_count, const uint8_t **ret_last)
{
    uint32_t before_bytes = 0;
    for (; z->at < z->end && *z->at != ZIP_END; ++*ret_count) {
        const uint8_t *start = z->at;
        lp_value_t v;
        if (!zip_entry(z, before_bytes, &v)) return ERR_CORRUPT;
        if (!lp_room_for(*lp, (v.ptr ? v.len : NUM_I64_CHARS_MAX) + LP_ENTRY_OVERHEAD_BYTES_MAX)) return ERR_LIMIT;
        *lp = append(*lp, &v);
        before_bytes = (uint32_t)(z->at - start);
        *ret_last = start;
    }
    return z->at == z->end - 1 ? 0 : ERR_CORRUPT;
}

int rdb__listpack_of_ziplist(bytes_t image, uint8_t **ret_lp)
{
    if (image.len < ZIPLIST_HEADER_BYTES + 1 || load_le32(image.ptr) != image.len) return ERR_CORRUPT;
    zip_t z = {image.ptr + ZIPLIST_HEADER_BYTES, image.ptr + image.len};
    const uint8_t *last = z.at;
    size_t count = 0, claimed = load_le16(image.ptr + 8);
    uint8_t *lp = lp_new(image.len);
    int err = append_all(&z, &lp, &count, &last);
    if (!err && (claimed != UINT16_MAX && claimed != count)) err = ERR_CORRUPT;
    if (!err && load_le32(image.ptr + 4) != (uint32_t)(last - image.ptr)) err = ERR_CORRUPT;
    if (err)
        lp_free(lp);
    else
        *ret_lp = lp;
    return err;
}

/* Field or value. */
static bool zipmap_text(zip_t *z, bool is_value, lp_value_t *ret)
{
    uint32_t len;
    const uint8_t *p = (const uint8_t *)"";
    if (!zip_length(z, &len)) return false;
    if (is_value && !zip_take(z, 1, &p)) return false;
    uint8_t unused = *p;
    return zip_text(z, len, ret) && (!is_value || zip_take(z, unused, &p));
}

int rdb__listpack_of_zipmap(bytes_t image, uint8_t **ret_lp)
{
    if (image.len < 2) return ERR_CORRUPT;
    zip_t z = {image.ptr + 1, image.ptr + image.len};
    uint8_t *lp = lp_new(image.len);
    size_t count = 0;
    lp_value_t field, value;
    int err = 0;
    for (; !err && z.at < z.end && *z.at != ZIP_END; count++) {
        if (!zipmap_text(&z, false, &field) || !zipmap_text(&z, true, &value)) {
            err = ERR_CORRUPT;
        } else if (!lp_room_for(lp, field.len + value.len + 2 * LP_ENTRY_OVERHEAD_BYTES_MAX)) {
            err = ERR_LIMIT;
        } else {
            lp = append(append(lp, &field), &value);
        }
    }
    if (!err && (z.at != z.end - 1 || (image.ptr[0] < ZIP_LONG && image.ptr[0] != count))) err = ERR_CORRUPT;
    if (err)
        lp_free(lp);
    else
        *ret_lp = lp;
    return err;
}
