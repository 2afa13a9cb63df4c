/* hll_fuzz.c: images from a client are refused or can be read and changed without leaving their bytes, and a sparse image
 * and its dense form say the same. */
#include "redis/types/hll.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_both_forms(const hll_t *sparse, bytes_t image)
{
    hll_t dense = *sparse;
    hll_registers_t a = {0}, b = {0};
    uint64_t one, other;
    if (hll_to_dense(&dense)) return;
    bytes_t dense_image = bytes_of(dense.image, dense.len);
    ASSERT(hll_is_image(dense_image));
    int err = hll_merge(&a, image, false);
    if (err == 0) err = hll_merge(&b, dense_image, true);
    if (err == 0) err = hll_estimate(image, false, &one);
    if (err == 0) err = hll_estimate(dense_image, true, &other);
    ASSERT(err == 0 && one == other && memcmp(&a, &b, sizeof(a)) == 0);
}

static void change(hll_t *hll, bytes_t seed, size_t sparse_bytes_max)
{
    for (size_t i = 0; i < 64 && i < seed.len; i++) {
        hll_place_t place = hll_place(bytes_of(seed.ptr + i, seed.len - i));
        if (seed.ptr[i] & 1) place.rank = (uint8_t)(1 + place.rank % 40);
        hll_registers_t before = {0}, after = {0};
        bool whole = hll_merge(&before, bytes_of(hll->image, hll->len), true) == 0, raised;
        int err = hll_raise(hll, place, sparse_bytes_max, &raised);
        if (!whole) continue;
        ASSERT(err == 0 && hll_merge(&after, bytes_of(hll->image, hll->len), true) == 0);
        ASSERT(raised == (before.at[place.index] < place.rank));
        before.at[place.index] = MAX(before.at[place.index], place.rank);
        ASSERT(memcmp(&before, &after, sizeof(before)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static hll_t hll;
    bytes_t image = bytes_of(data, size);
    buf_t text = BUF_INIT;
    uint64_t cardinality;
    if (!hll_is_image(image)) return 0;
    int err = hll_estimate(image, true, &cardinality);
    ASSERT(err == 0 || !hll_is_dense(data));
    if (err == 0 && !hll_is_dense(data)) err = hll_describe(image, &text); /* what sums up is well formed */
    ASSERT(err == 0 || err == ERR_CORRUPT);
    buf_deinit(&text);
    if (hll_load(&hll, image)) return 0;
    if (!hll_is_dense(data)) check_both_forms(&hll, image);
    change(&hll, image, 64 + size % 3000);
    return 0;
}
