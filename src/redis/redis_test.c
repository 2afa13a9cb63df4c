/* redis_test.c: the wing without connections: commands and their replies, and what the append-only file keeps through power
 * loss and through a rewrite, on simulated disks. */
#include "redis/redis.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct machine {
    sim_t *sim;
    sim_node_t *node;
    net_t *net;
    redis_t *redis;
} machine_t;

static void start(machine_t *m, const char *fsync)
{
    char err[256] = "";
    io_loop_t *loop = sim_node_loop(m->node);
    redis_config_t *config = redis_config_new();
    assert_int_equal(redis_configure(config, "appendfsync", fsync, err, sizeof(err)), 0);
    assert_int_equal(redis_configure(config, "enable-debug-command", "yes", err, sizeof(err)), 0);
    m->net = net_new(loop);
    m->redis = redis_new(loop, m->net, "/data/redis", config);
    redis_config_free(config);
    if (redis_load(m->redis, err, sizeof(err)) != 0) fail_msg("load: %s", err);
}

static void stop(machine_t *m)
{
    redis_free(m->redis);
    net_free(m->net);
}

static machine_t machine_new(uint64_t seed, const char *fsync)
{
    machine_t m = {.sim = sim_new(seed)};
    m.node = sim_node_new(m.sim, "10.0.0.1");
    start(&m, fsync);
    return m;
}

static void machine_free(machine_t *m)
{
    stop(m);
    sim_free(m->sim);
}

/* Runs one line of words and gives its reply as text; the caller frees it. */
static char *run(machine_t *m, const char *fmt, ...)
{
    char line[512];
    bytes_t argv[32];
    int argc = 0;
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) argv[argc++] = bytes_str(word);
    buf_t reply = BUF_INIT;
    redis_execute(m->redis, argv, argc, &reply);
    buf_u8(&reply, 0);
    return (char *)reply.ptr;
}

static void expect(machine_t *m, const char *line, const char *reply)
{
    char *got = run(m, "%s", line);
    assert_string_equal(got, reply);
    free(got);
}

static void just(machine_t *m, const char *line) { free(run(m, "%s", line)); }

static void settle(machine_t *m, uint64_t ms)
{
    io_loop_wake(sim_node_loop(m->node));
    sim_run_for(m->sim, ms);
}

/* ---- commands -------------------------------------------------------------------------------------------------- */

static void test_commands_reply_as_redis_does(void **state)
{
    static const struct {
        const char *line, *reply;
    } cases[] = {
        {"SET k v", "+OK\r\n"},
        {"GET k", "$1\r\nv\r\n"},
        {"COMMAND GETKEYS PFMERGE k", "*1\r\n$1\r\nk\r\n"},
        {"COMMAND GETKEYS PFMERGE k l", "*2\r\n$1\r\nk\r\n$1\r\nl\r\n"},
        {"GET absent", "$-1\r\n"},
        {"GET", "-ERR wrong number of arguments for 'get' command\r\n"},
        {"NOPE a b", "-ERR unknown command 'NOPE', with args beginning with: 'a' 'b' \r\n"},
        {"CONFIG NOPE", "-ERR unknown subcommand 'NOPE'. Try CONFIG HELP.\r\n"},
        {"INCR n", ":1\r\n"},
        {"INCRBY n 41", ":42\r\n"},
        {"OBJECT ENCODING n", "$3\r\nint\r\n"},
        {"OBJECT ENCODING k", "$6\r\nembstr\r\n"},
        {"APPEND k w", ":2\r\n"},
        {"OBJECT ENCODING k", "$3\r\nraw\r\n"},
        {"INCR k", "-ERR value is not an integer or out of range\r\n"},
        {"LPUSH k x", "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"},
        {"INCRBYFLOAT f 3.0e3", "$4\r\n3000\r\n"},
        {"SETRANGE r 3 abc", ":6\r\n"},
        {"GETRANGE r 3 -1", "$3\r\nabc\r\n"},
        {"SET e 1 EX 100 NX", "+OK\r\n"},
        {"SET e 1 EX 0", "-ERR invalid expire time in 'set' command\r\n"},
        {"TTL e", ":100\r\n"},
        {"PERSIST e", ":1\r\n"},
        {"TTL e", ":-1\r\n"},
        {"TTL absent", ":-2\r\n"},
        {"EXPIRE e 10 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n"},
        {"RENAME absent x", "-ERR no such key\r\n"},
        {"COPY n n2", ":1\r\n"},
        {"MOVE n2 1", ":1\r\n"},
        {"EXISTS n n2", ":1\r\n"},
        {"SELECT 99", "-ERR DB index is out of range\r\n"},
        {"EXEC", "-ERR EXEC without MULTI\r\n"},
        {"SCAN x", "-ERR invalid cursor\r\n"},
        {"LCS absent k", "$0\r\n\r\n"},
        {"TYPE k", "+string\r\n"},
        {"DEL k n e f r absent", ":5\r\n"},
        {"DBSIZE", ":0\r\n"},
    };
    machine_t m = machine_new(1, "everysec");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) expect(&m, cases[i].line, cases[i].reply);
    machine_free(&m);
}

static void test_keys_expire_by_looks_and_by_themselves(void **state)
{
    machine_t m = machine_new(2, "everysec");
    uint16_t port;
    assert_int_equal(redis_listen(m.redis, "10.0.0.1", 6379, &port), 0);
    expect(&m, "SET a 1 PX 50", "+OK\r\n");
    expect(&m, "SET b 1 PX 100000", "+OK\r\n");
    settle(&m, 1000);
    expect(&m, "DBSIZE", ":1\r\n"); /* the cron found it */
    expect(&m, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n");
    expect(&m, "PEXPIRE b 50", ":1\r\n");
    settle(&m, 1000);
    expect(&m, "DBSIZE", ":1\r\n");
    expect(&m, "GET b", "$-1\r\n");
    expect(&m, "DBSIZE", ":0\r\n");
    machine_free(&m);
}

/* ---- the append-only file ------------------------------------------------------------------------------------- */

static void test_synced_writes_survive_power_loss(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        machine_t m = machine_new(seed, "always");
        int writes = (int)sim_random(m.sim, 200) + 1;
        for (int i = 0; i < writes; i++) {
            free(run(&m, "SET key:%d value:%d", i % 50, i));
            free(run(&m, "RPUSH list %d", i));
            settle(&m, 1);
        }
        free(run(&m, "SET unsynced 1")); /* may be lost */
        sim_node_crash(m.node);
        stop(&m);
        sim_node_start(m.node);
        start(&m, "always");
        char line[64], reply[64], value[32];
        for (int i = MAX(0, writes - 50); i < writes; i++) {
            snprintf(line, sizeof(line), "GET key:%d", i % 50);
            int n = snprintf(value, sizeof(value), "value:%d", i);
            snprintf(reply, sizeof(reply), "$%d\r\n%s\r\n", n, value);
            expect(&m, line, reply);
        }
        snprintf(reply, sizeof(reply), ":%d\r\n", writes);
        expect(&m, "LLEN list", reply);
        machine_free(&m);
    }
}

/* Everything that is there, as one text to compare. */
static char *contents(machine_t *m)
{
    buf_t all = BUF_INIT;
    for (int i = 0; i < 3000; i++) {
        char *value = run(m, "GET s:%d", i), *ttl = run(m, "PEXPIRETIME s:%d", i);
        buf_printf(&all, "%d %s %s\n", i, value, ttl);
        free(value);
        free(ttl);
    }
    for (int i = 0; i < 20; i++) {
        char *list = run(m, "LRANGE l:%d 0 -1", i);
        buf_printf(&all, "%s\n", list);
        free(list);
    }
    buf_u8(&all, 0);
    return (char *)all.ptr;
}

static void change_something(machine_t *m)
{
    int i = (int)sim_random(m->sim, 3000);
    switch (sim_random(m->sim, 6)) {
    case 0: free(run(m, "INCRBY s:%d 7", i)); break;
    case 1: free(run(m, "DEL s:%d", i)); break;
    case 2: free(run(m, "RENAME s:%d s:%d", i, (i + 17) % 3000)); break;
    case 3: free(run(m, "EXPIRE s:%d 100000", i)); break;
    case 4: free(run(m, "LPUSH l:%d %d", i % 20, i)); break;
    default: free(run(m, "RPOP l:%d", i % 20)); break;
    }
}

static bool rewrote(machine_t *m)
{
    char *info = run(m, "INFO persistence");
    bool done = strstr(info, "aof_rewrites:1\r") && strstr(info, "aof_rewrite_in_progress:0");
    free(info);
    return done;
}

static void test_rewrite_is_exact_while_commands_go_on(void **state)
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        machine_t m = machine_new(seed, "everysec");
        for (int i = 0; i < 3000; i++) free(run(&m, "SET s:%d %d", i, i));
        for (int i = 0; i < 2000; i++) change_something(&m);
        settle(&m, 5);
        just(&m, "BGREWRITEAOF");
        for (int turn = 0; turn < 5000 && !rewrote(&m); turn++) {
            for (int i = 0; i < 5; i++) change_something(&m);
            io_loop_wake(sim_node_loop(m.node));
            sim_step(m.sim);
        }
        assert_true(rewrote(&m));
        for (int i = 0; i < 100; i++) change_something(&m);
        settle(&m, 5);
        char *before = contents(&m);
        sim_node_kill(m.node);
        stop(&m);
        sim_node_start(m.node);
        start(&m, "everysec");
        char *after = contents(&m);
        assert_string_equal(before, after);
        free(before);
        free(after);
        machine_free(&m);
    }
}

static void test_truncated_tail_is_cut(void **state)
{
    machine_t m = machine_new(3, "always");
    just(&m, "SET a 1");
    settle(&m, 2);
    stop(&m);
    io_loop_t *loop = sim_node_loop(m.node);
    io_file_t *file;
    assert_int_equal(io_file_open(loop, "/data/redis/appendonlydir/appendonly.aof.1.incr.aof", IO_FILE_WRITE, &file),
                     0);
    uint64_t bytes;
    assert_int_equal(io_file_size(file, &bytes), 0);
    static const char tail[] = "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$1\r\n2\r\n*1\r\n$4\r\nEX";
    struct iovec iov = {(void *)tail, sizeof(tail) - 1};
    assert_int_equal(io_file_write(file, bytes, &iov, 1), 0);
    io_file_close(file);
    start(&m, "always");
    expect(&m, "GET a", "$1\r\n1\r\n");
    expect(&m, "GET b", "$-1\r\n"); /* half a transaction is none */
    just(&m, "SET c 3");
    settle(&m, 2);
    stop(&m);
    start(&m, "always");
    expect(&m, "GET c", "$1\r\n3\r\n");
    machine_free(&m);
}

/* A full disk: the write that met it is in memory only, further ones are refused, and all goes on once there is room. */
static void test_a_full_disk_refuses_writes_until_there_is_room(void **state)
{
    machine_t m = machine_new(4, "everysec");
    uint16_t port;
    assert_int_equal(redis_listen(m.redis, "10.0.0.1", 6379, &port), 0);
    expect(&m, "SET before 1", "+OK\r\n");
    settle(&m, 10);
    sim_disk_faults_t full = sim_disk_faults_default;
    full.capacity_bytes = 1;
    sim_node_set_disk_faults(m.node, &full);
    expect(&m, "SET met 1", "+OK\r\n");
    settle(&m, 10);
    static const char refusal[] = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";
    expect(&m, "SET refused 1", refusal);
    expect(&m, "DEL before", refusal);
    expect(&m, "GET before", "$1\r\n1\r\n");
    settle(&m, 2000);
    expect(&m, "SET refused 1", refusal); /* the cron tried again, in vain */
    char *info = run(&m, "INFO persistence");
    assert_non_null(strstr(info, "aof_last_write_status:err"));
    free(info);
    sim_node_set_disk_faults(m.node, &sim_disk_faults_default);
    settle(&m, 2000);
    expect(&m, "SET after 1", "+OK\r\n");
    settle(&m, 10);
    sim_node_kill(m.node);
    stop(&m);
    sim_node_start(m.node);
    start(&m, "everysec");
    expect(&m, "EXISTS before met after", ":3\r\n");
    expect(&m, "EXISTS refused", ":0\r\n");
    machine_free(&m);
}

/* ---- write before reply: a client on another machine ----------------------------------------------------------- */

typedef struct caller {
    machine_t *m;
    net_conn_t *conn;
    int sent, answered;
} caller_t;

static int on_open(net_conn_t *conn, void *service)
{
    net_conn_set_user(conn, service);
    return 0;
}

static void on_close(net_conn_t *conn) { ((caller_t *)net_conn_user(conn))->conn = NULL; }

static ssize_t on_replies(net_conn_t *conn, uint8_t *data, size_t len)
{
    caller_t *c = net_conn_user(conn);
    for (size_t i = 0; i < len; i++) c->answered += data[i] == '\n';
    return (ssize_t)len;
}

static const net_service_t caller_service = {.name = "caller",
                                             .on_open = on_open,
                                             .on_data = on_replies,
                                             .on_close = on_close,
                                             .limits = {.in_bytes_max = MIB(1), .out_bytes_high = MIB(1)}};

/* Ends the server's process, not its machine, at some time in the middle of pipelines: each write whose reply came must
 * be in the file, although nothing was synced. */
static void test_everysec_writes_before_it_replies(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        machine_t m = machine_new(seed, "everysec");
        sim_node_t *other = sim_node_new(m.sim, "127.0.0.1");
        net_t *net = net_new(sim_node_loop(other));
        caller_t c = {.m = &m};
        uint16_t port;
        assert_int_equal(redis_listen(m.redis, "10.0.0.1", 6379, &port), 0);
        assert_int_equal(net_connect(net, "10.0.0.1", port, &caller_service, &c, &c.conn), 0);
        int kill_at = (int)sim_random(m.sim, 150) + 1;
        while (c.answered < kill_at) {
            while (c.conn && c.sent - c.answered < 20) {
                char line[64];
                int n = snprintf(line, sizeof(line), "RPUSH list %d\r\n", c.sent++);
                net_write(c.conn, line, (size_t)n);
            }
            io_loop_wake(sim_node_loop(other));
            assert_true(sim_step(m.sim));
        }
        sim_node_kill(m.node);
        stop(&m);
        sim_node_start(m.node);
        start(&m, "everysec");
        char *length = run(&m, "LLEN list");
        assert_in_range(atoi(length + 1), c.answered, c.sent);
        free(length);
        net_free(net);
        machine_free(&m);
    }
}

static void test_a_new_file_begins_with_a_base(void **state)
{
    static const char expected[] = "file appendonly.aof.1.base.aof seq 1 type b\n"
                                   "file appendonly.aof.1.incr.aof seq 1 type i\n";
    machine_t m = machine_new(5, "everysec");
    uint8_t *text;
    size_t bytes;
    assert_int_equal(io_read_whole(sim_node_loop(m.node), "/data/redis/appendonlydir/appendonly.aof.manifest", KIB(4),
                                   &text, &bytes),
                     0);
    assert_string_equal((const char *)text, expected);
    mem_free(text);
    machine_free(&m);
}

/* Rewrites on a disk that fails now and then: the file on disk always makes the data that was durable. */
static void test_failed_rewrites_lose_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        machine_t m = machine_new(seed, "everysec");
        for (int i = 0; i < 200; i++) free(run(&m, "SET s:%d %d", i, i));
        settle(&m, 5);
        sim_disk_faults_t faults = sim_disk_faults_default;
        faults.write_error_ppm = SIM_PPM / 4;
        for (int round = 0; round < 4; round++) {
            just(&m, "BGREWRITEAOF");
            settle(&m, 1);
            sim_node_set_disk_faults(m.node, &faults);
            settle(&m, 20);
            sim_node_set_disk_faults(m.node, &sim_disk_faults_default);
            settle(&m, 50);
            free(run(&m, "INCRBY s:%d 1000", round));
            settle(&m, 5);
        }
        char *before = contents(&m);
        sim_node_kill(m.node);
        stop(&m);
        sim_node_start(m.node);
        start(&m, "everysec");
        char *after = contents(&m);
        assert_string_equal(before, after);
        free(before);
        free(after);
        machine_free(&m);
    }
}

/* Loses power at the `operation`th operation of a rewrite; false when the rewrite had no more of them. */
static bool rewrite_dies_at(uint64_t operation)
{
    machine_t m = machine_new(operation, "always");
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.ordered = true; /* the file's commands have no checksums */
    sim_node_set_disk_faults(m.node, &faults);
    for (int i = 0; i < 200; i++) free(run(&m, "SET s:%d %d", i, i));
    settle(&m, 100);
    char *before = contents(&m);
    just(&m, "BGREWRITEAOF");
    sim_node_crash_after(m.node, operation);
    settle(&m, 500);
    bool died = !sim_node_alive(m.node);
    if (!died) sim_node_crash(m.node);
    stop(&m);
    sim_node_start(m.node);
    start(&m, "always");
    char *after = contents(&m);
    assert_string_equal(before, after);
    free(before);
    free(after);
    machine_free(&m);
    return died;
}

static void test_power_lost_at_any_operation_of_a_rewrite_loses_nothing(void **state)
{
    uint64_t operation = 1;
    while (rewrite_dies_at(operation)) operation++;
    assert_in_range(operation, 10, 1000); /* there were some */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_reply_as_redis_does),
        cmocka_unit_test(test_keys_expire_by_looks_and_by_themselves),
        cmocka_unit_test(test_synced_writes_survive_power_loss),
        cmocka_unit_test(test_rewrite_is_exact_while_commands_go_on),
        cmocka_unit_test(test_truncated_tail_is_cut),
        cmocka_unit_test(test_a_full_disk_refuses_writes_until_there_is_room),
        cmocka_unit_test(test_everysec_writes_before_it_replies),
        cmocka_unit_test(test_a_new_file_begins_with_a_base),
        cmocka_unit_test(test_failed_rewrites_lose_nothing),
        cmocka_unit_test(test_power_lost_at_any_operation_of_a_rewrite_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
