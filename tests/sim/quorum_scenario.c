/* quorum_scenario.c: the replicated log of the coordination tree with three members, through crashes, kills, partitions,
 * connections that break and disks that run full.
 *
 * Each member applies numbered entries to a list. Whenever one applies, and whenever one has come back and replayed, its
 * list is compared with the longest that any member ever applied: the same entry at the same index, always. An entry whose
 * submitter was told it is committed stays committed. When the faults end, a leader is elected and everybody catches up.
 *
 * Members take snapshots and keep few entries below them, so that one that was away needs another's: many pieces long, and cut
 * in their middle by whatever happens. A snapshot holds the whole list, and a padding that shows any byte out of place. */
#include "machine.h"

#include "base/buf.h"
#include "coord/raft/quorum.h"

#include <stdio.h>

#define MEMBERS          3
#define PORT             2888
#define ENTRIES_MAX      4000
#define PAYLOAD_BYTES    8
#define FRAME_HEAD_BYTES 12 /* length u32, sender u64 */
#define FRAME_BYTES_MAX  MIB(8)
#define DIR              "/data/quorum"
#define SNAPSHOT_ENTRIES 20 /* at least so many between two */
#define PIECE_BYTES      KIB(2)
#define PADDING_WORDS    8000     /* of eight bytes */
#define SPARE_BYTES_MAX  KIB(160) /* what a disk that runs full has left */
#define UNSENT_BYTES_MAX KIB(256) /* to one peer; more is dropped, as a network may */
#define ROUNDS_MAX       12
#define ROUND_MS_MAX     3000
#define SUBMIT_MS_MAX    30
#define ELECTION_MS      300
#define HEARTBEAT_MS     50
#define HEAL_MS          60000

typedef struct member member_t;
typedef struct world world_t;

typedef struct link { /* to one peer, or from one that connected */
    member_t *member;
    io_stream_t *stream; /* NULL = closed */
    buf_t in, out, late;
    list_t node; /* of the member's accepted ones */
} link_t;

struct member {
    world_t *world;
    machine_t machine;
    uint64_t id;
    char host[16];
    quorum_t *quorum; /* NULL = down */
    quorum_transport_t transport;
    io_listener_t *listener;
    link_t links[MEMBERS]; /* ours, by peer */
    list_t accepted;
    io_timer_t submitter;
    uint64_t applied; /* index of the last applied */
    uint64_t snapshot_index;
    uint64_t written;          /* words of the snapshot being taken */
    snapshot_reader_t *reader; /* of the one being loaded */
    uint64_t loaded;           /* words of it */
    bool disk_full;
};

struct world {
    run_t *run;
    member_t members[MEMBERS];
    quorum_member_t config[MEMBERS];
    uint64_t history[ENTRIES_MAX]; /* what was applied at each index, by whoever was first; 0 = not a command */
    uint64_t history_end;
    uint64_t submitted;
    uint64_t committed_max; /* highest index whose submitter was told */
    bool quiet;             /* no new entries */
    bool calm;              /* no new faults */
    bool unruly;            /* frames are lost, doubled and overtaken */
};

/* ---- transport: frames over streams, dropped whenever that is easier ---- */

static void link_close(link_t *link)
{
    io_stream_close(link->stream);
    link->stream = NULL;
    buf_deinit(&link->in);
    buf_deinit(&link->out);
    buf_deinit(&link->late);
    link->in = link->out = link->late = BUF_INIT;
}

static void link_flush(link_t *link);

static void link_ready(void *user, unsigned events)
{
    link_t *link = user;
    uint8_t none;
    if ((events & IO_READABLE) && io_stream_read(link->stream, &none, 1) != ERR_AGAIN) {
        link_close(link); /* the far side never sends on it: this is its end */
        return;
    }
    link_flush(link);
}

static void link_flush(link_t *link)
{
    struct iovec iov = {link->out.ptr, link->out.len};
    ssize_t n = link->out.len ? io_stream_writev(link->stream, &iov, 1) : 0;
    if (n < 0 && n != ERR_AGAIN) {
        link_close(link);
        return;
    }
    if (n > 0) buf_consume(&link->out, (size_t)n);
    io_stream_watch(link->stream, IO_READABLE | (link->out.len ? IO_WRITABLE : 0), link_ready, link);
}

static void put_frame(buf_t *out, uint64_t from, bytes_t frame)
{
    buf_be32(out, (uint32_t)frame.len);
    buf_be64(out, from);
    buf_append(out, frame.ptr, frame.len);
}

/* Frames of our own may go twice or later; the stream would keep their order. */
static void send_unruly(link_t *link, bytes_t frame)
{
    uint64_t from = link->member->id;
    unsigned fate = (unsigned)draw(link->member->world->run, 100);
    if (fate < 3) return;
    if (fate < 6 && link->late.len == 0) {
        put_frame(&link->late, from, frame);
        return;
    }
    put_frame(&link->out, from, frame);
    if (fate < 9) put_frame(&link->out, from, frame);
    if (fate < 50) return;
    buf_append(&link->out, link->late.ptr, link->late.len);
    buf_clear(&link->late);
}

static void send_frame(quorum_transport_t *transport, uint64_t server_id, const char *address, bytes_t frame)
{
    member_t *m = CONTAINER_OF(transport, member_t, transport);
    link_t *link = &m->links[server_id - 1];
    if (link->stream == NULL && io_connect(m->machine.loop, address, PORT, &link->stream) != 0) return;
    if (link->out.len + frame.len > UNSENT_BYTES_MAX) return;
    if (m->world->unruly)
        send_unruly(link, frame);
    else
        put_frame(&link->out, m->id, frame);
    /* Callbacks do not run inside the call: the stream is only watched here. */
    io_stream_watch(link->stream, IO_READABLE | IO_WRITABLE, link_ready, link);
}

static bool take_frame(link_t *link)
{
    member_t *m = link->member;
    if (link->in.len < FRAME_HEAD_BYTES) return false;
    size_t bytes = load_be32(link->in.ptr);
    CHECK(m->world->run, bytes <= FRAME_BYTES_MAX, "a frame of %zu bytes", bytes);
    if (link->in.len < FRAME_HEAD_BYTES + bytes) return false;
    if (m->quorum) {
        quorum_receive(m->quorum, load_be64(link->in.ptr + 4), bytes_of(link->in.ptr + FRAME_HEAD_BYTES, bytes));
    }
    buf_consume(&link->in, FRAME_HEAD_BYTES + bytes);
    return true;
}

static void accepted_free(link_t *link)
{
    list_remove(&link->node);
    link_close(link);
    mem_free(link);
}

static void accepted_ready(void *user, unsigned events)
{
    link_t *link = user;
    ssize_t n = io_stream_read(link->stream, buf_reserve(&link->in, KIB(64)), KIB(64));
    if (n == ERR_AGAIN) return;
    if (n <= 0) {
        accepted_free(link);
        return;
    }
    link->in.len += (size_t)n;
    while (take_frame(link)) continue;
}

static void on_accept(void *user, io_stream_t *stream)
{
    member_t *m = user;
    link_t *link = mem_zalloc(sizeof(*link));
    link->member = m;
    link->stream = stream;
    list_push_back(&m->accepted, &link->node);
    io_stream_watch(stream, IO_READABLE, accepted_ready, link);
}

/* ---- the state machine ---- */

static void on_apply(void *user, uint64_t index, bytes_t payload, void *tag)
{
    member_t *m = user;
    world_t *w = m->world;
    run_t *run = w->run;
    uint64_t value = payload.len == PAYLOAD_BYTES ? load_be64(payload.ptr) : 0;
    CHECK(run, value != 0, "member %" PRIu64 " applied %zu bytes that nobody submitted", m->id, payload.len);
    CHECK(run, index > m->applied, "member %" PRIu64 " applied %" PRIu64 " after %" PRIu64, m->id, index, m->applied);
    CHECK(run, index < ENTRIES_MAX, "too many entries for this scenario");
    if (w->history[index] == 0) {
        CHECK(run, index > w->history_end, "entry %" PRIu64 " was applied as none, and now as %" PRIu64, index, value);
        w->history[index] = value;
    }
    CHECK(run, w->history[index] == value,
          "member %" PRIu64 " applied %" PRIu64 " at %" PRIu64 ", another had %" PRIu64, m->id, value, index,
          w->history[index]);
    w->history_end = MAX(w->history_end, index);
    m->applied = index;
    if (tag == NULL || !sim_node_alive(m->machine.node)) return;
    CHECK(run, (uint64_t)(uintptr_t)tag == value, "an entry came back with another's tag");
    w->committed_max = MAX(w->committed_max, index);
    run->acknowledged++;
}

static void on_dropped(void *user, void *tag) {}
static void on_role(void *user, bool leader)
{
    member_t *m = user;
    scenario_note(m->world->run, "member %" PRIu64 " %s", m->id, leader ? "leads" : "follows");
}

/* ---- snapshots: the list up to the index, then padding; words of eight bytes ---- */

static uint64_t snapshot_word(const world_t *w, uint64_t index, uint64_t i)
{
    return i < index ? w->history[i + 1] : index * 0x9e3779b97f4a7c15u + i;
}

/* Entries may be applied while it is written; history never changes. */
static void on_snapshot_begin(void *user, snapshot_writer_t *writer)
{
    member_t *m = user;
    m->snapshot_index = quorum_applied(m->quorum);
    m->written = 0;
    snapshot_writer_head(writer, (int64_t)m->snapshot_index, 0);
}

static int on_snapshot_step(void *user, snapshot_writer_t *writer, size_t bytes)
{
    member_t *m = user;
    uint64_t words = m->snapshot_index + PADDING_WORDS;
    for (uint64_t left = 1 + draw(m->world->run, PADDING_WORDS); left > 0 && m->written < words; left--) {
        buf_be64(snapshot_writer_block(writer), snapshot_word(m->world, m->snapshot_index, m->written++));
        snapshot_writer_next(writer);
    }
    if (snapshot_writer_err(writer)) return snapshot_writer_err(writer);
    if (m->written < words) return 0;
    int err = snapshot_writer_tail(writer, words);
    return err ? err : 1;
}

static void on_snapshot_end(void *user) {}

static void on_snapshot_done(void *user, int err)
{
    member_t *m = user;
    if (err) scenario_note(m->world->run, "member %" PRIu64 " has no snapshot: %s", m->id, err_text(err));
}

/* Of what is applied here, now and then. */
static void take_snapshot(member_t *m)
{
    quorum_snapshot_run(m->quorum);
    if (quorum_snapshotting(m->quorum) || m->applied < m->snapshot_index + SNAPSHOT_ENTRIES) return;
    if (chance(m->world->run, 20)) (void)!quorum_snapshot_begin(m->quorum); /* on_snapshot_done is told */
}

static void on_load_begin(void *user, snapshot_reader_t *reader)
{
    member_t *m = user;
    m->reader = reader;
    m->loaded = 0;
}

static int on_load_step(void *user, size_t bytes)
{
    member_t *m = user;
    bytes_t records;
    uint64_t index = (uint64_t)snapshot_reader_revision(m->reader);
    int done = snapshot_reader_next(m->reader, &records);
    if (done < 0) return done;
    for (; done == 0 && records.len > 0; records = bytes_of(records.ptr + 8, records.len - 8)) {
        uint64_t i = m->loaded++, want = snapshot_word(m->world, index, i);
        CHECK(m->world->run, records.len >= 8 && load_be64(records.ptr) == want,
              "word %" PRIu64 " of the snapshot at %" PRIu64 " is not what was written", i, index);
    }
    if (done == 0) return 0;
    CHECK(m->world->run, m->loaded == index + PADDING_WORDS && snapshot_reader_records(m->reader) == m->loaded,
          "the snapshot at %" PRIu64 " has %" PRIu64 " words", index, m->loaded);
    return 1;
}

static void on_load_restore(void *user, uint64_t index)
{
    member_t *m = user;
    CHECK(m->world->run, m->reader != NULL && (uint64_t)snapshot_reader_revision(m->reader) == index,
          "member %" PRIu64 " is to restore what it has not loaded", m->id);
    CHECK(m->world->run, index > m->applied, "member %" PRIu64 " goes back from %" PRIu64 " to %" PRIu64, m->id,
          m->applied, index);
    scenario_note(m->world->run, "member %" PRIu64 " goes from %" PRIu64 " to the snapshot at %" PRIu64, m->id,
                  m->applied, index);
    m->applied = m->snapshot_index = index;
    if (!m->world->calm && m->quorum != NULL && chance(m->world->run, 20))
        sim_node_crash_after(m->machine.node, 1 + draw(m->world->run, 6));
}

static void on_load_end(void *user) { ((member_t *)user)->reader = NULL; }

static void on_failed(void *user, const char *what, int err)
{
    member_t *m = user;
    scenario_note(m->world->run, "member %" PRIu64, m->id);
    machine_gave_up(&m->machine, what, err);
}

static void on_submitter(io_timer_t *timer)
{
    member_t *m = CONTAINER_OF(timer, member_t, submitter);
    world_t *w = m->world;
    io_timer_start(timer, draw(w->run, SUBMIT_MS_MAX), 0);
    if (m->quorum != NULL && !m->machine.failed) take_snapshot(m);
    if (w->quiet || m->quorum == NULL || !quorum_leads(m->quorum) || w->submitted > ENTRIES_MAX / 4) return;
    for (uint64_t n = 1 + draw(w->run, 4); n > 0; n--) {
        uint8_t *buf = mem_alloc(WAL_HEADROOM_BYTES + PAYLOAD_BYTES + WAL_TAIL_BYTES);
        store_be64(buf + WAL_HEADROOM_BYTES, ++w->submitted);
        if (quorum_submit(m->quorum, buf, PAYLOAD_BYTES, (void *)(uintptr_t)w->submitted) == 0) continue;
        mem_free(buf);
        return;
    }
}

/* ---- coming and going ---- */

static void member_down(member_t *m)
{
    io_timer_stop(&m->submitter);
    if (m->quorum) {
        quorum_figures_t figures = quorum_figures(m->quorum);
        m->world->run->snapshots_sent += figures.snapshots_sent;
        m->world->run->snapshots_received += figures.snapshots_received;
        quorum_close(m->quorum);
    }
    m->quorum = NULL;
    for (int i = 0; i < MEMBERS; i++) {
        if (m->links[i].stream) link_close(&m->links[i]);
    }
    LIST_EACH(&m->accepted, link, link_t, node) accepted_free(link);
    io_listener_close(m->listener);
    m->listener = NULL;
}

static void member_die(member_t *m, bool kill)
{
    scenario_note(m->world->run, "member %" PRIu64 " %s, applied %" PRIu64, m->id, kill ? "is killed" : "loses power",
                  m->applied);
    machine_die(&m->machine, kill);
    member_down(m);
}

static int open_quorum(member_t *m)
{
    quorum_machine_t machine = {.apply = on_apply,
                                .dropped = on_dropped,
                                .role = on_role,
                                .failed = on_failed,
                                .snapshot_begin = on_snapshot_begin,
                                .snapshot_step = on_snapshot_step,
                                .snapshot_end = on_snapshot_end,
                                .snapshot_done = on_snapshot_done,
                                .load_begin = on_load_begin,
                                .load_step = on_load_step,
                                .load_restore = on_load_restore,
                                .load_end = on_load_end,
                                .user = m};
    quorum_options_t options = {.dir = DIR,
                                .id = m->id,
                                .members = m->world->config,
                                .members_count = MEMBERS,
                                .transport = &m->transport,
                                .sync = true,
                                .election_timeout_ms = ELECTION_MS,
                                .heartbeat_ms = HEARTBEAT_MS,
                                .trailing_entries = QUORUM_TRAILING_ENTRIES_MIN,
                                .piece_bytes = PIECE_BYTES};
    m->applied = m->snapshot_index = 0;
    return quorum_open(m->machine.loop, &options, &machine, &m->quorum);
}

/* False when it died again in the attempt, or its disk is full. */
static bool member_up(member_t *m)
{
    world_t *w = m->world;
    if (!sim_node_alive(m->machine.node)) machine_restart(&m->machine);
    io_timer_init(m->machine.loop, &m->submitter, on_submitter);
    int err = io_mkdir(m->machine.loop, DIR);
    if (!err) err = io_listen(m->machine.loop, m->host, PORT, 16, on_accept, m, &m->listener);
    if (!err) err = open_quorum(m);
    if (err) m->quorum = NULL;
    if (!sim_node_alive(m->machine.node) || (err && m->disk_full)) {
        member_die(m, false);
        return false;
    }
    CHECK(w->run, err == 0, "member %" PRIu64 " does not start: %s", m->id, err_text(err));
    io_timer_start(&m->submitter, 1, 0);
    io_loop_wake(m->machine.loop);
    return true;
}

/* ---- the course of events ---- */

static void disturb_network(world_t *w)
{
    sim_net_faults_t faults = sim_net_faults_default;
    if (chance(w->run, 30)) faults.delay_us_max = 100000;
    if (chance(w->run, 20)) faults.reset_ppm = 5000;
    sim_set_net_faults(w->run->sim, &faults);
    w->unruly = chance(w->run, 30);
    sim_partition(w->run->sim, chance(w->run, 40) ? 1u << draw(w->run, MEMBERS) : 0);
    if (chance(w->run, 15)) { /* one way only */
        sim_cut(w->run->sim, w->members[draw(w->run, MEMBERS)].machine.node,
                w->members[draw(w->run, MEMBERS)].machine.node, true);
    }
}

/* Full but for a little, or as large as ever again. */
static void disturb_disk(member_t *m, bool full)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    uint64_t free_bytes, total_bytes;
    m->disk_full = full && m->quorum != NULL && io_disk_space(m->machine.loop, DIR, &free_bytes, &total_bytes) == 0;
    if (m->disk_full) faults.capacity_bytes = total_bytes - free_bytes + draw(m->world->run, SPARE_BYTES_MAX);
    sim_node_set_disk_faults(m->machine.node, &faults);
}

static void disturb_members(world_t *w)
{
    for (int i = 0; i < MEMBERS; i++) {
        member_t *m = &w->members[i];
        bool up = m->quorum != NULL;
        if (up && !machine_runs(&m->machine))
            member_die(m, false);
        else if (up && chance(w->run, 25))
            member_die(m, chance(w->run, 40));
        else if (!up && chance(w->run, 70))
            up = member_up(m);
        disturb_disk(m, chance(w->run, 15));
        if (up && sim_node_alive(m->machine.node) && chance(w->run, 20)) {
            sim_node_crash_after(m->machine.node, 1 + draw(w->run, 200));
        }
    }
}

static bool all_agree(void *user)
{
    world_t *w = user;
    for (int i = 0; i < MEMBERS; i++) {
        if (w->members[i].quorum == NULL || w->members[i].applied < w->history_end) return false;
    }
    return w->members[0].world->history_end >= w->committed_max && w->submitted > 0 && w->history_end > 0;
}

static bool all_idle(void *user)
{
    world_t *w = user;
    return all_agree(user) && quorum_leader(w->members[0].quorum) != 0;
}

/* No fault from here on. */
static void heal(world_t *w)
{
    w->calm = true;
    w->unruly = false;
    sim_partition(w->run->sim, 0);
    sim_set_net_faults(w->run->sim, &sim_net_faults_default);
    for (int i = 0; i < MEMBERS; i++) {
        member_t *m = &w->members[i];
        disturb_disk(m, false);
        sim_node_crash_after(m->machine.node, 0);
        if (m->quorum && !machine_runs(&m->machine)) member_die(m, false);
        if (!m->quorum) {
            bool up = member_up(m);
            CHECK(w->run, up, "a member dies without a cause");
        }
    }
    sim_run_for(w->run->sim, 5000); /* entries go on: a new leader commits the old ones with its own first */
    w->quiet = true;
    bool agreed = sim_run_until(w->run->sim, all_idle, w, HEAL_MS);
    CHECK(w->run, agreed,
          "no agreement a minute after the last fault: applied %" PRIu64 " %" PRIu64 " %" PRIu64 " of %" PRIu64,
          w->members[0].applied, w->members[1].applied, w->members[2].applied, w->history_end);
    CHECK(w->run, w->history_end >= w->committed_max, "committed entries are gone");
}

void scenario_quorum(run_t *run)
{
    world_t *w = mem_zalloc(sizeof(*w));
    w->run = run;
    for (int i = 0; i < MEMBERS; i++) {
        member_t *m = &w->members[i];
        m->world = w;
        m->id = (uint64_t)i + 1;
        m->transport.send = send_frame;
        snprintf(m->host, sizeof(m->host), "10.0.0.%d", i + 1);
        w->config[i] = (quorum_member_t){m->id, m->host};
        machine_init(&m->machine, run, m->host);
        list_init(&m->accepted);
        for (int j = 0; j < MEMBERS; j++) m->links[j].member = m;
    }
    for (int i = 0; i < MEMBERS; i++) {
        bool up = member_up(&w->members[i]);
        CHECK(run, up, "a member dies without a cause");
    }
    for (uint64_t rounds = 1 + draw(run, ROUNDS_MAX); rounds > 0; rounds--) {
        sim_run_for(run->sim, draw(run, ROUND_MS_MAX));
        disturb_network(w);
        disturb_members(w);
    }
    heal(w);
    for (int i = 0; i < MEMBERS; i++) member_down(&w->members[i]);
    mem_free(w);
}
