/* redis_scenario.c: the Redis wing with appendfsync always, and a client on another machine, through crashes.
 *
 * The client sends changes, many in flight, as MULTI ... EXEC or as one MSET. Each writes its number into `seq`, sets or deletes a
 * few keys, and some add to a list and a sum, so that a change applied twice shows. After each death of the server its
 * file is read back: all changes that were answered are there, and the data is exactly what the first `seq` changes make.
 *
 * The format of the file is Redis's and has no checksums: the disk of this scenario writes in order, else a hole in the
 * part that was not synced could read as another command. */
#include "machine.h"
#include "resp_client.h"

#include "base/buf.h"
#include "net/net.h"
#include "redis/redis.h"

#include <stdio.h>
#include <stdlib.h>

#define PORT                 6379
#define REACTORS_MAX         3
#define LIVES_MAX            6
#define CHANGES_PER_LIFE_MAX 120
#define CHANGES_MAX          ((LIVES_MAX + 1) * CHANGES_PER_LIFE_MAX)
#define SNAPSHOT             "/data/redis/dump.rdb"
#define KEYS                 12
#define EDITS_MAX            3
#define IN_FLIGHT_MAX        20
#define STEP_MS_MAX          8
#define IS_CHANGE            1 /* the tag of what must be answered */

typedef struct edit {
    int key;
    uint32_t value; /* 0 = absent */
} edit_t;

typedef struct change {
    int edits_count;
    edit_t edits[EDITS_MAX];
    bool counts; /* adds to the list and the sum */
} change_t;

typedef struct redis_world {
    run_t *run;
    machine_t server;
    sim_node_t *client;
    net_t *net;
    redis_t *redis;
    /* what was sent */
    change_t changes[CHANGES_MAX];
    int changes_count, acknowledged;
    uint32_t values;
    /* the client */
    resp_client_t redis_client;
    io_timer_t sender;
    int changes_left;
} redis_world_t;

/* ---- the client's requests ---- */

static void put_edit(buf_t *out, const edit_t *edit)
{
    char key[16], value[16];
    snprintf(key, sizeof(key), "k%d", edit->key);
    snprintf(value, sizeof(value), "%u", edit->value);
    if (edit->value == 0)
        resp_text_put(out, 2, "DEL", key);
    else
        resp_text_put(out, 3, "SET", key, value);
}

/* Returns how many replies it will have. */
static int put_transaction(buf_t *out, const change_t *change, const char *seq)
{
    resp_text_put(out, 1, "MULTI");
    resp_text_put(out, 3, "SET", "seq", seq);
    for (int i = 0; i < change->edits_count; i++) put_edit(out, &change->edits[i]);
    if (change->counts) {
        resp_text_put(out, 3, "RPUSH", "list", seq);
        resp_text_put(out, 3, "INCRBY", "sum", seq);
    }
    resp_text_put(out, 1, "EXEC");
    return 3 + change->edits_count + (change->counts ? 2 : 0);
}

static int put_mset(buf_t *out, const change_t *change, const char *seq)
{
    char key[16], value[16];
    snprintf(key, sizeof(key), "k%d", change->edits[0].key);
    snprintf(value, sizeof(value), "%u", change->edits[0].value);
    resp_text_put(out, 5, "MSET", "seq", seq, key, value);
    return 1;
}

static void send_change(redis_world_t *w)
{
    char seq[16];
    change_t *change = &w->changes[w->changes_count++];
    bool single = chance(w->run, 40);
    snprintf(seq, sizeof(seq), "%d", w->changes_count);
    change->edits_count = single ? 1 : 1 + (int)draw(w->run, EDITS_MAX);
    change->counts = !single && chance(w->run, 50);
    for (int i = 0; i < change->edits_count; i++) {
        bool remove = !single && chance(w->run, 30);
        change->edits[i] = (edit_t){(int)draw(w->run, KEYS), remove ? 0 : ++w->values};
    }
    buf_t *out = &w->redis_client.out;
    int replies = single ? put_mset(out, change, seq) : put_transaction(out, change, seq);
    resp_client_expect(&w->redis_client, IS_CHANGE, replies);
}

static void on_answered(void *user, int tag)
{
    redis_world_t *w = user;
    w->acknowledged++;
    w->run->acknowledged++;
}

static void on_sender(io_timer_t *timer)
{
    redis_world_t *w = CONTAINER_OF(timer, redis_world_t, sender);
    for (uint64_t n = 1 + draw(w->run, 6); n > 0 && w->changes_left > 0 && w->redis_client.in_flight < IN_FLIGHT_MAX;
         n--) {
        send_change(w);
        w->changes_left--;
    }
    if (chance(w->run, 4)) {
        resp_text_put(&w->redis_client.out, 1, "BGREWRITEAOF");
        resp_client_expect(&w->redis_client, 0, 1);
    }
    if (chance(w->run, 8)) {
        resp_text_put(&w->redis_client.out, 1, "BGSAVE");
        resp_client_expect(&w->redis_client, 0, 1);
    }
    resp_client_flush(&w->redis_client);
    if (w->changes_left > 0 && !w->redis_client.failed) io_timer_start(timer, draw(w->run, STEP_MS_MAX), 0);
}

static void client_start(redis_world_t *w)
{
    io_loop_t *loop = sim_node_loop(w->client);
    resp_client_connect(&w->redis_client, w->run, loop, "10.0.0.1", PORT);
    io_timer_init(loop, &w->sender, on_sender);
    io_timer_start(&w->sender, 1, 0);
}

static void client_stop(redis_world_t *w)
{
    io_timer_stop(&w->sender);
    resp_client_close(&w->redis_client);
}

static void set(redis_world_t *w, redis_config_t *config, const char *name, const char *value)
{
    char why[256] = "";
    int err = redis_configure(config, name, value, why, sizeof(why));
    CHECK(w->run, err == 0, "%s %s: %s", name, value, why);
}

/* ---- checking ---- */

static long ask(redis_world_t *w, redis_t *redis, const char *command, const char *key)
{
    bytes_t argv[2] = {bytes_str(command), bytes_str(key)};
    buf_t reply = BUF_INIT;
    redis_execute(redis, argv, 2, &reply);
    buf_u8(&reply, 0);
    const char *text = (const char *)reply.ptr;
    CHECK(w->run, *text == ':' || *text == '$', "%s %s answers %s", command, key, text);
    const char *number = *text == ':' ? text + 1 : strchr(text, '\n') + 1;
    long value = *text == '$' && text[1] == '-' ? 0 : strtol(number, NULL, 10);
    buf_deinit(&reply);
    return value;
}

/* What `redis` has is what the first `count` changes made. */
static void check_state(redis_world_t *w, redis_t *redis, long count)
{
    uint32_t expected[KEYS] = {0};
    long pushed = 0, sum = 0;
    char key[16];
    for (long i = 0; i < count; i++) {
        const change_t *change = &w->changes[i];
        for (int j = 0; j < change->edits_count; j++) expected[change->edits[j].key] = change->edits[j].value;
        if (change->counts) sum += i + 1;
        if (change->counts) pushed++;
    }
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        long found = ask(w, redis, "GET", key);
        CHECK(w->run, found == (long)expected[i], "after %ld changes %s is %ld, not %u", count, key, found,
              expected[i]);
    }
    long found_sum = ask(w, redis, "GET", "sum"), found_pushed = ask(w, redis, "LLEN", "list");
    CHECK(w->run, found_sum == sum, "after %ld changes the sum is %ld, not %ld", count, found_sum, sum);
    CHECK(w->run, found_pushed == pushed, "after %ld changes the list has %ld, not %ld", count, found_pushed, pushed);
}

static void check_data(redis_world_t *w)
{
    long count = ask(w, w->redis, "GET", "seq");
    CHECK(w->run, count >= w->acknowledged, "%d changes were answered, %ld are there", w->acknowledged, count);
    CHECK(w->run, count <= w->changes_count, "%ld changes are there, %d were sent", count, w->changes_count);
    check_state(w, w->redis, count);
    w->changes_count = w->acknowledged = (int)count; /* what is seen is promised */
}

/* A snapshot is whole, and one moment. It may know changes that were never answered and that nobody else remembers: such a one
 * is taken away, as others get their numbers. */
static void check_snapshot(redis_world_t *w)
{
    char why[512] = "";
    if (!io_exists(w->server.loop, SNAPSHOT)) return;
    redis_config_t *config = redis_config_new();
    set(w, config, "appendonly", "no");
    net_t *net = net_new(w->server.loop);
    redis_t *copy = redis_new(w->server.loop, net, "/data/redis", config);
    redis_config_free(config);
    int err = redis_load(copy, why, sizeof(why));
    CHECK(w->run, !err || !sim_node_alive(w->server.node), "the snapshot is not read: %s (%s)", why, err_text(err));
    long count = err ? 0 : ask(w, copy, "GET", "seq");
    if (!err && count <= w->changes_count) check_state(w, copy, count);
    redis_free(copy);
    net_free(net);
    if (count > w->changes_count)
        CHECK(w->run, !io_remove(w->server.loop, SNAPSHOT) || !sim_node_alive(w->server.node), "a file stays");
}

/* ---- lives ---- */

static bool start(void *user)
{
    redis_world_t *w = user;
    char why[512] = "";
    uint16_t port;
    redis_config_t *config = redis_config_new();
    set(w, config, "appendonly", "yes");
    set(w, config, "appendfsync", "always");
    set(w, config, "protected-mode", "no"); /* the client is on another machine */
    set(w, config, "auto-aof-rewrite-min-size", "2048");
    set(w, config, "auto-aof-rewrite-percentage", "60");
    set(w, config, "aof-use-rdb-preamble", chance(w->run, 50) ? "yes" : "no");
    w->net = net_new(w->server.loop);
    for (uint64_t n = draw(w->run, REACTORS_MAX); n > 0; n--)
        net_add_carrier(w->net, sim_node_loop_new(w->server.node));
    w->redis = redis_new(w->server.loop, w->net, "/data/redis", config);
    redis_config_free(config);
    int err = redis_load(w->redis, why, sizeof(why));
    if (err == 0) err = redis_listen(w->redis, "10.0.0.1", PORT, &port);
    CHECK(w->run, err == 0 || !sim_node_alive(w->server.node), "the server does not start: %s (%s)", why,
          err_text(err));
    io_loop_wake(w->server.loop);
    return err == 0 && sim_node_alive(w->server.node);
}

static bool client_is_through(void *user)
{
    redis_world_t *w = user;
    const resp_client_t *c = &w->redis_client;
    return !sim_node_alive(w->server.node) || c->failed || (w->changes_left == 0 && c->in_flight == 0);
}

static void check(void *user)
{
    check_data(user);
    check_snapshot(user);
}

static void work(void *user)
{
    redis_world_t *w = user;
    w->changes_left = 1 + (int)draw(w->run, CHANGES_PER_LIFE_MAX - 1);
    client_start(w);
    bool through = sim_run_until(w->run->sim, client_is_through, w, 60000);
    CHECK(w->run, through, "no answer within a minute");
    /* What was sent before the end still arrives. */
    if (!sim_node_alive(w->server.node)) sim_run_for(w->run->sim, 100);
    client_stop(w);
    scenario_note(w->run, "%d changes sent, %d answered%s", w->changes_count, w->acknowledged,
                  w->redis_client.failed ? ", connection lost" : "");
}

static void stop(void *user)
{
    redis_world_t *w = user;
    net_quiet(w->net);
    redis_stop(w->redis);
    net_free(w->net);
    redis_free(w->redis);
}

void scenario_redis(run_t *run)
{
    redis_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 70;
    program.crash_operations_max = 400;
    program.orderly_percent = 10;
    w->run = run;
    machine_init(&w->server, run, "10.0.0.1");
    w->server.disk.ordered = true;
    w->redis_client.answered = on_answered;
    w->redis_client.user = w;
    w->client = sim_node_new(run->sim, "10.0.0.2");
    machine_lives(&w->server, &program);
    resp_client_deinit(&w->redis_client);
    mem_free(w);
}
