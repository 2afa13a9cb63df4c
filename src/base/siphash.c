/* siphash.c: SipHash-2-4 with a result of 128 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF"): four
 * words that the key sets, each 8 bytes of input stirred in with two rounds, then four more for each half of the result. */
#include "base/hash.h"

typedef struct sip {
    uint64_t a, b, c, d;
} sip_t;

static inline uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static inline void stir(sip_t *s, int rounds)
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

static inline void take(sip_t *s, uint64_t word)
{
    s->d ^= word;
    stir(s, 2);
    s->a ^= word;
}

void hash_128(const uint8_t key[16], const void *data, size_t len, uint64_t ret_hash[2])
{
    const uint8_t *p = data;
    uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
    sip_t s = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du ^ 0xee, k0 ^ 0x6c7967656e657261u,
               k1 ^ 0x7465646279746573u};
    size_t left = len;
    for (; left >= 8; p += 8, left -= 8) take(&s, load_le64(p));
    uint64_t last = (uint64_t)len << 56;
    for (size_t i = 0; i < left; i++) last |= (uint64_t)p[i] << (8 * i);
    take(&s, last);
    s.c ^= 0xee;
    stir(&s, 4);
    ret_hash[0] = s.a ^ s.b ^ s.c ^ s.d;
    s.b ^= 0xdd;
    stir(&s, 4);
    ret_hash[1] = s.a ^ s.b ^ s.c ^ s.d;
}
