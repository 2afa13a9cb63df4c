/* db.c: lookups, adds, replacements and deletions; see db.h. It keeps two things true: `expires` holds exactly the entries whose
 * expiry is set; each change is announced as listen.h says. */
#include "redis/db/db_internal.h"
#include "redis/types/entry_alloc.h"

static uint64_t hash_of_entry(const void *entry)
{
    bytes_t key = entry_key(entry);
    return hash_bytes(key.ptr, key.len);
}

void db__init(redis_db_t *db, keyspace_t *keyspace, int id)
{
    *db = (redis_db_t){.redis = keyspace->redis, .keyspace = keyspace, .id = id};
    table_init(&db->keys, hash_of_entry);
    table_init(&db->expires, hash_of_entry);
    table_limit(&db->keys, &keyspace->evict.tables);
    table_limit(&db->expires, &keyspace->evict.tables);
}

/* ---- taking out and putting in --------------------------------------------------------------------------------------- */

void db__forget_expiry(redis_db_t *db, redis_entry_t *e, uint64_t hash)
{
    table_pos_t pos;
    if (entry_expire_ms(e) < 0) return;
    if (table_find(&db->expires, hash, entry_key(e), db__same, &pos)) table_remove(&db->expires, hash, pos);
    entry__set_expire(e, -1);
}

static void take_out(redis_db_t *db, table_pos_t pos, uint64_t hash)
{
    redis_entry_t *e = table_at(pos);
    if (UNLIKELY(e->encoding == ENC_HASHTABLE_TIMED)) db__clock_out(db, e);
    db__forget_expiry(db, e, hash);
    table_remove(&db->keys, hash, pos);
}

static void put_in_silently(redis_db_t *db, redis_entry_t *e, uint64_t hash)
{
    e->flags = (uint8_t)((e->flags & ~ENTRY_EPOCH) | db->epoch);
    evict__init_entry(db->keyspace, e);
    if (UNLIKELY(e->encoding == ENC_HASHTABLE_TIMED)) db__clock_in(db, e);
    table_insert(&db->keys, hash, e);
    if (db__is_wanted(db, DB_GREW)) listen__grew(&db->keyspace->announce, db, entry_key(e));
}

void db__put(redis_db_t *db, redis_entry_t *e, uint64_t hash)
{
    put_in_silently(db, e, hash);
    db__event(db, entry_key(e), NOTIFY_NEW, "new");
}

void db__went(redis_db_t *db, bytes_t key, db_cause_t cause)
{
    if (db__is_wanted(db, DB_GONE)) listen__gone(&db->keyspace->announce, db, key, cause);
    db__event(db, key, cause == DB_EXPIRED ? NOTIFY_EXPIRED : NOTIFY_EVICTED, db_cause_name(cause));
}

void db__delete_expired(redis_db_t *db, redis_entry_t *e)
{
    table_pos_t pos;
    bytes_t key = entry_key(e);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    bool found = table_find(&db->keys, hash, key, db__same, &pos);
    ASSERT(found && table_at(pos) == e);
    db__will_change(db, e);
    take_out(db, pos, hash);
    db->keyspace->stats.expired_keys++;
    db__went(db, key, DB_EXPIRED);
    lazyfree__entry(&db->keyspace->lazy, e, db->keyspace->config->lazyfree_lazy_expire);
}

/* ---- lookups --------------------------------------------------------------------------------------------------------- */

redis_entry_t *db__find(redis_db_t *db, bytes_t key)
{
    table_pos_t pos;
    return table_find(&db->keys, hash_bytes(key.ptr, key.len), key, db__same, &pos) ? table_at(pos) : NULL;
}

/* ---- adding and deleting --------------------------------------------------------------------------------------------- */

static redis_entry_t *new_entry(bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value)
{
    redis_entry_t *e = entry__new(key, type, encoding, ENTRY_WORD, 0);
    entry_set_value(e, value);
    return e;
}

bool db__delete_lazily(redis_db_t *db, bytes_t key, uint64_t hash, bool later)
{
    table_pos_t pos;
    if (!table_find(&db->keys, hash, key, db__same, &pos)) return false;
    redis_entry_t *e = table_at(pos);
    db__will_change(db, e);
    take_out(db, pos, hash);
    lazyfree__entry(&db->keyspace->lazy, e, later);
    return true;
}

bool db__delete_hashed(redis_db_t *db, bytes_t key, uint64_t hash)
{
    return db__delete_lazily(db, key, hash, db->keyspace->config->lazyfree_lazy_server_del);
}

redis_entry_t *db__add(redis_db_t *db, bytes_t key, uint64_t hash, redis_type_t type, redis_encoding_t encoding,
                       void *value)
{
    redis_entry_t *e = new_entry(key, type, encoding, value);
    db__put(db, e, hash);
    return e;
}

redis_entry_t *db__set(redis_db_t *db, bytes_t key, uint64_t hash, redis_type_t type, redis_encoding_t encoding,
                       void *value)
{
    redis_entry_t *e = new_entry(key, type, encoding, value);
    bool replaces = db__delete_hashed(db, key, hash); /* then it is not announced as new */
    replaces ? put_in_silently(db, e, hash) : db__put(db, e, hash);
    return e;
}

/* ---- expiry ---------------------------------------------------------------------------------------------------------- */

static void remember_expiry(redis_db_t *db, redis_entry_t *e, uint64_t hash, int64_t at_ms)
{
    bool had = entry_expire_ms(e) >= 0;
    entry__set_expire(e, at_ms);
    if (!had) table_insert(&db->expires, hash, e);
}

redis_entry_t *db__set_expire(redis_db_t *db, redis_entry_t *e, int64_t at_ms)
{
    db__will_change(db, e);
    bytes_t key = entry_key(e);
    uint64_t hash = hash_bytes(key.ptr, key.len);
    if (at_ms < 0) {
        db__forget_expiry(db, e, hash);
        return e;
    }
    if (!(e->flags & ENTRY_EXPIRES)) {
        table_pos_t pos;
        bool found = table_find(&db->keys, hash, key, db__same, &pos);
        ASSERT(found);
        e = entry__with_expiry_room(e);
        table_replace(pos, e);
        if (UNLIKELY(e->encoding == ENC_HASHTABLE_TIMED)) db__clock_set(db, e);
    }
    remember_expiry(db, e, hash, at_ms);
    return e;
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
    db__put(to, e, hash);
    if (at_ms >= 0) remember_expiry(to, e, hash, at_ms);
    return e;
}

redis_entry_t *db__move(redis_db_t *from, bytes_t name, redis_db_t *to, bytes_t new_name)
{
    table_pos_t pos;
    uint64_t hash = hash_bytes(name.ptr, name.len);
    bool found = table_find(&from->keys, hash, name, db__same, &pos);
    ASSERT(found);
    redis_entry_t *old = table_at(pos);
    db__will_change(from, old);
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
            value = type_ops((redis_type_t)from->type)->copy(value, (redis_encoding_t)from->encoding);
        } else if (from->encoding != ENC_INT) {
            bytes_t text = entry_string(from);
            value = mem_alloc(text.len);
            memcpy(value, text.ptr, text.len);
        }
    }
    return put_with_expiry(to, same_with_key(from, key, value), entry_expire_ms(from));
}

bool db__delete(redis_db_t *db, bytes_t key) { return db__delete_hashed(db, key, hash_bytes(key.ptr, key.len)); }

static void free_each(void *user, void *entry) { entry__free(entry); }

static void clear(redis_db_t *db, bool later)
{
    heap_clear(&db->clocks);
    if (later) {
        lazyfree__table(&db->keyspace->lazy, &db->keys);
    } else {
        table_each(&db->keys, free_each, NULL);
        table_deinit(&db->keys);
    }
    table_deinit(&db->expires);
    db->expire_cursor = 0;
}

uint64_t db__empty(redis_db_t *db, const char *command, bool later)
{
    uint64_t count = table_count(&db->keys);
    if (db__is_wanted(db, DB_WILL_EMPTY)) listen__will_empty(&db->keyspace->announce, db, command);
    clear(db, later);
    return count;
}

void db__deinit(redis_db_t *db)
{
    clear(db, false);
    map_deinit(&db->watched);
    map_deinit(&db->blocked);
}

/* Clients stay where they are. */
void db__swap(redis_db_t *a, redis_db_t *b)
{
    db_listeners_t *listeners = &a->keyspace->announce;
    if (db__is_wanted(a, DB_WILL_SWAP)) listen__will_swap(listeners, a, b);
    table_t keys = a->keys, expires = a->expires;
    heap_t clocks = a->clocks;
    a->keys = b->keys;
    a->expires = b->expires;
    a->clocks = b->clocks;
    b->keys = keys;
    b->expires = expires;
    b->clocks = clocks;
    a->expire_cursor = b->expire_cursor = 0;
    if (db__is_wanted(a, DB_SWAPPED)) listen__swapped(listeners, a, b);
}
