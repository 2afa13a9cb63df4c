/* sim_loop.c: the loop of a simulated process: its turns, clocks, messages and pool work.
 *
 * A turn runs timers that are due, then the items that became ready before it, mostly in their order, then the hooks. Each step
 * takes a little virtual time. The node may die at any operation in between; then the turn ends there. */
#include "io/sim/sim_internal.h"

#define NS_PER_MS      1000000ull
#define WALL_BASE_MS   1700000000000ll
#define STEP_NS_MAX    20000 /* a callback's pretended time */
#define HRTIME_STEP_NS 1000  /* so that a loop that waits for time to pass ends */
#define WORK_US_MAX    5000
#define POST_US_MAX    2000 /* from one loop to another, when it is not at once */

typedef struct sim_work {
    io_work_t *work;
    sim_loop_t *loop;
    io_timer_t event;
    sim_item_t item;
    list_t node;
    bool running; /* it may be what the machine dies of */
} sim_work_t;

static sim_t *sim_of(sim_loop_t *loop) { return loop->node->sim; }

/* ---- time ---- */

static int64_t wall_us(io_loop_t *loop)
{
    sim_node_t *node = sim__loop(loop)->node;
    return (WALL_BASE_MS + node->wall_offset_ms) * 1000 + (int64_t)(node->sim->world.now_ns / 1000);
}

static void update_time(io_loop_t *loop)
{
    loop->now_ns = sim_of(sim__loop(loop))->world.now_ns;
    loop->wall_ms = wall_us(loop) / 1000;
}

static uint64_t hrtime_ns(io_loop_t *loop) { return sim_of(sim__loop(loop))->world.now_ns += HRTIME_STEP_NS; }

static void random_bytes(io_loop_t *loop, void *out, size_t bytes)
{
    uint8_t *p = out;
    for (size_t i = 0; i < bytes; i++) p[i] = (uint8_t)sim__next(&sim__loop(loop)->rng);
}

/* ---- turns ---- */

void sim__loop_plan(sim_loop_t *loop)
{
    uint64_t now_ns = sim_of(loop)->world.now_ns;
    if (loop->base.halted) return;
    uint64_t want_ns = io__timers_next_ns(&loop->base);
    if (loop->wake || !list_empty(&loop->ready)) want_ns = now_ns;
    if (want_ns == 0 || (loop->turn.due_ns != 0 && loop->turn.due_ns <= MAX(want_ns, now_ns))) return;
    sim__at(&loop->turn, want_ns);
}

void sim__ready(sim_loop_t *loop, sim_item_t *item)
{
    if (loop->base.halted || list_linked(&item->node)) return;
    list_push_back(&loop->ready, &item->node);
}

static void pass_time(sim_loop_t *loop)
{
    sim_t *sim = sim_of(loop);
    sim->world.now_ns += sim__below(&sim->rng, STEP_NS_MAX);
}

static void run_batch(sim_loop_t *loop)
{
    sim_rng_t *rng = &sim_of(loop)->rng;
    list_splice_back(&loop->batch, &loop->ready);
    while (!list_empty(&loop->batch) && !loop->base.halted) {
        bool newest = sim__below(rng, 8) == 0;
        list_t *node = newest ? loop->batch.prev : loop->batch.next;
        list_remove(node);
        sim_item_t *item = CONTAINER_OF(node, sim_item_t, node);
        item->run(item);
        pass_time(loop);
    }
}

static void on_turn(io_timer_t *turn)
{
    sim_loop_t *loop = CONTAINER_OF(turn, sim_loop_t, turn);
    ASSERT(!loop->base.halted);
    update_time(&loop->base);
    loop->wake = false;
    sim_of(loop)->running = loop;
    sim__trace(sim_of(loop), SIM_TURN, loop->node->index, loop->base.timers.count);
    io__timers_run(&loop->base);
    if (!loop->base.halted) run_batch(loop);
    if (!loop->base.halted) io__hooks_run(&loop->base);
    sim_of(loop)->running = NULL;
    pass_time(loop);
}

static void wake(io_loop_t *loop) { sim__loop(loop)->wake = true; }

static void loop_run(io_loop_t *base)
{
    sim_loop_t *loop = sim__loop(base);
    loop->stop = false;
    while (!loop->stop && !loop->base.halted && sim_step(sim_of(loop))) continue;
}

static void loop_stop(io_loop_t *loop) { sim__loop(loop)->stop = true; }

/* ---- messages ---- */

static io_message_t *take_message(sim_loop_t *loop)
{
    io_message_t *message = loop->messages_first;
    if (!message) return NULL;
    loop->messages_first = message->next;
    if (!loop->messages_first) loop->messages_last = &loop->messages_first;
    return message;
}

/* Those that come meanwhile wait for the next turn. Those that a dead node leaves wait for loop_drain. */
static void run_messages(sim_item_t *item)
{
    sim_loop_t *loop = CONTAINER_OF(item, sim_loop_t, inbox);
    io_message_t **end = loop->messages_last;
    for (bool more = loop->messages_first != NULL; more && !loop->base.halted;) {
        more = &loop->messages_first->next != end;
        io_message_t *message = take_message(loop);
        sim__trace(sim_of(loop), SIM_MESSAGE, loop->node->index, 0);
        message->run(message);
    }
}

static void on_post(io_timer_t *event)
{
    sim_loop_t *loop = CONTAINER_OF(event, sim_loop_t, post);
    sim__ready(loop, &loop->inbox);
}

/* What another loop posts may take a while, and whatever is posted behind it then waits, too. */
static void post(io_loop_t *to, io_message_t *message)
{
    sim_loop_t *loop = sim__loop(to);
    sim_t *sim = sim_of(loop);
    bool apart = sim->running && sim->running != loop && !loop->base.halted;
    message->next = NULL;
    *loop->messages_last = message;
    loop->messages_last = &message->next;
    if (loop->post.due_ns) return;
    if (apart && !list_linked(&loop->inbox.node) && sim__below(&sim->rng, 2))
        sim__after_us(&loop->post, 1, POST_US_MAX);
    else
        sim__ready(loop, &loop->inbox);
}

static void loop_drain(io_loop_t *loop)
{
    io_message_t *message;
    while ((message = take_message(sim__loop(loop)))) message->run(message);
}

static int loop_spawn(io_loop_t *loop, const char *name) { return 0; }
static void loop_join(io_loop_t *loop) {}

/* ---- pool work ---- */

static void work_free(sim_work_t *w)
{
    w->work->backend = NULL;
    io_timer_stop(&w->event);
    if (list_linked(&w->item.node)) list_remove(&w->item.node);
    list_remove(&w->node);
    mem_free(w);
}

static void work_done(sim_item_t *item)
{
    sim_work_t *w = CONTAINER_OF(item, sim_work_t, item);
    io_work_t *work = w->work;
    work_free(w);
    work->done(work);
}

static void work_runs(io_timer_t *event)
{
    sim_work_t *w = CONTAINER_OF(event, sim_work_t, event);
    sim__trace(sim_of(w->loop), SIM_WORK, w->loop->node->index, 0);
    w->running = true;
    w->work->work(w->work);
    w->running = false;
    if (w->loop->base.halted)
        work_free(w); /* the machine died of what the work did */
    else
        sim__ready(w->loop, &w->item);
}

static void work_start(io_loop_t *base, io_work_t *work)
{
    sim_loop_t *loop = sim__loop(base);
    if (loop->base.halted) return;
    sim_work_t *w = mem_zalloc(sizeof(*w));
    w->work = work;
    w->loop = loop;
    work->backend = w;
    w->item.run = work_done;
    list_push_back(&loop->works, &w->node);
    io_timer_init(&sim_of(loop)->world, &w->event, work_runs);
    sim__after_us(&w->event, 1, WORK_US_MAX);
}

static void work_cancel(io_work_t *work) { work_free(work->backend); }

/* ---- what only libuv has ---- */

static int on_terminate(io_loop_t *loop, void (*stop)(void *user, bool interrupt), void *user)
{
    return ERR_UNSUPPORTED;
}

static int on_hangup(io_loop_t *loop, void (*told)(void *user), void *user) { return ERR_UNSUPPORTED; }

/* ---- life ---- */

sim_loop_t *sim__loop_new(sim_node_t *node)
{
    sim_loop_t *loop = mem_zalloc(sizeof(*loop));
    io__loop_init(&loop->base, &sim__ops);
    loop->node = node;
    loop->rng.state = sim__next(&node->sim->rng);
    loop->messages_last = &loop->messages_first;
    loop->inbox.run = run_messages;
    list_init(&loop->ready);
    list_init(&loop->batch);
    list_init(&loop->listeners);
    list_init(&loop->streams);
    list_init(&loop->files);
    list_init(&loop->works);
    list_push_back(&node->loops, &loop->in_node);
    io_timer_init(&node->sim->world, &loop->turn, on_turn);
    io_timer_init(&node->sim->world, &loop->post, on_post);
    loop->wake = true; /* a first turn, for the hooks */
    update_time(&loop->base);
    return loop;
}

static void unlink_all(list_t *list)
{
    while (!list_empty(list)) list_remove(list->next);
}

void sim__loop_die(sim_loop_t *loop)
{
    if (loop->base.halted) return;
    loop->base.halted = true;
    io_timer_stop(&loop->turn);
    io_timer_stop(&loop->post);
    sim__net_die(loop);
    sim__files_die(loop);
    LIST_EACH(&loop->works, work, sim_work_t, node)
        if (!work->running) work_free(work);
    unlink_all(&loop->ready);
    unlink_all(&loop->batch);
}

void sim__loop_free(sim_loop_t *loop)
{
    sim__loop_die(loop);
    sim__net_free(loop);
    sim__files_free(loop);
    list_remove(&loop->in_node);
    io__loop_deinit(&loop->base);
    mem_free(loop);
}

/* A program may free its loop; to the node that is the end of one reactor. */
static void loop_free(io_loop_t *loop) { sim__loop_free(sim__loop(loop)); }

const io_ops_t sim__ops = {
    .loop_free = loop_free,
    .loop_run = loop_run,
    .loop_stop = loop_stop,
    .loop_wake = wake,
    .loop_spawn = loop_spawn,
    .loop_join = loop_join,
    .loop_drain = loop_drain,
    .update_time = update_time,
    .hrtime_ns = hrtime_ns,
    .wall_us = wall_us,
    .random = random_bytes,
    .listen = sim__listen,
    .listen_path = sim__listen_path,
    .listener_tune = sim__listener_tune,
    .listener_port = sim__listener_port,
    .listener_close = sim__listener_close,
    .connect = sim__connect,
    .stream_watch = sim__stream_watch,
    .stream_read = sim__stream_read,
    .stream_writev = sim__stream_writev,
    .stream_sendfile = sim__stream_sendfile,
    .stream_close = sim__stream_close,
    .stream_detach = sim__stream_detach,
    .stream_attach = sim__stream_attach,
    .stream_keepalive = sim__stream_keepalive,
    .stream_peer = sim__stream_peer,
    .stream_local = sim__stream_local,
    .on_terminate = on_terminate,
    .on_hangup = on_hangup,
    .file_open = sim__file_open,
    .file_close = sim__file_close,
    .file_write = sim__file_write,
    .file_read = sim__file_read,
    .file_size = sim__file_size,
    .file_truncate = sim__file_truncate,
    .file_sync = sim__file_sync,
    .file_sync_now = sim__file_sync_now,
    .file_drop_cache = sim__file_drop_cache,
    .rename = sim__op_rename,
    .remove = sim__op_remove,
    .mkdir = sim__op_mkdir,
    .sync_dir = sim__op_sync_dir,
    .stat = sim__op_stat,
    .list_dir = sim__op_list_dir,
    .lock_file = sim__op_lock_file,
    .disk_space = sim__op_disk_space,
    .boot_id = sim__op_boot_id,
    .post = post,
    .work_start = work_start,
    .work_cancel = work_cancel,
};
