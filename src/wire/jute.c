/* jute.c: the parts of jute.h that need not be inline. */
#include "wire/jute.h"

bytes_t jute_get_bytes(jute_reader_t *r)
{
    int32_t len = jute_get_int(r);
    if (len == -1) return BYTES_NULL;
    if (len < 0) {
        r->bad = true;
        return BYTES_NULL;
    }
    const uint8_t *p = jute_take(r, (size_t)len);
    return p == NULL ? BYTES_NULL : bytes_of(p, (size_t)len);
}

void *jute_get_vector(jute_reader_t *r, size_t element_bytes, size_t wire_bytes_min, int32_t *ret_count)
{
    *ret_count = 0;
    int32_t count = jute_get_int(r);
    if (r->bad) return NULL;
    if (count == -1) {
        *ret_count = -1;
        return NULL;
    }
    if (count < 0 || (size_t)count > jute_left(r) / wire_bytes_min) {
        r->bad = true;
        return NULL;
    }
    void *elements = arena_try_alloc(r->arena, (size_t)count * element_bytes + 1);
    if (!elements) {
        r->bad = true;
        return NULL;
    }
    *ret_count = count;
    return elements;
}

bytes_t *jute_get_strings(jute_reader_t *r, int32_t *ret_count)
{
    bytes_t *strings = jute_get_vector(r, sizeof(bytes_t), 4, ret_count);
    for (int32_t i = 0; i < *ret_count; i++) strings[i] = jute_get_bytes(r);
    return strings;
}

size_t jute_strings_size(const bytes_t *strings, int32_t count)
{
    size_t size = 4;
    for (int32_t i = 0; i < count; i++) size += jute_bytes_size(strings[i]);
    return size;
}

uint8_t *jute_put_strings(uint8_t *at, const bytes_t *strings, int32_t count)
{
    at = jute_put_int(at, count);
    for (int32_t i = 0; i < count; i++) at = jute_put_bytes(at, strings[i]);
    return at;
}
