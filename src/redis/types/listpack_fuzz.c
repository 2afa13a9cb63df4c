/* listpack_fuzz.c: what passes validation can be walked, searched and changed without leaving its bytes; so
 * can an intset. */
#include "redis/types/intset.h"
#include "redis/types/listpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk_listpack(bytes_t image)
{
    uint8_t *lp = lp_from_bytes(image);
    size_t forward = 0, backward = 0;
    char room[NUM_I64_CHARS_MAX];
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        (void)lp_text(p, room);
        forward++;
    }
    for (const uint8_t *p = lp_last(lp); p; p = lp_prev(lp, p)) backward++;
    ASSERT(forward == backward && lp_count(lp) == forward);
    (void)lp_find(lp_first(lp), BYTES_LIT("12"), 1);
    lp = lp_prepend(lp, BYTES_LIT("front"));
    lp = lp_append(lp, BYTES_LIT("back"));
    lp = lp_delete_range(lp, (int64_t)forward / 2, 3);
    ASSERT(lp_validate(bytes_of(lp, lp_bytes(lp))) == 0);
    lp_free(lp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes_t image = bytes_of(data, size);
    if (size == 0) return 0;
    if (lp_validate(image) == 0) walk_listpack(image);
    if (intset_validate(image) == 0) {
        bool changed;
        intset_t *s = intset_from_bytes(image);
        ASSERT(intset_has(s, intset_at(s, 0)));
        s = intset_add(s, INT64_MIN, &changed);
        s = intset_remove(s, INT64_MIN, &changed);
        ASSERT(changed);
        intset_free(s);
    }
    return 0;
}
