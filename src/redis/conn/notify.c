/* notify.c: keyspace events of notify-keyspace-events, which are messages on channels. */
#include "redis/conn/notify.h"
#include "redis/conn/clients.h"

#include <stdio.h>

static void on_event(db_listener_t *self, redis_db_t *db, bytes_t key, uint32_t event_class, const char *event)
{
    clients_t *clients = CONTAINER_OF(self, clients_t, pubsub.listener);
    uint32_t wanted = clients->config->notify_events;
    if (!(wanted & event_class) || clients->keyspace->loading) return;
    char prefix[48];
    buf_t name = BUF_INIT;
    if (wanted & NOTIFY_KEYSPACE) {
        int n = snprintf(prefix, sizeof(prefix), "__keyspace@%d__:", db->id);
        buf_append(&name, prefix, (size_t)n);
        buf_append(&name, key.ptr, key.len);
        pubsub__publish(clients, buf_bytes(&name), bytes_str(event), false);
    }
    buf_clear(&name);
    if (wanted & NOTIFY_KEYEVENT) {
        buf_printf(&name, "__keyevent@%d__:%s", db->id, event);
        pubsub__publish(clients, buf_bytes(&name), key, false);
    }
    buf_deinit(&name);
}

void notify__init(clients_t *clients)
{
    clients->pubsub.listener =
        (db_listener_t){.name = "keyspace notifications", .rank = DB_RANK_NOTIFY, .event = on_event};
    db_listen(&clients->keyspace->announce, &clients->pubsub.listener);
    notify__update(clients);
}

void notify__update(clients_t *clients)
{
    db_want(&clients->keyspace->announce, &clients->pubsub.listener, clients->config->notify_events ? DB_EVENT : 0);
}
