/* key.c: see key.h. Lookups in the name of a command: what is past its time is gone, hits and misses are counted, uses
 * remembered. */
#include "redis/exec/key.h"

#include "redis/conn/client.h"
#include "redis/db/announce.h"
#include "redis/db/evict.h"

#include "base/hash.h"
#include "base/num.h"

static inline uint64_t hash_key(const redis_call_t *call, bytes_t key)
{
    if (LIKELY(key.ptr == call->hashed_key)) return call->key_hash;
    return hash_bytes(key.ptr, key.len);
}

/* True when the entry is past its time: then it is gone, or (while clients' writes are paused) only seems to
 * be. */
static bool expire_if_due(redis_call_t *call, redis_entry_t *e)
{
    if (!entry_is_expired(e, call->now_ms) || call->flags & CALL_LOADING) return false;
    if (!call->db->keyspace->paused) db__delete_expired(call->db, e);
    return true;
}

/* The entry at `pos`, or NULL when it is not there or expired. */
static inline redis_entry_t *find_live(redis_call_t *call, bytes_t key, uint64_t hash, table_pos_t *pos)
{
    if (!table_find(&call->db->keys, hash, key, db__same, pos)) return NULL;
    redis_entry_t *e = table_at(*pos);
    if (UNLIKELY(e->flags & ENTRY_EXPIRES) && expire_if_due(call, e)) return NULL;
    return e;
}

static inline void touch(redis_call_t *call, redis_entry_t *e)
{
    if (UNLIKELY(call->client->flags & CLIENT_NO_TOUCH)) return;
    evict__touch(call->db->keyspace, e);
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
        call->db->keyspace->stats.misses++;
        key_event(call, key, NOTIFY_KEY_MISS, "keymiss");
        return NULL;
    }
    call->db->keyspace->stats.hits++;
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
    db__will_change(call->db, e);
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

redis_entry_t *key_add(redis_call_t *call, bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value)
{
    return db__add(call->db, key, hash_key(call, key), type, encoding, value);
}

bool key_delete_lazily(redis_call_t *call, bytes_t key, bool later)
{
    uint64_t hash = hash_key(call, key);
    table_pos_t pos;
    return find_live(call, key, hash, &pos) && db__delete_lazily(call->db, key, hash, later);
}

bool key_delete(redis_call_t *call, bytes_t key)
{
    return key_delete_lazily(call, key, call->config->lazyfree_lazy_server_del);
}

redis_entry_t *key_set(redis_call_t *call, bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value)
{
    return db__set(call->db, key, hash_key(call, key), type, encoding, value);
}

redis_entry_t *key_set_expire(redis_call_t *call, redis_entry_t *e, int64_t at_ms)
{
    return db__set_expire(call->db, e, at_ms);
}

static redis_entry_t *set_string(redis_call_t *call, bytes_t key, bytes_t value, string_form_t form, bool keep_ttl)
{
    uint64_t hash = hash_key(call, key);
    table_pos_t pos;
    if (!find_live(call, key, hash, &pos)) return db__add_string(call->db, key, hash, value, form);
    redis_entry_t *e = db__replace_string(call->db, pos, hash, value, form, keep_ttl);
    touch(call, e);
    return e;
}

redis_entry_t *key_set_string(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl)
{
    return set_string(call, key, value, STRING_BEST, keep_ttl);
}

redis_entry_t *key_set_text(redis_call_t *call, bytes_t key, bytes_t value)
{
    return set_string(call, key, value, STRING_TEXT, true);
}

redis_entry_t *key_set_integer(redis_call_t *call, bytes_t key, int64_t v)
{
    char text[NUM_I64_CHARS_MAX];
    return key_set_string(call, key, bytes_of(text, num_format_i64(text, v)), true);
}

uint8_t *key_string_resize(redis_call_t *call, redis_entry_t *entry, size_t len)
{
    return db__resize_string(call->db, entry, len);
}

void key_event(redis_call_t *call, bytes_t key, uint32_t event_class, const char *event)
{
    db__event(call->db, key, event_class, event);
}

void key_changed(redis_call_t *call, bytes_t key, uint32_t event_class, const char *event)
{
    db__changed(call->db, key);
    key_event(call, key, event_class, event);
}

void key_grew(redis_call_t *call, bytes_t key, redis_type_t type) { db__grew(call->db, key); }
