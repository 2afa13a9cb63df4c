/* bridge_world.c: see bridge_world.h. */
#include "bridge_world.h"

#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>

#define PATH_CHARS_MAX    256
#define SEGMENT_BYTES_MAX MIB(4)
#define EMPTY_MS_MAX      60000
#define READY_MS_MAX      60000
#define CARRIERS_MAX      3

void bridge_world_init(bridge_world_t *w, run_t *run)
{
    machine_init(&w->machine, run, WORLD_HOST);
    w->machine.disk.ordered = true; /* as in redis_scenario.c: the append-only file has no checksums */
    sim_node_set_disk_faults(w->machine.node, &w->machine.disk);
}

/* ---- starting ---- */

static redis_t *make_redis(bridge_world_t *w)
{
    static const char *const settings[][2] = {{"appendonly", "yes"},
                                              {"appendfsync", "always"},
                                              {"auto-aof-rewrite-min-size", "4096"},
                                              {"auto-aof-rewrite-percentage", "60"},
                                              {"protected-mode", "no"} /* clients are on other machines */};
    redis_config_t *config = redis_config_new();
    char why[256];
    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        int err = redis_configure(config, settings[i][0], settings[i][1], why, sizeof(why));
        CHECK(w->machine.run, err == 0, "%s: %s", settings[i][0], why);
    }
    redis_t *redis = redis_new(w->machine.loop, w->net, "/data/redis", config);
    redis_config_free(config);
    return redis;
}

static kafka_t *make_kafka(bridge_world_t *w)
{
    char why[256], partitions[8];
    kafka_config_t *config = kafka_config_new();
    snprintf(partitions, sizeof(partitions), "%d", WORLD_PARTITIONS);
    int err = kafka_configure(config, "num.partitions", partitions, why, sizeof(why));
    if (err == 0 && w->flushed) err = kafka_configure(config, "log.flush.interval.messages", "1", why, sizeof(why));
    if (err == 0 && w->topics_by_hand)
        err = kafka_configure(config, "auto.create.topics.enable", "false", why, sizeof(why));
    CHECK(w->machine.run, err == 0, "%s", why);
    kafka_t *kafka = kafka_new(w->kafka_loop, w->kafka_net, w->tree, "/data/kafka", config);
    kafka_config_free(config);
    return kafka;
}

static bridge_feeds_t *make_feeds(bridge_world_t *w)
{
    bridge_feeds_t *feeds = bridge_feeds_new();
    char why[512];
    for (int i = 0; w->feed_settings && w->feed_settings[i][0]; i++) {
        int err = bridge_feeds_configure(feeds, w->feed_settings[i][0], w->feed_settings[i][1], why, sizeof(why));
        CHECK(w->machine.run, err == 0, "%s: %s", w->feed_settings[i][0], why);
    }
    return feeds;
}

static int start_wings(bridge_world_t *w, char *why, size_t why_bytes)
{
    uint16_t port;
    w->redis = make_redis(w);
    w->bridge = bridge_new(w->machine.loop, w->redis);
    w->feeds = make_feeds(w);
    int err = redis_load(w->redis, why, why_bytes);
    if (err) return err;
    w->kafka = make_kafka(w);
    bridge_attach(w->bridge, w->kafka, w->kafka_loop);
    err = kafka_start(w->kafka, why, why_bytes);
    if (err == 0) err = kafka_listen(w->kafka, WORLD_HOST, WORLD_KAFKA_PORT, &port);
    return err;
}

static bool kafka_is_ready(void *world)
{
    bridge_world_t *w = world;
    return !machine_runs(&w->machine) || kafka_ready(w->kafka);
}

static void on_bridge_started(void *user) { ((bridge_world_t *)user)->bridge_started = true; }

static bool bridge_has_started(void *world)
{
    bridge_world_t *w = world;
    return !machine_runs(&w->machine) || w->bridge_started;
}

/* Kafka has recovered: the bridge may start, and clients come. */
static int start_bridge(bridge_world_t *w, char *why, size_t why_bytes)
{
    uint16_t port;
    bool ready = sim_run_until(w->machine.run->sim, kafka_is_ready, w, READY_MS_MAX);
    CHECK(w->machine.run, ready, "Kafka is not ready after a minute");
    if (!machine_runs(&w->machine)) return ERR_CLOSED;
    w->bridge_started = false;
    int err = bridge_start(w->bridge, on_bridge_started, w);
    if (err) return err;
    io_loop_wake(w->kafka_loop);
    bool started = sim_run_until(w->machine.run->sim, bridge_has_started, w, READY_MS_MAX);
    CHECK(w->machine.run, started, "the bridge has not started after a minute");
    if (!machine_runs(&w->machine)) return ERR_CLOSED;
    err = bridge_feeds_start(w->feeds, w->bridge, why, why_bytes);
    return err ? err : redis_listen(w->redis, WORLD_HOST, WORLD_REDIS_PORT, &port);
}

/* Control, Kafka and Redis each on a loop of their own, or with others. */
static void make_loops(bridge_world_t *w)
{
    w->control = w->apart || chance(w->machine.run, 50) ? sim_node_loop_new(w->machine.node) : w->machine.loop;
    w->kafka_loop = w->apart || chance(w->machine.run, 50) ? sim_node_loop_new(w->machine.node) : w->machine.loop;
    w->net = net_new(w->machine.loop);
    w->kafka_net = w->kafka_loop == w->machine.loop ? w->net : net_new(w->kafka_loop);
    for (uint64_t n = draw(w->machine.run, CARRIERS_MAX); n > 0; n--) {
        io_loop_t *carrier = sim_node_loop_new(w->machine.node);
        net_add_carrier(w->net, carrier);
        if (w->kafka_net != w->net) net_add_carrier(w->kafka_net, carrier);
    }
}

bool bridge_world_start(bridge_world_t *w)
{
    char why[512] = "";
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    options.fatal = machine_gave_up;
    options.fatal_user = &w->machine;
    make_loops(w);
    w->redis = NULL;
    w->kafka = NULL;
    w->bridge = NULL;
    w->feeds = NULL;
    w->tree = NULL;
    int err = coord_open(w->control, &options, &w->coord);
    if (err) w->coord = NULL;
    if (!err) {
        w->tree = mirror_new(w->coord, w->control, w->kafka_loop, kafka_tree_prefixes, KAFKA_TREE_PREFIXES);
        io_loop_drain(w->kafka_loop);
        err = start_wings(w, why, sizeof(why));
    }
    io_loop_wake(w->machine.loop);
    io_loop_wake(w->kafka_loop);
    io_loop_wake(w->control);
    if (!err) err = start_bridge(w, why, sizeof(why));
    bool ended = !machine_runs(&w->machine);
    CHECK(w->machine.run, err == 0 || ended, "the server does not start: %s (%s)", why, err_text(err));
    if (err) return false;
    io_loop_wake(w->machine.loop);
    return true;
}

/* ---- while it runs ---- */

long bridge_world_ask(bridge_world_t *w, const char *command, const char *argument, const char *field)
{
    bytes_t argv[2] = {bytes_str(command), bytes_str(argument)};
    buf_t reply = BUF_INIT;
    redis_execute(w->redis, argv, 2, &reply);
    io_loop_wake(w->machine.loop);
    buf_u8(&reply, 0);
    const char *at = (const char *)reply.ptr;
    if (field) at = strstr(at, field);
    at = at ? strchr(at, ':') : NULL;
    CHECK(w->machine.run, at != NULL, "%s %s answers %s", command, argument, (const char *)reply.ptr);
    long value = strtol(at + 1, NULL, 10);
    buf_deinit(&reply);
    return value;
}

bool bridge_world_is_empty(void *world)
{
    bridge_world_t *w = world;
    return !machine_runs(&w->machine) || bridge_world_ask(w, "KAFKA.OUTBOX", "INFO", "depth") == 0;
}

bool bridge_world_settle(bridge_world_t *w)
{
    bool empty = sim_run_until(w->machine.run->sim, bridge_world_is_empty, w, EMPTY_MS_MAX);
    CHECK(w->machine.run, empty, "the outbox is not empty after a minute");
    return machine_runs(&w->machine);
}

/* ---- ending ---- */

static void drain(bridge_world_t *w)
{
    io_loop_drain(w->control);
    io_loop_drain(w->kafka_loop);
    io_loop_drain(w->machine.loop);
}

void bridge_world_stop(bridge_world_t *w)
{
    net_quiet(w->net);
    if (w->bridge) bridge_stop(w->bridge);
    if (w->kafka) kafka_stop(w->kafka);
    if (w->redis) redis_stop(w->redis);
    if (w->bridge) bridge_free(w->bridge);
    if (w->feeds) bridge_feeds_free(w->feeds);
    if (w->tree) mirror_detach(w->tree);
    drain(w);
    if (w->coord) coord_close(w->coord);
    drain(w);
    if (w->kafka_net != w->net) net_free(w->kafka_net);
    net_free(w->net);
    if (w->kafka) kafka_free(w->kafka);
    if (w->redis) redis_free(w->redis);
    mirror_free(w->tree);
}

/* ---- a topic's records ---- */

typedef struct walk {
    bridge_world_t *world;
    char dir[PATH_CHARS_MAX / 2];
    void (*each)(void *user, const record_t *record);
    void *user;
} walk_t;

static void each_of_batch(walk_t *walk, bytes_t batch)
{
    record_iter_t iter;
    record_t record;
    int err = record_iter_init(&iter, batch, SEGMENT_BYTES_MAX);
    CHECK(walk->world->machine.run, err == 0, "%s: %s", walk->dir, err_text(err));
    while (record_iter_next(&iter, &record) == 0) walk->each(walk->user, &record);
    record_iter_deinit(&iter);
}

static void each_of_segment(void *user, const char *name, bool is_dir)
{
    walk_t *walk = user;
    run_t *run = walk->world->machine.run;
    char path[PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    batch_header_t batch;
    if (is_dir || strlen(name) != 24 || strcmp(name + 20, ".log") != 0) return;
    snprintf(path, sizeof(path), "%s/%s", walk->dir, name);
    int err = io_read_whole(walk->world->machine.loop, path, SEGMENT_BYTES_MAX, &data, &bytes);
    CHECK(run, err == 0, "%s: %s", path, err_text(err));
    for (size_t at = 0; at < bytes; at += batch_bytes(&batch)) {
        err = batch_header_read(bytes_of(data + at, bytes - at), &batch);
        CHECK(run, err == 0 && batch_bytes(&batch) <= bytes - at, "%s: no whole batch at %zu", path, at);
        each_of_batch(walk, bytes_of(data + at, batch_bytes(&batch)));
    }
    mem_free(data);
}

void bridge_world_each_record(bridge_world_t *w, const char *topic, int partition,
                              void (*each)(void *user, const record_t *record), void *user)
{
    walk_t walk = {.world = w, .each = each, .user = user};
    snprintf(walk.dir, sizeof(walk.dir), "/data/kafka/%s-%d", topic, partition);
    int err = io_list_dir(w->machine.loop, walk.dir, each_of_segment, &walk);
    CHECK(w->machine.run, err == 0 || err == ERR_NOT_FOUND, "%s: %s", walk.dir, err_text(err));
}
