/* quorum_wire.c: libraft's messages as bytes for the transport, and back. All numbers are big-endian.
 *
 *   frame:  u8 kind | u8 version of the message | u64 term | what follows the kind
 *     append entries         u64 previous index | u64 its term | u64 commit index | u32 count | entries
 *       entry                u64 term | u8 type | u32 length | payload
 *     append entries result  u64 rejected | u64 last index | u16 features | u16 capacity
 *     request vote           u64 candidate | u64 last index | u64 its term | u8 flags: 1 disrupt leader, 2 pre-vote
 *     request vote result    u8 flags: 1 granted, 2 pre-vote | u16 features | u16 capacity
 *     timeout now            u64 last index | u64 its term
 *
 * A frame that does not decode is dropped, as a network may. Libraft names the entries to send by index only; their bytes
 * come from the log. A member that lags behind the log's start would need a snapshot, which is not sent yet: it stays
 * behind. */
#include "coord/quorum_internal.h"

#define ENTRY_HEAD_BYTES 13
#define ENTRIES_PER_MESSAGE_MAX 4096
enum { FLAG_FIRST = 1, FLAG_PRE_VOTE = 2 };

/* ---- out ----------------------------------------------------------------------------------------------------------- */

static void put_head(buf_t *out, const struct raft_message *message, unsigned version, raft_term term)
{
    buf_u8(out, (uint8_t)message->type);
    buf_u8(out, (uint8_t)version);
    buf_be64(out, term);
}

typedef struct entries_writer {
    buf_t *out;
    uint32_t count;
} entries_writer_t;

static int put_entry(void *user, const wal_entry_t *entry)
{
    entries_writer_t *w = user;
    buf_be64(w->out, entry->term);
    buf_u8(w->out, entry->type);
    buf_be32(w->out, (uint32_t)entry->payload.len);
    buf_append(w->out, entry->payload.ptr, entry->payload.len);
    w->count++;
    return 0;
}

/* Fewer entries than libraft asked for are no harm: the follower tells what it has. */
static int put_entries(quorum_t *q, uint64_t index, unsigned n, buf_t *out)
{
    entries_writer_t w = {out, 0};
    uint64_t next = index, last = index + n - 1;
    size_t count_at = out->len;
    wal_t reader = {q->loop, q->wal.log, BUF_INIT}; /* with a window of its own: we may be inside an apply from the log */
    int err = 0;
    buf_be32(out, 0);
    while (err == 0 && n > 0 && next <= last && out->len < QUORUM_MESSAGE_BYTES_MAX) {
        err = wal_read(&reader, next, last, QUORUM_READ_BYTES, put_entry, &w, &next);
    }
    buf_deinit(&reader.window);
    store_be32(out->ptr + count_at, w.count);
    return err;
}

static int put_append(quorum_t *q, const struct raft_message *message, buf_t *out)
{
    const struct raft_append_entries *m = &message->append_entries;
    put_head(out, message, m->version, m->term);
    buf_be64(out, m->prev_log_index);
    buf_be64(out, m->prev_log_term);
    buf_be64(out, m->leader_commit);
    return put_entries(q, m->prev_log_index + 1, m->n_entries, out);
}

static void put_append_result(const struct raft_message *message, buf_t *out)
{
    const struct raft_append_entries_result *m = &message->append_entries_result;
    put_head(out, message, m->version, m->term);
    buf_be64(out, m->rejected);
    buf_be64(out, m->last_log_index);
    buf_be16(out, m->features);
    buf_be16(out, m->capacity);
}

static void put_vote(const struct raft_message *message, buf_t *out)
{
    const struct raft_request_vote *m = &message->request_vote;
    put_head(out, message, m->version, m->term);
    buf_be64(out, m->candidate_id);
    buf_be64(out, m->last_log_index);
    buf_be64(out, m->last_log_term);
    buf_u8(out, (m->disrupt_leader ? FLAG_FIRST : 0) | (m->pre_vote ? FLAG_PRE_VOTE : 0));
}

static void put_vote_result(const struct raft_message *message, buf_t *out)
{
    const struct raft_request_vote_result *m = &message->request_vote_result;
    put_head(out, message, m->version, m->term);
    buf_u8(out, (m->vote_granted ? FLAG_FIRST : 0) | (m->pre_vote ? FLAG_PRE_VOTE : 0));
    buf_be16(out, m->features);
    buf_be16(out, m->capacity);
}

static void put_timeout_now(const struct raft_message *message, buf_t *out)
{
    const struct raft_timeout_now *m = &message->timeout_now;
    put_head(out, message, m->version, m->term);
    buf_be64(out, m->last_log_index);
    buf_be64(out, m->last_log_term);
}

int quorum__send(quorum_t *q, const struct raft_message *message)
{
    buf_t out = BUF_INIT;
    int err = 0;
    if (q->transport == NULL) return ERR_STATE;
    switch (message->type) {
    case RAFT_APPEND_ENTRIES: err = put_append(q, message, &out); break;
    case RAFT_APPEND_ENTRIES_RESULT: put_append_result(message, &out); break;
    case RAFT_REQUEST_VOTE: put_vote(message, &out); break;
    case RAFT_REQUEST_VOTE_RESULT: put_vote_result(message, &out); break;
    case RAFT_TIMEOUT_NOW: put_timeout_now(message, &out); break;
    case RAFT_INSTALL_SNAPSHOT: break;
    }
    if (err == 0 && out.len > 0) {
        q->transport->send(q->transport, message->server_id, message->server_address, buf_bytes(&out));
    }
    buf_deinit(&out);
    return err;
}

/* ---- in ------------------------------------------------------------------------------------------------------------ */

typedef struct frame_reader {
    const uint8_t *at;
    size_t left;
    bool bad;
} frame_reader_t;

static const uint8_t *take(frame_reader_t *r, size_t n)
{
    static const uint8_t zeros[8];
    if (r->bad || r->left < n) {
        r->bad = true;
        return n <= sizeof(zeros) ? zeros : NULL;
    }
    const uint8_t *at = r->at;
    r->at += n;
    r->left -= n;
    return at;
}

static uint8_t take_u8(frame_reader_t *r) { return *take(r, 1); }
static uint16_t take_u16(frame_reader_t *r) { return load_be16(take(r, 2)); }
static uint32_t take_u32(frame_reader_t *r) { return load_be32(take(r, 4)); }
static uint64_t take_u64(frame_reader_t *r) { return load_be64(take(r, 8)); }

static raft_term take_term(frame_reader_t *r)
{
    raft_term term = take_u64(r);
    if (term > INT32_MAX) r->bad = true; /* the log keeps terms in 32 bits */
    return term;
}

/* Entries in one array, their payloads in one block, which libraft and append_entries (quorum.c) pass on and free by
 * entries[0].batch. */
static void take_entries(frame_reader_t *r, struct raft_append_entries *m)
{
    uint32_t n = take_u32(r);
    if (n > ENTRIES_PER_MESSAGE_MAX || (size_t)n * ENTRY_HEAD_BYTES > r->left) r->bad = true;
    if (r->bad || n == 0) return;
    struct raft_entry *entries = mem_zalloc(n * sizeof(*entries));
    uint8_t *block = raft_malloc(r->left);
    size_t used = 0;
    for (uint32_t i = 0; block != NULL && i < n; i++) {
        entries[i].term = take_term(r);
        uint8_t type = take_u8(r);
        size_t bytes = take_u32(r);
        if (type < RAFT_COMMAND || type > RAFT_CHANGE || bytes > WAL_ENTRY_BYTES_MAX) r->bad = true;
        const uint8_t *payload = take(r, bytes);
        if (r->bad) break;
        memcpy(block + used, payload, bytes);
        entries[i].type = type;
        entries[i].buf = (struct raft_buffer){block + used, bytes};
        entries[i].batch = block;
        used += bytes;
    }
    if (r->bad || block == NULL) {
        r->bad = true;
        raft_free(block);
        mem_free(entries);
        return;
    }
    m->entries = entries;
    m->n_entries = n;
}

static void take_append(frame_reader_t *r, struct raft_append_entries *m)
{
    m->term = take_term(r);
    m->prev_log_index = take_u64(r);
    m->prev_log_term = take_term(r);
    m->leader_commit = take_u64(r);
    take_entries(r, m);
}

static void take_append_result(frame_reader_t *r, struct raft_append_entries_result *m)
{
    m->term = take_term(r);
    m->rejected = take_u64(r);
    m->last_log_index = take_u64(r);
    m->features = take_u16(r);
    m->capacity = take_u16(r);
}

static void take_vote(frame_reader_t *r, struct raft_request_vote *m)
{
    m->term = take_term(r);
    m->candidate_id = take_u64(r);
    m->last_log_index = take_u64(r);
    m->last_log_term = take_term(r);
    uint8_t flags = take_u8(r);
    m->disrupt_leader = flags & FLAG_FIRST;
    m->pre_vote = flags & FLAG_PRE_VOTE;
}

static void take_vote_result(frame_reader_t *r, struct raft_request_vote_result *m)
{
    m->term = take_term(r);
    uint8_t flags = take_u8(r);
    m->vote_granted = flags & FLAG_FIRST;
    m->pre_vote = flags & FLAG_PRE_VOTE;
    m->features = take_u16(r);
    m->capacity = take_u16(r);
}

static void take_timeout_now(frame_reader_t *r, struct raft_timeout_now *m)
{
    m->term = take_term(r);
    m->last_log_index = take_u64(r);
    m->last_log_term = take_term(r);
}

/* Every message of libraft begins with its version. */
static bool decode(bytes_t frame, struct raft_message *message)
{
    frame_reader_t r = {frame.ptr, frame.len, false};
    message->type = take_u8(&r);
    uint8_t version = take_u8(&r);
    switch (message->type) {
    case RAFT_APPEND_ENTRIES: take_append(&r, &message->append_entries); break;
    case RAFT_APPEND_ENTRIES_RESULT: take_append_result(&r, &message->append_entries_result); break;
    case RAFT_REQUEST_VOTE: take_vote(&r, &message->request_vote); break;
    case RAFT_REQUEST_VOTE_RESULT: take_vote_result(&r, &message->request_vote_result); break;
    case RAFT_TIMEOUT_NOW: take_timeout_now(&r, &message->timeout_now); break;
    default: return false;
    }
    message->request_vote.version = version;
    return !r.bad;
}

static const char *address_of(const quorum_t *q, uint64_t id)
{
    for (unsigned i = 0; i < q->raft.configuration.n; i++) {
        if (q->raft.configuration.servers[i].id == id) return q->raft.configuration.servers[i].address;
    }
    return NULL;
}

void quorum_receive(quorum_t *q, uint64_t from, bytes_t frame)
{
    struct raft_message message = {.server_id = from, .server_address = address_of(q, from)};
    if (q->stopped || message.server_address == NULL || !decode(frame, &message)) return;
    struct raft_entry *entries = message.type == RAFT_APPEND_ENTRIES ? message.append_entries.entries : NULL;
    struct raft_event event = {.type = RAFT_RECEIVE, .receive = {&message}};
    int err = quorum__step(q, &event);
    if (err == 0) err = quorum__apply_committed(q);
    mem_free(entries);
    if (err != 0) quorum__fail(q, "a message of another server cannot be carried out", err);
}
