/* share_partition_test.c: what a share group has under way of a partition, step by step, and at random against a model that knows each
 * record by itself. */
#include "kafka/share/share_partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define LOCK_MS 1000
static const share_limits_t limits = {.deliveries_max = 3, .in_flight_max = 100, .lock_ms = LOCK_MS};
enum { ANNA = 1, BEN = 2 };

typedef struct env {
    share_partition_t p;
    arena_t arena;
    int64_t now_ms;
    share_acquired_t *acquired;
    size_t acquired_count;
    uint32_t write;
    share_stored_list_t stored;
} env_t;

static int setup(void **state)
{
    env_t *env = calloc(1, sizeof(*env));
    share_partition_init(&env->p, 10);
    arena_init(&env->arena, 0);
    *state = env;
    return 0;
}

static int teardown(void **state)
{
    env_t *env = *state;
    share_partition_deinit(&env->p);
    arena_deinit(&env->arena);
    free(env);
    return 0;
}

static int64_t acquire(env_t *env, uint64_t member, int64_t max, bool strictly, const share_batch_t *batches,
                       size_t count)
{
    share_acquire_t in = {member, env->now_ms, batches, count, max, strictly};
    return share_partition_acquire(&env->p, &in, &limits, &env->arena, &env->acquired, &env->acquired_count);
}

static int64_t acquire_one(env_t *env, uint64_t member, int64_t first, int64_t last)
{
    share_batch_t batch = {first, last};
    return acquire(env, member, 1000, false, &batch, 1);
}

static kafka_code_t answer(env_t *env, uint64_t member, int64_t first, int64_t last, uint8_t type)
{
    share_ack_t ack = {first, last, type};
    return share_partition_acknowledge(&env->p, member, &ack, 1, env->now_ms, &limits, &env->arena, &env->write,
                                       &env->stored);
}

static void settle(env_t *env, uint64_t member, int64_t first, int64_t last, uint8_t type)
{
    assert_int_equal(answer(env, member, first, last, type), KAFKA_NONE);
    assert_true(env->stored.count > 0);
    share_partition_written(&env->p, env->write, true);
}

static void assert_acquired(const env_t *env, size_t at, int64_t first, int64_t last, int deliveries)
{
    assert_true(at < env->acquired_count);
    assert_int_equal(env->acquired[at].first, first);
    assert_int_equal(env->acquired[at].last, last);
    assert_int_equal(env->acquired[at].deliveries, deliveries);
}

static void assert_stored(const env_t *env, size_t at, int64_t first, int64_t last, int state, int deliveries)
{
    assert_true(at < env->stored.count);
    const share_stored_t *range = &env->stored.items[at];
    assert_int_equal(range->first, first);
    assert_int_equal(range->last, last);
    assert_int_equal(range->state, state);
    assert_int_equal(range->deliveries, deliveries);
}

static void what_is_accepted_is_behind_the_group(void **state)
{
    env_t *env = *state;
    assert_int_equal(acquire_one(env, ANNA, 10, 14), 5);
    assert_acquired(env, 0, 10, 14, 1);
    assert_int_equal(share_partition_next(&env->p), 15);
    settle(env, ANNA, 10, 14, SHARE_ACCEPT);
    assert_stored(env, 0, 10, 14, SHARE_ACKNOWLEDGED, 1);
    assert_int_equal(env->p.start, 15);
    assert_int_equal(env->p.runs.count, 0);
}

static void the_start_waits_for_the_first_that_is_not_settled(void **state)
{
    env_t *env = *state;
    acquire_one(env, ANNA, 10, 14);
    settle(env, ANNA, 12, 14, SHARE_REJECT);
    assert_int_equal(env->p.start, 10);
    settle(env, ANNA, 10, 11, SHARE_ACCEPT);
    assert_int_equal(env->p.start, 15);
}

static void nothing_counts_before_it_is_stored(void **state)
{
    env_t *env = *state;
    acquire_one(env, ANNA, 10, 14);
    assert_int_equal(answer(env, ANNA, 10, 14, SHARE_RELEASE), KAFKA_NONE);
    assert_int_equal(share_partition_next(&env->p), 15);
    assert_int_equal(acquire_one(env, BEN, 10, 14), 0);
    assert_int_equal(answer(env, ANNA, 10, 14, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
    share_partition_written(&env->p, env->write, false);
    assert_int_equal(acquire_one(env, BEN, 10, 14), 0); /* it is Anna's, as before */
    settle(env, ANNA, 10, 14, SHARE_RELEASE);
    assert_int_equal(acquire_one(env, BEN, 10, 14), 5);
    assert_acquired(env, 0, 10, 14, 2);
}

static void a_record_that_was_delivered_as_often_as_allowed_is_archived(void **state)
{
    env_t *env = *state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(acquire_one(env, ANNA, 10, 10), 1);
        settle(env, ANNA, 10, 10, SHARE_RELEASE);
    }
    assert_stored(env, 0, 10, 10, SHARE_ARCHIVED, 3);
    assert_int_equal(env->p.start, 11);
}

static void a_record_held_for_too_long_is_anybodys(void **state)
{
    env_t *env = *state;
    acquire_one(env, ANNA, 10, 14);
    assert_int_equal(share_partition_due_ms(&env->p), LOCK_MS);
    env->now_ms = LOCK_MS - 1;
    share_partition_tick(&env->p, env->now_ms, &limits, &env->arena, &env->stored);
    assert_int_equal(env->stored.count, 0);
    assert_int_equal(answer(env, ANNA, 10, 11, SHARE_RENEW), KAFKA_NONE);
    assert_int_equal(env->stored.count, 0);
    env->now_ms = LOCK_MS;
    share_partition_tick(&env->p, env->now_ms, &limits, &env->arena, &env->stored);
    assert_int_equal(env->stored.count, 1);
    assert_stored(env, 0, 12, 14, SHARE_AVAILABLE, 1);
    assert_int_equal(answer(env, ANNA, 12, 12, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
    assert_int_equal(acquire_one(env, BEN, 10, 14), 3);
    assert_acquired(env, 0, 12, 14, 2);
    assert_int_equal(share_partition_due_ms(&env->p), 2 * LOCK_MS - 1);
}

static void the_end_of_a_session_gives_back_what_was_not_answered(void **state)
{
    env_t *env = *state;
    acquire_one(env, ANNA, 10, 14);
    acquire_one(env, BEN, 15, 19);
    settle(env, ANNA, 11, 11, SHARE_ACCEPT);
    share_partition_release(&env->p, ANNA, &limits, &env->arena, &env->stored);
    assert_int_equal(env->stored.count, 2);
    assert_stored(env, 0, 10, 10, SHARE_AVAILABLE, 1);
    assert_stored(env, 1, 12, 14, SHARE_AVAILABLE, 1);
    assert_int_equal(share_partition_next(&env->p), 10);
    assert_int_equal(acquire_one(env, BEN, 10, 14), 4);
    assert_acquired(env, 0, 10, 10, 2);
    assert_acquired(env, 1, 12, 14, 2);
}

static void suspects_are_acquired_apart_and_ever_fewer_together(void **state)
{
    env_t *env = *state;
    const share_limits_t often = {.deliveries_max = 5, .in_flight_max = 100, .lock_ms = LOCK_MS};
    share_stored_t ranges[] = {
        {10, 13, 3, SHARE_AVAILABLE}, {14, 17, 1, SHARE_AVAILABLE}, {18, 19, 4, SHARE_AVAILABLE}};
    share_batch_t batch = {10, 29, false};
    share_acquire_t in = {ANNA, 0, &batch, 1, 1000, false, 0};
    struct {
        int64_t first, last;
    } expected[] = {{10, 11}, {12, 12}, {13, 13}, {14, 17}, {18, 18}, {19, 19}, {20, 29}};
    assert_int_equal(share_partition_load(&env->p, 10, ranges, 3), 0);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        share_partition_acquire(&env->p, &in, &often, &env->arena, &env->acquired, &env->acquired_count);
        assert_int_equal(env->acquired_count, 1);
        assert_int_equal(env->acquired[0].first, expected[i].first);
        assert_int_equal(env->acquired[0].last, expected[i].last);
    }
}

static void only_its_own_records_are_a_members_to_answer(void **state)
{
    env_t *env = *state;
    acquire_one(env, ANNA, 10, 14);
    acquire_one(env, BEN, 15, 19);
    assert_int_equal(answer(env, ANNA, 14, 15, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
    assert_int_equal(answer(env, BEN, 19, 20, SHARE_ACCEPT), KAFKA_INVALID_REQUEST);
    settle(env, ANNA, 10, 14, SHARE_ACCEPT);                               /* the refused answer changed nothing */
    assert_int_equal(answer(env, ANNA, 10, 14, SHARE_ACCEPT), KAFKA_NONE); /* it is settled */
    assert_int_equal(env->stored.count, 0);
}

static void a_batch_that_was_begun_is_acquired_whole_unless_the_limit_is_strict(void **state)
{
    env_t *env = *state;
    share_batch_t batches[] = {{10, 14}, {15, 19}, {20, 24}};
    assert_int_equal(acquire(env, ANNA, 7, false, batches, 3), 10);
    assert_int_equal(share_partition_next(&env->p), 20);
    assert_int_equal(acquire(env, BEN, 3, true, &batches[2], 1), 3);
    assert_acquired(env, 0, 20, 22, 1);
    assert_int_equal(share_partition_next(&env->p), 23);
    assert_int_equal(env->p.end, 25);
    assert_int_equal(answer(env, BEN, 23, 23, SHARE_ACCEPT), KAFKA_INVALID_RECORD_STATE);
    assert_int_equal(answer(env, BEN, 25, 25, SHARE_ACCEPT), KAFKA_INVALID_REQUEST);
}

static void gaps_that_compaction_left_between_batches_are_nobodys(void **state)
{
    env_t *env = *state;
    share_batch_t batches[] = {{12, 14}, {20, 24}};
    assert_int_equal(acquire(env, ANNA, 1000, false, batches, 2), 8);
    assert_int_equal(env->acquired_count, 2);
    assert_int_equal(env->p.start, 12);
    settle(env, ANNA, 12, 14, SHARE_ACCEPT);
    assert_int_equal(env->p.start, 20);
}

static void a_group_has_only_so_many_records_under_way(void **state)
{
    env_t *env = *state;
    share_batch_t batches[] = {{10, 79}, {80, 149}, {150, 219}};
    assert_int_equal(acquire(env, ANNA, 1000, false, batches, 3), 140);
    assert_false(share_partition_has_room(&env->p, &limits));
    assert_int_equal(acquire(env, BEN, 1000, false, &batches[2], 1), 0);
    settle(env, ANNA, 100, 100, SHARE_RELEASE);
    assert_true(share_partition_has_room(&env->p, &limits));
    assert_int_equal(acquire(env, BEN, 1000, false, &batches[1], 2), 1);
    settle(env, ANNA, 10, 79, SHARE_ACCEPT);
    assert_int_equal(acquire(env, BEN, 1000, false, &batches[2], 1), 70);
}

static void what_the_log_has_lost_is_archived(void **state)
{
    env_t *env = *state;
    acquire_one(env, ANNA, 10, 19);
    assert_int_equal(answer(env, ANNA, 10, 11, SHARE_ACCEPT), KAFKA_NONE);
    share_partition_trim(&env->p, 15);
    assert_int_equal(env->p.start, 10);
    share_partition_written(&env->p, env->write, true);
    assert_int_equal(env->p.start, 15);
    settle(env, ANNA, 12, 15, SHARE_ACCEPT);
    assert_stored(env, 0, 15, 15, SHARE_ACKNOWLEDGED, 1);
    share_partition_trim(&env->p, 1000);
    assert_int_equal(env->p.start, 1000);
    assert_int_equal(env->p.end, 1000);
    assert_int_equal(env->p.runs.count, 0);
}

static void it_comes_back_as_it_was_stored(void **state)
{
    env_t *env = *state;
    share_stored_t ranges[] = {
        {10, 12, 1, SHARE_ACKNOWLEDGED}, {14, 15, 1, SHARE_AVAILABLE}, {16, 20, 1, SHARE_ARCHIVED}};
    assert_int_equal(share_partition_load(&env->p, 10, ranges, 3), 0);
    assert_int_equal(env->p.start, 13);
    assert_int_equal(env->p.end, 21);
    share_batch_t batches[] = {{13, 16}, {17, 25}};
    assert_int_equal(acquire(env, ANNA, 1000, false, batches, 2), 8);
    assert_acquired(env, 0, 13, 13, 1);
    assert_acquired(env, 1, 14, 15, 2);
    assert_acquired(env, 2, 21, 25, 1);
}

static void what_cannot_have_been_stored_is_corrupt(void **state)
{
    env_t *env = *state;
    share_stored_t wrong[][2] = {
        {{9, 12, 1, SHARE_AVAILABLE}, {13, 13, 1, SHARE_AVAILABLE}},
        {{10, 12, 1, SHARE_AVAILABLE}, {12, 13, 1, SHARE_AVAILABLE}},
        {{12, 11, 1, SHARE_AVAILABLE}, {13, 13, 1, SHARE_AVAILABLE}},
        {{10, 12, 1, SHARE_ACQUIRED}, {13, 13, 1, SHARE_AVAILABLE}},
        {{10, 12, -1, SHARE_AVAILABLE}, {13, 13, 1, SHARE_AVAILABLE}},
        {{10, 12, 1, 9}, {13, 13, 1, SHARE_AVAILABLE}},
        {{10, 12, 1, SHARE_AVAILABLE}, {13, INT64_MAX, 1, SHARE_AVAILABLE}},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(share_partition_load(&env->p, 10, wrong[i], 2), ERR_CORRUPT);
}

/* ---- at random, against a model ---- */

#define RECORDS      400
#define SUSPECT_FROM 2 /* deliveries, with limits.deliveries_max */
typedef struct model_record {
    uint8_t state, answer;
    int deliveries;
    uint64_t member;
    int64_t due_ms;
    uint32_t write;
} model_record_t;
typedef struct model {
    model_record_t records[RECORDS];
    int64_t start, end;
} model_t;

static bool model_settled(const model_record_t *r)
{
    return r->write == 0 && (r->state == SHARE_ACKNOWLEDGED || r->state == SHARE_ARCHIVED);
}

static void model_advance(model_t *m)
{
    while (m->start < m->end && model_settled(&m->records[m->start])) m->start++;
}

static void assert_same(const share_partition_t *p, const model_t *m)
{
    assert_int_equal(p->start, m->start);
    assert_int_equal(p->end, m->end);
    int64_t at = p->start;
    for (size_t i = 0; i < p->runs.count; i++) {
        const share_run_t *run = &p->runs.items[i];
        assert_int_equal(run->first, at);
        for (; at <= run->last; at++) {
            const model_record_t *r = &m->records[at];
            assert_int_equal(run->state, r->state);
            assert_int_equal(run->deliveries, r->deliveries);
            assert_int_equal(run->write, r->write);
            if (r->state == SHARE_ACQUIRED) assert_int_equal(run->member, r->member);
            if (r->state == SHARE_ACQUIRED) assert_int_equal(run->due_ms, r->due_ms);
        }
    }
    assert_int_equal(at, p->end);
}

static void model_take_back(model_record_t *r)
{
    r->state = r->deliveries >= limits.deliveries_max ? SHARE_ARCHIVED : SHARE_AVAILABLE;
}

static uint64_t pick(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (*seed >> 33) % below;
}

static void acquire_at_random(env_t *env, model_t *m, uint64_t *seed)
{
    int64_t first = share_partition_next(&env->p), last = MIN(RECORDS - 1, first + (int64_t)pick(seed, 20));
    uint64_t member = 1 + pick(seed, 3);
    int64_t max = 1 + (int64_t)pick(seed, 12);
    if (first >= RECORDS) return;
    share_batch_t batch = {first, last};
    int64_t taken = acquire(env, member, max, true, &batch, 1), expected = 0, end = m->end;
    bool room = first < m->end || m->end - m->start < limits.in_flight_max;
    bool suspect = m->records[first].deliveries >= SUSPECT_FROM;
    if (suspect) max = 1; /* it is the last time */
    for (int64_t at = first; room && at <= last && expected < max; at++) {
        model_record_t *r = &m->records[at];
        if (r->state != SHARE_AVAILABLE || r->write) continue;
        if (!suspect && r->deliveries >= SUSPECT_FROM) break;
        r->state = SHARE_ACQUIRED;
        r->member = member;
        r->due_ms = env->now_ms + LOCK_MS;
        r->deliveries++;
        expected++;
        end = MAX(end, last + 1);
    }
    m->end = end;
    assert_int_equal(taken, expected);
}

static bool model_is_members(const model_t *m, uint64_t member, int64_t first, int64_t last)
{
    for (int64_t at = MAX(first, m->start); at <= last; at++) {
        const model_record_t *r = &m->records[at];
        if (at >= m->end || r->state != SHARE_ACQUIRED || r->member != member || r->write) return false;
    }
    return true;
}

static void answer_at_random(env_t *env, model_t *m, uint64_t *seed)
{
    int64_t first = m->start - 2 + (int64_t)pick(seed, 60), last = first + (int64_t)pick(seed, 6);
    uint64_t member = 1 + pick(seed, 3);
    uint8_t type = (uint8_t)pick(seed, 5);
    if (first < 0 || last >= RECORDS) return;
    bool may = model_is_members(m, member, first, last);
    kafka_code_t error = answer(env, member, first, last, type);
    assert_int_equal(error == KAFKA_NONE, may);
    bool stored = pick(seed, 4) != 0;
    for (int64_t at = MAX(first, m->start); may && at <= last; at++) {
        model_record_t *r = &m->records[at];
        if (type == SHARE_RENEW) r->due_ms = env->now_ms + LOCK_MS;
        if (type == SHARE_RENEW || !stored) continue;
        if (type == SHARE_RELEASE)
            model_take_back(r);
        else
            r->state = type == SHARE_ACCEPT ? SHARE_ACKNOWLEDGED : SHARE_ARCHIVED;
    }
    if (may && env->stored.count) share_partition_written(&env->p, env->write, stored);
}

static void take_back_at_random(env_t *env, model_t *m, uint64_t *seed)
{
    uint64_t member = pick(seed, 4);
    if (member)
        share_partition_release(&env->p, member, &limits, &env->arena, &env->stored);
    else
        share_partition_tick(&env->p, env->now_ms, &limits, &env->arena, &env->stored);
    for (int64_t at = m->start; at < m->end; at++) {
        model_record_t *r = &m->records[at];
        if (r->state != SHARE_ACQUIRED) continue;
        if (member && r->member == member) {
            model_take_back(r);
        } else if (!member && r->due_ms <= env->now_ms) {
            model_take_back(r);
        }
    }
}

static void trim_at_random(env_t *env, model_t *m, uint64_t *seed)
{
    int64_t to = MIN(RECORDS, m->start + (int64_t)pick(seed, 5));
    share_partition_trim(&env->p, to);
    for (int64_t at = m->start; at < to; at++) m->records[at] = (model_record_t){.state = SHARE_ARCHIVED};
    m->end = MAX(m->end, to);
}

static void at_random_it_does_what_a_model_does(void **state)
{
    env_t *env = *state;
    for (uint64_t round = 1; round <= 200; round++) {
        uint64_t seed = round;
        model_t *m = calloc(1, sizeof(*m));
        share_partition_init(&env->p, 0);
        for (int step = 0; step < 300; step++) {
            uint64_t what = pick(&seed, 20);
            if (what < 8)
                acquire_at_random(env, m, &seed);
            else if (what < 17)
                answer_at_random(env, m, &seed);
            else if (what < 19)
                take_back_at_random(env, m, &seed);
            else
                trim_at_random(env, m, &seed);
            env->now_ms += (int64_t)pick(&seed, 200);
            model_advance(m);
            assert_same(&env->p, m);
            arena_reset(&env->arena);
        }
        share_partition_deinit(&env->p);
        free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_accepted_is_behind_the_group, setup, teardown),
        cmocka_unit_test_setup_teardown(the_start_waits_for_the_first_that_is_not_settled, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_counts_before_it_is_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_that_was_delivered_as_often_as_allowed_is_archived, setup, teardown),
        cmocka_unit_test_setup_teardown(a_record_held_for_too_long_is_anybodys, setup, teardown),
        cmocka_unit_test_setup_teardown(the_end_of_a_session_gives_back_what_was_not_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(suspects_are_acquired_apart_and_ever_fewer_together, setup, teardown),
        cmocka_unit_test_setup_teardown(only_its_own_records_are_a_members_to_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_was_begun_is_acquired_whole_unless_the_limit_is_strict, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(gaps_that_compaction_left_between_batches_are_nobodys, setup, teardown),
        cmocka_unit_test_setup_teardown(a_group_has_only_so_many_records_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_log_has_lost_is_archived, setup, teardown),
        cmocka_unit_test_setup_teardown(it_comes_back_as_it_was_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_have_been_stored_is_corrupt, setup, teardown),
        cmocka_unit_test_setup_teardown(at_random_it_does_what_a_model_does, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
