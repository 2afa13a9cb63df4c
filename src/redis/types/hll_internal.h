/* hll_internal.h: the registers of a dense HyperLogLog, six bits each, and as bytes (hll_pack.c). */
#ifndef TRIVET_REDIS_TYPES_HLL_INTERNAL_H
#define TRIVET_REDIS_TYPES_HLL_INTERNAL_H

#include "redis/types/hll.h"

/* at[i] = max(at[i], register i). */
void hll__unpack_max(uint8_t at[HLL_REGISTERS], const uint8_t packed[HLL_PACKED_BYTES], bool vectors);
/* Bytes up to 63 only. */
void hll__pack(uint8_t packed[HLL_PACKED_BYTES], const uint8_t at[HLL_REGISTERS], bool vectors);

#endif
