/* client.c: a client's life: made, named, made to wait, gone. */
#include "redis/conn/clients.h"
#include "redis/conn/out.h"
#include "redis/conn/tracking.h"
#include "redis/redis.h"

static redis_client_t *new_client(clients_t *clients)
{
    redis_client_t *c = mem_zalloc(sizeof(*c));
    c->clients = clients;
    c->redis = clients->redis;
    c->db = &clients->keyspace->dbs[0];
    c->resp = 2;
    c->created_ms = c->active_ms = io_wall_ms(clients->loop);
    list_init(&c->node);
    list_init(&c->writing_node);
    list_init(&c->watches);
    list_init(&c->asyncs);
    list_init(&c->count.node);
    return c;
}

redis_client_t *client__new(clients_t *clients, net_conn_t *conn)
{
    redis_client_t *c = new_client(clients);
    c->conn = conn;
    c->id = ++clients->next_id;
    if (clients->config->requirepass.len) c->flags |= CLIENT_NEED_AUTH;
    list_push_back(&clients->all, &c->node);
    map_put(&clients->by_id, map_key_u64(&c->id), c);
    clients->count++;
    return c;
}

redis_client_t *client__new_internal(clients_t *clients, buf_t *sink)
{
    redis_client_t *c = new_client(clients);
    c->flags = CLIENT_INTERNAL;
    c->sink = sink;
    return c;
}

void client__free(redis_client_t *c)
{
    clients_t *clients = c->clients;
    clients->host->gone(c);
    if (c->flags & CLIENT_PAUSED) clients->paused--;
    pubsub__forget(c);
    tracking__off(c);
    if (c->out_dirty) list_remove(&c->writing_node);
    client_memory__forget(c);
    if (c->conn) {
        list_remove(&c->node);
        map_remove(&clients->by_id, map_key_u64(&c->id));
        clients->count--;
        if (clients->on_gone) clients->on_gone(clients->on_gone_user, c->id);
    }
    resp_resume_deinit(&c->resume);
    buf_deinit(&c->deferred);
    buf_deinit(&c->pushed_to_self);
    mem_free(c->queue);
    mem_free(c->name);
    mem_free(c->lib_name);
    mem_free(c->lib_version);
    mem_free(c);
}

bool client__name_is_valid(bytes_t name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.ptr[i] < '!' || name.ptr[i] > '~') return false;
    return true;
}

void client__set_name(redis_client_t *c, bytes_t name)
{
    mem_free(c->name);
    c->name = name.len ? mem_strndup(name) : NULL;
}

void client__close(redis_client_t *c)
{
    if (c->flags & CLIENT_CLOSING || !c->conn) return;
    c->flags |= CLIENT_CLOSING;
    out__flush(c);
    net_close(c->conn);
}

void client__drop(redis_client_t *c)
{
    c->flags |= CLIENT_CLOSING | CLIENT_DROPPED;
    client_memory__forget(c);
    net_close_now(c->conn);
}

void client__pause(redis_client_t *c)
{
    c->flags |= CLIENT_PAUSED;
    c->clients->paused++;
    net_pause(c->conn);
}

/* Its command has been answered: CLIENT REPLY SKIP silenced this one, and the one behind it is silenced if this was it. */
void client__answered(redis_client_t *c)
{
    if (LIKELY(!(c->flags & (CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT)))) return;
    out__flush(c);
    bool next = c->flags & CLIENT_REPLY_SKIP_NEXT;
    c->flags &= ~(uint32_t)(CLIENT_REPLY_SKIP | CLIENT_REPLY_SKIP_NEXT);
    if (next) c->flags |= CLIENT_REPLY_SKIP;
}

void client__resume(redis_client_t *c)
{
    if (c->flags & CLIENT_PAUSED) c->clients->paused--;
    c->flags &= ~(uint32_t)CLIENT_PAUSED;
    if (c->conn && !(c->flags & CLIENT_BLOCKED)) net_resume(c->conn);
}

uint64_t redis_client_id(const redis_client_t *c) { return c->id; }
