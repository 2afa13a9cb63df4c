/* notify.c: keyspace events of notify-keyspace-events, which are messages on channels. */
#include "redis/conn/pubsub.h"
#include "redis/state.h"

#include <stdio.h>

static const struct {
    char letter;
    uint32_t bit;
} letters[] = {
    {'g', NOTIFY_GENERIC},  {'$', NOTIFY_STRING},   {'l', NOTIFY_LIST},     {'s', NOTIFY_SET},    {'h', NOTIFY_HASH},
    {'z', NOTIFY_ZSET},     {'x', NOTIFY_EXPIRED},  {'e', NOTIFY_EVICTED},  {'t', NOTIFY_STREAM}, {'d', NOTIFY_MODULE},
    {'K', NOTIFY_KEYSPACE}, {'E', NOTIFY_KEYEVENT}, {'m', NOTIFY_KEY_MISS}, {'n', NOTIFY_NEW},
};

uint32_t notify__parse(const char *text, bool *ret_ok)
{
    uint32_t classes = 0;
    *ret_ok = true;
    for (; *text; text++) {
        uint32_t bit = *text == 'A' ? NOTIFY_ALL : 0;
        for (size_t i = 0; i < ARRAY_LEN(letters); i++)
            if (letters[i].letter == *text) bit = letters[i].bit;
        if (bit == 0) *ret_ok = false;
        classes |= bit;
    }
    return classes;
}

void notify__format(uint32_t classes, char out[32])
{
    char *p = out;
    bool all = (classes & NOTIFY_ALL) == NOTIFY_ALL;
    if (all) *p++ = 'A';
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (classes & letters[i].bit && !(all && NOTIFY_ALL & letters[i].bit)) *p++ = letters[i].letter;
    *p = '\0';
}

static void on_event(db_listener_t *self, redis_db_t *db, bytes_t key, uint32_t event_class, const char *event)
{
    redis_t *redis = db->redis;
    uint32_t wanted = redis->config->notify_events;
    if (!(wanted & event_class) || redis->keyspace.loading) return;
    char prefix[48];
    buf_t name = BUF_INIT;
    if (wanted & NOTIFY_KEYSPACE) {
        int n = snprintf(prefix, sizeof(prefix), "__keyspace@%d__:", db->id);
        buf_append(&name, prefix, (size_t)n);
        buf_append(&name, key.ptr, key.len);
        pubsub__publish(redis, buf_bytes(&name), bytes_str(event), false);
    }
    buf_clear(&name);
    if (wanted & NOTIFY_KEYEVENT) {
        buf_printf(&name, "__keyevent@%d__:%s", db->id, event);
        pubsub__publish(redis, buf_bytes(&name), key, false);
    }
    buf_deinit(&name);
}

void notify__init(redis_t *redis)
{
    redis->pubsub.listener =
        (db_listener_t){.name = "keyspace notifications", .rank = DB_RANK_NOTIFY, .event = on_event};
    db_listen(&redis->keyspace.announce, &redis->pubsub.listener);
    notify__update(redis);
}

void notify__update(redis_t *redis)
{
    db_want(&redis->keyspace.announce, &redis->pubsub.listener, redis->config->notify_events ? DB_EVENT : 0);
}
