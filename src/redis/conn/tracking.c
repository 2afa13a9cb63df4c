/* tracking.c: see tracking.h.
 *
 * A table maps a key's name (of any database) to the ids of the clients that read it; an id whose client is gone, or no longer
 * tracks, is passed over when the key changes. Of a prefix, the keys that changed gather until the turn's replies are about to
 * leave, and go in one message. Messages that a client's own command causes follow its reply. */
#include "redis/conn/tracking.h"
#include "redis/conn/clients.h"
#include "redis/conn/out.h"
#include "redis/conn/push.h"

#define HOOK_RANK 80 /* before the connections' output */

typedef struct readers {
    uint32_t count, cap;
    uint64_t ids[]; /* ascending */
} readers_t;

typedef struct prefix {
    map_t clients; /* by id */
    map_t changed; /* key -> 1 + the id of the client that changed it; 1 = nobody, or several did */
} prefix_t;

struct tracking {
    clients_t *clients;
    map_t keys;     /* -> readers_t */
    map_t prefixes; /* -> prefix_t */
    uint64_t items;
    uint64_t emptied_at; /* how many commands had run when all was told to be gone */
    bool has_changed;    /* some prefix has something to tell */
    db_listener_t listener;
    io_hook_t hook;
};

/* ---- messages -------------------------------------------------------------------------------------------------------- */

/* The client that hears instead of `c`; NULL if it is gone, which `c` is told once. */
static redis_client_t *target_of(redis_client_t *c)
{
    tracked_t *t = c->tracking;
    if (!t->redirect_id) return c;
    redis_client_t *target = clients__find(c->clients, t->redirect_id);
    if (target) return target;
    t->flags |= TRACKING_BROKEN_REDIR;
    if (c->resp < 3) return NULL;
    push_t p = push__begin(c);
    reply_push(p.to, 2);
    reply_bulk_str(p.to, "tracking-redir-broken");
    reply_int(p.to, (int64_t)t->redirect_id);
    push__end(&p);
    return NULL;
}

/* Tells of so many keys; `keys` NULL = of all that there are. */
static void tell(redis_client_t *c, const bytes_t *keys, size_t count)
{
    redis_client_t *target = target_of(c);
    if (!target || (target->resp < 3 && !(target != c && target->flags & CLIENT_PUBSUB))) return;
    if (!push__may_receive(target)) return;
    push_t p = push__begin(target);
    if (target->resp >= 3) {
        reply_push(p.to, 2);
        reply_bulk_str(p.to, "invalidate");
    } else {
        reply_array(p.to, 3);
        reply_bulk_str(p.to, "message");
        reply_bulk_str(p.to, "__redis__:invalidate");
    }
    if (keys)
        reply_array(p.to, count);
    else
        reply_null(p.to);
    for (size_t i = 0; keys && i < count; i++) reply_bulk(p.to, keys[i]);
    push__end(&p);
}

/* ---- the keys that were read ----------------------------------------------------------------------------------------- */

/* Where the id is, or belongs. */
static uint32_t place_of(const readers_t *r, uint64_t id)
{
    uint32_t low = 0, high = r->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (r->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void tracking__remember(redis_client_t *c, bytes_t key)
{
    tracking_t *t = c->clients->tracking;
    readers_t *r = map_get(&t->keys, key);
    uint32_t at = r ? place_of(r, c->id) : 0;
    if (r && at < r->count && r->ids[at] == c->id) return;
    if (!r || r->count == r->cap) {
        uint32_t cap = r ? r->cap * 2 : 1, count = r ? r->count : 0;
        r = mem_realloc(r, sizeof(*r) + sizeof(uint64_t) * cap);
        r->cap = cap;
        r->count = count;
        (void)map_put(&t->keys, key, r);
    }
    memmove(&r->ids[at + 1], &r->ids[at], sizeof(uint64_t) * (r->count - at));
    r->ids[at] = c->id;
    r->count++;
    t->items++;
}

void tracking__command_done(redis_client_t *c)
{
    uint32_t over = c->tracking->flags & TRACKING_KEEP ? TRACKING_KEEP : TRACKING_CACHING;
    c->tracking->flags &= ~over;
}

/* Who read the key is told, and the key forgotten. `changer`: who changed it, 0 = nobody. */
static void invalidate(tracking_t *t, bytes_t key, uint64_t changer)
{
    readers_t *r = map_remove(&t->keys, key);
    if (!r) return;
    t->items -= r->count;
    for (uint32_t i = 0; i < r->count; i++) {
        redis_client_t *c = clients__find(t->clients, r->ids[i]);
        if (!c || !c->tracking || c->tracking->flags & TRACKING_BCAST) continue;
        if (c->id == changer && c->tracking->flags & TRACKING_NOLOOP) continue;
        tell(c, &key, 1);
    }
    mem_free(r);
}

void tracking__limit(clients_t *clients)
{
    enum { DROPPED_MAX = 100 };
    tracking_t *t = clients->tracking;
    uint64_t max = clients->config->tracking_table_max_keys;
    if (max == 0 || t->keys.count <= max) return;
    for (int i = 0; t->keys.count > max && i < DROPPED_MAX; i++) {
        size_t cursor = keyspace__random(clients->keyspace) % t->keys.cap;
        map_entry_t *victim = map_next(&t->keys, &cursor);
        if (!victim) continue;
        buf_t key = BUF_INIT;
        buf_append(&key, victim->key.ptr, victim->key.len);
        invalidate(t, buf_bytes(&key), 0);
        buf_deinit(&key);
    }
    out__flush_all(clients);
}

static void forget_all(tracking_t *t)
{
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&t->keys, &cursor));) mem_free(m->value);
    map_deinit(&t->keys);
    t->keys = MAP_INIT;
    t->items = 0;
}

/* ---- prefixes -------------------------------------------------------------------------------------------------------- */

static bool begins_with(bytes_t key, bytes_t prefix)
{
    return key.len >= prefix.len && (!prefix.len || memcmp(key.ptr, prefix.ptr, prefix.len) == 0);
}

static void note_change(tracking_t *t, bytes_t key, uint64_t changer)
{
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&t->prefixes, &cursor));) {
        prefix_t *p = m->value;
        if (!begins_with(key, m->key)) continue;
        void *now = (void *)(uintptr_t)(changer + 1), *before = map_put(&p->changed, key, now);
        if (before && before != now)
            (void)map_put(&p->changed, key, (void *)(uintptr_t)1); /* of several: all must know */
        t->has_changed = true;
    }
}

/* The keys of the prefix that the client is told of, gathered into `keys`, which has room for all. */
static size_t keys_for(const redis_client_t *c, prefix_t *p, bytes_t *keys)
{
    size_t count = 0, cursor = 0;
    for (map_entry_t *m; (m = map_next(&p->changed, &cursor));) {
        uint64_t changer = (uint64_t)(uintptr_t)m->value - 1;
        if (changer == c->id && c->tracking->flags & TRACKING_NOLOOP) continue;
        keys[count++] = m->key;
    }
    return count;
}

static void tell_prefix(tracking_t *t, prefix_t *p)
{
    if (p->changed.count == 0) return;
    bytes_t *keys = mem_alloc(sizeof(*keys) * p->changed.count);
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&p->clients, &cursor));) {
        redis_client_t *c = m->value;
        size_t count = keys_for(c, p, keys);
        if (count) tell(c, keys, count);
    }
    mem_free(keys);
    map_deinit(&p->changed);
    p->changed = MAP_INIT;
}

static void turn(io_hook_t *hook)
{
    tracking_t *t = CONTAINER_OF(hook, tracking_t, hook);
    if (!t->has_changed) return;
    t->has_changed = false;
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&t->prefixes, &cursor));) tell_prefix(t, m->value);
    out__flush_all(t->clients);
}

static void join_prefix(redis_client_t *c, bytes_t prefix)
{
    tracking_t *t = c->clients->tracking;
    prefix_t *p = map_get(&t->prefixes, prefix);
    if (!p) {
        p = mem_zalloc(sizeof(*p));
        p->clients = p->changed = MAP_INIT;
        (void)map_put(&t->prefixes, prefix, p);
    }
    (void)map_put(&p->clients, bytes_of(&c->id, sizeof(c->id)), c);
    if (!map_put(&c->tracking->prefixes, prefix, c)) c->names_bytes += prefix.len;
}

static void leave_prefixes(redis_client_t *c)
{
    tracking_t *t = c->clients->tracking;
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&c->tracking->prefixes, &cursor));) {
        prefix_t *p = map_get(&t->prefixes, m->key);
        c->names_bytes -= m->key.len;
        map_remove(&p->clients, bytes_of(&c->id, sizeof(c->id)));
        if (p->clients.count) continue;
        map_remove(&t->prefixes, m->key);
        map_deinit(&p->clients);
        map_deinit(&p->changed);
        mem_free(p);
    }
    map_deinit(&c->tracking->prefixes);
}

bytes_t tracking__overlap(const redis_client_t *c, bytes_t prefix)
{
    size_t cursor = 0;
    if (!c->tracking) return BYTES_NULL;
    for (map_entry_t *m; (m = map_next(&c->tracking->prefixes, &cursor));)
        if (begins_with(m->key, prefix) || begins_with(prefix, m->key)) return m->key;
    return BYTES_NULL;
}

/* ---- what the keyspace announces ------------------------------------------------------------------------------------- */

static tracking_t *of(db_listener_t *self) { return CONTAINER_OF(self, tracking_t, listener); }

static uint64_t changer_of(const db_listener_t *self)
{
    const clients_t *clients = CONTAINER_OF(self, tracking_t, listener)->clients;
    return clients->host->who_runs(clients);
}

static void tell_all_of(tracking_t *t, bytes_t key, uint64_t changer)
{
    if (t->keys.count) invalidate(t, key, changer);
    if (t->prefixes.count) note_change(t, key, changer);
}

static void on_changed(db_listener_t *self, redis_db_t *db, bytes_t key)
{
    tell_all_of(of(self), key, changer_of(self));
}

static void on_gone(db_listener_t *self, redis_db_t *db, bytes_t key, db_cause_t cause)
{
    tell_all_of(of(self), key, 0);
}

static void on_fields_gone(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    tell_all_of(of(self), key, 0);
}

static void on_will_empty(db_listener_t *self, redis_db_t *db, const char *command)
{
    tracking_t *t = of(self);
    if (!command || t->emptied_at == t->clients->stats.commands) return; /* FLUSHALL empties many databases */
    t->emptied_at = t->clients->stats.commands;
    LIST_EACH(&t->clients->all, c, redis_client_t, node) {
        if (c->tracking) tell(c, NULL, 0);
    }
    forget_all(t);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

tracking_t *tracking__new(clients_t *clients)
{
    tracking_t *t = mem_zalloc(sizeof(*t));
    t->clients = clients;
    t->keys = t->prefixes = MAP_INIT;
    t->listener = (db_listener_t){.name = "tracking",
                                  .rank = DB_RANK_TRACKING,
                                  .changed = on_changed,
                                  .gone = on_gone,
                                  .fields_gone = on_fields_gone,
                                  .will_empty = on_will_empty};
    db_listen(&clients->keyspace->announce, &t->listener);
    t->hook = (io_hook_t){.rank = HOOK_RANK, .name = "redis tracking", .run = turn};
    io_hook_add(clients->loop, &t->hook);
    return t;
}

void tracking__free(tracking_t *t)
{
    io_hook_remove(&t->hook);
    forget_all(t);
    map_deinit(&t->prefixes);
    mem_free(t);
}

static void count_client(tracking_t *t, int by)
{
    uint64_t clients = t->clients->tracking_count += (uint64_t)by;
    db_want(&t->clients->keyspace->announce, &t->listener,
            clients ? DB_CHANGED | DB_GONE | DB_FIELDS_GONE | DB_WILL_EMPTY : 0);
    if (!clients) forget_all(t);
}

void tracking__on(redis_client_t *c, uint32_t modes, uint64_t redirect_id, const bytes_t *prefixes, size_t count)
{
    bool was = c->tracking;
    if (!was) {
        c->tracking = mem_zalloc(sizeof(*c->tracking));
        c->tracking->prefixes = MAP_INIT;
        count_client(c->clients->tracking, 1);
    }
    c->tracking->flags = modes;
    c->tracking->redirect_id = redirect_id;
    if (!(modes & TRACKING_BCAST)) return;
    if (count == 0 && c->tracking->prefixes.count == 0) join_prefix(c, BYTES_LIT(""));
    for (size_t i = 0; i < count; i++) join_prefix(c, prefixes[i]);
}

void tracking__off(redis_client_t *c)
{
    if (!c->tracking) return;
    leave_prefixes(c);
    mem_free(c->tracking);
    c->tracking = NULL;
    count_client(c->clients->tracking, -1);
}

tracking_info_t tracking__info(const clients_t *clients)
{
    const tracking_t *t = clients->tracking;
    return (tracking_info_t){
        .clients = clients->tracking_count, .keys = t->keys.count, .items = t->items, .prefixes = t->prefixes.count};
}
