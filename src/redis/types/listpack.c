/* listpack.c: see listpack.h. All changes of size go through `splice`, which moves the shorter side into the
 * room that is there and reallocates only when there is none. */
#include "redis/types/listpack.h"

typedef struct prefix {
    uint32_t front; /* free bytes in front of the prefix */
    uint32_t cap;   /* bytes from the listpack's first to the end of the allocation */
} prefix_t;

#define PREFIX_BYTES sizeof(prefix_t)
_Static_assert(sizeof(prefix_t) == 8, "the hidden prefix");

enum { ENC_STR6 = 0x80, ENC_INT13 = 0xC0, ENC_STR12 = 0xE0, ENC_STR32 = 0xF0 };
enum { ENC_I16 = 0xF1, ENC_I24 = 0xF2, ENC_I32 = 0xF3, ENC_I64 = 0xF4 };

static prefix_t prefix_get(const uint8_t *lp)
{
    prefix_t x;
    memcpy(&x, lp - PREFIX_BYTES, PREFIX_BYTES);
    return x;
}

static void prefix_set(uint8_t *lp, size_t front, size_t cap)
{
    prefix_t x = {(uint32_t)front, (uint32_t)cap};
    memcpy(lp - PREFIX_BYTES, &x, PREFIX_BYTES);
}

static void set_count(uint8_t *lp, size_t count) { store_le16(lp + 4, (uint16_t)MIN(count, (size_t)LP_COUNT_UNKNOWN)); }

static void add_count(uint8_t *lp, int64_t change)
{
    uint16_t count = load_le16(lp + 4);
    if (count != LP_COUNT_UNKNOWN) set_count(lp, (size_t)(count + change));
}

/* ---- allocation -------------------------------------------------------------------------- */

/* Four steps between powers of two, as the allocator's size classes are: no room is left unused behind our
 * back. */
static size_t size_class(size_t bytes)
{
    if (bytes <= 128) return (bytes + 15) & ~(size_t)15;
    size_t step = (size_t)1 << (61 - __builtin_clzll(bytes - 1));
    return (bytes + step - 1) & ~(step - 1);
}

static uint8_t *alloc_lp(size_t front, size_t cap)
{
    uint8_t *base = mem_alloc(front + PREFIX_BYTES + cap);
    uint8_t *lp = base + front + PREFIX_BYTES;
    prefix_set(lp, front, cap);
    return lp;
}

uint8_t *lp_new(size_t room_bytes) { return lp_new_with_room(room_bytes, false); }

uint8_t *lp_new_with_room(size_t room_bytes, bool at_front)
{
    size_t room = size_class(PREFIX_BYTES + MAX(room_bytes, (size_t)LP_EMPTY_BYTES)) - PREFIX_BYTES;
    uint8_t *lp = at_front ? alloc_lp(room - LP_EMPTY_BYTES, LP_EMPTY_BYTES) : alloc_lp(0, room);
    store_le32(lp, LP_EMPTY_BYTES);
    store_le16(lp + 4, 0);
    lp[LP_HEADER_BYTES] = LP_EOF;
    return lp;
}

uint8_t *lp_from_bytes(bytes_t image)
{
    uint8_t *lp = alloc_lp(0, size_class(PREFIX_BYTES + image.len) - PREFIX_BYTES);
    memcpy(lp, image.ptr, image.len);
    return lp;
}

uint8_t *lp_copy(const uint8_t *lp) { return lp_from_bytes(bytes_of(lp, lp_bytes(lp))); }

void lp_free(uint8_t *lp)
{
    if (lp) mem_free(lp - PREFIX_BYTES - prefix_get(lp).front);
}

size_t lp_heap_bytes(const uint8_t *lp)
{
    prefix_t x = prefix_get(lp);
    return x.front + PREFIX_BYTES + x.cap;
}

/* ---- entries ----------------------------------------------------------------------------- */

/* Length of the encoding and data of the entry at `p`, without its backlen. */
static size_t body_bytes(const uint8_t *p)
{
    uint8_t e = *p;
    if (e < 0x80) return 1;
    if (e < 0xC0) return 1 + (e & 0x3F);
    if (e < 0xE0) return 2;
    if (e < 0xF0) return 2 + ((size_t)(e & 0x0F) << 8 | p[1]);
    switch (e) {
    case ENC_STR32: return 5 + (size_t)load_le32(p + 1);
    case ENC_I16: return 3;
    case ENC_I24: return 4;
    case ENC_I32: return 5;
    case ENC_I64: return 9;
    default: return 1;
    }
}

static size_t backlen_bytes(size_t body)
{
    if (body <= 127) return 1;
    if (body < 16383) return 2; /* "<" is the format's own quirk */
    if (body < 2097151) return 3;
    if (body < 268435455) return 4;
    return 5;
}

static void backlen_put(uint8_t *out, size_t body, size_t n)
{
    for (size_t i = n; i-- > 0; body >>= 7) out[i] = (uint8_t)((body & 127) | (i == 0 ? 0 : 128));
}

/* Reads the backlen that ends at `p` (inclusive); SIZE_MAX when it is longer than five bytes. */
static size_t backlen_get(const uint8_t *p, const uint8_t *lowest)
{
    size_t v = 0;
    for (unsigned shift = 0; shift < 35; shift += 7, p--) {
        if (p < lowest) return SIZE_MAX;
        v |= (size_t)(*p & 127) << shift;
        if (!(*p & 128)) return v;
    }
    return SIZE_MAX;
}

const uint8_t *lp__skip_long(const uint8_t *p)
{
    ASSERT(*p <= ENC_I64); /* an entry, not the end byte */
    size_t body = body_bytes(p);
    return p + body + backlen_bytes(body);
}

const uint8_t *lp_prev(const uint8_t *lp, const uint8_t *p)
{
    if (p == lp + LP_HEADER_BYTES) return NULL;
    size_t body = backlen_get(p - 1, lp + LP_HEADER_BYTES), bytes = body + backlen_bytes(body);
    ASSERT(body != SIZE_MAX && bytes <= (size_t)(p - lp) - LP_HEADER_BYTES);
    return p - bytes;
}

const uint8_t *lp_last(const uint8_t *lp) { return lp_prev(lp, lp + lp_bytes(lp) - 1); }

size_t lp_count(const uint8_t *lp)
{
    size_t count = load_le16(lp + 4);
    if (LIKELY(count != LP_COUNT_UNKNOWN)) return count;
    count = 0;
    for (const uint8_t *p = lp + LP_HEADER_BYTES; *p != LP_EOF; p = lp_skip(p)) count++;
    return count;
}

const uint8_t *lp_seek(const uint8_t *lp, int64_t index)
{
    size_t count = load_le16(lp + 4);
    if (count != LP_COUNT_UNKNOWN) {
        if (index < 0) index += (int64_t)count;
        if (index < 0 || index >= (int64_t)count) return NULL;
        if (index > (int64_t)count / 2) index -= (int64_t)count;
    }
    const uint8_t *p;
    if (index >= 0) {
        for (p = lp_first(lp); p && index > 0; index--) p = lp_next(p);
    } else {
        for (p = lp_last(lp); p && index < -1; index++) p = lp_prev(lp, p);
    }
    return p;
}

static int64_t read_int(const uint8_t *p)
{
    uint8_t e = *p;
    if (e < 0x80) return e;
    if (e < 0xE0) return (int64_t)((uint64_t)((e & 0x1F) << 8 | p[1]) << 51) >> 51;
    switch (e) {
    case ENC_I16: return (int16_t)load_le16(p + 1);
    case ENC_I24: return (int32_t)((uint32_t)(p[1] | p[2] << 8 | (uint32_t)p[3] << 16) << 8) >> 8;
    case ENC_I32: return (int32_t)load_le32(p + 1);
    default: ASSERT(e == ENC_I64); return (int64_t)load_le64(p + 1);
    }
}

lp_value_t lp_get(const uint8_t *p)
{
    uint8_t e = *p;
    if ((e & 0xC0) == ENC_STR6) return (lp_value_t){p + 1, e & 0x3F, 0};
    if ((e & 0xF0) == ENC_STR12) return (lp_value_t){p + 2, (uint32_t)(e & 0x0F) << 8 | p[1], 0};
    if (e == ENC_STR32) return (lp_value_t){p + 5, load_le32(p + 1), 0};
    return (lp_value_t){NULL, 0, read_int(p)};
}

bytes_t lp_text(const uint8_t *p, char room[NUM_I64_CHARS_MAX])
{
    lp_value_t v = lp_get(p);
    if (v.ptr) return bytes_of(v.ptr, v.len);
    return bytes_of(room, num_format_i64(room, v.i64));
}

bool lp_eq(const uint8_t *p, bytes_t text)
{
    char room[NUM_I64_CHARS_MAX];
    return bytes_eq(lp_text(p, room), text);
}

static const uint8_t *skip_many(const uint8_t *p, unsigned count)
{
    for (; count > 0 && *p != LP_EOF; count--) p = lp_skip(p);
    return p;
}

/* `text` is no integer and shorter than 64: one byte tells most entries from it. */
static const uint8_t *find_short(const uint8_t *p, bytes_t text, unsigned skip)
{
    uint8_t head = (uint8_t)(ENC_STR6 | text.len);
    for (; *p != LP_EOF; p = skip_many(p, 1 + skip)) {
        if (*p == head && memcmp(p + 1, text.ptr, text.len) == 0) return p;
    }
    return NULL;
}

const uint8_t *lp_find(const uint8_t *p, bytes_t text, unsigned skip)
{
    int64_t number;
    if (!p) return NULL;
    bool is_number = num_parse_i64(text, &number);
    if (!is_number && text.len < 64) return find_short(p, text, skip);
    for (; *p != LP_EOF; p = skip_many(p, 1 + skip)) {
        lp_value_t v = lp_get(p);
        if (v.ptr) {
            if (v.len == text.len && memcmp(v.ptr, text.ptr, text.len) == 0) return p;
        } else if (is_number && v.i64 == number) {
            return p;
        }
    }
    return NULL;
}

/* ---- encoding ---------------------------------------------------------------------------- */

/* How an element will be stored: its head, then `text` (empty for integers), then the backlen. */
typedef struct plan {
    uint8_t head[9];
    uint8_t head_bytes;
    uint8_t back_bytes;
    size_t body_bytes;
    bytes_t text;
} plan_t;

static plan_t plan_close(plan_t plan)
{
    plan.body_bytes = plan.head_bytes + plan.text.len;
    plan.back_bytes = (uint8_t)backlen_bytes(plan.body_bytes);
    return plan;
}

static plan_t plan_int(int64_t v)
{
    plan_t x = {.text = BYTES_NULL};
    if (v >= 0 && v <= 127) {
        x.head[0] = (uint8_t)v;
        x.head_bytes = 1;
    } else if (v >= -4096 && v <= 4095) {
        x.head[0] = (uint8_t)(ENC_INT13 | ((uint64_t)v >> 8 & 0x1F));
        x.head[1] = (uint8_t)v;
        x.head_bytes = 2;
    } else {
        uint8_t le[8];
        unsigned n = v == (int16_t)v ? 2 : v >= -8388608 && v <= 8388607 ? 3 : v == (int32_t)v ? 4 : 8;
        store_le64(le, (uint64_t)v);
        x.head[0] = (uint8_t)(n == 8 ? ENC_I64 : ENC_I16 + n - 2);
        memcpy(x.head + 1, le, 8);
        x.head_bytes = (uint8_t)(1 + n);
    }
    return plan_close(x);
}

static plan_t plan_text(bytes_t text)
{
    int64_t number;
    if (num_parse_i64(text, &number)) return plan_int(number);
    plan_t x = {.text = text};
    if (text.len < 64) {
        x.head[0] = (uint8_t)(ENC_STR6 | text.len);
        x.head_bytes = 1;
    } else if (text.len < 4096) {
        x.head[0] = (uint8_t)(ENC_STR12 | text.len >> 8);
        x.head[1] = (uint8_t)text.len;
        x.head_bytes = 2;
    } else {
        x.head[0] = ENC_STR32;
        store_le32(x.head + 1, (uint32_t)text.len);
        x.head_bytes = 5;
    }
    return plan_close(x);
}

static size_t plan_bytes(const plan_t *x) { return x->body_bytes + x->back_bytes; }

static void plan_write(const plan_t *x, uint8_t *out)
{
    memcpy(out, x->head, x->head_bytes);
    if (x->text.len) memcpy(out + x->head_bytes, x->text.ptr, x->text.len);
    if (LIKELY(x->back_bytes == 1))
        out[x->body_bytes] = (uint8_t)x->body_bytes;
    else
        backlen_put(out + x->body_bytes, x->body_bytes, x->back_bytes);
}

/* ---- splice ------------------------------------------------------------------------------ */

/* Moves to a new allocation with a gap of `add` bytes in place of `del` at `off`. The new room goes to the
 * side that the change was near, where the next one is likely. */
static uint8_t *regrow(uint8_t *lp, size_t off, size_t del, size_t add)
{
    size_t total = lp_bytes(lp), after = total - off - del, need = PREFIX_BYTES + total - del + add;
    size_t spare = size_class(need) - need;
    bool at_front = off - LP_HEADER_BYTES < after - 1;
    uint8_t *to = alloc_lp(at_front ? spare : 0, total - del + add + (at_front ? 0 : spare));
    memcpy(to, lp, off);
    memcpy(to + off + add, lp + off + del, after);
    lp_free(lp);
    return to;
}

/* Moves the prefix, the header and the entries before `off` by `shift` bytes. */
static uint8_t *shift_head(uint8_t *lp, size_t off, ptrdiff_t shift)
{
    prefix_t x = prefix_get(lp);
    memmove(lp + shift, lp, off);
    lp += shift;
    prefix_set(lp, (size_t)((ptrdiff_t)x.front + shift), (size_t)((ptrdiff_t)x.cap - shift));
    return lp;
}

/* Slides the whole listpack to the start of its allocation. */
static uint8_t *slide_home(uint8_t *lp) { return shift_head(lp, lp_bytes(lp), -(ptrdiff_t)prefix_get(lp).front); }

static uint8_t *make_gap(uint8_t *lp, size_t off, size_t del, size_t add)
{
    prefix_t x = prefix_get(lp);
    size_t total = lp_bytes(lp), after = total - off - del, d = add - del;
    bool near_front = off - LP_HEADER_BYTES < after - 1;
    size_t back = x.cap - total;
    if (near_front && x.front >= d) return shift_head(lp, off, -(ptrdiff_t)d);
    if (back < d && x.front >= d && x.front >= total / 4) {
        lp = slide_home(lp); /* a queue: pushed at the back, popped at the front */
        back += x.front;
    }
    if (back < d) return regrow(lp, off, del, add);
    memmove(lp + off + add, lp + off + del, after);
    return lp;
}

static uint8_t *close_gap(uint8_t *lp, size_t off, size_t del, size_t add)
{
    size_t total = lp_bytes(lp), after = total - off - del, d = del - add;
    if (lp_heap_bytes(lp) > 128 && (total - d) * 4 < lp_heap_bytes(lp)) return regrow(lp, off, del, add);
    if (off - LP_HEADER_BYTES < after - 1) return shift_head(lp, off, (ptrdiff_t)d);
    memmove(lp + off + add, lp + off + del, after);
    return lp;
}

/* Replaces `del` bytes at offset `off` by `add` bytes yet to be written; keeps the header's total. */
static uint8_t *splice(uint8_t *lp, size_t off, size_t del, size_t add)
{
    size_t before = lp_bytes(lp), total = before - del + add;
    ASSERT(off >= LP_HEADER_BYTES && off < before && del <= before - 1 - off && lp[before - 1] == LP_EOF);
    ASSERT(total <= LP_BYTES_MAX);
    if (add > del)
        lp = make_gap(lp, off, del, add);
    else if (add < del)
        lp = close_gap(lp, off, del, add);
    store_le32(lp, (uint32_t)total);
    return lp;
}

static bool lies_in(const uint8_t *lp, bytes_t text)
{
    uintptr_t from = (uintptr_t)lp, at = (uintptr_t)text.ptr;
    return at >= from && at < from + lp_bytes(lp);
}

static uint8_t *put(uint8_t *lp, size_t off, size_t del, const plan_t *x)
{
    ASSERT(!lies_in(lp, x->text)); /* it would move under the reader's hands */
    lp = splice(lp, off, del, plan_bytes(x));
    plan_write(x, lp + off);
    return lp;
}

uint8_t *lp_append(uint8_t *lp, bytes_t text)
{
    plan_t x = plan_text(text);
    lp = put(lp, lp_bytes(lp) - 1, 0, &x);
    add_count(lp, 1);
    return lp;
}

uint8_t *lp_append_i64(uint8_t *lp, int64_t v)
{
    plan_t x = plan_int(v);
    lp = put(lp, lp_bytes(lp) - 1, 0, &x);
    add_count(lp, 1);
    return lp;
}

uint8_t *lp_prepend(uint8_t *lp, bytes_t text) { return lp_insert(lp, lp + LP_HEADER_BYTES, text, NULL); }

uint8_t *lp_insert(uint8_t *lp, const uint8_t *p, bytes_t text, const uint8_t **ret_p)
{
    plan_t x = plan_text(text);
    size_t off = (size_t)(p - lp);
    lp = put(lp, off, 0, &x);
    add_count(lp, 1);
    if (ret_p) *ret_p = lp + off;
    return lp;
}

uint8_t *lp_replace(uint8_t *lp, const uint8_t *p, bytes_t text, const uint8_t **ret_p)
{
    plan_t x = plan_text(text);
    size_t off = (size_t)(p - lp);
    lp = put(lp, off, (size_t)(lp_skip(p) - p), &x);
    if (ret_p) *ret_p = lp + off;
    return lp;
}

uint8_t *lp_replace_i64(uint8_t *lp, const uint8_t *p, int64_t v)
{
    plan_t x = plan_int(v);
    return put(lp, (size_t)(p - lp), (size_t)(lp_skip(p) - p), &x);
}

uint8_t *lp_delete(uint8_t *lp, const uint8_t *p, size_t count, const uint8_t **ret_p)
{
    const uint8_t *end = p;
    size_t deleted = 0, off = (size_t)(p - lp);
    for (; deleted < count && *end != LP_EOF; deleted++) end = lp_skip(end);
    lp = splice(lp, off, (size_t)(end - p), 0);
    add_count(lp, -(int64_t)deleted);
    if (!lp_first(lp)) set_count(lp, 0);
    if (ret_p) *ret_p = lp[off] == LP_EOF ? NULL : lp + off;
    return lp;
}

uint8_t *lp_delete_range(uint8_t *lp, int64_t index, size_t count)
{
    const uint8_t *p = count ? lp_seek(lp, index) : NULL;
    return p ? lp_delete(lp, p, count, NULL) : lp;
}

uint8_t *lp_shrink(uint8_t *lp)
{
    if (size_class(PREFIX_BYTES + lp_bytes(lp)) >= lp_heap_bytes(lp)) return lp;
    uint8_t *to = lp_copy(lp);
    lp_free(lp);
    return to;
}

lp_appender_t lp_append_begin(uint8_t *lp, size_t bytes_max)
{
    prefix_t x = prefix_get(lp);
    size_t total = lp_bytes(lp);
    ASSERT(lp_room_for(lp, bytes_max));
    if (x.cap - total < bytes_max) lp = regrow(lp, total - 1, 0, bytes_max);
    return (lp_appender_t){lp, lp + total - 1, 0};
}

static void append_plan(lp_appender_t *a, const plan_t *x)
{
    plan_write(x, a->out);
    a->out += plan_bytes(x);
    a->count++;
}

void lp_append_put(lp_appender_t *a, bytes_t text)
{
    plan_t x = plan_text(text);
    append_plan(a, &x);
}

void lp_append_put_i64(lp_appender_t *a, int64_t v)
{
    plan_t x = plan_int(v);
    append_plan(a, &x);
}

uint8_t *lp_append_end(lp_appender_t *a)
{
    size_t total = (size_t)(a->out - a->lp) + 1;
    ASSERT(total <= prefix_get(a->lp).cap);
    *a->out = LP_EOF;
    store_le32(a->lp, (uint32_t)total);
    add_count(a->lp, (int64_t)a->count);
    return a->lp;
}

uint8_t *lp_concat(uint8_t *lp, const uint8_t *tail)
{
    size_t off = lp_bytes(lp) - 1, add = lp_bytes(tail) - LP_EMPTY_BYTES;
    size_t count = lp_count(lp) + lp_count(tail);
    lp = splice(lp, off, 0, add);
    memcpy(lp + off, tail + LP_HEADER_BYTES, add);
    set_count(lp, count);
    return lp;
}

/* ---- validation -------------------------------------------------------------------------- */

/* The entry at `off` of a `len` byte image is whole and its backlen agrees; returns its size or 0. */
static size_t check_entry(const uint8_t *image, size_t off, size_t len)
{
    const uint8_t *p = image + off;
    size_t left = len - off;
    if (*p > ENC_I64) return 0;
    if ((*p & 0xE0) == ENC_INT13 || (*p & 0xF0) == ENC_STR12) {
        if (left < 2) return 0;
    } else if (*p == ENC_STR32 && left < 5) {
        return 0;
    }
    size_t body = body_bytes(p), back = backlen_bytes(body);
    if (body + back >= left) return 0; /* the end byte must follow */
    if (backlen_get(p + body + back - 1, p + body) != body) return 0;
    return body + back;
}

int lp_validate(bytes_t image)
{
    if (image.len < LP_EMPTY_BYTES || image.len > LP_BYTES_MAX || load_le32(image.ptr) != image.len) return ERR_CORRUPT;
    if (image.ptr[image.len - 1] != LP_EOF) return ERR_CORRUPT;
    size_t off = LP_HEADER_BYTES, count = 0, claimed = load_le16(image.ptr + 4);
    for (; image.ptr[off] != LP_EOF; count++) {
        size_t n = check_entry(image.ptr, off, image.len);
        if (n == 0) return ERR_CORRUPT;
        off += n;
    }
    if (off != image.len - 1) return ERR_CORRUPT;
    return claimed == LP_COUNT_UNKNOWN || claimed == count ? 0 : ERR_CORRUPT;
}
