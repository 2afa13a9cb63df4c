/* intset.c: see intset.h. */
#include "redis/types/intset.h"

struct intset {
    uint32_t width;
    uint32_t count;
    uint8_t values[];
};
_Static_assert(sizeof(struct intset) == INTSET_HEADER_BYTES, "the image starts at the struct");

/* Room in steps of an eighth, so that most insertions do not reallocate. */
static size_t room_for(uint32_t width, uint32_t count)
{
    size_t bytes = INTSET_HEADER_BYTES + (size_t)width * count;
    size_t step = bytes <= 128 ? 16 : (size_t)1 << (60 - __builtin_clzll(bytes - 1));
    return (bytes + step - 1) & ~(step - 1);
}

static intset_t *resize(intset_t *s, uint32_t width, uint32_t count)
{
    size_t room = room_for(width, count);
    return room == room_for(s->width, s->count) ? s : mem_realloc(s, room);
}

static int64_t value_at(const uint8_t *values, uint32_t width, uint32_t index)
{
    switch (width) {
    case 2: return (int16_t)load_le16(values + (size_t)index * 2);
    case 4: return (int32_t)load_le32(values + (size_t)index * 4);
    default: return (int64_t)load_le64(values + (size_t)index * 8);
    }
}

static void put_at(intset_t *s, uint32_t index, int64_t v)
{
    switch (s->width) {
    case 2: store_le16(s->values + (size_t)index * 2, (uint16_t)v); break;
    case 4: store_le32(s->values + (size_t)index * 4, (uint32_t)v); break;
    default: store_le64(s->values + (size_t)index * 8, (uint64_t)v); break;
    }
}

static uint32_t width_for(int64_t v) { return v == (int16_t)v ? 2 : v == (int32_t)v ? 4 : 8; }

intset_t *intset_new(void)
{
    intset_t *s = mem_alloc(room_for(2, 0));
    s->width = 2;
    s->count = 0;
    return s;
}

intset_t *intset_from_bytes(bytes_t image)
{
    intset_t *s = mem_alloc(room_for(load_le32(image.ptr), load_le32(image.ptr + 4)));
    memcpy(s, image.ptr, image.len);
    return s;
}

intset_t *intset_copy(const intset_t *s) { return intset_from_bytes(intset_bytes(s)); }
void intset_free(intset_t *s) { mem_free(s); }
uint32_t intset_count(const intset_t *s) { return s->count; }
bytes_t intset_bytes(const intset_t *s) { return bytes_of(s, INTSET_HEADER_BYTES + (size_t)s->width * s->count); }
size_t intset_heap_bytes(const intset_t *s) { return room_for(s->width, s->count); }

int64_t intset_at(const intset_t *s, uint32_t index)
{
    ASSERT(index < s->count);
    return value_at(s->values, s->width, index);
}

/* The index of `v`, or where it would go. */
static bool search(const intset_t *s, int64_t v, uint32_t *ret_index)
{
    uint32_t lo = 0, hi = s->count;
    if (hi && v > value_at(s->values, s->width, hi - 1)) lo = hi; /* ascending insertion */
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (value_at(s->values, s->width, mid) < v)
            lo = mid + 1;
        else
            hi = mid;
    }
    *ret_index = lo;
    return lo < s->count && value_at(s->values, s->width, lo) == v;
}

bool intset_has(const intset_t *s, int64_t v)
{
    uint32_t index;
    return width_for(v) <= s->width && search(s, v, &index);
}

/* A value too wide for the present width is below or above all others. */
static intset_t *widen_and_add(intset_t *s, int64_t v)
{
    uint32_t old = s->width, count = s->count, first = v < 0;
    s = resize(s, width_for(v), count + 1);
    s->width = width_for(v);
    for (uint32_t i = count; i-- > 0;) put_at(s, i + first, value_at(s->values, old, i));
    s->count = count + 1;
    put_at(s, first ? 0 : count, v);
    return s;
}

intset_t *intset_add(intset_t *s, int64_t v, bool *ret_added)
{
    uint32_t index;
    if (width_for(v) > s->width) {
        *ret_added = true;
        return widen_and_add(s, v);
    }
    *ret_added = !search(s, v, &index);
    if (!*ret_added) return s;
    s = resize(s, s->width, s->count + 1);
    uint8_t *at = s->values + (size_t)index * s->width;
    memmove(at + s->width, at, (size_t)(s->count - index) * s->width);
    put_at(s, index, v);
    s->count++;
    return s;
}

intset_t *intset_remove(intset_t *s, int64_t v, bool *ret_removed)
{
    uint32_t index;
    *ret_removed = width_for(v) <= s->width && search(s, v, &index);
    if (!*ret_removed) return s;
    uint8_t *at = s->values + (size_t)index * s->width;
    memmove(at, at + s->width, (size_t)(s->count - index - 1) * s->width);
    s = resize(s, s->width, s->count - 1);
    s->count--;
    return s;
}

int intset_validate(bytes_t image)
{
    if (image.len < INTSET_HEADER_BYTES) return ERR_CORRUPT;
    uint32_t width = load_le32(image.ptr), count = load_le32(image.ptr + 4);
    if (width != 2 && width != 4 && width != 8) return ERR_CORRUPT;
    if (count == 0 || image.len != INTSET_HEADER_BYTES + (uint64_t)width * count) return ERR_CORRUPT;
    const uint8_t *values = image.ptr + INTSET_HEADER_BYTES;
    for (uint32_t i = 1; i < count; i++) {
        if (value_at(values, width, i - 1) >= value_at(values, width, i)) return ERR_CORRUPT;
    }
    return 0;
}
