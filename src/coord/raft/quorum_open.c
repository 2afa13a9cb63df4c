/* quorum_open.c: from the disk to a running member, and back. A directory without a log and without a snapshot is a new
 * cluster: its first entry is the configuration. */
#include "coord/raft/quorum_internal.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct loading {
    quorum_opening_t *opening;
    struct raft_entry *entries;
    unsigned count, cap;
    uint64_t index; /* of the first */
} loading_t;

static int load_vote(quorum_t *q, quorum_opening_t *opening, raft_term *ret_term, raft_id *ret_vote)
{
    uint8_t *data;
    size_t bytes;
    char again[QUORUM_VOTE_BYTES_MAX];
    *ret_term = *ret_vote = 0;
    int err = io_read_whole(q->loop, q->vote_path, QUORUM_VOTE_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND) return 0;
    if (!err) {
        int fields = sscanf((const char *)data, "term=%llu vote=%llu", ret_term, ret_vote);
        size_t n = quorum__vote_text(*ret_term, *ret_vote, again);
        if (fields != 2 || n != bytes || memcmp(again, data, n) != 0) err = ERR_DAMAGED;
        mem_free(data);
    }
    if (err == ERR_LIMIT) err = ERR_DAMAGED;
    if (err == ERR_DAMAGED)
        quorum_opening_why(opening, "the file raft-vote, which says whom this server voted for, is damaged");
    q->saved_term = *ret_term;
    q->saved_vote = *ret_vote;
    return err;
}

/* Libraft wants term and kind of each entry, and the bytes of configurations only. */
static int load_entry(void *user, const wal_entry_t *entry)
{
    loading_t *l = user;
    uint64_t before = l->count > 0 ? l->entries[l->count - 1].term : 0;
    if (entry->term < before) { /* the checksum of a batch does not cover it */
        quorum_opening_why(l->opening,
                           "the log's entry %" PRIu64 " is of term %" PRIu64 ", and the one before it of term %" PRIu64,
                           entry->index, entry->term, before);
        return ERR_DAMAGED;
    }
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->entries = mem_realloc(l->entries, l->cap * sizeof(*l->entries));
    }
    struct raft_entry *out = &l->entries[l->count++];
    *out = (struct raft_entry){.term = entry->term, .type = entry->type};
    if (entry->type == RAFT_CHANGE) {
        out->buf.base = mem_alloc(entry->payload.len + 1);
        out->buf.len = entry->payload.len;
        memcpy(out->buf.base, entry->payload.ptr, entry->payload.len);
    }
    return 0;
}

static int load_log(quorum_t *q, loading_t *l)
{
    uint64_t next = wal_first(&q->wal), end = wal_end(&q->wal);
    l->index = next;
    int err = 0;
    while (!err && next < end) err = wal_read(&q->wal, next, end - 1, QUORUM_READ_BYTES, load_entry, l, &next);
    if (err == ERR_CORRUPT || err == ERR_NOT_FOUND) {
        quorum_opening_why(l->opening,
                           "the log has something else than this group's entries at entry %" PRIu64 " or behind it",
                           l->index + l->count);
        return ERR_DAMAGED;
    }
    l->opening->entries = l->count;
    return err;
}

static void free_loading(loading_t *l)
{
    for (unsigned i = 0; i < l->count; i++) mem_free(l->entries[i].buf.base);
    mem_free(l->entries);
}

/* Another server's snapshot was put in place, and this one died before the log began anew behind it. What the log has then
 * may be what another leader once proposed and nobody committed. */
static int drop_other_past(quorum_t *q, const snapshot_point_t *snapshot, loading_t *l)
{
    if (!snapshot || snapshot->index < l->index || snapshot->index >= l->index + l->count) return 0;
    uint64_t term = l->entries[snapshot->index - l->index].term;
    if (term == snapshot->term) return 0;
    if (!q->transport && q->sync) {
        quorum_opening_why(l->opening,
                           "the snapshot of entry %" PRIu64 " says that its term was %" PRIu64
                           ", and the log says %" PRIu64 ": one of them is another server's",
                           snapshot->index, snapshot->term, term);
        return ERR_DAMAGED;
    }
    free_loading(l);
    *l = (loading_t){.opening = l->opening, .index = snapshot->index + 1};
    return wal_set_aside(&q->wal, snapshot->index + 1);
}

/* Entry 1 of a new log. Not synced: whatever is later acknowledged syncs this too, and without anything acknowledged
 * the next start may as well begin anew. */
static int bootstrap(quorum_t *q, const quorum_options_t *options)
{
    struct raft_configuration configuration;
    struct raft_buffer encoded = {0};
    raft_configuration_init(&configuration);
    int rv = 0;
    for (int i = 0; rv == 0 && i < options->members_count; i++) {
        rv = raft_configuration_add(&configuration, options->members[i].id, options->members[i].address, RAFT_VOTER);
    }
    if (rv == 0) rv = raft_configuration_encode(&configuration, &encoded);
    raft_configuration_close(&configuration);
    if (rv != 0) return ERR_INVALID;
    uint8_t *buf = mem_alloc(WAL_HEADROOM_BYTES + encoded.len + WAL_TAIL_BYTES);
    memcpy(buf + WAL_HEADROOM_BYTES, encoded.base, encoded.len);
    int err = wal_append(&q->wal, 1, 1, RAFT_CHANGE, buf, encoded.len);
    mem_free(buf);
    raft_free(encoded.base);
    return err;
}

static int start(quorum_t *q, const snapshot_point_t *snapshot, quorum_opening_t *opening)
{
    loading_t l = {.opening = opening};
    struct raft_snapshot_metadata metadata = {0};
    struct raft_event event = {.type = RAFT_START};
    int err = load_vote(q, opening, &event.start.term, &event.start.voted_for);
    if (!err) err = load_log(q, &l);
    if (!err) err = drop_other_past(q, snapshot, &l);
    if (err) goto out;
    if (snapshot) {
        struct raft_buffer encoded = {(void *)snapshot->configuration.ptr, snapshot->configuration.len};
        metadata.index = snapshot->index;
        metadata.term = snapshot->term;
        metadata.configuration_index = snapshot->configuration_index;
        if (raft_configuration_decode(&encoded, &metadata.configuration) != 0) {
            err = ERR_CORRUPT;
            goto out;
        }
        event.start.metadata = &metadata;
        event.start.term = MAX(event.start.term, snapshot->term);
    }
    if (l.count > 0) event.start.term = MAX(event.start.term, l.entries[l.count - 1].term);
    event.start.start_index = l.index;
    event.start.entries = l.entries;
    event.start.n_entries = l.count;
    q->stored = wal_end(&q->wal) - 1;
    err = quorum__step(q, &event); /* libraft keeps the snapshot's configuration */
out:
    free_loading(&l);
    return err;
}

static int start_raft(quorum_t *q, const quorum_options_t *options)
{
    if (raft_init(&q->raft, NULL, NULL, options->id, q->address) != 0) return ERR_NOMEM;
    q->raft_open = true;
    quorum__silence_tracer(q);
    unsigned seed;
    io_random(q->loop, &seed, sizeof(seed));
    raft_seed(&q->raft, seed);
    raft_set_pre_vote(&q->raft, true);
    if (options->election_timeout_ms != 0) raft_set_election_timeout(&q->raft, options->election_timeout_ms);
    if (options->heartbeat_ms != 0) raft_set_heartbeat_timeout(&q->raft, options->heartbeat_ms);
    return 0;
}

static const char *own_address(const quorum_options_t *options)
{
    for (int i = 0; i < options->members_count; i++) {
        if (options->members[i].id == options->id) return options->members[i].address;
    }
    return "local";
}

static char *join(const char *dir, const char *name)
{
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/%s", dir, name);
    buf_u8(&path, 0);
    return (char *)path.ptr;
}

static quorum_t *quorum_new(io_loop_t *loop, const quorum_options_t *options, const quorum_machine_t *machine)
{
    quorum_t *q = mem_zalloc(sizeof(*q));
    q->loop = loop;
    q->machine = *machine;
    q->id = options->id;
    q->transport = options->transport;
    q->sync = options->sync;
    q->opening = true;
    q->vote_path = join(options->dir, "raft-vote");
    q->dir = mem_strdup(options->dir);
    q->address = mem_strdup(own_address(options));
    list_init(&q->entries);
    list_init(&q->outgoing);
    q->trailing_entries = options->trailing_entries != 0 ? options->trailing_entries : QUORUM_TRAILING_ENTRIES;
    q->piece_bytes = options->piece_bytes != 0 ? options->piece_bytes : QUORUM_PIECE_BYTES_MAX;
    ASSERT(q->trailing_entries >= QUORUM_TRAILING_ENTRIES_MIN);
    ASSERT(q->piece_bytes <= QUORUM_PIECE_BYTES_MAX);
    return q;
}

/* What a killed process left in the page cache is not yet durable, and the leader will soon be told that it is stored. */
static int sync_leftovers(const quorum_t *q, const char *log_dir)
{
    if (!q->transport || !q->sync) return 0;
    int err = io_sync_tree(q->loop, q->dir);
    return err == 0 && strcmp(log_dir, q->dir) != 0 ? io_sync_tree(q->loop, log_dir) : err;
}

static void stand_at(quorum_t *q, const snapshot_point_t *snapshot)
{
    q->applied = snapshot->index;
    q->applied_term = snapshot->term;
    q->configuration_index = snapshot->configuration_index;
    buf_append(&q->configuration, snapshot->configuration.ptr, snapshot->configuration.len);
}

static int open_log(quorum_t *q, const quorum_options_t *options, uint64_t end_min, quorum_opening_t *opening)
{
    wal_need_t need = {.first = q->applied + 1,
                       .end = end_min,
                       .alone = options->transport == NULL && options->sync,
                       .sync = options->sync};
    const char *log_dir = options->log_dir != NULL ? options->log_dir : options->dir;
    int err = wal_open(q->loop, log_dir, &need, opening, &q->wal);
    if (err) return err;
    q->wal.reserve = options->reserve;
    if (q->applied == 0 && wal_end(&q->wal) == 1) {
        opening->fresh = true;
        err = bootstrap(q, options);
    }
    if (!err) err = quorum__incoming_clean(q);
    return err ? err : sync_leftovers(q, log_dir);
}

int quorum_open(io_loop_t *loop, const quorum_options_t *options, const quorum_machine_t *machine,
                quorum_t **ret_quorum)
{
    quorum_opening_t own = {0}, *opening = options->opening != NULL ? options->opening : &own;
    quorum_t *q = quorum_new(loop, options, machine);
    snapshot_point_t point = {0};
    uint64_t end_min = 0;
    int err = quorum__load_newest(q, opening, &point, &end_min);
    if (!err && point.index > 0) stand_at(q, &point);
    if (!err) err = open_log(q, options, end_min, opening);
    if (!err) err = start_raft(q, options);
    if (!err) err = start(q, point.index > 0 ? &point : NULL, opening);
    if (!err) err = quorum__save_vote(q);
    if (!err) err = quorum__apply_committed(q);
    snapshot_point_deinit(&point);
    q->opening = false;
    if (err) {
        quorum_close(q);
        return err;
    }
    *ret_quorum = q;
    return 0;
}

void quorum_close(quorum_t *q)
{
    q->stopped = true;
    if (q->timer.loop) io_timer_stop(&q->timer);
    if (q->outgoing_timer.loop) io_timer_stop(&q->outgoing_timer);
    quorum__outgoing_end_all(q);
    quorum__incoming_end(q);
    quorum__snapshot_abandon(q);
    if (q->wal.loop) (void)!wal_close(&q->wal);
    if (q->raft_open) raft_close(&q->raft, NULL);
    while (!list_empty(&q->entries)) {
        quorum_entry_t *entry = LIST_FIRST(&q->entries, quorum_entry_t, node);
        if (entry->tag) q->machine.dropped(q->machine.user, entry->tag);
        quorum__entry_free(entry);
    }
    buf_deinit(&q->configuration);
    mem_free(q->vote_path);
    mem_free(q->dir);
    mem_free(q->address);
    mem_free(q);
}
