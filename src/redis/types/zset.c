/* zset.c: see zset.h. */
#include "redis/types/zset.h"

#include <math.h>
#include <stdlib.h>

#include "redis/number.h"
#include "redis/types/emit.h"
#include "redis/types/listpack.h"

static uint64_t item_hash(const void *entry)
{
    const zitem_t *item = entry;
    return hash_bytes(item->member, item->len);
}
static bool item_same(const void *entry, bytes_t member) { return bytes_eq(zitem_member(entry), member); }
static bool item_find(const zset_t *z, bytes_t member, table_pos_t *ret_pos)
{
    return table_find(&z->members, hash_bytes(member.ptr, member.len), member, item_same, ret_pos);
}

/* ---- the listpack encoding --------------------------------------------------------------- */

/* The score of an entry that follows its member. */
static double lp_score(const uint8_t *p)
{
    char text[64];
    lp_value_t v = lp_get(p);
    if (!v.ptr) return (double)v.i64;
    size_t n = MIN(v.len, sizeof(text) - 1);
    memcpy(text, v.ptr, n);
    text[n] = '\0';
    return strtod(text, NULL);
}

static const uint8_t *lp_next_pair(const uint8_t *p) { return lp_next(lp_skip(p)); }

static const uint8_t *lp_find_member(const uint8_t *lp, bytes_t member) { return lp_find(lp_first(lp), member, 1); }

static bool pair_is_before(const uint8_t *p, const ztree_bound_t *b)
{
    char room[NUM_I64_CHARS_MAX];
    bool or_equal = b->kind & 1;
    if (b->kind != ZBOUND_LEX_GE && b->kind != ZBOUND_LEX_GT) {
        double score = lp_score(lp_skip(p));
        if (score != b->score) return score < b->score;
        if (b->kind == ZBOUND_SCORE_GE || b->kind == ZBOUND_SCORE_GT) return or_equal;
    }
    int order = bytes_cmp(lp_text(p, room), b->member);
    return order < 0 || (or_equal && order == 0);
}

static const uint8_t *lp_seek_bound(const uint8_t *lp, const ztree_bound_t *b, size_t *ret_rank)
{
    const uint8_t *p = lp_first(lp);
    size_t rank = 0;
    for (; p && pair_is_before(p, b); p = lp_next_pair(p)) rank++;
    *ret_rank = rank;
    return p;
}

/* A score as a listpack keeps it, where zero has no sign. */
static bytes_t stored_score(double score, char room[DOUBLE_CHARS_MAX])
{
    return bytes_of(room, format_double(room, score == 0 ? 0 : score));
}

static uint8_t *lp_add_pair(uint8_t *lp, bytes_t member, double score)
{
    char room[DOUBLE_CHARS_MAX];
    size_t rank;
    bytes_t text = stored_score(score, room);
    ztree_bound_t bound = {ZBOUND_ITEM_GE, score, member};
    const uint8_t *p = lp_seek_bound(lp, &bound, &rank);
    if (!p) return lp_append(lp_append(lp, member), text);
    lp = lp_insert(lp, p, text, &p);
    return lp_insert(lp, p, member, NULL);
}

/* ---- items ------------------------------------------------------------------------------- */

static void free_item(void *user, void *entry) { zitem_free(entry); }

static zset_t *zset_alloc(size_t count)
{
    zset_t *z = mem_zalloc(sizeof(*z));
    table_init(&z->members, item_hash);
    if (count > TABLE_SLOTS) table_reserve(&z->members, count);
    return z;
}

static void zset_dispose(zset_t *z)
{
    table_each(&z->members, free_item, NULL);
    table_deinit(&z->members);
    ztree_deinit(&z->tree);
    mem_free(z);
}

static void add_item(zset_t *z, bytes_t member, uint64_t hash, double score)
{
    zitem_t *item = zitem_new(score, member);
    table_insert(&z->members, hash, item);
    ztree_insert(&z->tree, item);
}

static void remove_item(zset_t *z, zitem_t *item)
{
    table_pos_t pos;
    ztree_remove(&z->tree, item);
    bool found = item_find(z, zitem_member(item), &pos);
    ASSERT(found);
    table_remove(&z->members, item_hash(item), pos);
    zitem_free(item);
}

static void convert(value_t *v, size_t count)
{
    uint8_t *lp = v->ptr;
    char room[NUM_I64_CHARS_MAX];
    zset_t *z = zset_alloc(MAX(count, lp_pairs(lp)));
    for (const uint8_t *p = lp_first(lp); p; p = lp_next_pair(p)) {
        bytes_t member = lp_text(p, room);
        add_item(z, member, hash_bytes(member.ptr, member.len), lp_score(lp_skip(p)));
    }
    lp_free(lp);
    *v = (value_t){z, ENC_SKIPLIST};
}

void zset_unpack(value_t *v)
{
    if (v->encoding == ENC_LISTPACK) convert(v, 0);
}

/* ---- the set ----------------------------------------------------------------------------- */

value_t zset_new_for(size_t count, size_t longest, const redis_config_t *config)
{
    if (count <= config->zset_max_listpack_entries && longest <= config->zset_max_listpack_value)
        return (value_t){lp_new(0), ENC_LISTPACK};
    return (value_t){zset_alloc(count), ENC_SKIPLIST};
}

void zset_expect(value_t *v, size_t count, size_t longest, const redis_config_t *config)
{
    if (v->encoding == ENC_LISTPACK &&
        (count > config->zset_max_listpack_entries || longest > config->zset_max_listpack_value))
        convert(v, count);
}

size_t zset_length(value_t v)
{
    if (v.encoding == ENC_LISTPACK) return lp_pairs(v.ptr);
    const zset_t *z = v.ptr;
    ASSERT(v.encoding == ENC_SKIPLIST && z->tree.count == table_count(&z->members));
    return z->tree.count;
}

bool zset_score(value_t v, bytes_t member, double *ret_score)
{
    if (v.encoding == ENC_LISTPACK) {
        const uint8_t *p = lp_find_member(v.ptr, member);
        if (p) *ret_score = lp_score(lp_skip(p));
        return p != NULL;
    }
    table_pos_t pos;
    if (!item_find(v.ptr, member, &pos)) return false;
    *ret_score = ((zitem_t *)table_at(pos))->score;
    return true;
}

bool zset_rank(value_t v, bytes_t member, size_t *ret_rank, double *ret_score)
{
    if (v.encoding == ENC_LISTPACK) {
        const uint8_t *found = lp_find_member(v.ptr, member);
        size_t rank = 0;
        if (!found) return false;
        for (const uint8_t *p = lp_first(v.ptr); p != found; p = lp_next_pair(p)) rank++;
        *ret_rank = rank;
        *ret_score = lp_score(lp_skip(found));
        return true;
    }
    ztree_pos_t pos;
    if (!zset_score(v, member, ret_score)) return false;
    ztree_bound_t bound = {ZBOUND_ITEM_GE, *ret_score, member};
    *ret_rank = ztree_seek(&((zset_t *)v.ptr)->tree, &bound, &pos);
    return true;
}

bool zset_remove(value_t *v, bytes_t member)
{
    if (v->encoding == ENC_LISTPACK) {
        const uint8_t *p = lp_find_member(v->ptr, member);
        if (p) v->ptr = lp_delete(v->ptr, p, 2, NULL);
        return p != NULL;
    }
    table_pos_t pos;
    zset_t *z = v->ptr;
    if (!item_find(z, member, &pos)) return false;
    zitem_t *item = table_at(pos);
    table_remove(&z->members, item_hash(item), pos);
    ztree_remove(&z->tree, item);
    zitem_free(item);
    return true;
}

void zset_delete_ranks(value_t *v, size_t start, size_t count)
{
    if (v->encoding == ENC_LISTPACK) {
        v->ptr = lp_delete_range(v->ptr, (int64_t)start * 2, count * 2);
        return;
    }
    zset_t *z = v->ptr;
    for (; count > 0 && start < z->tree.count; count--) remove_item(z, ztree_item(ztree_at(&z->tree, start)));
}

/* What becomes of a member that has score `now`; ZADD_UPDATED: `*score` is to be stored. */
static zset_added_t judge(double now, double *score, unsigned flags)
{
    if (flags & ZADD_NX) return ZADD_NOTHING;
    if (flags & ZADD_INCR) {
        *score += now;
        if (isnan(*score)) return ZADD_NAN;
    }
    if (((flags & ZADD_LT) && *score >= now) || ((flags & ZADD_GT) && *score <= now)) return ZADD_NOTHING;
    return *score == now ? ZADD_SAME : ZADD_UPDATED;
}

static zset_added_t add_in_listpack(value_t *v, bytes_t member, double *score, unsigned flags,
                                    const redis_config_t *config, bool *ret_full)
{
    const uint8_t *p = lp_find_member(v->ptr, member);
    if (p) {
        zset_added_t result = judge(lp_score(lp_skip(p)), score, flags);
        if (result == ZADD_UPDATED) v->ptr = lp_add_pair(lp_delete(v->ptr, p, 2, NULL), member, *score);
        return result;
    }
    if (flags & ZADD_XX) return ZADD_NOTHING;
    *ret_full = zset_length(*v) + 1 > config->zset_max_listpack_entries ||
                member.len > config->zset_max_listpack_value || !lp_room_for(v->ptr, member.len + 64);
    if (!*ret_full) v->ptr = lp_add_pair(v->ptr, member, *score);
    return ZADD_ADDED;
}

static zset_added_t add_in_tree(zset_t *z, bytes_t member, double *score, unsigned flags)
{
    table_pos_t pos;
    uint64_t hash = hash_bytes(member.ptr, member.len);
    if (table_find(&z->members, hash, member, item_same, &pos)) {
        zitem_t *item = table_at(pos);
        zset_added_t result = judge(item->score, score, flags);
        if (result == ZADD_UPDATED) ztree_set_score(&z->tree, item, *score);
        return result;
    }
    if (flags & ZADD_XX) return ZADD_NOTHING;
    add_item(z, member, hash, *score);
    return ZADD_ADDED;
}

zset_added_t zset_add(value_t *v, bytes_t member, double score, unsigned flags, const redis_config_t *config,
                      double *ret_score)
{
    bool full = v->encoding == ENC_SKIPLIST;
    zset_added_t result = ZADD_ADDED;
    if (!full) {
        result = add_in_listpack(v, member, &score, flags, config, &full);
        if (full) convert(v, zset_length(*v) + 1);
    }
    if (full) result = add_in_tree(v->ptr, member, &score, flags);
    if (ret_score) *ret_score = score;
    return result;
}

/* ---- walking ----------------------------------------------------------------------------- */

size_t zset_seek(value_t v, const ztree_bound_t *bound)
{
    size_t rank;
    ztree_pos_t pos;
    if (v.encoding == ENC_SKIPLIST) return ztree_seek(&((zset_t *)v.ptr)->tree, bound, &pos);
    (void)lp_seek_bound(v.ptr, bound, &rank);
    return rank;
}

zset_cursor_t zset_at(value_t v, size_t rank)
{
    zset_cursor_t c = {0};
    if (v.encoding == ENC_LISTPACK) {
        c.lp = v.ptr;
        c.p = rank < lp_pairs(v.ptr) ? lp_seek(v.ptr, (int64_t)rank * 2) : NULL;
    } else {
        c.pos = ztree_at(&((zset_t *)v.ptr)->tree, rank);
    }
    return c;
}

bool zset_get(const zset_cursor_t *c, char room[NUM_I64_CHARS_MAX], bytes_t *ret_member, double *ret_score)
{
    if (c->p) {
        *ret_member = lp_text(c->p, room);
        if (ret_score) *ret_score = lp_score(lp_skip(c->p));
        return true;
    }
    if (!c->pos.node) return false;
    const zitem_t *item = ztree_item(c->pos);
    *ret_member = zitem_member(item);
    if (ret_score) *ret_score = item->score;
    return true;
}

void zset_next(zset_cursor_t *c)
{
    if (c->p)
        c->p = lp_next_pair(c->p);
    else
        c->pos = ztree_next(c->pos);
}

void zset_prev(zset_cursor_t *c)
{
    if (!c->p) {
        c->pos = ztree_prev(c->pos);
        return;
    }
    c->p = lp_prev(c->lp, c->p);
    if (c->p) c->p = lp_prev(c->lp, c->p);
}

void zset_each(value_t v, zset_each_cb each, void *user)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    double score;
    for (zset_cursor_t c = zset_at(v, 0); zset_get(&c, room, &member, &score); zset_next(&c)) each(user, member, score);
}

void zset_of_handle(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX], bytes_t *ret_member, double *ret_score)
{
    if (v.encoding == ENC_LISTPACK) {
        *ret_member = lp_text(handle, room);
        *ret_score = lp_score(lp_skip(handle));
    } else {
        *ret_member = zitem_member(handle);
        *ret_score = ((const zitem_t *)handle)->score;
    }
}

/* ---- building ---------------------------------------------------------------------------- */

zset_t *zset_begin(void) { return zset_alloc(0); }

zitem_t *zset_accumulate(zset_t *z, bytes_t member, double score, bool *ret_added)
{
    table_pos_t pos;
    uint64_t hash = hash_bytes(member.ptr, member.len);
    *ret_added = !table_find(&z->members, hash, member, item_same, &pos);
    if (!*ret_added) return table_at(pos);
    zitem_t *item = zitem_new(score, member);
    table_insert(&z->members, hash, item);
    return item;
}

void zset_drop(zset_t *z, bytes_t member)
{
    table_pos_t pos;
    if (!item_find(z, member, &pos)) return;
    zitem_t *item = table_at(pos);
    table_remove(&z->members, item_hash(item), pos);
    zitem_free(item);
}

static void order_item(void *user, void *entry)
{
    zset_t *z = user;
    ztree_insert(&z->tree, entry);
}

value_t zset_finish(zset_t *z)
{
    table_each(&z->members, order_item, z);
    return (value_t){z, ENC_SKIPLIST};
}

void zset_compact(value_t *v, const redis_config_t *config)
{
    zset_t *z = v->ptr;
    char room[DOUBLE_CHARS_MAX];
    if (z->tree.count > config->zset_max_listpack_entries) return;
    size_t bytes = 0;
    for (ztree_pos_t pos = ztree_at(&z->tree, 0); pos.node; pos = ztree_next(pos)) {
        bytes += ztree_item(pos)->len + 64;
        if (ztree_item(pos)->len > config->zset_max_listpack_value || bytes > LP_BYTES_MAX) return;
    }
    uint8_t *lp = lp_new(0);
    for (ztree_pos_t pos = ztree_at(&z->tree, 0); pos.node; pos = ztree_next(pos)) {
        lp = lp_append(lp, zitem_member(ztree_item(pos)));
        lp = lp_append(lp, stored_score(ztree_item(pos)->score, room));
    }
    zset_dispose(z);
    *v = (value_t){lp, ENC_LISTPACK};
}

void zset_free(value_t v)
{
    if (v.encoding == ENC_LISTPACK)
        lp_free(v.ptr);
    else
        zset_dispose(v.ptr);
}

/* ---- what the keyspace asks for ---------------------------------------------------------- */

static void type_free(void *ptr, redis_encoding_t encoding) { zset_free((value_t){ptr, encoding}); }

/* The tree first, whose nodes point to the items. */
static bool type_drain(void *ptr, redis_encoding_t encoding, size_t *budget)
{
    zset_t *z = ptr;
    if (encoding == ENC_LISTPACK) {
        lp_free(ptr);
        return true;
    }
    if (!ztree_drain(&z->tree, budget) || !table_drain(&z->members, budget, free_item, NULL)) return false;
    mem_free(z);
    return true;
}

static void copy_member(void *user, bytes_t member, double score)
{
    add_item(user, member, hash_bytes(member.ptr, member.len), score);
}

static void *type_copy(const void *ptr, redis_encoding_t encoding)
{
    if (encoding == ENC_LISTPACK) return lp_copy(ptr);
    zset_t *z = zset_alloc(((const zset_t *)ptr)->tree.count);
    zset_each((value_t){(void *)ptr, encoding}, copy_member, z);
    return z;
}

static size_t type_length(const void *ptr, redis_encoding_t encoding)
{
    return zset_length((value_t){(void *)ptr, encoding});
}

static size_t item_bytes(const void *entry) { return zitem_bytes(((const zitem_t *)entry)->len); }

static size_t type_memory(const void *ptr, redis_encoding_t encoding, size_t samples)
{
    if (encoding == ENC_LISTPACK) return lp_heap_bytes(ptr);
    const zset_t *z = ptr;
    return sizeof(*z) + z->tree.heap_bytes + table_estimate_bytes(&z->members, samples, item_bytes);
}

static void emit_member(void *user, bytes_t member, double score)
{
    emit_items_t *items = user;
    emit_next_item(items);
    emit_double(items->out, score);
    emit_bytes(items->out, member);
}

static void type_emit(const void *ptr, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out)
{
    value_t v = {(void *)ptr, encoding};
    emit_items_t items = {out, "ZADD", key, 2, zset_length(v), 0};
    zset_each(v, emit_member, &items);
}

const redis_type_ops_t zset_type_ops = {"zset", type_free, type_drain, type_copy, type_length, type_memory, type_emit};
