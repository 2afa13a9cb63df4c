/* outbox_scenario.c: keys and Kafka records in one atomic step, on a machine that dies again and again.
 *
 * A client on another machine sends changes, many in flight, each with a number: MULTI, SET k<n>, KAFKA.PRODUCE <n>, EXEC,
 * some with SET state <n>, KAFKA.COMMIT ... <n>; or KAFKA.PRODUCE ... ONCE k<n>; some with AT. A second one, outbox_reader.c, commits
 * positions by turns through Redis and through Kafka. The append-only file is synced before each reply, Kafka's logs in one run of five. After
 * each death the server starts, its outbox empties, and then: a key is there exactly when its record is, each record once,
 * all that was answered is there, each partition has its records in the order of the numbers (but for those with AT), and
 * each group's position is that of its state.
 *
 * outbox-broken is the same with records delivered before their entry is in the file: the checks must notice. */
#include "outbox_reader.h"
#include "resp_client.h"
#include "scenario.h"

#include "bridge/bridge.h"
#include "coord/coord.h"
#include "kafka/kafka.h"
#include "kafka/record.h"
#include "net/net.h"
#include "redis/redis.h"

#include <stdio.h>
#include <stdlib.h>

#define HOST                 "10.0.0.1"
#define PORT                 6379
#define KAFKA_PORT           9092
#define LIVES_MAX            4
#define CHANGES_PER_LIFE_MAX 60
#define CHANGES_MAX          ((LIVES_MAX + 1) * CHANGES_PER_LIFE_MAX + 1)
#define TOPICS               2
#define PARTITIONS           2
#define IN_FLIGHT_MAX        16
#define STEP_MS_MAX          20
#define AT_MS_MAX            600
#define PATH_CHARS_MAX       256
#define SEGMENT_BYTES_MAX    MIB(1)

typedef struct change {
    bool acknowledged, delayed;
    int records; /* found, while checking */
} change_t;

typedef struct outbox_world {
    run_t *run;
    sim_node_t *server, *client;
    bool broken;
    bool flushed; /* Kafka's logs are synced before each answer, too */
    /* the server's process */
    io_loop_t *loop;
    net_t *net;
    coord_t *coord;
    redis_t *redis;
    kafka_t *kafka;
    bridge_t *bridge;
    /* what was sent: numbers from 1 */
    change_t changes[CHANGES_MAX];
    int changes_count;
    /* the clients */
    resp_client_t sending;
    io_timer_t sender;
    int changes_left;
    reader_t reader;
    bool power_lost; /* at the last death */
    bool failed;     /* the tree gave up */
} outbox_world_t;

/* ---- the client ---- */

/* The state that the position is committed with. Returns how many replies more. */
static int put_position(outbox_world_t *w, const char *number)
{
    if (!chance(w->run, 40) || !kafka_topic_exists(w->kafka, BYTES_LIT("t0"))) return 0;
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
    snprintf(at, sizeof(at), "%" PRId64, io_wall_ms(w->loop) + (int64_t)draw(w->run, AT_MS_MAX));
    change->delayed = chance(w->run, 15);
    if (!change->delayed && chance(w->run, 20)) {
        resp_text_put(out, 6, "KAFKA.PRODUCE", topic, "ONCE", key, "100000", number);
        resp_client_expect(&w->sending, n, 1);
        return;
    }
    resp_text_put(out, 1, "MULTI");
    resp_text_put(out, 3, "SET", key, number);
    int more = put_position(w, number);
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
    resp_client_connect(&w->sending, w->run, loop, HOST, PORT);
    io_timer_init(loop, &w->sender, on_sender);
    io_timer_start(&w->sender, 1, 0);
    if (kafka_topic_exists(w->kafka, BYTES_LIT("t0"))) reader_start(&w->reader, loop);
}

static void clients_stop(outbox_world_t *w)
{
    io_timer_stop(&w->sender);
    resp_client_close(&w->sending);
    reader_stop(&w->reader);
}

/* ---- checking ---- */

static long ask(outbox_world_t *w, const char *command, const char *argument, const char *field)
{
    bytes_t argv[2] = {bytes_str(command), bytes_str(argument)};
    buf_t reply = BUF_INIT;
    redis_execute(w->redis, argv, 2, &reply);
    io_loop_wake(w->loop);
    buf_u8(&reply, 0);
    const char *at = (const char *)reply.ptr;
    if (field) at = strstr(at, field);
    at = at ? strchr(at, ':') : NULL;
    CHECK(w->run, at != NULL, "%s %s answers %s", command, argument, (const char *)reply.ptr);
    long value = strtol(at + 1, NULL, 10);
    buf_deinit(&reply);
    return value;
}

/* False while the group's partition is being read. */
static bool position_of(outbox_world_t *w, const char *group, int64_t *ret_position)
{
    char why[KAFKA_MESSAGE_BYTES_MAX];
    return kafka_position_get(w->kafka, bytes_str(group), BYTES_LIT("t0"), 0, ret_position, why) == 0;
}

static bool is_empty(void *user)
{
    outbox_world_t *w = user;
    int64_t position;
    if (!sim_node_alive(w->server) || w->failed) return true;
    if (w->reader.asking) return false;
    return ask(w, "KAFKA.OUTBOX", "INFO", "depth") == 0 && position_of(w, "g", &position) &&
           position_of(w, READER_GROUP, &position);
}

typedef struct partition_check {
    outbox_world_t *world;
    char dir[PATH_CHARS_MAX / 2];
    int last; /* the highest number so far that was not delayed */
} partition_check_t;

static void check_batch(partition_check_t *c, bytes_t bytes)
{
    outbox_world_t *w = c->world;
    record_iter_t iter;
    record_t record;
    char text[16] = "";
    int err = record_iter_init(&iter, bytes, SEGMENT_BYTES_MAX);
    CHECK(w->run, err == 0, "%s: %s", c->dir, err_text(err));
    while (record_iter_next(&iter, &record) == 0) {
        memcpy(text, record.value.ptr, MIN(record.value.len, sizeof(text) - 1));
        text[MIN(record.value.len, sizeof(text) - 1)] = '\0';
        int number = atoi(text);
        CHECK(w->run, number >= 1 && number <= w->changes_count, "%s: record '%s' was never sent", c->dir, text);
        change_t *change = &w->changes[number];
        CHECK(w->run, ++change->records == 1, "record %d is there twice, again in %s", number, c->dir);
        if (change->delayed) continue;
        CHECK(w->run, number > c->last, "%s: record %d comes after %d", c->dir, number, c->last);
        c->last = number;
    }
    record_iter_deinit(&iter);
}

static void check_segment(void *user, const char *name, bool is_dir)
{
    partition_check_t *c = user;
    outbox_world_t *w = c->world;
    char path[PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    log_batch_t batch;
    if (is_dir || strlen(name) != 24 || strcmp(name + 20, ".log") != 0) return;
    snprintf(path, sizeof(path), "%s/%s", c->dir, name);
    int err = io_read_whole(w->loop, path, SEGMENT_BYTES_MAX, &data, &bytes);
    CHECK(w->run, err == 0, "%s: %s", path, err_text(err));
    for (size_t at = 0; at < bytes; at += log_batch_bytes(&batch)) {
        err = log_batch_parse(bytes_of(data + at, bytes - at), &batch);
        CHECK(w->run, err == 0 && log_batch_bytes(&batch) <= bytes - at, "%s: no whole batch at %zu", path, at);
        check_batch(c, bytes_of(data + at, log_batch_bytes(&batch)));
    }
    mem_free(data);
}

/* 0 = none */
static long number_in(outbox_world_t *w, const char *key)
{
    bytes_t argv[2] = {BYTES_LIT("GET"), bytes_str(key)};
    buf_t reply = BUF_INIT;
    redis_execute(w->redis, argv, 2, &reply);
    buf_u8(&reply, 0);
    CHECK(w->run, *reply.ptr == '$', "GET %s answers %s", key, (const char *)reply.ptr);
    long value = reply.ptr[1] == '-' ? 0 : strtol(strchr((const char *)reply.ptr, '\n') + 1, NULL, 10);
    buf_deinit(&reply);
    return value;
}

static void check_positions(outbox_world_t *w)
{
    int64_t position = -1, reader_position = -1;
    bool read = position_of(w, "g", &position) && position_of(w, READER_GROUP, &reader_position);
    CHECK(w->run, read, "positions cannot be read");
    long state = number_in(w, "state");
    CHECK(w->run, MAX(position, 0) == state, "the position is %" PRId64 ", its state %ld", position, state);
    reader_check(&w->reader, MAX(reader_position, 0), number_in(w, READER_STATE));
}

static void check_both_sides(outbox_world_t *w)
{
    for (int n = 1; n <= w->changes_count; n++) w->changes[n].records = 0;
    for (int i = 0; i < TOPICS * PARTITIONS; i++) {
        partition_check_t check = {.world = w};
        snprintf(check.dir, sizeof(check.dir), "/data/kafka/t%d-%d", i / PARTITIONS, i % PARTITIONS);
        int err = io_list_dir(w->loop, check.dir, check_segment, &check);
        CHECK(w->run, err == 0 || err == ERR_NOT_FOUND, "%s: %s", check.dir, err_text(err));
    }
    for (int n = 1; n <= w->changes_count; n++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", n);
        bool exists = ask(w, "EXISTS", key, NULL) == 1;
        change_t *change = &w->changes[n];
        CHECK(w->run, exists || change->records == 0, "record %d is there without its key", n);
        CHECK(w->run, !exists || change->records == 1, "key %d is there without its record", n);
        CHECK(w->run, exists || !change->acknowledged, "change %d was answered and is lost", n);
        change->acknowledged = exists; /* what is seen is promised */
    }
    check_positions(w);
}

/* ---- lives ---- */

static void on_fatal(void *user, const char *what, int err)
{
    outbox_world_t *w = user;
    scenario_note(w->run, "fatal: %s: %s", what, err_text(err));
    w->failed = true;
}

static redis_t *make_redis(outbox_world_t *w)
{
    static const char *const settings[][2] = {{"appendonly", "yes"},
                                              {"appendfsync", "always"},
                                              {"auto-aof-rewrite-min-size", "4096"},
                                              {"auto-aof-rewrite-percentage", "60"},
                                              {"protected-mode", "no"} /* the client is on another machine */};
    redis_config_t *config = redis_config_new();
    char why[256];
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        int err = redis_configure(config, settings[i][0], settings[i][1], why, sizeof(why));
        CHECK(w->run, err == 0, "%s: %s", settings[i][0], why);
    }
    return redis_new(w->loop, w->net, "/data/redis", config);
}

static kafka_t *make_kafka(outbox_world_t *w)
{
    char why[256];
    kafka_config_t *config = kafka_config_new();
    int err = kafka_configure(config, "num.partitions", "2", why, sizeof(why));
    if (err == 0 && w->flushed) err = kafka_configure(config, "log.flush.interval.messages", "1", why, sizeof(why));
    CHECK(w->run, err == 0, "%s", why);
    kafka_t *kafka = kafka_new(w->loop, w->net, w->coord, "/data/kafka", config);
    kafka_config_free(config);
    return kafka;
}

static int start_wings(outbox_world_t *w, char *why, size_t why_bytes)
{
    uint16_t port;
    w->redis = make_redis(w);
    w->bridge = bridge_new(w->loop, w->redis);
    if (w->broken) bridge_break_order(w->bridge);
    int err = redis_load(w->redis, why, why_bytes);
    if (err) return err;
    w->kafka = make_kafka(w);
    bridge_attach(w->bridge, w->kafka);
    err = kafka_start(w->kafka, why, why_bytes);
    if (err == 0) err = bridge_start(w->bridge);
    if (err == 0) err = redis_listen(w->redis, HOST, PORT, &port);
    if (err == 0) err = MIN(0, kafka_listen(w->kafka, HOST, KAFKA_PORT));
    return err;
}

/* False when the machine died on the way. */
static bool start(outbox_world_t *w)
{
    char why[512] = "";
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    options.fatal = on_fatal;
    options.fatal_user = w;
    w->net = net_new(w->loop);
    w->redis = NULL;
    w->kafka = NULL;
    w->bridge = NULL;
    int err = coord_open(w->loop, &options, &w->coord);
    if (err) w->coord = NULL;
    if (!err) err = start_wings(w, why, sizeof(why));
    CHECK(w->run, err == 0 || !sim_node_alive(w->server), "the server does not start: %s (%s)", why, err_text(err));
    if (err) return false;
    io_loop_wake(w->loop);
    if (kafka_topic_exists(w->kafka, BYTES_LIT("t0"))) reader_ask(&w->reader, sim_node_loop(w->client), w->power_lost);
    bool empty = sim_run_until(w->run->sim, is_empty, w, 60000);
    reader_stop(&w->reader);
    CHECK(w->run, empty, "the outbox is not empty after a minute");
    return sim_node_alive(w->server) && !w->failed;
}

static void stop(outbox_world_t *w)
{
    if (w->bridge) bridge_stop(w->bridge);
    if (w->kafka) kafka_stop(w->kafka);
    if (w->redis) redis_stop(w->redis);
    if (w->bridge) bridge_free(w->bridge);
    if (w->coord) coord_close(w->coord);
    net_free(w->net);
    if (w->kafka) kafka_free(w->kafka);
    if (w->redis) redis_free(w->redis);
}

static bool client_is_through(void *user)
{
    outbox_world_t *w = user;
    const resp_client_t *c = &w->sending;
    return !sim_node_alive(w->server) || w->failed || c->failed || (w->changes_left == 0 && c->in_flight == 0);
}

static void live(outbox_world_t *w)
{
    w->changes_left = 1 + (int)draw(w->run, CHANGES_PER_LIFE_MAX - 1);
    w->failed = false;
    if (chance(w->run, 75)) sim_node_crash_after(w->server, 1 + draw(w->run, 500));
    if (start(w)) {
        check_both_sides(w);
        if (!sim_node_alive(w->server)) return;
        clients_start(w);
        bool through = sim_run_until(w->run->sim, client_is_through, w, 60000);
        CHECK(w->run, through, "no answer within a minute");
        /* What was sent before the end still arrives. */
        if (!sim_node_alive(w->server)) sim_run_for(w->run->sim, 100);
        clients_stop(w);
    }
    scenario_note(w->run, "%s: %d changes sent, %" PRIu64 " answered%s",
                  sim_node_alive(w->server) ? "alive" : "crashed", w->changes_count, w->run->acknowledged,
                  w->sending.failed ? ", connection lost" : "");
}

static void die(outbox_world_t *w)
{
    bool orderly = !w->failed && sim_node_alive(w->server) && chance(w->run, 15), killed = chance(w->run, 30);
    if (orderly) stop(w);
    w->power_lost = !killed || !sim_node_alive(w->server); /* it may have died while it stopped */
    if (killed)
        sim_node_kill(w->server);
    else
        sim_node_crash(w->server);
    if (!orderly) stop(w);
    w->run->crashes++;
    w->loop = sim_node_start(w->server);
}

static void run_lives(run_t *run, bool broken)
{
    outbox_world_t *w = mem_zalloc(sizeof(*w));
    w->run = run;
    w->broken = broken;
    w->flushed = chance(run, 20);
    w->sending.answered = on_answered;
    w->sending.user = w;
    w->reader = (reader_t){.run = run, .host = HOST, .topic = "t0", .redis_port = PORT, .kafka_port = KAFKA_PORT};
    w->server = sim_node_new(run->sim, HOST);
    w->client = sim_node_new(run->sim, "10.0.0.2");
    w->loop = sim_node_loop(w->server);
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.ordered = true; /* as in redis_scenario.c: the append-only file has no checksums */
    sim_node_set_disk_faults(w->server, &faults);
    for (uint64_t lives = 2 + draw(run, LIVES_MAX - 1); lives > 0; lives--) {
        live(w);
        die(w);
    }
    w->failed = false;
    bool started = start(w);
    CHECK(run, started, "the server does not start at the end");
    check_both_sides(w);
    stop(w);
    resp_client_deinit(&w->sending);
    reader_deinit(&w->reader);
    mem_free(w);
}

void scenario_outbox(run_t *run) { run_lives(run, false); }
void scenario_outbox_broken(run_t *run) { run_lives(run, true); }
