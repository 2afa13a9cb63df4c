/* crc32c.c: CRC-32C by the processor's instruction, where there is one, or by eight tables, eight bytes a step. */
#include "base/crc32c.h"

#include "base/hash.h"

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#define HWCAP_OF_CRC32 (1 << 7) /* the kernel's HWCAP_CRC32 */
#endif

/* ---- tables ------------------------------------------------------------------------------------------------------------
 *
 * tables[k][b] is what byte b does to the checksum when k bytes follow it. That is linear: the entry of a byte is the XOR of the
 * entries of its bits, of which the eight of each table are given here. */

#define ENTRY(n, b0, b1, b2, b3, b4, b5, b6, b7)                                                                       \
    (((n)&1 ? (b0) : 0) ^ ((n)&2 ? (b1) : 0) ^ ((n)&4 ? (b2) : 0) ^ ((n)&8 ? (b3) : 0) ^ ((n)&16 ? (b4) : 0) ^         \
     ((n)&32 ? (b5) : 0) ^ ((n)&64 ? (b6) : 0) ^ ((n)&128 ? (b7) : 0))
#define ENTRIES_4(n, ...)                                                                                              \
    ENTRY(n, __VA_ARGS__), ENTRY((n) + 1, __VA_ARGS__), ENTRY((n) + 2, __VA_ARGS__), ENTRY((n) + 3, __VA_ARGS__)
#define ENTRIES_16(n, ...)                                                                                             \
    ENTRIES_4(n, __VA_ARGS__), ENTRIES_4((n) + 4, __VA_ARGS__), ENTRIES_4((n) + 8, __VA_ARGS__),                       \
        ENTRIES_4((n) + 12, __VA_ARGS__)
#define ENTRIES_64(n, ...)                                                                                             \
    ENTRIES_16(n, __VA_ARGS__), ENTRIES_16((n) + 16, __VA_ARGS__), ENTRIES_16((n) + 32, __VA_ARGS__),                  \
        ENTRIES_16((n) + 48, __VA_ARGS__)
#define TABLE(...)                                                                                                     \
    {                                                                                                                  \
        ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__), ENTRIES_64(128, __VA_ARGS__),                         \
            ENTRIES_64(192, __VA_ARGS__)                                                                               \
    }

static const uint32_t tables[8][256] = {
    TABLE(0xf26b8303u, 0xe13b70f7u, 0xc79a971fu, 0x8ad958cfu, 0x105ec76fu, 0x20bd8edeu, 0x417b1dbcu, 0x82f63b78u),
    TABLE(0x13a29877u, 0x274530eeu, 0x4e8a61dcu, 0x9d14c3b8u, 0x3fc5f181u, 0x7f8be302u, 0xff17c604u, 0xfbc3faf9u),
    TABLE(0xa541927eu, 0x4f6f520du, 0x9edea41au, 0x38513ec5u, 0x70a27d8au, 0xe144fb14u, 0xc76580d9u, 0x8b277743u),
    TABLE(0xdd45aab8u, 0xbf672381u, 0x7b2231f3u, 0xf64463e6u, 0xe964b13du, 0xd725148bu, 0xaba65fe7u, 0x52a0c93fu),
    TABLE(0x38116facu, 0x7022df58u, 0xe045beb0u, 0xc5670b91u, 0x8f2261d3u, 0x1ba8b557u, 0x37516aaeu, 0x6ea2d55cu),
    TABLE(0xef306b19u, 0xdb8ca0c3u, 0xb2f53777u, 0x6006181fu, 0xc00c303eu, 0x85f4168du, 0x0e045bebu, 0x1c08b7d6u),
    TABLE(0x68032cc8u, 0xd0065990u, 0xa5e0c5d1u, 0x4e2dfd53u, 0x9c5bfaa6u, 0x3d5b83bdu, 0x7ab7077au, 0xf56e0ef4u),
    TABLE(0x493c7d27u, 0x9278fa4eu, 0x211d826du, 0x423b04dau, 0x847609b4u, 0x0d006599u, 0x1a00cb32u, 0x34019664u),
};

static uint32_t by_tables(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word = crc ^ load_le64(p);
        crc = 0;
        for (int k = 0; k < 8; k++) crc ^= tables[7 - k][(word >> (8 * k)) & 0xff];
    }
    for (; len; p++, len--) crc = tables[0][(crc ^ *p) & 0xff] ^ (crc >> 8);
    return crc;
}

static bool always(void) { return true; }

/* ---- instructions ------------------------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t by_sse42(uint32_t crc, const uint8_t *p, size_t len)
{
    uint64_t c = crc;
    for (; len >= 8; p += 8, len -= 8) c = _mm_crc32_u64(c, load_le64(p));
    for (; len; p++, len--) c = _mm_crc32_u8((uint32_t)c, *p);
    return (uint32_t)c;
}

static bool has_sse42(void) { return __builtin_cpu_supports("sse4.2"); }
#elif defined(__aarch64__) && defined(__linux__)
/* Spelled out, because compilers do not agree on how a function asks for these instructions alone. */
static inline uint32_t step_8(uint32_t crc, uint64_t word)
{
    __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    return crc;
}

static inline uint32_t step_1(uint32_t crc, uint32_t byte)
{
    __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"(byte));
    return crc;
}

static uint32_t by_armv8(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len >= 8; p += 8, len -= 8) crc = step_8(crc, load_le64(p));
    for (; len; p++, len--) crc = step_1(crc, *p);
    return crc;
}

static bool has_armv8_crc(void) { return getauxval(AT_HWCAP) & HWCAP_OF_CRC32; }
#endif

const crc32c_way_t crc32c_ways[] = {
#if defined(__x86_64__)
    {"SSE 4.2", has_sse42, by_sse42},
#elif defined(__aarch64__) && defined(__linux__)
    {"ARMv8 CRC", has_armv8_crc, by_armv8},
#endif
    {"tables", always, by_tables},
};
const size_t crc32c_ways_count = ARRAY_LEN(crc32c_ways);

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    const crc32c_way_t *way = crc32c_ways;
    while (!way->usable()) way++;
    return ~way->run(~crc, data, len);
}
