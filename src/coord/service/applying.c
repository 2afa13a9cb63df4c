/* applying.c: committed entries into the tree, command by command, each answered when it is applied.
 *
 * A command that is long (a multi of thousands of parts, the end of a session with thousands of ephemeral nodes) would hold the loop,
 * and it is all or nothing. So it is applied in pieces, over several turns: others keep the loop, but what the tree says waits until
 * the command is over (coord_is_applying): requests of clients, later commands, mirrors, snapshots. What follows it in its entry, and
 * entries that come meanwhile, wait behind it.
 *
 * Invariant: while there are entries here the tree is behind what the quorum calls applied, so no snapshot begins. */
#include "coord/service/coord_internal.h"

typedef struct entry {
    list_t node;
    uint8_t *payload; /* of its own, once it waits */
    jute_reader_t r;
    arena_t arena; /* ids only: bodies are decoded into the state's own */
    int32_t left;  /* commands */
    int64_t time_ms;
    coord_batch_t *batch; /* NULL when nobody waits for answers */
    zk_command_t command;
    bool begun;
} entry_t;

bool coord_is_applying(const coord_t *coord) { return state_is_applying(&coord->state); }

/* An entry is ours or the disk's: one that does not parse means that they disagree with us, and nothing can be trusted. */
static void unreadable(coord_t *coord, entry_t *e)
{
    e->left = 0;
    coord__fatal(coord, "an entry of the coordination log is unreadable", ERR_CORRUPT);
}

static void entry_init(coord_t *coord, entry_t *e, bytes_t payload, coord_batch_t *batch)
{
    zk_entry_header_t header;
    *e = (entry_t){.batch = batch};
    arena_init(&e->arena, MIB(1));
    e->r = jute_reader(payload, &e->arena);
    zk_entry_header_get(&e->r, &header);
    e->left = header.count;
    e->time_ms = header.time_ms;
    if (e->r.bad || header.format != COORD_ENTRY_FORMAT) unreadable(coord, e);
}

/* False when there is none. */
static bool next_command(coord_t *coord, entry_t *e)
{
    if (e->left <= 0) return false;
    arena_reset(&e->arena);
    zk_command_get(&e->r, &e->command);
    if (e->r.bad) unreadable(coord, e);
    return !e->r.bad;
}

static void command_applied(coord_t *coord, entry_t *e, const coord_result_t *result)
{
    e->left--;
    coord->applied++;
    if (e->command.type == ZK_OP_CREATE_SESSION && result->err == ZOK) coord__expiry_welcome(coord, result->session_id);
    if (e->batch) coord__answer(coord, e->batch, result);
}

static void entry_end(coord_t *coord, entry_t *e)
{
    arena_deinit(&e->arena);
    mem_free(e->payload);
    if (e->batch) coord__batch_applied(coord, e->batch);
}

/* ---- at once --------------------------------------------------------------------------------------------------------- */

static bool is_long(const coord_t *coord, const zk_command_t *command)
{
    if (!coord->serving) return false;
    if (command->type == ZK_OP_MULTI) return command->body.len > COORD_LONG_BODY_BYTES;
    if (command->type != ZK_OP_CLOSE_SESSION) return false;
    const session_t *session = sessions_find(&coord->state.sessions, command->session_id);
    return session && session->ephemerals_count > COORD_LONG_EPHEMERALS;
}

/* Up to a command that is long. True when there was none. */
static bool apply_short(coord_t *coord, entry_t *e)
{
    for (jute_reader_t before = e->r; next_command(coord, e); before = e->r) {
        coord_result_t result;
        if (is_long(coord, &e->command)) {
            e->r = before;
            return false;
        }
        if (e->batch) coord__answer_others(coord, e->batch);
        state_apply(&coord->state, &e->command, e->time_ms, &result);
        command_applied(coord, e, &result);
    }
    return true;
}

/* What is left of it waits. */
static void keep(coord_t *coord, const entry_t *from)
{
    entry_t *e = mem_alloc(sizeof(*e));
    size_t bytes = jute_left(&from->r);
    *e = *from;
    arena_init(&e->arena, MIB(1));
    e->payload = mem_alloc(bytes + 1);
    memcpy(e->payload, from->r.at, bytes);
    e->r = jute_reader(bytes_of(e->payload, bytes), &e->arena);
    list_init(&e->node);
    list_push_back(&coord->entries, &e->node);
    io_loop_wake(coord->loop);
}

void coord__apply(void *user, uint64_t index, bytes_t payload, void *tag)
{
    coord_t *coord = user;
    entry_t e;
    entry_init(coord, &e, payload, tag);
    if (list_empty(&coord->entries) && apply_short(coord, &e)) {
        entry_end(coord, &e);
        return;
    }
    keep(coord, &e);
    arena_deinit(&e.arena);
}

/* ---- in pieces ------------------------------------------------------------------------------------------------------- */

static void apply_some(coord_t *coord, entry_t *e, uint32_t *steps)
{
    coord_result_t result;
    if (!e->begun && !next_command(coord, e)) {
        list_remove(&e->node);
        entry_end(coord, e);
        mem_free(e);
        return;
    }
    if (!e->begun) {
        if (e->batch) coord__answer_others(coord, e->batch);
        state_apply_begin(&coord->state, &e->command, e->time_ms);
        e->begun = true;
    }
    if (!state_apply_step(&coord->state, steps, &result)) return;
    e->begun = false;
    command_applied(coord, e, &result);
}

void coord__apply_more(coord_t *coord)
{
    entry_t *e;
    uint32_t steps = COORD_APPLY_STEPS;
    while (steps > 0 && (e = LIST_FIRST(&coord->entries, entry_t, node))) apply_some(coord, e, &steps);
    if (!list_empty(&coord->entries)) io_loop_wake(coord->loop);
}

void coord__apply_all(coord_t *coord)
{
    while (!list_empty(&coord->entries)) coord__apply_more(coord);
}
