/* aof_fault_test.c: the append-only file on disks that are full or fail: what is refused, when the server ends, and what is
 * there after power loss. */
#include "redis/exec/state.h"
#include "redis/persist/aof_internal.h"
#include "redis/redis.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define RESERVE_BYTES KIB(64)
#define KEYS_MAX      400
#define SEEDS         20

static const char full_refusal[] = "-MISCONF Errors writing to the AOF file: No space left on device\r\n";

typedef struct machine {
    sim_t *sim;
    sim_node_t *node;
    net_t *net;
    redis_t *redis;
    const char *fsync;
    int shutdowns;
} machine_t;

static void on_shutdown(void *user) { ((machine_t *)user)->shutdowns++; }

static void start(machine_t *m)
{
    char err[256] = "";
    uint16_t port;
    io_loop_t *loop = sim_node_loop(m->node);
    redis_config_t *config = redis_config_new();
    assert_int_equal(redis_configure(config, "appendfsync", m->fsync, err, sizeof(err)), 0);
    m->net = net_new(loop);
    m->redis = redis_new(loop, m->net, "/data/redis", config);
    redis_config_free(config);
    redis_on_shutdown(m->redis, on_shutdown, m);
    redis_keep_room(m->redis, RESERVE_BYTES);
    if (redis_load(m->redis, err, sizeof(err)) != 0) fail_msg("load: %s", err);
    assert_int_equal(redis_listen(m->redis, "10.0.0.1", 6379, &port), 0); /* so that the cron runs */
}

static void stop(machine_t *m)
{
    redis_free(m->redis);
    net_free(m->net);
}

static void machine_init(machine_t *m, uint64_t seed, const char *fsync)
{
    *m = (machine_t){.sim = sim_new(seed), .fsync = fsync};
    m->node = sim_node_new(m->sim, "10.0.0.1");
    start(m);
}

static void machine_deinit(machine_t *m)
{
    stop(m);
    sim_free(m->sim);
}

static void settle(machine_t *m, uint64_t ms)
{
    io_loop_wake(sim_node_loop(m->node));
    sim_run_for(m->sim, ms);
}

/* Whether the reply is `reply`. */
static bool answers(machine_t *m, const char *reply, int argc, ...)
{
    bytes_t argv[4];
    buf_t got = BUF_INIT;
    va_list args;
    va_start(args, argc);
    for (int i = 0; i < argc; i++) argv[i] = bytes_str(va_arg(args, const char *));
    va_end(args);
    redis_execute(m->redis, argv, argc, &got);
    buf_u8(&got, 0);
    bool same = strcmp((char *)got.ptr, reply) == 0;
    buf_deinit(&got);
    return same;
}

static bool set(machine_t *m, int n)
{
    char key[16], value[1001];
    snprintf(key, sizeof(key), "k%d", n);
    snprintf(value, sizeof(value), "%-1000d", n);
    return answers(m, "+OK\r\n", 3, "SET", key, value);
}

static bool is_there(machine_t *m, int n)
{
    char key[16];
    snprintf(key, sizeof(key), "k%d", n);
    return answers(m, ":1\r\n", 2, "EXISTS", key);
}

static void set_faults(machine_t *m, uint64_t room_bytes, uint32_t write_error_ppm, uint32_t sync_error_ppm)
{
    uint64_t free_bytes, total_bytes;
    sim_disk_faults_t faults = sim_disk_faults_default;
    assert_int_equal(io_disk_space(sim_node_loop(m->node), "/data", &free_bytes, &total_bytes), 0);
    faults.capacity_bytes = total_bytes - free_bytes + room_bytes;
    faults.write_error_ppm = write_error_ppm;
    faults.sync_error_ppm = sync_error_ppm;
    faults.ordered = true;
    sim_node_set_disk_faults(m->node, &faults);
}

static void lose_power_and_start(machine_t *m)
{
    sim_node_crash(m->node);
    stop(m);
    sim_node_set_disk_faults(m->node, &sim_disk_faults_default);
    sim_node_start(m->node);
    start(m);
}

/* Sets keys until one is refused; returns how many were not. */
static int set_until_refused(machine_t *m)
{
    for (int n = 0; n < KEYS_MAX; n++) {
        if (!set(m, n)) return n;
        settle(m, 1);
    }
    fail_msg("the disk never filled");
    return 0;
}

typedef struct files {
    const aof_t *aof;
    size_t count; /* base and increments */
} files_t;

static void count_file(void *user, const char *name, bool is_dir)
{
    files_t *files = user;
    uint64_t seq;
    files->count += aof__kind_of(files->aof, name, &seq) != 0;
}

static void a_full_disk_refuses_and_ends_nothing(void **state)
{
    const char *policies[] = {"always", "everysec", "no"};
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        machine_t m;
        machine_init(&m, 1, policies[i]);
        set_faults(&m, KIB(20), 0, 0);
        int count = set_until_refused(&m);
        assert_in_range(count, 19, 25); /* the one that found it full went into the reserve */
        assert_true(answers(&m, full_refusal, 2, "DEL", "k0"));
        assert_true(is_there(&m, count - 1));
        assert_non_null(health_text(redis_health(m.redis), "aof"));
        settle(&m, 3000);
        assert_true(answers(&m, full_refusal, 2, "DEL", "k0"));
        set_faults(&m, MIB(1), 0, 0);
        settle(&m, 200);
        assert_true(set(&m, count));
        settle(&m, 2100);
        assert_true(health_ok(redis_health(m.redis)));
        assert_int_equal(m.shutdowns, 0);
        assert_int_equal(redis_flush(m.redis), 0);
        lose_power_and_start(&m);
        for (int n = 0; n <= count; n++) assert_true(is_there(&m, n));
        machine_deinit(&m);
    }
}

/* What the disk took of a write that it refused is taken back: a copy of the file, made now, ends with a whole command. */
static void a_refused_write_leaves_nothing_of_itself_in_the_file(void **state)
{
    machine_t m;
    uint64_t bytes;
    machine_init(&m, 3, "everysec");
    redis_keep_room(m.redis, 0); /* no reserve lets it in after all */
    set_faults(&m, KIB(20), 0, 0);
    (void)set_until_refused(&m);
    assert_true(m.redis->persist.aof->buf.len > 0);
    assert_int_equal(io_file_size(m.redis->persist.aof->file, &bytes), 0);
    assert_int_equal(bytes, m.redis->persist.aof->file_bytes);
    machine_deinit(&m);
}

static void everysec_syncs_what_there_is_and_then_rests(void **state)
{
    machine_t m;
    machine_init(&m, 4, "everysec");
    assert_true(set(&m, 0));
    settle(&m, 3000);
    assert_true(m.redis->persist.aof->file_bytes > 0);
    assert_int_equal(m.redis->persist.aof->synced_bytes, m.redis->persist.aof->file_bytes);
    assert_false(m.redis->persist.aof->syncing);
    lose_power_and_start(&m);
    assert_true(is_there(&m, 0));
    machine_deinit(&m);
}

static void what_always_cannot_write_ends_the_server_once(void **state)
{
    machine_t m;
    machine_init(&m, 1, "always");
    assert_true(set(&m, 0));
    settle(&m, 10);
    set_faults(&m, MIB(1), SIM_PPM, 0);
    assert_true(set(&m, 1)); /* a reply that never leaves */
    settle(&m, 1000);
    assert_int_equal(m.shutdowns, 1);
    assert_true(redis_failed(m.redis));
    lose_power_and_start(&m);
    assert_true(is_there(&m, 0) && !is_there(&m, 1));
    machine_deinit(&m);
}

/* The sync that succeeds after one that failed vouches for nothing that was to be written before it. */
static void a_failed_sync_refuses_writes_until_a_rewrite_has_replaced_the_file(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        machine_t m;
        machine_init(&m, seed, "everysec");
        for (int n = 0; n < 50; n++) assert_true(set(&m, n));
        set_faults(&m, MIB(10), 0, SIM_PPM);
        settle(&m, 2500);
        assert_false(set(&m, 50));
        assert_true(is_there(&m, 49));
        assert_non_null(health_text(redis_health(m.redis), "aof"));
        set_faults(&m, MIB(10), 0, 0);
        settle(&m, 3000);
        assert_true(health_ok(redis_health(m.redis)));
        assert_true(set(&m, 51));
        settle(&m, 3000);
        lose_power_and_start(&m);
        for (int n = 0; n < 50; n++) assert_true(is_there(&m, n));
        assert_true(is_there(&m, 51) && !is_there(&m, 50));
        machine_deinit(&m);
    }
}

/* A later sync that succeeds says nothing of bytes that were lost before. */
static void after_a_failed_sync_no_other_one_vouches_for_the_file(void **state)
{
    int seen = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        machine_t m;
        machine_init(&m, seed, "everysec");
        aof_t *aof = m.redis->persist.aof;
        for (int n = 0; n < 50; n++) assert_true(set(&m, n));
        set_faults(&m, MIB(10), 0, SIM_PPM);
        settle(&m, 2500);
        assert_true(aof->suspect);
        uint64_t durable_bytes = aof->synced_bytes;
        set_faults(&m, MIB(10), 0, 0);
        aof__sync_later(aof);
        for (int i = 0; i < 1000 && aof->syncing; i++) settle(&m, 1);
        if (aof->suspect) { /* no rewrite has replaced it meanwhile */
            assert_int_equal(aof->synced_bytes, durable_bytes);
            seen++;
        }
        machine_deinit(&m);
    }
    assert_true(seen > 0);
}

/* What the list no longer names is gone from the disk, too. */
static void a_rewrite_leaves_the_files_that_the_list_names(void **state)
{
    machine_t m;
    machine_init(&m, 1, "everysec");
    for (int round = 0; round < 3; round++) {
        assert_true(set(&m, round));
        assert_true(answers(&m, "+Background append only file rewriting started\r\n", 1, "BGREWRITEAOF"));
        settle(&m, 5000);
        assert_int_equal(m.redis->persist.aof->rewrite.done_count, round + 1);
        files_t files = {.aof = m.redis->persist.aof};
        assert_int_equal(io_list_dir(sim_node_loop(m.node), files.aof->dir, count_file, &files), 0);
        assert_int_equal(files.count, files.aof->manifest.count);
        assert_int_equal(files.count, 2);
    }
    machine_deinit(&m);
}

static void set_large(machine_t *m, const char *key)
{
    static char value[MIB(2)];
    memset(value, 'v', sizeof(value) - 1);
    assert_true(answers(m, "+OK\r\n", 3, "SET", key, value));
    settle(m, 0);
}

static void begin_rewrite(machine_t *m)
{
    assert_true(answers(m, "+Background append only file rewriting started\r\n", 1, "BGREWRITEAOF"));
    settle(m, 0);
}

/* The change of files must not make everybody wait for the disk. */
static void a_rewrite_begins_when_most_of_the_file_is_durable(void **state)
{
    machine_t m;
    machine_init(&m, 1, "everysec");
    aof_t *aof = m.redis->persist.aof;
    assert_true(set(&m, 0));
    settle(&m, 2500);
    assert_int_equal(aof->synced_bytes, aof->file_bytes); /* and that sync was no preparation */
    set_large(&m, "large");
    begin_rewrite(&m);
    assert_true(aof->syncing && !aof->rewrite.active);
    settle(&m, 5000);
    assert_int_equal(aof->rewrite.done_count, 1);
    machine_deinit(&m);
}

/* Who writes much meanwhile does not put it off for ever. */
static void a_rewrite_is_prepared_once(void **state)
{
    machine_t m;
    machine_init(&m, 1, "no");
    aof_t *aof = m.redis->persist.aof;
    set_large(&m, "a");
    begin_rewrite(&m);
    uint64_t prepared_bytes = aof->sync_target_bytes;
    set_large(&m, "b");
    assert_true(aof->syncing && aof->file_bytes > prepared_bytes + MIB(1));
    settle(&m, 5000);
    assert_int_equal(aof->rewrite.done_count, 1);
    assert_int_equal(aof->sync_target_bytes, prepared_bytes);
    machine_deinit(&m);
}

/* Full now and then, and power lost at any time: with always each key that was acknowledged is there. */
static void what_always_acknowledged_is_there_whatever_the_disk_does(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        bool acknowledged[KEYS_MAX] = {false};
        int refusals = 0;
        machine_t m;
        machine_init(&m, seed, "always");
        for (int n = 0; n < KEYS_MAX; n++) {
            if (n % 40 == 0) set_faults(&m, n % 80 ? KIB(10) : MIB(1), 0, 0);
            bool ok = set(&m, n);
            if (sim_random(m.sim, 50) == 0) answers(&m, "", 1, "BGREWRITEAOF");
            settle(&m, 1 + sim_random(m.sim, 20));
            acknowledged[n] = ok && m.shutdowns == 0;
            refusals += !ok;
            if (sim_random(m.sim, 60) == 0) lose_power_and_start(&m);
        }
        assert_int_equal(m.shutdowns, 0);
        assert_true(refusals > 0);
        lose_power_and_start(&m);
        for (int n = 0; n < KEYS_MAX; n++) assert_true(is_there(&m, n) == acknowledged[n]);
        machine_deinit(&m);
    }
}

/* What is written in the middle of a turn is synced at its end. */
static void a_large_write_is_durable_when_it_is_acknowledged(void **state)
{
    for (size_t bytes = KIB(10); bytes <= MIB(2); bytes *= 2) {
        machine_t m;
        machine_init(&m, bytes, "always");
        set_faults(&m, MIB(100), 0, 0);
        char *value = malloc(bytes + 1);
        memset(value, 'v', bytes);
        value[bytes] = 0;
        assert_true(answers(&m, "+OK\r\n", 3, "SET", "large", value));
        settle(&m, 0); /* the turn, and no more */
        lose_power_and_start(&m);
        char length[32];
        snprintf(length, sizeof(length), ":%zu\r\n", bytes);
        assert_true(answers(&m, length, 2, "STRLEN", "large"));
        free(value);
        machine_deinit(&m);
    }
}

static void rewrites_that_fail_wait_longer_and_longer(void **state)
{
    assert_int_equal(aof__rewrite_wait_ms(1), 0);
    assert_int_equal(aof__rewrite_wait_ms(2), 0);
    assert_int_equal(aof__rewrite_wait_ms(3), 60000);
    assert_int_equal(aof__rewrite_wait_ms(5), 240000);
    assert_int_equal(aof__rewrite_wait_ms(9), 3600000);
    assert_int_equal(aof__rewrite_wait_ms(8), 32 * 60000);
    assert_int_equal(aof__rewrite_wait_ms(3 + 64), 3600000); /* doublings beyond the width of a number */
    assert_int_equal(aof__rewrite_wait_ms(UINT32_MAX), 3600000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_refuses_and_ends_nothing),
        cmocka_unit_test(a_refused_write_leaves_nothing_of_itself_in_the_file),
        cmocka_unit_test(everysec_syncs_what_there_is_and_then_rests),
        cmocka_unit_test(what_always_cannot_write_ends_the_server_once),
        cmocka_unit_test(a_failed_sync_refuses_writes_until_a_rewrite_has_replaced_the_file),
        cmocka_unit_test(after_a_failed_sync_no_other_one_vouches_for_the_file),
        cmocka_unit_test(a_rewrite_leaves_the_files_that_the_list_names),
        cmocka_unit_test(a_rewrite_begins_when_most_of_the_file_is_durable),
        cmocka_unit_test(a_rewrite_is_prepared_once),
        cmocka_unit_test(what_always_acknowledged_is_there_whatever_the_disk_does),
        cmocka_unit_test(a_large_write_is_durable_when_it_is_acknowledged),
        cmocka_unit_test(rewrites_that_fail_wait_longer_and_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
