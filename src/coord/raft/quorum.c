/* quorum.c: see quorum.h. The turning wheel: an event into raft_step, its update carried out, what is committed applied.
 * Opening is in quorum_open.c, the bytes of messages in quorum_wire.c. */
#include "coord/raft/quorum_internal.h"

#include "base/hash.h"

#include <stdio.h>

uint64_t quorum__now_ms(const quorum_t *q) { return io_now_ns(q->loop) / 1000000; }

void quorum__fail(quorum_t *q, const char *what, int err)
{
    if (q->stopped) return;
    q->stopped = true;
    q->machine.failed(q->machine.user, what, err);
}

quorum_entry_t *quorum__entry_new(uint8_t *buf, size_t payload_bytes, uint8_t type, void *tag)
{
    quorum_entry_t *entry = mem_zalloc(sizeof(*entry));
    entry->buf = buf;
    entry->payload_bytes = payload_bytes;
    entry->type = type;
    entry->tag = tag;
    list_init(&entry->node);
    return entry;
}

void quorum__entry_free(quorum_entry_t *entry)
{
    list_remove(&entry->node);
    mem_free(entry->buf);
    mem_free(entry);
}

size_t quorum__vote_text(uint64_t term, uint64_t vote, char out[QUORUM_VOTE_BYTES_MAX])
{
    int n = snprintf(out, QUORUM_VOTE_BYTES_MAX, "term=%" PRIu64 " vote=%" PRIu64, term, vote);
    n += snprintf(out + n, QUORUM_VOTE_BYTES_MAX - (size_t)n, " crc=%08" PRIx32 "\n", crc32c(0, out, (size_t)n));
    return (size_t)n;
}

/* A lone voter has nobody to vote for or against, and its term is that of its last entry: nothing to sync at start. */
int quorum__save_vote(quorum_t *q)
{
    if (quorum_voters(q) <= 1) return 0;
    char text[QUORUM_VOTE_BYTES_MAX];
    raft_term term = raft_current_term(&q->raft);
    raft_id vote = raft_voted_for(&q->raft);
    if (q->saved_term == term && q->saved_vote == vote) return 0;
    int err = io_replace_whole(q->loop, q->vote_path, bytes_of(text, quorum__vote_text(term, vote, text)));
    if (err) return err;
    q->saved_term = term;
    q->saved_vote = vote;
    return 0;
}

/* ---- entries to the log -------------------------------------------------------------------------------------------- */

/* What was submitted here carries its quorum_entry_t as `batch`; a barrier of libraft and entries from a leader are
 * copied out of the block that `batch` is. */
static quorum_entry_t *take_entry(const struct raft_event *event, const struct raft_entry *raft_entry)
{
    if (event->type == RAFT_SUBMIT) return raft_entry->batch;
    uint8_t *buf = mem_alloc(WAL_HEADROOM_BYTES + raft_entry->buf.len + WAL_TAIL_BYTES);
    memcpy(buf + WAL_HEADROOM_BYTES, raft_entry->buf.base, raft_entry->buf.len);
    return quorum__entry_new(buf, raft_entry->buf.len, (uint8_t)raft_entry->type, NULL);
}

/* A follower's tail that the leader does not have: it was never committed. */
static int cut_tail(quorum_t *q, uint64_t index)
{
    LIST_EACH(&q->entries, entry, quorum_entry_t, node) {
        if (entry->index < index) continue;
        if (entry->tag) q->machine.dropped(q->machine.user, entry->tag);
        quorum__entry_free(entry);
    }
    q->generation++;
    q->stored = MIN(q->stored, index - 1);
    return wal_truncate(&q->wal, index);
}

/* Released 0.22.1 points back at the event's own array (or at its barrier); what follows it allocates a copy. */
static bool batch_allocated(const quorum_t *q, const struct raft_event *event, const struct raft_entry *batch)
{
    const struct raft_entry *given = NULL;
    size_t n = 0;
    if (event->type == RAFT_SUBMIT) {
        given = event->submit.entries;
        n = event->submit.n;
    } else if (event->type == RAFT_RECEIVE && event->receive.message->type == RAFT_APPEND_ENTRIES) {
        given = event->receive.message->append_entries.entries;
        n = event->receive.message->append_entries.n_entries;
    }
    bool in_event = given != NULL && batch >= given && batch < given + n;
    return !in_event && !quorum__within_raft(q, batch);
}

static int append_entries(quorum_t *q, const struct raft_event *event, struct raft_update *update)
{
    uint64_t index = update->entries.index;
    int err = index < wal_end(&q->wal) ? cut_tail(q, index) : 0;
    for (unsigned i = 0; i < update->entries.n; i++) {
        struct raft_entry *raft_entry = &update->entries.batch[i];
        quorum_entry_t *entry = take_entry(event, raft_entry);
        entry->index = index + i;
        entry->term = raft_entry->term;
        list_push_back(&q->entries, &entry->node);
        if (!err) err = wal_append(&q->wal, entry->index, entry->term, entry->type, entry->buf, entry->payload_bytes);
    }
    if (event->type != RAFT_SUBMIT) raft_free(update->entries.batch[0].batch);
    if (batch_allocated(q, event, update->entries.batch)) raft_free(update->entries.batch);
    return err;
}

static int entries_persisted(quorum_t *q, uint64_t index)
{
    if (index <= q->stored) return 0;
    q->stored = index;
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES, .persisted_entries = {index}};
    return quorum__step(q, &event);
}

static void commit_soon(quorum_t *q);

static void committed(log_commit_t *commit, int err)
{
    quorum_t *q = CONTAINER_OF(commit, quorum_t, commit);
    uint64_t took = io_hrtime_ns(q->loop) - q->committing_ns;
    q->committing = false;
    if (q->stopped) return;
    if (err) {
        quorum__fail(q, "the coordination log cannot be made durable", err);
        return;
    }
    wal_synced(&q->wal);
    q->figures.sync_ns_min = q->figures.syncs == 0 ? took : MIN(q->figures.sync_ns_min, took);
    q->figures.syncs++;
    q->figures.sync_ns_total += took;
    q->figures.sync_ns_max = MAX(q->figures.sync_ns_max, took);
    if (q->committing_generation == q->generation) err = entries_persisted(q, q->committing_index);
    if (!err) err = quorum__apply_committed(q);
    if (err) quorum__fail(q, "the coordination log cannot go on", err);
    if (!q->stopped && q->stored + 1 < wal_end(&q->wal)) commit_soon(q);
}

static void commit_soon(quorum_t *q)
{
    if (q->committing) return;
    q->committing = true;
    q->committing_index = wal_end(&q->wal) - 1;
    q->committing_generation = q->generation;
    q->committing_ns = io_hrtime_ns(q->loop);
    /* Alone there is one batch at a time; among several, those of a turn share a sync. */
    if (quorum_voters(q) <= 1)
        log_commit_now(q->wal.log, &q->commit, committed);
    else
        log_commit(q->wal.log, &q->commit, committed);
}

/* ---- the wheel ----------------------------------------------------------------------------------------------------- */

static void note_role(quorum_t *q)
{
    bool leads = quorum__is_leader(q);
    if (leads == q->leads) return;
    q->leads = leads;
    if (!leads) {
        quorum__outgoing_end_all(q);
        /* What was proposed here may yet be committed by the next leader; its proposers are told that nobody knows. */
        LIST_EACH(&q->entries, entry, quorum_entry_t, node) {
            if (!entry->tag) continue;
            q->machine.dropped(q->machine.user, entry->tag);
            entry->tag = NULL;
        }
    }
    q->machine.role(q->machine.user, leads);
}

/* Another server's snapshot takes the place of log and state: the one that quorum_incoming.c offered. */
static int install_snapshot(quorum_t *q, struct raft_update *update)
{
    const struct raft_snapshot_metadata *metadata = &update->snapshot.metadata;
    struct raft_buffer encoded;
    if (raft_configuration_encode(&metadata->configuration, &encoded) != 0) return ERR_NOMEM;
    int err = quorum__load_restore(q, quorum__incoming_path(q), metadata->index);
    if (!err) {
        q->figures.snapshots_received++;
        while (!list_empty(&q->entries)) quorum__entry_free(LIST_FIRST(&q->entries, quorum_entry_t, node));
        q->generation++;
        q->applied = q->stored = metadata->index;
        q->applied_term = metadata->term;
        q->configuration_index = metadata->configuration_index;
        buf_clear(&q->configuration);
        buf_append(&q->configuration, encoded.base, encoded.len);
        err = wal_restart(&q->wal, metadata->index + 1);
    }
    raft_free(encoded.base);
    if (err) {
        raft_configuration_close(&update->snapshot.metadata.configuration);
        return err;
    }
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT};
    event.persisted_snapshot.metadata = *metadata;
    event.persisted_snapshot.offset = update->snapshot.offset;
    event.persisted_snapshot.last = update->snapshot.last;
    return quorum__step(q, &event);
}

/* Order matters: term and vote first, then entries, then what tells others. */
static int carry_out(quorum_t *q, const struct raft_event *event, struct raft_update *update)
{
    int err = 0;
    if (update->flags & (RAFT_UPDATE_CURRENT_TERM | RAFT_UPDATE_VOTED_FOR)) err = quorum__save_vote(q);
    if (!err && (update->flags & RAFT_UPDATE_ENTRIES)) err = append_entries(q, event, update);
    if (!err && (update->flags & RAFT_UPDATE_MESSAGES)) {
        for (unsigned i = 0; !err && i < update->messages.n; i++) err = quorum__send(q, &update->messages.batch[i]);
    }
    if (update->flags & RAFT_UPDATE_STATE) note_role(q);
    if (!err && (update->flags & RAFT_UPDATE_SNAPSHOT)) err = install_snapshot(q, update);
    return err;
}

int quorum__step(quorum_t *q, struct raft_event *event)
{
    struct raft_update update;
    event->time = quorum__now_ms(q);
    int rv = raft_step(&q->raft, event, &update);
    if (rv != 0) return rv == RAFT_NOTLEADER ? ERR_STATE : rv == RAFT_NOMEM ? ERR_NOMEM : ERR_CORRUPT;
    int err = carry_out(q, event, &update);
    if (err) return err;
    if (q->stored + 1 < wal_end(&q->wal) && !q->opening) {
        if (q->sync)
            commit_soon(q);
        else
            err = entries_persisted(q, wal_end(&q->wal) - 1);
    }
    quorum__arm(q);
    return err;
}

static void timed_out(io_timer_t *timer)
{
    quorum_t *q = CONTAINER_OF(timer, quorum_t, timer);
    struct raft_event event = {.type = RAFT_TIMEOUT};
    int err = q->stopped ? 0 : quorum__step(q, &event);
    if (!err && !q->stopped) err = quorum__apply_committed(q);
    if (err) quorum__fail(q, "the coordination log cannot go on", err);
}

/* A lone leader has nobody to hear from and nobody to tell. */
void quorum__arm(quorum_t *q)
{
    if (!q->timer.loop) io_timer_init(q->loop, &q->timer, timed_out);
    if (q->leads && quorum_voters(q) <= 1) {
        io_timer_stop(&q->timer);
        return;
    }
    uint64_t now = quorum__now_ms(q), due = raft_timeout(&q->raft);
    io_timer_start(&q->timer, due > now ? due - now : 1, 0);
}

/* ---- applying ------------------------------------------------------------------------------------------------------ */

static int apply_configuration(quorum_t *q, uint64_t index, bytes_t payload)
{
    struct raft_buffer encoded = {(void *)payload.ptr, payload.len};
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    event.configuration.index = index;
    if (raft_configuration_decode(&encoded, &event.configuration.conf) != 0) return ERR_CORRUPT;
    buf_clear(&q->configuration);
    buf_append(&q->configuration, payload.ptr, payload.len);
    q->configuration_index = index;
    int err = quorum__step(q, &event); /* libraft keeps the configuration */
    return err ? err : quorum__save_vote(q);
}

static int apply_one(quorum_t *q, uint64_t index, uint64_t term, uint8_t type, bytes_t payload, void *tag)
{
    ASSERT(index == q->applied + 1);
    q->applied = index;
    q->applied_term = term;
    if (type == RAFT_CHANGE) return apply_configuration(q, index, payload);
    if (type == RAFT_COMMAND) q->machine.apply(q->machine.user, index, payload, tag);
    return 0;
}

static int apply_read(void *user, const wal_entry_t *entry)
{
    return apply_one(user, entry->index, entry->term, entry->type, entry->payload, NULL);
}

int quorum__apply_committed(quorum_t *q)
{
    int err = 0;
    while (!err && !q->stopped && q->applied < raft_commit_index(&q->raft)) {
        quorum_entry_t *entry = LIST_FIRST(&q->entries, quorum_entry_t, node);
        if (entry && entry->index <= q->applied) {
            quorum__entry_free(entry);
            continue;
        }
        if (entry && entry->index == q->applied + 1) {
            list_remove(&entry->node);
            err = apply_one(q, entry->index, entry->term, entry->type,
                            bytes_of(entry->buf + WAL_HEADROOM_BYTES, entry->payload_bytes), entry->tag);
            quorum__entry_free(entry);
            continue;
        }
        uint64_t last = raft_commit_index(&q->raft), next;
        if (entry) last = MIN(last, entry->index - 1);
        err = wal_read(&q->wal, q->applied + 1, last, QUORUM_READ_BYTES, apply_read, q, &next);
    }
    return err;
}

/* ---- the owner's side ---------------------------------------------------------------------------------------------- */

bool quorum_leads(const quorum_t *q) { return q->leads && !q->stopped; }

uint64_t quorum_leader(const quorum_t *q) { return q->leads ? q->id : quorum__leader_id(q); }

uint32_t quorum_voters(const quorum_t *q)
{
    uint32_t voters = 0;
    const struct raft_configuration *configuration = quorum__configuration(q);
    for (unsigned i = 0; i < configuration->n; i++) voters += configuration->servers[i].role == RAFT_VOTER;
    return voters;
}

int quorum_submit(quorum_t *q, uint8_t *buf, size_t payload_bytes, void *tag)
{
    if (!quorum_leads(q)) return ERR_STATE;
    quorum_entry_t *entry = quorum__entry_new(buf, payload_bytes, RAFT_COMMAND, tag);
    struct raft_entry raft_entry = {.term = raft_current_term(&q->raft),
                                    .type = RAFT_COMMAND,
                                    .buf = {buf + WAL_HEADROOM_BYTES, payload_bytes},
                                    .batch = entry};
    struct raft_event event = {.type = RAFT_SUBMIT, .submit = {&raft_entry, 1}};
    int err = quorum__step(q, &event);
    if (err == ERR_STATE && entry->index == 0) { /* a leadership transfer is under way */
        mem_free(entry);
        return err;
    }
    if (!err && !q->sync) err = quorum__apply_committed(q);
    if (err) quorum__fail(q, "the coordination log cannot be written", err);
    return 0;
}

int quorum_settle(quorum_t *q)
{
    if (quorum_voters(q) != 1 || !q->leads) return 0;
    int err = entries_persisted(q, wal_end(&q->wal) - 1);
    return err ? err : quorum__apply_committed(q);
}

uint64_t quorum_applied(const quorum_t *q) { return q->applied; }

/* At the start libraft is told of all that the log has, before it is synced. */
uint64_t quorum_stored(const quorum_t *q)
{
    uint64_t durable = (uint64_t)log_durable_offset(q->wal.log);
    return q->sync ? MIN(q->stored, MAX(durable, UINT64_C(1)) - 1) : q->stored;
}
uint64_t quorum_log_bytes(const quorum_t *q) { return log_bytes(q->wal.log); }
quorum_figures_t quorum_figures(const quorum_t *q) { return q->figures; }
