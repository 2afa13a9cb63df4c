/* outbox_scenario.c: keys and Kafka records in one atomic step, on a machine that dies again and again.
 *
 * A client on another machine sends changes, many in flight, each with a number: MULTI, SET k<n>, KAFKA.PRODUCE <n>, EXEC,
 * some with SET state <n>, KAFKA.COMMIT ... <n>; or KAFKA.PRODUCE ... ONCE k<n>; some with AT. A second one, outbox_reader.c, commits
 * offsets by turns through Redis and through Kafka. The append-only file is synced before each reply, Kafka's logs in one run of five. After
 * each death the server starts, its outbox empties, and then: a key is there exactly when its record is, each record once,
 * all that was answered is there, each partition has its records in the order of the numbers (but for those with AT), and
 * each group's offset is that of its state.
 */
#include "bridge_world.h"
#include "outbox_reader.h"
#include "resp_client.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES_MAX            4
#define CHANGES_PER_LIFE_MAX 60
#define CHANGES_MAX          ((LIVES_MAX + 1) * CHANGES_PER_LIFE_MAX + 1)
#define TOPICS               2
#define IN_FLIGHT_MAX        16
#define STEP_MS_MAX          20
#define AT_MS_MAX            600

typedef struct change {
    bool acknowledged, delayed;
    int records; /* found, while checking */
} change_t;

typedef struct outbox_world {
    run_t *run;
    bridge_world_t server;
    sim_node_t *client;
    /* what was sent: numbers from 1 */
    change_t changes[CHANGES_MAX];
    int changes_count;
    /* the clients */
    resp_client_t sending;
    io_timer_t sender;
    int changes_left;
    reader_t reader;
} outbox_world_t;

/* ---- the client ---- */

/* The state that the offset is committed with. Returns how many replies more. */
static int put_commit(outbox_world_t *w, const char *number)
{
    if (!chance(w->run, 40) || !kafka_topic_exists(bridge_catalog(w->server.bridge), BYTES_LIT("t0"))) return 0;
    resp_text_put(&w->sending.out, 3, "SET", "state", number);
    resp_text_put(&w->sending.out, 5, "KAFKA.COMMIT", "g", "t0", "0", number);
    return 2;
}

static void send_change(outbox_world_t *w)
{
    buf_t *out = &w->sending.out;
    char number[16], key[16], topic[8], at[24];
    int n = ++w->changes_count;
    change_t *change = &w->changes[n];
    snprintf(number, sizeof(number), "%d", n);
    snprintf(key, sizeof(key), "k%d", n);
    snprintf(topic, sizeof(topic), "t%d", (int)draw(w->run, TOPICS));
    snprintf(at, sizeof(at), "%" PRId64, io_wall_ms(w->server.machine.loop) + (int64_t)draw(w->run, AT_MS_MAX));
    change->delayed = chance(w->run, 15);
    if (!change->delayed && chance(w->run, 20)) {
        resp_text_put(out, 6, "KAFKA.PRODUCE", topic, "ONCE", key, "100000", number);
        resp_client_expect(&w->sending, n, 1);
        return;
    }
    resp_text_put(out, 1, "MULTI");
    resp_text_put(out, 3, "SET", key, number);
    int more = put_commit(w, number);
    if (change->delayed)
        resp_text_put(out, 5, "KAFKA.PRODUCE", topic, "AT", at, number);
    else if (chance(w->run, 50))
        resp_text_put(out, 5, "KAFKA.PRODUCE", topic, "KEY", number, number);
    else
        resp_text_put(out, 3, "KAFKA.PRODUCE", topic, number);
    resp_text_put(out, 1, "EXEC");
    resp_client_expect(&w->sending, n, 4 + more);
}

static void on_answered(void *user, int number)
{
    outbox_world_t *w = user;
    w->changes[number].acknowledged = true;
    w->run->acknowledged++;
}

static void on_sender(io_timer_t *timer)
{
    outbox_world_t *w = CONTAINER_OF(timer, outbox_world_t, sender);
    for (uint64_t n = 1 + draw(w->run, 6); n > 0 && w->changes_left > 0 && w->sending.in_flight < IN_FLIGHT_MAX; n--) {
        send_change(w);
        w->changes_left--;
    }
    if (chance(w->run, 8)) {
        resp_text_put(&w->sending.out, 1, "BGREWRITEAOF");
        resp_client_expect(&w->sending, 0, 1);
    }
    resp_client_flush(&w->sending);
    /* Now and then a pause in which syncs are done and records forgotten. */
    uint64_t pause_ms = chance(w->run, 5) ? 800 : draw(w->run, STEP_MS_MAX);
    if (w->changes_left > 0 && !w->sending.failed) io_timer_start(timer, pause_ms, 0);
}

static void clients_start(outbox_world_t *w)
{
    io_loop_t *loop = sim_node_loop(w->client);
    resp_client_connect(&w->sending, w->run, loop, WORLD_HOST, WORLD_REDIS_PORT);
    io_timer_init(loop, &w->sender, on_sender);
    io_timer_start(&w->sender, 1, 0);
    if (kafka_topic_exists(bridge_catalog(w->server.bridge), BYTES_LIT("t0"))) reader_start(&w->reader, loop);
}

static void clients_stop(outbox_world_t *w)
{
    io_timer_stop(&w->sender);
    resp_client_close(&w->sending);
    reader_stop(&w->reader);
}

/* ---- checking ---- */

/* False while the group's partition is being read. */
static bool commit_of(outbox_world_t *w, const char *group, int64_t *ret_offset)
{
    char why[KAFKA_MESSAGE_BYTES_MAX];
    return kafka_committed_offset(w->server.kafka, bytes_str(group), BYTES_LIT("t0"), 0, ret_offset, why) == 0;
}

static bool is_empty(void *user)
{
    outbox_world_t *w = user;
    int64_t offset;
    if (!machine_runs(&w->server.machine)) return true;
    if (w->reader.asking) return false;
    return bridge_world_is_empty(&w->server) && commit_of(w, "g", &offset) && commit_of(w, READER_GROUP, &offset);
}

typedef struct partition_check {
    outbox_world_t *world;
    int topic, partition;
    int last; /* the highest number so far that was not delayed */
} partition_check_t;

static void check_record(void *user, const record_t *record)
{
    partition_check_t *c = user;
    outbox_world_t *w = c->world;
    char text[16] = "", place[16];
    snprintf(place, sizeof(place), "t%d-%d", c->topic, c->partition);
    memcpy(text, record->value.ptr, MIN(record->value.len, sizeof(text) - 1));
    int number = atoi(text);
    CHECK(w->run, number >= 1 && number <= w->changes_count, "%s: record '%s' was never sent", place, text);
    change_t *change = &w->changes[number];
    CHECK(w->run, ++change->records == 1, "record %d is there twice, again in %s", number, place);
    if (change->delayed) return;
    CHECK(w->run, number > c->last, "%s: record %d comes after %d", place, number, c->last);
    c->last = number;
}

/* 0 = none */
static long number_in(outbox_world_t *w, const char *key)
{
    bytes_t argv[2] = {BYTES_LIT("GET"), bytes_str(key)};
    buf_t reply = BUF_INIT;
    redis_execute(w->server.redis, argv, 2, &reply);
    buf_u8(&reply, 0);
    CHECK(w->run, *reply.ptr == '$', "GET %s answers %s", key, (const char *)reply.ptr);
    long value = reply.ptr[1] == '-' ? 0 : strtol(strchr((const char *)reply.ptr, '\n') + 1, NULL, 10);
    buf_deinit(&reply);
    return value;
}

static void check_commits(outbox_world_t *w)
{
    int64_t offset = -1, reader_offset = -1;
    bool read = commit_of(w, "g", &offset) && commit_of(w, READER_GROUP, &reader_offset);
    CHECK(w->run, read, "offsets cannot be read");
    long state = number_in(w, "state");
    CHECK(w->run, MAX(offset, 0) == state, "the offset is %" PRId64 ", its state %ld", offset, state);
    reader_check(&w->reader, MAX(reader_offset, 0), number_in(w, READER_STATE));
}

static void check_both_sides(outbox_world_t *w)
{
    for (int n = 1; n <= w->changes_count; n++) w->changes[n].records = 0;
    for (int i = 0; i < TOPICS * WORLD_PARTITIONS; i++) {
        char topic[8];
        partition_check_t check = {.world = w, .topic = i / WORLD_PARTITIONS, .partition = i % WORLD_PARTITIONS};
        snprintf(topic, sizeof(topic), "t%d", check.topic);
        bridge_world_each_record(&w->server, topic, check.partition, check_record, &check);
    }
    for (int n = 1; n <= w->changes_count; n++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", n);
        bool exists = bridge_world_ask(&w->server, "EXISTS", key, NULL) == 1;
        change_t *change = &w->changes[n];
        CHECK(w->run, exists || change->records == 0, "record %d is there without its key", n);
        CHECK(w->run, !exists || change->records == 1, "key %d is there without its record", n);
        CHECK(w->run, exists || !change->acknowledged, "change %d was answered and is lost", n);
        change->acknowledged = exists; /* what is seen is promised */
    }
    check_commits(w);
}

/* ---- lives ---- */

/* False when the machine died on the way. */
static bool start(void *user)
{
    outbox_world_t *w = user;
    if (!bridge_world_start(&w->server)) return false;
    if (kafka_topic_exists(bridge_catalog(w->server.bridge), BYTES_LIT("t0")))
        reader_ask(&w->reader, sim_node_loop(w->client), w->server.machine.power_lost);
    bool empty = sim_run_until(w->run->sim, is_empty, w, 60000);
    reader_stop(&w->reader);
    CHECK(w->run, empty, "the outbox is not empty after a minute");
    return machine_runs(&w->server.machine);
}

static bool client_is_through(void *user)
{
    outbox_world_t *w = user;
    const resp_client_t *c = &w->sending;
    return !machine_runs(&w->server.machine) || c->failed || (w->changes_left == 0 && c->in_flight == 0);
}

static void check(void *user) { check_both_sides(user); }
static void stop(void *user) { bridge_world_stop(&((outbox_world_t *)user)->server); }

static void work(void *user)
{
    outbox_world_t *w = user;
    w->changes_left = 1 + (int)draw(w->run, CHANGES_PER_LIFE_MAX - 1);
    clients_start(w);
    bool through = sim_run_until(w->run->sim, client_is_through, w, 60000);
    CHECK(w->run, through, "no answer within a minute");
    /* What was sent before the end still arrives. */
    if (!sim_node_alive(w->server.machine.node)) sim_run_for(w->run->sim, 100);
    clients_stop(w);
    scenario_note(w->run, "%d changes sent%s", w->changes_count, w->sending.failed ? ", connection lost" : "");
}

void scenario_outbox(run_t *run)
{
    outbox_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 75;
    program.crash_operations_max = 500;
    program.orderly_percent = 15;
    w->run = run;
    w->server.flushed = chance(run, 20);
    w->sending.answered = on_answered;
    w->sending.user = w;
    w->reader = (reader_t){
        .run = run, .host = WORLD_HOST, .topic = "t0", .redis_port = WORLD_REDIS_PORT, .kafka_port = WORLD_KAFKA_PORT};
    bridge_world_init(&w->server, run);
    w->client = sim_node_new(run->sim, "10.0.0.2");
    machine_lives(&w->server.machine, &program);
    resp_client_deinit(&w->sending);
    reader_deinit(&w->reader);
    mem_free(w);
}
