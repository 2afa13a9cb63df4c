/* hll.h: HyperLogLogs with Redis's own bytes, which are the value of a string key.
 *
 *     +------+----------+--------+--------------------+-----------+
 *     | HYLL | encoding | 0 0 0  | cardinality u64 LE | registers |     highest bit of the cardinality: it is stale
 *     +------+----------+--------+--------------------+-----------+
 *
 * Dense: 16,384 registers of 6 bits, the lowest bits of a byte first. Sparse: runs of registers in order,
 *
 *     00nnnnnn           n + 1 zeros (ZERO)
 *     01nnnnnn nnnnnnnn  n + 1 zeros (XZERO)
 *     1vvvvvnn           n + 1 registers of v + 1 (VAL)
 *
 * How a run is split and what is merged afterwards decides the bytes, so it is done as the original does it. All
 * functions are total: bytes from a client end in ERR_CORRUPT and never outside of the image. */
#ifndef TRIVET_REDIS_TYPES_HLL_H
#define TRIVET_REDIS_TYPES_HLL_H

#include "base/base.h"
#include "base/buf.h"

#define HLL_BITS         14
#define HLL_REGISTERS    (1 << HLL_BITS)
#define HLL_RANKS        64 /* a register's values, of which hashes make 0 to 51 */
#define HLL_HEADER_BYTES 16
#define HLL_PACKED_BYTES (HLL_REGISTERS * 6 / 8)
#define HLL_DENSE_BYTES  (HLL_HEADER_BYTES + HLL_PACKED_BYTES)
/* A run has a register at least and two bytes at most: whatever is longer is corrupt. */
#define HLL_SPARSE_BYTES_MAX (HLL_HEADER_BYTES + 2 * HLL_REGISTERS)
#define HLL_SPLIT_BYTES_MAX  3 /* by which one change lengthens a sparse image */

enum { HLL_DENSE = 0, HLL_SPARSE = 1 };

/* An image that is being changed. */
typedef struct hll {
    size_t len;
    uint8_t image[HLL_SPARSE_BYTES_MAX + HLL_SPLIT_BYTES_MAX];
} hll_t;

/* Where an element is counted: the register is raised to the rank. */
typedef struct hll_place {
    uint32_t index;
    uint8_t rank;
} hll_place_t;
hll_place_t hll_place(bytes_t element);

/* The header is one, and a dense image has its length. */
bool hll_is_image(bytes_t image);
static inline bool hll_is_dense(const uint8_t *image) { return image[4] == HLL_DENSE; }
/* False when the cardinality must be estimated anew. */
bool hll_cached(const uint8_t *image, uint64_t *ret_cardinality);
void hll_cache(uint8_t *image, uint64_t cardinality);
void hll_set_stale(uint8_t *image);

void hll_init(hll_t *hll); /* empty and sparse */
int hll_load(hll_t *hll, bytes_t image) MUST_CHECK;
/* Raises a register unless it is as high already. A sparse image that would pass `sparse_bytes_max` becomes dense. */
int hll_raise(hll_t *hll, hll_place_t place, size_t sparse_bytes_max, bool *ret_raised) MUST_CHECK;
int hll_to_dense(hll_t *hll) MUST_CHECK;
bool hll_dense_raise(uint8_t *image, hll_place_t place);

/* ---- all registers, a byte each ------------------------------------------------------------------------------------- */

typedef struct hll_registers {
    uint8_t at[HLL_REGISTERS];
} hll_registers_t;

/* Raises each register to the image's. `vectors`: with the processor's wide registers, where it has them. */
int hll_merge(hll_registers_t *registers, bytes_t image, bool vectors) MUST_CHECK;
/* Writes the registers into a dense image. */
void hll_pack(uint8_t *image, const hll_registers_t *registers, bool vectors);
uint64_t hll_estimate_registers(const hll_registers_t *registers);
int hll_estimate(bytes_t image, bool vectors, uint64_t *ret_cardinality) MUST_CHECK;
bool hll_has_vectors(void);

/* The runs of a sparse image as text: "Z:n", "z:n", "v:value,n". */
int hll_describe(bytes_t image, buf_t *out) MUST_CHECK;

#endif
