/* feed.c: the change feed listens to the keyspace. Which feeds take a change, what they send at once (the commands) and
 * what at the end of the step (the value), and who must wait while the outbox is full.
 *
 * Invariant: a change that a feed takes and its record are in one entry of the append-only file, so both are there after
 * a crash or neither. What is read back is not told again: its records are in the file. */
#include "bridge/feed.h"

#include <stdio.h>

/* ---- matching ---- */

static bool takes_database(const feed_t *feed, int db)
{
    for (int i = 0; i < feed->dbs_count; i++)
        if (feed->dbs[i] == db) return true;
    return feed->dbs_count == 0;
}

bool feed__takes(const feed_t *feed, int db, bytes_t key)
{
    if (!takes_database(feed, db)) return false;
    for (int i = 0; i < feed->globs_count; i++)
        if (redis_glob_match(feed->globs[i], key)) return true;
    return false;
}

/* ---- a change ---- */

static bytes_t touch_name(buf_t *scratch, int db, bytes_t key)
{
    buf_clear(scratch);
    buf_be32(scratch, (uint32_t)db);
    buf_append(scratch, key.ptr, key.len);
    return buf_bytes(scratch);
}

/* The key's value will be sent at the end of the step, once. */
static void touch(bridge_feeds_t *feeds, uint32_t mask, const redis_change_t *change)
{
    bytes_t name = touch_name(&feeds->scratch, change->db, change->key);
    feed_touch_t *t = map_get(&feeds->touched_by_key, name);
    if (!t) {
        t = mem_zalloc(sizeof(*t) + change->key.len + 1);
        t->key = bytes_of(t + 1, change->key.len);
        if (change->key.len) memcpy(t + 1, change->key.ptr, change->key.len);
        t->db = change->db;
        list_push_back(&feeds->touched, &t->node);
        map_put(&feeds->touched_by_key, name, t);
    }
    t->feeds |= mask;
    t->command = change->command;
    t->cause = change->cause;
    t->now_ms = change->now_ms;
}

static bool on_change(void *user, const redis_change_t *change)
{
    bridge_feeds_t *feeds = user;
    uint32_t later = 0;
    for (int i = 0; i < feeds->count; i++) {
        feed_t *feed = feeds->at[i];
        if (!feed__takes(feed, change->db, change->key)) continue;
        if (feed->format == FEED_VALUE)
            later |= 1u << i;
        else
            feed__add_command(feeds, feed, change);
    }
    if (later) touch(feeds, later, change);
    return later != 0;
}

static void forget_touches(bridge_feeds_t *feeds)
{
    LIST_EACH(&feeds->touched, t, feed_touch_t, node) mem_free(t);
    list_init(&feeds->touched);
    map_deinit(&feeds->touched_by_key);
    feeds->touched_by_key = MAP_INIT;
}

static void on_closing(void *user)
{
    bridge_feeds_t *feeds = user;
    LIST_EACH(&feeds->touched, t, feed_touch_t, node)
        for (int i = 0; i < feeds->count; i++)
            if (t->feeds & 1u << i) feed__add_value(feeds, feeds->at[i], t);
    forget_touches(feeds);
}

/* ---- a full outbox ---- */

static const feed_t *taker_of(const bridge_feeds_t *feeds, int db, bytes_t key)
{
    for (int i = 0; i < feeds->count; i++) {
        const feed_t *feed = feeds->at[i];
        if (key.ptr ? feed__takes(feed, db, key) : takes_database(feed, db)) return feed;
    }
    return NULL;
}

typedef struct counted_keys {
    const bridge_feeds_t *feeds;
    int db;
    uint64_t taken;
} counted_keys_t;

static void count_key(void *user, bytes_t key)
{
    counted_keys_t *c = user;
    c->taken += taker_of(c->feeds, c->db, key) != NULL;
}

static bool is_full(bridge_feeds_t *feeds)
{
    if (feeds->bridge->bytes >= feeds->bridge->bytes_max) return true;
    redis_hold_writes(feeds->bridge->redis, false);
    return false;
}

/* Of what changes all keys of a database at once: each is a record, and all of them one step. */
static const char *refusal_of_all(bridge_feeds_t *feeds, const feed_t *feed, int db)
{
    counted_keys_t c = {.feeds = feeds, .db = db};
    redis_each_key(feeds->bridge->redis, db, count_key, &c);
    if (c.taken <= FEED_FLUSH_KEYS_MAX) return NULL;
    snprintf(feeds->problem, sizeof(feeds->problem),
             "ERR the change feed '%s' would send %" PRIu64
             " records at once, and %d is the most: delete keys in pieces",
             feed->name, c.taken, FEED_FLUSH_KEYS_MAX);
    return feeds->problem;
}

static const char *on_refusal(void *user, int db, bytes_t key)
{
    bridge_feeds_t *feeds = user;
    const feed_t *feed = taker_of(feeds, db, key);
    if (!feed) return NULL;
    if (!is_full(feeds)) return key.ptr ? NULL : refusal_of_all(feeds, feed, db);
    snprintf(feeds->problem, sizeof(feeds->problem),
             "ERR the outbox is full, and the change feed '%s' would need it: see KAFKA.OUTBOX INFO", feed->name);
    return feeds->problem;
}

/* ---- life ---- */

void feed__start(bridge_feeds_t *feeds, bridge_t *bridge)
{
    feeds->bridge = bridge;
    bridge->feeds = feeds;
    if (feeds->count == 0) return;
    feeds->observer = (redis_observer_t){
        .changed = on_change,
        .closing = on_closing,
        .refusal = on_refusal,
        .user = feeds,
    };
    redis_observe(bridge->redis, &feeds->observer);
}

void feed__stop(bridge_feeds_t *feeds)
{
    if (!feeds->bridge) return;
    forget_touches(feeds);
    redis_observe(feeds->bridge->redis, NULL);
    feeds->bridge->feeds = NULL;
    feeds->bridge = NULL;
}
