/* hash.c: murmur2; CRC-32C is in crc32c.c, the keyed hashes are in siphash.c. See hash.h. */
#include "base/hash.h"

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
