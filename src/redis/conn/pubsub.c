/* pubsub.c: channels, patterns and shard channels, each a set of clients; and keyspace events, which are
 * messages. */
#include "redis/conn/push.h"
#include "redis/glob.h"
#include "redis/state.h"
#include "redis_commands.h"

#include <stdio.h>

/* A name that somebody listens to. Subscribers are few or many; leaving is by search, as in the original. */
typedef struct channel {
    bytes_t name;
    redis_client_t **clients;
    size_t count, cap;
} channel_t;

typedef enum { KIND_CHANNEL, KIND_PATTERN, KIND_SHARD, KIND_COUNT } kind_t;

static map_t *all_of(redis_t *redis, kind_t kind)
{
    return kind == KIND_CHANNEL   ? &redis->pubsub.channels
           : kind == KIND_PATTERN ? &redis->pubsub.patterns
                                  : &redis->pubsub.shard_channels;
}

static map_t *mine_of(redis_client_t *c, kind_t kind)
{
    return kind == KIND_CHANNEL ? &c->channels : kind == KIND_PATTERN ? &c->patterns : &c->shard_channels;
}

size_t pubsub__subscriptions(const redis_client_t *c) { return c->channels.count + c->patterns.count; }

/* ---- joining and leaving --------------------------------------------------------------------------------------------- */

static bool join(redis_client_t *c, kind_t kind, bytes_t name)
{
    map_t *all = all_of(c->redis, kind);
    if (map_get(mine_of(c, kind), name)) return false;
    channel_t *ch = map_get(all, name);
    if (!ch) {
        ch = mem_zalloc(sizeof(*ch));
        ch->name = bytes_of(mem_strndup(name), name.len);
        map_put(all, ch->name, ch);
    }
    if (ch->count == ch->cap) {
        ch->cap = ch->cap ? ch->cap * 2 : 4;
        ch->clients = mem_realloc(ch->clients, ch->cap * sizeof(*ch->clients));
    }
    ch->clients[ch->count++] = c;
    map_put(mine_of(c, kind), name, ch);
    return true;
}

/* The client's side of it is gone already, or goes next. */
static void leave_channel(redis_client_t *c, kind_t kind, channel_t *ch)
{
    size_t i = 0;
    while (ch->clients[i] != c) i++;
    memmove(&ch->clients[i], &ch->clients[i + 1], (ch->count - i - 1) * sizeof(*ch->clients));
    if (--ch->count == 0) {
        map_remove(all_of(c->redis, kind), ch->name);
        mem_free((void *)ch->name.ptr);
        mem_free(ch->clients);
        mem_free(ch);
    }
}

static void leave(redis_client_t *c, kind_t kind, bytes_t name)
{
    channel_t *ch = map_remove(mine_of(c, kind), name);
    if (ch) leave_channel(c, kind, ch);
}

static void update_flag(redis_client_t *c)
{
    bool was = c->flags & CLIENT_PUBSUB, is = pubsub__subscriptions(c) + c->shard_channels.count > 0;
    if (is) c->flags |= CLIENT_PUBSUB;
    if (!is) c->flags &= ~(uint32_t)CLIENT_PUBSUB;
    if (was != is) c->redis->pubsub.clients += is ? 1 : (uint64_t)-1;
}

void pubsub__forget(redis_client_t *c)
{
    for (int kind = 0; kind < KIND_COUNT; kind++) {
        map_t *mine = mine_of(c, (kind_t)kind);
        size_t cursor = 0;
        for (map_entry_t *m; (m = map_next(mine, &cursor));) leave_channel(c, (kind_t)kind, m->value);
        map_deinit(mine);
        *mine = MAP_INIT;
    }
    update_flag(c);
}

/* ---- messages -------------------------------------------------------------------------------------------------------- */

static void push(redis_client_t *c, const char *kind, const bytes_t *pattern, bytes_t name, bytes_t message)
{
    push_t p = push__begin(c);
    reply_push(p.to, pattern ? 4 : 3);
    reply_bulk_str(p.to, kind);
    if (pattern) reply_bulk(p.to, *pattern);
    reply_bulk(p.to, name);
    reply_bulk(p.to, message);
    push__end(&p);
}

static size_t deliver(const channel_t *ch, const char *kind, const bytes_t *pattern, bytes_t name, bytes_t message)
{
    for (size_t i = 0; i < ch->count; i++) {
        redis_client_t *c = ch->clients[i];
        if (push__may_receive(c)) push(c, kind, pattern, name, message);
    }
    return ch->count;
}

size_t pubsub__publish(redis_t *redis, bytes_t name, bytes_t message, bool shard)
{
    channel_t *ch = map_get(shard ? &redis->pubsub.shard_channels : &redis->pubsub.channels, name);
    size_t receivers = ch ? deliver(ch, shard ? "smessage" : "message", NULL, name, message) : 0;
    if (shard) return receivers;
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&redis->pubsub.patterns, &cursor)))
        if (glob_match(m->key, name, false)) receivers += deliver(m->value, "pmessage", &m->key, name, message);
    return receivers;
}

/* ---- commands -------------------------------------------------------------------------------------------------------- */

static void tell(redis_client_t *c, const char *what, bytes_t name, size_t count)
{
    push_t p = push__begin_reply(c);
    reply_push(p.to, 3);
    reply_bulk_str(p.to, what);
    reply_bulk(p.to, name);
    reply_int(p.to, (int64_t)count);
    push__end(&p);
}

static size_t count_of(redis_client_t *c, kind_t kind)
{
    return kind == KIND_SHARD ? c->shard_channels.count : pubsub__subscriptions(c);
}

static void subscribe(redis_call_t *call, kind_t kind, const char *what)
{
    for (int i = 1; i < call->argc; i++) {
        join(call->client, kind, call->argv[i]);
        tell(call->client, what, call->argv[i], count_of(call->client, kind));
    }
    update_flag(call->client);
}

static void leave_all(redis_client_t *c, kind_t kind, const char *what)
{
    map_t *mine = mine_of(c, kind);
    if (mine->count == 0) {
        tell(c, what, BYTES_NULL, count_of(c, kind));
        return;
    }
    size_t left = count_of(c, kind), cursor = 0;
    for (map_entry_t *m; (m = map_next(mine, &cursor));) {
        tell(c, what, m->key, --left);
        leave_channel(c, kind, m->value);
    }
    map_deinit(mine);
    *mine = MAP_INIT;
}

static void unsubscribe(redis_call_t *call, kind_t kind, const char *what)
{
    redis_client_t *c = call->client;
    if (call->argc == 1) leave_all(c, kind, what);
    for (int i = 1; i < call->argc; i++) {
        leave(c, kind, call->argv[i]);
        tell(c, what, call->argv[i], count_of(c, kind));
    }
    update_flag(c);
}

void redis_cmd_subscribe(redis_call_t *call) { subscribe(call, KIND_CHANNEL, "subscribe"); }
void redis_cmd_psubscribe(redis_call_t *call) { subscribe(call, KIND_PATTERN, "psubscribe"); }
void redis_cmd_ssubscribe(redis_call_t *call) { subscribe(call, KIND_SHARD, "ssubscribe"); }
void redis_cmd_unsubscribe(redis_call_t *call) { unsubscribe(call, KIND_CHANNEL, "unsubscribe"); }
void redis_cmd_punsubscribe(redis_call_t *call) { unsubscribe(call, KIND_PATTERN, "punsubscribe"); }
void redis_cmd_sunsubscribe(redis_call_t *call) { unsubscribe(call, KIND_SHARD, "sunsubscribe"); }

void redis_cmd_publish(redis_call_t *call)
{
    reply_int(call->client, (int64_t)pubsub__publish(call->redis, call->argv[1], call->argv[2], false));
}

void redis_cmd_spublish(redis_call_t *call)
{
    reply_int(call->client, (int64_t)pubsub__publish(call->redis, call->argv[1], call->argv[2], true));
}

static void list_channels(redis_call_t *call, const map_t *all)
{
    if (call->argc > 3) {
        reply_errorf(call->client, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.",
                     (int)MIN(call->argv[1].len, (size_t)128), (const char *)call->argv[1].ptr);
        return;
    }
    reply_deferred_t d = reply_deferred_begin(call->client);
    size_t cursor = 0, count = 0;
    map_entry_t *m;
    while ((m = map_next(all, &cursor))) {
        if (call->argc > 2 && !glob_match(call->argv[2], m->key, false)) continue;
        reply_bulk(call->client, m->key);
        count++;
    }
    reply_deferred_array(call->client, d, count);
}

static void count_subscribers(redis_call_t *call, const map_t *all)
{
    reply_array(call->client, (size_t)(call->argc - 2) * 2);
    for (int i = 2; i < call->argc; i++) {
        const channel_t *ch = map_get(all, call->argv[i]);
        reply_bulk(call->client, call->argv[i]);
        reply_int(call->client, ch ? (int64_t)ch->count : 0);
    }
}

void redis_cmd_pubsub_channels(redis_call_t *call) { list_channels(call, &call->redis->pubsub.channels); }
void redis_cmd_pubsub_shardchannels(redis_call_t *call) { list_channels(call, &call->redis->pubsub.shard_channels); }
void redis_cmd_pubsub_numsub(redis_call_t *call) { count_subscribers(call, &call->redis->pubsub.channels); }
void redis_cmd_pubsub_shardnumsub(redis_call_t *call) { count_subscribers(call, &call->redis->pubsub.shard_channels); }
void redis_cmd_pubsub_numpat(redis_call_t *call)
{
    reply_int(call->client, (int64_t)call->redis->pubsub.patterns.count);
}
