/* share_scenario.c: a share group on a machine that dies again and again. Records are produced; members acquire them, answer them, let
 * them go, keep them for too long, close their sessions and lose their connections.
 *
 * Promised, whatever dies: a record that was acknowledged to its producer is delivered; one whose answer the broker has confirmed
 * is never delivered again; and none is delivered more often than group.share.delivery.count.limit, as the group is told. */
#include "kafka_client.h"
#include "kafka_life.h"

#include "kafka/coordinator/share/share_state.h"
#include "kafka/kafka_internal.h"

#include <stdio.h>

#define LIVES_MAX            4
#define RECORDS_PER_LIFE_MAX 40
#define RECORDS_MAX          ((LIVES_MAX + 2) * RECORDS_PER_LIFE_MAX)
#define MEMBERS              3
#define HELD_MAX             64
#define VERSION              2
#define DELIVERIES_MAX       10
#define GROUP                BYTES_LIT("g")
#define TOPIC                "t"
#define WAIT_MS              20
#define PAUSE_MS_MAX         15
#define LIFE_MS_MAX          3000
enum { ACCEPT = 1, RELEASE = 2, REJECT = 3 }; /* as on the wire */

typedef struct share_world share_world_t;

typedef struct share_record { /* by its offset */
    bool produced;            /* and acknowledged */
    bool delivered;
    bool done;   /* accepted or rejected, and that was confirmed */
    int answers; /* final ones that were neither confirmed nor refused: they may have been stored */
    int16_t deliveries_max;
} share_record_t;

typedef struct share_member {
    share_world_t *world;
    kafka_client_t client;
    char id[16];
    int32_t epoch;
    int64_t held[HELD_MAX]; /* offsets */
    int held_count;
    int64_t answered[HELD_MAX]; /* whose final answers are under way */
    int answered_count;
    io_timer_t pause;
} share_member_t;

struct share_world {
    kafka_life_t life;
    run_t *run;
    sim_node_t *clients;
    kafka_uuid_t topic_id;
    bool given; /* the group has got its state */
    share_state_request_t giving;
    share_record_t records[RECORDS_MAX];
    int sent, left, outstanding;
    io_timer_t writer;
    share_member_t members[MEMBERS];
    bool draining; /* all is accepted now */
    bool working;
};

/* ---- producing ------------------------------------------------------------------------------------------------------- */

static void on_produced(void *user, int32_t partition UNUSED, int64_t offset, kafka_code_t error, const char *message)
{
    share_world_t *w = user;
    w->outstanding--;
    if (!machine_runs(&w->life.machine)) return;
    if (error) {
        scenario_note(w->run, "refused: %s", message);
        return;
    }
    CHECK(w->run, offset < RECORDS_MAX, "offset %" PRId64, offset);
    w->records[offset].produced = true;
    w->run->acknowledged++;
}

static void on_writer(io_timer_t *timer)
{
    share_world_t *w = CONTAINER_OF(timer, share_world_t, writer);
    for (uint64_t n = 1 + draw(w->run, 3); n > 0 && w->left > 0; n--, w->left--) {
        kafka_produce_t record = {.topic = BYTES_LIT(TOPIC), .value = BYTES_LIT("v"), .timestamp_ms = -1};
        w->sent++;
        w->outstanding++;
        kafka_produce_record(w->life.kafka, &record, on_produced, w);
    }
    if (w->left > 0) io_timer_start(timer, draw(w->run, PAUSE_MS_MAX), 0);
}

/* ---- members --------------------------------------------------------------------------------------------------------- */

static void step_later(share_member_t *m) { io_timer_start(&m->pause, 1 + draw(m->world->run, PAUSE_MS_MAX), 0); }

static void begin_anew(share_member_t *m)
{
    m->epoch = 0;
    m->held_count = m->answered_count = 0;
}

static void take_delivery(share_member_t *m, int64_t offset, int16_t deliveries)
{
    run_t *run = m->world->run;
    CHECK(run, offset < RECORDS_MAX, "offset %" PRId64, offset);
    share_record_t *record = &m->world->records[offset];
    CHECK(run, !record->done, "%" PRId64 " was answered for good, and is delivered again", offset);
    CHECK(run, deliveries >= 1 && deliveries <= DELIVERIES_MAX, "%" PRId64 " is delivered for the %dth time", offset,
          deliveries);
    record->delivered = true;
    record->deliveries_max = MAX(record->deliveries_max, deliveries);
    if (m->held_count < HELD_MAX) m->held[m->held_count++] = offset;
}

/* What was confirmed is done; what was refused has changed nothing. */
static void settle(share_member_t *m, int16_t error)
{
    for (int i = 0; i < m->answered_count; i++) {
        share_record_t *record = &m->world->records[m->answered[i]];
        bool refused = error == KAFKA_INVALID_RECORD_STATE || error == KAFKA_INVALID_REQUEST;
        if (!error) record->done = true;
        if (!error || refused) record->answers--;
    }
    m->answered_count = 0;
}

static void on_fetched(void *user, int64_t tag UNUSED, const void *answer)
{
    share_member_t *m = user;
    const kafka_share_fetch_response_t *response = answer;
    step_later(m);
    if (response->error_code) {
        begin_anew(m);
        return;
    }
    if (m->epoch >= 0) m->epoch++;
    for (int32_t t = 0; t < response->responses_count; t++) {
        for (int32_t p = 0; p < response->responses[t].partitions_count; p++) {
            const kafka_share_fetch_response_partition_t *part = &response->responses[t].partitions[p];
            settle(m, part->acknowledge_error_code);
            for (int32_t i = 0; i < part->acquired_records_count; i++)
                for (int64_t o = part->acquired_records[i].first_offset; o <= part->acquired_records[i].last_offset;
                     o++)
                    take_delivery(m, o, part->acquired_records[i].delivery_count);
        }
    }
    m->answered_count = 0;
    if (m->epoch < 0) begin_anew(m);
}

static void on_acknowledged(void *user, int64_t tag UNUSED, const void *answer)
{
    share_member_t *m = user;
    const kafka_share_acknowledge_response_t *response = answer;
    step_later(m);
    if (response->error_code) {
        begin_anew(m);
        return;
    }
    m->epoch++;
    for (int32_t t = 0; t < response->responses_count; t++) settle(m, response->responses[t].partitions[0].error_code);
    m->answered_count = 0;
}

/* Answers to what it has, one a record; some it keeps. */
typedef struct answers {
    kafka_share_fetch_request_acknowledgement_batch_t fetch[HELD_MAX];
    kafka_share_acknowledge_request_acknowledgement_batch_t acknowledge[HELD_MAX];
    int8_t types[HELD_MAX];
    int32_t count;
} answers_t;

static int8_t draw_answer(share_world_t *w)
{
    uint64_t n = w->draining ? 0 : draw(w->run, 100);
    return n < 70 ? ACCEPT : n < 90 ? RELEASE : REJECT;
}

/* Ascending: two deliveries to one member may cross. */
static void sort_held(share_member_t *m)
{
    for (int i = 1; i < m->held_count; i++)
        for (int j = i; j > 0 && m->held[j - 1] > m->held[j]; j--) {
            int64_t other = m->held[j];
            m->held[j] = m->held[j - 1];
            m->held[j - 1] = other;
        }
}

static void draw_answers(share_member_t *m, answers_t *ret_answers)
{
    share_world_t *w = m->world;
    ret_answers->count = 0;
    m->answered_count = 0;
    sort_held(m);
    for (int i = 0; i < m->held_count; i++) {
        int32_t n = ret_answers->count;
        if (i > 0 && m->held[i] == m->held[i - 1]) continue;
        if (!w->draining && chance(w->run, 10)) continue; /* it is kept until it is taken back */
        ret_answers->types[n] = draw_answer(w);
        ret_answers->fetch[n] =
            (kafka_share_fetch_request_acknowledgement_batch_t){m->held[i], m->held[i], &ret_answers->types[n], 1};
        ret_answers->acknowledge[n] = (kafka_share_acknowledge_request_acknowledgement_batch_t){
            m->held[i], m->held[i], &ret_answers->types[n], 1};
        if (ret_answers->types[n] != RELEASE) {
            m->answered[m->answered_count++] = m->held[i];
            w->records[m->held[i]].answers++;
        }
        ret_answers->count++;
    }
    m->held_count = 0;
}

static void ask_fetch(share_member_t *m, const answers_t *answers, bool ends)
{
    share_world_t *w = m->world;
    kafka_share_fetch_request_partition_t part = {.acknowledgement_batches = (void *)answers->fetch,
                                                  .acknowledgement_batches_count = answers->count};
    kafka_share_fetch_request_topic_t topic = {.topic_id = w->topic_id, .partitions = &part, .partitions_count = 1};
    kafka_share_fetch_request_t request = {.group_id = GROUP,
                                           .member_id = bytes_str(m->id),
                                           .share_session_epoch = ends ? -1 : m->epoch,
                                           .max_wait_ms = WAIT_MS,
                                           .min_bytes = 1,
                                           .max_bytes = 1 << 20,
                                           .max_records = 1 + (int32_t)draw(w->run, 20),
                                           .batch_size = 1 + (int32_t)draw(w->run, 20),
                                           .share_acquire_mode = chance(w->run, 50),
                                           .topics = &topic,
                                           .topics_count = m->epoch == 0 || answers->count ? 1 : 0};
    if (ends) m->epoch = -1;
    kafka_client_ask(&m->client, KAFKA_API_SHARE_FETCH, VERSION, &request, on_fetched, 0);
}

static void ask_acknowledge(share_member_t *m, const answers_t *answers)
{
    kafka_share_acknowledge_request_partition_t part = {.acknowledgement_batches = (void *)answers->acknowledge,
                                                        .acknowledgement_batches_count = answers->count};
    kafka_share_acknowledge_request_topic_t topic = {
        .topic_id = m->world->topic_id, .partitions = &part, .partitions_count = 1};
    kafka_share_acknowledge_request_t request = {.group_id = GROUP,
                                                 .member_id = bytes_str(m->id),
                                                 .share_session_epoch = m->epoch,
                                                 .topics = &topic,
                                                 .topics_count = 1};
    kafka_client_ask(&m->client, KAFKA_API_SHARE_ACKNOWLEDGE, VERSION, &request, on_acknowledged, 0);
}

static void connect_member(share_member_t *m)
{
    begin_anew(m);
    kafka_client_connect(&m->client, m->world->run, sim_node_loop(m->world->clients), "10.0.0.1", 9092);
}

static void step(io_timer_t *timer)
{
    share_member_t *m = CONTAINER_OF(timer, share_member_t, pause);
    share_world_t *w = m->world;
    answers_t answers = {.count = 0};
    if (!w->working) return;
    if (m->client.failed || (!w->draining && chance(w->run, 3))) {
        kafka_client_close(&m->client);
        connect_member(m);
        step_later(m);
        return;
    }
    if (m->epoch > 0) draw_answers(m, &answers);
    if (answers.count && chance(w->run, 50))
        ask_acknowledge(m, &answers);
    else
        ask_fetch(m, &answers, m->epoch > 0 && !w->draining && chance(w->run, 5));
}

/* ---- lives ----------------------------------------------------------------------------------------------------------- */

static void on_topic(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message UNUSED)
{
    share_world_t *w = user;
    if (topic && !error) w->topic_id = topic->id;
}

static void on_given(share_state_request_t *request, kafka_code_t error, const char *message UNUSED,
                     const share_state_value_t *value UNUSED)
{
    share_world_t *w = CONTAINER_OF(request, share_world_t, giving);
    if (!error && machine_runs(&w->life.machine)) w->given = true;
}

static bool has_topic(void *user)
{
    share_world_t *w = user;
    return !machine_runs(&w->life.machine) || kafka_topic_get(w->life.kafka, BYTES_LIT(TOPIC));
}

static bool has_state(void *user)
{
    share_world_t *w = user;
    return !machine_runs(&w->life.machine) || w->given;
}

/* What the group coordinator does when the first member comes. */
static void prepare(share_world_t *w)
{
    kafka_t *kafka = w->life.kafka;
    if (!kafka_topic_get(kafka, BYTES_LIT(TOPIC))) kafka_topic_create_auto(kafka, BYTES_LIT(TOPIC), on_topic, w);
    io_loop_wake(w->life.machine.loop);
    CHECK(w->run, sim_run_until(w->run->sim, has_topic, w, 60000), "the topic is not made within a minute");
    if (!machine_runs(&w->life.machine)) return;
    w->topic_id = kafka_topic_get(kafka, BYTES_LIT(TOPIC))->id;
    if (w->given) return;
    share_state_key_t key = {GROUP, w->topic_id, 0};
    share_state_initialize(kafka, &key, 0, 0, &w->giving, on_given);
    io_loop_wake(w->life.machine.loop);
    CHECK(w->run, sim_run_until(w->run->sim, has_state, w, 60000), "the group has no state after a minute");
}

static bool start(void *user) { return kafka_life_start(&((share_world_t *)user)->life); }
static void check(void *user UNUSED) {}
static void stop(void *user) { kafka_life_stop(&((share_world_t *)user)->life); }

static void members_start(share_world_t *w)
{
    w->working = true;
    for (int i = 0; i < MEMBERS; i++) {
        share_member_t *m = &w->members[i];
        io_timer_init(sim_node_loop(w->clients), &m->pause, step);
        connect_member(m);
        step_later(m);
    }
    io_loop_wake(sim_node_loop(w->clients));
}

static void members_stop(share_world_t *w)
{
    w->working = false;
    for (int i = 0; i < MEMBERS; i++) {
        io_timer_stop(&w->members[i].pause);
        kafka_client_close(&w->members[i].client);
    }
}

static bool is_dead(void *user) { return !machine_runs(&((share_world_t *)user)->life.machine); }

static void work(void *user)
{
    share_world_t *w = user;
    prepare(w);
    if (!machine_runs(&w->life.machine)) return;
    w->left = 1 + (int)draw(w->run, RECORDS_PER_LIFE_MAX - 1);
    w->outstanding = 0;
    io_timer_init(w->life.machine.loop, &w->writer, on_writer);
    io_timer_start(&w->writer, 0, 0);
    io_loop_wake(w->life.machine.loop);
    members_start(w);
    bool died = sim_run_until(w->run->sim, is_dead, w, 1 + draw(w->run, LIFE_MS_MAX));
    scenario_note(w->run, "%d records sent%s", w->sent, died ? ", and the machine has died" : "");
    members_stop(w);
    io_timer_stop(&w->writer);
}

/* What its producer may count on has been delivered, and was answered for good, or was delivered as often as allowed. */
static bool is_well(const share_record_t *r)
{
    return !r->produced || (r->delivered && (r->done || r->answers > 0 || r->deliveries_max >= DELIVERIES_MAX));
}

static bool all_is_done(void *user)
{
    share_world_t *w = user;
    for (int i = 0; i < RECORDS_MAX; i++) {
        if (!is_well(&w->records[i])) return false;
    }
    return true;
}

static void last(void *user)
{
    share_world_t *w = user;
    prepare(w);
    w->draining = true;
    members_start(w);
    bool done = sim_run_until(w->run->sim, all_is_done, w, 60000);
    scenario_note(w->run, "drained: %d", done);
    for (int i = 0; i < RECORDS_MAX; i++) {
        const share_record_t *r = &w->records[i];
        CHECK(w->run, is_well(r), "%d is lost: delivered %d, %d times", i, r->delivered, r->deliveries_max);
    }
    members_stop(w);
}

void scenario_share(run_t *run)
{
    share_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .last = last, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 60;
    program.crash_operations_max = 900;
    program.orderly_percent = 15;
    w->run = run;
    kafka_life_init(&w->life, run);
    kafka_life_set(&w->life, "log.flush.interval.messages", "1");
    kafka_life_set(&w->life, "num.partitions", "1");
    kafka_life_set(&w->life, "group.share.min.record.lock.duration.ms", "1000");
    kafka_life_set(&w->life, "group.share.record.lock.duration.ms", "1000");
    kafka_life_set(&w->life, "group.share.delivery.count.limit", "10");
    w->clients = sim_node_new(run->sim, "10.0.0.2");
    for (int i = 0; i < MEMBERS; i++) {
        w->members[i].world = w;
        w->members[i].client.user = &w->members[i];
        snprintf(w->members[i].id, sizeof(w->members[i].id), "member-%d", i);
    }
    machine_lives(&w->life.machine, &program);
    for (int i = 0; i < MEMBERS; i++) kafka_client_deinit(&w->members[i].client);
    mem_free(w);
}
