/* share_state_test.c: the states of share partitions over a partition on the simulator: who is fenced, what comes back after a
 * restart, how the log is kept short, and a random story against a model that is one struct. */
#include "kafka/coordinator/share/share_state.h"

#include "base/map.h"
#include "kafka/partition/partition_test_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define PARTITIONS        4
#define UPDATES_MAX       5
#define COLD_MS           60000
#define PRUNE_MS          30000
#define MODEL_BATCHES_MAX 64

typedef struct world {
    partition_host_t *host;
    kafka_topic_t read; /* the topic that groups read */
    kafka_share_states_t *states;
} world_t;

typedef struct asked {
    share_state_request_t request;
    int calls;
    kafka_code_t error;
    char message[128];
    share_state_value_t value;
    share_state_batch_t batches[MODEL_BATCHES_MAX];
} asked_t;

/* ---- the world ------------------------------------------------------------------------------------------------------- */

static void world_start(world_t *w)
{
    kafka_t *kafka = &w->host->kafka;
    list_init(&kafka->topic_listeners);
    partition_host_start(w->host);
    w->host->state.leader = kafka->broker_id;
    w->states = kafka->share_states = kafka_share_states_new(kafka);
    LIST_EACH(&kafka->topic_listeners, listener, kafka_topic_listener_t, node)
        if (listener->created) listener->created(listener, &w->host->topic);
    kafka->opened = true;
}

static void world_stop(world_t *w)
{
    kafka_share_states_free(w->states);
    partition_host_stop(w->host);
}

static void read_topic_comes(world_t *w)
{
    w->read.id.bytes[0] = 1;
    w->read.partitions_count = PARTITIONS;
    map_put(&w->host->kafka.topics_by_id, bytes_of(&w->read.id, sizeof(w->read.id)), &w->read);
}

static world_t *world_new(uint64_t seed)
{
    world_t *w = calloc(1, sizeof(*w));
    w->host = partition_host_new(seed);
    w->host->topic.name = SHARE_STATE_TOPIC;
    w->host->topic.name_len = strlen(SHARE_STATE_TOPIC);
    kafka_broker_config_t *config = &w->host->kafka.config;
    config->share_coordinator_snapshot_update_records_per_snapshot = UPDATES_MAX;
    config->share_coordinator_cold_partition_snapshot_interval_ms = COLD_MS;
    config->share_coordinator_state_topic_prune_interval_ms = PRUNE_MS;
    w->host->kafka.topics_by_id = MAP_INIT;
    read_topic_comes(w);
    world_start(w);
    return w;
}

static void world_free(world_t *w)
{
    world_stop(w);
    map_deinit(&w->host->kafka.topics_by_id);
    partition_host_free(w->host);
    free(w);
}

static void world_restart(world_t *w)
{
    world_stop(w);
    world_start(w);
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

static void on_done(share_state_request_t *request, kafka_code_t error, const char *message,
                    const share_state_value_t *value)
{
    asked_t *a = CONTAINER_OF(request, asked_t, request);
    a->calls++;
    a->error = error;
    snprintf(a->message, sizeof(a->message), "%s", message ? message : "");
    if (!value) return;
    a->value = *value;
    assert_true(value->batches_count <= MODEL_BATCHES_MAX);
    if (value->batches_count) memcpy(a->batches, value->batches, sizeof(a->batches[0]) * value->batches_count);
    a->value.batches = a->batches;
}

static bool has_ended(void *user) { return ((asked_t *)user)->calls > 0; }

static void await(world_t *w, asked_t *a)
{
    assert_true(a->calls > 0 || sim_run_until(w->host->sim, has_ended, a, 10000));
    assert_int_equal(a->calls, 1);
}

static share_state_key_t key_of(const world_t *w, int32_t partition)
{
    return (share_state_key_t){BYTES_LIT("group"), w->read.id, partition};
}

static kafka_code_t do_read(world_t *w, int32_t partition, int32_t leader_epoch, asked_t *ret)
{
    share_state_key_t key = key_of(w, partition);
    memset(ret, 0, sizeof(*ret));
    share_state_read(&w->host->kafka, &key, leader_epoch, &ret->request, on_done);
    await(w, ret);
    return ret->error;
}

static kafka_code_t do_write(world_t *w, int32_t partition, const share_state_value_t *value)
{
    asked_t a = {0};
    share_state_key_t key = key_of(w, partition);
    share_state_write(&w->host->kafka, &key, value, &a.request, on_done);
    await(w, &a);
    return a.error;
}

static kafka_code_t do_initialize(world_t *w, int32_t partition, int32_t state_epoch, int64_t start)
{
    asked_t a = {0};
    share_state_key_t key = key_of(w, partition);
    share_state_initialize(&w->host->kafka, &key, state_epoch, start, &a.request, on_done);
    await(w, &a);
    return a.error;
}

static kafka_code_t do_delete(world_t *w, int32_t partition)
{
    asked_t a = {0};
    share_state_key_t key = key_of(w, partition);
    share_state_delete(&w->host->kafka, &key, &a.request, on_done);
    await(w, &a);
    return a.error;
}

static kafka_code_t do_summary(world_t *w, int32_t partition, asked_t *ret)
{
    share_state_key_t key = key_of(w, partition);
    memset(ret, 0, sizeof(*ret));
    share_state_summary(&w->host->kafka, &key, 0, &ret->request, on_done);
    await(w, ret);
    return ret->error;
}

static share_state_value_t change(int32_t state_epoch, int32_t leader_epoch, int64_t start)
{
    return (share_state_value_t){state_epoch, leader_epoch, start, -1, NULL, 0};
}

/* ---- what is refused ------------------------------------------------------------------------------------------------- */

static void a_state_must_have_been_made(void **state)
{
    world_t *w = world_new(1);
    asked_t a;
    share_state_value_t value = change(0, 0, 0);
    assert_int_equal(do_read(w, 0, 0, &a), KAFKA_INVALID_REQUEST);
    assert_string_equal(a.message, "Read operation on uninitialized share partition not allowed.");
    assert_int_equal(do_write(w, 0, &value), KAFKA_INVALID_REQUEST);
    assert_int_equal(do_delete(w, 0), KAFKA_NONE);
    assert_int_equal(do_summary(w, 0, &a), KAFKA_NONE);
    assert_int_equal(a.value.start_offset, -1);
    assert_int_equal(a.value.delivery_complete_count, -1);
    assert_int_equal(do_initialize(w, PARTITIONS, 0, 0), KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    assert_int_equal(do_initialize(w, -1, 0, 0), KAFKA_INVALID_REQUEST);
    assert_int_equal(do_initialize(w, 0, -1, 0), KAFKA_INVALID_REQUEST);
    world_free(w);
}

static void who_has_an_older_epoch_is_fenced(void **state)
{
    world_t *w = world_new(2);
    asked_t a;
    assert_int_equal(do_initialize(w, 0, 3, 100), KAFKA_NONE);
    assert_int_equal(do_read(w, 0, 7, &a), KAFKA_NONE);
    assert_int_equal(a.value.state_epoch, 3);
    assert_int_equal(a.value.start_offset, 100);
    assert_int_equal(do_read(w, 0, 6, &a), KAFKA_FENCED_LEADER_EPOCH);
    share_state_value_t old_leader = change(3, 6, 101), old_state = change(2, 7, 101), well = change(3, 7, 101);
    assert_int_equal(do_write(w, 0, &old_leader), KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(do_write(w, 0, &old_state), KAFKA_FENCED_STATE_EPOCH);
    assert_int_equal(do_write(w, 0, &well), KAFKA_NONE);
    assert_int_equal(do_initialize(w, 0, 2, 0), KAFKA_FENCED_STATE_EPOCH);
    assert_int_equal(do_initialize(w, 0, 4, 50), KAFKA_NONE);
    assert_int_equal(do_write(w, 0, &well), KAFKA_FENCED_STATE_EPOCH);
    world_restart(w); /* who is fenced stays so */
    assert_int_equal(do_read(w, 0, 6, &a), KAFKA_FENCED_LEADER_EPOCH);
    assert_int_equal(do_read(w, 0, 7, &a), KAFKA_NONE);
    assert_int_equal(a.value.start_offset, 50);
    world_free(w);
}

static void batches_that_are_none_are_refused(void **state)
{
    world_t *w = world_new(3);
    share_state_batch_t backwards = {10, 9, 2, 1}, negative = {-5, 9, 2, 1};
    share_state_value_t value = change(0, 0, 0);
    assert_int_equal(do_initialize(w, 0, 0, 0), KAFKA_NONE);
    value.batches_count = 1;
    value.batches = &backwards;
    assert_int_equal(do_write(w, 0, &value), KAFKA_INVALID_REQUEST);
    value.batches = &negative;
    assert_int_equal(do_write(w, 0, &value), KAFKA_INVALID_REQUEST);
    world_free(w);
}

/* ---- the log --------------------------------------------------------------------------------------------------------- */

static int64_t log_start(const world_t *w) { return partition_log_start_offset(w->host->p); }

static void what_is_redundant_of_the_log_is_cut_off(void **state)
{
    world_t *w = world_new(4);
    assert_int_equal(do_initialize(w, 0, 0, 0), KAFKA_NONE);
    assert_int_equal(do_initialize(w, 1, 0, 0), KAFKA_NONE);
    for (int i = 1; i <= 20; i++) {
        share_state_value_t value = change(0, 0, i);
        assert_int_equal(do_write(w, 0, &value), KAFKA_NONE);
    }
    sim_run_for(w->host->sim, PRUNE_MS + 1000);
    assert_int_equal(log_start(w), 1); /* the second state's only record is still the second one */
    sim_run_for(w->host->sim, 2 * COLD_MS);
    assert_true(log_start(w) >= 22); /* both had not changed for long, and were stored again */
    world_restart(w);
    asked_t a;
    assert_int_equal(do_read(w, 0, 0, &a), KAFKA_NONE);
    assert_int_equal(a.value.start_offset, 20);
    world_free(w);
}

static void states_of_a_topic_go_with_it(void **state)
{
    world_t *w = world_new(5);
    asked_t a;
    assert_int_equal(do_initialize(w, 0, 0, 9), KAFKA_NONE);
    assert_int_equal(do_initialize(w, 1, 0, 9), KAFKA_NONE);
    map_remove(&w->host->kafka.topics_by_id, bytes_of(&w->read.id, sizeof(w->read.id)));
    LIST_EACH(&w->host->kafka.topic_listeners, listener, kafka_topic_listener_t, node)
        if (listener->deleted) listener->deleted(listener, &w->read);
    sim_run_for(w->host->sim, 100);
    read_topic_comes(w);
    for (int32_t i = 0; i < 2; i++) {
        assert_int_equal(do_summary(w, i, &a), KAFKA_NONE);
        assert_int_equal(a.value.start_offset, -1);
    }
    world_restart(w);
    assert_int_equal(do_read(w, 0, 0, &a), KAFKA_INVALID_REQUEST);
    world_free(w);
}

/* ---- at random ------------------------------------------------------------------------------------------------------- */

typedef struct model {
    bool there;
    share_state_value_t value;
    share_state_batch_t batches[MODEL_BATCHES_MAX];
    int32_t state_epoch, leader_epoch; /* seen */
} model_t;

static void assert_as_modelled(const model_t *m, const asked_t *a)
{
    assert_int_equal(a->value.state_epoch, m->value.state_epoch);
    assert_int_equal(a->value.start_offset, m->value.start_offset);
    assert_int_equal(a->value.delivery_complete_count, m->value.delivery_complete_count);
    assert_int_equal(a->value.batches_count, m->value.batches_count);
    for (size_t i = 0; i < m->value.batches_count; i++) {
        assert_int_equal(a->batches[i].first_offset, m->batches[i].first_offset);
        assert_int_equal(a->batches[i].last_offset, m->batches[i].last_offset);
        assert_int_equal(a->batches[i].delivery_state, m->batches[i].delivery_state);
        assert_int_equal(a->batches[i].delivery_count, m->batches[i].delivery_count);
    }
}

static int32_t epoch_near(const world_t *w, int32_t epoch)
{
    int32_t near = epoch + (int32_t)sim_random(w->host->sim, 4) - 1;
    return MAX(near, 0);
}

static void random_initialize(world_t *w, model_t *m, int32_t partition)
{
    int32_t epoch = epoch_near(w, m->state_epoch);
    int64_t start = (int64_t)sim_random(w->host->sim, 20) - 1;
    bool fenced = m->there && epoch < m->state_epoch;
    assert_int_equal(do_initialize(w, partition, epoch, start), fenced ? KAFKA_FENCED_STATE_EPOCH : KAFKA_NONE);
    if (fenced) return;
    m->there = true;
    m->value = (share_state_value_t){epoch, 0, start, start == -1 ? -1 : 0, m->batches, 0};
    m->state_epoch = epoch;
}

static void random_read(world_t *w, model_t *m, int32_t partition)
{
    asked_t a;
    int32_t epoch = epoch_near(w, m->leader_epoch);
    bool fenced = m->there && epoch < m->leader_epoch;
    kafka_code_t expected = !m->there ? KAFKA_INVALID_REQUEST : fenced ? KAFKA_FENCED_LEADER_EPOCH : KAFKA_NONE;
    assert_int_equal(do_read(w, partition, epoch, &a), expected);
    if (expected) return;
    m->leader_epoch = epoch;
    assert_as_modelled(m, &a);
}

static void random_write(world_t *w, model_t *m, int32_t partition)
{
    static const int8_t states[] = {0, 2, 4};
    sim_t *sim = w->host->sim;
    share_state_batch_t fresh[3];
    int64_t base = MAX(m->value.start_offset, 0);
    share_state_value_t value = change(m->state_epoch, m->leader_epoch, base - 1 + (int64_t)sim_random(sim, 4));
    value.delivery_complete_count = (int32_t)sim_random(sim, 5);
    value.batches = fresh;
    value.batches_count = sim_random(sim, 4);
    for (size_t i = 0; i < value.batches_count; i++) {
        int64_t first = base + (int64_t)sim_random(sim, 20);
        fresh[i] = (share_state_batch_t){first, first + (int64_t)sim_random(sim, 8), states[sim_random(sim, 3)],
                                         (int16_t)sim_random(sim, 4)};
    }
    assert_int_equal(do_write(w, partition, &value), m->there ? KAFKA_NONE : KAFKA_INVALID_REQUEST);
    if (!m->there) return;
    if (value.start_offset == m->value.start_offset)
        m->value.delivery_complete_count = MAX(m->value.delivery_complete_count, value.delivery_complete_count);
    else if (value.start_offset > m->value.start_offset)
        m->value.delivery_complete_count = value.delivery_complete_count;
    m->value.start_offset = MAX(m->value.start_offset, value.start_offset);
    share_state_batch_t *laid = share_state_batches_lay(m->batches, m->value.batches_count, fresh, value.batches_count,
                                                        m->value.start_offset, &m->value.batches_count);
    assert_true(m->value.batches_count <= MODEL_BATCHES_MAX);
    if (m->value.batches_count) memcpy(m->batches, laid, sizeof(laid[0]) * m->value.batches_count);
    mem_free(laid);
}

static void random_step(world_t *w, model_t *models)
{
    int32_t partition = (int32_t)sim_random(w->host->sim, PARTITIONS);
    model_t *m = &models[partition];
    switch (sim_random(w->host->sim, 20)) {
    case 0: random_initialize(w, m, partition); break;
    case 1:
        assert_int_equal(do_delete(w, partition), KAFKA_NONE);
        *m = (model_t){0};
        break;
    case 2: world_restart(w); break;
    case 3: sim_run_for(w->host->sim, sim_random(w->host->sim, 2 * COLD_MS)); break;
    case 4:
    case 5:
    case 6: random_read(w, m, partition); break;
    default: random_write(w, m, partition); break;
    }
}

static void a_random_story_is_as_its_model(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t *w = world_new(seed);
        model_t models[PARTITIONS] = {0};
        for (int32_t i = 0; i < PARTITIONS; i++) random_initialize(w, &models[i], i);
        for (int step = 0; step < 150; step++) random_step(w, models);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_must_have_been_made),       cmocka_unit_test(who_has_an_older_epoch_is_fenced),
        cmocka_unit_test(batches_that_are_none_are_refused), cmocka_unit_test(what_is_redundant_of_the_log_is_cut_off),
        cmocka_unit_test(states_of_a_topic_go_with_it),      cmocka_unit_test(a_random_story_is_as_its_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
