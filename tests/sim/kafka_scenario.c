/* kafka_scenario.c: the Kafka wing with log.flush.interval.messages=1, over the coordination tree, on a machine that dies
 * again and again.
 *
 * Records go into topics that are made on the way. After each death the wing is started again, and the segments it has
 * recovered are read: each acknowledged record is in its partition at its offset, and offsets are contiguous. */
#include "scenario.h"

#include "base/buf.h"
#include "coord/coord.h"
#include "kafka/kafka.h"
#include "log/log.h"
#include "net/net.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES_MAX            4
#define RECORDS_PER_LIFE_MAX 80
#define RECORDS_MAX          ((LIVES_MAX + 1) * RECORDS_PER_LIFE_MAX)
#define TOPICS               3
#define PARTITIONS           2
#define STEP_MS_MAX          6
#define PATH_CHARS_MAX       256
#define SEGMENT_BYTES_MAX    MIB(1)

typedef struct kafka_world kafka_world_t;

typedef struct sent_record {
    kafka_world_t *world;
    char topic[8], value[16];
    int32_t partition; /* as acknowledged */
    int64_t offset;    /* -1 = not acknowledged */
} sent_record_t;

struct kafka_world {
    run_t *run;
    sim_node_t *node;
    io_loop_t *loop;
    net_t *net;
    coord_t *coord;
    kafka_t *kafka;
    sent_record_t records[RECORDS_MAX];
    int records_count;
    int64_t counts[TOPICS][PARTITIONS]; /* offsets seen, while checking */
    io_timer_t writer;
    int records_left, outstanding;
    bool failed;
};

/* ---- writing ---- */

static void on_produced(void *user, int32_t partition, int64_t offset, int16_t error, const char *message)
{
    sent_record_t *record = user;
    kafka_world_t *w = record->world;
    w->outstanding--;
    if (!sim_node_alive(w->node) || w->failed) return;
    if (error) {
        scenario_note(w->run, "refused: %s", message);
        return;
    }
    CHECK(w->run, partition >= 0 && partition < PARTITIONS, "partition %d", partition);
    record->partition = partition;
    record->offset = offset;
    w->run->acknowledged++;
}

static void produce(kafka_world_t *w)
{
    sent_record_t *record = &w->records[w->records_count];
    record->world = w;
    record->offset = -1;
    snprintf(record->topic, sizeof(record->topic), "t%d", (int)draw(w->run, TOPICS));
    snprintf(record->value, sizeof(record->value), "<%d>", w->records_count++);
    bytes_t key = chance(w->run, 50) ? bytes_str(record->value) : BYTES_NULL;
    kafka_produce_t produce = {.topic = bytes_str(record->topic),
                               .partition = -1,
                               .key = key,
                               .value = bytes_str(record->value),
                               .timestamp_ms = -1};
    w->outstanding++;
    kafka_produce_record(w->kafka, &produce, on_produced, record);
}

static void on_writer(io_timer_t *timer)
{
    kafka_world_t *w = CONTAINER_OF(timer, kafka_world_t, writer);
    for (uint64_t n = 1 + draw(w->run, 4); n > 0 && w->records_left > 0; n--, w->records_left--) produce(w);
    if (w->records_left > 0) io_timer_start(timer, draw(w->run, STEP_MS_MAX), 0);
}

/* ---- checking ---- */

typedef struct partition_check {
    kafka_world_t *world;
    char dir[PATH_CHARS_MAX / 2];
    int topic, partition;
} partition_check_t;

/* The record at this place, if its acknowledgement named it, is the one that was sent. */
static void check_record(partition_check_t *c, const log_batch_t *batch, bytes_t bytes)
{
    kafka_world_t *w = c->world;
    char topic[8];
    snprintf(topic, sizeof(topic), "t%d", c->topic);
    CHECK(w->run, log_batch_crc_ok(bytes), "%s: a wrong CRC at %" PRId64, c->dir, batch->base_offset);
    CHECK(w->run, batch->base_offset == w->counts[c->topic][c->partition], "%s: %" PRId64 " follows %" PRId64, c->dir,
          batch->base_offset, w->counts[c->topic][c->partition]);
    w->counts[c->topic][c->partition] = log_batch_last_offset(batch) + 1;
    for (int i = 0; i < w->records_count; i++) {
        sent_record_t *r = &w->records[i];
        if (r->offset != batch->base_offset || r->partition != c->partition || strcmp(r->topic, topic) != 0) continue;
        bool found = memmem(bytes.ptr, bytes.len, r->value, strlen(r->value)) != NULL;
        CHECK(w->run, found, "%s: %s is not at %" PRId64, c->dir, r->value, r->offset);
    }
}

static void check_segment(void *user, const char *name, bool is_dir)
{
    partition_check_t *c = user;
    kafka_world_t *w = c->world;
    char path[PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    log_batch_t batch;
    if (is_dir || strlen(name) != 24 || strcmp(name + 20, ".log") != 0) return;
    snprintf(path, sizeof(path), "%s/%s", c->dir, name);
    int err = io_read_whole(w->loop, path, SEGMENT_BYTES_MAX, &data, &bytes);
    if (err && !sim_node_alive(w->node)) return;
    CHECK(w->run, err == 0, "%s: %s", path, err_text(err));
    for (size_t at = 0; at < bytes; at += log_batch_bytes(&batch)) {
        err = log_batch_parse(bytes_of(data + at, bytes - at), &batch);
        CHECK(w->run, err == 0 && log_batch_bytes(&batch) <= bytes - at, "%s: no whole batch at %zu", path, at);
        check_record(c, &batch, bytes_of(data + at, log_batch_bytes(&batch)));
    }
    mem_free(data);
}

static void check_records(kafka_world_t *w)
{
    memset(w->counts, 0, sizeof(w->counts));
    for (int t = 0; t < TOPICS; t++) {
        for (int p = 0; p < PARTITIONS; p++) {
            partition_check_t check = {.world = w, .topic = t, .partition = p};
            snprintf(check.dir, sizeof(check.dir), "/data/kafka/t%d-%d", t, p);
            int err = io_list_dir(w->loop, check.dir, check_segment, &check);
            CHECK(w->run, err == 0 || err == ERR_NOT_FOUND || !sim_node_alive(w->node), "%s: %s", check.dir,
                  err_text(err));
        }
    }
    if (!sim_node_alive(w->node)) return;
    for (int i = 0; i < w->records_count; i++) {
        const sent_record_t *r = &w->records[i];
        if (r->offset < 0) continue;
        int64_t end = w->counts[r->topic[1] - '0'][r->partition];
        CHECK(w->run, r->offset < end, "%s was acknowledged at %" PRId64 " of %s-%d, which ends at %" PRId64, r->value,
              r->offset, r->topic, r->partition, end);
    }
}

/* ---- lives ---- */

static void on_fatal(void *user, const char *what, int err)
{
    kafka_world_t *w = user;
    scenario_note(w->run, "fatal: %s: %s", what, err_text(err));
    w->failed = true;
}

static void set(kafka_world_t *w, kafka_config_t *config, const char *name, const char *value)
{
    char why[256] = "";
    int err = kafka_configure(config, name, value, why, sizeof(why));
    CHECK(w->run, err == 0, "%s=%s: %s", name, value, why);
}

static kafka_t *make_kafka(kafka_world_t *w)
{
    kafka_config_t *config = kafka_config_new();
    set(w, config, "log.flush.interval.messages", "1");
    set(w, config, "num.partitions", "2");
    kafka_t *kafka = kafka_new(w->loop, w->net, w->coord, "/data/kafka", config);
    kafka_config_free(config);
    return kafka;
}

static bool is_ready(void *user)
{
    kafka_world_t *w = user;
    return !sim_node_alive(w->node) || w->failed || kafka_ready(w->kafka);
}

/* False when the machine died on the way. */
static bool start(kafka_world_t *w)
{
    char why[512] = "";
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    options.fatal = on_fatal;
    options.fatal_user = w;
    w->net = net_new(w->loop);
    w->kafka = NULL;
    int err = coord_open(w->loop, &options, &w->coord);
    if (err) w->coord = NULL;
    if (!err) {
        w->kafka = make_kafka(w);
        err = kafka_start(w->kafka, why, sizeof(why));
    }
    if (!err) err = MIN(0, kafka_listen(w->kafka, "10.0.0.1", 9092));
    CHECK(w->run, err == 0 || !sim_node_alive(w->node), "the wing does not start: %s (%s)", why, err_text(err));
    if (err) return false;
    io_loop_wake(w->loop);
    bool ready = sim_run_until(w->run->sim, is_ready, w, 60000);
    CHECK(w->run, ready, "the wing is not ready after a minute");
    return sim_node_alive(w->node) && !w->failed;
}

static void stop(kafka_world_t *w)
{
    if (w->kafka) kafka_stop(w->kafka);
    net_free(w->net);
    if (w->kafka) kafka_free(w->kafka);
    if (w->coord) coord_close(w->coord);
}

static bool writer_is_through(void *user)
{
    kafka_world_t *w = user;
    return !sim_node_alive(w->node) || w->failed || (w->records_left == 0 && w->outstanding == 0);
}

static void live(kafka_world_t *w)
{
    w->records_left = 1 + (int)draw(w->run, RECORDS_PER_LIFE_MAX - 1);
    w->outstanding = 0;
    w->failed = false;
    if (chance(w->run, 70)) sim_node_crash_after(w->node, 1 + draw(w->run, 600));
    if (start(w)) {
        check_records(w);
        io_timer_init(w->loop, &w->writer, on_writer);
        io_timer_start(&w->writer, 0, 0);
        bool through = sim_run_until(w->run->sim, writer_is_through, w, 60000);
        CHECK(w->run, through, "%d records were not answered within a minute", w->outstanding);
        io_timer_stop(&w->writer);
    }
    scenario_note(w->run, "%s: %d records sent, %" PRIu64 " acknowledged",
                  sim_node_alive(w->node) ? "alive" : "crashed", w->records_count, w->run->acknowledged);
}

static void die(kafka_world_t *w)
{
    bool orderly = !w->failed && sim_node_alive(w->node) && chance(w->run, 15);
    if (orderly) stop(w);
    if (!w->failed && chance(w->run, 30))
        sim_node_kill(w->node);
    else
        sim_node_crash(w->node);
    if (!orderly) stop(w);
    w->run->crashes++;
    w->loop = sim_node_start(w->node);
}

void scenario_kafka(run_t *run)
{
    kafka_world_t *w = mem_zalloc(sizeof(*w));
    w->run = run;
    w->node = sim_node_new(run->sim, "10.0.0.1");
    w->loop = sim_node_loop(w->node);
    for (uint64_t lives = 2 + draw(run, LIVES_MAX - 1); lives > 0; lives--) {
        live(w);
        die(w);
    }
    w->failed = false;
    bool started = start(w);
    CHECK(run, started, "the wing does not start at the end");
    check_records(w);
    stop(w);
    mem_free(w);
}
