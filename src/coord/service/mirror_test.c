/* mirror_test.c: a wing's copy of the tree, on a loop of its own: it has what was written before the answer comes, follows
 * what others write, and ends as the tree does. */
#include "coord/mirror.h"
#include "coord/session.h"
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define KEYS    12
#define CHANGES 400

static const char *const prefixes[] = {"/a", "/b/c", "/lone"};

typedef struct world {
    sim_t *sim;
    sim_node_t *node;
    io_loop_t *own; /* the mirror's */
    coord_t *coord;
    mirror_t *mirror;
    coord_subscription_t subscription;
    int heard;
    int asked, answered;
    uint64_t seed;
} world_t;

typedef struct write {
    coord_request_t request;
    world_t *world;
    char path[32], data[16];
    bool sets; /* a lone SET, CREATE or DELETE whose effect can be looked for */
    bool deletes;
} write_t;

static uint64_t draw(world_t *w, uint64_t bound) { return sim_random(w->sim, bound); }

static void opened(world_t *w)
{
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    assert_int_equal(coord_open(sim_node_loop(w->node), &options, &w->coord), 0);
}

static void on_heard(coord_subscription_t *subscription, coord_change_t change, const char *path)
{
    world_t *w = CONTAINER_OF(subscription, world_t, subscription);
    assert_int_equal(strncmp(path, "/a", 2), 0);
    assert_true(mirror_exists(w->mirror, path) == (change != COORD_DELETED));
    w->heard++;
}

static world_t *world_new(uint64_t seed)
{
    world_t *w = mem_zalloc(sizeof(*w));
    w->seed = seed;
    w->sim = sim_new(seed);
    w->node = sim_node_new(w->sim, "10.0.0.1");
    w->own = seed % 3 ? sim_node_loop_new(w->node) : sim_node_loop(w->node);
    opened(w);
    w->mirror = mirror_new(w->coord, sim_node_loop(w->node), w->own, prefixes, ARRAY_LEN(prefixes));
    w->subscription = (coord_subscription_t){.prefix = "/a", .changed = on_heard};
    mirror_subscribe(w->mirror, &w->subscription);
    return w;
}

/* As the server stops: the tree answers what is under way, and both loops run what they were sent. */
static void world_free(world_t *w)
{
    mirror_detach(w->mirror);
    io_loop_drain(sim_node_loop(w->node));
    coord_close(w->coord);
    io_loop_drain(w->own);
    assert_int_equal(w->answered, w->asked);
    mirror_free(w->mirror);
    sim_free(w->sim);
    mem_free(w);
}

/* What was written is in the mirror when its answer comes, unless somebody changed it since: the mirror is never older. */
static void on_answer(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    write_t *write = CONTAINER_OF(request, write_t, request);
    world_t *w = write->world;
    coord_stat_t stat;
    bytes_t data;
    coord_zerr_t found = mirror_get(w->mirror, write->path, &data, &stat);
    w->answered++;
    if (err == ZOK && write->sets && found == ZOK) {
        assert_true(stat.mzxid >= zxid);
        if (stat.mzxid == zxid) assert_true(bytes_eq(data, bytes_str(write->data)));
    }
    if (err == ZOK && write->deletes && found == ZOK) assert_true(stat.czxid > zxid);
    mem_free(write);
}

static void random_path(world_t *w, char out[32])
{
    static const char *const tops[] = {"/a", "/b/c", "/lone", "/elsewhere", "/a/d", "/b"};
    const char *top = tops[draw(w, ARRAY_LEN(tops))];
    if (draw(w, 4) == 0)
        snprintf(out, 32, "%s", top);
    else
        snprintf(out, 32, "%s/%d", top, (int)draw(w, KEYS));
}

static void change_something(world_t *w, int number)
{
    static const coord_op_kind_t kinds[] = {COORD_CREATE, COORD_SET, COORD_DELETE, COORD_CREATE,
                                            COORD_CREATE_EPHEMERAL};
    write_t *write = mem_zalloc(sizeof(*write));
    coord_op_t op = {.kind = kinds[draw(w, ARRAY_LEN(kinds))], .version = -1, .make_parents = true};
    write->world = w;
    random_path(w, write->path);
    snprintf(write->data, sizeof(write->data), "%d", number);
    op.path = write->path;
    if (op.kind != COORD_DELETE) op.data = bytes_str(write->data);
    write->deletes = op.kind == COORD_DELETE;
    write->sets = !write->deletes;
    w->asked++;
    if (draw(w, 3))
        mirror_submit(w->mirror, &op, 1, &write->request, on_answer);
    else /* somebody else: the tree's own reactor; there the answer may come before the mirror has it */
        coord_submit(w->coord, &op, 1, (write->sets = write->deletes = false, &write->request), on_answer);
    io_loop_wake(sim_node_loop(w->node));
    io_loop_wake(w->own);
}

static void same_node(world_t *w, const char *path)
{
    bytes_t here = BYTES_NULL, there = BYTES_NULL;
    coord_stat_t mine, its;
    coord_zerr_t err = coord_get(w->coord, path, &there, &its);
    assert_int_equal(mirror_get(w->mirror, path, &here, &mine), err);
    if (err != ZOK) return;
    assert_true(bytes_eq(here, there) && (here.ptr == NULL) == (there.ptr == NULL));
    assert_int_equal(mine.version, its.version);
    assert_int_equal(mine.czxid, its.czxid);
    assert_int_equal(mine.mzxid, its.mzxid);
    assert_int_equal(mine.num_children, its.num_children);
    assert_int_equal(mine.ephemeral_owner, its.ephemeral_owner);
}

static void same_trees(world_t *w)
{
    static const char *const tops[] = {"/a", "/b/c", "/lone", "/a/d"};
    for (size_t top = 0; top < ARRAY_LEN(tops); top++) {
        same_node(w, tops[top]);
        for (int key = 0; key < KEYS; key++) {
            char path[32];
            snprintf(path, sizeof(path), "%s/%d", tops[top], key);
            same_node(w, path);
        }
    }
    assert_false(mirror_exists(w->mirror, "/elsewhere"));
}

static void a_mirror_follows_the_tree_and_has_what_was_answered(void **state)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t *w = world_new(seed);
        for (int i = 0; i < CHANGES; i++) {
            change_something(w, i);
            if (draw(w, 3) == 0) sim_run_for(w->sim, draw(w, 20));
        }
        sim_run_for(w->sim, 1000);
        assert_int_equal(w->answered, w->asked);
        assert_true(w->heard > 0);
        same_trees(w);
        world_free(w);
    }
}

static void a_mirror_made_late_starts_with_what_is_there(void **state)
{
    world_t *w = world_new(1);
    for (int i = 0; i < CHANGES; i++) change_something(w, i);
    sim_run_for(w->sim, 1000);
    mirror_t *first = w->mirror;
    w->mirror = mirror_new(w->coord, sim_node_loop(w->node), w->own, prefixes, ARRAY_LEN(prefixes));
    assert_false(mirror_ready(w->mirror));
    sim_run_for(w->sim, 10);
    assert_true(mirror_ready(w->mirror));
    same_trees(w);
    mirror_detach(first);
    mirror_free(first);
    world_free(w);
}

static void on_loss(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    write_t *write = CONTAINER_OF(request, write_t, request);
    assert_int_equal(err, ZCONNECTION_LOSS);
    write->world->answered++;
    mem_free(write);
}

static void a_wing_that_has_stopped_hears_of_a_loss_and_of_nothing_else(void **state)
{
    world_t *w = world_new(4);
    sim_run_for(w->sim, 10);
    for (int i = 0; i < 20; i++) {
        write_t *write = mem_zalloc(sizeof(*write));
        coord_op_t op = {.kind = COORD_CREATE, .path = write->path, .version = -1, .make_parents = true};
        snprintf(write->path, sizeof(write->path), "/a/%d", i);
        write->world = w;
        w->asked++;
        mirror_submit(w->mirror, &op, 1, &write->request, on_loss);
    }
    mirror_close(w->mirror);
    io_loop_wake(sim_node_loop(w->node));
    sim_run_for(w->sim, 1000);
    assert_int_equal(w->answered, w->asked);
    assert_int_equal(w->heard, 0);
    assert_true(coord_exists(w->coord, "/a/19"));
    world_free(w);
}

static void what_is_under_way_when_the_tree_closes_is_answered(void **state)
{
    world_t *w = world_new(2);
    for (int i = 0; i < 50; i++) change_something(w, i);
    world_free(w); /* counts the answers */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mirror_follows_the_tree_and_has_what_was_answered),
        cmocka_unit_test(a_mirror_made_late_starts_with_what_is_there),
        cmocka_unit_test(a_wing_that_has_stopped_hears_of_a_loss_and_of_nothing_else),
        cmocka_unit_test(what_is_under_way_when_the_tree_closes_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
