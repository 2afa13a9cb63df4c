/* hll_pack.c: registers of six bits to bytes and back: eight at a time in a word of the machine, or 32 with AVX2 where
 * the processor has it. Both ways give the same; the test compares them. */
#include "redis/types/hll_internal.h"

#define GROUP        8 /* registers in six bytes */
#define GROUP_BYTES  6
#define VECTOR       32 /* registers in 24 bytes */
#define VECTOR_BYTES 24

/* ---- words ----------------------------------------------------------------------------------------------------------- */

static uint64_t load_group(const uint8_t *p) { return load_le32(p) | (uint64_t)load_le16(p + 4) << 32; }

/* Doubles the distance in three steps: halves of 24 bits, quarters of 12, registers of 6. */
static uint64_t spread(uint64_t x)
{
    x = (x & 0xffffffu) | (x & 0xffffff000000u) << 8;
    x = (x & 0x00000fff00000fffu) | (x & 0x00fff00000fff000u) << 4;
    return (x & 0x003f003f003f003fu) | (x & 0x0fc00fc00fc00fc0u) << 2;
}

static uint64_t gather(uint64_t x)
{
    x = (x & 0x003f003f003f003fu) | (x & 0x3f003f003f003f00u) >> 2;
    x = (x & 0x00000fff00000fffu) | (x & 0x0fff00000fff0000u) >> 4;
    return (x & 0xffffffu) | (x & 0x00ffffff00000000u) >> 8;
}

static void unpack_words(uint8_t *at, const uint8_t *packed, size_t registers)
{
    for (size_t i = 0; i < registers; i += GROUP, packed += GROUP_BYTES) {
        uint8_t group[GROUP];
        store_le64(group, spread(load_group(packed)));
        for (int k = 0; k < GROUP; k++) at[i + (size_t)k] = MAX(at[i + (size_t)k], group[k]);
    }
}

static void pack_words(uint8_t *packed, const uint8_t *at, size_t registers)
{
    for (size_t i = 0; i < registers; i += GROUP, packed += GROUP_BYTES) {
        uint64_t group = gather(load_le64(at + i));
        store_le32(packed, (uint32_t)group);
        store_le16(packed + 4, (uint16_t)(group >> 32));
    }
}

/* ---- vectors: the last of them would touch what lies behind the image, so words do that part --------------------------- */

#ifdef __x86_64__
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

bool hll_has_vectors(void) { return __builtin_cpu_supports("avx2"); }

/* Each 32 bits take three bytes, whose four registers are then moved apart. */
AVX2 static void unpack_vectors(uint8_t *at, const uint8_t *packed, size_t registers)
{
    const __m256i spread_bytes = _mm256_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1, 0, 1, 2, -1, 3,
                                                  4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1);
    for (size_t i = 0; i < registers; i += VECTOR, packed += VECTOR_BYTES) {
        __m128i low = _mm_loadu_si128((const void *)packed), high = _mm_loadu_si128((const void *)(packed + 12));
        __m256i x = _mm256_shuffle_epi8(_mm256_set_m128i(high, low), spread_bytes);
        __m256i a = _mm256_and_si256(x, _mm256_set1_epi32(0x3f));
        __m256i b = _mm256_and_si256(_mm256_slli_epi32(x, 2), _mm256_set1_epi32(0x3f00));
        __m256i c = _mm256_and_si256(_mm256_slli_epi32(x, 4), _mm256_set1_epi32(0x3f0000));
        __m256i d = _mm256_and_si256(_mm256_slli_epi32(x, 6), _mm256_set1_epi32(0x3f000000));
        x = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
        x = _mm256_max_epu8(x, _mm256_loadu_si256((const void *)(at + i)));
        _mm256_storeu_si256((void *)(at + i), x);
    }
}

/* Pairs of registers become 12 bits, pairs of those 24, whose three bytes are then moved together. */
AVX2 static void pack_vectors(uint8_t *packed, const uint8_t *at, size_t registers)
{
    const __m256i gather_bytes = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5,
                                                  6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (size_t i = 0; i < registers; i += VECTOR, packed += VECTOR_BYTES) {
        __m256i x = _mm256_loadu_si256((const void *)(at + i));
        x = _mm256_maddubs_epi16(x, _mm256_set1_epi16(0x4001));
        x = _mm256_madd_epi16(x, _mm256_set1_epi32(0x10000001));
        x = _mm256_shuffle_epi8(x, gather_bytes);
        _mm_storeu_si128((void *)packed, _mm256_castsi256_si128(x));
        _mm_storeu_si128((void *)(packed + 12), _mm256_extracti128_si256(x, 1));
    }
}
#else
bool hll_has_vectors(void) { return false; }
static void unpack_vectors(uint8_t *at, const uint8_t *packed, size_t registers)
{
    unpack_words(at, packed, registers);
}
static void pack_vectors(uint8_t *packed, const uint8_t *at, size_t registers) { pack_words(packed, at, registers); }
#endif

void hll__unpack_max(uint8_t at[HLL_REGISTERS], const uint8_t packed[HLL_PACKED_BYTES], bool vectors)
{
    size_t wide = vectors && hll_has_vectors() ? HLL_REGISTERS - VECTOR : 0;
    if (wide) unpack_vectors(at, packed, wide);
    unpack_words(at + wide, packed + wide * 6 / 8, HLL_REGISTERS - wide);
}

void hll__pack(uint8_t packed[HLL_PACKED_BYTES], const uint8_t at[HLL_REGISTERS], bool vectors)
{
    size_t wide = vectors && hll_has_vectors() ? HLL_REGISTERS - VECTOR : 0;
    if (wide) pack_vectors(packed, at, wide);
    pack_words(packed + wide * 6 / 8, at + wide, HLL_REGISTERS - wide);
}
