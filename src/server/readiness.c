/* readiness.c: how the wings become ready, side by side and each for itself.
 *
 *   a wing's reactor: recovers, slice by slice ──recovered──> control: the door is ready, and who asked is told
 *   Redis' reactor:   the bridge starts <── control, when Redis and Kafka have recovered ──started──> control
 *
 * A change feed must miss no change, so with one Redis goes on answering LOADING until the bridge has started. What fails
 * on a reactor ends the start. */
#include "bridge/bridge.h"
#include "kafka/kafka.h"
#include "redis/redis.h"
#include "server/server_internal.h"

#include <stdio.h>

#define READY_HOOK_RANK 100 /* what a turn did is seen */

/* ---- control --------------------------------------------------------------------------------------------------------- */

static bool is_recovered(const server_t *server, server_door_t door)
{
    return !server->doors[door].started || server->doors[door].recovered;
}

static bool feeds_wait(const server_t *server, int door)
{
    return door == DOOR_REDIS && bridge_feeds_any(server->feeds) && !server->bridge_start.done;
}

static bool all_ready(const server_t *server)
{
    for (int door = 0; door < DOORS_COUNT; door++)
        if (server->doors[door].started && !server->doors[door].ready) return false;
    return !server->bridge || server->bridge_start.done;
}

static void start_bridge(io_message_t *message);

static void look(server_t *server)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        server__door_t *d = &server->doors[door];
        if (d->ready || !d->recovered || feeds_wait(server, door)) continue;
        d->ready = true;
        d->ready_ns = io_hrtime_ns(server->loop);
        if (server->on_ready) server->on_ready(server, (server_door_t)door);
    }
    bool wings = is_recovered(server, DOOR_REDIS) && is_recovered(server, DOOR_KAFKA);
    if (server->bridge && wings && !server->bridge_start.asked) {
        server->bridge_start.asked = true;
        server->bridge_start.message.run = start_bridge;
        io_post(server__reactor_of(server, DOOR_REDIS)->loop, &server->bridge_start.message);
    }
    if (all_ready(server)) io_loop_stop(server->loop);
}

static void on_recovered(io_message_t *message)
{
    server__door_t *door = CONTAINER_OF(message, server__door_t, recovered_message);
    ASSERT(door->started && !door->recovered);
    door->recovered = true;
    look(door->server);
}

static void on_bridge_ready(io_message_t *message)
{
    server_t *server = CONTAINER_OF(message, server_t, bridge_start.message);
    ASSERT(server->bridge_start.asked && !server->bridge_start.done);
    server->bridge_start.done = true;
    look(server);
}

static void on_failure(io_message_t *message)
{
    server__start_failure_t *failure = CONTAINER_OF(message, server__start_failure_t, message);
    failure->server->failed = failure;
    io_loop_stop(failure->server->loop);
}

/* ---- a wing's reactor ------------------------------------------------------------------------------------------------ */

static void fail(server__reactor_t *reactor, int err, const char *error)
{
    server_t *server = reactor->server;
    server__start_failure_t *failure = &server->failures[reactor - server->reactors];
    if (failure->err) return;
    failure->err = err;
    failure->server = server;
    snprintf(failure->error, sizeof(failure->error), "%s", error);
    failure->message.run = on_failure;
    io_hook_remove(&reactor->ready_hook);
    io_post(server->loop, &failure->message);
}

/* On Redis' reactor. */
static void on_bridge_started(void *user)
{
    server_t *server = user;
    char error[OPTIONS_ERROR_CHARS_MAX];
    int err = bridge_feeds_start(server->feeds, server->bridge, error, sizeof(error));
    if (err) {
        fail(server__reactor_of(server, DOOR_REDIS), err, error);
        return;
    }
    if (bridge_feeds_any(server->feeds)) redis_hold(server->redis, false);
    server->bridge_start.message.run = on_bridge_ready;
    io_post(server->loop, &server->bridge_start.message);
}

static void start_bridge(io_message_t *message)
{
    server_t *server = CONTAINER_OF(message, server_t, bridge_start.message);
    int err = bridge_start(server->bridge, on_bridge_started, server);
    if (err)
        fail(server__reactor_of(server, DOOR_REDIS), err,
             "the append-only file's KAFKA.JOURNAL commands cannot be understood");
}

/* True when there is more to do. */
static bool recover_some(server__reactor_t *reactor, server__door_t *door, const server__wing_t *wing)
{
    char error[OPTIONS_ERROR_CHARS_MAX] = "";
    int err = wing->recover ? wing->recover(door->wing, error) : 0;
    if (err) {
        fail(reactor, err, error[0] ? error : err_text(err));
        return false;
    }
    if (wing->ready && !wing->ready(door->wing)) return true;
    door->told = true;
    io_post(reactor->server->loop, &door->recovered_message);
    return false;
}

static void on_ready_hook(io_hook_t *hook)
{
    server__reactor_t *reactor = CONTAINER_OF(hook, server__reactor_t, ready_hook);
    server_t *server = reactor->server;
    bool more = false;
    for (int door = 0; door < DOORS_COUNT; door++) {
        server__door_t *d = &server->doors[door];
        if (server__reactor_of(server, (server_door_t)door) != reactor)
            continue; /* what it was told is its own affair */
        if (!d->started || d->told) continue;
        more |= recover_some(reactor, d, server__wings[door]);
        if (server->failures[reactor - server->reactors].err) return;
    }
    if (!more) io_hook_remove(hook);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

void server__readiness_watch(server_t *server)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        server->doors[door].server = server;
        server->doors[door].recovered_message.run = on_recovered;
    }
    for (int i = 0; i < server->reactors_made; i++) {
        server__reactor_t *reactor = &server->reactors[i];
        reactor->server = server;
        reactor->ready_hook = (io_hook_t){.rank = READY_HOOK_RANK, .name = "readiness", .run = on_ready_hook};
        io_hook_add(reactor->loop, &reactor->ready_hook);
    }
}

int server__readiness_wait(server_t *server, char *error)
{
    while (!all_ready(server) && !server->terminated && !server->failed) io_loop_run(server->loop);
    if (server->failed) {
        const server__start_failure_t *failure = server->failed;
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s", failure->error);
        return failure->err;
    }
    if (!server->terminated) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "stopped by a signal before it was ready");
    return ERR_CLOSED;
}
