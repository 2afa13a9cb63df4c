/* hll.c: see hll.h. What the wide registers do is in hll_pack.c. */
#include "redis/types/hll.h"

#include "redis/types/hll_internal.h"

#include <math.h>

#define HASH_SEED     0xadc83b19u
#define RANK_BITS     (64 - HLL_BITS) /* of a hash, behind the index */
#define STALE         0x80
#define ZERO_LEN_MAX  64
#define VAL_RANK_MAX  32
#define VAL_LEN_MAX   4
#define MERGE_OPS_MAX 5 /* runs that are looked at for merging after a change */

/* ---- hashing: MurmurHash2, 64 bits ----------------------------------------------------------------------------------- */

static uint64_t hash_tail(const uint8_t *p, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++) word |= (uint64_t)p[i] << 8 * i;
    return word;
}

static uint64_t hash_element(bytes_t element)
{
    const uint64_t m = 0xc6a4a7935bd1e995u;
    const uint8_t *p = element.ptr;
    size_t left = element.len;
    uint64_t h = HASH_SEED ^ (uint64_t)(int64_t)(int)element.len * m;
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t k = load_le64(p) * m;
        k = (k ^ k >> 47) * m;
        h = (h ^ k) * m;
    }
    if (left) h = (h ^ hash_tail(p, left)) * m;
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

hll_place_t hll_place(bytes_t element)
{
    uint64_t h = hash_element(element);
    uint64_t rest = h >> HLL_BITS | (uint64_t)1 << RANK_BITS;
    return (hll_place_t){(uint32_t)(h & (HLL_REGISTERS - 1)), (uint8_t)(__builtin_ctzll(rest) + 1)};
}

/* ---- the header ------------------------------------------------------------------------------------------------------ */

bool hll_is_image(bytes_t image)
{
    if (image.len < HLL_HEADER_BYTES || memcmp(image.ptr, "HYLL", 4) != 0 || image.ptr[4] > HLL_SPARSE) return false;
    return !hll_is_dense(image.ptr) || image.len == HLL_DENSE_BYTES;
}

bool hll_cached(const uint8_t *image, uint64_t *ret_cardinality)
{
    if (image[15] & STALE) return false;
    *ret_cardinality = load_le64(image + 8);
    return true;
}

void hll_cache(uint8_t *image, uint64_t cardinality) { store_le64(image + 8, cardinality); }
void hll_set_stale(uint8_t *image) { image[15] |= STALE; }

/* ---- sparse runs ----------------------------------------------------------------------------------------------------- */

typedef struct run {
    uint32_t count; /* registers */
    uint8_t rank;   /* 0: zeros */
    uint8_t bytes;
} run_t;

/* False at bytes that are no run. */
static bool read_run(const uint8_t *p, const uint8_t *end, run_t *ret)
{
    if (*p & 0x80)
        *ret = (run_t){(*p & 3u) + 1, (uint8_t)((*p >> 2 & 31) + 1), 1};
    else if (!(*p & 0x40))
        *ret = (run_t){(*p & 63u) + 1, 0, 1};
    else if (end - p >= 2)
        *ret = (run_t){((*p & 63u) << 8 | p[1]) + 1, 0, 2};
    else
        return false;
    return true;
}

static uint8_t *put_val(uint8_t *p, uint32_t rank, uint32_t count)
{
    *p = (uint8_t)(0x80 | (rank - 1) << 2 | (count - 1));
    return p + 1;
}

/* A run of `count` registers as the original chooses it; none for 0. */
static uint8_t *put_run(uint8_t *p, uint32_t rank, uint32_t count)
{
    if (count == 0) return p;
    if (rank) return put_val(p, rank, count);
    if (count > ZERO_LEN_MAX) {
        *p++ = (uint8_t)(0x40 | (count - 1) >> 8);
        *p++ = (uint8_t)(count - 1);
    } else {
        *p++ = (uint8_t)(count - 1);
    }
    return p;
}

/* Gives each run to `each`; the runs must make up all registers. */
static int each_run(bytes_t image, void (*each)(void *user, uint32_t index, run_t run), void *user)
{
    const uint8_t *p = image.ptr + HLL_HEADER_BYTES, *end = image.ptr + image.len;
    uint32_t index = 0;
    run_t run;
    for (; p < end; p += run.bytes, index += run.count) {
        if (!read_run(p, end, &run) || run.count > HLL_REGISTERS - index) return ERR_CORRUPT;
        each(user, index, run);
    }
    return index == HLL_REGISTERS ? 0 : ERR_CORRUPT;
}

void hll_init(hll_t *hll)
{
    memset(hll->image, 0, HLL_HEADER_BYTES);
    memcpy(hll->image, "HYLL", 4);
    hll->image[4] = HLL_SPARSE;
    hll->len = (size_t)(put_run(hll->image + HLL_HEADER_BYTES, 0, HLL_REGISTERS) - hll->image);
}

int hll_load(hll_t *hll, bytes_t image)
{
    if (image.len > HLL_SPARSE_BYTES_MAX) return ERR_CORRUPT;
    memcpy(hll->image, image.ptr, image.len);
    hll->len = image.len;
    return 0;
}

/* ---- changing a sparse image ----------------------------------------------------------------------------------------- */

/* The run that a register lies in. */
typedef struct found {
    uint8_t *p, *prev; /* `prev` NULL: the first */
    uint32_t first;    /* its first register */
    run_t run;
} found_t;

static bool find_run(hll_t *hll, uint32_t index, found_t *f)
{
    uint8_t *end = hll->image + hll->len;
    *f = (found_t){.p = hll->image + HLL_HEADER_BYTES};
    for (; f->p < end; f->prev = f->p, f->p += f->run.bytes, f->first += f->run.count) {
        if (!read_run(f->p, end, &f->run)) return false;
        if (index - f->first < f->run.count) return true;
    }
    return false;
}

/* Merges neighbours of one rank, near the change only, as the original does. */
static void merge_runs(hll_t *hll, uint8_t *p)
{
    run_t run, next;
    for (int i = 0; i < MERGE_OPS_MAX; i++) {
        uint8_t *end = hll->image + hll->len;
        if (p >= end || !read_run(p, end, &run)) return;
        bool pair = run.rank && p + 1 < end && read_run(p + 1, end, &next) && next.rank == run.rank &&
                    run.count + next.count <= VAL_LEN_MAX;
        if (!pair) {
            p += run.bytes;
            continue;
        }
        put_val(p + 1, run.rank, run.count + next.count);
        memmove(p, p + 1, (size_t)(end - p) - 1);
        hll->len--;
    }
}

/* Puts the register's own run in the middle of what it was part of; false when the image would grow too long. */
static bool split_run(hll_t *hll, const found_t *f, hll_place_t place, size_t sparse_bytes_max)
{
    uint8_t runs[HLL_SPLIT_BYTES_MAX + 2];
    uint32_t before = place.index - f->first, behind = f->run.count - before - 1;
    uint8_t *end = put_val(put_run(runs, f->run.rank, before), place.rank, 1);
    end = put_run(end, f->run.rank, behind);
    size_t bytes = (size_t)(end - runs), len = hll->len - f->run.bytes + bytes;
    if (len > hll->len && len > sparse_bytes_max) return false;
    uint8_t *rest = f->p + f->run.bytes;
    memmove(f->p + bytes, rest, (size_t)(hll->image + hll->len - rest));
    memcpy(f->p, runs, bytes);
    hll->len = len;
    return true;
}

static int raise_densely(hll_t *hll, hll_place_t place, bool *ret_raised)
{
    int err = hll_to_dense(hll);
    if (err) return err;
    *ret_raised = hll_dense_raise(hll->image, place);
    return 0;
}

int hll_raise(hll_t *hll, hll_place_t place, size_t sparse_bytes_max, bool *ret_raised)
{
    found_t f;
    if (hll_is_dense(hll->image) || place.rank > VAL_RANK_MAX) return raise_densely(hll, place, ret_raised);
    if (!find_run(hll, place.index, &f)) return ERR_CORRUPT;
    *ret_raised = f.run.rank < place.rank;
    if (!*ret_raised) return 0;
    bool room = hll->len + HLL_SPLIT_BYTES_MAX <= sizeof(hll->image);
    if (!room || !split_run(hll, &f, place, sparse_bytes_max)) return raise_densely(hll, place, ret_raised);
    merge_runs(hll, f.prev ? f.prev : hll->image + HLL_HEADER_BYTES);
    hll_set_stale(hll->image);
    return 0;
}

/* ---- dense ----------------------------------------------------------------------------------------------------------- */

/* A register lies in two bytes; the last one ends with its first. */
static unsigned dense_load(const uint8_t *packed, uint32_t index, uint32_t *ret_byte)
{
    uint32_t byte = *ret_byte = index * 6 / 8;
    return packed[byte] | (byte + 1 < HLL_PACKED_BYTES ? packed[byte + 1] : 0u) << 8;
}

bool hll_dense_raise(uint8_t *image, hll_place_t place)
{
    uint8_t *packed = image + HLL_HEADER_BYTES;
    uint32_t byte, shift = place.index * 6 % 8;
    unsigned pair = dense_load(packed, place.index, &byte);
    if ((pair >> shift & 63) >= place.rank) return false;
    pair = (pair & ~(63u << shift)) | (unsigned)place.rank << shift;
    packed[byte] = (uint8_t)pair;
    if (byte + 1 < HLL_PACKED_BYTES) packed[byte + 1] = (uint8_t)(pair >> 8);
    return true;
}

static void raise_run(void *user, uint32_t index, run_t run)
{
    hll_registers_t *registers = user;
    if (run.rank == 0) return;
    for (uint32_t i = index; i < index + run.count; i++) registers->at[i] = MAX(registers->at[i], run.rank);
}

int hll_to_dense(hll_t *hll)
{
    hll_registers_t registers = {0};
    if (hll_is_dense(hll->image)) return 0;
    int err = each_run(bytes_of(hll->image, hll->len), raise_run, &registers);
    if (err) return err;
    hll->image[4] = HLL_DENSE;
    hll->len = HLL_DENSE_BYTES;
    hll_pack(hll->image, &registers, false);
    return 0;
}

int hll_merge(hll_registers_t *registers, bytes_t image, bool vectors)
{
    if (!hll_is_dense(image.ptr)) return each_run(image, raise_run, registers);
    hll__unpack_max(registers->at, image.ptr + HLL_HEADER_BYTES, vectors);
    return 0;
}

void hll_pack(uint8_t *image, const hll_registers_t *registers, bool vectors)
{
    hll__pack(image + HLL_HEADER_BYTES, registers->at, vectors);
}

/* ---- the estimate: O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284 -------- */

static double sigma(double x)
{
    if (x == 1.0) return INFINITY;
    double y = 1, z = x, before;
    do {
        x *= x;
        before = z;
        z += x * y;
        y += y;
    } while (before != z);
    return z;
}

static double tau(double x)
{
    if (x == 0.0 || x == 1.0) return 0;
    double y = 1, z = 1 - x, before;
    do {
        x = sqrt(x);
        before = z;
        y *= 0.5;
        z -= pow(1 - x, 2) * y;
    } while (before != z);
    return z / 3;
}

/* How many registers have each rank. */
typedef struct histogram {
    uint32_t of[HLL_RANKS];
} histogram_t;

static uint64_t estimate(const histogram_t *h)
{
    const double m = HLL_REGISTERS, alpha_inf = 0.721347520444481703680; /* 0.5 / ln 2 */
    double z = m * tau((m - h->of[RANK_BITS + 1]) / m);
    for (int rank = RANK_BITS; rank >= 1; rank--) {
        z += h->of[rank];
        z *= 0.5;
    }
    z += m * sigma(h->of[0] / m);
    /* Registers that no hash makes divide by zero; the original then says what a cast on x86 makes of infinity. */
    double cardinality = alpha_inf * m * m / z;
    return cardinality < 9.2e18 ? (uint64_t)llroundl((long double)cardinality) : (uint64_t)INT64_MIN;
}

/* Four tables, so that equal neighbours do not wait for one another. */
static void count_ranks(const uint8_t *at, histogram_t *ret)
{
    histogram_t part[4] = {0};
    for (int i = 0; i < HLL_REGISTERS; i += 4) {
        for (int k = 0; k < 4; k++) part[k].of[at[i + k]]++;
    }
    for (int rank = 0; rank < HLL_RANKS; rank++)
        ret->of[rank] = part[0].of[rank] + part[1].of[rank] + part[2].of[rank] + part[3].of[rank];
}

uint64_t hll_estimate_registers(const hll_registers_t *registers)
{
    histogram_t h;
    count_ranks(registers->at, &h);
    return estimate(&h);
}

static void count_run(void *user, uint32_t index, run_t run)
{
    (void)index;
    ((histogram_t *)user)->of[run.rank] += run.count;
}

int hll_estimate(bytes_t image, bool vectors, uint64_t *ret_cardinality)
{
    if (hll_is_dense(image.ptr)) {
        hll_registers_t registers = {0};
        hll__unpack_max(registers.at, image.ptr + HLL_HEADER_BYTES, vectors);
        *ret_cardinality = hll_estimate_registers(&registers);
        return 0;
    }
    histogram_t h = {0};
    int err = each_run(image, count_run, &h);
    if (err) return err;
    *ret_cardinality = estimate(&h);
    return 0;
}

int hll_describe(bytes_t image, buf_t *out)
{
    const uint8_t *p = image.ptr + HLL_HEADER_BYTES, *end = image.ptr + image.len;
    run_t run;
    for (; p < end; p += run.bytes) {
        if (!read_run(p, end, &run)) return ERR_CORRUPT;
        if (p > image.ptr + HLL_HEADER_BYTES) buf_u8(out, ' ');
        if (run.rank)
            buf_printf(out, "v:%u,%u", run.rank, run.count);
        else
            buf_printf(out, "%c:%u", run.bytes == 2 ? 'Z' : 'z', run.count);
    }
    return 0;
}
