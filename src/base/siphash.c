/* siphash.c: the SipHash family (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): four words that the key sets, each
 * 8 bytes of input stirred in, and a few rounds more for the result. Tables take SipHash-1-3 of 64 bits, one round a word and
 * three at the end; what must not collide at all takes SipHash-2-4 of 128 bits. */
#include "base/hash.h"

typedef struct sip {
    uint64_t a, b, c, d;
} sip_t;

static inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline __attribute__((always_inline)) void stir(sip_t *s, int rounds)
{
    for (; rounds > 0; rounds--) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

static inline __attribute__((always_inline)) void take(sip_t *s, uint64_t word, int rounds)
{
    s->d ^= word;
    stir(s, rounds);
    s->a ^= word;
}

static inline sip_t begin(uint64_t k0, uint64_t k1)
{
    return (sip_t){k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                   k1 ^ 0x7465646279746573u};
}

/* The last word: up to 7 bytes that are left, and the length. Loads that overlap bring the same bytes twice. */
static inline uint64_t last_word(const uint8_t *p, size_t left, size_t len)
{
    uint64_t word = (uint64_t)len << 56;
    if (left >= 4) return word | load_le32(p) | (uint64_t)load_le32(p + left - 4) << (8 * (left - 4));
    if (left == 0) return word;
    size_t middle = left >> 1, last = left - 1;
    return word | p[0] | (uint64_t)p[middle] << (8 * middle) | (uint64_t)p[last] << (8 * last);
}

/* ---- for tables ------------------------------------------------------------------------------------------------------ */

static uint64_t seed[2] = {0x9e3779b97f4a7c15u, 0xc2b2ae3d27d4eb4fu};

void hash_seed(const uint8_t bytes[16])
{
    seed[0] = load_le64(bytes);
    seed[1] = load_le64(bytes + 8);
}

uint64_t hash_bytes(const void *data, size_t len)
{
    const uint8_t *p = data;
    sip_t s = begin(seed[0], seed[1]);
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8) take(&s, load_le64(p), 1);
    take(&s, last_word(p, left, len), 1);
    s.c ^= 0xff;
    stir(&s, 3);
    return s.a ^ s.b ^ s.c ^ s.d;
}

/* ---- for what keeps no keys ------------------------------------------------------------------------------------------ */

void hash_128(const uint8_t key[16], const void *data, size_t len, uint64_t ret_hash[2])
{
    const uint8_t *p = data;
    sip_t s = begin(load_le64(key), load_le64(key + 8));
    s.b ^= 0xee;
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8) take(&s, load_le64(p), 2);
    take(&s, last_word(p, left, len), 2);
    s.c ^= 0xee;
    stir(&s, 4);
    ret_hash[0] = s.a ^ s.b ^ s.c ^ s.d;
    s.b ^= 0xdd;
    stir(&s, 4);
    ret_hash[1] = s.a ^ s.b ^ s.c ^ s.d;
}
