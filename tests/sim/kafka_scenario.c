/* kafka_scenario.c: the Kafka wing with log.flush.interval.messages=1, over the coordination tree, on a machine that dies
 * again and again.
 *
 * Records go into topics that are made on the way. After each death the wing is started again, and the segments it has
 * recovered are read: each acknowledged record is in its partition at its offset, and offsets are contiguous. */
#include "kafka_life.h"

#include <stdio.h>

#define LIVES_MAX            4
#define RECORDS_PER_LIFE_MAX 80
#define RECORDS_MAX          ((LIVES_MAX + 1) * RECORDS_PER_LIFE_MAX)
#define TOPICS               3
#define PARTITIONS           2
#define STEP_MS_MAX          6

typedef struct kafka_world kafka_world_t;

typedef struct sent_record {
    kafka_world_t *world;
    char topic[8], value[16];
    int32_t partition; /* as acknowledged */
    int64_t offset;    /* -1 = not acknowledged */
} sent_record_t;

struct kafka_world {
    kafka_life_t life;
    run_t *run;
    sent_record_t records[RECORDS_MAX];
    int records_count;
    int64_t counts[TOPICS][PARTITIONS]; /* offsets seen, while checking */
    io_timer_t writer;
    int records_left, outstanding;
};

/* ---- writing ---- */

static void on_produced(void *user, int32_t partition, int64_t offset, kafka_code_t error, const char *message)
{
    sent_record_t *record = user;
    kafka_world_t *w = record->world;
    w->outstanding--;
    if (!machine_runs(&w->life.machine)) return;
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
    kafka_produce_record(w->life.kafka, &produce, on_produced, record);
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
    char topic[8];
    int topic_number, partition;
} partition_check_t;

/* The record at this place, if its acknowledgement named it, is the one that was sent. */
static void check_batch(void *user, const batch_header_t *batch, bytes_t bytes)
{
    partition_check_t *c = user;
    kafka_world_t *w = c->world;
    int64_t *count = &w->counts[c->topic_number][c->partition];
    CHECK(w->run, batch->base_offset == *count, "%s-%d: %" PRId64 " follows %" PRId64, c->topic, c->partition,
          batch->base_offset, *count);
    *count = batch_last_offset(batch) + 1;
    for (int i = 0; i < w->records_count; i++) {
        sent_record_t *r = &w->records[i];
        if (r->offset != batch->base_offset || r->partition != c->partition || strcmp(r->topic, c->topic) != 0)
            continue;
        bool found = memmem(bytes.ptr, bytes.len, r->value, strlen(r->value)) != NULL;
        CHECK(w->run, found, "%s-%d: %s is not at %" PRId64, c->topic, c->partition, r->value, r->offset);
    }
}

static void check_records(kafka_world_t *w)
{
    memset(w->counts, 0, sizeof(w->counts));
    for (int t = 0; t < TOPICS; t++) {
        for (int p = 0; p < PARTITIONS; p++) {
            partition_check_t check = {.world = w, .topic_number = t, .partition = p};
            snprintf(check.topic, sizeof(check.topic), "t%d", t);
            kafka_life_batches(&w->life, check.topic, p, check_batch, &check);
        }
    }
    if (!sim_node_alive(w->life.machine.node)) return;
    for (int i = 0; i < w->records_count; i++) {
        const sent_record_t *r = &w->records[i];
        if (r->offset < 0) continue;
        int64_t end = w->counts[r->topic[1] - '0'][r->partition];
        CHECK(w->run, r->offset < end, "%s was acknowledged at %" PRId64 " of %s-%d, which ends at %" PRId64, r->value,
              r->offset, r->topic, r->partition, end);
    }
}

/* ---- lives ---- */

static bool writer_is_through(void *user)
{
    kafka_world_t *w = user;
    return !machine_runs(&w->life.machine) || (w->records_left == 0 && w->outstanding == 0);
}

static bool start(void *user) { return kafka_life_start(&((kafka_world_t *)user)->life); }
static void check(void *user) { check_records(user); }
static void stop(void *user) { kafka_life_stop(&((kafka_world_t *)user)->life); }

static void work(void *user)
{
    kafka_world_t *w = user;
    w->records_left = 1 + (int)draw(w->run, RECORDS_PER_LIFE_MAX - 1);
    w->outstanding = 0;
    io_timer_init(w->life.machine.loop, &w->writer, on_writer);
    io_timer_start(&w->writer, 0, 0);
    io_loop_wake(w->life.machine.loop);
    bool through = sim_run_until(w->run->sim, writer_is_through, w, 60000);
    CHECK(w->run, through, "%d records were not answered within a minute", w->outstanding);
    io_timer_stop(&w->writer);
    scenario_note(w->run, "%d records sent", w->records_count);
}

void scenario_kafka(run_t *run)
{
    kafka_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 70;
    program.crash_operations_max = 600;
    program.orderly_percent = 15;
    w->run = run;
    kafka_life_init(&w->life, run);
    kafka_life_set(&w->life, "log.flush.interval.messages", "1");
    kafka_life_set(&w->life, "num.partitions", "2");
    machine_lives(&w->life.machine, &program);
    mem_free(w);
}
