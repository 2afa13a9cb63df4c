/* crc32c_test.c: each way to compute CRC-32C that this machine has, against published vectors and against the definition. */
#include "base/crc32c.h"
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BYTES_MAX 300
#define ROUNDS    20000

/* RFC 3720, appendix B.4, and the catalogue's check value. */
static void ways_give_the_published_vectors(void **state)
{
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++) up[i] = (uint8_t)i, down[i] = (uint8_t)(31 - i);
    const struct {
        bytes_t data;
        uint32_t crc;
    } vectors[] = {{bytes_of(zeros, 32), 0x8a9136aa},    {bytes_of(ones, 32), 0x62a8ab43},
                   {bytes_of(up, 32), 0x46dd794e},       {bytes_of(down, 32), 0x113fdb5c},
                   {BYTES_LIT("123456789"), 0xe3069283}, {BYTES_LIT(""), 0}};
    int usable = 0;
    for (size_t w = 0; w < crc32c_ways_count; w++) {
        if (!crc32c_ways[w].usable()) continue;
        usable++;
        for (size_t v = 0; v < ARRAY_LEN(vectors); v++)
            if (~crc32c_ways[w].run(UINT32_MAX, vectors[v].data.ptr, vectors[v].data.len) != vectors[v].crc)
                fail_msg("%s, vector %zu", crc32c_ways[w].name, v);
    }
    assert_true(usable >= 1 && crc32c_ways[crc32c_ways_count - 1].usable());
    assert_string_equal(crc32c_ways[crc32c_ways_count - 1].name, "tables");
}

static uint32_t by_definition(uint32_t crc, const uint8_t *p, size_t len)
{
    for (; len; p++, len--) {
        crc ^= *p;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void ways_agree_at_every_length_and_alignment(void **state)
{
    uint8_t data[BYTES_MAX];
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof(data); i++) data[i] = (uint8_t)next_random(&seed);
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = next_random(&seed) % 16, len = next_random(&seed) % (BYTES_MAX - 16);
        uint32_t before = next_random(&seed), wanted = by_definition(before, data + at, len);
        for (size_t w = 0; w < crc32c_ways_count; w++)
            if (crc32c_ways[w].usable() && crc32c_ways[w].run(before, data + at, len) != wanted)
                fail_msg("%s, %zu bytes at %zu", crc32c_ways[w].name, len, at);
    }
}

static void a_checksum_goes_on_where_it_stopped(void **state)
{
    uint32_t first = crc32c(0, "1234", 4);
    assert_int_equal(crc32c(first, "56789", 5), 0xe3069283u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ways_give_the_published_vectors),
        cmocka_unit_test(ways_agree_at_every_length_and_alignment),
        cmocka_unit_test(a_checksum_goes_on_where_it_stopped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
