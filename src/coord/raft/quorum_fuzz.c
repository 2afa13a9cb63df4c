/* quorum_fuzz.c: hostile pieces of a snapshot, and hostile answers, for a follower. Input: moves of {what u8, length u8, body}: the
 * body as a frame's bytes, or as the data of a well-formed piece whose fields come from `what`, or time that passes. */
#include "base/hash.h"
#include "coord/raft/quorum_internal.h"
#include "io/sim.h"

#define DIR         "/data/quorum"
#define FILE_BYTES  64
#define ELECTION_MS 1000000 /* it stays a follower */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct target {
    quorum_transport_t transport;
    quorum_t *quorum;
    io_loop_t *loop;
    buf_t configuration;
    uint64_t sent; /* bytes in well-formed pieces, and their sum */
    uint32_t crc;
    uint64_t restored;
    snapshot_reader_t *reader;
} target_t;

static void on_send(quorum_transport_t *transport, uint64_t server_id, const char *address, bytes_t frame) {}
static void on_apply(void *user, uint64_t index, bytes_t payload, void *tag) {}
static void on_dropped(void *user, void *tag) {}
static void on_role(void *user, bool leader) {}
static void on_failed(void *user, const char *what, int err) { ASSERT(false); } /* nothing of this may end a server */

static void on_load_begin(void *user, snapshot_reader_t *reader) { ((target_t *)user)->reader = reader; }

static int on_load_step(void *user, size_t bytes)
{
    bytes_t records;
    return snapshot_reader_next(((target_t *)user)->reader, &records);
}

static void on_load_restore(void *user, uint64_t index)
{
    target_t *t = user;
    ASSERT(t->reader != NULL && index > t->restored);
    t->restored = index;
}

static void on_load_end(void *user) { ((target_t *)user)->reader = NULL; }
static void on_snapshot_end(void *user) {}
static void on_snapshot_done(void *user, int err) {}

static void open_follower(target_t *t)
{
    static const quorum_member_t members[] = {{1, "one"}, {2, "two"}, {3, "three"}};
    quorum_options_t options = {.dir = DIR,
                                .id = 1,
                                .members = members,
                                .members_count = 3,
                                .transport = &t->transport,
                                .sync = true,
                                .election_timeout_ms = ELECTION_MS};
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
                                .user = t};
    struct raft_buffer encoded;
    t->transport.send = on_send;
    int err = quorum_open(t->loop, &options, &machine, &t->quorum);
    ASSERT(err == 0);
    int rv = raft_configuration_encode(quorum__configuration(t->quorum), &encoded);
    ASSERT(rv == 0);
    buf_append(&t->configuration, encoded.base, encoded.len);
    raft_free(encoded.base);
}

static void hand_over(target_t *t, int32_t kind, bytes_t body)
{
    buf_t frame = BUF_INIT;
    buf_be32(&frame, (uint32_t)kind);
    buf_append(&frame, body.ptr, body.len);
    quorum_receive(t->quorum, 2, buf_bytes(&frame));
    buf_deinit(&frame);
    io_loop_wake(t->loop);
}

/* Bits of `what`: 4 a wrong sum, 8 a wrong offset, 16 another index, 32 another term, 128 from the start. */
static void hand_over_piece(target_t *t, uint8_t what, bytes_t body)
{
    if (what & 128) t->sent = t->crc = 0;
    t->crc = crc32c(t->crc, body.ptr, body.len);
    zk_snapshot_piece_t piece = {1,
                                 what & 32 ? 2 : 1,
                                 what & 16 ? 41 : 40,
                                 1,
                                 1,
                                 buf_bytes(&t->configuration),
                                 FILE_BYTES,
                                 (int64_t)t->sent + (what & 8 ? 3 : 0),
                                 (int32_t)t->crc + (what & 4 ? 1 : 0),
                                 body};
    buf_t record = BUF_INIT;
    QUORUM_PUT(&record, snapshot_piece, &piece);
    hand_over(t, QUORUM_SNAPSHOT_PIECE, buf_bytes(&record));
    buf_deinit(&record);
    t->sent += body.len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sim_t *sim = sim_new(1);
    target_t t = {.loop = sim_node_loop(sim_node_new(sim, "10.0.0.1"))};
    open_follower(&t);
    while (size >= 2) {
        uint8_t what = data[0];
        bytes_t body = bytes_of(data + 2, MIN((size_t)data[1], size - 2));
        data += 2 + body.len;
        size -= 2 + body.len;
        switch (what & 3) {
        case 0: hand_over(&t, QUORUM_SNAPSHOT_PIECE, body); break;
        case 1: hand_over(&t, QUORUM_SNAPSHOT_WANTED, body); break;
        case 2: hand_over_piece(&t, what, body); break;
        default: sim_run_for(sim, body.len * 100); break;
        }
    }
    quorum_close(t.quorum);
    buf_deinit(&t.configuration);
    sim_free(sim);
    return 0;
}
