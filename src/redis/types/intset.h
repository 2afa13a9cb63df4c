/* intset.h: a sorted run of distinct integers of 16, 32 or 64 bits, in Redis's own format (for RDB and DUMP):
 *
 *     | width u32 (2, 4 or 8) | count u32 | values ... |      little-endian
 *
 * The width grows when a value needs it and never shrinks. Changing functions return where the set lives now.
 */
#ifndef TRIVET_REDIS_TYPES_INTSET_H
#define TRIVET_REDIS_TYPES_INTSET_H

#include "base/base.h"

#define INTSET_HEADER_BYTES 8

typedef struct intset intset_t;

intset_t *intset_new(void);
/* A heap copy of an image that has passed intset_validate. */
intset_t *intset_from_bytes(bytes_t image);
intset_t *intset_copy(const intset_t *s);
void intset_free(intset_t *s);
uint32_t intset_count(const intset_t *s);
/* The set's image. */
bytes_t intset_bytes(const intset_t *s);
size_t intset_heap_bytes(const intset_t *s);
/* The value at `index` < count, in ascending order. */
int64_t intset_at(const intset_t *s, uint32_t index);
bool intset_has(const intset_t *s, int64_t v);
/* `ret_added` / `ret_removed` say whether the set changed. */
intset_t *intset_add(intset_t *s, int64_t v, bool *ret_added);
intset_t *intset_remove(intset_t *s, int64_t v, bool *ret_removed);
/* ERR_CORRUPT unless well formed, ascending and without repetition. */
int intset_validate(bytes_t image) MUST_CHECK;

#endif
