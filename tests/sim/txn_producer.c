/* txn_producer.c: see txn_producer.h. A step is one request; its answer says whether the next step follows, the same is tried again,
 * or the producer begins anew with its id. */
#include "txn_producer.h"

#include "kafka/errors.h"

#include <stdio.h>

enum { /* versions of the first protocol's APIs, and of the second's */
       FIND_VERSION = 1,
       METADATA_VERSION = 4,
       INIT_VERSION = 1,
       ADD_VERSION = 1,
       PRODUCE_VERSION = 7,
       PRODUCE_VERSION_SECOND = 12,
       OFFSETS_VERSION = 2,
       OFFSETS_VERSION_SECOND = 5,
       END_VERSION = 2,
       END_VERSION_SECOND = 5,
};

#define AGAIN_MS          5
#define STEP_MS_MAX       4
#define SLOW_PERCENT      1
#define SLOW_MS_MAX       1500
#define LEAVES_PERCENT    3 /* of the steps are followed by another process with the same id */
#define COMMITS_PERCENT   65
#define OFFSETS_PERCENT   50
#define GOES_ON_PERCENT   60 /* of the producers try again after the server's death */
#define FIND_TRANSACTIONS 1
#define ZOMBIE_VALUE      "<zombie>"

static const char *const topics[TXN_TOPIC_COUNT] = {"t0", "t1"};

const char *txn_topic_name(int partition) { return topics[partition / TXN_PER_TOPIC]; }

static txn_line_t *line_of(txn_producer_t *p) { return &p->ledger->lines[p->line]; }

static void step_later(txn_producer_t *p, uint64_t ms) { io_timer_start(&p->timer, ms, 0); }

/* ---- what an answer means -------------------------------------------------------------------------------------------- */

static bool is_passing(kafka_code_t error)
{
    return error == KAFKA_COORDINATOR_LOAD_IN_PROGRESS || error == KAFKA_COORDINATOR_NOT_AVAILABLE ||
           error == KAFKA_NOT_COORDINATOR || error == KAFKA_CONCURRENT_TRANSACTIONS ||
           error == KAFKA_NOT_LEADER_OR_FOLLOWER || error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION ||
           error == KAFKA_LEADER_NOT_AVAILABLE || error == KAFKA_NOT_ENOUGH_REPLICAS;
}

static void begin_anew(txn_producer_t *p)
{
    p->zombie_id = p->producer_id;
    p->zombie_epoch = p->epoch;
    p->step = TXN_INIT;
}

/* The transaction is decided, against what was asked for. */
static bool is_over_without_it(kafka_code_t error)
{
    return error == KAFKA_INVALID_PRODUCER_EPOCH || error == KAFKA_PRODUCER_FENCED || error == KAFKA_INVALID_TXN_STATE;
}

static void note_refused(txn_producer_t *p, kafka_code_t error)
{
    if (p->step == TXN_END && is_over_without_it(error)) line_of(p)->outcome = TXN_ABORTED;
    begin_anew(p);
}

static txn_step_t step_after_end(const txn_producer_t *p) { return p->left > 0 ? TXN_BEGIN : TXN_IDLE; }

static txn_step_t step_behind_writes(const txn_producer_t *p)
{
    if (!p->ledger->lines[p->line].offsets) return TXN_END;
    return p->second ? TXN_OFFSETS : TXN_ADD_OFFSETS;
}

/* The next partition of the transaction, from this one on. */
static void seek_partition(txn_producer_t *p, int from)
{
    for (p->partition = from; p->partition < TXN_PARTITIONS; p->partition++)
        if (line_of(p)->partitions & 1u << p->partition) break;
    if (p->partition == TXN_PARTITIONS)
        p->step = step_behind_writes(p);
    else
        p->step = TXN_WRITE;
}

static void note_end(txn_producer_t *p)
{
    line_of(p)->outcome = p->commits ? TXN_COMMITTED : TXN_ABORTED;
    p->run->acknowledged++;
    p->step = step_after_end(p);
}

static void note_done(txn_producer_t *p)
{
    switch (p->step) {
    case TXN_FIND_ID:
    case TXN_FIND_GROUP:
    case TXN_MAKE_TOPICS: p->step++; break;
    case TXN_INIT: p->step = p->zombie_epoch >= 0 ? TXN_ZOMBIE_WRITES : step_after_end(p); break;
    case TXN_ZOMBIE_WRITES: p->step = TXN_ZOMBIE_ENDS; break;
    case TXN_ZOMBIE_ENDS: p->step = step_after_end(p); break;
    case TXN_ADD: seek_partition(p, 0); break;
    case TXN_WRITE:
        p->sequences[p->partition]++;
        seek_partition(p, p->partition + 1);
        break;
    case TXN_ADD_OFFSETS: p->step = TXN_OFFSETS; break;
    case TXN_OFFSETS: p->step = TXN_END; break;
    case TXN_END: note_end(p); break;
    case TXN_BEGIN:
    case TXN_IDLE: UNREACHABLE();
    }
}

static void step_on(txn_producer_t *p)
{
    bool in_transaction = p->step >= TXN_ADD && p->step < TXN_IDLE;
    if (in_transaction && chance(p->run, LEAVES_PERCENT)) begin_anew(p);
    if (p->step == TXN_IDLE) return;
    step_later(p, chance(p->run, SLOW_PERCENT) ? draw(p->run, SLOW_MS_MAX) : draw(p->run, STEP_MS_MAX));
}

static void take(txn_producer_t *p, kafka_code_t error)
{
    bool is_zombie = p->step == TXN_ZOMBIE_WRITES || p->step == TXN_ZOMBIE_ENDS;
    p->waits = false;
    scenario_note(p->run, "%s: step %d of <%d> by %" PRId64 "/%d: %d", p->id, p->step, p->line, p->producer_id,
                  p->epoch, error);
    if (is_passing(error)) {
        step_later(p, AGAIN_MS);
        return;
    }
    if (is_zombie) {
        CHECK(p->run, error, "%s: epoch %d is served after it was fenced", p->id, p->zombie_epoch);
        error = KAFKA_NONE;
    }
    if (error)
        note_refused(p, error);
    else
        note_done(p);
    step_on(p);
}

/* ---- answers --------------------------------------------------------------------------------------------------------- */

static void on_found(void *user, int64_t tag, const void *answer)
{
    (void)tag;
    take(user, (kafka_code_t)((const kafka_find_coordinator_response_t *)answer)->error_code);
}

static void on_metadata(void *user, int64_t tag, const void *answer)
{
    const kafka_metadata_response_t *response = answer;
    kafka_code_t error = KAFKA_NONE;
    (void)tag;
    for (int32_t i = 0; i < response->topics_count; i++)
        if (response->topics[i].error_code) error = (kafka_code_t)response->topics[i].error_code;
    take(user, error);
}

static void take_producer(txn_producer_t *p, int64_t id, int16_t epoch)
{
    if (p->producer_id == id && p->epoch == epoch) return; /* the first protocol's, whose epoch stays */
    p->producer_id = id;
    p->epoch = epoch;
    memset(p->sequences, 0, sizeof(p->sequences));
}

static void on_init(void *user, int64_t tag, const void *answer)
{
    const kafka_init_producer_id_response_t *response = answer;
    (void)tag;
    if (!response->error_code) take_producer(user, response->producer_id, response->producer_epoch);
    take(user, (kafka_code_t)response->error_code);
}

static void on_added(void *user, int64_t tag, const void *answer)
{
    const kafka_add_partitions_to_txn_response_t *response = answer;
    kafka_code_t error = KAFKA_NONE;
    (void)tag;
    for (int32_t t = 0; t < response->results_by_topic_v3_and_below_count; t++) {
        const kafka_add_partitions_to_txn_response_old_topic_t *topic = &response->results_by_topic_v3_and_below[t];
        for (int32_t i = 0; i < topic->partitions_count; i++)
            if (topic->partitions[i].error_code) error = (kafka_code_t)topic->partitions[i].error_code;
    }
    take(user, error);
}

static void on_produced(void *user, int64_t tag, const void *answer)
{
    const kafka_produce_response_t *response = answer;
    kafka_code_t error = (kafka_code_t)response->responses[0].partition_responses[0].error_code;
    (void)tag;
    take(user, error == KAFKA_DUPLICATE_SEQUENCE_NUMBER ? KAFKA_NONE : error);
}

static void on_offsets_added(void *user, int64_t tag, const void *answer)
{
    (void)tag;
    take(user, (kafka_code_t)((const kafka_add_offsets_to_txn_response_t *)answer)->error_code);
}

static void on_offsets(void *user, int64_t tag, const void *answer)
{
    (void)tag;
    take(user, (kafka_code_t)((const kafka_txn_offset_commit_response_t *)answer)->topics[0].partitions[0].error_code);
}

static void on_ended(void *user, int64_t tag, const void *answer)
{
    txn_producer_t *p = user;
    const kafka_end_txn_response_t *response = answer;
    (void)tag;
    if (!response->error_code && p->second && p->step == TXN_END)
        take_producer(p, response->producer_id, response->producer_epoch);
    take(p, (kafka_code_t)response->error_code);
}

/* ---- requests -------------------------------------------------------------------------------------------------------- */

static void find(txn_producer_t *p, const char *key, int8_t type)
{
    kafka_find_coordinator_request_t request = {.key = bytes_str(key), .key_type = type};
    kafka_client_ask(&p->kafka, KAFKA_API_FIND_COORDINATOR, FIND_VERSION, &request, on_found, 0);
}

static void make_topics(txn_producer_t *p)
{
    kafka_metadata_request_topic_t names[TXN_TOPIC_COUNT] = {0};
    for (int i = 0; i < TXN_TOPIC_COUNT; i++) names[i].name = bytes_str(topics[i]);
    kafka_metadata_request_t request = {
        .topics = names, .topics_count = TXN_TOPIC_COUNT, .allow_auto_topic_creation = true};
    kafka_client_ask(&p->kafka, KAFKA_API_METADATA, METADATA_VERSION, &request, on_metadata, 0);
}

static void init(txn_producer_t *p)
{
    kafka_init_producer_id_request_t request = {.transactional_id = bytes_str(p->id),
                                                .transaction_timeout_ms = TXN_TIMEOUT_MS,
                                                .producer_id = -1,
                                                .producer_epoch = -1};
    kafka_client_ask(&p->kafka, KAFKA_API_INIT_PRODUCER_ID, INIT_VERSION, &request, on_init, 0);
}

static void add(txn_producer_t *p)
{
    kafka_add_partitions_to_txn_request_old_topic_t added[TXN_TOPIC_COUNT] = {0};
    int32_t indexes[TXN_TOPIC_COUNT][TXN_PER_TOPIC];
    int32_t count = 0;
    for (int t = 0; t < TXN_TOPIC_COUNT; t++) {
        kafka_add_partitions_to_txn_request_old_topic_t *topic = &added[count];
        *topic =
            (kafka_add_partitions_to_txn_request_old_topic_t){.name = bytes_str(topics[t]), .partitions = indexes[t]};
        for (int i = 0; i < TXN_PER_TOPIC; i++)
            if (line_of(p)->partitions & 1u << (t * TXN_PER_TOPIC + i))
                topic->partitions[topic->partitions_count++] = i;
        if (topic->partitions_count > 0) count++;
    }
    kafka_add_partitions_to_txn_request_t request = {.v3_and_below_transactional_id = bytes_str(p->id),
                                                     .v3_and_below_producer_id = p->producer_id,
                                                     .v3_and_below_producer_epoch = p->epoch,
                                                     .v3_and_below_topics = added,
                                                     .v3_and_below_topics_count = count};
    kafka_client_ask(&p->kafka, KAFKA_API_ADD_PARTITIONS_TO_TXN, ADD_VERSION, &request, on_added, 0);
}

static void write_record(txn_producer_t *p, int partition, record_producer_t by, const char *value)
{
    record_builder_t builder = RECORD_BUILDER_INIT;
    size_t bytes;
    record_builder_add(&builder, io_wall_ms(p->timer.loop), BYTES_NULL, bytes_str(value), NULL, 0);
    const uint8_t *batch = record_builder_finish(&builder, RECORD_TRANSACTIONAL, by, &bytes);
    kafka_produce_request_partition_t of_partition = {.index = partition % TXN_PER_TOPIC,
                                                      .records = {.bytes = bytes_of(batch, bytes)}};
    kafka_produce_request_topic_t of_topic = {
        .name = bytes_str(txn_topic_name(partition)), .partition_data = &of_partition, .partition_data_count = 1};
    kafka_produce_request_t request = {.transactional_id = bytes_str(p->id),
                                       .acks = -1,
                                       .timeout_ms = TXN_TIMEOUT_MS,
                                       .topic_data = &of_topic,
                                       .topic_data_count = 1};
    kafka_client_ask(&p->kafka, KAFKA_API_PRODUCE, p->second ? PRODUCE_VERSION_SECOND : PRODUCE_VERSION, &request,
                     on_produced, 0);
    record_builder_deinit(&builder);
}

static void write_next(txn_producer_t *p)
{
    char value[16];
    snprintf(value, sizeof(value), "<%d>", p->line);
    write_record(p, p->partition, (record_producer_t){p->producer_id, p->epoch, p->sequences[p->partition]}, value);
}

static void add_offsets(txn_producer_t *p)
{
    kafka_add_offsets_to_txn_request_t request = {.transactional_id = bytes_str(p->id),
                                                  .producer_id = p->producer_id,
                                                  .producer_epoch = p->epoch,
                                                  .group_id = bytes_str(p->group)};
    kafka_client_ask(&p->kafka, KAFKA_API_ADD_OFFSETS_TO_TXN, ADD_VERSION, &request, on_offsets_added, 0);
}

static void commit_offsets(txn_producer_t *p)
{
    kafka_txn_offset_commit_request_partition_t of_partition = {
        .committed_offset = p->line, .committed_leader_epoch = -1, .committed_metadata = BYTES_LIT("")};
    kafka_txn_offset_commit_request_topic_t of_topic = {
        .name = bytes_str(topics[0]), .partitions = &of_partition, .partitions_count = 1};
    kafka_txn_offset_commit_request_t request = {.transactional_id = bytes_str(p->id),
                                                 .group_id = bytes_str(p->group),
                                                 .producer_id = p->producer_id,
                                                 .producer_epoch = p->epoch,
                                                 .generation_id = -1,
                                                 .member_id = BYTES_LIT(""),
                                                 .topics = &of_topic,
                                                 .topics_count = 1};
    kafka_client_ask(&p->kafka, KAFKA_API_TXN_OFFSET_COMMIT, p->second ? OFFSETS_VERSION_SECOND : OFFSETS_VERSION,
                     &request, on_offsets, 0);
}

static void end(txn_producer_t *p, int64_t producer_id, int16_t epoch, bool commits)
{
    kafka_end_txn_request_t request = {.transactional_id = bytes_str(p->id),
                                       .producer_id = producer_id,
                                       .producer_epoch = epoch,
                                       .committed = commits};
    kafka_client_ask(&p->kafka, KAFKA_API_END_TXN, p->second ? END_VERSION_SECOND : END_VERSION, &request, on_ended, 0);
}

static void end_own(txn_producer_t *p)
{
    if (p->commits) line_of(p)->outcome = TXN_ASKED;
    end(p, p->producer_id, p->epoch, p->commits);
}

static void begin(txn_producer_t *p)
{
    CHECK(p->run, p->ledger->count < TXN_LEDGER_MAX, "%d transactions", p->ledger->count);
    p->left--;
    p->line = p->ledger->count++;
    *line_of(p) = (txn_line_t){.producer = p->number,
                               .partitions = 1 + (unsigned)draw(p->run, (1u << TXN_PARTITIONS) - 1),
                               .offsets = chance(p->run, OFFSETS_PERCENT)};
    p->commits = chance(p->run, COMMITS_PERCENT);
    if (p->second)
        seek_partition(p, 0);
    else
        p->step = TXN_ADD;
}

static void ask(txn_producer_t *p)
{
    switch (p->step) {
    case TXN_FIND_ID: find(p, p->id, FIND_TRANSACTIONS); break;
    case TXN_FIND_GROUP: find(p, p->group, 0); break;
    case TXN_MAKE_TOPICS: make_topics(p); break;
    case TXN_INIT: init(p); break;
    case TXN_ZOMBIE_WRITES:
        write_record(p, 0, (record_producer_t){p->zombie_id, p->zombie_epoch, 0}, ZOMBIE_VALUE);
        break;
    case TXN_ZOMBIE_ENDS: end(p, p->zombie_id, p->zombie_epoch, true); break;
    case TXN_ADD: add(p); break;
    case TXN_WRITE: write_next(p); break;
    case TXN_ADD_OFFSETS: add_offsets(p); break;
    case TXN_OFFSETS: commit_offsets(p); break;
    case TXN_END: end_own(p); break;
    case TXN_BEGIN:
    case TXN_IDLE: UNREACHABLE();
    }
}

static void on_timer(io_timer_t *timer)
{
    txn_producer_t *p = CONTAINER_OF(timer, txn_producer_t, timer);
    if (p->waits || p->step == TXN_IDLE) return;
    if (p->step == TXN_BEGIN) begin(p);
    p->waits = true;
    ask(p);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

void txn_producer_init(txn_producer_t *p, run_t *run, txn_ledger_t *ledger, int number)
{
    *p = (txn_producer_t){.run = run, .ledger = ledger, .number = number, .epoch = -1, .zombie_epoch = -1};
    p->kafka.user = p;
    p->second = chance(run, 50);
    snprintf(p->id, sizeof(p->id), "x%d", number);
    snprintf(p->group, sizeof(p->group), "g%d", number);
}

void txn_producer_start(txn_producer_t *p, io_loop_t *loop, const char *host, uint16_t port, int transactions)
{
    bool goes_on = p->epoch >= 0 && p->step > TXN_INIT && transactions > 0 && chance(p->run, GOES_ON_PERCENT);
    p->left = transactions;
    p->waits = false;
    if (goes_on && p->step == TXN_IDLE) p->step = TXN_BEGIN;
    if (!goes_on) {
        begin_anew(p);
        p->step = TXN_FIND_ID;
    }
    kafka_client_connect(&p->kafka, p->run, loop, host, port);
    io_timer_init(loop, &p->timer, on_timer);
    step_later(p, 0);
}

void txn_producer_stop(txn_producer_t *p)
{
    io_timer_stop(&p->timer);
    kafka_client_close(&p->kafka);
}

void txn_producer_deinit(txn_producer_t *p) { kafka_client_deinit(&p->kafka); }
