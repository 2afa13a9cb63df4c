/* keyspace.c: lookups, adds, replacements and deletions; see keyspace.h. It keeps two things true: `expires` holds
 * exactly the entries whose expiry is set; each change is announced as listen.h says. */
#include "redis/db/evict.h"
#include "redis/state.h"
#include "redis/types/entry_alloc.h"

#include "base/num.h"

static inline bool entry_same(const void *entry, bytes_t key)
{
    const redis_entry_t *e = entry;
    return e->key_len == MIN(key.len, (size_t)ENTRY_LONG_KEY) && bytes_eq(entry_key(e), key);
}

static inline uint64_t hash_key(const redis_call_t *call, bytes_t key)
{
    if (LIKELY(key.ptr == call->hashed_key)) return call->key_hash;
    return hash_bytes(key.ptr, key.len);
}

static uint64_t hash_of_entry(const void *entry)
{
    bytes_t key = entry_key(entry);
    return hash_bytes(key.ptr, key.len);
}

void db__init(redis_db_t *db, redis_t *redis, int id)
{
    *db = (redis_db_t){.redis = redis, .id = id};
    table_init(&db->keys, hash_of_entry);
    table_init(&db->expires, hash_of_entry);
    table_limit(&db->keys, &redis->tables);
    table_limit(&db->expires, &redis->tables);
}

/* ---- taking out and putting in --------------------------------------------------------------------------------------- */

static void forget_expiry(redis_db_t *db, redis_entry_t *e, uint64_t hash)
{
    table_pos_t pos;
    if (entry_expire_ms(e) < 0) return;
    if (table_find(&db->expires, hash, entry_key(e), entry_same, &pos)) table_remove(&db->expires, hash, pos);
    entry__set_expire(e, -1);
}

static void take_out(redis_db_t *db, table_pos_t pos, uint64_t hash)
{
    redis_entry_t *e = table_at(pos);
    forget_expiry(db, e, hash);
    table_remove(&db->keys, hash, pos);
}

static inline bool is_wanted(const redis_db_t *db, uint32_t announcement)
{
    return UNLIKELY(listen__is_wanted(&db->redis->announce, announcement));
}

static inline void will_change(redis_db_t *db, redis_entry_t *e)
{
    if (is_wanted(db, DB_WILL_CHANGE)) listen__will_change(&db->redis->announce, db, e);
}

static inline void announce_event(redis_db_t *db, bytes_t key, uint32_t event_class, const char *event)
{
    if (is_wanted(db, DB_EVENT)) listen__event(&db->redis->announce, db, key, event_class, event);
}

static void put_in_silently(redis_db_t *db, redis_entry_t *e, uint64_t hash)
{
    e->flags = (uint8_t)((e->flags & ~ENTRY_EPOCH) | db->epoch);
    evict__init_entry(db->redis, e);
    table_insert(&db->keys, hash, e);
    if (is_wanted(db, DB_GREW)) listen__grew(&db->redis->announce, db, entry_key(e));
}

static void put_in(redis_db_t *db, redis_entry_t *e, uint64_t hash)
{
    put_in_silently(db, e, hash);
    announce_event(db, entry_key(e), NOTIFY_NEW, "new");
}

void db__went(redis_db_t *db, bytes_t key, db_cause_t cause)
{
    if (is_wanted(db, DB_GONE)) listen__gone(&db->redis->announce, db, key, cause);
    announce_event(db, key, cause == DB_EXPIRED ? NOTIFY_EXPIRED : NOTIFY_EVICTED, db_cause_name(cause));
}

void db__delete_expired(redis_db_t *db, redis_entry_t *e)
{
    table_pos_t pos;
    bytes_t key = entry_key(e);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    bool found = table_find(&db->keys, hash, key, entry_same, &pos);
    ASSERT(found && table_at(pos) == e);
    will_change(db, e);
    take_out(db, pos, hash);
    db->redis->stats.expired_keys++;
    db__went(db, key, DB_EXPIRED);
    entry__free(e);
}

/* ---- lookups --------------------------------------------------------------------------------------------------------- */

redis_entry_t *db__find(redis_db_t *db, bytes_t key)
{
    table_pos_t pos;
    return table_find(&db->keys, hash_bytes(key.ptr, key.len), key, entry_same, &pos) ? table_at(pos) : NULL;
}

/* True when the entry is past its time: then it is gone, or (while clients' writes are paused) only seems to
 * be. */
static bool expire_if_due(redis_call_t *call, redis_entry_t *e)
{
    if (!entry_is_expired(e, call->now_ms) || call->flags & CALL_LOADING) return false;
    if (call->redis->pause_until_ms == 0) db__delete_expired(call->db, e);
    return true;
}

/* The entry at `pos`, or NULL when it is not there or expired. */
static inline redis_entry_t *find_live(redis_call_t *call, bytes_t key, uint64_t hash, table_pos_t *pos)
{
    if (!table_find(&call->db->keys, hash, key, entry_same, pos)) return NULL;
    redis_entry_t *e = table_at(*pos);
    if (UNLIKELY(e->flags & ENTRY_EXPIRES) && expire_if_due(call, e)) return NULL;
    return e;
}

static inline void touch(redis_call_t *call, redis_entry_t *e)
{
    if (UNLIKELY(call->client->flags & CLIENT_NO_TOUCH)) return;
    evict__touch(call->redis, e);
}

redis_entry_t *key_peek(redis_call_t *call, bytes_t key)
{
    table_pos_t pos;
    return find_live(call, key, hash_key(call, key), &pos);
}

static inline redis_entry_t *look(redis_call_t *call, bytes_t key)
{
    table_pos_t pos;
    redis_entry_t *e = find_live(call, key, hash_key(call, key), &pos);
    if (UNLIKELY(e == NULL)) {
        call->redis->stats.keyspace_misses++;
        key_event(call, key, NOTIFY_KEY_MISS, "keymiss");
        return NULL;
    }
    call->redis->stats.keyspace_hits++;
    return e;
}

redis_entry_t *key_look(redis_call_t *call, bytes_t key) { return look(call, key); }

redis_entry_t *key_read(redis_call_t *call, bytes_t key)
{
    redis_entry_t *e = look(call, key);
    if (LIKELY(e != NULL)) touch(call, e);
    return e;
}

redis_entry_t *key_write(redis_call_t *call, bytes_t key)
{
    table_pos_t pos;
    redis_entry_t *e = find_live(call, key, hash_key(call, key), &pos);
    if (!e) return NULL;
    will_change(call->db, e);
    touch(call, e);
    return e;
}

static bool check_type(redis_call_t *call, redis_entry_t *e, redis_type_t type, redis_entry_t **ret_entry)
{
    if (UNLIKELY(e != NULL && e->type != type)) {
        reply_error_wrong_type(call->client);
        return false;
    }
    *ret_entry = e;
    return true;
}

bool key_read_type(redis_call_t *call, bytes_t key, redis_type_t type, redis_entry_t **ret_entry)
{
    return check_type(call, key_read(call, key), type, ret_entry);
}

bool key_write_type(redis_call_t *call, bytes_t key, redis_type_t type, redis_entry_t **ret_entry)
{
    return check_type(call, key_write(call, key), type, ret_entry);
}

void key_prefetch_all(redis_call_t *call, int from, int step)
{
    enum { KEYS_MAX = 64 };
    uint64_t hashes[KEYS_MAX];
    int count = 0;
    for (int i = from; i < call->argc && count < KEYS_MAX; i += step) {
        hashes[count] = hash_bytes(call->argv[i].ptr, call->argv[i].len);
        table_prefetch_bucket(&call->db->keys, hashes[count++]);
    }
    for (int i = 0; i < count; i++) table_prefetch_entry(&call->db->keys, hashes[i]);
}

/* ---- adding and deleting --------------------------------------------------------------------------------------------- */

static redis_entry_t *new_entry(bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value)
{
    redis_entry_t *e = entry__new(key, type, encoding, ENTRY_WORD, 0);
    entry_set_value(e, value);
    return e;
}

redis_entry_t *key_add(redis_call_t *call, bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value)
{
    redis_entry_t *e = new_entry(key, type, encoding, value);
    put_in(call->db, e, hash_key(call, key));
    return e;
}

static bool delete_from(redis_db_t *db, bytes_t key, uint64_t hash)
{
    table_pos_t pos;
    if (!table_find(&db->keys, hash, key, entry_same, &pos)) return false;
    redis_entry_t *e = table_at(pos);
    will_change(db, e);
    take_out(db, pos, hash);
    entry__free(e);
    return true;
}

bool key_delete(redis_call_t *call, bytes_t key)
{
    uint64_t hash = hash_key(call, key);
    table_pos_t pos;
    if (!find_live(call, key, hash, &pos)) return false;
    return delete_from(call->db, key, hash);
}

redis_entry_t *key_set(redis_call_t *call, bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value)
{
    uint64_t hash = hash_key(call, key);
    redis_entry_t *e = new_entry(key, type, encoding, value);
    bool replaces = delete_from(call->db, key, hash); /* then it is not announced as new */
    replaces ? put_in_silently(call->db, e, hash) : put_in(call->db, e, hash);
    return e;
}

/* ---- expiry ---------------------------------------------------------------------------------------------------------- */

static void remember_expiry(redis_db_t *db, redis_entry_t *e, uint64_t hash, int64_t at_ms)
{
    bool had = entry_expire_ms(e) >= 0;
    entry__set_expire(e, at_ms);
    if (!had) table_insert(&db->expires, hash, e);
}

static redis_entry_t *set_expire(redis_db_t *db, redis_entry_t *e, int64_t at_ms)
{
    bytes_t key = entry_key(e);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    if (at_ms < 0) {
        forget_expiry(db, e, hash);
        return e;
    }
    if (!(e->flags & ENTRY_EXPIRES)) {
        table_pos_t pos;
        bool found = table_find(&db->keys, hash, key, entry_same, &pos);
        ASSERT(found);
        e = entry__with_expiry_room(e);
        table_replace(pos, e);
    }
    remember_expiry(db, e, hash, at_ms);
    return e;
}

redis_entry_t *key_set_expire(redis_call_t *call, redis_entry_t *e, int64_t at_ms)
{
    will_change(call->db, e);
    return set_expire(call->db, e, at_ms);
}

/* ---- strings --------------------------------------------------------------------------------------------------------- */

bytes_t key_string(const redis_entry_t *e, char *scratch)
{
    if (e->encoding == ENC_INT) return bytes_of(scratch, num_format_i64(scratch, entry_int(e)));
    return entry_string(e);
}

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

static redis_entry_t *replace_string(redis_db_t *db, table_pos_t pos, uint64_t hash, string_shape_t s, bytes_t value)
{
    redis_entry_t *old = table_at(pos);
    if (fits_in_place(old, s, value.len)) {
        if (old->flags & ENTRY_WORD) entry__free_value(old);
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
        bool found = table_find(&db->expires, hash, entry_key(e), entry_same, &at);
        ASSERT(found);
        table_replace(at, e);
        entry__set_expire(e, at_ms);
    }
    entry__free(old);
    return e;
}

static redis_entry_t *set_string(redis_call_t *call, bytes_t key, bytes_t value, string_shape_t s, bool keep_ttl)
{
    redis_db_t *db = call->db;
    uint64_t hash = hash_key(call, key);
    table_pos_t pos;
    redis_entry_t *e = find_live(call, key, hash, &pos);
    if (!e) {
        e = new_string(key, s, value, false);
        put_in(db, e, hash);
        return e;
    }
    will_change(db, e);
    if (UNLIKELY(e->flags & ENTRY_EXPIRES) && !keep_ttl) forget_expiry(db, e, hash);
    e = replace_string(db, pos, hash, s, value);
    touch(call, e);
    return e;
}

redis_entry_t *key_set_string(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl)
{
    return set_string(call, key, value, shape_of(value), keep_ttl);
}

redis_entry_t *key_set_text(redis_call_t *call, bytes_t key, bytes_t value)
{
    return set_string(call, key, value, text_shape_of(value), true);
}

/* ---- APPEND, SETRANGE, INCR: a string changed where it is ------------------------------------------------------------ */

redis_entry_t *key_set_integer(redis_call_t *call, bytes_t key, int64_t v)
{
    char text[NUM_I64_CHARS_MAX];
    return key_set_string(call, key, bytes_of(text, num_format_i64(text, v)), true);
}

uint8_t *key_string_resize(redis_call_t *call, redis_entry_t *e, size_t len)
{
    char scratch[NUM_I64_CHARS_MAX];
    bytes_t old = key_string(e, scratch);
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
    if (!(e->flags & ENTRY_WORD)) {
        /* An embedded string moves out: the entry is laid out anew, with a word. */
        bytes_t key = entry_key(e);
        uint64_t hash = hash_bytes(key.ptr, key.len);
        table_pos_t pos;
        bool found = table_find(&call->db->keys, hash, key, entry_same, &pos);
        ASSERT(found);
        int64_t at_ms = entry_expire_ms(e);
        uint8_t flags = (uint8_t)(ENTRY_WORD | (e->flags & (ENTRY_EPOCH | ENTRY_EXPIRES)));
        redis_entry_t *to = entry__new(key, TYPE_STRING, ENC_RAW, flags, 0);
        to->access = e->access;
        table_replace(pos, to);
        if (at_ms >= 0) {
            entry__set_expire(to, at_ms);
            found = table_find(&call->db->expires, hash, key, entry_same, &pos);
            ASSERT(found);
            table_replace(pos, to);
        }
        entry__release(e);
        e = to;
    }
    e->encoding = ENC_RAW;
    entry_set_block(e, block, len);
    return block;
}

/* ---- keys that go elsewhere ------------------------------------------------------------------------------------------ */

static redis_entry_t *same_with_key(const redis_entry_t *from, bytes_t key, void *value)
{
    bool embedded = !(from->flags & ENTRY_WORD);
    uint8_t flags = (uint8_t)(from->flags & (ENTRY_WORD | ENTRY_EXPIRES));
    redis_entry_t *e = entry__new(key, (redis_type_t)from->type, (redis_encoding_t)from->encoding, flags,
                                  embedded ? from->str_len : 0);
    if (embedded)
        memcpy((uint8_t *)bytes_end(entry_key(e)), entry_string(from).ptr, from->str_len);
    else if (from->type != TYPE_STRING)
        entry_set_value(e, value);
    else if (from->encoding == ENC_INT)
        entry_set_int(e, entry_int(from));
    else
        entry_set_block(e, value, entry_string(from).len);
    return e;
}

static redis_entry_t *put_with_expiry(redis_db_t *to, redis_entry_t *e, int64_t at_ms)
{
    bytes_t key = entry_key(e);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    put_in(to, e, hash);
    if (at_ms >= 0) remember_expiry(to, e, hash, at_ms);
    return e;
}

redis_entry_t *db__move(redis_db_t *from, bytes_t name, redis_db_t *to, bytes_t new_name)
{
    table_pos_t pos;
    uint64_t hash = hash_bytes(name.ptr, name.len);
    bool found = table_find(&from->keys, hash, name, entry_same, &pos);
    ASSERT(found);
    redis_entry_t *old = table_at(pos);
    will_change(from, old);
    int64_t at_ms = entry_expire_ms(old);
    take_out(from, pos, hash);
    redis_entry_t *e = same_with_key(old, new_name, old->flags & ENTRY_WORD ? entry_value(old) : NULL);
    entry__release(old); /* its value lives on in e */
    return put_with_expiry(to, e, at_ms);
}

redis_entry_t *db__add_copy(redis_db_t *to, bytes_t key, const redis_entry_t *from)
{
    void *value = NULL;
    if (from->flags & ENTRY_WORD) {
        value = entry_value(from);
        if (from->type != TYPE_STRING) {
            value = type__ops((redis_type_t)from->type)->copy(value, (redis_encoding_t)from->encoding);
        } else if (from->encoding != ENC_INT) {
            bytes_t text = entry_string(from);
            value = mem_alloc(text.len);
            memcpy(value, text.ptr, text.len);
        }
    }
    return put_with_expiry(to, same_with_key(from, key, value), entry_expire_ms(from));
}

bool db__delete(redis_db_t *db, bytes_t key) { return delete_from(db, key, hash_bytes(key.ptr, key.len)); }

static void free_each(void *user, void *entry) { entry__free(entry); }

static void clear(redis_db_t *db)
{
    table_each(&db->keys, free_each, NULL);
    table_deinit(&db->keys);
    table_deinit(&db->expires);
    db->expire_cursor = 0;
}

uint64_t db__empty(redis_db_t *db, const char *command)
{
    uint64_t count = table_count(&db->keys);
    if (is_wanted(db, DB_WILL_EMPTY)) listen__will_empty(&db->redis->announce, db, command);
    clear(db);
    return count;
}

void db__deinit(redis_db_t *db)
{
    clear(db);
    map_deinit(&db->watched);
    map_deinit(&db->blocked);
}

/* Clients stay where they are. */
void db__swap(redis_db_t *a, redis_db_t *b)
{
    db_listeners_t *listeners = &a->redis->announce;
    if (is_wanted(a, DB_WILL_SWAP)) listen__will_swap(listeners, a, b);
    table_t keys = a->keys, expires = a->expires;
    a->keys = b->keys;
    a->expires = b->expires;
    b->keys = keys;
    b->expires = expires;
    a->expire_cursor = b->expire_cursor = 0;
    if (is_wanted(a, DB_SWAPPED)) listen__swapped(listeners, a, b);
}

/* ---- telling the world ----------------------------------------------------------------------------------------------- */

void key_event(redis_call_t *call, bytes_t key, uint32_t event_class, const char *event)
{
    announce_event(call->db, key, event_class, event);
}

void key_changed(redis_call_t *call, bytes_t key, uint32_t event_class, const char *event)
{
    if (is_wanted(call->db, DB_CHANGED)) listen__changed(&call->redis->announce, call->db, key);
    key_event(call, key, event_class, event);
}

void key_grew(redis_call_t *call, bytes_t key, redis_type_t type)
{
    if (is_wanted(call->db, DB_GREW)) listen__grew(&call->redis->announce, call->db, key);
}

/* ---- names and sizes ------------------------------------------------------------------------------------------------- */

const redis_type_ops_t *type__ops(redis_type_t type)
{
    switch (type) {
    case TYPE_LIST: return &list_type_ops;
    case TYPE_SET: return &set_type_ops;
    case TYPE_ZSET: return &zset_type_ops;
    case TYPE_HASH: return &hash_type_ops;
    case TYPE_STREAM: return &stream_type_ops;
    default: return NULL;
    }
}

const char *type__name(redis_type_t type)
{
    const redis_type_ops_t *ops = type__ops(type);
    return ops ? ops->name : "string";
}

const char *encoding__name(redis_encoding_t encoding)
{
    static const char *const names[ENC_COUNT] = {"raw",       "int",    "embstr",   "listpack", "quicklist",
                                                 "hashtable", "intset", "skiplist", "stream"};
    return names[encoding];
}

size_t entry__memory_bytes(const redis_entry_t *e, size_t samples)
{
    size_t bytes = entry__size(e);
    if (!(e->flags & ENTRY_WORD)) return bytes;
    if (e->type == TYPE_STRING) return e->encoding == ENC_INT ? bytes : bytes + mem_usable(entry_value(e));
    return bytes +
           type__ops((redis_type_t)e->type)->memory_bytes(entry_value(e), (redis_encoding_t)e->encoding, samples);
}
