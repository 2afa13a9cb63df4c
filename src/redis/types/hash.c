/* hash.c: see hash.h. A table entry is two packed strings: the field, then the value. */
#include "redis/types/hash.h"

#include "redis/types/emit.h"
#include "redis/types/listpack.h"

value_t hash_new(void) { return (value_t){lp_new(0), ENC_LISTPACK}; }

static table_t *table_of(value_t v)
{
    ASSERT(v.encoding == ENC_HASHTABLE);
    return v.ptr;
}

size_t hash_length(value_t v) { return v.encoding == ENC_LISTPACK ? lp_pairs(v.ptr) : table_count(table_of(v)); }

static bytes_t entry_text(const uint8_t *entry)
{
    bytes_t field = pstr_get(entry);
    return pstr_get(field.ptr + field.len);
}

static uint8_t *entry_new(bytes_t field, bytes_t text)
{
    uint8_t *entry = mem_small_alloc(pstr_bytes(field.len) + pstr_bytes(text.len));
    pstr_put(pstr_put(entry, field), text);
    return entry;
}

static size_t entry_bytes(const void *entry)
{
    return pstr_bytes(pstr_get(entry).len) + pstr_bytes(entry_text(entry).len);
}

bool hash_get(value_t v, bytes_t field, char room[NUM_I64_CHARS_MAX], bytes_t *ret_value)
{
    if (v.encoding == ENC_LISTPACK) {
        const uint8_t *p = lp_find(lp_first(v.ptr), field, 1);
        if (p) *ret_value = lp_text(lp_skip(p), room);
        return p != NULL;
    }
    table_pos_t pos;
    if (!pstr_find(table_of(v), field, &pos)) return false;
    *ret_value = entry_text(table_at(pos));
    return true;
}

static void convert(value_t *v)
{
    uint8_t *lp = v->ptr;
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    table_t *t = pstr_table_new(lp_pairs(lp) + 1);
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        bytes_t field = lp_text(p, a);
        p = lp_skip(p);
        table_insert(t, hash_bytes(field.ptr, field.len), entry_new(field, lp_text(p, b)));
    }
    lp_free(lp);
    *v = (value_t){t, ENC_HASHTABLE};
}

static bool set_in_listpack(value_t *v, bytes_t field, bytes_t text)
{
    const uint8_t *p = lp_find(lp_first(v->ptr), field, 1);
    if (p) {
        v->ptr = lp_replace(v->ptr, lp_skip(p), text, NULL);
        return false;
    }
    v->ptr = lp_append(lp_append(v->ptr, field), text);
    return true;
}

static bool set_in_table(table_t *t, bytes_t field, bytes_t text)
{
    table_pos_t pos;
    uint64_t hash = hash_bytes(field.ptr, field.len);
    if (!table_find(t, hash, field, pstr_same, &pos)) {
        table_insert(t, hash, entry_new(field, text));
        return true;
    }
    uint8_t *entry = table_at(pos);
    bytes_t old = entry_text(entry);
    if (old.len == text.len) {
        if (text.len) memcpy((uint8_t *)old.ptr, text.ptr, text.len);
        return false;
    }
    table_replace(pos, entry_new(field, text));
    mem_small_free(entry, entry_bytes(entry));
    return false;
}

bool hash_set(value_t *v, bytes_t field, bytes_t text, const redis_config_t *config)
{
    if (v->encoding == ENC_LISTPACK) {
        size_t longest = MAX(field.len, text.len);
        if (longest > config->hash_max_listpack_value ||
            !lp_room_for(v->ptr, field.len + text.len + 2 * LP_ENTRY_OVERHEAD_BYTES_MAX))
            convert(v);
    }
    if (v->encoding != ENC_LISTPACK) return set_in_table(table_of(*v), field, text);
    bool added = set_in_listpack(v, field, text);
    if (added && lp_pairs(v->ptr) > config->hash_max_listpack_entries) convert(v);
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
    table_t *t = table_of(*v);
    if (!table_find(t, hash, field, pstr_same, &pos)) return false;
    void *entry = table_at(pos);
    table_remove(t, hash, pos);
    mem_small_free(entry, entry_bytes(entry));
    return true;
}

/* ---- walking ----------------------------------------------------------------------------- */

typedef struct walk {
    hash_each_cb each;
    void *user;
} walk_t;

static void visit(void *user, void *entry)
{
    walk_t *w = user;
    w->each(w->user, pstr_get(entry), entry_text(entry));
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

void hash_each(value_t v, hash_each_cb each, void *user)
{
    walk_t w = {each, user};
    if (v.encoding == ENC_LISTPACK)
        each_in_listpack(v.ptr, each, user);
    else
        table_each(v.ptr, visit, &w);
}

void hash_at(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX], char value_room[NUM_I64_CHARS_MAX],
             bytes_t *ret_field, bytes_t *ret_value)
{
    if (v.encoding == ENC_LISTPACK) {
        *ret_field = lp_text(handle, room);
        *ret_value = lp_text(lp_skip(handle), value_room);
    } else {
        *ret_field = pstr_get(handle);
        *ret_value = entry_text(handle);
    }
}

/* ---- what the keyspace asks for ---------------------------------------------------------- */

static void type_free(void *ptr, redis_encoding_t encoding)
{
    if (encoding == ENC_LISTPACK)
        lp_free(ptr);
    else
        pstr_table_free(ptr, entry_bytes);
}

static void copy_entry(void *user, void *entry)
{
    size_t bytes = entry_bytes(entry);
    uint8_t *copy = mem_small_alloc(bytes);
    memcpy(copy, entry, bytes);
    table_insert(user, pstr_hash(entry), copy);
}

static void *type_copy(const void *ptr, redis_encoding_t encoding)
{
    if (encoding == ENC_LISTPACK) return lp_copy(ptr);
    table_t *t = pstr_table_new(table_count(ptr));
    table_each((table_t *)ptr, copy_entry, t);
    return t;
}

static size_t type_length(const void *ptr, redis_encoding_t encoding)
{
    return hash_length((value_t){(void *)ptr, encoding});
}

static size_t type_memory(const void *ptr, redis_encoding_t encoding, size_t samples)
{
    return encoding == ENC_LISTPACK ? lp_heap_bytes(ptr) : table_estimate_bytes(ptr, samples, entry_bytes);
}

typedef struct emission {
    redis_emitter_t *out;
    bytes_t key;
    size_t left; /* fields yet to be emitted */
    size_t open; /* of them in the command that was begun */
} emission_t;

static void emit_field(void *user, bytes_t field, bytes_t text)
{
    emission_t *e = user;
    if (e->open == 0) {
        e->open = MIN(e->left, (size_t)EMIT_ITEMS_MAX);
        e->left -= e->open;
        emit_command(e->out, 2 + 2 * e->open);
        emit_str(e->out, "HSET");
        emit_bytes(e->out, e->key);
    }
    emit_bytes(e->out, field);
    emit_bytes(e->out, text);
    e->open--;
}

static void type_emit(const void *ptr, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out)
{
    value_t v = {(void *)ptr, encoding};
    emission_t e = {out, key, hash_length(v), 0};
    hash_each(v, emit_field, &e);
}

const redis_type_ops_t hash_type_ops = {"hash", type_free, type_copy, type_length, type_memory, type_emit};
