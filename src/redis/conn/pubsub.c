/* pubsub.c: see pubsub.h. */
#include "redis/conn/clients.h"
#include "redis/conn/push.h"
#include "redis/glob.h"

/* A name that somebody listens to. Subscribers are few or many; leaving is by search, as in the original. */
typedef struct channel {
    bytes_t name;
    redis_client_t **clients;
    size_t count, cap;
} channel_t;

map_t *pubsub__all_of(clients_t *clients, pubsub_kind_t kind)
{
    return kind == PUBSUB_CHANNEL   ? &clients->pubsub.channels
           : kind == PUBSUB_PATTERN ? &clients->pubsub.patterns
                                    : &clients->pubsub.shard_channels;
}

map_t *pubsub__names_of(redis_client_t *c, pubsub_kind_t kind)
{
    return kind == PUBSUB_CHANNEL ? &c->channels : kind == PUBSUB_PATTERN ? &c->patterns : &c->shard_channels;
}

size_t pubsub__subscriptions(const redis_client_t *c) { return c->channels.count + c->patterns.count; }

/* ---- joining and leaving --------------------------------------------------------------------------------------------- */

static void update_flag(redis_client_t *c)
{
    bool was = c->flags & CLIENT_PUBSUB, is = pubsub__subscriptions(c) + c->shard_channels.count > 0;
    if (is) c->flags |= CLIENT_PUBSUB;
    if (!is) c->flags &= ~(uint32_t)CLIENT_PUBSUB;
    if (was != is) c->clients->pubsub.clients += is ? 1 : (uint64_t)-1;
}

void pubsub__join(redis_client_t *c, pubsub_kind_t kind, bytes_t name)
{
    map_t *all = pubsub__all_of(c->clients, kind);
    if (map_get(pubsub__names_of(c, kind), name)) return;
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
    map_put(pubsub__names_of(c, kind), name, ch);
    c->names_bytes += name.len;
    update_flag(c);
}

/* The client's side of it is gone already, or goes next. */
static void leave_channel(redis_client_t *c, pubsub_kind_t kind, channel_t *ch)
{
    size_t i = 0;
    c->names_bytes -= ch->name.len;
    while (ch->clients[i] != c) i++;
    memmove(&ch->clients[i], &ch->clients[i + 1], (ch->count - i - 1) * sizeof(*ch->clients));
    if (--ch->count == 0) {
        map_remove(pubsub__all_of(c->clients, kind), ch->name);
        mem_free((void *)ch->name.ptr);
        mem_free(ch->clients);
        mem_free(ch);
    }
}

void pubsub__leave(redis_client_t *c, pubsub_kind_t kind, bytes_t name)
{
    channel_t *ch = map_remove(pubsub__names_of(c, kind), name);
    if (ch) leave_channel(c, kind, ch);
    update_flag(c);
}

void pubsub__leave_all(redis_client_t *c, pubsub_kind_t kind)
{
    map_t *mine = pubsub__names_of(c, kind);
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(mine, &cursor));) leave_channel(c, kind, m->value);
    map_deinit(mine);
    *mine = MAP_INIT;
    update_flag(c);
}

void pubsub__forget(redis_client_t *c)
{
    for (int kind = 0; kind < PUBSUB_KINDS; kind++) pubsub__leave_all(c, (pubsub_kind_t)kind);
}

size_t pubsub__count(clients_t *clients, pubsub_kind_t kind, bytes_t name)
{
    const channel_t *ch = map_get(pubsub__all_of(clients, kind), name);
    return ch ? ch->count : 0;
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

size_t pubsub__publish(clients_t *clients, bytes_t name, bytes_t message, bool shard)
{
    channel_t *ch = map_get(shard ? &clients->pubsub.shard_channels : &clients->pubsub.channels, name);
    size_t receivers = ch ? deliver(ch, shard ? "smessage" : "message", NULL, name, message) : 0;
    if (shard) return receivers;
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&clients->pubsub.patterns, &cursor)))
        if (glob_match(m->key, name, false)) receivers += deliver(m->value, "pmessage", &m->key, name, message);
    return receivers;
}
