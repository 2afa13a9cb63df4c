/* store_test.c: the store follows the tree, whoever writes there, and looks at what is news and at nothing else: a topic whose thousand
 * partitions come and go a few hundred at a time is configured once and told of once. */
#include "kafka/kafka_internal.h"

#include "coord/coord.h"
#include "io/sim.h"
#include "kafka/topics/topics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define PARTITIONS 1000
#define WAIT_MS    60000

typedef struct world {
    sim_t *sim;
    sim_node_t *node;
    coord_t *coord;
    mirror_t *mirror;
    kafka_t *kafka;
    kafka_topic_listener_t listener;
    int created, configured, deleted, grown;
    bool answered;
    kafka_code_t error;
    coord_request_t request;
} world_t;

static world_t *of_listener(kafka_topic_listener_t *listener) { return CONTAINER_OF(listener, world_t, listener); }
static void on_created(kafka_topic_listener_t *listener, kafka_topic_t *topic) { of_listener(listener)->created++; }
static void on_configured(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    of_listener(listener)->configured++;
}
static void on_deleted(kafka_topic_listener_t *listener, kafka_topic_t *topic) { of_listener(listener)->deleted++; }
static void on_grown(kafka_topic_listener_t *listener, kafka_topic_t *topic, int32_t first)
{
    of_listener(listener)->grown++;
}

static bool is_ready(void *user) { return mirror_ready(user); }
static bool is_opened(void *user) { return ((const kafka_t *)user)->opened; }
static bool is_answered(void *user) { return ((const world_t *)user)->answered; }

static int setup(void **state)
{
    world_t *w = mem_zalloc(sizeof(*w));
    char err[200];
    coord_options_t options = coord_options_default;
    kafka_config_t *config = kafka_config_new();
    w->sim = sim_new(1);
    w->node = sim_node_new(w->sim, "10.0.0.1");
    io_loop_t *loop = sim_node_loop(w->node), *own = sim_node_loop_new(w->node);
    options.dir = "/data/coord";
    assert_int_equal(coord_open(loop, &options, &w->coord), 0);
    w->mirror = mirror_new(w->coord, loop, own, kafka_tree_prefixes, KAFKA_TREE_PREFIXES);
    assert_true(sim_run_until(w->sim, is_ready, w->mirror, WAIT_MS));
    w->kafka = kafka_new(own, net_new(own), w->mirror, "/data/kafka", config);
    kafka_config_free(config);
    assert_int_equal(kafka_start(w->kafka, err, sizeof(err)), 0);
    assert_true(sim_run_until(w->sim, is_opened, w->kafka, WAIT_MS));
    w->listener = (kafka_topic_listener_t){
        .created = on_created, .configured = on_configured, .deleted = on_deleted, .grown = on_grown};
    kafka_topic_listen(w->kafka, &w->listener);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_t *w = *state;
    net_t *net = w->kafka->net;
    mirror_detach(w->mirror);
    io_loop_drain(sim_node_loop(w->node));
    kafka_stop(w->kafka);
    coord_close(w->coord);
    io_loop_drain(w->kafka->loop);
    net_free(net);
    kafka_free(w->kafka);
    mirror_free(w->mirror);
    sim_free(w->sim);
    mem_free(w);
    return 0;
}

/* ---- what clients ask for ---- */

static void on_answer(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    world_t *w = user;
    w->answered = true;
    w->error = error;
}

static void wait_for_answer(world_t *w)
{
    assert_true(sim_run_until(w->sim, is_answered, w, WAIT_MS));
    w->answered = false;
    assert_int_equal(w->error, KAFKA_NONE);
}

static kafka_topic_t *topic_of(world_t *w) { return kafka_topic_get(w->kafka, BYTES_LIT("t")); }

static void create(world_t *w, int32_t partitions_count)
{
    kafka_topic_spec_t spec = {.name = BYTES_LIT("t"), .partitions_count = partitions_count, .replication_factor = 1};
    kafka_topic_create(w->kafka, &spec, on_answer, w);
    wait_for_answer(w);
}

static void all_are_open(world_t *w, int32_t count)
{
    const kafka_topic_t *topic = topic_of(w);
    assert_non_null(topic);
    assert_int_equal(topic->partitions_count, count);
    for (int32_t i = 0; i < count; i++) assert_non_null(topic->partitions[i].log);
}

static void a_large_topic_comes_grows_and_goes_with_one_look_at_each_of_its_parts(void **state)
{
    world_t *w = *state;
    create(w, PARTITIONS);
    all_are_open(w, PARTITIONS);
    assert_int_equal(w->created, 1);
    topic_grow(topic_of(w), 2 * PARTITIONS, on_answer, w);
    wait_for_answer(w);
    all_are_open(w, 2 * PARTITIONS);
    topic_delete(topic_of(w), on_answer, w);
    wait_for_answer(w);
    assert_null(topic_of(w));
    assert_int_equal(w->created, 1);
    assert_int_equal(w->deleted, 1);
    assert_int_equal(w->configured, 0);
}

/* ---- what others write into the tree ---- */

static void on_written(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    assert_int_equal(err, ZOK);
    CONTAINER_OF(request, world_t, request)->answered = true;
}

static void write_tree(world_t *w, coord_op_kind_t kind, const char *path, const char *data)
{
    coord_op_t op = {.kind = kind, .path = path, .version = -1, .make_parents = kind == COORD_CREATE};
    if (data) op.data = bytes_str(data);
    coord_submit(w->coord, &op, 1, &w->request, on_written);
    io_loop_wake(sim_node_loop(w->node));
    wait_for_answer(w);
    sim_run_for(w->sim, 1000);
}

static void a_topic_made_by_hand_is_given_leaders_and_follows_what_is_written(void **state)
{
    world_t *w = *state;
    write_tree(w, COORD_CREATE, ZNODES_TOPICS "/t", "{\"partitions\":{\"0\":[1],\"1\":[1]},\"version\":2}");
    write_tree(
        w, COORD_SET, ZNODES_TOPICS "/t",
        "{\"partitions\":{\"0\":[1],\"1\":[1],\"2\":[1]},\"topic_id\":\"AAAAAAAAQACAAAAAAAAAAQ\",\"version\":3}");
    all_are_open(w, 3);
    write_tree(w, COORD_SET, ZNODES_TOPICS "/t/partitions/1/state",
               "{\"controller_epoch\":1,\"leader\":1,\"version\":1,\"leader_epoch\":7,\"isr\":[1]}");
    const kafka_topic_t *topic = topic_of(w);
    assert_int_equal(topic->partitions[0].leader_epoch, 0);
    assert_int_equal(topic->partitions[1].leader_epoch, 7);
    assert_int_equal(topic->partitions[1].replicas_count, 1);
    w->configured = 0;
    write_tree(w, COORD_CREATE, ZNODES_TOPIC_CONFIGS "/t", "{\"version\":1,\"config\":{\"retention.ms\":\"77\"}}");
    assert_int_equal(topic->config.retention_ms, 77);
    assert_int_equal(w->configured, 1);
}

static void a_topic_that_is_deleted_node_by_node_serves_until_its_own_is_gone(void **state)
{
    world_t *w = *state;
    create(w, 2);
    for (int i = 0; i < 2; i++) {
        char path[100];
        snprintf(path, sizeof(path), ZNODES_TOPICS "/t/partitions/%d/state", i);
        write_tree(w, COORD_DELETE, path, NULL);
        snprintf(path, sizeof(path), ZNODES_TOPICS "/t/partitions/%d", i);
        write_tree(w, COORD_DELETE, path, NULL);
    }
    all_are_open(w, 2);
    write_tree(w, COORD_DELETE, ZNODES_TOPICS "/t/partitions", NULL);
    write_tree(w, COORD_DELETE, ZNODES_TOPICS "/t", NULL);
    assert_null(topic_of(w));
    create(w, 3);
    all_are_open(w, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_large_topic_comes_grows_and_goes_with_one_look_at_each_of_its_parts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_topic_made_by_hand_is_given_leaders_and_follows_what_is_written, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_topic_that_is_deleted_node_by_node_serves_until_its_own_is_gone, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
