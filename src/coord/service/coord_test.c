/* coord_test.c: the service on a real loop and disk: what is promised survives closing and opening again. */
#include "coord/coord.h"
#include "coord/session.h"
#include "zk_records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct fixture {
    io_loop_t *loop;
    coord_options_t options;
    coord_t *coord;
    char dir[64];
} fixture_t;

static void open_it(fixture_t *f)
{
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    assert_int_equal(coord_open(f->loop, &f->options, &f->coord), 0);
}

static void close_it(fixture_t *f)
{
    coord_close(f->coord);
    io_loop_free(f->loop);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    strcpy(f->dir, "/tmp/coord_test.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->options = coord_options_default;
    f->options.dir = f->dir;
    open_it(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    close_it(f);
    assert_int_equal(io_loop_new_uv(&f->loop), 0);
    assert_int_equal(io_remove_tree(f->loop, f->dir), 0);
    io_loop_free(f->loop);
    free(f);
    return 0;
}

typedef struct pending {
    coord_request_t request;
    fixture_t *f;
    coord_zerr_t err;
    int failed;
    int64_t zxid;
    bool done;
} pending_t;

static void note(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    pending_t *p = CONTAINER_OF(request, pending_t, request);
    p->err = err;
    p->failed = failed_index;
    p->zxid = zxid;
    p->done = true;
    io_loop_stop(p->f->loop);
}

static coord_zerr_t submit(fixture_t *f, const coord_op_t *ops, int count, pending_t *p)
{
    *p = (pending_t){.f = f};
    coord_submit(f->coord, ops, count, &p->request, note);
    while (!p->done) io_loop_run(f->loop);
    return p->err;
}

static void a_new_tree_has_the_four_nodes(void **state)
{
    fixture_t *f = *state;
    coord_stat_t stat;
    bytes_t data;
    assert_int_equal(coord_get(f->coord, "/", &data, &stat), ZOK);
    assert_int_equal(stat.cversion, -1);
    assert_int_equal(stat.num_children, 1);
    assert_int_equal(coord_get(f->coord, "/zookeeper/config", &data, &stat), ZOK);
    assert_non_null(data.ptr);
    assert_int_equal(data.len, 0);
    assert_true(coord_exists(f->coord, "/zookeeper/quota"));
}

static void what_was_submitted_survives(void **state)
{
    fixture_t *f = *state;
    pending_t p;
    coord_op_t ops[] = {
        {.kind = COORD_CREATE, .path = "/brokers/topics/a", .data = BYTES_LIT("x"), .make_parents = true},
        {.kind = COORD_CREATE_EPHEMERAL, .path = "/brokers/ids-1", .data = BYTES_LIT("me")},
        {.kind = COORD_SET, .path = "/brokers/topics/a", .data = BYTES_LIT("yy"), .version = 0},
    };
    assert_int_equal(submit(f, ops, 3, &p), ZOK);
    coord_stat_t stat;
    bytes_t data;
    assert_int_equal(coord_get(f->coord, "/brokers/ids-1", &data, &stat), ZOK);
    assert_true(stat.ephemeral_owner == coord_own_session(f->coord));
    int64_t zxid = coord_last_zxid(f->coord);
    close_it(f);
    open_it(f);
    assert_int_equal(coord_get(f->coord, "/brokers/topics/a", &data, &stat), ZOK);
    assert_memory_equal(data.ptr, "yy", 2);
    assert_int_equal(stat.version, 1);
    assert_true(stat.czxid == p.zxid && stat.mzxid == p.zxid);
    assert_false(coord_exists(f->coord, "/brokers/ids-1")); /* its owner was the process before */
    assert_true(coord_last_zxid(f->coord) > zxid);
}

static void a_refused_part_takes_all_back(void **state)
{
    fixture_t *f = *state;
    pending_t p;
    coord_op_t ops[] = {
        {.kind = COORD_CREATE, .path = "/a", .data = BYTES_LIT("1")},
        {.kind = COORD_CREATE, .path = "/a/b", .data = BYTES_LIT("2")},
        {.kind = COORD_CHECK, .path = "/a/b", .version = 7},
    };
    int64_t before = coord_last_zxid(f->coord);
    assert_int_equal(submit(f, ops, 3, &p), ZBAD_VERSION);
    assert_int_equal(p.failed, 2);
    assert_false(coord_exists(f->coord, "/a"));
    assert_true(coord_last_zxid(f->coord) == before + 1); /* a refused write takes a zxid too */
}

#define MANY       5000 /* what a turn does not apply */
#define PART_BYTES 64

typedef struct written {
    coord_write_t write;
    fixture_t *f;
    coord_zerr_t err;
    int failed;
    int64_t zxid;
    bool done;
} written_t;

static void on_written(coord_write_t *write, const coord_result_t *result)
{
    written_t *w = CONTAINER_OF(write, written_t, write);
    w->err = result->err;
    w->failed = result->failed_index;
    w->zxid = result->zxid;
    w->done = true;
    io_loop_stop(w->f->loop);
}

/* Creates so many nodes below /many in one multi, whose last part says what version /many must have. */
static written_t create_many(fixture_t *f, int32_t version)
{
    static uint8_t body[(MANY + 2) * PART_BYTES * 2];
    zk_multi_header_t create = {ZK_OP_CREATE, false, -1}, check = {ZK_OP_CHECK, false, -1}, end = {-1, true, -1};
    zk_acl_t world = {31, {BYTES_LIT("world"), BYTES_LIT("anyone")}};
    zk_check_version_request_t checked = {BYTES_LIT("/many"), version};
    uint8_t *p = body;
    char path[16];
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof(path), "/many/%05d", i);
        zk_create_request_t record = {bytes_str(path), BYTES_LIT("data"), &world, 1, 0};
        p = zk_create_request_put(zk_multi_header_put(p, &create), &record);
    }
    p = zk_check_version_request_put(zk_multi_header_put(p, &check), &checked);
    p = zk_multi_header_put(p, &end);
    assert_true(p <= body + sizeof(body));
    written_t w = {.f = f};
    zk_id_t super = {BYTES_LIT("super"), BYTES_LIT("")};
    coord_write(f->coord, &w.write, ZK_OP_MULTI, 0, (coord_who_t){&super, 1}, bytes_of(body, (size_t)(p - body)),
                on_written);
    while (!w.done) io_loop_run(f->loop);
    return w;
}

static void a_command_of_many_turns_is_answered_when_it_is_done(void **state)
{
    fixture_t *f = *state;
    pending_t p;
    coord_op_t parent = {.kind = COORD_CREATE, .path = "/many", .data = BYTES_LIT("")};
    coord_op_t child = {.kind = COORD_CREATE, .path = "/many/04999/below", .data = BYTES_LIT("")};
    assert_int_equal(submit(f, &parent, 1, &p), ZOK);
    int64_t before = coord_last_zxid(f->coord);
    written_t refused = create_many(f, 7);
    assert_true(refused.failed == MANY && refused.zxid == before + 1);
    assert_false(coord_exists(f->coord, "/many/00000"));
    written_t made = create_many(f, 0);
    assert_true(made.err == ZOK && made.failed < 0 && made.zxid == before + 2);
    assert_true(coord_exists(f->coord, "/many/00000") && coord_exists(f->coord, "/many/04999"));
    assert_int_equal(submit(f, &child, 1, &p), ZOK);
    close_it(f);
    open_it(f);
    assert_true(coord_exists(f->coord, "/many/04999/below"));
}

static void a_snapshot_replaces_the_log(void **state)
{
    fixture_t *f = *state;
    close_it(f);
    f->options.snapshot_entries = 50;
    open_it(f);
    pending_t p;
    for (int i = 0; i < 200; i++) {
        char path[32];
        snprintf(path, sizeof(path), "/n%03d", i);
        coord_op_t op = {.kind = COORD_CREATE, .path = path, .data = BYTES_LIT("some data")};
        assert_int_equal(submit(f, &op, 1, &p), ZOK);
    }
    coord_figures_t figures;
    coord_figures(f->coord, &figures);
    assert_true(figures.snapshots >= 2);
    int64_t zxid = coord_last_zxid(f->coord);
    close_it(f);
    open_it(f);
    assert_true(coord_last_zxid(f->coord) == zxid + 2); /* the old own session's end, the new one */
    assert_true(coord_exists(f->coord, "/n000") && coord_exists(f->coord, "/n199"));
    coord_stat_t stat;
    assert_int_equal(coord_get(f->coord, "/", NULL, &stat), ZOK);
    assert_int_equal(stat.num_children, 201);
    assert_int_equal(stat.cversion, 200 * 2 - 201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_new_tree_has_the_four_nodes, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_submitted_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_part_takes_all_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_command_of_many_turns_is_answered_when_it_is_done, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_replaces_the_log, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
