/* compact_scenario.c: a compacted topic with log.flush.interval.messages=1, whose cleaner works all the time, on a machine
 * that dies again and again, or whose disk fills up or fails.
 *
 * After each death and at the end the segments are read. Of each key the newest record is the last that was acknowledged, or
 * one that was sent after it; without any the last one was a tombstone. A record that was acknowledged and is missing has a
 * newer one of its key, or was a tombstone whose time was over. Below what cleaner-offset-checkpoint says, no key is there
 * twice. */
#include "kafka_life.h"

#include "kafka/record/record.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES_MAX            5
#define RECORDS_PER_LIFE_MAX 150
#define RECORDS_MAX          ((LIVES_MAX + 1) * RECORDS_PER_LIFE_MAX + 1)
#define KEYS_MAX             150
#define VALUE_BYTES_MAX      800
#define STEP_MS_MAX          12
#define TOPIC                "compacted"
#define CHECKPOINT           "/data/kafka/cleaner-offset-checkpoint"

typedef struct compact_world compact_world_t;

typedef struct sent_record {
    compact_world_t *world;
    int key;
    bool tombstone;
    int64_t offset; /* -1 = not acknowledged */
    bool found;
    char key_text[16], value[VALUE_BYTES_MAX + 32]; /* borrowed until the answer */
} sent_record_t;

struct compact_world {
    kafka_life_t life;
    run_t *run;
    int keys;
    bool tombstones_go;
    sent_record_t records[RECORDS_MAX];
    int records_count;
    io_timer_t writer;
    int records_left, outstanding;
    /* while checking */
    int64_t cleaned;
    int64_t newest[KEYS_MAX], newest_clean[KEYS_MAX]; /* offset of each key's last record, -1 = none */
};

/* ---- writing ---- */

static void on_produced(void *user, int32_t partition, int64_t offset, kafka_code_t error, const char *message)
{
    sent_record_t *record = user;
    compact_world_t *w = record->world;
    w->outstanding--;
    if (!machine_runs(&w->life.machine) || error) return;
    record->offset = offset;
    w->run->acknowledged++;
}

static void produce(compact_world_t *w)
{
    int number = w->records_count++;
    sent_record_t *record = &w->records[number];
    record->world = w;
    record->offset = -1;
    record->key = (int)draw(w->run, (uint64_t)w->keys);
    record->tombstone = chance(w->run, 20);
    snprintf(record->key_text, sizeof(record->key_text), "key-%d", record->key);
    snprintf(record->value, sizeof(record->value), "<%d>%0*d", number, 1 + (int)draw(w->run, VALUE_BYTES_MAX), 0);
    kafka_produce_t produce = {.topic = BYTES_LIT(TOPIC),
                               .partition = 0,
                               .key = bytes_str(record->key_text),
                               .value = record->tombstone ? BYTES_NULL : bytes_str(record->value),
                               .timestamp_ms = -1};
    w->outstanding++;
    kafka_produce_record(w->life.kafka, &produce, on_produced, record);
}

static void on_writer(io_timer_t *timer)
{
    compact_world_t *w = CONTAINER_OF(timer, compact_world_t, writer);
    for (uint64_t n = 1 + draw(w->run, 6); n > 0 && w->records_left > 0; n--, w->records_left--) produce(w);
    if (w->records_left > 0) io_timer_start(timer, draw(w->run, STEP_MS_MAX), 0);
}

/* ---- checking ---- */

/* The number behind so many bytes of a text; -1 = none. */
static int number_in(bytes_t text, size_t behind)
{
    int number = -1;
    for (size_t i = behind; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
        number = MAX(number, 0) * 10 + text.ptr[i] - '0';
    return number;
}

static void check_value(compact_world_t *w, const record_t *record, int key)
{
    int number = number_in(record->value, strlen("<"));
    CHECK(w->run, number >= 0 && number < w->records_count, "a value <%d> that nobody sent", number);
    sent_record_t *sent = &w->records[number];
    CHECK(w->run, sent->key == key && !sent->tombstone, "<%d> is under the key %d", number, key);
    CHECK(w->run, sent->offset == -1 || sent->offset == record->offset, "<%d> is at %" PRId64 ", not at %" PRId64,
          number, record->offset, sent->offset);
}

static void check_record(compact_world_t *w, const record_t *record)
{
    int key = number_in(record->key, strlen("key-"));
    CHECK(w->run, key >= 0 && key < w->keys, "a key that nobody sent");
    if (record->value.ptr) check_value(w, record, key);
    w->newest[key] = record->offset;
    if (record->offset < w->cleaned) {
        CHECK(w->run, w->newest_clean[key] == -1,
              "key %d is at %" PRId64 " and at %" PRId64 ", but the log is clean below %" PRId64, key,
              w->newest_clean[key], record->offset, w->cleaned);
        w->newest_clean[key] = record->offset;
    }
    for (int i = 0; i < w->records_count; i++) {
        if (w->records[i].offset == record->offset) w->records[i].found = true;
    }
}

static void check_batch(void *user, const batch_header_t *batch, bytes_t bytes)
{
    compact_world_t *w = user;
    record_iter_t iter;
    record_t record;
    int err = record_iter_init(&iter, bytes, MIB(1));
    while (!err && (err = record_iter_next(&iter, &record)) == 0) check_record(w, &record);
    record_iter_deinit(&iter);
    CHECK(w->run, err == ERR_NOT_FOUND, "the batch at %" PRId64 " cannot be read: %s", batch->base_offset,
          err_text(err));
}

static int64_t read_checkpoint(compact_world_t *w)
{
    uint8_t *data;
    size_t bytes;
    if (io_read_whole(w->life.machine.loop, CHECKPOINT, KIB(4), &data, &bytes) != 0) return 0;
    char *line = strstr((char *)data, TOPIC " 0 ");
    int64_t offset = line ? atoll(line + strlen(TOPIC " 0 ")) : 0;
    mem_free(data);
    return offset;
}

/* Another record of its key that is or was behind it in the log explains that this one is missing. (Those that waited for the
 * topic may be in any order.) A tombstone that nobody heard of may have come and gone. */
static bool is_replaced(const compact_world_t *w, const sent_record_t *r)
{
    if (w->newest[r->key] > r->offset) return true;
    for (int i = 0; i < w->records_count; i++) {
        const sent_record_t *other = &w->records[i];
        if (other->key != r->key) continue;
        if (other->offset > r->offset || (other->offset < 0 && other->tombstone && w->tombstones_go)) return true;
    }
    return false;
}

static void check_records(compact_world_t *w)
{
    for (int k = 0; k < w->keys; k++) w->newest[k] = w->newest_clean[k] = -1;
    for (int i = 0; i < w->records_count; i++) w->records[i].found = false;
    w->cleaned = read_checkpoint(w);
    kafka_life_batches(&w->life, TOPIC, 0, check_batch, w);
    if (!sim_node_alive(w->life.machine.node)) return;
    for (int i = 0; i < w->records_count; i++) {
        const sent_record_t *r = &w->records[i];
        if (r->offset < 0 || r->found) continue;
        CHECK(w->run, (r->tombstone && w->tombstones_go) || is_replaced(w, r),
              "<%d>, acknowledged at %" PRId64 ", is lost, and its key %d has nothing newer", i, r->offset, r->key);
        CHECK(w->run, w->newest[r->key] == -1 || w->newest[r->key] > r->offset,
              "key %d came back: its record at %" PRId64 " is gone, but the one at %" PRId64 " is there", r->key,
              r->offset, w->newest[r->key]);
    }
}

/* ---- lives ---- */

/* Whether the disk does not fail. (One that fails twice in a row leaves half a batch until the log is opened again.) */
static bool choose_faults(compact_world_t *w)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    if (chance(w->run, 15)) faults.write_error_ppm = 3000;
    if (chance(w->run, 10)) faults.capacity_bytes = 100000 + draw(w->run, 400000);
    sim_node_set_disk_faults(w->life.machine.node, &faults);
    return faults.write_error_ppm == 0;
}

static bool writer_is_through(void *user)
{
    compact_world_t *w = user;
    return !machine_runs(&w->life.machine) || (w->records_left == 0 && w->outstanding == 0);
}

static bool start(void *user) { return kafka_life_start(&((compact_world_t *)user)->life); }
static void check(void *user) { check_records(user); }
static void stop(void *user) { kafka_life_stop(&((compact_world_t *)user)->life); }

static void work(void *user)
{
    compact_world_t *w = user;
    machine_t *m = &w->life.machine;
    w->records_left = 1 + (int)draw(w->run, RECORDS_PER_LIFE_MAX - 1);
    w->outstanding = 0;
    bool sound = choose_faults(w);
    io_timer_init(m->loop, &w->writer, on_writer);
    io_timer_start(&w->writer, 0, 0);
    io_loop_wake(m->loop);
    bool through = sim_run_until(w->run->sim, writer_is_through, w, 60000);
    CHECK(w->run, through, "%d records were not answered within a minute", w->outstanding);
    if (sim_node_alive(m->node)) sim_run_for(w->run->sim, draw(w->run, 500));
    io_timer_stop(&w->writer);
    sim_node_set_disk_faults(m->node, &m->disk);
    if (sound && machine_runs(m)) check_records(w);
    scenario_note(w->run, "%d records sent, clean up to %" PRId64, w->records_count, w->cleaned);
}

static void choose_settings(compact_world_t *w)
{
    kafka_life_t *life = &w->life;
    static const char *const codecs[] = {"producer", "lz4", "zstd", "gzip", "snappy"};
    static const char *const ratios[] = {"0", "0.3", "0.9"};
    w->keys = chance(w->run, 70) ? 1 + (int)draw(w->run, 12) : KEYS_MAX; /* so many do not fit the smallest map */
    w->tombstones_go = chance(w->run, 60);
    kafka_life_set(life, "log.flush.interval.messages", "1");
    kafka_life_set(life, "num.partitions", "1");
    kafka_life_set(life, "log.cleanup.policy", "compact");
    kafka_life_set(life, "log.cleaner.backoff.ms", "10");
    kafka_life_set(life, "log.cleaner.min.cleanable.ratio", ratios[draw(w->run, ARRAY_LEN(ratios))]);
    kafka_life_set(life, "log.cleaner.max.compaction.lag.ms", chance(w->run, 50) ? "15" : "100");
    kafka_life_set(life, "log.cleaner.delete.retention.ms",
                   !w->tombstones_go    ? "86400000"
                   : chance(w->run, 50) ? "0"
                                        : "80");
    kafka_life_set(life, "log.cleaner.dedupe.buffer.size", chance(w->run, 50) ? "1" : "1048576");
    kafka_life_set(life, "log.cleaner.io.buffer.size", chance(w->run, 50) ? "1" : "524288");
    kafka_life_set(life, "log.segment.delete.delay.ms", chance(w->run, 50) ? "0" : "1000");
    kafka_life_set(life, "compression.type", codecs[draw(w->run, ARRAY_LEN(codecs))]);
}

/* Left alone, the cleaner gets through. */
static bool is_settled(void *user)
{
    compact_world_t *w = user;
    return read_checkpoint(w) >= w->cleaned;
}

static void last(void *user)
{
    compact_world_t *w = user;
    w->records_left = w->outstanding = 0;
    produce(w); /* something that is dirty, whatever was before */
    io_loop_wake(w->life.machine.loop);
    bool through = sim_run_until(w->run->sim, writer_is_through, w, 60000);
    int64_t offset = w->records[w->records_count - 1].offset;
    CHECK(w->run, through && offset >= 0, "the last record was not taken");
    w->cleaned = offset + 1;
    bool settled = sim_run_until(w->run->sim, is_settled, w, 60000);
    CHECK(w->run, settled, "after a minute of peace the log is clean up to %" PRId64 " of %" PRId64, read_checkpoint(w),
          w->cleaned);
    check_records(w);
    CHECK(w->run, w->cleaned == offset + 1, "clean up to %" PRId64, w->cleaned);
}

void scenario_compact(run_t *run)
{
    compact_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .last = last, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 75;
    program.crash_operations_max = 1500;
    program.orderly_percent = 15;
    w->run = run;
    kafka_life_init(&w->life, run);
    choose_settings(w);
    machine_lives(&w->life.machine, &program);
    mem_free(w);
}
