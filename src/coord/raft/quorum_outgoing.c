/* quorum_outgoing.c: a leader's snapshot on its way to members that lag behind the log.
 *
 *   leader ──piece(offset)──> follower      one piece is on its way; the answer asks for the next
 *          <──wanted(offset)──
 *
 * That is all the back-pressure there is: the next piece is read from the file when the last one is on the other's disk. When
 * nothing is heard an empty piece asks what is wanted: what is on its way, then it was lost and goes again; less, then the
 * other has lost all and it begins anew. It ends when libraft knows that the follower has what the snapshot has, when
 * nothing is heard for long, or when leadership ends. Libraft asks for it again and again; one that is under way goes on, also
 * when there is a newer snapshot: the entries that follow the one that travels are kept (quorum_snapshot.c). */
#include "base/hash.h"
#include "coord/raft/quorum_internal.h"

#define ASK_MS 500 /* nothing heard for so long: what is wanted? */

typedef struct outgoing {
    list_t node;
    uint64_t to;
    struct raft_install_snapshot message; /* without configuration and data */
    bytes_t configuration;                /* malloc'd */
    io_file_t *file;
    uint64_t file_bytes;
    uint64_t arrived;     /* bytes */
    uint32_t arrived_crc; /* of them */
    size_t flying;        /* bytes behind them, of which nothing was heard yet */
    uint32_t flying_crc;  /* with them */
    uint64_t heard_ms;
} outgoing_t;

static outgoing_t *find(const quorum_t *q, uint64_t to)
{
    LIST_EACH(&q->outgoing, out, outgoing_t, node) {
        if (out->to == to) return out;
    }
    return NULL;
}

static void end(outgoing_t *out)
{
    list_remove(&out->node);
    if (out->file) io_file_close(out->file);
    mem_free((void *)out->configuration.ptr);
    mem_free(out);
}

void quorum__outgoing_end_all(quorum_t *q)
{
    while (!list_empty(&q->outgoing)) end(LIST_FIRST(&q->outgoing, outgoing_t, node));
}

uint64_t quorum__outgoing_index_min(const quorum_t *q)
{
    uint64_t index = UINT64_MAX;
    LIST_EACH(&q->outgoing, out, outgoing_t, node) index = MIN(index, out->message.last_index);
    return index;
}

static void send_data(quorum_t *q, const outgoing_t *out, bytes_t data, uint32_t crc)
{
    zk_snapshot_piece_t record = {out->message.version,
                                  (int64_t)out->message.term,
                                  (int64_t)out->message.last_index,
                                  (int64_t)out->message.last_term,
                                  (int64_t)out->message.conf_index,
                                  out->configuration,
                                  (int64_t)out->file_bytes,
                                  (int64_t)out->arrived,
                                  (int32_t)crc,
                                  data};
    buf_t frame = BUF_INIT;
    buf_be32(&frame, QUORUM_SNAPSHOT_PIECE);
    QUORUM_PUT(&frame, snapshot_piece, &record);
    q->transport->send(q->transport, out->to, quorum__address_of(q, out->to), buf_bytes(&frame));
    buf_deinit(&frame);
}

static int send_piece(quorum_t *q, outgoing_t *out)
{
    size_t bytes = MIN(out->file_bytes - out->arrived, (uint64_t)q->piece_bytes);
    if (bytes == 0) return 0; /* all of it is there: it is being loaded */
    uint8_t *data = mem_alloc(bytes);
    ssize_t n = io_file_read(out->file, out->arrived, data, bytes);
    if (n == (ssize_t)bytes) {
        out->flying = bytes;
        out->flying_crc = crc32c(out->arrived_crc, data, bytes);
        send_data(q, out, bytes_of(data, bytes), out->flying_crc);
    }
    mem_free(data);
    return n < 0 ? (int)n : n < (ssize_t)bytes ? ERR_CORRUPT : 0;
}

static void look_after(io_timer_t *timer)
{
    quorum_t *q = CONTAINER_OF(timer, quorum_t, outgoing_timer);
    uint64_t now = quorum__now_ms(q);
    if (q->stopped) return;
    LIST_EACH(&q->outgoing, out, outgoing_t, node) {
        raft_index match = 0;
        bool there = raft_match_index(&q->raft, out->to, &match) == 0 && match >= out->message.last_index;
        if (there || now - out->heard_ms >= QUORUM_SNAPSHOT_SILENCE_MS)
            end(out);
        else if (now - out->heard_ms >= ASK_MS)
            send_data(q, out, BYTES_NULL, out->arrived_crc);
    }
    if (!list_empty(&q->outgoing)) io_timer_start(timer, ASK_MS, 0);
}

/* Its file must stay readable when it is removed meanwhile: it stays open. */
static int open_file(quorum_t *q, outgoing_t *out)
{
    char *path = snapshot_path(q->dir, out->message.last_index);
    snapshot_reader_t *reader = NULL;
    int err = snapshot_reader_open(q->loop, path, NULL, &reader);
    if (!err) out->configuration = snapshot_point_copy(snapshot_reader_point(reader)).configuration;
    if (!err) snapshot_reader_free(reader);
    if (!err) err = io_file_open(q->loop, path, IO_FILE_READ, &out->file);
    mem_free(path);
    return err ? err : io_file_size(out->file, &out->file_bytes);
}

int quorum__outgoing_begin(quorum_t *q, const struct raft_message *message)
{
    if (find(q, message->server_id)) return 0;
    outgoing_t *out = mem_zalloc(sizeof(*out));
    list_init(&out->node);
    out->to = message->server_id;
    out->message = message->install_snapshot;
    out->heard_ms = quorum__now_ms(q);
    int err = open_file(q, out);
    if (!err) err = send_piece(q, out);
    if (err) {
        end(out);
        return err;
    }
    if (!q->outgoing_timer.loop) io_timer_init(q->loop, &q->outgoing_timer, look_after);
    if (list_empty(&q->outgoing)) io_timer_start(&q->outgoing_timer, ASK_MS, 0);
    list_push_back(&q->outgoing, &out->node);
    q->figures.snapshots_sent++;
    return 0;
}

int quorum__outgoing_wanted(quorum_t *q, uint64_t from, jute_reader_t *r)
{
    zk_snapshot_wanted_t wanted;
    zk_snapshot_wanted_get(r, &wanted);
    outgoing_t *out = find(q, from);
    if (r->bad || !out || (uint64_t)wanted.term != out->message.term) return 0;
    if ((uint64_t)wanted.index != out->message.last_index) return 0;
    uint64_t offset = (uint64_t)wanted.offset;
    if (offset > out->arrived + out->flying) return 0;
    out->heard_ms = quorum__now_ms(q);
    if (offset == out->arrived + out->flying) {
        out->arrived = offset;
        out->arrived_crc = out->flying_crc;
    } else if (offset != out->arrived) { /* no longer what it had */
        out->arrived = out->arrived_crc = 0;
    }
    out->flying = 0;
    out->flying_crc = out->arrived_crc;
    return send_piece(q, out);
}
