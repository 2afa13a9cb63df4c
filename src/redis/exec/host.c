/* host.c: see host.h. */
#include "redis/exec/host.h"

#include "base/slog.h"
#include "redis/exec/input.h"
#include "redis/exec/inquiry.h"
#include "redis/exec/state.h"
#include "redis_commands.h"

static redis_t *redis_of(const persist_t *persist) { return CONTAINER_OF(persist, redis_t, persist); }

static redis_client_t *client_new(persist_t *persist)
{
    return client__new_internal(&redis_of(persist)->clients, NULL);
}

static int replay(redis_client_t *c, int argc, const bytes_t *argv)
{
    const redis_command_t *command = command__lookup(c->redis, argv[0]);
    if (command) command = command__resolve(command, argc, argv);
    if (!command || !command__arity_fits(command, argc)) return ERR_NOT_FOUND;
    if (c->flags & CLIENT_MULTI && !(command->traits & TRAIT_RUNS_QUEUE))
        multi__queue(c, command, argc, argv);
    else
        exec__run(c, command, argc, argv, BYTES_NULL, NULL, 0, CALL_LOADING);
    out__flush(c);
    return 0;
}

static bool is_queueing(const redis_client_t *c) { return c->flags & CLIENT_MULTI; }
static void gate(persist_t *persist) { exec__update_gate(redis_of(persist)); }
static bool is_midway(const persist_t *persist) { return redis_of(persist)->exec_depth > 0; }

static void give_up(persist_t *persist, const char *why)
{
    redis_t *redis = redis_of(persist);
    if (redis->failed || redis->stopped) return;
    redis->failed = true;
    slog(SLOG_ERROR, "redis", "cannot make writes durable with appendfsync always: stopping", "error=\"%s\"", why);
    LIST_EACH(&redis->clients.all, c, redis_client_t, node) net_close_now(c->conn);
    if (redis->on_shutdown) redis->on_shutdown(redis->on_shutdown_user);
}

const persist_host_t host__of_persist = {
    .client_new = client_new,
    .client_free = client__free,
    .replay = replay,
    .is_queueing = is_queueing,
    .discard = multi__discard,
    .gate = gate,
    .is_midway = is_midway,
    .give_up = give_up,
};

/* ---- of conn/ ------------------------------------------------------------------------------------------------------- */

static void gone(redis_client_t *c)
{
    blocking__forget(c);
    blocking__forget_asyncs(c);
    inquiry__drop(c);
    multi__discard(c);
    multi__unwatch(c);
    monitor__forget(c);
}

static void refused(redis_client_t *c, const char *text, size_t len) { stats__error(c->redis, text, len, false); }

static bool is_running(const redis_client_t *c)
{
    for (const redis_call_t *call = c->redis->current; call; call = call->outer)
        if (call->client == c) return true;
    return false;
}

static uint64_t who_runs(const clients_t *clients)
{
    const redis_call_t *call = clients->redis->current;
    while (call && call->outer) call = call->outer;
    return call ? call->client->id : 0;
}

static void add_holding(const redis_client_t *c, client_holding_t *h)
{
    size_t running = 0;
    for (const redis_call_t *call = c->redis->current; call; call = call->outer)
        for (int i = 0; i < call->argc && call->client == c && !call->outer; i++) running += call->argv[i].len;
    h->arguments += running;
    h->queued = c->queue_bytes;
    h->total += running + multi__bytes(c) + blocking__bytes(c);
}

/* Its `service` is known at run time. */
clients_host_t host__of_clients(void)
{
    return (clients_host_t){.service = input__service(),
                            .gone = gone,
                            .refused = refused,
                            .is_running = is_running,
                            .add_holding = add_holding,
                            .who_runs = who_runs};
}
