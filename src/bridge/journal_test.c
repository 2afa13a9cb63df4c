/* journal_test.c: what the outbox writes of itself into the append-only file makes the same outbox when it is read back. Commands are
 * caught where they would enter the file, and given back as the load would. */
#include "bridge/bridge_internal.h"

#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COMMANDS_MAX 32
#define WORDS_MAX    16
#define WORD_MAX     64

typedef struct command {
    int argc;
    size_t lens[WORDS_MAX];
    uint8_t words[WORDS_MAX][WORD_MAX];
} command_t;

/* Stands for the file. */
typedef struct file {
    command_t commands[COMMANDS_MAX];
    int count;
} file_t;

static void file_add(file_t *file, int argc, const bytes_t *argv)
{
    assert_true(file->count < COMMANDS_MAX && argc <= WORDS_MAX);
    command_t *c = &file->commands[file->count++];
    c->argc = argc;
    for (int i = 0; i < argc; i++) {
        assert_true(argv[i].len <= WORD_MAX);
        c->lens[i] = argv[i].len;
        if (argv[i].len) memcpy(c->words[i], argv[i].ptr, argv[i].len);
    }
}

/* ---- the wing, as far as the journal sees it: a call is a command of the file ---- */

void __wrap_redis_base_write(redis_base_t *base, int argc, const bytes_t *argv);
void __wrap_redis_base_write(redis_base_t *base, int argc, const bytes_t *argv)
{
    file_add((file_t *)base, argc, argv);
}

void __wrap_redis_feed(redis_t *redis, int argc, const bytes_t *argv);
void __wrap_redis_feed(redis_t *redis, int argc, const bytes_t *argv) { file_add((file_t *)redis, argc, argv); }

int __wrap_redis_call_argc(const redis_call_t *call);
int __wrap_redis_call_argc(const redis_call_t *call) { return ((const command_t *)call)->argc; }

bytes_t __wrap_redis_call_arg(const redis_call_t *call, int i);
bytes_t __wrap_redis_call_arg(const redis_call_t *call, int i)
{
    const command_t *c = (const command_t *)call;
    assert_in_range(i, 0, c->argc - 1);
    return bytes_of(c->words[i], c->lens[i]);
}

redis_client_t *__wrap_redis_call_client(const redis_call_t *call);
redis_client_t *__wrap_redis_call_client(const redis_call_t *call) { return NULL; }

bool __wrap_redis_call_is_loading(const redis_call_t *call);
bool __wrap_redis_call_is_loading(const redis_call_t *call) { return true; }

void __wrap_redis_reply_status(redis_client_t *c, const char *text);
void __wrap_redis_reply_status(redis_client_t *c, const char *text) {}

/* ---- the world ---- */

typedef struct fixture {
    sim_t *sim;
    bridge_t bridge;
    file_t file;
} fixture_t;

static fixture_t *fixture_new(void)
{
    fixture_t *f = mem_zalloc(sizeof(*f));
    f->sim = sim_new(3);
    f->bridge.loop = sim_node_loop(sim_node_new(f->sim, "10.0.0.1"));
    f->bridge.redis = (redis_t *)&f->file;
    outbox_init(&f->bridge);
    return f;
}

static void fixture_free(fixture_t *f)
{
    outbox_deinit(&f->bridge);
    sim_free(f->sim);
    mem_free(f);
}

static outbox_record_t *add(fixture_t *f, int64_t due_ms)
{
    static const kafka_header_t headers[] = {{BYTES_LIT("h"), BYTES_LIT("1")}, {BYTES_LIT("empty"), BYTES_LIT("")}};
    kafka_produce_t record = {
        .topic = BYTES_LIT("t"),
        .partition = 2,
        .key = BYTES_LIT("key"),
        .value = BYTES_LIT("value"),
        .headers = headers,
        .headers_count = 2,
        .timestamp_ms = 1000,
    };
    outbox_record_t *r = outbox_record_new(&record);
    r->due_ms = due_ms;
    r->partition_asked = true;
    outbox_add(&f->bridge, r);
    return r;
}

static void emit(fixture_t *f)
{
    f->file.count = 0;
    journal_emit(&f->bridge, (redis_base_t *)&f->file);
}

static void load(fixture_t *f, const file_t *file)
{
    for (int i = 0; i < file->count; i++) journal_command((redis_call_t *)&file->commands[i], &f->bridge);
}

static outbox_record_t *record_at(const fixture_t *f, int i)
{
    LIST_EACH(&f->bridge.all, r, outbox_record_t, node) {
        if (i-- == 0) return r;
    }
    return NULL;
}

/* Reads the command that these words are; whether it was understood. */
static bool understands(fixture_t *f, const char *what, const char *a, const char *b)
{
    file_t *file = mem_zalloc(sizeof(*file));
    bytes_t argv[] = {BYTES_LIT("KAFKA.JOURNAL"), bytes_str(what), bytes_str(a), bytes_str(b)};
    file_add(file, 4, argv);
    f->bridge.unreadable = false;
    load(f, file);
    mem_free(file);
    return !f->bridge.unreadable;
}

/* ---- tests ---- */

static void an_outbox_that_never_was_used_writes_nothing(void **state)
{
    fixture_t *f = fixture_new();
    f->bridge.producer_id = -1;
    emit(f);
    assert_int_equal(f->file.count, 0);
    fixture_free(f);
}

/* Without the producer a record would be appended as somebody else's, without the number as one that was there before. */
static void the_producer_and_the_next_number_are_read_back(void **state)
{
    fixture_t *f = fixture_new(), *g = fixture_new();
    f->bridge.producer_id = 77;
    f->bridge.next_number = 1234567890123;
    emit(f);
    assert_int_equal(f->file.count, 1);
    load(g, &f->file);
    assert_false(g->bridge.unreadable);
    assert_int_equal(g->bridge.producer_id, 77);
    assert_int_equal(g->bridge.next_number, 1234567890123);
    f->file.count = 0;
    journal_state(&f->bridge); /* the same, between two bases */
    f->file.commands[0].words[2][0] = '8';
    load(g, &f->file);
    assert_int_equal(g->bridge.producer_id, 87);
    fixture_free(f);
    fixture_free(g);
}

static void the_next_number_never_goes_back(void **state)
{
    fixture_t *f = fixture_new();
    assert_true(understands(f, "STATE", "5", "100"));
    assert_true(understands(f, "STATE", "5", "99"));
    assert_int_equal(f->bridge.next_number, 100);
    assert_true(understands(f, "ACK", "120", "130"));
    assert_int_equal(f->bridge.next_number, 131);
    fixture_free(f);
}

static void what_was_written_is_written_again_word_for_word(void **state)
{
    fixture_t *f = fixture_new(), *g = fixture_new();
    f->bridge.producer_id = g->bridge.producer_id = 1;
    add(f, 0);
    add(f, 5000);
    add(f, 0)->record.key = BYTES_NULL;
    add(f, 0)->record.value = BYTES_NULL;
    add(f, 0)->partition_asked = false;
    emit(f);
    assert_int_equal(f->file.count, 6);
    load(g, &f->file);
    assert_int_equal(g->bridge.count, 5);
    emit(g);
    assert_int_equal(g->file.count, f->file.count);
    assert_memory_equal(&g->file, &f->file, sizeof(f->file));
    fixture_free(f);
    fixture_free(g);
}

/* As it is in memory: a record of that moment, at the end of the order. */
static void a_record_whose_time_came_takes_its_place_in_the_order(void **state)
{
    fixture_t *f = fixture_new(), *g = fixture_new();
    f->bridge.producer_id = 1;
    add(f, 5000);
    add(f, 0);
    emit(f);
    load(g, &f->file);
    f->file.count = 0;
    journal_due(&f->bridge, 1, 3);
    load(g, &f->file);
    assert_false(g->bridge.unreadable);
    assert_int_equal(g->bridge.count, 2);
    assert_int_equal(record_at(g, 0)->number, 2);
    outbox_record_t *r = record_at(g, 1);
    assert_int_equal(r->number, 3);
    assert_int_equal(r->due_ms, 0);
    assert_int_equal(r->record.timestamp_ms, 5000);
    assert_int_equal(r->added_ms, 1000);
    assert_int_equal(r->record.partition, 2);
    assert_int_equal(r->record.headers_count, 2);
    assert_true(r->partition_asked);
    assert_int_equal(g->bridge.next_number, 4);
    char above[24];
    snprintf(above, sizeof(above), "%" PRId64, (int64_t)KAFKA_NUMBER_MAX + 1);
    assert_false(understands(g, "DUE", "3", above));
    assert_true(understands(g, "DUE", "1", "4")); /* it is not there any more: nothing comes of it */
    assert_int_equal(g->bridge.count, 2);
    assert_true(understands(g, "ACK", "3", "3")); /* it is found by its new number */
    assert_int_equal(g->bridge.count, 1);
    fixture_free(f);
    fixture_free(g);
}

static void a_place_that_was_found_is_kept(void **state)
{
    fixture_t *f = fixture_new(), *g = fixture_new();
    f->bridge.producer_id = 1;
    outbox_record_t *r = add(f, 0);
    emit(f);
    load(g, &f->file);
    r->record.partition = 9;
    f->file.count = 0;
    journal_place(&f->bridge, r);
    load(g, &f->file);
    assert_false(g->bridge.unreadable);
    assert_int_equal(record_at(g, 0)->record.partition, 9);
    fixture_free(f);
    fixture_free(g);
}

static void what_is_acknowledged_is_forgotten_and_nothing_else(void **state)
{
    fixture_t *f = fixture_new(), *g = fixture_new();
    static const int64_t ranges[] = {-1000, 2, 5, 5, 8, 1000000000000}, left[] = {3, 4, 6, 7};
    f->bridge.producer_id = 1;
    for (int i = 0; i < 10; i++) add(f, 0);
    emit(f);
    load(g, &f->file);
    f->file.count = 0;
    journal_ack(&f->bridge, ranges, 3);
    load(g, &f->file);
    assert_false(g->bridge.unreadable);
    assert_int_equal(g->bridge.count, ARRAY_LEN(left));
    for (int i = 0; i < (int)ARRAY_LEN(left); i++) assert_int_equal(record_at(g, i)->number, left[i]);
    fixture_free(f);
    fixture_free(g);
}

/* A file that somebody has touched is refused as a whole. */
static void what_no_outbox_has_written_is_not_understood(void **state)
{
    fixture_t *f = fixture_new();
    char above[24];
    snprintf(above, sizeof(above), "%" PRId64, (int64_t)KAFKA_NUMBER_MAX + 1);
    assert_false(understands(f, "WHAT", "1", "2"));
    assert_false(understands(f, "STATE", "1", "two"));
    assert_false(understands(f, "PLACE", "1", "-1"));
    assert_false(understands(f, "PLACE", "1", "2147483648"));
    assert_true(understands(f, "PLACE", "1", "2147483647"));
    assert_false(understands(f, "DUE", "1", above));
    assert_false(understands(f, "ACK", "2", "1"));
    assert_false(understands(f, "ACK", "1", above));
    assert_false(understands(f, "ADD", "1", "2"));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_outbox_that_never_was_used_writes_nothing),
        cmocka_unit_test(the_producer_and_the_next_number_are_read_back),
        cmocka_unit_test(the_next_number_never_goes_back),
        cmocka_unit_test(what_was_written_is_written_again_word_for_word),
        cmocka_unit_test(a_record_whose_time_came_takes_its_place_in_the_order),
        cmocka_unit_test(a_place_that_was_found_is_kept),
        cmocka_unit_test(what_is_acknowledged_is_forgotten_and_nothing_else),
        cmocka_unit_test(what_no_outbox_has_written_is_not_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
