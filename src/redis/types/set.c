/* set.c: see set.h. Thresholds and the order of their checks are Redis's, so that OBJECT ENCODING tells the
 * same. */
#include "redis/types/set.h"

#include "redis/types/emit.h"
#include "redis/types/intset.h"
#include "redis/types/listpack.h"

#define INTSET_COUNT_MAX ((uint64_t)1 << 30)

static uint64_t intset_limit(const redis_config_t *config)
{
    return MIN(config->set_max_intset_entries, INTSET_COUNT_MAX);
}

value_t set_new_for(bytes_t first, size_t count, const redis_config_t *config)
{
    int64_t number;
    if (count <= config->set_max_intset_entries && num_parse_i64(first, &number))
        return (value_t){intset_new(), ENC_INTSET};
    if (count <= config->set_max_listpack_entries) return (value_t){lp_new(0), ENC_LISTPACK};
    return (value_t){pstr_table_new(count), ENC_HASHTABLE};
}

size_t set_length(value_t v)
{
    if (v.encoding == ENC_INTSET) return intset_count(v.ptr);
    if (v.encoding == ENC_LISTPACK) return lp_count(v.ptr);
    ASSERT(v.encoding == ENC_HASHTABLE);
    return table_count(v.ptr);
}

bool set_has(value_t v, bytes_t member)
{
    table_pos_t pos;
    int64_t number;
    if (v.encoding == ENC_HASHTABLE) return pstr_find(v.ptr, member, &pos);
    if (v.encoding == ENC_LISTPACK) return lp_find(lp_first(v.ptr), member, 0) != NULL;
    return num_parse_i64(member, &number) && intset_has(v.ptr, number);
}

/* ---- conversions ------------------------------------------------------------------------- */

static void table_add(table_t *t, bytes_t member)
{
    table_insert(t, hash_bytes(member.ptr, member.len), pstr_new(member));
}

static void add_to_table(void *user, bytes_t member) { table_add(user, member); }

static void make_table(value_t *v, size_t count)
{
    table_t *t = pstr_table_new(MAX(count, set_length(*v)));
    set_each(*v, add_to_table, t);
    set_free(*v);
    *v = (value_t){t, ENC_HASHTABLE};
}

static void make_listpack(value_t *v)
{
    intset_t *s = v->ptr;
    uint8_t *lp = lp_new(0);
    for (uint32_t i = 0; i < intset_count(s); i++) lp = lp_append_i64(lp, intset_at(s, i));
    intset_free(s);
    *v = (value_t){lp, ENC_LISTPACK};
}

void set_expect(value_t *v, size_t count, const redis_config_t *config)
{
    if ((v->encoding == ENC_LISTPACK && count > config->set_max_listpack_entries) ||
        (v->encoding == ENC_INTSET && count > config->set_max_intset_entries))
        make_table(v, count);
}

static void add_to_intset(void *user, bytes_t member)
{
    int64_t number;
    bool added;
    if (num_parse_i64(member, &number)) *(intset_t **)user = intset_add(*(intset_t **)user, number, &added);
}

void set_try_intset(value_t *v, const redis_config_t *config)
{
    if (v->encoding == ENC_INTSET || set_length(*v) > intset_limit(config)) return;
    intset_t *s = intset_new();
    set_each(*v, add_to_intset, &s);
    ASSERT(intset_count(s) == set_length(*v));
    set_free(*v);
    *v = (value_t){s, ENC_INTSET};
}

/* ---- adding and removing ----------------------------------------------------------------- */

static bool fits_listpack(size_t count, size_t longest, const redis_config_t *config)
{
    return count < config->set_max_listpack_entries && longest <= config->set_max_listpack_value;
}

static bool add_number(value_t *v, int64_t number, const redis_config_t *config)
{
    bool added;
    v->ptr = intset_add(v->ptr, number, &added);
    if (added && intset_count(v->ptr) > intset_limit(config)) make_table(v, 0);
    return added;
}

/* The first member that is no integer. */
static void leave_intset(value_t *v, bytes_t member, const redis_config_t *config)
{
    char room[NUM_I64_CHARS_MAX];
    uint32_t count = intset_count(v->ptr);
    size_t longest = member.len;
    if (count) {
        longest = MAX(longest, num_format_i64(room, intset_at(v->ptr, 0)));
        longest = MAX(longest, num_format_i64(room, intset_at(v->ptr, count - 1)));
    }
    if (fits_listpack(count, longest, config)) {
        make_listpack(v);
        v->ptr = lp_append(v->ptr, member);
    } else {
        make_table(v, count + 1);
        table_add(v->ptr, member);
    }
}

bool set_add(value_t *v, bytes_t member, const redis_config_t *config)
{
    if (v->encoding == ENC_HASHTABLE) {
        table_pos_t pos;
        uint64_t hash = hash_bytes(member.ptr, member.len);
        if (table_find(v->ptr, hash, member, pstr_same, &pos)) return false;
        table_insert(v->ptr, hash, pstr_new(member));
        return true;
    }
    if (v->encoding == ENC_INTSET) {
        int64_t number;
        if (num_parse_i64(member, &number)) return add_number(v, number, config);
        leave_intset(v, member, config);
        return true;
    }
    if (lp_find(lp_first(v->ptr), member, 0)) return false;
    if (fits_listpack(lp_count(v->ptr), member.len, config) &&
        lp_room_for(v->ptr, member.len + LP_ENTRY_OVERHEAD_BYTES_MAX)) {
        v->ptr = lp_append(v->ptr, member);
    } else {
        make_table(v, lp_count(v->ptr) + 1);
        table_add(v->ptr, member);
    }
    return true;
}

bool set_remove(value_t *v, bytes_t member)
{
    if (v->encoding == ENC_HASHTABLE) {
        table_pos_t pos;
        uint64_t hash = hash_bytes(member.ptr, member.len);
        if (!table_find(v->ptr, hash, member, pstr_same, &pos)) return false;
        void *entry = table_at(pos);
        table_remove(v->ptr, hash, pos);
        mem_small_free(entry, pstr_entry_bytes(entry));
        return true;
    }
    if (v->encoding == ENC_INTSET) {
        int64_t number;
        bool removed = false;
        if (num_parse_i64(member, &number)) v->ptr = intset_remove(v->ptr, number, &removed);
        return removed;
    }
    const uint8_t *p = lp_find(lp_first(v->ptr), member, 0);
    if (p) v->ptr = lp_delete(v->ptr, p, 1, NULL);
    return p != NULL;
}

/* ---- walking ----------------------------------------------------------------------------- */

typedef struct walk {
    set_each_cb each;
    void *user;
} walk_t;

static void visit(void *user, void *entry)
{
    walk_t *w = user;
    w->each(w->user, pstr_get(entry));
}

static void each_small(value_t v, set_each_cb each, void *user)
{
    char room[NUM_I64_CHARS_MAX];
    if (v.encoding == ENC_LISTPACK) {
        for (const uint8_t *p = lp_first(v.ptr); p; p = lp_next(p)) each(user, lp_text(p, room));
        return;
    }
    for (uint32_t i = 0; i < intset_count(v.ptr); i++)
        each(user, bytes_of(room, num_format_i64(room, intset_at(v.ptr, i))));
}

void set_each(value_t v, set_each_cb each, void *user)
{
    walk_t w = {each, user};
    if (v.encoding == ENC_HASHTABLE)
        table_each(v.ptr, visit, &w);
    else
        each_small(v, each, user);
}

bytes_t set_at(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX])
{
    if (v.encoding == ENC_LISTPACK) return lp_text(handle, room);
    if (v.encoding == ENC_HASHTABLE) return pstr_get(handle);
    return bytes_of(room, num_format_i64(room, intset_at(v.ptr, (uint32_t)(uintptr_t)handle - 1)));
}

/* ---- what the keyspace asks for ---------------------------------------------------------- */

void set_free(value_t v)
{
    if (v.encoding == ENC_INTSET)
        intset_free(v.ptr);
    else if (v.encoding == ENC_LISTPACK)
        lp_free(v.ptr);
    else
        pstr_table_free(v.ptr, pstr_entry_bytes);
}

static void type_free(void *ptr, redis_encoding_t encoding) { set_free((value_t){ptr, encoding}); }

static bool type_drain(void *ptr, redis_encoding_t encoding, size_t *budget)
{
    if (encoding == ENC_HASHTABLE) return pstr_table_drain(ptr, budget, pstr_entry_bytes);
    type_free(ptr, encoding);
    return true;
}

static void *type_copy(const void *ptr, redis_encoding_t encoding)
{
    if (encoding == ENC_INTSET) return intset_copy(ptr);
    if (encoding == ENC_LISTPACK) return lp_copy(ptr);
    table_t *t = pstr_table_new(table_count(ptr));
    set_each((value_t){(void *)ptr, encoding}, add_to_table, t);
    return t;
}

static size_t type_length(const void *ptr, redis_encoding_t encoding)
{
    return set_length((value_t){(void *)ptr, encoding});
}

static size_t type_memory(const void *ptr, redis_encoding_t encoding, size_t samples)
{
    if (encoding == ENC_INTSET) return intset_heap_bytes(ptr);
    return encoding == ENC_LISTPACK ? lp_heap_bytes(ptr) : table_estimate_bytes(ptr, samples, pstr_entry_bytes);
}

static void emit_member(void *user, bytes_t member)
{
    emit_items_t *items = user;
    emit_next_item(items);
    emit_bytes(items->out, member);
}

static void type_emit(const void *ptr, redis_encoding_t encoding, bytes_t key, redis_emitter_t *out)
{
    value_t v = {(void *)ptr, encoding};
    emit_items_t items = {out, "SADD", key, 1, set_length(v), 0};
    set_each(v, emit_member, &items);
}

const redis_type_ops_t set_type_ops = {"set", type_free, type_drain, type_copy, type_length, type_memory, type_emit};
