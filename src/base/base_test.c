/* base_test.c: what base/ promises. */
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"
#include "base/fiber.h"
#include "base/hash.h"
#include "base/health.h"
#include "base/map.h"
#include "base/num.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static uint64_t rotated(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static void reference_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotated(v[1], 13) ^ v[0], v[0] = rotated(v[0], 32);
    v[2] += v[3], v[3] = rotated(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotated(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotated(v[1], 17) ^ v[2], v[2] = rotated(v[2], 32);
}

/* SipHash-1-3 as its paper writes it, a byte at a time. */
static uint64_t reference_hash(const uint8_t key[16], const uint8_t *data, size_t len)
{
    uint64_t k0 = load_le64(key), k1 = load_le64(key + 8), word = 0;
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u,
                     k1 ^ 0x7465646279746573u};
    for (size_t i = 0; i <= len; i++) {
        bool last = i == len;
        if (last) word |= (uint64_t)len << 56;
        if (!last) word |= (uint64_t)data[i] << (8 * (i % 8));
        if (!last && i % 8 != 7) continue;
        v[3] ^= word;
        reference_round(v);
        v[0] ^= word;
        word = 0;
    }
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) reference_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void hash_bytes_is_siphash_1_3(void **state)
{
    uint8_t input[64];
    for (size_t i = 0; i < sizeof(input); i++) input[i] = (uint8_t)i;
    hash_seed(input);
    assert_int_equal(hash_bytes(input, 0), 0xabac0158050fc4dcu); /* published, as is the next */
    assert_int_equal(hash_bytes(input, 1), 0xc9f49bf37d57ca93u);
    for (size_t len = 0; len <= sizeof(input); len++)
        assert_int_equal(hash_bytes(input, len), reference_hash(input, input, len));
}

/* A folded multiply of 128 bits maps (a, b) and (~a, ~b) to one value once in a hundred million times, whatever its key: these
 * met under this one. */
static void inputs_and_their_complements_do_not_meet(void **state)
{
    static const uint8_t key[16] = {7, 1, 4, 250, 3, 9, 100, 31, 8, 8, 2, 77, 130, 5, 6, 211};
    static const uint64_t met[][2] = {
        {0x1ecc27cc6af0df74, 0x5555555550e70ff1}, {0x46e76a2c811809b2, 0x555555555306103f},
        {0x17e7672bee239e9c, 0x555555555b158a79}, {0x8c64fc1c9d40a39e, 0x55555555438da3f3},
        {0xae4748b8b140ee6c, 0x55555555799206e9}, {0x74cd4c6825812741, 0x55555555690ad828},
        {0xed87ade635a4d2c9, 0x555555556870d1b0}, {0x6c54511fd400f97d, 0x55555555167ccc9c},
    };
    hash_seed(key);
    for (size_t i = 0; i < ARRAY_LEN(met); i++) {
        const uint64_t complement[2] = {~met[i][0], ~met[i][1]};
        assert_true(hash_bytes(met[i], 16) != hash_bytes(complement, 16));
    }
}

static void text_is_utf_8_without_a_nul(void **state)
{
    static const bytes_t text[] = {BYTES_LIT(""), BYTES_LIT("abc"),
                                   BYTES_LIT("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f")};
    static const bytes_t none[] = {BYTES_LIT("\0"),
                                   BYTES_LIT("a\0b"),
                                   BYTES_LIT("\x80"),
                                   BYTES_LIT("\xc3"),
                                   BYTES_LIT("\xc0\x80"),
                                   BYTES_LIT("\xe0\x80\x80"),
                                   BYTES_LIT("\xed\xa0\x80"),
                                   BYTES_LIT("\xf4\x90\x80\x80"),
                                   BYTES_LIT("\xf8\x88\x80\x80\x80"),
                                   BYTES_LIT("\xc3(")};
    for (size_t i = 0; i < ARRAY_LEN(text); i++) assert_true(bytes_are_text(text[i]));
    for (size_t i = 0; i < ARRAY_LEN(none); i++) assert_false(bytes_are_text(none[i]));
}

static void hash_128_matches_the_published_vectors(void **state)
{
    /* Of the input 00 01 02 ..., 0 and 15 bytes of it, under the key 00 01 ... 0f. */
    static const struct {
        size_t len;
        uint8_t hash[16];
    } cases[] = {
        {0, {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}},
        {15, {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9}},
    };
    uint8_t input[16];
    for (size_t i = 0; i < sizeof(input); i++) input[i] = (uint8_t)i;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t hash[2];
        hash_128(input, input, cases[i].len, hash);
        assert_int_equal(hash[0], load_le64(cases[i].hash));
        assert_int_equal(hash[1], load_le64(cases[i].hash + 8));
    }
}

static void murmur2_matches_the_java_client(void **state)
{
    assert_int_equal((int32_t)murmur2("21", 2), -973932308);
    assert_int_equal((int32_t)murmur2("foobar", 6), -790332482);
    assert_int_equal((int32_t)murmur2("a-little-bit-long-string", 24), -985981536);
}

static void map_keeps_all_keys_through_growth_and_removal(void **state)
{
    map_t map = MAP_INIT;
    char key[32];
    for (uintptr_t i = 1; i <= 1000; i++) {
        int n = snprintf(key, sizeof(key), "key-%zu", (size_t)i);
        assert_null(map_put(&map, bytes_of(key, (size_t)n), (void *)i));
    }
    for (uintptr_t i = 1; i <= 1000; i += 2) {
        int n = snprintf(key, sizeof(key), "key-%zu", (size_t)i);
        assert_ptr_equal(map_remove(&map, bytes_of(key, (size_t)n)), (void *)i);
    }
    for (uintptr_t i = 1; i <= 1000; i++) {
        int n = snprintf(key, sizeof(key), "key-%zu", (size_t)i);
        assert_ptr_equal(map_get(&map, bytes_of(key, (size_t)n)), i % 2 ? NULL : (void *)i);
    }
    assert_int_equal(map.count, 500);
    map_deinit(&map);
}

enum { MODEL_KEYS = 3000 };

static bytes_t model_key(char text[32], uint32_t i) { return bytes_of(text, (size_t)snprintf(text, 32, "key-%u", i)); }

static void expect_each_once(const map_t *map, const uintptr_t *model)
{
    bool seen[MODEL_KEYS] = {0};
    size_t cursor = 0, count = 0;
    for (map_entry_t *e; (e = map_next(map, &cursor)); count++) {
        uint32_t i = (uint32_t)strtoul((const char *)e->key.ptr + 4, NULL, 10);
        assert_false(seen[i]);
        seen[i] = true;
        assert_ptr_equal(e->value, (void *)model[i]);
    }
    assert_int_equal(count, map->count);
}

/* Puts, replaces and removes at random, more of the one while it grows and more of the other while it shrinks, so that it is found in
 * every state of its growth. */
static void a_map_is_what_a_model_of_it_is_also_while_it_grows(void **state)
{
    map_t map = MAP_INIT;
    static uintptr_t model[MODEL_KEYS];
    char text[32];
    uint32_t random = 1;
    for (int step = 1; step <= 30000; step++) {
        random = random * 1664525 + 1013904223;
        uint32_t i = (random >> 8) % MODEL_KEYS, puts_of_8 = step % 10000 < 6000 ? 6 : 2;
        bytes_t key = model_key(text, i);
        if ((random >> 28) % 8 < puts_of_8) {
            assert_ptr_equal(map_put(&map, key, (void *)(uintptr_t)step), (void *)model[i]);
            model[i] = (uintptr_t)step;
        } else {
            assert_ptr_equal(map_remove(&map, key), (void *)model[i]);
            model[i] = 0;
        }
        uint32_t other = (random >> 4) % MODEL_KEYS;
        assert_ptr_equal(map_get(&map, model_key(text, other)), (void *)model[other]);
        if (step % 16 == 0) expect_each_once(&map, model);
    }
    assert_true(map.count > 0);
    map_deinit(&map);
    memset(model, 0, sizeof(model));
}

static void a_map_grows_a_few_entries_a_change(void **state)
{
    map_t map = MAP_INIT;
    char text[32];
    size_t two_tables = 0;
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        size_t left = map.old_cap - map.old_at, cap = map.cap;
        map_put(&map, model_key(text, i), &map);
        if (map.cap == cap) assert_true(left - (map.old_cap - map.old_at) <= 8);
        two_tables += map.old != NULL;
    }
    assert_true(two_tables > MODEL_KEYS / 10);
    map_deinit(&map);
}

static void integers_survive_text_and_back(void **state)
{
    const int64_t cases[] = {0, 1, -1, 9, 10, 99, 100, -100, 12345, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[NUM_I64_CHARS_MAX], expected[32];
        size_t n = num_format_i64(text, cases[i]);
        assert_int_equal(n, snprintf(expected, sizeof(expected), "%" PRId64, cases[i]));
        assert_memory_equal(text, expected, n);
        int64_t back = 7;
        assert_true(num_parse_i64(bytes_of(text, n), &back));
        assert_int_equal(back, cases[i]);
    }
    const char *refused[] = {"",   "-", "+1", " 1", "01", "-0", "1 ", "9223372036854775808", "-9223372036854775809",
                             "1e3"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        int64_t v;
        assert_false(num_parse_i64(bytes_str(refused[i]), &v));
    }
}

static void arena_refuses_more_than_its_bound(void **state)
{
    arena_t arena;
    arena_init(&arena, 1024);
    assert_non_null(arena_try_alloc(&arena, 1000));
    assert_null(arena_try_alloc(&arena, 1000));
    arena_reset(&arena);
    assert_non_null(arena_try_alloc(&arena, 1000));
    arena_deinit(&arena);
}

static void list_troubles(void *user, const char *what, const char *text) { buf_printf(user, "%s: %s\n", what, text); }

static void health_tells_of_each_trouble_until_it_ends(void **state)
{
    health_t health;
    buf_t told = BUF_INIT;
    health_init(&health, "test");
    assert_true(health_ok(&health));
    health_clear(&health, "disk");
    health_raise(&health, "disk", "%d bytes are missing", 1);
    health_raise(&health, "disk", "%d bytes are missing", 2);
    health_raise(&health, "file", "gone");
    health_each(&health, list_troubles, &told);
    buf_u8(&told, 0);
    assert_string_equal((char *)told.ptr, "disk: 2 bytes are missing\nfile: gone\n");
    health_clear(&health, "disk");
    assert_null(health_text(&health, "disk"));
    assert_string_equal(health_text(&health, "file"), "gone");
    assert_false(health_ok(&health));
    health_clear(&health, "file");
    assert_true(health_ok(&health));
    health_deinit(&health);
    buf_deinit(&told);
}

typedef struct walk {
    fiber_t *fiber;
    double sum;
    int rounds;
} walk_t;

static void descend(walk_t *walk, int depth)
{
    volatile double kept = depth * 0.5;
    if (depth == 0) {
        fiber_leave(walk->fiber);
        return;
    }
    descend(walk, depth - 1);
    walk->sum += kept;
}

static void walk_for_ever(void *user)
{
    walk_t *walk = user;
    for (;; walk->rounds++) descend(walk, 100);
}

static void a_fiber_is_left_and_gone_back_to_at_any_depth(void **state)
{
    walk_t walk = {0};
    walk.fiber = fiber_new(KIB(256), walk_for_ever, &walk);
    for (int i = 0; i < 1000; i++) {
        fiber_enter(walk.fiber);
        assert_int_equal(walk.rounds, i);
    }
    assert_true(walk.sum == 999 * 2525.0);
    fiber_free(walk.fiber);
}

/* ---- the end of memory ------------------------------------------------------------------------------------------------ */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their shadows take all address space there is */
enum { NOT_AS_PROMISED = 1 };

static void *ask_arena(size_t bytes)
{
    static arena_t arena; /* it stays, with all that it handed out */
    return arena_alloc(&arena, bytes);
}

static void *ask_buf(size_t bytes)
{
    buf_t buf = BUF_INIT;
    return buf_try_reserve(&buf, bytes) == 0 ? buf.ptr : NULL;
}

static void *ask_realloc(size_t bytes) { return mem_try_realloc(NULL, bytes); }

/* In a process of its own: with no more than some MiB left, asks for `bytes` again and again. */
static _Noreturn void ask_until_the_end(void *(*ask)(size_t bytes), size_t bytes)
{
    struct rlimit limit = {MIB(16), MIB(16)}; /* less than it has: nothing more is mapped */
    if (!freopen("/dev/null", "w", stderr) || setrlimit(RLIMIT_AS, &limit) != 0) _exit(NOT_AS_PROMISED);
    if (mem_try_alloc(MIB(64)) || mem_refused() != 1) _exit(NOT_AS_PROMISED); /* too much is refused, and counted */
    while (ask(bytes)) continue;
    _exit(NOT_AS_PROMISED);
}

static int status_at_the_end(void *(*ask)(size_t bytes), size_t bytes)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) ask_until_the_end(ask, bytes);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void who_is_refused_little_ends_the_process(void **state)
{
    static void *(*const asks[])(size_t bytes) = {mem_try_alloc, ask_realloc, ask_buf, ask_arena};
    for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
        assert_int_equal(status_at_the_end(asks[i], 100), EXIT_OUT_OF_MEMORY);
        assert_int_equal(status_at_the_end(asks[i], KIB(100)), EXIT_OUT_OF_MEMORY);
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hash_bytes_is_siphash_1_3),
        cmocka_unit_test(inputs_and_their_complements_do_not_meet),
        cmocka_unit_test(text_is_utf_8_without_a_nul),
        cmocka_unit_test(hash_128_matches_the_published_vectors),
        cmocka_unit_test(murmur2_matches_the_java_client),
        cmocka_unit_test(map_keeps_all_keys_through_growth_and_removal),
        cmocka_unit_test(a_map_is_what_a_model_of_it_is_also_while_it_grows),
        cmocka_unit_test(a_map_grows_a_few_entries_a_change),
        cmocka_unit_test(integers_survive_text_and_back),
        cmocka_unit_test(arena_refuses_more_than_its_bound),
        cmocka_unit_test(a_fiber_is_left_and_gone_back_to_at_any_depth),
        cmocka_unit_test(health_tells_of_each_trouble_until_it_ends),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(who_is_refused_little_ends_the_process),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
