/* quorum_wire.c: libraft's messages as bytes for the transport, and back: an int32 type (enum raft_message_type), then the
 * Jute record of schema/zookeeper/records.schema. Libraft names entries by index only; their bytes come from the log. */
#include "coord/raft/quorum_internal.h"

/* ---- sending ------------------------------------------------------------------------------------------------------- */

static int add_entry(void *user, const wal_entry_t *entry)
{
    zk_raft_entry_t record = {(int64_t)entry->term, entry->type, entry->payload};
    QUORUM_PUT((buf_t *)user, raft_entry, &record);
    return 0;
}

/* The record's last field is the vector of entries: its count is written over, and the elements follow. Where they would
 * make the frame too large, fewer go: the follower says what it has, and libraft goes on from there. */
static int put_append(quorum_t *q, buf_t *frame, const struct raft_append_entries *m)
{
    zk_raft_append_t record = {m->version,
                               (int64_t)m->term,
                               (int64_t)m->prev_log_index,
                               (int64_t)m->prev_log_term,
                               (int64_t)m->leader_commit,
                               NULL,
                               0};
    QUORUM_PUT(frame, raft_append, &record);
    size_t count_at = frame->len - 4;
    uint64_t first = m->prev_log_index + 1, next = first, last = m->prev_log_index + m->n_entries;
    int err = 0;
    while (!err && next <= last && frame->len < QUORUM_APPEND_BYTES_AIM) {
        err = wal_read(&q->wal, next, last, QUORUM_READ_BYTES, add_entry, frame, &next);
    }
    store_be32(frame->ptr + count_at, (uint32_t)(next - first));
    return err;
}

static int put_message(quorum_t *q, buf_t *frame, const struct raft_message *message)
{
    buf_be32(frame, message->type);
    switch (message->type) {
    case RAFT_APPEND_ENTRIES: return put_append(q, frame, &message->append_entries);
    case RAFT_APPEND_ENTRIES_RESULT: {
        const struct raft_append_entries_result *m = &message->append_entries_result;
        zk_raft_append_result_t record = {
            m->version, (int64_t)m->term, (int64_t)m->rejected, (int64_t)m->last_log_index, m->features, m->capacity};
        QUORUM_PUT(frame, raft_append_result, &record);
        return 0;
    }
    case RAFT_REQUEST_VOTE: {
        const struct raft_request_vote *m = &message->request_vote;
        zk_raft_vote_t record = {m->version,
                                 (int64_t)m->term,
                                 (int64_t)m->candidate_id,
                                 (int64_t)m->last_log_index,
                                 (int64_t)m->last_log_term,
                                 m->disrupt_leader,
                                 m->pre_vote};
        QUORUM_PUT(frame, raft_vote, &record);
        return 0;
    }
    case RAFT_REQUEST_VOTE_RESULT: {
        const struct raft_request_vote_result *m = &message->request_vote_result;
        zk_raft_vote_result_t record = {m->version,  (int64_t)m->term, m->vote_granted,
                                        m->pre_vote, m->features,      m->capacity};
        QUORUM_PUT(frame, raft_vote_result, &record);
        return 0;
    }
    case RAFT_TIMEOUT_NOW: {
        const struct raft_timeout_now *m = &message->timeout_now;
        zk_raft_timeout_now_t record = {m->version, (int64_t)m->term, (int64_t)m->last_log_index,
                                        (int64_t)m->last_log_term};
        QUORUM_PUT(frame, raft_timeout_now, &record);
        return 0;
    }
    case RAFT_INSTALL_SNAPSHOT: break; /* goes in pieces */
    }
    return ERR_UNSUPPORTED;
}

/* What cannot be read for another server is not sent, as if the network had lost it; our own disk is another matter. */
int quorum__send(quorum_t *q, const struct raft_message *message)
{
    if (!q->transport) return ERR_STATE;
    buf_t frame = BUF_INIT;
    bool pieces = message->type == RAFT_INSTALL_SNAPSHOT;
    int err = pieces ? quorum__outgoing_begin(q, message) : put_message(q, &frame, message);
    if (!err && !pieces)
        q->transport->send(q->transport, message->server_id, message->server_address, buf_bytes(&frame));
    buf_deinit(&frame);
    return err == ERR_IO || err == ERR_CORRUPT ? err : 0;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------- */

/* Libraft wants the entries of a message in one block from its own allocator. */
static bool get_append(const quorum_t *q, jute_reader_t *r, struct raft_append_entries *m)
{
    zk_raft_append_t record;
    zk_raft_append_get(r, &record);
    if (r->bad || record.entries_count < 0) return false;
    *m = (struct raft_append_entries){.version = (unsigned char)record.version,
                                      .term = (raft_term)record.term,
                                      .prev_log_index = (raft_index)record.prev_index,
                                      .prev_log_term = (raft_term)record.prev_term,
                                      .leader_commit = (raft_index)record.leader_commit,
                                      .n_entries = (unsigned)record.entries_count};
    if (record.entries_count == 0) return true;
    /* Overtaken by a snapshot. Libraft would take what is below its log for new. */
    if (m->prev_log_index < quorum__log_offset(q)) return false;
    size_t bytes = 8;
    for (int32_t i = 0; i < record.entries_count; i++) bytes += (record.entries[i].data.len + 7) & ~(size_t)7;
    m->entries = arena_try_alloc(r->arena, sizeof(struct raft_entry) * (size_t)record.entries_count);
    if (!m->entries) return false;
    uint8_t *block = raft_malloc(bytes), *at = block + 8;
    ASSERT(block);
    for (int32_t i = 0; i < record.entries_count; i++) {
        bytes_t data = record.entries[i].data;
        m->entries[i] = (struct raft_entry){.term = (raft_term)record.entries[i].term,
                                            .type = record.entries[i].type,
                                            .buf = {at, data.len},
                                            .batch = block};
        if (data.len > 0) memcpy(at, data.ptr, data.len);
        at += (data.len + 7) & ~(size_t)7;
    }
    return true;
}

static bool get_message(const quorum_t *q, jute_reader_t *r, struct raft_message *message)
{
    switch (message->type) {
    case RAFT_APPEND_ENTRIES: return get_append(q, r, &message->append_entries);
    case RAFT_APPEND_ENTRIES_RESULT: {
        zk_raft_append_result_t record;
        zk_raft_append_result_get(r, &record);
        message->append_entries_result = (struct raft_append_entries_result){
            (unsigned char)record.version, (raft_term)record.term,          (raft_index)record.rejected,
            (raft_index)record.last_index, (unsigned short)record.features, (unsigned short)record.capacity};
        return !r->bad;
    }
    case RAFT_REQUEST_VOTE: {
        zk_raft_vote_t record;
        zk_raft_vote_get(r, &record);
        message->request_vote = (struct raft_request_vote){(unsigned char)record.version,
                                                           (raft_term)record.term,
                                                           (raft_id)record.candidate,
                                                           (raft_index)record.last_index,
                                                           (raft_term)record.last_term,
                                                           record.disrupt,
                                                           record.pre_vote};
        return !r->bad;
    }
    case RAFT_REQUEST_VOTE_RESULT: {
        zk_raft_vote_result_t record;
        zk_raft_vote_result_get(r, &record);
        message->request_vote_result = (struct raft_request_vote_result){
            (unsigned char)record.version,   (raft_term)record.term,         record.granted, record.pre_vote,
            (unsigned short)record.features, (unsigned short)record.capacity};
        return !r->bad;
    }
    case RAFT_TIMEOUT_NOW: {
        zk_raft_timeout_now_t record;
        zk_raft_timeout_now_get(r, &record);
        message->timeout_now = (struct raft_timeout_now){(unsigned char)record.version, (raft_term)record.term,
                                                         (raft_index)record.last_index, (raft_term)record.last_term};
        return !r->bad;
    }
    case RAFT_INSTALL_SNAPSHOT: break;
    }
    return false;
}

const char *quorum__address_of(const quorum_t *q, uint64_t id)
{
    const struct raft_configuration *configuration = quorum__configuration(q);
    for (unsigned i = 0; i < configuration->n; i++) {
        if (configuration->servers[i].id == id) return configuration->servers[i].address;
    }
    return "unknown";
}

/* An answer to a candidate that is none any more. Libraft ignores its vote too, but looks first whether the election is a
 * mere pre-vote, in a union that then holds the follower's or the leader's state: 0.22.1 took a byte of a pointer for that
 * flag, and where it was 0, a late answer to a pre-vote raised the term and unseated the leader. */
static bool late_vote(const quorum_t *q, int32_t type)
{
    return type == RAFT_REQUEST_VOTE_RESULT && !quorum__is_candidate(q);
}

static int receive_message(quorum_t *q, uint64_t from, int32_t type, jute_reader_t *r)
{
    if (late_vote(q, type)) return 0;
    struct raft_message message = {
        .type = (enum raft_message_type)type, .server_id = from, .server_address = quorum__address_of(q, from)};
    if (!get_message(q, r, &message)) return 0;
    struct raft_event event = {.type = RAFT_RECEIVE, .receive = {&message}};
    int err = quorum__step(q, &event);
    return err ? err : quorum__apply_committed(q);
}

void quorum_receive(quorum_t *q, uint64_t from, bytes_t frame)
{
    if (q->stopped) return;
    arena_t arena;
    arena_init(&arena, QUORUM_MESSAGE_ARENA_BYTES_MAX);
    jute_reader_t r = jute_reader(frame, &arena);
    int err = 0;
    int32_t type = jute_get_int(&r);
    switch (type) {
    case QUORUM_SNAPSHOT_PIECE: quorum__incoming_piece(q, from, &r); break;
    case QUORUM_SNAPSHOT_WANTED: err = quorum__outgoing_wanted(q, from, &r); break;
    default: err = receive_message(q, from, type, &r);
    }
    arena_deinit(&arena);
    if (err) quorum__fail(q, "a message of another server cannot be carried out", err);
}
