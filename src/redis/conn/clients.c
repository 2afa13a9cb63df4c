/* clients.c: see clients.h. */
#include "redis/conn/clients.h"

#include "redis/conn/notify.h"
#include "redis/conn/tracking.h"

void clients__init(clients_t *clients)
{
    list_init(&clients->all);
    list_init(&clients->writing);
    client_memory__init(clients);
    clients->tracking = tracking__new(clients);
    notify__init(clients);
}

void clients__deinit(clients_t *clients)
{
    secure__deinit(clients);
    tracking__free(clients->tracking);
    map_deinit(&clients->by_id);
    map_deinit(&clients->pubsub.channels);
    map_deinit(&clients->pubsub.patterns);
    map_deinit(&clients->pubsub.shard_channels);
    buf_deinit(&clients->discard);
}

redis_client_t *clients__find(const clients_t *clients, uint64_t id)
{
    return map_get(&clients->by_id, map_key_u64(&id));
}

void clients__resume(clients_t *clients)
{
    if (clients->paused == 0) return;
    LIST_EACH(&clients->all, c, redis_client_t, node)
        if (c->flags & CLIENT_PAUSED) client__resume(c);
}

void clients__update_keepalive(clients_t *clients)
{
    LIST_EACH(&clients->all, c, redis_client_t, node)
        net_keepalive(c->conn, (uint32_t)clients->config->tcp_keepalive_s);
}
