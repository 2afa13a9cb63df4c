/* coord.c: opening and closing the service, and the inside door's reads. See coord_internal.h for the whole. */
#include "base/slog.h"
#include "coord/service/coord_internal.h"
#include "coord/tree/path.h"

#include <unistd.h>

#define EXIT_NOT_DURABLE 70

const coord_options_t coord_options_default = {
    .server_id = 1,
    .tick_time_ms = 2000,
    .snapshot_entries = 100000,
    .extended_types = true,
    .force_sync = true,
    .container_check_ms = 60000,
};

/* Nothing may be acknowledged any more, so nothing may go on. */
void coord__fatal(coord_t *coord, const char *what, int err)
{
    slog(SLOG_ERROR, "coord", what, "dir=%s error=\"%s\" action=stop", coord->dir, err_text(err));
    if (coord->options.fatal)
        coord->options.fatal(coord->options.fatal_user, what, err);
    else
        _exit(EXIT_NOT_DURABLE);
}

static void failed(void *user, const char *what, int err) { coord__fatal(user, what, err); }

static void role(void *user, bool leader)
{
    coord_t *coord = user;
    if (!coord->quorum) return; /* still opening: coord_open does it */
    if (leader) {
        coord__expiry_start(coord);
        coord__own_session_begin(coord);
        io_loop_wake(coord->loop);
    } else {
        coord__expiry_stop(coord);
    }
}

static void turn(io_hook_t *hook)
{
    coord_t *coord = CONTAINER_OF(hook, coord_t, hook);
    if (coord->closing) return;
    coord__apply_more(coord);
    coord__flush(coord);
    coord__snapshots_run(coord);
}

static void begin_state(coord_t *coord)
{
    state_init(&coord->state);
    coord->state.extended_types = coord->options.extended_types;
    coord->state.skip_acl = coord->options.skip_acl;
    coord->state.enforce_quota = coord->options.enforce_quota;
}

static int open_alone(coord_t *coord, quorum_options_t *options, const quorum_machine_t *machine)
{
    quorum_member_t self = {coord->options.server_id, "local"};
    options->members = &self;
    options->members_count = 1;
    return quorum_open(coord->loop, options, machine, &coord->quorum);
}

static int open_together(coord_t *coord, quorum_options_t *options, const quorum_machine_t *machine)
{
    const coord_options_t *o = &coord->options;
    int err = quorum_net_new(o->net, o->server_id, o->members, o->members_count, &coord->quorum_net);
    if (err) return err;
    quorum_member_t *members = mem_zalloc(sizeof(*members) * (size_t)o->members_count);
    buf_t addresses = BUF_INIT;
    buf_reserve(&addresses, (size_t)o->members_count * IO_ADDR_CHARS_MAX * 2); /* pointers into it must not move */
    for (int i = 0; i < o->members_count; i++) {
        members[i] = (quorum_member_t){o->members[i].id, (const char *)addresses.ptr + addresses.len};
        buf_printf(&addresses, "%.64s:%u", o->members[i].host, o->members[i].port);
        buf_u8(&addresses, 0);
    }
    options->members = members;
    options->members_count = o->members_count;
    options->transport = quorum_net_transport(coord->quorum_net);
    options->trailing_entries = o->trailing_entries;
    options->piece_bytes = o->piece_bytes;
    err = quorum_open(coord->loop, options, machine, &coord->quorum);
    if (!err) quorum_net_attach(coord->quorum_net, coord->quorum);
    buf_deinit(&addresses);
    mem_free(members);
    return err;
}

static int open_quorum(coord_t *coord, quorum_opening_t *opening)
{
    quorum_options_t options = {.dir = coord->dir,
                                .log_dir = coord->log_dir,
                                .id = coord->options.server_id,
                                .sync = coord->options.force_sync,
                                .reserve = &coord->reserve,
                                .opening = opening};
    quorum_machine_t machine = {.apply = coord__apply,
                                .dropped = coord__dropped,
                                .role = role,
                                .failed = failed,
                                .snapshot_begin = coord__snapshot_begin,
                                .snapshot_step = coord__snapshot_step,
                                .snapshot_end = coord__snapshot_end,
                                .snapshot_done = coord__snapshot_done,
                                .load_begin = coord__load_begin,
                                .load_step = coord__load_step,
                                .load_restore = coord__load_restore,
                                .load_end = coord__load_end,
                                .user = coord};
    state_make_roots(&coord->state);
    return coord->options.members_count > 1 ? open_together(coord, &options, &machine)
                                            : open_alone(coord, &options, &machine);
}

/* From the disk to a state and a log behind it. */
static int recover(coord_t *coord)
{
    quorum_opening_t own, *opening = coord->options.opening != NULL ? coord->options.opening : &own;
    *opening = (quorum_opening_t){0};
    int err = io_mkdir(coord->loop, coord->dir);
    if (!err) err = coord__log_dir_settle(coord, opening);
    coord__disk_open(coord);
    return err ? err : open_quorum(coord, opening);
}

int coord_open(io_loop_t *loop, const coord_options_t *options, coord_t **ret_coord)
{
    coord_t *coord = mem_zalloc(sizeof(*coord));
    coord->loop = loop;
    coord->options = *options;
    coord->dir = mem_strdup(options->dir);
    coord->log_dir = options->log_dir != NULL ? io_absolute(options->log_dir) : coord->dir;
    coord->options.dir = coord->dir;
    coord->options.log_dir = coord->log_dir;
    list_init(&coord->ready);
    list_init(&coord->flying);
    list_init(&coord->entries);
    begin_state(coord);
    health_init(&coord->health, "coord");
    coord__expiry_init(coord);
    int err = recover(coord);
    if (err) goto out;
    if (quorum_leads(coord->quorum)) {
        coord__own_session_begin(coord);
        coord__flush(coord);
        err = quorum_settle(coord->quorum);
        coord__expiry_start(coord);
    }
    coord->hook = (io_hook_t){.rank = COORD_HOOK_RANK, .name = "the tree", .run = turn};
    io_hook_add(loop, &coord->hook);
    if (err) goto out;
    coord->serving = true;
    *ret_coord = coord;
    return 0;
out:
    coord_close(coord);
    return err;
}

void coord_close(coord_t *coord)
{
    coord__apply_all(coord);
    coord->closing = true;
    io_hook_remove(&coord->hook);
    coord__expiry_stop(coord);
    if (coord->quorum_net) quorum_net_free(coord->quorum_net);
    if (coord->quorum) quorum_close(coord->quorum);
    coord__snapshots_stop(coord);
    coord__drop_all(coord);
    coord__disk_close(coord);
    health_deinit(&coord->health);
    state_deinit(&coord->state);
    if (coord->log_dir != coord->dir) mem_free(coord->log_dir);
    mem_free(coord->dir);
    mem_free(coord);
}

/* ---- the inside door's reads ---------------------------------------------------------------------------------------- */

coord_zerr_t coord_get(const coord_t *coord, const char *path, bytes_t *ret_data, coord_stat_t *ret_stat)
{
    const znode_t *node = tree_find(&coord->state.tree, bytes_str(path));
    if (!node) return ZNO_NODE;
    if (ret_data) *ret_data = znode_data(node);
    if (ret_stat) znode_stat(node, ret_stat);
    return ZOK;
}

bool coord_exists(const coord_t *coord, const char *path)
{
    return tree_find(&coord->state.tree, bytes_str(path)) != NULL;
}

coord_zerr_t coord_children(const coord_t *coord, const char *path, void (*each)(void *user, const char *name),
                            void *user)
{
    const znode_t *node = tree_find(&coord->state.tree, bytes_str(path));
    if (!node) return ZNO_NODE;
    for (const znode_t *child = node->first_child; child; child = child->next) {
        each(user, (const char *)znode_name(child).ptr); /* the path ends in a NUL, and so does its last part */
    }
    return ZOK;
}

const health_t *coord_health(const coord_t *coord) { return &coord->health; }
int64_t coord_last_zxid(const coord_t *coord) { return coord->state.zxid; }
const char *coord_dir(const coord_t *coord) { return coord->dir; }
const char *coord_log_dir(const coord_t *coord) { return coord->log_dir; }
int64_t coord_own_session(const coord_t *coord) { return coord->own_session; }

void coord_subscribe(coord_t *coord, coord_subscription_t *subscription)
{
    list_push_back(&coord->state.subscriptions, &subscription->node);
}

void coord_unsubscribe(coord_subscription_t *subscription) { list_remove(&subscription->node); }

void coord_figures(const coord_t *coord, coord_figures_t *ret_figures)
{
    const state_t *state = &coord->state;
    quorum_figures_t disk = quorum_figures(coord->quorum);
    *ret_figures = (coord_figures_t){
        .znodes = state->tree.count,
        .data_bytes = state->tree.data_bytes,
        .ephemerals = state->ephemerals_count,
        .sessions = state->sessions.by_id.count,
        .outstanding = coord->outstanding,
        .applied = coord->applied,
        .syncs = disk.syncs,
        .sync_ns_total = disk.sync_ns_total,
        .sync_ns_min = disk.sync_ns_min,
        .sync_ns_max = disk.sync_ns_max,
        .snapshots = disk.snapshots_taken,
        .snapshots_received = disk.snapshots_received,
        .snapshots_broken_off = disk.snapshots_broken_off,
        .log_bytes = quorum_log_bytes(coord->quorum),
        .snapshot_bytes = disk.snapshot_bytes,
        .leader = quorum_leads(coord->quorum),
        .voters = quorum_voters(coord->quorum),
    };
    for (int kind = 0; kind < COORD_WATCH_KINDS; kind++) {
        ret_figures->watches[kind] = state->watches.tables[kind].count;
        ret_figures->watched_paths[kind] = state->watches.tables[kind].paths.count;
    }
}
