/* pubsub.c: SUBSCRIBE, PUBLISH, PUBSUB and their kin. */
#include "redis/conn/pubsub.h"
#include "redis/conn/push.h"
#include "redis/exec/command.h"
#include "redis/glob.h"
#include "redis_commands.h"

static void tell(redis_client_t *c, const char *what, bytes_t name, size_t count)
{
    push_t p = push__begin_reply(c);
    reply_push(p.to, 3);
    reply_bulk_str(p.to, what);
    reply_bulk(p.to, name);
    reply_int(p.to, (int64_t)count);
    push__end(&p);
}

static size_t count_of(redis_client_t *c, pubsub_kind_t kind)
{
    return kind == PUBSUB_SHARD ? c->shard_channels.count : pubsub__subscriptions(c);
}

static void subscribe(redis_call_t *call, pubsub_kind_t kind, const char *what)
{
    for (int i = 1; i < call->argc; i++) {
        pubsub__join(call->client, kind, call->argv[i]);
        tell(call->client, what, call->argv[i], count_of(call->client, kind));
    }
}

static void leave_all(redis_client_t *c, pubsub_kind_t kind, const char *what)
{
    map_t *mine = pubsub__names_of(c, kind);
    if (mine->count == 0) {
        tell(c, what, BYTES_NULL, count_of(c, kind));
        return;
    }
    size_t left = count_of(c, kind), cursor = 0;
    for (map_entry_t *m; (m = map_next(mine, &cursor));) tell(c, what, m->key, --left);
    pubsub__leave_all(c, kind);
}

static void unsubscribe(redis_call_t *call, pubsub_kind_t kind, const char *what)
{
    redis_client_t *c = call->client;
    if (call->argc == 1) leave_all(c, kind, what);
    for (int i = 1; i < call->argc; i++) {
        pubsub__leave(c, kind, call->argv[i]);
        tell(c, what, call->argv[i], count_of(c, kind));
    }
}

void redis_cmd_subscribe(redis_call_t *call) { subscribe(call, PUBSUB_CHANNEL, "subscribe"); }
void redis_cmd_psubscribe(redis_call_t *call) { subscribe(call, PUBSUB_PATTERN, "psubscribe"); }
void redis_cmd_ssubscribe(redis_call_t *call) { subscribe(call, PUBSUB_SHARD, "ssubscribe"); }
void redis_cmd_unsubscribe(redis_call_t *call) { unsubscribe(call, PUBSUB_CHANNEL, "unsubscribe"); }
void redis_cmd_punsubscribe(redis_call_t *call) { unsubscribe(call, PUBSUB_PATTERN, "punsubscribe"); }
void redis_cmd_sunsubscribe(redis_call_t *call) { unsubscribe(call, PUBSUB_SHARD, "sunsubscribe"); }

void redis_cmd_publish(redis_call_t *call)
{
    reply_int(call->client, (int64_t)pubsub__publish(call->client->clients, call->argv[1], call->argv[2], false));
}

void redis_cmd_spublish(redis_call_t *call)
{
    reply_int(call->client, (int64_t)pubsub__publish(call->client->clients, call->argv[1], call->argv[2], true));
}

static void list_channels(redis_call_t *call, pubsub_kind_t kind)
{
    if (call->argc > 3) {
        reply_errorf(call->client, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
                     (int)MIN(call->argv[1].len, (size_t)128), (const char *)call->argv[1].ptr);
        return;
    }
    reply_deferred_t d = reply_deferred_begin(call->client);
    size_t cursor = 0, count = 0;
    map_entry_t *m;
    while ((m = map_next(pubsub__all_of(call->client->clients, kind), &cursor))) {
        if (call->argc > 2 && !glob_match(call->argv[2], m->key, false)) continue;
        reply_bulk(call->client, m->key);
        count++;
    }
    reply_deferred_array(call->client, d, count);
}

static void count_subscribers(redis_call_t *call, pubsub_kind_t kind)
{
    reply_array(call->client, (size_t)(call->argc - 2) * 2);
    for (int i = 2; i < call->argc; i++) {
        reply_bulk(call->client, call->argv[i]);
        reply_int(call->client, (int64_t)pubsub__count(call->client->clients, kind, call->argv[i]));
    }
}

void redis_cmd_pubsub_channels(redis_call_t *call) { list_channels(call, PUBSUB_CHANNEL); }
void redis_cmd_pubsub_shardchannels(redis_call_t *call) { list_channels(call, PUBSUB_SHARD); }
void redis_cmd_pubsub_numsub(redis_call_t *call) { count_subscribers(call, PUBSUB_CHANNEL); }
void redis_cmd_pubsub_shardnumsub(redis_call_t *call) { count_subscribers(call, PUBSUB_SHARD); }
void redis_cmd_pubsub_numpat(redis_call_t *call)
{
    reply_int(call->client, (int64_t)pubsub__all_of(call->client->clients, PUBSUB_PATTERN)->count);
}
