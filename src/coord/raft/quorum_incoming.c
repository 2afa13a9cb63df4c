/* quorum_incoming.c: a leader's snapshot arrives: into a file, to the disk, into memory, and only then before libraft.
 *
 *   pieces ──whole, sum fits──> sync ──> load, in slices, beside the state ──> libraft ──takes it──> restore, log restarts
 *
 * Until libraft takes it nothing of it counts: the file has a name that no start looks for, the state is not the state. So
 * whatever goes wrong (no room, a bad sum, another leader, silence, a death) only ends it, and the leader begins anew.
 * One snapshot comes at a time, from the leader of our term; a piece of another term is not looked at, for heartbeats tell
 * both sides whose term counts. A server that is about to run full does not begin. */
#include "base/hash.h"
#include "coord/raft/quorum_internal.h"

#include <stdio.h>

#define NAME_PREFIX    "incoming."
#define SPARE_BYTES    MIB(64) /* of the disk, that a snapshot leaves to the log */
#define SPARE_DIVISOR  16      /* or so much of a small one */
#define AGAIN_AFTER_MS 5000    /* a failure: whatever it was may be over */
#define LOOK_MS        1000

struct quorum_incoming {
    quorum_t *q;
    uint64_t from;
    struct raft_install_snapshot message; /* without configuration and data */
    bytes_t configuration;                /* malloc'd */
    io_file_t *file;                      /* NULL once it is durable */
    char *path;
    uint64_t file_bytes, received;
    uint32_t crc; /* of what was received */
    uint64_t heard_ms;
    io_sync_t sync;
    io_timer_t timer; /* looks for silence; then loads, slice by slice */
    bool loading;
};

void quorum__incoming_end(quorum_t *q)
{
    quorum_incoming_t *in = q->incoming;
    if (!in) return;
    q->incoming = NULL;
    io_timer_stop(&in->timer);
    if (in->loading) quorum__load_end(q);
    if (in->file) io_file_close(in->file);
    if (io_exists(q->loop, in->path)) io_remove_later(q->loop, in->path);
    mem_free((void *)in->configuration.ptr);
    mem_free(in->path);
    mem_free(in);
}

static void break_off(quorum_t *q)
{
    q->figures.snapshots_broken_off++;
    quorum__incoming_end(q);
}

/* What failed here would fail again at once. */
static void give_up_for_now(quorum_t *q)
{
    q->incoming_not_before = quorum__now_ms(q) + AGAIN_AFTER_MS;
    break_off(q);
}

const char *quorum__incoming_path(const quorum_t *q)
{
    ASSERT(q->incoming && q->incoming->loading);
    return q->incoming->path;
}

static bool outdated(const quorum_incoming_t *in)
{
    return in->message.term != raft_current_term(&in->q->raft) || quorum__is_leader(in->q);
}

/* ---- whole --------------------------------------------------------------------------------------------------------- */

/* Libraft may have got all of it by other ways meanwhile: then it only answers. */
static int offer(quorum_incoming_t *in)
{
    quorum_t *q = in->q;
    struct raft_buffer encoded = {(void *)in->configuration.ptr, in->configuration.len};
    struct raft_message message = {.type = RAFT_INSTALL_SNAPSHOT,
                                   .server_id = in->from,
                                   .server_address = quorum__address_of(q, in->from),
                                   .install_snapshot = in->message};
    if (raft_configuration_decode(&encoded, &message.install_snapshot.conf) != 0) {
        give_up_for_now(q);
        return 0;
    }
    struct raft_event event = {.type = RAFT_RECEIVE, .receive = {&message}};
    int err = quorum__step(q, &event);
    quorum__incoming_end(q);
    return err ? err : quorum__apply_committed(q);
}

static void look_or_load(io_timer_t *timer)
{
    quorum_incoming_t *in = CONTAINER_OF(timer, quorum_incoming_t, timer);
    quorum_t *q = in->q;
    bool silent = quorum__now_ms(q) - in->heard_ms >= QUORUM_SNAPSHOT_SILENCE_MS;
    if (q->stopped) return;
    if (outdated(in) || (silent && !in->loading)) {
        break_off(q);
        return;
    }
    if (!in->loading) {
        io_timer_start(timer, LOOK_MS, 0);
        return;
    }
    int done = quorum__load_step(q, in->path, in->message.last_index);
    if (done == 0) {
        io_timer_start(timer, 0, 0);
    } else if (done < 0) {
        give_up_for_now(q);
    } else {
        int err = offer(in);
        if (err) quorum__fail(q, "a snapshot of another server cannot be taken over", err);
    }
}

static void synced(io_sync_t *sync, int err)
{
    quorum_incoming_t *in = CONTAINER_OF(sync, quorum_incoming_t, sync);
    if (in->q->stopped) return;
    if (err) {
        give_up_for_now(in->q);
        return;
    }
    io_file_close(in->file);
    in->file = NULL;
    in->loading = true;
    io_timer_start(&in->timer, 0, 0);
}

/* ---- pieces -------------------------------------------------------------------------------------------------------- */

static bool has_room(quorum_t *q, uint64_t bytes)
{
    uint64_t free_bytes, total_bytes;
    if (io_disk_space(q->loop, q->dir, &free_bytes, &total_bytes) != 0) return false;
    uint64_t spare = MIN((uint64_t)SPARE_BYTES, total_bytes / SPARE_DIVISOR);
    return free_bytes >= spare && free_bytes - spare >= bytes;
}

static int begin(quorum_t *q, uint64_t from, const zk_snapshot_piece_t *piece)
{
    if (!has_room(q, (uint64_t)piece->file_bytes)) return ERR_NOSPACE;
    quorum_incoming_t *in = mem_zalloc(sizeof(*in));
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/" NAME_PREFIX "%u", q->dir, ++q->incoming_count);
    buf_u8(&path, 0);
    in->q = q;
    in->from = from;
    in->message = (struct raft_install_snapshot){.version = (unsigned char)piece->version,
                                                 .term = (raft_term)piece->term,
                                                 .last_index = (raft_index)piece->index,
                                                 .last_term = (raft_term)piece->index_term,
                                                 .conf_index = (raft_index)piece->configuration_index};
    in->configuration = snapshot_point_copy(&(snapshot_point_t){.configuration = piece->configuration}).configuration;
    in->path = (char *)path.ptr;
    in->file_bytes = (uint64_t)piece->file_bytes;
    io_timer_init(q->loop, &in->timer, look_or_load);
    io_timer_start(&in->timer, LOOK_MS, 0);
    q->incoming = in;
    return io_file_open(q->loop, in->path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &in->file);
}

static int take(quorum_incoming_t *in, const zk_snapshot_piece_t *piece)
{
    in->crc = crc32c(in->crc, piece->data.ptr, piece->data.len);
    if (in->crc != (uint32_t)piece->crc) return ERR_CORRUPT;
    struct iovec iov = {(void *)piece->data.ptr, piece->data.len};
    int err = io_file_write(in->file, in->received, &iov, 1);
    if (err) return err;
    in->received += piece->data.len;
    if (in->received == in->file_bytes) io_file_sync(in->file, &in->sync, synced);
    return 0;
}

static void answer(quorum_t *q, uint64_t to, const zk_snapshot_piece_t *piece, uint64_t wanted)
{
    zk_snapshot_wanted_t record = {piece->term, piece->index, (int64_t)wanted};
    buf_t frame = BUF_INIT;
    buf_be32(&frame, QUORUM_SNAPSHOT_WANTED);
    QUORUM_PUT(&frame, snapshot_wanted, &record);
    q->transport->send(q->transport, to, quorum__address_of(q, to), buf_bytes(&frame));
    buf_deinit(&frame);
}

/* Libraft's decoder trusts its input: u8 1, u64 count, then {u64 id, address, NUL, u8 role} each, little-endian. */
static bool configuration_is_whole(bytes_t encoded)
{
    if (encoded.len < 9 || encoded.ptr[0] != 1) return false;
    const uint8_t *at = encoded.ptr + 9, *end = encoded.ptr + encoded.len;
    for (uint64_t left = load_le64(encoded.ptr + 1); left > 0; left--) {
        if (end - at < 8) return false;
        const uint8_t *nul = memchr(at + 8, '\0', (size_t)(end - at) - 8);
        if (!nul || end - nul < 2) return false;
        at = nul + 2;
    }
    return true;
}

static bool sane(const zk_snapshot_piece_t *piece)
{
    if (piece->term <= 0 || piece->index <= 0 || piece->index_term <= 0 || piece->index_term > piece->term)
        return false;
    if (piece->configuration_index < 0 || piece->configuration_index > piece->index) return false;
    if (piece->file_bytes <= 0 || !configuration_is_whole(piece->configuration)) return false;
    if (piece->offset < 0 || piece->offset > piece->file_bytes) return false;
    return piece->data.len <= QUORUM_PIECE_BYTES_MAX &&
           piece->data.len <= (uint64_t)(piece->file_bytes - piece->offset);
}

static bool belongs_to(const zk_snapshot_piece_t *piece, const quorum_incoming_t *in)
{
    return in->message.last_index == (raft_index)piece->index && in->file_bytes == (uint64_t)piece->file_bytes &&
           !outdated(in);
}

/* The first piece begins anew; one from behind came before, one from ahead tells that one was lost. */
void quorum__incoming_piece(quorum_t *q, uint64_t from, jute_reader_t *r)
{
    zk_snapshot_piece_t piece;
    zk_snapshot_piece_get(r, &piece);
    if (r->bad || !sane(&piece)) return;
    if ((raft_term)piece.term != raft_current_term(&q->raft) || quorum__is_leader(q)) return;
    if (quorum__now_ms(q) < q->incoming_not_before) return;
    uint64_t offset = (uint64_t)piece.offset, received = 0;
    bool asks = piece.data.len == 0, first = offset == 0 && !asks, taken = false;
    if (q->incoming && (first || !belongs_to(&piece, q->incoming))) break_off(q);
    int err = q->incoming == NULL && first ? begin(q, from, &piece) : 0;
    if (!err && q->incoming) {
        q->incoming->heard_ms = quorum__now_ms(q);
        taken = !asks && offset == q->incoming->received;
        if (taken) err = take(q->incoming, &piece);
        received = q->incoming->received;
    }
    if (err)
        give_up_for_now(q);
    else if (taken || asks || offset > received)
        answer(q, from, &piece, received);
}

/* ---- what an earlier life left -------------------------------------------------------------------------------------- */

static void remove_one(void *user, const char *name, bool is_dir)
{
    const quorum_t *q = user;
    if (is_dir || strncmp(name, NAME_PREFIX, sizeof(NAME_PREFIX) - 1) != 0) return;
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/%s", q->dir, name);
    buf_u8(&path, 0);
    (void)!io_remove(q->loop, (const char *)path.ptr);
    buf_deinit(&path);
}

int quorum__incoming_clean(quorum_t *q) { return io_list_dir(q->loop, q->dir, remove_one, q); }
