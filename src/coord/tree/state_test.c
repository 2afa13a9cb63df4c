/* state_test.c: the state machine by itself: ZooKeeper's counters and errors, multi's all or nothing, and snapshots of a tree
 * that goes on changing. */
#include "base/hash.h"
#include "coord/service/tree_snapshot.h"
#include "coord/tree/path.h"
#include "coord/tree/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define SESSION       0x1234
#define RANDOM_ROUNDS 20000

static const zk_acl_t world = {31, {{(const uint8_t *)"world", 5}, {(const uint8_t *)"anyone", 6}}};

typedef struct fixture {
    state_t s;
    coord_result_t result;
    buf_t body;
    uint64_t random;
    coord_watcher_t watcher;
    char events[512];
} fixture_t;

static void record_event(coord_watcher_t *watcher, coord_event_t type, bytes_t path, int64_t zxid)
{
    fixture_t *f = CONTAINER_OF(watcher, fixture_t, watcher);
    size_t len = strlen(f->events);
    snprintf(f->events + len, sizeof(f->events) - len, "%d:%.*s ", type, (int)path.len, (const char *)path.ptr);
}

static const char *take_events(fixture_t *f)
{
    static char taken[512];
    strcpy(taken, f->events);
    f->events[0] = '\0';
    return taken;
}

static coord_zerr_t apply(fixture_t *f, int32_t type, bytes_t body)
{
    zk_command_t command = {type, SESSION, NULL, 0, body};
    uint32_t steps = 0;
    state_apply_begin(&f->s, &command, 1000 + f->s.zxid);
    while (!state_apply_step(&f->s, &steps, &f->result)) { /* as small as pieces can be */
        assert_true(steps == 0 && state_is_applying(&f->s));
        steps = 1;
    }
    assert_false(state_is_applying(&f->s));
    return f->result.err;
}

#define APPLY(f, opcode, type, ...)                                                                                    \
    ({                                                                                                                 \
        zk_##type##_t record_ = {__VA_ARGS__};                                                                         \
        buf_clear(&(f)->body);                                                                                         \
        zk_##type##_put(buf_reserve(&(f)->body, zk_##type##_size(&record_)), &record_);                                \
        (f)->body.len = zk_##type##_size(&record_);                                                                    \
        apply(f, opcode, buf_bytes(&(f)->body));                                                                       \
    })

static coord_zerr_t create(fixture_t *f, const char *path, int flags)
{
    return APPLY(f, ZK_OP_CREATE, create_request, bytes_str(path), BYTES_LIT("d"), (zk_acl_t *)&world, 1, flags);
}
static coord_zerr_t delete (fixture_t *f, const char *path)
{
    return APPLY(f, ZK_OP_DELETE, delete_request, bytes_str(path), -1);
}
static coord_zerr_t set(fixture_t *f, const char *path, const char *data, int version)
{
    return APPLY(f, ZK_OP_SET_DATA, set_data_request, bytes_str(path), bytes_str(data), version);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    state_init(&f->s);
    state_make_roots(&f->s);
    sessions_add(&f->s.sessions, SESSION, 10000, BYTES_LIT("0123456789abcdef"), 0);
    coord_watcher_init(&f->watcher, record_event);
    f->random = 88172645463325252u;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    while (!watches_drop(&f->s.watches, &f->watcher, 1)) continue;
    state_deinit(&f->s);
    buf_deinit(&f->body);
    free(f);
    return 0;
}

/* Everything that clients can see of the tree and the sessions, in an order that does not matter. */
static uint64_t digest_of(const state_t *s)
{
    uint64_t sum = s->tree.count;
    for (const znode_t *node = s->tree.root; node != NULL; node = tree_next(node)) {
        coord_stat_t stat;
        znode_stat(node, &stat);
        int64_t fields[] = {stat.czxid,       stat.mzxid,        stat.ctime_ms, stat.mtime_ms,
                            stat.version,     stat.cversion,     stat.aversion, stat.ephemeral_owner,
                            stat.data_length, stat.num_children, stat.pzxid};
        uint64_t h = hash_bytes(node->path, node->path_bytes) * 31 + hash_bytes(fields, sizeof(fields));
        h = h * 31 + hash_bytes(node->data, node->data_bytes) + (node->data == NULL);
        sum += h * 31 + hash_bytes(node->acl->wire.ptr, node->acl->wire.len) + (uint64_t)node->owner;
    }
    size_t cursor = 0;
    for (session_t *x; (x = sessions_next(&s->sessions, &cursor)) != NULL;) {
        sum += hash_bytes(&x->id, 8) * 7 + x->ephemerals_count + hash_bytes(x->passwd, COORD_PASSWD_BYTES);
    }
    return sum + s->ephemerals_count * 1000003;
}

static void sequence_numbers_count_every_create(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(create(f, "/a", 0), ZOK);
    assert_int_equal(create(f, "/a/x", 0), ZOK);
    assert_int_equal(create(f, "/a/s-", 2), ZOK);
    assert_true(bytes_eq(f->result.path, BYTES_LIT("/a/s-0000000001")));
    assert_int_equal(delete (f, "/a/x"), ZOK);
    assert_int_equal(create(f, "/a/s-", 3), ZOK);
    assert_true(bytes_eq(f->result.path, BYTES_LIT("/a/s-0000000002")));
    coord_stat_t stat;
    znode_stat(tree_find(&f->s.tree, BYTES_LIT("/a")), &stat);
    assert_int_equal(stat.cversion, 4); /* three creates, one delete */
    assert_true(stat.pzxid == f->s.zxid);
}

static void errors_come_in_zookeepers_order(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(create(f, "/no/parent", 0), ZNO_NODE);
    assert_int_equal(create(f, "/a", 9), ZBAD_ARGUMENTS);
    assert_int_equal(create(f, "a", 0), ZBAD_ARGUMENTS);
    assert_int_equal(create(f, "/e", 1), ZOK);
    assert_int_equal(create(f, "/e", 1), ZNODE_EXISTS);
    assert_int_equal(create(f, "/e/x", 0), ZNO_CHILDREN_FOR_EPHEMERALS);
    assert_int_equal(set(f, "/e", "1", 4), ZBAD_VERSION);
    assert_int_equal(set(f, "/x", "1", 4), ZNO_NODE);
    assert_int_equal(delete (f, "/zookeeper/quota"), ZBAD_ARGUMENTS);
    assert_int_equal(APPLY(f, ZK_OP_CREATE, create_request, BYTES_LIT("/b"), BYTES_NULL, NULL, 0, 0), ZINVALID_ACL);
    assert_int_equal(
        APPLY(f, ZK_OP_CREATE_TTL, create_ttl_request, BYTES_LIT("/b"), BYTES_NULL, (zk_acl_t *)&world, 1, 5, 0),
        ZBAD_ARGUMENTS);
    assert_int_equal(apply(f, ZK_OP_CREATE, BYTES_LIT("\0\0")), ZMARSHALLING_ERROR);
}

static void closing_a_session_deletes_what_it_owns_at_one_zxid(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(create(f, "/p", 0), ZOK);
    assert_int_equal(create(f, "/p/e1", 1), ZOK);
    assert_int_equal(create(f, "/p/e2", 1), ZOK);
    assert_int_equal(f->s.ephemerals_count, 2);
    assert_int_equal(apply(f, ZK_OP_CLOSE_SESSION, BYTES_NULL), ZOK);
    assert_null(tree_find(&f->s.tree, BYTES_LIT("/p/e1")));
    assert_int_equal(f->s.ephemerals_count, 0);
    assert_true(tree_find(&f->s.tree, BYTES_LIT("/p"))->pzxid == f->s.zxid);
    assert_int_equal(create(f, "/late", 0), ZSESSION_EXPIRED);
}

static void watches_fire_as_zookeepers_do(void **state)
{
    fixture_t *f = *state;
    watches_t *w = &f->s.watches;
    assert_int_equal(create(f, "/a", 0), ZOK);
    watches_add(w, &f->watcher, COORD_WATCH_DATA, BYTES_LIT("/a"), COORD_WATCH_STANDARD);
    watches_add(w, &f->watcher, COORD_WATCH_CHILDREN, BYTES_LIT("/a"), COORD_WATCH_STANDARD);
    watches_add(w, &f->watcher, COORD_WATCH_CHILDREN, BYTES_LIT("/"), COORD_WATCH_STANDARD);
    assert_int_equal(delete (f, "/a"), ZOK);
    assert_string_equal(take_events(f), "2:/a 4:/ "); /* told of the delete once, then the parent's change */
    assert_int_equal(create(f, "/a", 0), ZOK);
    assert_string_equal(take_events(f), ""); /* all were used up */
    watches_add(w, &f->watcher, COORD_WATCH_DATA, BYTES_LIT("/a"), COORD_WATCH_RECURSIVE);
    assert_int_equal(create(f, "/a/b", 0), ZOK);
    assert_int_equal(set(f, "/a/b", "x", -1), ZOK);
    assert_int_equal(delete (f, "/a/b"), ZOK);
    assert_string_equal(take_events(f), "1:/a/b 3:/a/b 2:/a/b "); /* never children-changed */
    assert_true(watches_remove(w, &f->watcher, COORD_WATCH_DATA, BYTES_LIT("/a"), 0));
    assert_int_equal(w->tables[COORD_WATCH_DATA].count, 0);
    assert_int_equal(w->tables[COORD_WATCH_DATA].recursive_count, 0);
}

static void quotas_count_and_refuse(void **state)
{
    fixture_t *f = *state;
    f->s.enforce_quota = true;
    assert_int_equal(create(f, "/q", 0), ZOK);
    assert_int_equal(create(f, "/zookeeper/quota/q", 0), ZOK);
    assert_int_equal(create(f, "/zookeeper/quota/q/zookeeper_limits", 0), ZOK);
    assert_int_equal(
        set(f, "/zookeeper/quota/q/zookeeper_limits", "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3", -1), ZOK);
    assert_int_equal(create(f, "/zookeeper/quota/q/zookeeper_stats", 0), ZOK);
    assert_int_equal(create(f, "/q/1", 0), ZOK);
    assert_int_equal(create(f, "/q/2", 0), ZOK);
    znode_t *stats = tree_find(&f->s.tree, BYTES_LIT("/zookeeper/quota/q/zookeeper_stats"));
    assert_true(bytes_eq(znode_data(stats), BYTES_LIT("count=3,bytes=3")));
    assert_int_equal(create(f, "/q/3", 0), ZQUOTA_EXCEEDED);
    assert_int_equal(set(f, "/q/1", "123456789", -1), ZQUOTA_EXCEEDED);
    assert_int_equal(set(f, "/q/1", "12345678", -1), ZOK);
}

static void paths_are_checked_as_java_does(void **state)
{
    static const char *const good[] = {"/", "/a", "/a/b", "/...", "/.a", "/a.", "/a..b", "/\xc3\xa9", "/\xe4\xb8\xad"};
    static const char *const bad[] = {"",
                                      "a",
                                      "/a/",
                                      "//",
                                      "/a//b",
                                      "/.",
                                      "/..",
                                      "/a/./b",
                                      "/a/../b",
                                      "/a\x01",
                                      "/\x7f",
                                      "/\xc2\x80",
                                      "/\xee\x80\x80",
                                      "/\xf0\x9f\x98\x80",
                                      "/\xef\xbf\xbf",
                                      "/\xff"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++) assert_true(path_valid(bytes_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(path_valid(bytes_str(bad[i])));
}

static void acls_decide(void **state)
{
    zk_id_t ids[] = {{BYTES_LIT("ip"), BYTES_LIT("10.1.2.3")}, {BYTES_LIT("digest"), BYTES_LIT("u:h")}};
    coord_who_t who = {ids, 2}, nobody = {NULL, 0};
    acls_t acls;
    acls_init(&acls);
    zk_acl_t list[] = {{ACL_READ, {BYTES_LIT("ip"), BYTES_LIT("10.1.0.0/16")}},
                       {ACL_WRITE, {BYTES_LIT("digest"), BYTES_LIT("u:h")}},
                       {ACL_CREATE, {BYTES_LIT("world"), BYTES_LIT("anyone")}}};
    acl_t *acl = acl_intern(&acls, list, 3), *same = acl_intern(&acls, list, 3);
    assert_ptr_equal(acl, same);
    assert_true(acl_allows(acl, ACL_READ, who) && acl_allows(acl, ACL_WRITE, who) &&
                acl_allows(acl, ACL_CREATE, nobody));
    assert_false(acl_allows(acl, ACL_READ, nobody) || acl_allows(acl, ACL_DELETE, who));
    acl_unref(&acls, same);
    acl_unref(&acls, acl);
    assert_int_equal(acls.by_wire.count, 0);
    acls_deinit(&acls);
}

/* ---- random commands --------------------------------------------------------------------------------------------------- */

static uint32_t next_random(fixture_t *f, uint32_t below)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (uint32_t)(f->random >> 20) % below;
}

static void random_path(fixture_t *f, char out[32])
{
    int n = snprintf(out, 32, "/%c", 'a' + next_random(f, 6));
    if (next_random(f, 3) > 0) n += snprintf(out + n, 32 - (size_t)n, "/%c", 'a' + next_random(f, 6));
    if (next_random(f, 2) > 0) snprintf(out + n, 32 - (size_t)n, "/%c", 'a' + next_random(f, 6));
}

static void put_part(fixture_t *f, buf_t *body)
{
    char path[32], data[32];
    static const int32_t types[] = {ZK_OP_CREATE,   ZK_OP_CREATE, ZK_OP_DELETE,
                                    ZK_OP_SET_DATA, ZK_OP_CHECK,  ZK_OP_CREATE2};
    int32_t type = types[next_random(f, ARRAY_LEN(types))];
    random_path(f, path);
    snprintf(data, sizeof(data), "%u", next_random(f, 100000));
    zk_multi_header_t header = {type, false, -1};
    zk_create_request_t create_request = {bytes_str(path), bytes_str(data), (zk_acl_t *)&world, 1,
                                          (int32_t)next_random(f, 4)};
    zk_delete_request_t delete_request = {bytes_str(path), -1};
    zk_set_data_request_t set_request = {bytes_str(path), bytes_str(data), (int32_t)next_random(f, 3) - 1};
    uint8_t *at = zk_multi_header_put(buf_reserve(body, 256), &header), *start = at;
    if (type == ZK_OP_DELETE || type == ZK_OP_CHECK)
        at = zk_delete_request_put(at, &delete_request);
    else if (type == ZK_OP_SET_DATA)
        at = zk_set_data_request_put(at, &set_request);
    else
        at = zk_create_request_put(at, &create_request);
    body->len += (size_t)(at - start) + zk_multi_header_size(&header);
}

static void random_multi(fixture_t *f)
{
    buf_clear(&f->body);
    for (uint32_t parts = 1 + next_random(f, 6); parts > 0; parts--) put_part(f, &f->body);
    zk_multi_header_t end = {-1, true, -1};
    zk_multi_header_put(buf_reserve(&f->body, 16), &end);
    f->body.len += zk_multi_header_size(&end);
    assert_int_equal(apply(f, ZK_OP_MULTI, buf_bytes(&f->body)), ZOK);
}

/* Each node's count of its descendants is theirs. */
static uint32_t count_below(const znode_t *node)
{
    uint32_t count = 0;
    for (const znode_t *child = node->first_child; child; child = child->next) count += 1 + count_below(child);
    assert_int_equal(node->descendants_count, count);
    return count;
}

static void a_refused_multi_leaves_no_trace(void **state)
{
    fixture_t *f = *state;
    int refused = 0, done = 0;
    for (int i = 0; i < RANDOM_ROUNDS; i++) {
        uint64_t before = digest_of(&f->s), bytes = f->s.tree.data_bytes;
        int64_t zxid = f->s.zxid;
        random_multi(f);
        assert_true(f->s.zxid == zxid + 1);
        if (f->result.failed_index >= 0) {
            assert_true(digest_of(&f->s) == before && f->s.tree.data_bytes == bytes);
            refused++;
        } else {
            done++;
        }
        if (i % 100 == 0) count_below(f->s.tree.root);
    }
    assert_int_equal(count_below(f->s.tree.root), f->s.tree.count - 1);
    assert_true(refused > 1000 && done > 1000);
}

static void a_snapshot_shows_the_moment_it_began(void **state)
{
    fixture_t *f = *state;
    io_loop_t *loop;
    char dir[] = "/tmp/state_test.XXXXXX", path[64];
    assert_int_equal(io_loop_new_uv(&loop), 0);
    assert_non_null(mkdtemp(dir));
    for (int round = 1; round <= 30; round++) {
        for (int i = 0; i < 300; i++) random_multi(f);
        uint64_t digest = digest_of(&f->s);
        int64_t zxid = f->s.zxid;
        snapshot_point_t point = {(uint64_t)round, 1, 1, BYTES_LIT("conf")};
        snapshot_writer_t *writer;
        assert_int_equal(snapshot_writer_open(loop, dir, &point, &writer), 0);
        tree_snapshot_t *snapshot = tree_snapshot_begin(&f->s, writer);
        while (tree_snapshot_step(snapshot, 1 + next_random(f, 300)) == 0) random_multi(f);
        snprintf(path, sizeof(path), "%s/snapshot.%020d.tmp", dir, round);
        state_t loaded;
        snapshot_reader_t *reader;
        state_init(&loaded);
        assert_int_equal(snapshot_reader_open(loop, path, NULL, &reader), 0);
        tree_loader_t *loader = tree_loader_new(reader, &loaded);
        size_t slice = 1 + next_random(f, 3000);
        int done;
        while ((done = tree_loader_step(loader, slice)) == 0) continue;
        assert_int_equal(done, 1);
        const snapshot_point_t *loaded_point = snapshot_reader_point(reader);
        assert_true(digest_of(&loaded) == digest && loaded.zxid == zxid);
        assert_true(loaded_point->index == (uint64_t)round && bytes_eq(loaded_point->configuration, BYTES_LIT("conf")));
        tree_loader_free(loader);
        snapshot_reader_free(reader);
        state_deinit(&loaded);
        tree_snapshot_end(snapshot);
        snapshot_writer_free(writer);
    }
    assert_int_equal(io_remove_tree(loop, dir), 0);
    io_loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sequence_numbers_count_every_create, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_come_in_zookeepers_order, setup, teardown),
        cmocka_unit_test_setup_teardown(closing_a_session_deletes_what_it_owns_at_one_zxid, setup, teardown),
        cmocka_unit_test_setup_teardown(watches_fire_as_zookeepers_do, setup, teardown),
        cmocka_unit_test_setup_teardown(quotas_count_and_refuse, setup, teardown),
        cmocka_unit_test(paths_are_checked_as_java_does),
        cmocka_unit_test(acls_decide),
        cmocka_unit_test_setup_teardown(a_refused_multi_leaves_no_trace, setup, teardown),
        cmocka_unit_test_setup_teardown(a_snapshot_shows_the_moment_it_began, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
