/* field_time_test.c: fields that expire, on simulated time and disks: they are gone when their time is over, by themselves and in
 * the order of their times; and what the append-only file and snapshots keep of random commands is exactly what was in memory,
 * fields included that are over and not yet deleted. */
#include "redis/exec/state.h"
#include "redis/redis.h"

#include "redis/types/hash.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KEYS = 6, COMMANDS = 600 };

typedef struct machine {
    sim_t *sim;
    sim_node_t *node;
    net_t *net;
    redis_t *redis;
} machine_t;

/* `preamble` NULL: without an append-only file. */
static void start(machine_t *m, const char *preamble)
{
    char err[256] = "";
    io_loop_t *loop = sim_node_loop(m->node);
    redis_config_t *config = redis_config_new();
    assert_int_equal(redis_configure(config, "appendfsync", "always", err, sizeof(err)), 0);
    const char *appendonly = preamble ? "yes" : "no";
    assert_int_equal(redis_configure(config, "appendonly", appendonly, err, sizeof(err)), 0);
    assert_int_equal(redis_configure(config, "aof-use-rdb-preamble", preamble ? preamble : "no", err, sizeof(err)), 0);
    assert_int_equal(redis_configure(config, "enable-debug-command", "yes", err, sizeof(err)), 0);
    m->net = net_new(loop);
    m->redis = redis_new(loop, m->net, "/data/redis", config);
    redis_config_free(config);
    if (redis_load(m->redis, err, sizeof(err)) != 0) fail_msg("load: %s", err);
    uint16_t port;
    assert_int_equal(redis_listen(m->redis, "10.0.0.1", 6379, &port), 0); /* from now on the cron runs */
}

static void stop(machine_t *m)
{
    redis_free(m->redis);
    net_free(m->net);
}

static machine_t machine_new(uint64_t seed, const char *preamble)
{
    machine_t m = {.sim = sim_new(seed)};
    m.node = sim_node_new(m.sim, "10.0.0.1");
    start(&m, preamble);
    return m;
}

static void machine_free(machine_t *m)
{
    stop(m);
    sim_free(m->sim);
}

/* Runs a line of words; the caller frees the reply. */
static char *run(machine_t *m, const char *text)
{
    char line[512];
    bytes_t argv[32];
    int argc = 0;
    snprintf(line, sizeof(line), "%s", text);
    for (char *word = strtok(line, " "); word; word = strtok(NULL, " ")) argv[argc++] = bytes_str(word);
    buf_t reply = BUF_INIT;
    redis_execute(m->redis, argv, argc, &reply);
    buf_u8(&reply, 0);
    return (char *)reply.ptr;
}

static void expect(machine_t *m, const char *line, const char *reply)
{
    char *got = run(m, line);
    if (strcmp(got, reply) != 0) fail_msg("%s: %s", line, got);
    free(got);
}

static void settle(machine_t *m, uint64_t ms)
{
    io_loop_wake(sim_node_loop(m->node));
    sim_run_for(m->sim, ms);
}

/* ---- going ----------------------------------------------------------------------------------------------------------- */

typedef struct ear {
    db_listener_t listener;
    char heard[64];
} ear_t;

static void hear(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    ear_t *ear = CONTAINER_OF(self, ear_t, listener);
    for (int i = 0; i < count; i++) strncat(ear->heard, (const char *)fields[i].ptr, fields[i].len);
}

static void test_fields_go_by_themselves_in_the_order_of_their_times(void **state)
{
    machine_t m = machine_new(1, "yes");
    ear_t ear = {.listener = {.name = "ear", .rank = DB_RANK_TRACKING, .fields_gone = hear}};
    db_listen(&m.redis->keyspace.announce, &ear.listener);
    db_want(&m.redis->keyspace.announce, &ear.listener, DB_FIELDS_GONE);
    expect(&m, "HSETEX h PX 500 FIELDS 1 c 1", ":1\r\n");
    expect(&m, "HSETEX g PX 300 FIELDS 1 b 1", ":1\r\n");
    expect(&m, "HSETEX h PX 100 FIELDS 1 a 1", ":1\r\n");
    expect(&m, "HSET h stays 1", ":1\r\n");
    assert_int_equal(m.redis->keyspace.dbs[0].clocks.count, 2);
    settle(&m, 2000);
    assert_string_equal(ear.heard, "abc");
    expect(&m, "HLEN h", ":1\r\n");
    expect(&m, "EXISTS g", ":0\r\n");
    assert_int_equal(m.redis->keyspace.dbs[0].clocks.count, 0);
    db_unlisten(&m.redis->keyspace.announce, &ear.listener);
    machine_free(&m);
}

static void test_many_fields_go_in_several_steps(void **state)
{
    machine_t m = machine_new(2, "yes");
    char line[64];
    for (int i = 0; i < 1000; i++) {
        snprintf(line, sizeof(line), "HSETEX h PX 50 FIELDS 1 f%d v", i);
        expect(&m, line, ":1\r\n");
    }
    expect(&m, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n");
    settle(&m, 1000);
    expect(&m, "HLEN h", ":1000\r\n");
    expect(&m, "HGETALL h", "*0\r\n");
    expect(&m, "DEBUG SET-ACTIVE-EXPIRE 1", "+OK\r\n");
    settle(&m, 2000);
    expect(&m, "EXISTS h", ":0\r\n");
    assert_int_equal(m.redis->keyspace.stats.expired_fields, 1000);
    machine_free(&m);
}

/* ---- lasting --------------------------------------------------------------------------------------------------------- */

/* % stands for a key, @ for a field, # for a number, ~ for a time that is over soon. */
static const char *const forms[] = {
    "HSET % @ # @ #",
    "HSET % @ #",
    "HSETNX % @ #",
    "HDEL % @ @",
    "HINCRBY % @ #",
    "HINCRBYFLOAT % @ 1.5",
    "HGETDEL % FIELDS 2 @ @",
    "HSETEX % PX ~ FIELDS 2 @ # @ #",
    "HSETEX % PX ~ FIELDS 1 @ #",
    "HSETEX % EX 1000 FIELDS 1 @ #",
    "HSETEX % KEEPTTL FIELDS 2 @ # @ #",
    "HSETEX % FNX PX ~ FIELDS 1 @ #",
    "HSETEX % FXX KEEPTTL FIELDS 1 @ #",
    "HSETEX % NX FIELDS 1 @ #",
    "HSETEX % PXAT 1 FIELDS 1 @ #",
    "HGETEX % PX ~ FIELDS 2 @ @",
    "HGETEX % PERSIST FIELDS 2 @ @",
    "HGETEX % PX 0 FIELDS 1 @",
    "HPEXPIRE % ~ FIELDS 3 @ @ @",
    "HPEXPIRE % ~ NX FIELDS 2 @ @",
    "HPEXPIRE % ~ XX FIELDS 2 @ @",
    "HPEXPIRE % ~ GT FIELDS 2 @ @",
    "HPEXPIRE % ~ LT FIELDS 2 @ @",
    "HEXPIRE % 0 FIELDS 1 @",
    "HPERSIST % FIELDS 2 @ @",
    "COPY % % REPLACE",
    "COPY % % DB 1 REPLACE",
    "RENAME % %",
    "DEL %",
    "PEXPIRE % ~",
    "EXPIRE % 1000",
    "PERSIST %",
    "SET % #",
    "SET % # KEEPTTL",
    "SADD % @",
    "SINTERSTORE % % %",
    "SORT fields BY nosort GET k*->@ STORE sorted",
};

static void make_line(machine_t *m, char line[256])
{
    size_t len = 0;
    for (const char *p = forms[sim_random(m->sim, ARRAY_LEN(forms))]; *p; p++) {
        const char *form = *p == '%' ? "k%c" : *p == '@' ? "f%c" : *p == '#' || *p == '~' ? "%d" : "%c";
        int what = *p;
        if (*p == '%' || *p == '@') what = 'a' + (int)sim_random(m->sim, KEYS);
        if (*p == '#') what = (int)sim_random(m->sim, 10);
        if (*p == '~') what = 1 + (int)sim_random(m->sim, 60);
        len += (size_t)snprintf(line + len, 256 - len, form, what);
    }
}

static void run_some(machine_t *m, int count)
{
    char line[256];
    for (int i = 0; i < count; i++) {
        make_line(m, line);
        free(run(m, line));
        if (sim_random(m->sim, 4) == 0) settle(m, sim_random(m->sim, 20));
    }
}

static void add_field(void *user, const hash_item_t *item)
{
    buf_printf(user, " %.*s=%.*s@%" PRId64, (int)item->field.len, (const char *)item->field.ptr, (int)item->text.len,
               (const char *)item->text.ptr, item->at_ms);
}

typedef struct line {
    char text[512];
} line_t;

typedef struct fields {
    line_t at[16];
    int count;
} fields_t;

static void add_line(void *user, const hash_item_t *item)
{
    fields_t *f = user;
    buf_t text = BUF_INIT;
    add_field(&text, item);
    buf_u8(&text, 0);
    snprintf(f->at[f->count++].text, sizeof(line_t), "%s", (const char *)text.ptr);
    buf_deinit(&text);
}

static int compare(const void *a, const void *b) { return strcmp(a, b); }

static void describe(const redis_db_t *db, const char *name, buf_t *out)
{
    fields_t f = {.count = 0};
    const redis_entry_t *e = db__find((redis_db_t *)db, bytes_str(name));
    if (!e) return;
    buf_printf(out, "%d %s expires %" PRId64, db->id, name, entry_expire_ms(e));
    if (e->type == TYPE_HASH) hash_each_item(value_of(e), add_line, &f);
    qsort(f.at, (size_t)f.count, sizeof(f.at[0]), compare);
    for (int i = 0; i < f.count; i++) buf_printf(out, "%s", f.at[i].text);
    buf_printf(out, "\n");
}

/* All that is there, whether over or not. */
static char *contents(machine_t *m)
{
    buf_t all = BUF_INIT;
    for (int db = 0; db < 2; db++) {
        for (int i = 0; i < KEYS; i++)
            describe(&m->redis->keyspace.dbs[db], (char[]){'k', (char)('a' + i), '\0'}, &all);
    }
    char *sorted = run(m, "LRANGE sorted 0 -1");
    buf_printf(&all, "%s", sorted);
    free(sorted);
    buf_u8(&all, 0);
    return (char *)all.ptr;
}

static void lose_power(machine_t *m, const char *preamble)
{
    sim_node_crash(m->node);
    stop(m);
    sim_node_start(m->node);
    start(m, preamble);
}

static void check_that_it_lasts(uint64_t seed, const char *preamble, bool rewrites)
{
    machine_t m = machine_new(seed, preamble);
    free(run(&m, "RPUSH fields a b c d e f"));
    run_some(&m, COMMANDS);
    if (rewrites) {
        free(run(&m, "BGREWRITEAOF"));
        run_some(&m, 20);
    }
    expect(&m, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n");
    run_some(&m, 60);
    settle(&m, 50);
    char *before = contents(&m);
    lose_power(&m, preamble);
    char *after = contents(&m);
    if (strcmp(before, after) != 0) fail_msg("seed %d:\n%s\nis read back as\n%s", (int)seed, before, after);
    free(before);
    free(after);
    machine_free(&m);
}

static void test_a_replay_is_exact_whatever_was_over(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) check_that_it_lasts(seed, "yes", false);
}

static void test_a_rewrite_keeps_fields_with_their_times(void **state)
{
    for (uint64_t seed = 1; seed <= 15; seed++) {
        check_that_it_lasts(seed, "yes", true);
        check_that_it_lasts(seed, "no", true);
    }
}

/* A snapshot alone keeps nothing that is over, as the original's. */
static void test_a_snapshot_is_read_without_what_is_over(void **state)
{
    machine_t m = machine_new(7, NULL);
    expect(&m, "DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n");
    expect(&m, "HSETEX h PX 10 FIELDS 1 gone 1", ":1\r\n");
    expect(&m, "HSETEX h EX 100 FIELDS 1 timed 1", ":1\r\n");
    expect(&m, "HSET h plain 1", ":1\r\n");
    expect(&m, "HSETEX all PX 10 FIELDS 1 gone 1", ":1\r\n");
    settle(&m, 100);
    expect(&m, "HLEN h", ":3\r\n");
    expect(&m, "SAVE", "+OK\r\n");
    lose_power(&m, NULL);
    expect(&m, "HLEN h", ":2\r\n");
    expect(&m, "HTTL h FIELDS 3 gone timed plain", "*3\r\n:-2\r\n:100\r\n:-1\r\n");
    expect(&m, "EXISTS all", ":0\r\n");
    machine_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fields_go_by_themselves_in_the_order_of_their_times),
        cmocka_unit_test(test_many_fields_go_in_several_steps),
        cmocka_unit_test(test_a_replay_is_exact_whatever_was_over),
        cmocka_unit_test(test_a_rewrite_keeps_fields_with_their_times),
        cmocka_unit_test(test_a_snapshot_is_read_without_what_is_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
