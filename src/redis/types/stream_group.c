/* stream_group.c: see stream_group.h. */
#include "redis/types/stream_group.h"

#include <stdlib.h>

/* ---- tables of named things ------------------------------------------------------------------------------------------ */

static uint64_t hash_of_group(const void *entry)
{
    const stream_group_t *g = entry;
    return hash_bytes(g->name, g->name_len);
}

static bool group_same(const void *entry, bytes_t name) { return bytes_eq(stream_group_name(entry), name); }

static uint64_t hash_of_consumer(const void *entry)
{
    const stream_consumer_t *c = entry;
    return hash_bytes(c->name, c->name_len);
}

static bool consumer_same(const void *entry, bytes_t name) { return bytes_eq(stream_consumer_name(entry), name); }

static int compare_groups(const void *a, const void *b)
{
    return bytes_cmp(stream_group_name(*(stream_group_t *const *)a), stream_group_name(*(stream_group_t *const *)b));
}

static int compare_consumers(const void *a, const void *b)
{
    return bytes_cmp(stream_consumer_name(*(stream_consumer_t *const *)a),
                     stream_consumer_name(*(stream_consumer_t *const *)b));
}

static void gather(void *user, void *entry)
{
    void ***next = user;
    *(*next)++ = entry;
}

static void *sorted(const table_t *t, int (*compare)(const void *a, const void *b))
{
    size_t count = table_count(t);
    if (count == 0) return NULL;
    void **all = mem_alloc(count * sizeof(*all)), **next = all;
    table_each((table_t *)t, gather, &next);
    qsort(all, count, sizeof(*all), compare);
    return all;
}

stream_group_t **stream_groups_sorted(const stream_t *s) { return sorted(&s->groups, compare_groups); }
stream_consumer_t **stream_consumers_sorted(const stream_group_t *g)
{
    return sorted(&g->consumers, compare_consumers);
}

/* ---- pending entries by time ----------------------------------------------------------------------------------------- */

static stream_id_t time_key(const stream_pending_t *p) { return (stream_id_t){(uint64_t)p->delivered_ms, p->order}; }

static void enter_time(stream_group_t *g, stream_id_t id, const stream_pending_t *p)
{
    bool added;
    if (!g->timed) return;
    stream_id_t *at = mem_alloc(sizeof(*at));
    *at = id;
    *idtree_slot(&g->by_time, time_key(p), &added) = at;
    ASSERT(added);
}

static void leave_time(stream_group_t *g, const stream_pending_t *p)
{
    if (g->timed) mem_free(idtree_remove(&g->by_time, time_key(p)));
}

void stream_pending_deliver(stream_group_t *g, stream_id_t id, stream_pending_t *p, int64_t at_ms)
{
    ASSERT(at_ms >= 0);
    if (p->order) leave_time(g, p);
    p->delivered_ms = at_ms;
    p->order = ++g->deliveries;
    enter_time(g, id, p);
}

bool stream_pending_oldest(stream_group_t *g, stream_id_t *ret_id, int64_t *ret_delivered_ms)
{
    bool first = !g->timed;
    g->timed = true;
    for (idtree_pos_t pos = idtree_first(&g->pending); first && pos.leaf; pos = idtree_next(pos))
        enter_time(g, idtree_id(pos), idtree_value(pos));
    idtree_pos_t oldest = idtree_first(&g->by_time);
    if (!oldest.leaf) return false;
    *ret_id = *(stream_id_t *)idtree_value(oldest);
    *ret_delivered_ms = (int64_t)idtree_id(oldest).ms;
    return true;
}

/* ---- consumers ------------------------------------------------------------------------------------------------------- */

stream_consumer_t *stream_consumer_find(const stream_group_t *g, bytes_t name)
{
    table_pos_t pos;
    return table_find(&g->consumers, hash_bytes(name.ptr, name.len), name, consumer_same, &pos) ? table_at(pos) : NULL;
}

stream_consumer_t *stream_consumer_add(stream_group_t *g, bytes_t name, int64_t now_ms)
{
    stream_consumer_t *c = mem_alloc(sizeof(*c) + name.len);
    *c = (stream_consumer_t){.seen_ms = now_ms, .active_ms = STREAM_NEVER_ACTIVE, .name_len = (uint32_t)name.len};
    if (name.len) memcpy(c->name, name.ptr, name.len);
    table_insert(&g->consumers, hash_of_consumer(c), c);
    return c;
}

void stream_consumer_remove(stream_group_t *g, stream_consumer_t *c)
{
    table_pos_t pos;
    for (idtree_pos_t at = idtree_first(&c->pending); at.leaf; at = idtree_next(at)) {
        leave_time(g, idtree_value(at));
        mem_free(idtree_remove(&g->pending, idtree_id(at)));
    }
    idtree_deinit(&c->pending, NULL);
    uint64_t hash = hash_of_consumer(c);
    bool found = table_find(&g->consumers, hash, stream_consumer_name(c), consumer_same, &pos);
    ASSERT(found);
    table_remove(&g->consumers, hash, pos);
    mem_free(c);
}

/* ---- groups ---------------------------------------------------------------------------------------------------------- */

void stream_groups_init(stream_t *s) { table_init(&s->groups, hash_of_group); }

stream_group_t *stream_group_find(const stream_t *s, bytes_t name)
{
    table_pos_t pos;
    return table_find(&s->groups, hash_bytes(name.ptr, name.len), name, group_same, &pos) ? table_at(pos) : NULL;
}

stream_group_t *stream_group_add(stream_t *s, bytes_t name, stream_id_t last_id, int64_t entries_read)
{
    stream_group_t *g = mem_alloc(sizeof(*g) + name.len);
    *g = (stream_group_t){.last_id = last_id, .entries_read = entries_read, .name_len = (uint32_t)name.len};
    if (name.len) memcpy(g->name, name.ptr, name.len);
    table_init(&g->consumers, hash_of_consumer);
    table_insert(&s->groups, hash_of_group(g), g);
    return g;
}

static void free_consumer(void *user, void *entry)
{
    idtree_deinit(&((stream_consumer_t *)entry)->pending, NULL);
    mem_free(entry);
}

static void free_group(void *user, void *entry)
{
    stream_group_t *g = entry;
    table_each(&g->consumers, free_consumer, NULL);
    table_deinit(&g->consumers);
    idtree_deinit(&g->pending, mem_free);
    idtree_deinit(&g->by_time, mem_free);
    mem_free(g);
}

void stream_groups_deinit(stream_t *s)
{
    table_each(&s->groups, free_group, NULL);
    table_deinit(&s->groups);
}

static bool drain_pending(idtree_t *t, size_t *budget, void (*free_value)(void *value))
{
    for (; *budget > 0 && t->count > 0; (*budget)--) {
        void *value = idtree_remove_at(t, idtree_first(t));
        if (free_value) free_value(value);
    }
    return t->count == 0;
}

typedef struct draining {
    size_t *budget;
    bool done;
} draining_t;

static void drain_consumer(void *user, void *entry)
{
    draining_t *d = user;
    d->done &= drain_pending(&((stream_consumer_t *)entry)->pending, d->budget, NULL);
}

static void drain_group(void *user, void *entry)
{
    draining_t *d = user;
    stream_group_t *g = entry;
    if (*d->budget > 0) table_each(&g->consumers, drain_consumer, d);
    d->done &= drain_pending(&g->by_time, d->budget, mem_free) && drain_pending(&g->pending, d->budget, mem_free);
}

bool stream_groups_drain(stream_t *s, size_t *budget)
{
    draining_t d = {budget, true};
    table_each(&s->groups, drain_group, &d);
    return d.done && *budget > 0;
}

void stream_group_remove(stream_t *s, stream_group_t *g)
{
    table_pos_t pos;
    uint64_t hash = hash_of_group(g);
    bool found = table_find(&s->groups, hash, stream_group_name(g), group_same, &pos);
    ASSERT(found);
    table_remove(&s->groups, hash, pos);
    free_group(NULL, g);
}

/* ---- pending entries ------------------------------------------------------------------------------------------------- */

stream_pending_t *stream_pending_find(const stream_group_t *g, stream_id_t id) { return idtree_get(&g->pending, id); }

static void add_to_consumer(stream_consumer_t *c, stream_id_t id, stream_pending_t *p)
{
    bool added;
    *idtree_slot(&c->pending, id, &added) = p;
    ASSERT(added);
    p->consumer = c;
}

stream_pending_t *stream_pending_give(stream_group_t *g, stream_id_t id, stream_consumer_t *c, bool *ret_added)
{
    void **slot = idtree_slot(&g->pending, id, ret_added);
    if (*ret_added) *slot = mem_zalloc(sizeof(stream_pending_t));
    stream_pending_t *p = *slot;
    if (p->consumer == c) return p;
    if (!*ret_added) idtree_remove(&p->consumer->pending, id);
    add_to_consumer(c, id, p);
    return p;
}

bool stream_pending_drop(stream_group_t *g, stream_id_t id)
{
    stream_pending_t *p = idtree_remove(&g->pending, id);
    if (!p) return false;
    leave_time(g, p);
    idtree_remove(&p->consumer->pending, id);
    mem_free(p);
    return true;
}

typedef struct asked {
    stream_id_t id;
    size_t dropped;
    bool needed;
} asked_t;

static void drop_from(void *user, void *group)
{
    asked_t *x = user;
    x->dropped += stream_pending_drop(group, x->id);
}

size_t stream_groups_drop(stream_t *s, stream_id_t id)
{
    asked_t x = {.id = id};
    table_each(&s->groups, drop_from, &x);
    return x.dropped;
}

static void look_for_need(void *user, void *group)
{
    asked_t *x = user;
    const stream_group_t *g = group;
    x->needed |= stream_id_cmp(g->last_id, x->id) < 0 || stream_pending_find(g, x->id);
}

bool stream_groups_are_done(const stream_t *s, stream_id_t id)
{
    asked_t x = {.id = id};
    table_each((table_t *)&s->groups, look_for_need, &x);
    return !x.needed;
}

/* ---- how far a group is ---------------------------------------------------------------------------------------------- */

void stream_group_advance(const stream_t *s, stream_group_t *g, stream_id_t id)
{
    uint64_t count;
    bool trimmed_past = stream_id_cmp(g->last_id, s->first_id) < 0; /* what it had not read may be gone */
    if (g->entries_read != STREAM_ENTRIES_READ_UNKNOWN && !trimmed_past && !stream_has_hole(s, id))
        g->entries_read++;
    else if (s->entries_added)
        g->entries_read = stream_entries_before(s, id, &count) ? (int64_t)count : STREAM_ENTRIES_READ_UNKNOWN;
    g->last_id = id;
}

bool stream_group_lag(const stream_t *s, const stream_group_t *g, int64_t *ret_lag)
{
    uint64_t count;
    *ret_lag = 0;
    if (s->entries_added == 0) return true;
    if (g->entries_read != STREAM_ENTRIES_READ_UNKNOWN && !stream_has_hole(s, g->last_id))
        count = (uint64_t)g->entries_read;
    else if (!stream_entries_before(s, g->last_id, &count))
        return false;
    *ret_lag = (int64_t)(s->entries_added - count);
    return true;
}

/* ---- copies and sizes ------------------------------------------------------------------------------------------------ */

typedef struct copying {
    stream_t *stream;
    stream_group_t *group;
} copying_t;

static void copy_consumer(void *user, void *entry)
{
    const stream_consumer_t *from = entry;
    stream_group_t *g = ((copying_t *)user)->group;
    stream_consumer_t *to = stream_consumer_add(g, stream_consumer_name(from), from->seen_ms);
    to->active_ms = from->active_ms;
    bool added;
    for (idtree_pos_t pos = idtree_first(&from->pending); pos.leaf; pos = idtree_next(pos)) {
        const stream_pending_t *p = idtree_value(pos);
        stream_pending_t *copy = stream_pending_give(g, idtree_id(pos), to, &added);
        stream_pending_deliver(g, idtree_id(pos), copy, p->delivered_ms);
        copy->deliveries = p->deliveries;
    }
}

static void copy_group(void *user, void *entry)
{
    copying_t *x = user;
    const stream_group_t *from = entry;
    x->group = stream_group_add(x->stream, stream_group_name(from), from->last_id, from->entries_read);
    table_each((table_t *)&from->consumers, copy_consumer, x);
}

void stream_groups_copy(stream_t *to, const stream_t *from)
{
    table_each((table_t *)&from->groups, copy_group, &(copying_t){.stream = to});
}

static void add_consumer_bytes(void *user, void *entry)
{
    const stream_consumer_t *c = entry;
    *(size_t *)user += sizeof(*c) + c->name_len + idtree_heap_bytes(&c->pending);
}

static void add_group_bytes(void *user, void *entry)
{
    const stream_group_t *g = entry;
    *(size_t *)user += sizeof(*g) + g->name_len + table_memory_bytes(&g->consumers) + idtree_heap_bytes(&g->pending) +
                       g->pending.count * sizeof(stream_pending_t) + idtree_heap_bytes(&g->by_time) +
                       g->by_time.count * sizeof(stream_id_t);
    table_each((table_t *)&g->consumers, add_consumer_bytes, user);
}

size_t stream_groups_memory(const stream_t *s)
{
    size_t bytes = table_memory_bytes(&s->groups);
    table_each((table_t *)&s->groups, add_group_bytes, &bytes);
    return bytes;
}

/* ---- rebuilding ------------------------------------------------------------------------------------------------------ */

void stream_emit_id(redis_emitter_t *out, stream_id_t id)
{
    char text[STREAM_ID_CHARS_MAX];
    emit_bytes(out, bytes_of(text, stream_id_format(text, id)));
}

typedef struct emission {
    redis_emitter_t *out;
    bytes_t key;
    const stream_group_t *group;
} emission_t;

static void emit_head(const emission_t *x, size_t argc, const char *name, const char *subcommand)
{
    emit_command(x->out, argc);
    emit_str(x->out, name);
    if (subcommand) emit_str(x->out, subcommand);
    emit_bytes(x->out, x->key);
    emit_bytes(x->out, stream_group_name(x->group));
}

static void emit_pending(const emission_t *x, stream_id_t id, const stream_pending_t *p)
{
    emit_head(x, 12, "XCLAIM", NULL);
    emit_bytes(x->out, stream_consumer_name(p->consumer));
    emit_str(x->out, "0");
    stream_emit_id(x->out, id);
    emit_str(x->out, "TIME");
    emit_i64(x->out, p->delivered_ms);
    emit_str(x->out, "RETRYCOUNT");
    emit_i64(x->out, (int64_t)p->deliveries);
    emit_str(x->out, "JUSTID");
    emit_str(x->out, "FORCE");
}

static void emit_consumer(const emission_t *x, const stream_consumer_t *c)
{
    if (c->pending.count == 0) {
        emit_head(x, 5, "XGROUP", "CREATECONSUMER");
        emit_bytes(x->out, stream_consumer_name(c));
    }
    for (idtree_pos_t pos = idtree_first(&c->pending); pos.leaf; pos = idtree_next(pos))
        emit_pending(x, idtree_id(pos), idtree_value(pos));
}

static void emit_group(const emission_t *x)
{
    const stream_group_t *g = x->group;
    emit_head(x, 7, "XGROUP", "CREATE");
    stream_emit_id(x->out, g->last_id);
    emit_str(x->out, "ENTRIESREAD");
    emit_i64(x->out, g->entries_read);
    stream_consumer_t **all = stream_consumers_sorted(g);
    for (size_t i = 0; i < table_count(&g->consumers); i++) emit_consumer(x, all[i]);
    mem_free(all);
}

void stream_groups_emit(const stream_t *s, bytes_t key, redis_emitter_t *out)
{
    stream_group_t **all = stream_groups_sorted(s);
    for (size_t i = 0; i < table_count(&s->groups); i++) emit_group(&(emission_t){out, key, all[i]});
    mem_free(all);
}
