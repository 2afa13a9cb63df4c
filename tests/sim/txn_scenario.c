/* txn_scenario.c: producers with transactional ids over several partitions and offsets of groups, on a machine that dies again and
 * again, at any point of the two phases of a transaction's end.
 *
 * After each death, and at the end, what a consumer of committed records sees is compared with what producers were told:
 *
 * - a record is seen at most once, only of a transaction whose commit was asked for, and never vanishes again;
 * - the last stable offset never goes back, but for what only the page cache had;
 * - an offset that a group has is of such a transaction, too;
 * - at the end no transaction is open, and each is there with all its records and offsets or with none: with all, when its
 *   producer was told so. */
#include "kafka_life.h"
#include "txn_producer.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES_MAX             4
#define PRODUCERS             3
#define TRANSACTIONS_LIFE_MAX 12
#define SEEN_MAX              TXN_LEDGER_MAX
#define ABORTED_MAX           TXN_LEDGER_MAX
#define PLACES                (TXN_PARTITIONS + 1) /* and the groups' offsets */
#define FETCH_VERSION         11
#define OFFSET_FETCH_VERSION  4
#define FETCH_BYTES           MIB(1)
#define WAIT_MS               60000
#define AGAIN_MS              20
#define HOST                  "10.0.0.1"
#define PORT                  9092

/* What a consumer has seen of a partition. */
typedef struct txn_place {
    int32_t lines[SEEN_MAX]; /* of the ledger, in the order of offsets */
    int count;
    int64_t stable_offset;
    bool hangs; /* something is open there */
} txn_place_t;

typedef struct txn_world {
    run_t *run;
    kafka_life_t life;
    sim_node_t *client;
    txn_ledger_t ledger;
    txn_producer_t producers[PRODUCERS];
    kafka_client_t reader;
    txn_place_t places[PLACES];
    txn_place_t kept[PLACES]; /* as they were when the lives since the last loss of power began */
    bool keeps;
    int64_t offsets[PRODUCERS]; /* of their groups; -1 = none */
    bool answered;
} txn_world_t;

/* ---- what a consumer does with the records it is given --------------------------------------------------------------- */

/* As consumers do it: who has an aborted transaction from its first offset on is passed over until its marker. */
typedef struct filter {
    txn_world_t *world;
    txn_place_t *place;
    const kafka_fetch_response_partition_t *from;
    uint8_t phase[ABORTED_MAX]; /* of each aborted transaction: to come, under way, over */
    int seen;
} filter_t;
enum { TO_COME, UNDER_WAY, OVER };

static bool is_aborted(filter_t *f, const batch_header_t *batch)
{
    bool aborted = false;
    for (int32_t i = 0; i < f->from->aborted_transactions_count; i++) {
        const kafka_fetch_response_aborted_transaction_t *a = &f->from->aborted_transactions[i];
        if (a->producer_id != batch->producer_id) continue;
        if (f->phase[i] == TO_COME && a->first_offset <= batch_last_offset(batch)) f->phase[i] = UNDER_WAY;
        if (f->phase[i] == UNDER_WAY) aborted = true;
    }
    return aborted;
}

static void pass_marker(filter_t *f, const batch_header_t *batch, bytes_t bytes)
{
    record_marker_t marker;
    int err = record_marker_read(bytes, &marker);
    CHECK(f->world->run, err == 0, "a marker cannot be read: %s", err_text(err));
    for (int32_t i = 0; i < f->from->aborted_transactions_count; i++) {
        bool its = f->from->aborted_transactions[i].producer_id == batch->producer_id;
        if (its && f->phase[i] == UNDER_WAY && !marker.commits) f->phase[i] = OVER;
    }
}

/* The same again as before, or something new behind it. */
static void note_seen(filter_t *f, int32_t line)
{
    txn_place_t *place = f->place;
    run_t *run = f->world->run;
    CHECK(run, f->seen < SEEN_MAX, "more records than transactions");
    CHECK(run, f->seen >= place->count || place->lines[f->seen] == line, "where <%d> was seen, <%d> is",
          place->lines[f->seen], line);
    for (int i = 0; i < f->seen; i++) CHECK(run, place->lines[i] != line, "<%d> is seen twice", line);
    txn_outcome_t outcome = f->world->ledger.lines[line].outcome;
    CHECK(run, outcome == TXN_ASKED || outcome == TXN_COMMITTED, "<%d> is seen, which nobody committed", line);
    place->lines[f->seen++] = line;
}

static void see(filter_t *f, bytes_t bytes)
{
    run_t *run = f->world->run;
    record_iter_t iter;
    record_t record;
    int err = record_iter_init(&iter, bytes, FETCH_BYTES);
    CHECK(run, err == 0, "a batch cannot be read: %s", err_text(err));
    while (record_iter_next(&iter, &record) == 0) {
        char value[16];
        snprintf(value, sizeof(value), "%.*s", (int)record.value.len, (const char *)record.value.ptr);
        char *rest;
        long line = strtol(value + 1, &rest, 10);
        CHECK(run, *rest == '>' && line >= 0 && line < f->world->ledger.count, "%s is seen", value);
        note_seen(f, (int32_t)line);
    }
    record_iter_deinit(&iter);
}

static void read_batches(filter_t *f)
{
    bytes_t left = f->from->records.bytes;
    batch_header_t batch;
    while (left.len > 0 && batch_header_read(left, &batch) == 0 && batch_bytes(&batch) <= left.len) {
        bytes_t whole = bytes_of(left.ptr, batch_bytes(&batch));
        left = bytes_of(left.ptr + whole.len, left.len - whole.len);
        if (batch.attributes & RECORD_CONTROL)
            pass_marker(f, &batch, whole);
        else if (!is_aborted(f, &batch))
            see(f, whole);
    }
    CHECK(f->world->run, left.len == 0, "a cut batch");
}

static void take_place(txn_world_t *w, int place_number, const kafka_fetch_response_partition_t *from)
{
    txn_place_t *place = &w->places[place_number];
    filter_t f = {.world = w, .place = place, .from = from};
    if (from->error_code == KAFKA_UNKNOWN_TOPIC_OR_PARTITION && place->stable_offset == 0) return; /* not made yet */
    CHECK(w->run, from->error_code == 0, "Fetch is answered %d", from->error_code);
    CHECK(w->run, from->last_stable_offset >= place->stable_offset,
          "the last stable offset goes from %" PRId64 " back to %" PRId64, place->stable_offset,
          from->last_stable_offset);
    CHECK(w->run, from->aborted_transactions_count <= ABORTED_MAX, "%d aborted", from->aborted_transactions_count);
    place->stable_offset = from->last_stable_offset;
    place->hangs = from->last_stable_offset < from->high_watermark;
    if (place_number == TXN_PARTITIONS) return;
    read_batches(&f);
    CHECK(w->run, f.seen >= place->count, "%d records are seen where there were %d", f.seen, place->count);
    place->count = f.seen;
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

static void on_fetched(void *user, int64_t place, const void *answer)
{
    txn_world_t *w = user;
    const kafka_fetch_response_t *response = answer;
    CHECK(w->run, response->error_code == 0, "Fetch is answered %d", response->error_code);
    take_place(w, (int)place, &response->responses[0].partitions[0]);
    w->answered = true;
}

static void on_offset(void *user, int64_t producer, const void *answer)
{
    txn_world_t *w = user;
    const kafka_offset_fetch_response_t *response = answer;
    if (!response->error_code) w->offsets[producer] = response->topics[0].partitions[0].committed_offset;
    w->answered = true;
}

static bool is_answered(void *user)
{
    txn_world_t *w = user;
    return w->answered || !machine_runs(&w->life.machine);
}

static void wait_for_answer(txn_world_t *w)
{
    bool answered = sim_run_until(w->run->sim, is_answered, w, WAIT_MS);
    CHECK(w->run, answered, "the reader hears nothing");
}

static void fetch(txn_world_t *w, int place)
{
    bool of_groups = place == TXN_PARTITIONS;
    kafka_fetch_request_partition_t of_partition = {
        .partition = of_groups ? 0 : place % TXN_PER_TOPIC,
        .current_leader_epoch = -1,
        .log_start_offset = -1,
        .partition_max_bytes = FETCH_BYTES,
    };
    kafka_fetch_request_topic_t of_topic = {
        .topic = of_groups ? BYTES_LIT("__consumer_offsets") : bytes_str(txn_topic_name(place)),
        .partitions = &of_partition,
        .partitions_count = 1,
    };
    kafka_fetch_request_t request = {
        .replica_id = -1,
        .max_bytes = FETCH_BYTES,
        .isolation_level = 1,
        .session_epoch = -1,
        .topics = &of_topic,
        .topics_count = 1,
        .rack_id = BYTES_LIT(""),
    };
    w->answered = false;
    kafka_client_ask(&w->reader, KAFKA_API_FETCH, FETCH_VERSION, &request, on_fetched, place);
    wait_for_answer(w);
}

static void fetch_offset(txn_world_t *w, int producer)
{
    int32_t partition = 0;
    kafka_offset_fetch_request_topic_t of_topic = {
        .name = bytes_str(txn_topic_name(0)), .partition_indexes = &partition, .partition_indexes_count = 1};
    kafka_offset_fetch_request_t request = {
        .group_id = bytes_str(w->producers[producer].group), .topics = &of_topic, .topics_count = 1};
    w->answered = false;
    kafka_client_ask(&w->reader, KAFKA_API_OFFSET_FETCH, OFFSET_FETCH_VERSION, &request, on_offset, producer);
    wait_for_answer(w);
}

/* ---- checking -------------------------------------------------------------------------------------------------------- */

static void check_offset(txn_world_t *w, int producer)
{
    int64_t offset = w->offsets[producer];
    if (offset < 0) return;
    CHECK(w->run, offset < w->ledger.count, "offset %" PRId64 " of nobody", offset);
    const txn_line_t *line = &w->ledger.lines[offset];
    CHECK(w->run, line->producer == producer && line->offsets, "offset <%" PRId64 "> of another", offset);
    CHECK(w->run, line->outcome == TXN_ASKED || line->outcome == TXN_COMMITTED,
          "offset <%" PRId64 "> counts, which nobody committed", offset);
}

static void look(txn_world_t *w)
{
    for (int i = 0; i < PLACES && machine_runs(&w->life.machine); i++) fetch(w, i);
    for (int i = 0; i < PRODUCERS && machine_runs(&w->life.machine); i++) {
        fetch_offset(w, i);
        check_offset(w, i);
    }
}

static void reader_connect(txn_world_t *w)
{
    w->reader.user = w;
    kafka_client_connect(&w->reader, w->run, sim_node_loop(w->client), HOST, PORT);
    io_loop_wake(sim_node_loop(w->client));
}

/* A server that starts after a kill shows what it finds in the files, also what only the page cache has. So what was seen from then on
 * may be gone after the next loss of power; what producers were told may not. */
static void begin_life(txn_world_t *w)
{
    bool killed = w->run->crashes > 0 && !w->life.machine.power_lost;
    if (w->keeps && !killed) memcpy(w->places, w->kept, sizeof(w->places));
    if (killed && !w->keeps) memcpy(w->kept, w->places, sizeof(w->kept));
    w->keeps = killed;
}

static void check(void *user)
{
    txn_world_t *w = user;
    reader_connect(w);
    look(w);
    kafka_client_close(&w->reader);
}

static unsigned places_of(const txn_world_t *w, int line)
{
    unsigned places = 0;
    for (int p = 0; p < TXN_PARTITIONS; p++)
        for (int i = 0; i < w->places[p].count; i++)
            if (w->places[p].lines[i] == line) places |= 1u << p;
    return places;
}

static void check_whole(txn_world_t *w)
{
    int64_t offsets[PRODUCERS] = {-1, -1, -1};
    for (int i = 0; i < w->ledger.count; i++) {
        const txn_line_t *line = &w->ledger.lines[i];
        unsigned places = places_of(w, i);
        CHECK(w->run, places == 0 || places == line->partitions, "<%d> is seen in %x of its partitions %x", i, places,
              line->partitions);
        CHECK(w->run, places || line->outcome != TXN_COMMITTED, "<%d> was committed and is not there", i);
        if (places && line->offsets) offsets[line->producer] = i;
    }
    for (int i = 0; i < PRODUCERS; i++)
        CHECK(w->run, w->offsets[i] == offsets[i], "the offset of %s is <%" PRId64 "> and not <%" PRId64 ">",
              w->producers[i].group, w->offsets[i], offsets[i]);
}

/* ---- work ------------------------------------------------------------------------------------------------------------ */

static bool are_idle(void *user)
{
    txn_world_t *w = user;
    bool idle = true;
    for (int i = 0; i < PRODUCERS; i++) idle = idle && txn_producer_is_idle(&w->producers[i]);
    return idle || !machine_runs(&w->life.machine);
}

static void produce(txn_world_t *w, int transactions_max)
{
    for (int i = 0; i < PRODUCERS; i++)
        txn_producer_start(&w->producers[i], sim_node_loop(w->client), HOST, PORT,
                           transactions_max ? 1 + (int)draw(w->run, (uint64_t)transactions_max) : 0);
    io_loop_wake(sim_node_loop(w->client));
    bool idle = sim_run_until(w->run->sim, are_idle, w, WAIT_MS);
    CHECK(w->run, idle, "the producers are not through after a minute");
    for (int i = 0; i < PRODUCERS; i++) txn_producer_stop(&w->producers[i]);
}

static void work(void *user)
{
    txn_world_t *w = user;
    produce(w, TRANSACTIONS_LIFE_MAX);
    if (machine_runs(&w->life.machine)) check(w);
    scenario_note(w->run, "%d transactions", w->ledger.count);
}

static bool never(void *user)
{
    (void)user;
    return false;
}

static bool hangs(const txn_world_t *w)
{
    bool hangs = false;
    for (int i = 0; i < PLACES; i++) hangs = hangs || w->places[i].hangs;
    return hangs;
}

/* Every id is begun with once more, which ends what was open. */
static void last(void *user)
{
    txn_world_t *w = user;
    produce(w, 0);
    reader_connect(w);
    look(w);
    for (int waited = 0; hangs(w); waited += AGAIN_MS) {
        CHECK(w->run, waited < WAIT_MS, "a transaction hangs");
        if (sim_run_until(w->run->sim, never, w, AGAIN_MS)) UNREACHABLE();
        look(w);
    }
    check_whole(w);
    kafka_client_close(&w->reader);
}

static bool start(void *user)
{
    txn_world_t *w = user;
    begin_life(w);
    return kafka_life_start(&w->life);
}

static void stop(void *user) { kafka_life_stop(&((txn_world_t *)user)->life); }

void scenario_txn(run_t *run)
{
    txn_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .last = last, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 75;
    program.crash_operations_max = 1500;
    program.orderly_percent = 15;
    w->run = run;
    kafka_life_init(&w->life, run);
    kafka_life_set(&w->life, "log.flush.interval.messages", "1");
    kafka_life_set(&w->life, "num.partitions", "2");
    kafka_life_set(&w->life, "offsets.topic.num.partitions", "1");
    kafka_life_set(&w->life, "transaction.state.log.num.partitions", "2");
    kafka_life_set(&w->life, "transaction.abort.timed.out.transaction.cleanup.interval.ms", "100");
    w->client = sim_node_new(run->sim, "10.0.0.2");
    for (int i = 0; i < PRODUCERS; i++) {
        txn_producer_init(&w->producers[i], run, &w->ledger, i);
        w->offsets[i] = -1;
    }
    machine_lives(&w->life.machine, &program);
    for (int i = 0; i < PRODUCERS; i++) txn_producer_deinit(&w->producers[i]);
    kafka_client_deinit(&w->reader);
    mem_free(w);
}
