/* transactions_test.c: what readers of committed records are promised: where they may read to, and which records they must leave
 * out, whatever rolls, stops, crashes or is compacted meanwhile. On the simulator. */
#include "kafka/partition/partition_test_host.h"

#include "base/slog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SEEDS 30

typedef partition_host_t host_t;

static int setup(void **state)
{
    host_t *f = partition_host_new(1);
    slog_set_level((slog_level_t)(SLOG_ERROR + 1));
    partition_host_start(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    host_t *f = *state;
    partition_host_stop(f);
    partition_host_free(f);
    return 0;
}

static int64_t end_of(host_t *f) { return partition_log_end_offset(f->p); }

/* One record of a transaction, as its coordinator lets it in. */
static int64_t put(host_t *f, int64_t producer, int16_t attributes)
{
    partition_appended_t appended;
    size_t bytes;
    record_builder_add(&f->builder, io_wall_ms(f->kafka.loop), BYTES_LIT("k"), BYTES_LIT("v"), NULL, 0);
    uint8_t *batch = record_builder_finish(&f->builder, attributes, (record_producer_t){producer, 0, -1}, &bytes);
    kafka_code_t error = partition_append(f->p, batch, bytes, PARTITION_COORDINATOR, &f->arena, &appended);
    assert_int_equal(error, KAFKA_NONE);
    return appended.base_offset;
}

static int64_t write_in(host_t *f, int64_t producer) { return put(f, producer, RECORD_TRANSACTIONAL); }

static void end(host_t *f, int64_t producer, bool commits)
{
    record_marker_t marker = {producer, 0, 3, commits};
    assert_int_equal(partition_end_transaction(f->p, &marker), KAFKA_NONE);
}

/* ---- what is told ---------------------------------------------------------------------------------------------------- */

typedef struct told {
    char text[2000];
    size_t chars;
} told_t;

static void tell(void *user, const log_aborted_t *a)
{
    told_t *told = user;
    told->chars += (size_t)snprintf(told->text + told->chars, sizeof(told->text) - told->chars, "%s%d@%d",
                                    told->chars ? " " : "", (int)a->producer_id, (int)a->first_offset);
}

static const char *aborted(host_t *f, int64_t from, int64_t to)
{
    static told_t told;
    told = (told_t){0};
    assert_int_equal(partition_aborted(f->p, from, to, tell, &told), KAFKA_NONE);
    return told.text;
}

static void stable_is(host_t *f, int64_t offset) { assert_int_equal(partition_last_stable_offset(f->p), offset); }

static void the_stable_offset_stops_at_the_first_open_transaction(void **state)
{
    host_t *f = *state;
    put(f, -1, 0);
    stable_is(f, 1);
    write_in(f, 7); /* 1 */
    write_in(f, 8); /* 2 */
    write_in(f, 7); /* 3 */
    put(f, -1, 0);
    stable_is(f, 1);
    end(f, 7, true); /* 5 */
    stable_is(f, 2);
    end(f, 8, false); /* 6 */
    stable_is(f, 7);
    assert_string_equal(aborted(f, 0, 7), "8@2");
    assert_string_equal(aborted(f, 3, 7), "8@2"); /* its marker is behind */
    assert_string_equal(aborted(f, 0, 2), "");
    end(f, 8, false); /* there is nothing to end */
    assert_string_equal(aborted(f, 0, 100), "8@2");
}

static void a_reader_sees_a_marker_only_below_the_high_watermark(void **state)
{
    host_t *f = *state;
    f->topic.config.flush_messages = 1;
    partition_configure(f->p);
    write_in(f, 7);
    sim_run_for(f->sim, 1000);
    assert_int_equal(partition_high_watermark(f->p), 1);
    end(f, 7, true);
    put(f, -1, 0);
    stable_is(f, 0);
    sim_run_for(f->sim, 1000);
    stable_is(f, 3);
}

static void an_older_epoch_or_coordinator_ends_nothing(void **state)
{
    host_t *f = *state;
    write_in(f, 7);
    end(f, 7, true);
    write_in(f, 7);
    assert_int_equal(partition_end_transaction(f->p, &(record_marker_t){7, 0, 2, true}),
                     KAFKA_TRANSACTION_COORDINATOR_FENCED);
    assert_int_equal(partition_end_transaction(f->p, &(record_marker_t){7, -1, 3, true}), KAFKA_INVALID_PRODUCER_EPOCH);
    assert_int_equal(partition_end_transaction(f->p, &(record_marker_t){7, 1, 3, false}), KAFKA_NONE);
    assert_string_equal(aborted(f, 0, 100), "7@2");
    assert_int_equal(partition_end_transaction(f->p, &(record_marker_t){7, 0, 9, false}), KAFKA_INVALID_PRODUCER_EPOCH);
}

static void a_producer_writes_nothing_beside_its_open_transaction(void **state)
{
    host_t *f = *state;
    partition_appended_t appended;
    size_t bytes;
    write_in(f, 7);
    record_builder_add(&f->builder, io_wall_ms(f->kafka.loop), BYTES_LIT("k"), BYTES_LIT("v"), NULL, 0);
    uint8_t *batch = record_builder_finish(&f->builder, 0, (record_producer_t){7, 0, 0}, &bytes);
    assert_int_equal(partition_append(f->p, batch, bytes, PARTITION_CLIENT, &f->arena, &appended),
                     KAFKA_INVALID_TXN_STATE);
}

static kafka_code_t produce(host_t *f, int64_t producer, int16_t epoch, int32_t sequence, int64_t guard);

static void a_client_writes_only_where_its_coordinator_knows_of_it(void **state)
{
    host_t *f = *state;
    assert_int_equal(produce(f, 7, 0, 0, PARTITION_UNVERIFIED), KAFKA_INVALID_TXN_STATE);
    assert_int_equal(produce(f, 7, 0, 0, partition_guard(f->p, 7)), KAFKA_NONE);
    assert_int_equal(produce(f, 7, 0, 1, PARTITION_UNVERIFIED), KAFKA_NONE); /* it is open */
    int64_t before = partition_guard(f->p, 7);
    end(f, 7, false);
    assert_int_equal(produce(f, 7, 0, 2, before), KAFKA_INVALID_TXN_STATE); /* asked before the marker came */
    assert_int_equal(produce(f, 7, 0, 2, partition_guard(f->p, 7)), KAFKA_NONE);
}

/* The producer has heard of the end, and of its next epoch, before the marker is there: what it writes now belongs to no transaction
 * that the marker ends. */
static void an_open_transaction_takes_no_batch_of_a_later_epoch(void **state)
{
    host_t *f = *state;
    assert_int_equal(produce(f, 7, 0, 0, partition_guard(f->p, 7)), KAFKA_NONE);
    assert_true(partition_has_open(f->p, 7, 0));
    assert_false(partition_has_open(f->p, 7, 1));
    assert_int_equal(produce(f, 7, 1, 0, PARTITION_UNVERIFIED), KAFKA_INVALID_TXN_STATE);
}

static void take_error(void *user, kafka_code_t error, const partition_appended_t *appended)
{
    *(kafka_code_t *)user = error;
}

static kafka_code_t produce(host_t *f, int64_t producer, int16_t epoch, int32_t sequence, int64_t guard)
{
    kafka_code_t error = KAFKA_UNKNOWN_SERVER_ERROR;
    size_t bytes;
    record_builder_add(&f->builder, io_wall_ms(f->kafka.loop), BYTES_LIT("k"), BYTES_LIT("v"), NULL, 0);
    uint8_t *batch = record_builder_finish(&f->builder, RECORD_TRANSACTIONAL,
                                           (record_producer_t){producer, epoch, sequence}, &bytes);
    assert_true(partition_produce(f->p, bytes_of(batch, bytes), false, guard, &f->arena, take_error, &error));
    return error;
}

static void deleted_records_hold_no_reader(void **state)
{
    host_t *f = *state;
    int64_t low;
    write_in(f, 7);
    put(f, -1, 0);
    put(f, -1, 0);
    assert_int_equal(partition_delete_records(f->p, 2, &low), KAFKA_NONE);
    stable_is(f, 2);
}

/* ---- against a model ------------------------------------------------------------------------------------------------- */

#define RECORDS_MAX   1500
#define PRODUCERS_NUM 6

typedef struct model {
    int64_t opened[PRODUCERS_NUM]; /* -1 = none */
    int owner[RECORDS_MAX];        /* producer, -1 = plain or a marker */
    int64_t ended[RECORDS_MAX];    /* the marker of the record's transaction; -1 = none yet */
    bool aborts[RECORDS_MAX];      /* at the marker */
} model_t;

static void step(host_t *f, model_t *m)
{
    int who = (int)sim_random(f->sim, PRODUCERS_NUM);
    uint64_t what = sim_random(f->sim, 10);
    int64_t offset = end_of(f);
    m->owner[offset] = -1;
    m->ended[offset] = -1;
    if (what < 3) {
        put(f, -1, 0);
    } else if (what < 8) {
        if (m->opened[who] < 0) m->opened[who] = offset;
        m->owner[offset] = who;
        write_in(f, who);
    } else {
        m->aborts[offset] = what == 8;
        end(f, who, what != 8);
        for (int64_t i = m->opened[who]; i >= 0 && i < offset; i++) {
            if (m->owner[i] == who && m->ended[i] < 0) m->ended[i] = offset;
        }
        m->opened[who] = -1;
    }
}

typedef struct open_txns {
    int64_t first[RECORDS_MAX];
    int64_t producer[RECORDS_MAX];
    int count;
} open_txns_t;

static void take_txn(void *user, const log_aborted_t *a)
{
    open_txns_t *t = user;
    t->first[t->count] = a->first_offset;
    t->producer[t->count++] = a->producer_id;
}

/* A consumer that starts at `from` and is told of all up to the stable offset takes just the records that count. */
static void check_reader(host_t *f, const model_t *m, int64_t from)
{
    open_txns_t t = {.count = 0};
    bool aborting[PRODUCERS_NUM] = {false};
    int64_t to = partition_last_stable_offset(f->p);
    assert_int_equal(partition_aborted(f->p, from, to, take_txn, &t), KAFKA_NONE);
    for (int64_t i = from; i < to; i++) {
        for (int k = 0; k < t.count; k++) {
            if (t.first[k] == i || (i == from && t.first[k] < i)) aborting[t.producer[k]] = true;
        }
        if (m->owner[i] >= 0) {
            assert_true(m->ended[i] >= 0);
            assert_int_equal(aborting[m->owner[i]], m->aborts[m->ended[i]]);
        }
        for (int64_t back = i; back >= 0 && m->owner[i] < 0; back--) { /* a marker ends what it ends */
            if (m->owner[back] >= 0 && m->ended[back] == i) {
                aborting[m->owner[back]] = false;
                break;
            }
        }
    }
}

static void check(host_t *f, const model_t *m)
{
    int64_t stable = end_of(f);
    for (int i = 0; i < PRODUCERS_NUM; i++) {
        if (m->opened[i] >= 0) stable = MIN(stable, m->opened[i]);
    }
    stable_is(f, stable);
    check_reader(f, m, 0);
    check_reader(f, m, stable > 0 ? (int64_t)sim_random(f->sim, (uint64_t)stable) : 0);
}

/* Without its mark the stop was none: the next start reads the logs. */
static void stop_and_start(host_t *f, bool clean)
{
    f->kafka.partitions->failed = !clean;
    partition_host_stop(f);
    partition_host_start(f);
}

static void readers_take_what_counts_whatever_rolls_and_restarts(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        host_t *f = partition_host_new(seed);
        model_t *m = calloc(1, sizeof(*m));
        for (int i = 0; i < PRODUCERS_NUM; i++) m->opened[i] = -1;
        f->topic.config.segment_bytes = 3000;
        partition_host_start(f);
        while (end_of(f) < 400) {
            step(f, m);
            uint64_t what = sim_random(f->sim, 100);
            if (what < 3) stop_and_start(f, what == 0);
            if (what < 10) check(f, m);
        }
        partition_host_stop(f);
        partition_host_free(f);
        free(m);
    }
}

/* ---- compaction ------------------------------------------------------------------------------------------------------ */

#define RETENTION_MS 5000

static void put_key(host_t *f, int64_t producer, int key, int number)
{
    partition_appended_t appended;
    size_t bytes;
    char name[16], value[16];
    snprintf(name, sizeof(name), "k%d", key);
    snprintf(value, sizeof(value), "%d", number);
    io_loop_update_time(f->kafka.loop);
    record_builder_add(&f->builder, io_wall_ms(f->kafka.loop), bytes_str(name), bytes_str(value), NULL, 0);
    record_producer_t by = {producer, producer < 0 ? -1 : 0, -1};
    uint8_t *batch = record_builder_finish(&f->builder, producer < 0 ? 0 : RECORD_TRANSACTIONAL, by, &bytes);
    assert_int_equal(partition_append(f->p, batch, bytes, PARTITION_COORDINATOR, &f->arena, &appended), KAFKA_NONE);
}

#define KEYS 5

typedef struct table {
    int latest[KEYS]; /* number of the latest that counts; -1 = none */
    int pending[PRODUCERS_NUM][KEYS];
} table_t;

static void table_init(table_t *t) { memset(t, 0xff, sizeof(*t)); }

static void table_end(table_t *t, int64_t who, bool commits)
{
    for (int k = 0; k < KEYS; k++) {
        if (commits && t->pending[who][k] >= 0) t->latest[k] = t->pending[who][k];
        t->pending[who][k] = -1;
    }
}

typedef struct reader {
    open_txns_t txns;
    table_t table;
    int batches, markers;
} reader_t;

static void read_record(reader_t *r, const batch_header_t *b, const record_t *record, const bool *aborting)
{
    char text[16] = {0};
    memcpy(text, record->value.ptr, MIN(record->value.len, sizeof(text) - 1));
    int key = record->key.ptr[1] - '0', number = atoi(text);
    if (!(b->attributes & RECORD_TRANSACTIONAL) || !aborting[b->producer_id]) r->table.latest[key] = number;
}

static void read_batch(reader_t *r, bytes_t bytes, const batch_header_t *b, bool *aborting)
{
    record_iter_t iter;
    record_t record;
    record_marker_t marker;
    for (int k = 0; k < r->txns.count; k++) {
        if (r->txns.first[k] <= batch_last_offset(b) && r->txns.first[k] >= 0) {
            aborting[r->txns.producer[k]] = true;
            r->txns.first[k] = -1;
        }
    }
    r->batches++;
    if (b->attributes & RECORD_CONTROL) {
        r->markers += b->count > 0; /* of a producer without sequences the header stays */
        if (record_marker_read(bytes, &marker) == 0 && !marker.commits) aborting[b->producer_id] = false;
        return;
    }
    assert_int_equal(record_iter_init(&iter, bytes, MIB(1)), 0);
    while (record_iter_next(&iter, &record) == 0) read_record(r, b, &record, aborting);
    record_iter_deinit(&iter);
}

/* As a consumer of committed records reads all there is, in the order of offsets. */
static void read_all(host_t *f, reader_t *r)
{
    buf_t all = BUF_INIT;
    batch_header_t b;
    bool aborting[PRODUCERS_NUM] = {false};
    int64_t next = 0, end = partition_last_stable_offset(f->p);
    r->txns.count = r->batches = r->markers = 0;
    table_init(&r->table);
    assert_int_equal(partition_aborted(f->p, 0, end, take_txn, &r->txns), KAFKA_NONE);
    while (next < end) assert_int_equal(partition_read(f->p, next, MIB(1), &all, &next), KAFKA_NONE);
    for (size_t at = 0; at < all.len; at += batch_bytes(&b)) {
        assert_int_equal(batch_header_read(bytes_of(all.ptr + at, all.len - at), &b), 0);
        if (b.base_offset < end) read_batch(r, bytes_of(all.ptr + at, batch_bytes(&b)), &b, aborting);
    }
    buf_deinit(&all);
}

static void compact_often(host_t *f)
{
    f->kafka.config.log_cleaner_enable = true;
    f->kafka.config.log_cleaner_threads = 1;
    f->kafka.config.log_cleaner_backoff_ms = 10;
    f->kafka.config.log_cleaner_dedupe_buffer_size = 1 << 20;
    f->kafka.config.log_cleaner_io_buffer_load_factor = 0.9;
    f->kafka.config.log_cleaner_io_buffer_size = 1 << 19;
    f->kafka.config.log_cleaner_io_max_bytes_per_second = 1e300;
    f->topic.config.cleanup_policy = KAFKA_CLEANUP_POLICY_COMPACT;
    f->topic.config.min_cleanable_dirty_ratio = 0.01;
    f->topic.config.delete_retention_ms = RETENTION_MS;
    f->topic.config.segment_bytes = 2000;
}

static void same_as_read(host_t *f, reader_t *r, const table_t *want)
{
    read_all(f, r);
    for (int k = 0; k < KEYS; k++) assert_int_equal(r->table.latest[k], want->latest[k]);
}

/* Each transaction has keys of its own, so that the order of records is the order of what counts. */
static void compaction_leaves_what_counts_and_no_marker_too_few(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        host_t *f = partition_host_new(seed);
        reader_t *r = calloc(1, sizeof(*r));
        table_t want;
        int number = 0;
        table_init(&want);
        compact_often(f);
        partition_host_start(f);
        while (end_of(f) < 300) {
            int who = (int)sim_random(f->sim, KEYS);
            uint64_t what = sim_random(f->sim, 10);
            if (what < 6) {
                put_key(f, who, who, number);
                want.pending[who][who] = number++;
            } else {
                end(f, who, what < 8);
                table_end(&want, who, what < 8);
            }
            if (sim_random(f->sim, 20) == 0) sim_run_for(f->sim, 500);
            if (sim_random(f->sim, 40) == 0) stop_and_start(f, sim_random(f->sim, 2) == 0);
        }
        for (int who = 0; who < KEYS; who++) {
            end(f, who, true);
            table_end(&want, who, true);
        }
        sim_run_for(f->sim, 2000);
        same_as_read(f, r, &want);
        for (int i = 0; i < 60; i++) { /* new keys go round, and what is old is sealed */
            put_key(f, -1, i % KEYS, number);
            want.latest[i % KEYS] = number++;
            if (i % 20 == 0) sim_run_for(f->sim, 2 * RETENTION_MS);
        }
        sim_run_for(f->sim, 2 * RETENTION_MS);
        same_as_read(f, r, &want);
        assert_true(f->kafka.stats.clean_rounds > 1);
        assert_true(r->markers <
                    30); /* of those that nothing was left of, only the last of each producer, and the young */
        partition_host_stop(f);
        partition_host_free(f);
        free(r);
    }
}

static void an_index_that_is_damaged_is_made_anew(void **state)
{
    host_t *f = *state;
    io_file_t *file;
    char path[200];
    write_in(f, 7);
    end(f, 7, false);
    stop_and_start(f, true);
    assert_string_equal(aborted(f, 0, 100), "7@0");
    partition_host_stop(f);
    snprintf(path, sizeof(path), "/data/t-0/%020d.txnindex", 0);
    assert_int_equal(io_file_open(sim_node_loop(f->node), path, IO_FILE_WRITE, &file), 0);
    assert_int_equal(io_file_truncate(file, 33), 0);
    io_file_close(file);
    partition_host_start(f);
    assert_string_equal(aborted(f, 0, 100), "7@0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(the_stable_offset_stops_at_the_first_open_transaction),
        TEST(a_reader_sees_a_marker_only_below_the_high_watermark),
        TEST(an_older_epoch_or_coordinator_ends_nothing),
        TEST(a_producer_writes_nothing_beside_its_open_transaction),
        TEST(a_client_writes_only_where_its_coordinator_knows_of_it),
        TEST(an_open_transaction_takes_no_batch_of_a_later_epoch),
        TEST(deleted_records_hold_no_reader),
        TEST(an_index_that_is_damaged_is_made_anew),
        cmocka_unit_test(readers_take_what_counts_whatever_rolls_and_restarts),
        cmocka_unit_test(compaction_leaves_what_counts_and_no_marker_too_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
