/* feed_scenario.c: a change feed on a machine that dies again and again. After each death, once the outbox is empty: whoever
 * replays the topic from its beginning holds exactly what the keyspace holds, in both formats of a feed.
 *
 * Changes of every kind run without a connection, some in scripts (one step each), and time passes so that keys expire; the
 * append-only file is synced each turn and rewritten often, Kafka's logs are not synced. INCR, APPEND and RPUSH make
 * sure that a record that is lost, doubled or out of order shows.
 */
#include "bridge_world.h"

#include "net/net.h"
#include "wire/resp.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES_MAX          4
#define STEPS_PER_LIFE_MAX 120
#define KEYS_OF_A_TYPE     4
#define WORDS_MAX          200
#define LINE_CHARS_MAX     160
#define STALE_MS           3000 /* until keys that have expired are collected */
#define DATABASES          2

typedef struct feed_world {
    bridge_world_t server;
    sim_node_t *mirror_node;
    net_t *mirror_net;
    redis_t *mirror;
} feed_world_t;

/* @ is one of a type's keys, % another, # a number, ~ a time soon. */
static const char *const changes[] = {
    "SET s@ v#",
    "SET s@ v# PX ~",
    "APPEND s@ a#",
    "GETDEL s@",
    "MSET s@ 1 s% #",
    "INCR n@",
    "INCRBY n@ #",
    "RENAME s@ s%",
    "COPY s@ s% REPLACE",
    "BITOP XOR s@ s@ s%",
    "RPUSH l@ # #",
    "LPUSH l@ #",
    "LPOP l@",
    "LMOVE l@ l% LEFT RIGHT",
    "RPOPLPUSH l@ l%",
    "LTRIM l@ 0 5",
    "SORT l@ STORE l%",
    "SADD t@ # #",
    "SPOP t@",
    "SMOVE t@ t% #",
    "SUNIONSTORE t@ t@ t%",
    "SDIFFSTORE t% t@ t%",
    "ZADD z@ # m#",
    "ZINCRBY z@ # m1",
    "ZPOPMIN z@",
    "ZUNIONSTORE z% 2 z@ z%",
    "HSET h@ f# #",
    "HDEL h@ f1 f2 f3",
    "HINCRBY h@ count #",
    "HSETEX h@ EX 9### FIELDS 2 f# # f# #", /* not over before the replay, whose clock is later */
    "HSETEX h@ KEEPTTL FIELDS 1 f# #",
    "HEXPIRE h@ 9### FIELDS 2 f1 f#",
    "HGETEX h@ PERSIST FIELDS 1 f#",
    "HGETEX h@ PX 0 FIELDS 1 count",
    "DEL s@ l% n@",
    "PEXPIRE l@ ~",
    "PEXPIRE h@ ~",
    "PERSIST s@",
    "MOVE t@ 1",
    "COPY h@ h% DB 1 REPLACE",
    "RENAME l@ l%",
};

/* ---- changing ---- */

static void fill_in(run_t *run, const char *change, buf_t *out)
{
    int one = (int)draw(run, KEYS_OF_A_TYPE), other = (int)draw(run, KEYS_OF_A_TYPE);
    for (const char *c = change; *c; c++) {
        if (*c == '@')
            buf_printf(out, "%d", one);
        else if (*c == '%')
            buf_printf(out, "%d", other);
        else if (*c == '#')
            buf_printf(out, "%d", (int)draw(run, 10));
        else if (*c == '~')
            buf_printf(out, "%d", 1 + (int)draw(run, 400));
        else
            buf_u8(out, (uint8_t)*c);
    }
}

static void run_line(redis_t *redis, const char *line)
{
    char copy[LINE_CHARS_MAX];
    bytes_t argv[WORDS_MAX];
    buf_t reply = BUF_INIT;
    snprintf(copy, sizeof(copy), "%s", line);
    int argc = resp_split_line((uint8_t *)copy, strlen(copy), argv, WORDS_MAX);
    ASSERT(argc > 0);
    redis_execute(redis, argv, argc, &reply); /* some fail: a key of another type, an absent one */
    buf_deinit(&reply);
}

/* A script of a few changes: all of them, or none, after a crash. */
static void run_script(feed_world_t *w, int count)
{
    static const char text[] = "for i = 1, #ARGV do local words = {} for w in string.gmatch(ARGV[i], '%S+') do "
                               "words[#words + 1] = w end redis.pcall(unpack(words)) end";
    bytes_t argv[WORDS_MAX] = {BYTES_LIT("EVAL"), BYTES_LIT(text), BYTES_LIT("0")};
    buf_t lines[WORDS_MAX] = {0}, reply = BUF_INIT;
    for (int i = 0; i < count; i++) {
        fill_in(w->server.machine.run, changes[draw(w->server.machine.run, ARRAY_LEN(changes))], &lines[i]);
        argv[3 + i] = buf_bytes(&lines[i]);
    }
    redis_execute(w->server.redis, argv, 3 + count, &reply);
    for (int i = 0; i < count; i++) buf_deinit(&lines[i]);
    buf_deinit(&reply);
}

static void change_something(feed_world_t *w)
{
    run_t *run = w->server.machine.run;
    buf_t line = BUF_INIT;
    if (chance(run, 20)) {
        run_script(w, 1 + (int)draw(run, 5));
    } else if (chance(run, 4)) {
        static const char *const whole[] = {"FLUSHDB", "FLUSHALL", "SWAPDB 0 1", "BGREWRITEAOF", "BGREWRITEAOF"};
        run_line(w->server.redis, whole[draw(run, ARRAY_LEN(whole))]);
    } else {
        fill_in(run, changes[draw(run, ARRAY_LEN(changes))], &line);
        buf_u8(&line, 0);
        run_line(w->server.redis, (const char *)line.ptr);
    }
    buf_deinit(&line);
    io_loop_wake(w->server.machine.loop);
    run->acknowledged++;
}

/* ---- replaying ---- */

static void run_words(redis_t *redis, int argc, const bytes_t *argv)
{
    buf_t reply = BUF_INIT;
    redis_execute(redis, argv, argc, &reply);
    buf_deinit(&reply);
}

static bytes_t header_of(const record_t *record, const char *name)
{
    bytes_t at = record->headers, key, value;
    for (int32_t i = 0; i < record->headers_count && record_header_next(&at, &key, &value); i++)
        if (bytes_eq(key, bytes_str(name))) return value;
    return BYTES_NULL;
}

/* Each command of the value, in its database: a script can select one. */
static void replay_commands(feed_world_t *w, bytes_t db, bytes_t value)
{
    static const resp_limits_t limits = {RESP_ARGC_MAX, INT32_MAX, false};
    static const char text[] = "redis.call('SELECT', ARGV[1]) local w = {} for i = 2, #ARGV do w[i - 1] = ARGV[i] end "
                               "return redis.call(unpack(w))";
    bytes_t argv[WORDS_MAX] = {BYTES_LIT("EVAL"), BYTES_LIT(text), BYTES_LIT("0"), db};
    for (size_t at = 0; at < value.len;) {
        resp_request_t q = {.argv = argv + 4, .argv_max = WORDS_MAX - 4};
        resp_result_t result = resp_parse((uint8_t *)value.ptr + at, value.len - at, &limits, NULL, &q);
        CHECK(w->server.machine.run, result == RESP_REQUEST, "a record's value is not a command: %.*s", (int)value.len,
              (const char *)value.ptr);
        run_words(w->mirror, 4 + q.argc, argv);
        at += q.consumed;
    }
}

static void replay_string(feed_world_t *w, const record_t *record, bytes_t db, buf_t *commands)
{
    bytes_t set[3] = {BYTES_LIT("SET"), record->key, record->value}, expires = header_of(record, "expires");
    bytes_t expire[3] = {BYTES_LIT("PEXPIREAT"), record->key, expires};
    redis_append_command(commands, 3, set);
    if (expires.ptr) redis_append_command(commands, 3, expire);
    replay_commands(w, db, buf_bytes(commands));
}

static void replay_record(void *user, const record_t *record)
{
    feed_world_t *w = user;
    bytes_t db = header_of(record, "db"), type = header_of(record, "type");
    bytes_t gone[2] = {BYTES_LIT("DEL"), record->key};
    buf_t commands = BUF_INIT;
    CHECK(w->server.machine.run, db.len == 1, "a record without its database");
    if (type.ptr || !record->value.ptr) {
        redis_append_command(&commands, 2, gone);
        replay_commands(w, db, buf_bytes(&commands));
        buf_clear(&commands);
    }
    if (bytes_eq(type, BYTES_LIT("string")))
        replay_string(w, record, db, &commands);
    else if (record->value.ptr)
        replay_commands(w, db, record->value);
    buf_deinit(&commands);
}

/* ---- comparing ---- */

typedef struct comparison {
    feed_world_t *world;
    redis_t *one, *other;
    const char *missing;
    int db;
    int keys;
} comparison_t;

#define VALUE_LINES_MAX 4096

static int compare_lines(const void *a, const void *b) { return bytes_cmp(*(const bytes_t *)a, *(const bytes_t *)b); }

static size_t lines_of(const buf_t *text, bytes_t *lines)
{
    size_t count = 0;
    const uint8_t *at = text->ptr, *end = at + text->len;
    while (at < end) {
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        ASSERT(line_end && count < VALUE_LINES_MAX);
        lines[count++] = bytes_of(at, (size_t)(line_end - at));
        at = line_end + 1;
    }
    qsort(lines, count, sizeof(*lines), compare_lines);
    return count;
}

/* A table gives its elements in an order of its own. */
static bool same_value(const buf_t *one, const buf_t *other)
{
    bytes_t *lines = mem_alloc(2 * VALUE_LINES_MAX * sizeof(*lines)), *others = lines + VALUE_LINES_MAX;
    size_t count = lines_of(one, lines);
    bool same = one->len == other->len && count == lines_of(other, others);
    for (size_t i = 0; i < count && same; i++) same = bytes_eq(lines[i], others[i]);
    mem_free(lines);
    return same;
}

static void compare_key(void *user, bytes_t key)
{
    comparison_t *c = user;
    buf_t one = BUF_INIT, other = BUF_INIT;
    redis_append_value(c->one, c->db, key, &one);
    redis_append_value(c->other, c->db, key, &other);
    bool same = bytes_eq(buf_bytes(&one), buf_bytes(&other)) || same_value(&one, &other);
    CHECK(c->world->server.machine.run, same, "database %d, key %.*s: %s\n%.*s\n%.*s", c->db, (int)key.len,
          (const char *)key.ptr, c->missing, (int)one.len, (const char *)one.ptr, (int)other.len,
          (const char *)other.ptr);
    c->keys++;
    buf_deinit(&one);
    buf_deinit(&other);
}

/* The replay starts from nothing; a key that waits for its end must be collected before it is looked at. */
static void check_replay(feed_world_t *w)
{
    bridge_world_t *s = &w->server;
    int keys[2] = {0};
    sim_run_for(s->machine.run->sim, STALE_MS);
    if (!bridge_world_settle(s)) return;
    run_line(w->mirror,
             "FLUSHALL SYNC"); /* at once: a turn would move its clock behind ends that were taken back later */
    for (int i = 0; i < WORLD_PARTITIONS; i++) bridge_world_each_record(s, "changes", i, replay_record, w);
    for (int db = 0; db < DATABASES; db++) {
        comparison_t in_keyspace = {w, s->redis, w->mirror, "in the keyspace and in the replay", db};
        comparison_t in_replay = {w, w->mirror, s->redis, "in the replay and in the keyspace", db};
        redis_each_key(s->redis, db, compare_key, &in_keyspace);
        redis_each_key(w->mirror, db, compare_key, &in_replay);
        keys[db] = in_keyspace.keys;
    }
    scenario_note(s->machine.run, "compared: %d and %d keys", keys[0], keys[1]);
}

/* ---- lives ---- */

static bool start(void *user)
{
    feed_world_t *w = user;
    return bridge_world_start(&w->server) && bridge_world_settle(&w->server);
}

static void check(void *user) { check_replay(user); }
static void stop(void *user) { bridge_world_stop(&((feed_world_t *)user)->server); }

static void work(void *user)
{
    feed_world_t *w = user;
    run_t *run = w->server.machine.run;
    const sim_node_t *node = w->server.machine.node;
    for (uint64_t steps = draw(run, STEPS_PER_LIFE_MAX); steps > 0 && sim_node_alive(node); steps--) {
        change_something(w);
        if (chance(run, 50)) sim_run_for(run->sim, 1 + draw(run, chance(run, 5) ? 800 : 5));
    }
}

static void start_mirror(feed_world_t *w)
{
    char why[256];
    redis_config_t *config = redis_config_new();
    int err = redis_configure(config, "appendonly", "no", why, sizeof(why));
    CHECK(w->server.machine.run, err == 0, "%s", why);
    w->mirror_node = sim_node_new(w->server.machine.run->sim, "10.0.0.3");
    io_loop_t *loop = sim_node_loop(w->mirror_node);
    w->mirror_net = net_new(loop);
    w->mirror = redis_new(loop, w->mirror_net, "/data/redis", config);
    redis_config_free(config);
}

void scenario_feed(run_t *run)
{
    static const char *const commands[][2] = {{"all.topic", "changes"}, {NULL}};
    static const char *const values[][2] = {{"all.topic", "changes"}, {"all.format", "value"}, {NULL}};
    feed_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 75;
    program.crash_operations_max = 900;
    program.orderly_percent = 15;
    bridge_world_init(&w->server, run);
    w->server.flushed = chance(run, 20);
    w->server.feed_settings = chance(run, 50) ? commands : values;
    start_mirror(w);
    machine_lives(&w->server.machine, &program);
    net_free(w->mirror_net);
    redis_free(w->mirror);
    mem_free(w);
}
