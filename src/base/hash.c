/* hash.c: see hash.h. The keyed hash mixes 128-bit products (the folded-multiply family): one multiply for each 16
 * bytes, which measures near memory speed for the short keys that tables hold. */
#include "base/hash.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

static uint64_t seed_a = 0x9e3779b97f4a7c15u, seed_b = 0xc2b2ae3d27d4eb4fu;

void hash_seed(const uint8_t seed[16])
{
    seed_a = load_le64(seed) | 1;
    seed_b = load_le64(seed + 8) | 1;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t h = seed_a ^ fold(len ^ seed_b, 0xa0761d6478bd642fu);
    size_t left = len;
    while (left > 16) {
        h = fold(load_le64(p) ^ seed_b, load_le64(p + 8) ^ h);
        p += 16;
        left -= 16;
    }
    uint64_t a = 0, b = 0;
    if (left >= 8) {
        a = load_le64(p);
        b = load_le64(p + left - 8);
    } else if (left >= 4) {
        a = load_le32(p);
        b = load_le32(p + left - 4);
    } else if (left > 0) {
        a = ((uint64_t)p[0] << 16) | ((uint64_t)p[left >> 1] << 8) | p[left - 1];
    }
    h = fold(a ^ seed_b ^ 0xe7037ed1a0b428dbu, b ^ h);
    return fold(h ^ 0x8ebc6af09c88c6e3u, seed_a ^ len);
}

uint32_t murmur2(const void *data, size_t len)
{
    const uint32_t m = 0x5bd1e995;
    const uint8_t *p = data;
    uint32_t h = 0x9747b28cu ^ (uint32_t)len;
    size_t left = len;
    for (; left >= 4; p += 4, left -= 4) {
        uint32_t k = load_le32(p);
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = (h * m) ^ k;
    }
    if (left == 3) h ^= (uint32_t)p[2] << 16;
    if (left >= 2) h ^= (uint32_t)p[1] << 8;
    if (left >= 1) h = (h ^ p[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}

static uint32_t crc32c_table(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len; p++, len--) {
        crc ^= *p;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
    uint64_t c = crc;
    for (; len >= 8; p += 8, len -= 8) c = _mm_crc32_u64(c, load_le64(p));
    for (; len; p++, len--) c = _mm_crc32_u8((uint32_t)c, *p);
    return (uint32_t)c;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    crc = ~crc;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) return ~crc32c_sse42(crc, data, len);
#endif
    return ~crc32c_table(crc, data, len);
}
