/* value_test.c: hashes, sets, sorted sets and lists against plain arrays, across their changes of encoding;
 * copies, sampling and what an AOF rewrite emits. */
#include "redis/types/hash.h"
#include "redis/types/list.h"
#include "redis/types/sample.h"
#include "redis/types/set.h"
#include "redis/types/zset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "redis/types/emit.h"
#include "redis/types/intset.h"

#define NAMES 600

static const redis_config_t config = {
    .hash_max_listpack_entries = 64,
    .hash_max_listpack_value = 32,
    .set_max_intset_entries = 64,
    .set_max_listpack_entries = 40,
    .set_max_listpack_value = 32,
    .zset_max_listpack_entries = 40,
    .zset_max_listpack_value = 32,
    .list_max_listpack_size = -2,
};

static uint64_t next_random(void *user) { return (uint64_t)rand() << 31 ^ (uint64_t)rand(); }
static const rng_t rng = {next_random, NULL};

static bytes_t name_of(int i, char out[32]) { return bytes_of(out, (size_t)sprintf(out, i % 3 ? "name%d" : "%d", i)); }

/* ---- hashes ------------------------------------------------------------------------------ */

typedef struct hash_model {
    int values[NAMES]; /* 0 = absent */
    size_t count;
} hash_model_t;

static void check_hash(value_t v, const hash_model_t *m)
{
    char name[32], text[32], room[NUM_I64_CHARS_MAX];
    bytes_t got;
    assert_int_equal(hash_length(v), m->count);
    for (int i = 0; i < NAMES; i++) {
        bool present = hash_get(v, name_of(i, name), HASH_ALL, room, &got);
        assert_int_equal(present, m->values[i] != 0);
        if (present) assert_true(bytes_eq(got, bytes_of(text, (size_t)sprintf(text, "%d", m->values[i]))));
    }
}

static void a_hash_behaves_as_a_map(void **state)
{
    char name[32], text[32];
    for (int size = 30; size <= NAMES; size += 190) {
        hash_model_t m = {.count = 0};
        value_t v = hash_new();
        for (int i = 0; i < 6000; i++) {
            int at = rand() % size;
            if (rand() % 3) {
                int value = rand() % 1000000 + 1;
                bytes_t b = bytes_of(text, (size_t)sprintf(text, "%d", value));
                assert_int_equal(hash_set(&v, name_of(at, name), b, &config), m.values[at] == 0);
                m.count += m.values[at] == 0;
                m.values[at] = value;
            } else {
                assert_int_equal(hash_delete(&v, name_of(at, name)), m.values[at] != 0);
                m.count -= m.values[at] != 0;
                m.values[at] = 0;
            }
        }
        check_hash(v, &m);
        assert_int_equal(v.encoding, size > 200 ? ENC_HASHTABLE : v.encoding);
        value_t copy = {hash_type_ops.copy(v.ptr, v.encoding), v.encoding};
        hash_type_ops.free(v.ptr, v.encoding);
        check_hash(copy, &m);
        assert_true(hash_type_ops.memory_bytes(copy.ptr, copy.encoding, 5) > m.count * 4);
        hash_type_ops.free(copy.ptr, copy.encoding);
    }
}

static void a_hash_leaves_the_listpack_as_configured(void **state)
{
    char name[32], long_text[40] = {0};
    value_t v = hash_new();
    for (int i = 0; i < 64; i++) hash_set(&v, name_of(i, name), BYTES_LIT("v"), &config);
    assert_int_equal(v.encoding, ENC_LISTPACK);
    hash_set(&v, BYTES_LIT("one more"), BYTES_LIT("v"), &config);
    assert_int_equal(v.encoding, ENC_HASHTABLE);
    hash_type_ops.free(v.ptr, v.encoding);
    v = hash_new();
    hash_set(&v, BYTES_LIT("f"), bytes_of(long_text, 32), &config);
    assert_int_equal(v.encoding, ENC_LISTPACK);
    hash_set(&v, BYTES_LIT("f"), bytes_of(long_text, 33), &config);
    assert_int_equal(v.encoding, ENC_HASHTABLE);
    hash_type_ops.free(v.ptr, v.encoding);
}

static void long_fields_and_values_survive(void **state)
{
    static char big[70000];
    char room[NUM_I64_CHARS_MAX];
    bytes_t got;
    value_t v = hash_new();
    for (size_t n = 250; n < 260; n++) {
        memset(big, (int)n, sizeof(big));
        hash_set(&v, bytes_of(big, n), bytes_of(big, 70000 - n), &config);
        assert_true(hash_get(v, bytes_of(big, n), HASH_ALL, room, &got));
        assert_true(bytes_eq(got, bytes_of(big, 70000 - n)));
    }
    hash_type_ops.free(v.ptr, v.encoding);
}

/* ---- sets -------------------------------------------------------------------------------- */

static void mark_member(void *user, bytes_t member)
{
    bool *seen = user;
    char text[32] = {0};
    memcpy(text, member.ptr, member.len);
    int i = atoi(text + (text[0] == 'n' ? 4 : 0));
    assert_false(seen[i]);
    seen[i] = true;
}

static void a_set_behaves_as_a_set(void **state)
{
    char name[32];
    for (int size = 20; size <= NAMES; size += 290) {
        for (int numbers = 0; numbers < 2; numbers++) {
            bool have[NAMES] = {0}, seen[NAMES] = {0};
            size_t count = 0;
            value_t v = {intset_new(), ENC_INTSET};
            for (int i = 0; i < 5000; i++) {
                int at = rand() % size, add = rand() % 2;
                bytes_t member = numbers ? bytes_of(name, (size_t)sprintf(name, "%d", at)) : name_of(at, name);
                assert_int_equal(add ? set_add(&v, member, &config) : set_remove(&v, member), have[at] != add);
                count += (size_t)((have[at] != add) * (add ? 1 : -1));
                have[at] = add;
                assert_int_equal(set_length(v), count);
                assert_int_equal(set_has(v, member), add);
            }
            if (numbers && size < 60) assert_int_equal(v.encoding, ENC_INTSET);
            value_t copy = {set_type_ops.copy(v.ptr, v.encoding), v.encoding};
            set_free(v);
            set_each(copy, mark_member, seen);
            assert_memory_equal(seen, have, sizeof(have));
            set_free(copy);
        }
    }
}

static void a_set_changes_its_encoding_as_redis_does(void **state)
{
    char name[32];
    value_t v = set_new_for(BYTES_LIT("1"), 1, &config);
    assert_int_equal(v.encoding, ENC_INTSET);
    set_add(&v, BYTES_LIT("1"), &config);
    set_add(&v, BYTES_LIT("a"), &config);
    assert_int_equal(v.encoding, ENC_LISTPACK);
    for (int i = 0; i < 38; i++) set_add(&v, name_of(i + 2, name), &config);
    assert_int_equal(v.encoding, ENC_LISTPACK);
    set_add(&v, BYTES_LIT("b"), &config);
    assert_int_equal(v.encoding, ENC_HASHTABLE);
    assert_int_equal(set_length(v), 41);
    set_free(v);
    v = set_new_for(BYTES_LIT("1"), 1, &config);
    for (int i = 0; i < 65; i++) set_add(&v, bytes_of(name, (size_t)sprintf(name, "%d", i)), &config);
    assert_int_equal(v.encoding, ENC_HASHTABLE);
    set_remove(&v, BYTES_LIT("0"));
    set_try_intset(&v, &config);
    assert_int_equal(v.encoding, ENC_INTSET);
    assert_int_equal(set_length(v), 64);
    set_free(v);
}

/* ---- sampling ---------------------------------------------------------------------------- */

static void samples_are_distinct_and_reach_all(void **state)
{
    char name[32], room[NUM_I64_CHARS_MAX];
    for (int size = 10; size <= 500; size += 245) {
        int hits[NAMES] = {0};
        value_t v = {intset_new(), ENC_INTSET};
        for (int i = 0; i < size; i++) set_add(&v, name_of(i, name), &config);
        for (int round = 0; round < 2000; round++) {
            const void *handles[NAMES];
            bool seen[NAMES] = {0};
            size_t n = (size_t)(round % 2 ? size / 2 : size / 5);
            sample_distinct(v, 1, (size_t)size, n, &rng, handles);
            for (size_t i = 0; i < n; i++) mark_member(seen, set_at(v, handles[i], room));
            for (int i = 0; i < size; i++) hits[i] += seen[i];
        }
        for (int i = 0; i < size; i++) assert_in_range(hits[i], 500, 900); /* 700 expected */
        set_free(v);
    }
}

/* ---- sorted sets ------------------------------------------------------------------------- */

typedef struct zset_model {
    double scores[NAMES];
    bool have[NAMES];
    size_t count;
} zset_model_t;

static size_t model_rank(const zset_model_t *m, int at)
{
    char a[32], b[32];
    size_t rank = 0;
    for (int i = 0; i < NAMES; i++) {
        if (!m->have[i] || i == at) continue;
        bool tie = m->scores[i] == m->scores[at];
        rank += tie ? bytes_cmp(name_of(i, a), name_of(at, b)) < 0 : m->scores[i] < m->scores[at];
    }
    return rank;
}

static void check_zset(value_t v, const zset_model_t *m)
{
    char name[32], room[NUM_I64_CHARS_MAX];
    assert_int_equal(zset_length(v), m->count);
    for (int i = 0; i < NAMES; i += 7) {
        size_t rank;
        double score;
        bytes_t member;
        assert_int_equal(zset_rank(v, name_of(i, name), &rank, &score), m->have[i]);
        if (!m->have[i]) continue;
        assert_true(score == m->scores[i]);
        assert_int_equal(rank, model_rank(m, i));
        zset_cursor_t c = zset_at(v, rank);
        assert_true(zset_get(&c, room, &member, &score));
        assert_true(bytes_eq(member, name_of(i, name)));
    }
}

static void a_sorted_set_stays_sorted(void **state)
{
    char name[32];
    for (int size = 30; size <= NAMES; size += 190) {
        zset_model_t m = {.count = 0};
        value_t v = zset_new_for(1, 1, &config);
        for (int i = 0; i < 5000; i++) {
            int at = rand() % size;
            double score = rand() % 50 / 4.0, now;
            if (rand() % 3) {
                zset_added_t got = zset_add(&v, name_of(at, name), score, 0, &config, &now);
                assert_int_equal(got, !m.have[at] ? ZADD_ADDED : m.scores[at] == score ? ZADD_SAME : ZADD_UPDATED);
                assert_true(now == score);
                m.count += !m.have[at];
                m.have[at] = true;
                m.scores[at] = score;
            } else {
                assert_int_equal(zset_remove(&v, name_of(at, name)), m.have[at]);
                m.count -= m.have[at];
                m.have[at] = false;
            }
            if (i % 500 == 0) check_zset(v, &m);
        }
        value_t copy = {zset_type_ops.copy(v.ptr, v.encoding), v.encoding};
        zset_free(v);
        check_zset(copy, &m);
        size_t cut = m.count / 3;
        zset_delete_ranks(&copy, cut, cut);
        assert_int_equal(zset_length(copy), m.count - cut);
        zset_free(copy);
    }
}

static void zadd_obeys_its_flags(void **state)
{
    double now;
    for (int large = 0; large < 2; large++) {
        value_t v = zset_new_for(large ? 1000 : 1, 1, &config);
        bytes_t m = BYTES_LIT("m");
        assert_int_equal(zset_add(&v, m, 1, ZADD_XX, &config, &now), ZADD_NOTHING);
        assert_int_equal(zset_add(&v, m, 1, ZADD_GT, &config, &now), ZADD_ADDED);
        assert_int_equal(zset_add(&v, m, 5, ZADD_NX, &config, &now), ZADD_NOTHING);
        assert_int_equal(zset_add(&v, m, 0, ZADD_GT, &config, &now), ZADD_NOTHING);
        assert_int_equal(zset_add(&v, m, 2, ZADD_LT, &config, &now), ZADD_NOTHING);
        assert_int_equal(zset_add(&v, m, 2, ZADD_GT | ZADD_INCR, &config, &now), ZADD_UPDATED);
        assert_true(now == 3);
        assert_int_equal(zset_add(&v, m, INFINITY, ZADD_INCR, &config, &now), ZADD_UPDATED);
        assert_int_equal(zset_add(&v, m, -INFINITY, ZADD_INCR, &config, &now), ZADD_NAN);
        assert_true(zset_score(v, m, &now) && now == INFINITY);
        zset_free(v);
    }
}

/* ---- lists ------------------------------------------------------------------------------- */

static void a_list_becomes_a_quicklist_and_a_listpack_again(void **state)
{
    char text[100], room[NUM_I64_CHARS_MAX];
    value_t v = rlist_new();
    memset(text, 'x', sizeof(text));
    bytes_t b = bytes_of(text, sizeof(text));
    for (int i = 0; i < 200; i++) {
        rlist_expect(&v, &b, 1, &config);
        assert_int_equal(v.encoding, i < 78 ? ENC_LISTPACK : v.encoding);
        rlist_push(&v, b, i % 2);
    }
    assert_int_equal(v.encoding, ENC_QUICKLIST);
    while (rlist_length(v) > 10) {
        rlist_remove(&v, rlist_first(v), false);
        rlist_shrunk(&v, &config);
    }
    assert_int_equal(v.encoding, ENC_LISTPACK);
    assert_true(bytes_eq(rlist_text(rlist_last(v), room), b));
    list_type_ops.free(v.ptr, v.encoding);
}

/* ---- emission ---------------------------------------------------------------------------- */

/* Counts the commands in a RESP stream and the words in them. */
static void count_words(bytes_t resp, size_t *ret_commands, size_t *ret_words)
{
    *ret_commands = *ret_words = 0;
    const char *p = (const char *)resp.ptr, *end = p + resp.len;
    while (p < end) {
        assert_int_equal(*p, '*');
        long argc = strtol(p + 1, (char **)&p, 10);
        assert_in_range(argc, 3, 2 + 2 * EMIT_ITEMS_MAX);
        p += 2;
        for (long i = 0; i < argc; i++) {
            assert_int_equal(*p, '$');
            long len = strtol(p + 1, (char **)&p, 10);
            p += 2 + len + 2;
        }
        ++*ret_commands;
        *ret_words += (size_t)argc - 2;
    }
    assert_ptr_equal(p, end);
}

static void values_are_emitted_in_chunks(void **state)
{
    char name[32];
    static const int sizes[] = {1, 64, 65, 500};
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = (size_t)sizes[s], chunks = (n + 63) / 64, commands, words;
        value_t h = hash_new(), t = {intset_new(), ENC_INTSET}, z = zset_new_for(1, 1, &config), l = rlist_new();
        for (int i = 0; i < sizes[s]; i++) {
            bytes_t b = name_of(i, name);
            hash_set(&h, b, BYTES_LIT("v"), &config);
            set_add(&t, b, &config);
            zset_add(&z, b, i / 2.0, 0, &config, NULL);
            rlist_expect(&l, &b, 1, &config);
            rlist_push(&l, b, false);
        }
        const struct {
            const redis_type_ops_t *ops;
            value_t v;
            size_t words;
        } all[] = {
            {&hash_type_ops, h, 2 * n}, {&set_type_ops, t, n}, {&zset_type_ops, z, 2 * n}, {&list_type_ops, l, n}};
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            buf_t out = BUF_INIT;
            redis_emitter_t e = {&out};
            all[i].ops->emit(all[i].v.ptr, all[i].v.encoding, BYTES_LIT("key"), &e);
            count_words(buf_bytes(&out), &commands, &words);
            assert_int_equal(commands, chunks);
            assert_int_equal(words, all[i].words);
            assert_int_equal(all[i].ops->length(all[i].v.ptr, all[i].v.encoding), n);
            all[i].ops->free(all[i].v.ptr, all[i].v.encoding);
            buf_deinit(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_behaves_as_a_map),
        cmocka_unit_test(a_hash_leaves_the_listpack_as_configured),
        cmocka_unit_test(long_fields_and_values_survive),
        cmocka_unit_test(a_set_behaves_as_a_set),
        cmocka_unit_test(a_set_changes_its_encoding_as_redis_does),
        cmocka_unit_test(samples_are_distinct_and_reach_all),
        cmocka_unit_test(a_sorted_set_stays_sorted),
        cmocka_unit_test(zadd_obeys_its_flags),
        cmocka_unit_test(a_list_becomes_a_quicklist_and_a_listpack_again),
        cmocka_unit_test(values_are_emitted_in_chunks),
    };
    srand(12);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
