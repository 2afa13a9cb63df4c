/* field_time.c: the hashes some of whose fields expire, in the order of their next times; see db.h.
 *
 * Invariant: between commands `clocks` holds the clock of every ENC_HASHTABLE_TIMED of the database, with the first of the hash's
 * times and the entry as its owner. Within a command a hash may be ahead of its clock until db__clock_set. */
#include "redis/db/keyspace.h"

#include "redis/types/hash.h"

#include "base/buf.h"

#define NAMES_BYTES_MAX KIB(64) /* of the fields that go at a time, if they are more than one */

void db__clock_in(redis_db_t *db, redis_entry_t *e)
{
    hash_clock_t *clock = hash_clock(value_of(e));
    heap_node_init(&clock->node, hash_clock_ms(value_of(e)));
    clock->owner = e;
    heap_insert(&db->clocks, &clock->node);
}

void db__clock_out(redis_db_t *db, redis_entry_t *e) { heap_remove(&db->clocks, &hash_clock(value_of(e))->node); }

/* The last time went. */
static void end_clock(redis_db_t *db, redis_entry_t *e, hash_clock_t *clock)
{
    value_t v = value_of(e);
    if (heap_place(&clock->node) != HEAP_NONE) heap_remove(&db->clocks, &clock->node);
    hash_settle(&v);
    value_store(e, v);
}

void db__clock_set(redis_db_t *db, redis_entry_t *e)
{
    value_t v = value_of(e);
    hash_clock_t *clock = hash_clock(v);
    if (!clock) return;
    if (hash_timed(v) == 0) {
        end_clock(db, e, clock);
    } else if (heap_place(&clock->node) == HEAP_NONE) {
        db__clock_in(db, e);
    } else {
        int64_t ms = hash_clock_ms(v);
        clock->owner = e;
        if (ms != heap_at_ms(&clock->node)) heap_set_at_ms(&db->clocks, &clock->node, ms);
    }
}

/* ---- what is over goes ----------------------------------------------------------------------------------------------- */

typedef struct gone_fields {
    buf_t text; /* the names, one behind the other */
    size_t ends[DB_FIELDS_MAX];
    int count;
} gone_fields_t;

static void take_fields(redis_db_t *db, redis_entry_t *e, gone_fields_t *gone)
{
    value_t v = value_of(e);
    bytes_t field;
    while (gone->count < DB_FIELDS_MAX && gone->text.len < NAMES_BYTES_MAX &&
           hash_first_over(v, db->keyspace->now_ms, &field)) {
        buf_append(&gone->text, field.ptr, field.len);
        gone->ends[gone->count++] = gone->text.len;
        hash_delete(&v, field);
    }
    value_store(e, v);
}

static void announce_fields(redis_db_t *db, bytes_t key, const gone_fields_t *gone, bool emptied)
{
    db_listeners_t *listeners = &db->keyspace->announce;
    bytes_t fields[DB_FIELDS_MAX];
    size_t from = 0;
    for (int i = 0; i < gone->count; from = gone->ends[i++])
        fields[i] = bytes_of(gone->text.ptr + from, gone->ends[i] - from);
    if (listen__is_wanted(listeners, DB_FIELDS_GONE)) listen__fields_gone(listeners, db, key, gone->count, fields);
    if (!listen__is_wanted(listeners, DB_EVENT)) return;
    listen__event(listeners, db, key, NOTIFY_EXPIRED, "hexpired");
    if (emptied) listen__event(listeners, db, key, NOTIFY_GENERIC, "del");
}

int db__delete_expired_fields(redis_db_t *db, redis_entry_t *e)
{
    gone_fields_t gone = {.text = BUF_INIT};
    buf_t key = BUF_INIT; /* the entry may go before its name was told */
    buf_reserve(&gone.text, 1);
    buf_reserve(&key, 1);
    buf_append(&key, entry_key(e).ptr, entry_key(e).len);
    if (listen__is_wanted(&db->keyspace->announce, DB_WILL_CHANGE)) listen__will_change(&db->keyspace->announce, db, e);
    take_fields(db, e, &gone);
    db__clock_set(db, e);
    bool emptied = hash_length(value_of(e)) == 0;
    if (emptied) db__delete(db, buf_bytes(&key));
    db->keyspace->stats.expired_fields += (uint64_t)gone.count;
    if (gone.count) announce_fields(db, buf_bytes(&key), &gone, emptied);
    buf_deinit(&gone.text);
    buf_deinit(&key);
    return gone.count;
}
