/* strings.c: strings in their entries: integers, embedded bytes, or a block of their own; see entry.h. */
#include "redis/db/db_internal.h"
#include "redis/types/entry_alloc.h"

#include "base/num.h"

#define STRING_EMBED_MAX 512 /* longer strings have a block of their own */

typedef struct string_shape {
    redis_encoding_t encoding;
    int64_t integer;
    bool word; /* integer or a block of its own */
} string_shape_t;

static inline string_shape_t text_shape_of(bytes_t value)
{
    return (string_shape_t){.encoding = value.len <= 44 ? ENC_EMBSTR : ENC_RAW, .word = value.len > STRING_EMBED_MAX};
}

static inline string_shape_t shape_of(bytes_t value)
{
    string_shape_t s = text_shape_of(value);
    if (value.len <= 20 && num_parse_i64(value, &s.integer)) {
        s.encoding = ENC_INT;
        s.word = true;
    }
    return s;
}

static void fill_string(redis_entry_t *e, string_shape_t s, bytes_t value)
{
    e->encoding = s.encoding;
    e->type = TYPE_STRING;
    if (s.encoding == ENC_INT) {
        entry_set_int(e, s.integer);
        e->str_len = 0;
    } else if (s.word) {
        uint8_t *block = mem_alloc(value.len);
        memcpy(block, value.ptr, value.len);
        entry_set_block(e, block, value.len);
    } else {
        e->str_len = (uint16_t)value.len;
        if (value.len) memcpy((uint8_t *)bytes_end(entry_key(e)), value.ptr, value.len);
    }
}

static redis_entry_t *new_string(bytes_t key, string_shape_t s, bytes_t value, bool expires)
{
    uint8_t flags = (uint8_t)((s.word ? ENTRY_WORD : 0) | (expires ? ENTRY_EXPIRES : 0));
    redis_entry_t *e = entry__new(key, TYPE_STRING, s.encoding, flags, s.word ? 0 : value.len);
    fill_string(e, s, value);
    return e;
}

/* Whether the new string fits in the entry's own memory as it is laid out. */
static inline bool fits_in_place(const redis_entry_t *e, string_shape_t s, size_t len)
{
    if (s.word || e->flags & ENTRY_WORD) return s.word && e->flags & ENTRY_WORD;
    return entry__round(entry__bytes(e->flags, entry_key(e).len, len)) == entry__size(e);
}

static void free_value(redis_db_t *db, redis_entry_t *e)
{
    if (LIKELY(e->type == TYPE_STRING))
        entry__free_value(e);
    else
        lazyfree__value(&db->keyspace->lazy, e, db->keyspace->config->lazyfree_lazy_server_del);
}

static redis_entry_t *replace(redis_db_t *db, table_pos_t pos, uint64_t hash, string_shape_t s, bytes_t value)
{
    redis_entry_t *old = table_at(pos);
    if (fits_in_place(old, s, value.len)) {
        if (old->flags & ENTRY_WORD) free_value(db, old);
        fill_string(old, s, value);
        return old;
    }
    int64_t at_ms = entry_expire_ms(old);
    redis_entry_t *e = new_string(entry_key(old), s, value, at_ms >= 0);
    e->flags |= old->flags & ENTRY_EPOCH;
    e->access = old->access;
    table_replace(pos, e);
    if (at_ms >= 0) {
        table_pos_t at;
        bool found = table_find(&db->expires, hash, entry_key(e), db__same, &at);
        ASSERT(found);
        table_replace(at, e);
        entry__set_expire(e, at_ms);
    }
    free_value(db, old);
    entry__release(old);
    return e;
}

static inline string_shape_t shape_as(bytes_t value, string_form_t form)
{
    return form == STRING_TEXT ? text_shape_of(value) : shape_of(value);
}

redis_entry_t *db__add_string(redis_db_t *db, bytes_t key, uint64_t hash, bytes_t value, string_form_t form)
{
    redis_entry_t *e = new_string(key, shape_as(value, form), value, false);
    db__put(db, e, hash);
    return e;
}

redis_entry_t *db__replace_string(redis_db_t *db, table_pos_t pos, uint64_t hash, bytes_t value, string_form_t form,
                                  bool keep_ttl)
{
    redis_entry_t *e = table_at(pos);
    db__will_change(db, e);
    if (UNLIKELY(e->encoding == ENC_HASHTABLE_TIMED)) db__clock_out(db, e);
    if (UNLIKELY(e->flags & ENTRY_EXPIRES) && !keep_ttl) db__forget_expiry(db, e, hash);
    return replace(db, pos, hash, shape_as(value, form), value);
}

/* ---- APPEND, SETRANGE: a string changed where it is ------------------------------------------------------------------ */

/* An embedded string moves out: the entry is laid out anew, with a word. */
static redis_entry_t *moved_out(redis_db_t *db, redis_entry_t *e)
{
    bytes_t key = entry_key(e);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    table_pos_t pos;
    bool found = table_find(&db->keys, hash, key, db__same, &pos);
    ASSERT(found);
    int64_t at_ms = entry_expire_ms(e);
    uint8_t flags = (uint8_t)(ENTRY_WORD | (e->flags & (ENTRY_EPOCH | ENTRY_EXPIRES)));
    redis_entry_t *to = entry__new(key, TYPE_STRING, ENC_RAW, flags, 0);
    to->access = e->access;
    table_replace(pos, to);
    if (at_ms >= 0) {
        entry__set_expire(to, at_ms);
        found = table_find(&db->expires, hash, key, db__same, &pos);
        ASSERT(found);
        table_replace(pos, to);
    }
    entry__release(e);
    return to;
}

uint8_t *db__resize_string(redis_db_t *db, redis_entry_t *e, size_t len)
{
    char scratch[NUM_I64_CHARS_MAX];
    bytes_t old = string_text(e, scratch);
    bool own_block = e->encoding != ENC_INT && e->flags & ENTRY_WORD;
    uint8_t *block;
    if (own_block) {
        block = entry_value(e);
        if (len > mem_usable(block)) block = mem_realloc(block, len < MIB(1) ? len * 2 : len + MIB(1));
    } else {
        block = mem_alloc(MAX(len, old.len) + (len > 32 ? len : 32));
        if (old.len) memcpy(block, old.ptr, old.len);
    }
    if (len > old.len) memset(block + old.len, 0, len - old.len);
    if (!(e->flags & ENTRY_WORD)) e = moved_out(db, e);
    e->encoding = ENC_RAW;
    entry_set_block(e, block, len);
    return block;
}
