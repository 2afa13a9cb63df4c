/* hash.c: see hash.h, and hash_internal.h for how entries lie in memory. */
#include "redis/types/hash_internal.h"

#include "redis/types/emit.h"
#include "redis/types/listpack.h"

value_t hash_new(void) { return (value_t){lp_new(0), ENC_LISTPACK}; }

size_t hash_length(value_t v) { return v.encoding == ENC_LISTPACK ? lp_pairs(v.ptr) : table_count(hash__table(v)); }

/* ---- entries --------------------------------------------------------------------------------------------------------- */

/* 254 announces that the field is timed, so a text of that length is stored in the long form. */
static inline bool is_long(bytes_t text) { return text.len >= HASH_TIMED_MARK; }
static inline size_t text_bytes(bytes_t text) { return (is_long(text) ? 5 : 1) + text.len; }

static void put_text(uint8_t *p, bytes_t text)
{
    if (text.len != HASH_TIMED_MARK) {
        pstr_put(p, text);
        return;
    }
    *p = PSTR_SHORT_MAX + 1;
    store_le32(p + 1, (uint32_t)text.len);
    memcpy(p + 5, text.ptr, text.len);
}

uint8_t *hash__entry_new(bytes_t field, bytes_t text, int64_t at_ms)
{
    bool timed = at_ms >= 0;
    size_t bytes = pstr_bytes(field.len) + text_bytes(text);
    uint8_t *block = mem_small_alloc(bytes + (timed ? sizeof(heap_node_t) + 1 : 0));
    uint8_t *entry = timed ? block + sizeof(heap_node_t) : block;
    if (timed) heap_node_init((heap_node_t *)block, at_ms);
    uint8_t *tail = pstr_put(entry, field);
    if (timed) *tail++ = HASH_TIMED_MARK;
    put_text(tail, text);
    return entry;
}

size_t hash__entry_bytes(const void *entry)
{
    size_t timed = hash__is_timed(entry) ? sizeof(heap_node_t) + 1 : 0;
    return timed + pstr_bytes(pstr_get(entry).len) + text_bytes(hash__text(entry));
}

void hash__entry_free(void *entry)
{
    void *block = hash__is_timed(entry) ? (void *)hash__node(entry) : entry;
    mem_small_free(block, hash__entry_bytes(entry));
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

bool hash_look(value_t v, bytes_t field, char room[NUM_I64_CHARS_MAX], hash_item_t *ret)
{
    if (v.encoding == ENC_LISTPACK) {
        const uint8_t *p = lp_find(lp_first(v.ptr), field, 1);
        if (p) *ret = (hash_item_t){field, lp_text(lp_skip(p), room), HASH_NO_TIME};
        return p != NULL;
    }
    table_pos_t pos;
    if (!pstr_find(hash__table(v), field, &pos)) return false;
    hash__item(table_at(pos), ret);
    return true;
}

bool hash_get(value_t v, bytes_t field, int64_t now_ms, char room[NUM_I64_CHARS_MAX], bytes_t *ret_value)
{
    hash_item_t item;
    if (!hash_look(v, field, room, &item) || hash_is_over(item.at_ms, now_ms)) return false;
    *ret_value = item.text;
    return true;
}

/* ---- changing -------------------------------------------------------------------------------------------------------- */

void hash__unpack(value_t *v)
{
    uint8_t *lp = v->ptr;
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    table_t *t = pstr_table_new(lp_pairs(lp) + 1);
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        bytes_t field = lp_text(p, a);
        p = lp_skip(p);
        table_insert(t, hash_bytes(field.ptr, field.len), hash__entry_new(field, lp_text(p, b), HASH_NO_TIME));
    }
    lp_free(lp);
    *v = (value_t){t, ENC_HASHTABLE};
}

static bool put_in_listpack(value_t *v, bytes_t field, bytes_t text)
{
    const uint8_t *p = lp_find(lp_first(v->ptr), field, 1);
    if (p) {
        v->ptr = lp_replace(v->ptr, lp_skip(p), text, NULL);
        return false;
    }
    v->ptr = lp_append(lp_append(v->ptr, field), text);
    return true;
}

static void insert(value_t v, uint64_t hash, uint8_t *entry)
{
    table_insert(hash__table(v), hash, entry);
    hash__entered(v, entry);
}

void hash__replace(value_t v, table_pos_t pos, uint8_t *entry)
{
    void *old = table_at(pos);
    hash__leaves(v, old);
    table_replace(pos, entry);
    hash__entered(v, entry);
    hash__entry_free(old);
}

static bool put_in_table(value_t v, bytes_t field, bytes_t text, int64_t at_ms)
{
    table_pos_t pos;
    uint64_t hash = hash_bytes(field.ptr, field.len);
    if (!table_find(hash__table(v), hash, field, pstr_same, &pos)) {
        insert(v, hash, hash__entry_new(field, text, at_ms));
        return true;
    }
    const uint8_t *entry = table_at(pos);
    bytes_t old = hash__text(entry);
    int64_t old_ms = hash__at_ms(entry);
    if (at_ms == HASH_KEEP_TIME) at_ms = old_ms;
    if (old.len == text.len && (at_ms >= 0) == (old_ms >= 0)) {
        if (text.len) memcpy((uint8_t *)old.ptr, text.ptr, text.len);
        if (at_ms != old_ms) heap_set_at_ms(&hash__times(v)->heap, hash__node(entry), at_ms);
        return false;
    }
    hash__replace(v, pos, hash__entry_new(field, text, at_ms));
    return false;
}

void hash_expect(value_t *v, size_t count, const redis_config_t *config)
{
    if (v->encoding == ENC_LISTPACK && count > config->hash_max_listpack_entries) hash__unpack(v);
}

bool hash_put(value_t *v, bytes_t field, bytes_t text, int64_t at_ms, const redis_config_t *config)
{
    if (v->encoding == ENC_LISTPACK) {
        size_t longest = MAX(field.len, text.len);
        if (at_ms >= 0 || longest > config->hash_max_listpack_value ||
            !lp_room_for(v->ptr, field.len + text.len + 2 * LP_ENTRY_OVERHEAD_BYTES_MAX))
            hash__unpack(v);
    }
    if (v->encoding == ENC_HASHTABLE && at_ms >= 0) hash__begin_times(v);
    if (v->encoding != ENC_LISTPACK) return put_in_table(*v, field, text, at_ms);
    bool added = put_in_listpack(v, field, text);
    if (added && lp_pairs(v->ptr) > config->hash_max_listpack_entries) hash__unpack(v);
    return added;
}

bool hash_delete(value_t *v, bytes_t field)
{
    if (v->encoding == ENC_LISTPACK) {
        const uint8_t *p = lp_find(lp_first(v->ptr), field, 1);
        if (p) v->ptr = lp_delete(v->ptr, p, 2, NULL);
        return p != NULL;
    }
    table_pos_t pos;
    uint64_t hash = hash_bytes(field.ptr, field.len);
    table_t *t = hash__table(*v);
    if (!table_find(t, hash, field, pstr_same, &pos)) return false;
    void *entry = table_at(pos);
    hash__leaves(*v, entry);
    table_remove(t, hash, pos);
    hash__entry_free(entry);
    return true;
}

/* ---- walking ----------------------------------------------------------------------------- */

typedef struct walk {
    hash_each_cb each;
    hash_item_cb each_item;
    void *user;
    int64_t now_ms;
} walk_t;

static void visit(void *user, void *entry)
{
    walk_t *w = user;
    if (!hash_is_over(hash__at_ms(entry), w->now_ms)) w->each(w->user, pstr_get(entry), hash__text(entry));
}

static void each_in_listpack(const uint8_t *lp, hash_each_cb each, void *user)
{
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        bytes_t field = lp_text(p, a);
        p = lp_skip(p);
        each(user, field, lp_text(p, b));
    }
}

void hash_each(value_t v, int64_t now_ms, hash_each_cb each, void *user)
{
    walk_t w = {.each = each, .user = user, .now_ms = now_ms};
    if (v.encoding == ENC_LISTPACK)
        each_in_listpack(v.ptr, each, user);
    else
        table_each(v.ptr, visit, &w);
}

static void visit_item(void *user, void *entry)
{
    walk_t *w = user;
    hash_item_t item;
    hash__item(entry, &item);
    w->each_item(w->user, &item);
}

static void visit_pair(void *user, bytes_t field, bytes_t text)
{
    walk_t *w = user;
    w->each_item(w->user, &(hash_item_t){field, text, HASH_NO_TIME});
}

void hash_each_item(value_t v, hash_item_cb each, void *user)
{
    walk_t w = {.each_item = each, .user = user};
    if (v.encoding == ENC_LISTPACK)
        each_in_listpack(v.ptr, visit_pair, &w);
    else
        table_each(v.ptr, visit_item, &w);
}

void hash_at(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX], char value_room[NUM_I64_CHARS_MAX],
             bytes_t *ret_field, bytes_t *ret_value)
{
    if (v.encoding == ENC_LISTPACK) {
        *ret_field = lp_text(handle, room);
        *ret_value = lp_text(lp_skip(handle), value_room);
    } else {
        *ret_field = pstr_get(handle);
        *ret_value = hash__text(handle);
    }
}

/* ---- what the keyspace asks for ---------------------------------------------------------- */

static void free_entry(void *user, void *entry) { hash__entry_free(entry); }

static void type_free(void *ptr, redis_encoding_t encoding)
{
    hash_times_t *t = hash__times((value_t){ptr, encoding});
    if (encoding == ENC_LISTPACK) {
        lp_free(ptr);
        return;
    }
    ASSERT(!t || heap_place(&t->clock.node) == HEAP_NONE); /* whoever keeps it was told that it goes */
    if (t) heap_deinit(&t->heap);
    table_each(ptr, free_entry, NULL);
    table_deinit(ptr);
    mem_free(ptr);
}

static bool type_drain(void *ptr, redis_encoding_t encoding, size_t *budget)
{
    hash_times_t *t = hash__times((value_t){ptr, encoding});
    if (encoding == ENC_LISTPACK) {
        lp_free(ptr);
        return true;
    }
    ASSERT(!t || heap_place(&t->clock.node) == HEAP_NONE);
    if (t) heap_deinit(&t->heap);
    if (!table_drain(ptr, budget, free_entry, NULL)) return false;
    mem_free(ptr);
    return true;
}

static void copy_entry(void *user, void *entry)
{
    hash_item_t item;
    hash__item(entry, &item);
    insert(*(value_t *)user, pstr_hash(entry), hash__entry_new(item.field, item.text, item.at_ms));
}

static void *type_copy(const void *ptr, redis_encoding_t encoding)
{
    if (encoding == ENC_LISTPACK) return lp_copy(ptr);
    value_t v = {pstr_table_new(table_count(ptr)), ENC_HASHTABLE};
    if (encoding == ENC_HASHTABLE_TIMED) hash__begin_times(&v);
    table_each((table_t *)ptr, copy_entry, &v);
    return v.ptr;
}

static size_t type_length(const void *ptr, redis_encoding_t encoding)
{
    return hash_length((value_t){(void *)ptr, encoding});
}

static size_t type_memory(const void *ptr, redis_encoding_t encoding, size_t samples)
{
    if (encoding == ENC_LISTPACK) return lp_heap_bytes(ptr);
    const hash_times_t *t = hash__times((value_t){(void *)ptr, encoding});
    size_t times = t ? sizeof(*t) - sizeof(t->fields) + heap_bytes(&t->heap) : 0;
    return times + table_estimate_bytes(ptr, samples, hash__entry_bytes);
}

static void emit_plain(void *user, const hash_item_t *item)
{
    emit_items_t *items = user;
    if (item->at_ms >= 0) return;
    emit_next_item(items);
    emit_bytes(items->out, item->field);
    emit_bytes(items->out, item->text);
}

static void emit_timed(void *user, const hash_item_t *item)
{
    emit_items_t *items = user;
    if (item->at_ms < 0) return;
    emit_command(items->out, 8);
    emit_str(items->out, "HSETEX");
    emit_bytes(items->out, items->key);
    emit_str(items->out, "PXAT");
    emit_i64(items->out, item->at_ms);
    emit_str(items->out, "FIELDS");
    emit_str(items->out, "1");
    emit_bytes(items->out, item->field);
    emit_bytes(items->out, item->text);
}

static void type_emit(const void *ptr, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out)
{
    value_t v = {(void *)ptr, encoding};
    emit_items_t items = {out, "HSET", key, 2, hash_length(v) - hash_timed(v), 0}; /* fields without a time */
    hash_each_item(v, emit_plain, &items);
    if (hash_timed(v)) hash_each_item(v, emit_timed, &items);
}

const redis_type_ops_t hash_type_ops = {"hash", type_free, type_drain, type_copy, type_length, type_memory, type_emit};
