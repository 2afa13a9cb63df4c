/* kafka_life.c: see kafka_life.h. */
#include "kafka_life.h"

#include <stdio.h>

#define PATH_CHARS_MAX    256
#define SEGMENT_BYTES_MAX MIB(1)

void kafka_life_init(kafka_life_t *life, run_t *run)
{
    *life = (kafka_life_t){0};
    machine_init(&life->machine, run, "10.0.0.1");
}

void kafka_life_set(kafka_life_t *life, const char *name, const char *value)
{
    ASSERT(life->settings_count < KAFKA_LIFE_SETTINGS_MAX);
    life->settings[life->settings_count].name = name;
    snprintf(life->settings[life->settings_count++].value, sizeof(life->settings[0].value), "%s", value);
}

static kafka_t *make_kafka(kafka_life_t *life)
{
    kafka_config_t *config = kafka_config_new();
    for (int i = 0; i < life->settings_count; i++) {
        char why[256] = "";
        int err = kafka_configure(config, life->settings[i].name, life->settings[i].value, why, sizeof(why));
        CHECK(life->machine.run, err == 0, "%s=%s: %s", life->settings[i].name, life->settings[i].value, why);
    }
    kafka_t *kafka = kafka_new(life->machine.loop, life->net, life->tree, "/data/kafka", config);
    kafka_config_free(config);
    return kafka;
}

static bool is_ready(void *user)
{
    kafka_life_t *life = user;
    return !machine_runs(&life->machine) || kafka_ready(life->kafka);
}

bool kafka_life_start(kafka_life_t *life)
{
    char why[512] = "";
    uint16_t port;
    coord_options_t options = coord_options_default;
    options.dir = "/data/coord";
    options.fatal = machine_gave_up;
    options.fatal_user = &life->machine;
    life->net = net_new(life->machine.loop);
    life->kafka = NULL;
    life->control = chance(life->machine.run, 50) ? sim_node_loop_new(life->machine.node) : life->machine.loop;
    int err = coord_open(life->control, &options, &life->coord);
    if (err) life->coord = NULL;
    life->tree = NULL;
    if (!err) {
        life->tree =
            mirror_new(life->coord, life->control, life->machine.loop, kafka_tree_prefixes, KAFKA_TREE_PREFIXES);
        io_loop_drain(life->machine.loop);
        life->kafka = make_kafka(life);
        err = kafka_start(life->kafka, why, sizeof(why));
    }
    if (!err) err = kafka_listen(life->kafka, "10.0.0.1", 9092, &port);
    CHECK(life->machine.run, err == 0 || !sim_node_alive(life->machine.node), "the wing does not start: %s (%s)", why,
          err_text(err));
    if (err) return false;
    io_loop_wake(life->machine.loop);
    io_loop_wake(life->control);
    bool ready = sim_run_until(life->machine.run->sim, is_ready, life, 60000);
    CHECK(life->machine.run, ready, "the wing is not ready after a minute");
    return machine_runs(&life->machine);
}

void kafka_life_stop(kafka_life_t *life)
{
    net_quiet(life->net);
    if (life->kafka) kafka_stop(life->kafka);
    if (life->tree) mirror_detach(life->tree);
    io_loop_drain(life->control);
    if (life->coord) coord_close(life->coord);
    io_loop_drain(life->machine.loop);
    net_free(life->net);
    if (life->kafka) kafka_free(life->kafka);
    mirror_free(life->tree);
}

/* ---- what is on the disk --------------------------------------------------------------------------------------------- */

typedef struct reading {
    kafka_life_t *life;
    char dir[PATH_CHARS_MAX / 2];
    int64_t next_offset;
    void (*each)(void *user, const batch_header_t *batch, bytes_t bytes);
    void *user;
} reading_t;

static void read_segment(void *user, const char *name, bool is_dir)
{
    reading_t *r = user;
    run_t *run = r->life->machine.run;
    char path[PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    batch_header_t batch;
    if (is_dir || strlen(name) != 24 || strcmp(name + 20, ".log") != 0) return;
    snprintf(path, sizeof(path), "%s/%s", r->dir, name);
    int err = io_read_whole(r->life->machine.loop, path, SEGMENT_BYTES_MAX, &data, &bytes);
    if (err && !sim_node_alive(r->life->machine.node)) return;
    CHECK(run, err == 0, "%s: %s", path, err_text(err));
    for (size_t at = 0; at < bytes; at += batch_bytes(&batch)) {
        err = batch_header_read(bytes_of(data + at, bytes - at), &batch);
        CHECK(run, err == 0 && batch_bytes(&batch) <= bytes - at, "%s: no whole batch at %zu", path, at);
        bytes_t whole = bytes_of(data + at, batch_bytes(&batch));
        CHECK(run, batch_crc_ok(whole), "%s: a wrong CRC at %" PRId64, path, batch.base_offset);
        CHECK(run, batch.base_offset >= r->next_offset, "%s: %" PRId64 " follows %" PRId64, path, batch.base_offset,
              r->next_offset);
        r->next_offset = batch_last_offset(&batch) + 1;
        r->each(r->user, &batch, whole);
    }
    mem_free(data);
}

void kafka_life_batches(kafka_life_t *life, const char *topic, int partition,
                        void (*each)(void *user, const batch_header_t *batch, bytes_t bytes), void *user)
{
    reading_t r = {.life = life, .each = each, .user = user};
    snprintf(r.dir, sizeof(r.dir), "/data/kafka/%s-%d", topic, partition);
    int err = io_list_dir(life->machine.loop, r.dir, read_segment, &r);
    CHECK(life->machine.run, err == 0 || err == ERR_NOT_FOUND || !sim_node_alive(life->machine.node), "%s: %s", r.dir,
          err_text(err));
}
