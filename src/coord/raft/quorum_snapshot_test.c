/* quorum_snapshot_test.c: one member, whose others are this file: what it says to the pieces of a snapshot and to answers. */
#include "base/hash.h"
#include "coord/raft/quorum_internal.h"
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIR         "/data/quorum"
#define LEADER      2
#define PIECE_BYTES 100
#define FILE_BYTES  250
#define INDEX       40
#define ELECTION_MS 300
#define HELD_MS     6000 /* longer than a receiver that gave up does not listen */

typedef struct fixture {
    sim_t *sim;
    sim_node_t *node;
    io_loop_t *loop;
    quorum_t *quorum;
    quorum_transport_t transport;
    buf_t sent; /* the last of our own messages that went to LEADER */
    int sent_count;
    bool votes; /* the others vote for it, and have nothing */
    uint8_t file[FILE_BYTES];
    size_t records_bytes; /* in it */
    buf_t configuration;
    uint64_t restored; /* index */
    snapshot_reader_t *reader;
    buf_t loaded;
    int loads_left; /* slices */
    int unloads;
    const char *failed;
} fixture_t;

/* ---- the machine ---- */

static void on_apply(void *user, uint64_t index, bytes_t payload, void *tag) {}
static void on_dropped(void *user, void *tag) {}
static void on_role(void *user, bool leader) {}
static void on_failed(void *user, const char *what, int err) { ((fixture_t *)user)->failed = what; }

static void on_load_begin(void *user, snapshot_reader_t *reader) { ((fixture_t *)user)->reader = reader; }

static int on_load_step(void *user, size_t bytes)
{
    fixture_t *f = user;
    bytes_t records;
    if (f->loads_left-- > 0) return 0;
    buf_clear(&f->loaded);
    int done = snapshot_reader_next(f->reader, &records);
    if (done != 0) return done;
    buf_append(&f->loaded, records.ptr, records.len);
    return snapshot_reader_next(f->reader, &records);
}

static void on_load_restore(void *user, uint64_t index)
{
    fixture_t *f = user;
    f->restored = index;
}

static void on_load_end(void *user)
{
    fixture_t *f = user;
    f->unloads++;
    f->reader = NULL;
}

static void on_snapshot_done(void *user, int err) {}
static void on_snapshot_end(void *user) {}

/* A snapshot of exactly FILE_BYTES, whose records are `data`. */
static void make_file(fixture_t *f, uint64_t index)
{
    snapshot_point_t point = {index, 1, 1, buf_bytes(&f->configuration)};
    snapshot_writer_t *writer;
    uint8_t data[FILE_BYTES], *file;
    size_t bytes;
    for (int i = 0; i < FILE_BYTES; i++) data[i] = (uint8_t)(i * 7);
    assert_int_equal(snapshot_writer_open(f->loop, "/data", &point, &writer), 0);
    snapshot_writer_head(writer, 1, 2);
    f->records_bytes = FILE_BYTES - 17 - snapshot_writer_bytes(writer); /* a block's head, and the tail */
    buf_append(snapshot_writer_block(writer), data, f->records_bytes);
    assert_int_equal(snapshot_writer_tail(writer, 3), 0);
    char *path = snapshot_path("/data", index);
    buf_t tmp = BUF_INIT;
    buf_printf(&tmp, "%s.tmp", path);
    buf_u8(&tmp, 0);
    assert_int_equal(io_read_whole(f->loop, (char *)tmp.ptr, KIB(1), &file, &bytes), 0);
    assert_int_equal(bytes, FILE_BYTES);
    memcpy(f->file, file, bytes);
    snapshot_writer_free(writer);
    mem_free(file);
    mem_free(path);
    buf_deinit(&tmp);
}

static void check_loaded(const fixture_t *f)
{
    assert_int_equal(f->loaded.len, f->records_bytes);
    for (size_t i = 0; i < f->records_bytes; i++) assert_int_equal(f->loaded.ptr[i], (uint8_t)(i * 7));
}

/* ---- the others ---- */

static void say(fixture_t *f, buf_t *frame)
{
    io_loop_update_time(f->loop);
    quorum_receive(f->quorum, LEADER, buf_bytes(frame));
    io_loop_wake(f->loop);
    buf_deinit(frame);
}

#define SAY(f, kind, type, ...)                                                                                        \
    do {                                                                                                               \
        zk_##type##_t record_ = {__VA_ARGS__};                                                                         \
        buf_t frame_ = BUF_INIT;                                                                                       \
        buf_be32(&frame_, kind);                                                                                       \
        QUORUM_PUT(&frame_, type, &record_);                                                                           \
        say(f, &frame_);                                                                                               \
    } while (0)

typedef struct reply {
    fixture_t *f;
    io_timer_t timer;
    int32_t kind;
    int64_t term, index;
    bool pre_vote;
} reply_t;

static void reply_now(io_timer_t *timer)
{
    reply_t *r = CONTAINER_OF(timer, reply_t, timer);
    if (r->f->quorum != NULL && r->kind == RAFT_REQUEST_VOTE)
        SAY(r->f, RAFT_REQUEST_VOTE_RESULT, raft_vote_result, 2, r->term, true, r->pre_vote, 0, 0);
    else if (r->f->quorum != NULL)
        SAY(r->f, RAFT_APPEND_ENTRIES_RESULT, raft_append_result, 1, r->term, r->index, 0, 0, 0);
    mem_free(r);
}

static void reply_later(fixture_t *f, int32_t kind, int64_t term, int64_t index, bool pre_vote)
{
    reply_t *r = mem_zalloc(sizeof(*r));
    r->f = f;
    r->kind = kind;
    r->term = term;
    r->index = index;
    r->pre_vote = pre_vote;
    io_timer_init(f->loop, &r->timer, reply_now);
    io_timer_start(&r->timer, 1, 0);
}

static void on_send(quorum_transport_t *transport, uint64_t server_id, const char *address, bytes_t frame)
{
    fixture_t *f = CONTAINER_OF(transport, fixture_t, transport);
    jute_reader_t r = jute_reader(frame, NULL);
    int32_t kind = jute_get_int(&r);
    if (server_id != LEADER) return;
    if (kind >= QUORUM_SNAPSHOT_PIECE) {
        buf_clear(&f->sent);
        buf_append(&f->sent, frame.ptr, frame.len);
        f->sent_count++;
    } else if (f->votes && kind == RAFT_REQUEST_VOTE) {
        zk_raft_vote_t vote;
        zk_raft_vote_get(&r, &vote);
        reply_later(f, kind, vote.pre_vote ? vote.term - 1 : vote.term, 0, vote.pre_vote);
    } else if (f->votes && kind == RAFT_APPEND_ENTRIES) { /* its head is enough */
        jute_get_int(&r);
        int64_t term = jute_get_long(&r), previous = jute_get_long(&r);
        if (previous > 0) reply_later(f, kind, term, previous, false);
    }
}

/* The first `end` bytes' sum. */
static int32_t crc_to(const fixture_t *f, size_t end) { return (int32_t)crc32c(0, f->file, end); }

static void piece_of_term(fixture_t *f, int64_t term, int64_t index, size_t offset, size_t bytes)
{
    SAY(f, QUORUM_SNAPSHOT_PIECE, snapshot_piece, 1, term, index, 1, 1, buf_bytes(&f->configuration), FILE_BYTES,
        (int64_t)offset, crc_to(f, offset + bytes), bytes_of(f->file + offset, bytes));
}

static void piece(fixture_t *f, size_t offset, size_t bytes) { piece_of_term(f, 1, INDEX, offset, bytes); }

static zk_snapshot_wanted_t wanted(const fixture_t *f)
{
    zk_snapshot_wanted_t w;
    jute_reader_t r = jute_reader(buf_bytes(&f->sent), NULL);
    assert_int_equal(jute_get_int(&r), QUORUM_SNAPSHOT_WANTED);
    zk_snapshot_wanted_get(&r, &w);
    assert_false(r.bad);
    return w;
}

static zk_snapshot_piece_t piece_sent(const fixture_t *f)
{
    zk_snapshot_piece_t p;
    jute_reader_t r = jute_reader(buf_bytes(&f->sent), NULL);
    assert_int_equal(jute_get_int(&r), QUORUM_SNAPSHOT_PIECE);
    zk_snapshot_piece_get(&r, &p);
    assert_false(r.bad);
    return p;
}

static void count_incoming(void *user, const char *name, bool is_dir)
{
    *(int *)user += strncmp(name, "incoming", 8) == 0;
}

static int files_left(fixture_t *f)
{
    int count = 0;
    assert_int_equal(io_list_dir(f->loop, DIR, count_incoming, &count), 0);
    return count;
}

/* ---- life ---- */

static void open_member(fixture_t *f)
{
    static const quorum_member_t members[] = {{1, "one"}, {2, "two"}, {3, "three"}};
    quorum_options_t options = {.dir = DIR,
                                .id = 1,
                                .members = members,
                                .members_count = 3,
                                .transport = &f->transport,
                                .sync = true,
                                .election_timeout_ms = f->votes ? ELECTION_MS : 1000000,
                                .piece_bytes = PIECE_BYTES};
    quorum_machine_t machine = {.apply = on_apply,
                                .dropped = on_dropped,
                                .role = on_role,
                                .failed = on_failed,
                                .snapshot_end = on_snapshot_end,
                                .snapshot_done = on_snapshot_done,
                                .load_begin = on_load_begin,
                                .load_step = on_load_step,
                                .load_restore = on_load_restore,
                                .load_end = on_load_end,
                                .user = f};
    assert_int_equal(quorum_open(f->loop, &options, &machine, &f->quorum), 0);
    io_loop_wake(f->loop);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof(*f));
    struct raft_configuration configuration;
    struct raft_buffer encoded;
    f->sim = sim_new(1);
    f->node = sim_node_new(f->sim, "10.0.0.1");
    f->loop = sim_node_loop(f->node);
    f->transport.send = on_send;
    raft_configuration_init(&configuration);
    assert_int_equal(raft_configuration_add(&configuration, 1, "one", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_add(&configuration, 2, "two", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_add(&configuration, 3, "three", RAFT_VOTER), 0);
    assert_int_equal(raft_configuration_encode(&configuration, &encoded), 0);
    raft_configuration_close(&configuration);
    buf_append(&f->configuration, encoded.base, encoded.len);
    raft_free(encoded.base);
    assert_int_equal(io_mkdir(f->loop, DIR), 0);
    make_file(f, INDEX);
    *state = f;
    return 0;
}

static int follower(void **state)
{
    int err = setup(state);
    if (err == 0) open_member(*state);
    return err;
}

static int leader(void **state)
{
    fixture_t *f;
    if (setup(state) != 0) return -1;
    f = *state;
    f->votes = true;
    char *path = snapshot_path(DIR, INDEX);
    assert_int_equal(io_replace_whole(f->loop, path, bytes_of(f->file, FILE_BYTES)), 0);
    mem_free(path);
    open_member(f);
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    quorum_close(f->quorum);
    f->quorum = NULL;
    sim_run_for(f->sim, 10); /* replies under way */
    buf_deinit(&f->sent);
    buf_deinit(&f->loaded);
    buf_deinit(&f->configuration);
    sim_free(f->sim);
    free(f);
    return 0;
}

/* ---- a follower ---- */

static void pieces_in_order_become_the_state(void **state)
{
    fixture_t *f = *state;
    f->loads_left = 3;
    piece(f, 0, 100);
    assert_int_equal(wanted(f).offset, 100);
    piece(f, 100, 100);
    assert_int_equal(wanted(f).offset, 200);
    piece(f, 200, 50);
    assert_int_equal(wanted(f).offset, FILE_BYTES);
    assert_int_equal(f->restored, 0);
    sim_run_for(f->sim, 1000);
    assert_int_equal(f->restored, INDEX);
    check_loaded(f);
    assert_int_equal(quorum_stored(f->quorum), INDEX);
    assert_int_equal(quorum_figures(f->quorum).snapshots_received, 1);
    assert_int_equal(files_left(f), 0);
    assert_null(f->failed);
}

static void pieces_out_of_order_are_asked_for_or_ignored(void **state)
{
    fixture_t *f = *state;
    piece(f, 100, 100); /* its beginning is not here */
    assert_int_equal(wanted(f).offset, 0);
    piece(f, 0, 100);
    piece(f, 200, 50);
    assert_int_equal(wanted(f).offset, 100);
    piece(f, 100, 100);
    int said = f->sent_count;
    piece(f, 100, 100); /* once more: an answer would double all that follows */
    assert_int_equal(f->sent_count, said);
    piece(f, 100, 0); /* an empty one asks */
    assert_int_equal(wanted(f).offset, 200);
    piece(f, 200, 50);
    sim_run_for(f->sim, 1000);
    assert_int_equal(f->restored, INDEX);
    check_loaded(f);
}

static void a_bad_sum_ends_it_and_leaves_nothing(void **state)
{
    fixture_t *f = *state;
    piece(f, 0, 100);
    f->file[150] ^= 1; /* and the sum is of these bytes */
    int32_t crc = crc_to(f, 200);
    f->file[150] ^= 1;
    int said = f->sent_count;
    SAY(f, QUORUM_SNAPSHOT_PIECE, snapshot_piece, 1, 1, INDEX, 1, 1, buf_bytes(&f->configuration), FILE_BYTES, 100, crc,
        bytes_of(f->file + 100, 100));
    assert_int_equal(f->sent_count, said);
    assert_int_equal(files_left(f), 0);
    piece(f, 0, 100); /* at once again: not yet */
    assert_int_equal(f->sent_count, said);
    sim_run_for(f->sim, HELD_MS);
    for (size_t at = 0; at < FILE_BYTES; at += 50) piece(f, at, 50);
    sim_run_for(f->sim, 1000);
    assert_int_equal(f->restored, INDEX);
}

static void pieces_of_another_term_are_not_looked_at(void **state)
{
    fixture_t *f = *state;
    piece_of_term(f, 2, INDEX, 0, 100);
    assert_int_equal(f->sent_count, 0);
    piece(f, 0, 100);
    piece_of_term(f, 2, INDEX, 100, 100);
    assert_int_equal(f->sent_count, 1);
    piece(f, 100, 0);
    assert_int_equal(wanted(f).offset, 100);
}

static void another_snapshot_takes_the_place_of_one_under_way(void **state)
{
    fixture_t *f = *state;
    piece(f, 0, 100);
    piece_of_term(f, 1, INDEX + 1, 0, 100);
    assert_int_equal(wanted(f).index, INDEX + 1);
    assert_int_equal(files_left(f), 1);
    make_file(f, INDEX + 1);
    piece_of_term(f, 1, INDEX + 1, 0, 100);
    piece(f, 100, 100); /* of the old one */
    assert_int_equal(wanted(f).offset, 0);
    for (size_t at = 0; at < FILE_BYTES; at += 125) piece_of_term(f, 1, INDEX + 1, at, 125);
    sim_run_for(f->sim, 1000);
    assert_int_equal(f->restored, INDEX + 1);
    assert_int_equal(files_left(f), 0);
}

/* A leader of term 2 is heard of while the snapshot of term 1's is being loaded. */
static void another_leader_ends_it(void **state)
{
    fixture_t *f = *state;
    f->loads_left = 1000000;
    piece(f, 0, 100);
    piece(f, 100, 100);
    piece(f, 200, 50);
    sim_run_for(f->sim, 100);
    assert_int_equal(f->unloads, 0);
    SAY(f, RAFT_APPEND_ENTRIES, raft_append, 1, 2, INDEX, 1, 1, NULL, 0);
    sim_run_for(f->sim, 100);
    assert_int_equal(f->unloads, 1);
    assert_int_equal(f->restored, 0);
    assert_int_equal(files_left(f), 0);
    assert_int_equal(quorum_figures(f->quorum).snapshots_broken_off, 1);
}

static void a_leader_that_falls_silent_ends_it(void **state)
{
    fixture_t *f = *state;
    piece(f, 0, 100);
    sim_run_for(f->sim, QUORUM_SNAPSHOT_SILENCE_MS - 1000);
    assert_int_equal(files_left(f), 1);
    sim_run_for(f->sim, 3000);
    assert_int_equal(files_left(f), 0);
}

static void a_full_disk_is_not_filled_further(void **state)
{
    fixture_t *f = *state;
    uint64_t free_bytes, total_bytes;
    sim_disk_faults_t faults = sim_disk_faults_default;
    assert_int_equal(io_disk_space(f->loop, DIR, &free_bytes, &total_bytes), 0);
    uint64_t used = total_bytes - free_bytes;
    faults.capacity_bytes = (used + FILE_BYTES) * 16 / 15 - 100; /* a sixteenth is the log's */
    sim_node_set_disk_faults(f->node, &faults);
    piece(f, 0, 100);
    assert_int_equal(f->sent_count, 0);
    assert_int_equal(files_left(f), 0);
    assert_int_equal(quorum_figures(f->quorum).snapshots_broken_off, 1);
    faults.capacity_bytes += 200;
    sim_node_set_disk_faults(f->node, &faults);
    sim_run_for(f->sim, HELD_MS);
    piece(f, 0, 100);
    assert_int_equal(wanted(f).offset, 100);
    faults.capacity_bytes = used + 120; /* others fill it in the middle */
    sim_node_set_disk_faults(f->node, &faults);
    piece(f, 100, 100);
    assert_int_equal(f->sent_count, 1);
    assert_int_equal(files_left(f), 0);
    assert_null(f->failed);
}

static void what_does_not_load_is_not_offered(void **state)
{
    fixture_t *f = *state;
    f->file[FILE_BYTES - 20] ^= 1; /* the piece's sum is right, the block's is not */
    for (size_t at = 0; at < FILE_BYTES; at += 50) piece(f, at, 50);
    sim_run_for(f->sim, 1000);
    assert_int_equal(f->restored, 0);
    assert_int_equal(quorum_figures(f->quorum).snapshots_broken_off, 1);
    assert_int_equal(files_left(f), 0);
    assert_null(f->failed);
}

static void a_configuration_that_lies_is_refused(void **state)
{
    fixture_t *f = *state;
    f->configuration.ptr[1] = 4; /* servers */
    piece(f, 0, 100);
    f->configuration.ptr[1] = 3;
    f->configuration.len = 30; /* ends within the second server */
    piece(f, 0, 100);
    f->configuration.len = 0;
    piece(f, 0, 100);
    assert_int_equal(f->sent_count, 0);
}

static void what_an_earlier_life_left_is_removed(void **state)
{
    fixture_t *f = *state;
    piece(f, 0, 100);
    sim_node_kill(f->node);
    quorum_close(f->quorum);
    f->loop = sim_node_start(f->node);
    assert_int_equal(files_left(f), 1);
    open_member(f);
    assert_int_equal(files_left(f), 0);
}

/* Such that the second byte of its address is 0. */
static void *allocate_aligned(void *data, size_t size) { return aligned_alloc(KIB(64), KIB(64)); }

/* It is of the next term, which nobody has begun; and libraft must not look for the candidate that it was. */
static void a_late_answer_to_a_pre_vote_changes_nothing(void **state)
{
    fixture_t *f = *state;
    struct raft_heap heap = *raft_heap_get();
    heap.malloc = allocate_aligned;
    raft_heap_set(&heap);
    SAY(f, RAFT_APPEND_ENTRIES, raft_append, 1, 1, 0, 0, 0, NULL, 0);
    raft_heap_set_default();
    assert_int_equal(quorum_leader(f->quorum), LEADER);
    SAY(f, RAFT_REQUEST_VOTE_RESULT, raft_vote_result, 2, 2, false, true, 0, 0);
    assert_int_equal(raft_current_term(&f->quorum->raft), 1);
    assert_int_equal(quorum_leader(f->quorum), LEADER);
}

/* ---- a leader ---- */

static bool begun(void *user) { return ((fixture_t *)user)->sent_count > 0; }

static void want(fixture_t *f, int64_t term, int64_t offset)
{
    SAY(f, QUORUM_SNAPSHOT_WANTED, snapshot_wanted, term, INDEX, offset);
}

static void a_leader_sends_what_is_wanted(void **state)
{
    fixture_t *f = *state;
    assert_true(sim_run_until(f->sim, begun, f, 20000));
    zk_snapshot_piece_t p = piece_sent(f);
    int64_t term = p.term;
    assert_true(p.index == INDEX && p.offset == 0 && p.file_bytes == FILE_BYTES && p.data.len == PIECE_BYTES);
    want(f, term, 100);
    p = piece_sent(f);
    assert_true(p.offset == 100 && p.crc == crc_to(f, 200));
    want(f, term, 100); /* it was lost: once more */
    assert_true(piece_sent(f).offset == 100 && piece_sent(f).data.len == PIECE_BYTES);
    int said = f->sent_count;
    want(f, term, 201); /* nobody can have that */
    want(f, term - 1, 200);
    assert_int_equal(f->sent_count, said);
    want(f, term, 200);
    p = piece_sent(f);
    assert_true(p.offset == 200 && p.data.len == 50 && p.crc == crc_to(f, FILE_BYTES));
    want(f, term, 0); /* the other lost all */
    assert_true(piece_sent(f).offset == 0 && piece_sent(f).crc == crc_to(f, 100));
    assert_int_equal(quorum_figures(f->quorum).snapshots_sent, 1);
}

static void a_leader_asks_and_gives_up_in_the_end(void **state)
{
    fixture_t *f = *state;
    assert_true(sim_run_until(f->sim, begun, f, 20000));
    sim_run_for(f->sim, 1100);
    assert_true(f->sent_count >= 2 && piece_sent(f).data.len == 0);
    sim_run_for(f->sim, QUORUM_SNAPSHOT_SILENCE_MS + 1000);
    assert_true(quorum_figures(f->quorum).snapshots_sent == 2); /* libraft asked again */
}

int main(void)
{
#define FOLLOWER(test) cmocka_unit_test_setup_teardown(test, follower, teardown)
#define LEADER_(test)  cmocka_unit_test_setup_teardown(test, leader, teardown)
    const struct CMUnitTest tests[] = {
        FOLLOWER(pieces_in_order_become_the_state),
        FOLLOWER(pieces_out_of_order_are_asked_for_or_ignored),
        FOLLOWER(a_bad_sum_ends_it_and_leaves_nothing),
        FOLLOWER(pieces_of_another_term_are_not_looked_at),
        FOLLOWER(another_snapshot_takes_the_place_of_one_under_way),
        FOLLOWER(another_leader_ends_it),
        FOLLOWER(a_leader_that_falls_silent_ends_it),
        FOLLOWER(a_full_disk_is_not_filled_further),
        FOLLOWER(what_does_not_load_is_not_offered),
        FOLLOWER(a_configuration_that_lies_is_refused),
        FOLLOWER(what_an_earlier_life_left_is_removed),
        FOLLOWER(a_late_answer_to_a_pre_vote_changes_nothing),
        LEADER_(a_leader_sends_what_is_wanted),
        LEADER_(a_leader_asks_and_gives_up_in_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
