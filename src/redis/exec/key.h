/* key.h: what command handlers may do with keys.
 *
 * A read looks up with key_read; a write with key_write, and then changes the value in place, adds with
 * key_add or deletes with key_delete, and at the end tells the world with key_changed. Lookups expire lazily.
 * key_write announces that the entry will change (listen.h), so a value may be changed only after key_write (or
 * key_add) returned it. */
#ifndef TRIVET_REDIS_KEY_H
#define TRIVET_REDIS_KEY_H

#include "redis/db/listen.h"
#include "redis/exec/command.h"
#include "redis/types/entry.h"

/* Asks for argv[from], argv[from + step] ... from memory before they are used one by one. */
void key_prefetch_all(redis_call_t *call, int from, int step);

/* The entry, or NULL. A read counts hits, announces misses and touches LRU/LFU; a look is a read of what is about the key
 * rather than in it (TTL, TYPE), which does not touch; a peek leaves no trace. */
redis_entry_t *key_read(redis_call_t *call, bytes_t key);
redis_entry_t *key_look(redis_call_t *call, bytes_t key);
redis_entry_t *key_write(redis_call_t *call, bytes_t key);
redis_entry_t *key_peek(redis_call_t *call, bytes_t key);
/* The same with the type checked: false when the key holds another type, after replying WRONGTYPE. An absent
 * key is true with *ret_entry NULL. */
bool key_read_type(redis_call_t *call, bytes_t key, redis_type_t type, redis_entry_t **ret_entry) MUST_CHECK;
bool key_write_type(redis_call_t *call, bytes_t key, redis_type_t type, redis_entry_t **ret_entry) MUST_CHECK;

/* Adds an absent key that holds `value` (now owned by the keyspace). Wakes clients blocked on the key after
 * the command. */
redis_entry_t *key_add(redis_call_t *call, bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value);
/* Adds or replaces whatever is there; the expiry goes (SUNIONSTORE and the like). */
redis_entry_t *key_set(redis_call_t *call, bytes_t key, redis_type_t type, redis_encoding_t encoding, void *value);
/* Deletes; false when absent. Sends no event: see key_changed. */
bool key_delete(redis_call_t *call, bytes_t key);
bool key_delete_lazily(redis_call_t *call, bytes_t key, bool later); /* `later`: lazyfree.h */
/* Sets the expiry (Unix ms) or takes it away (-1); returns the entry, which may have moved. */
redis_entry_t *key_set_expire(redis_call_t *call, redis_entry_t *entry, int64_t at_ms);

/* Strings. Replacing keeps or drops the expiry as asked. The bytes are copied; integers are recognised. */
redis_entry_t *key_set_string(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl);
/* The same, keeping the expiry, but digits stay text (INCRBYFLOAT's result is never encoded as an integer). */
redis_entry_t *key_set_text(redis_call_t *call, bytes_t key, bytes_t value);
redis_entry_t *key_set_integer(redis_call_t *call, bytes_t key, int64_t v); /* keeps the expiry */
/* Makes the string `len` bytes long (new ones are zero), its encoding raw, and returns its bytes to be
 * written to. The entry may move. `entry` comes from key_write. */
uint8_t *key_string_resize(redis_call_t *call, redis_entry_t *entry, size_t len);

/* The key's value has changed: who listens hears of it (WATCH fails), and the event ("lpush") is published if asked for. Once a
 * key. */
void key_changed(redis_call_t *call, bytes_t key, uint32_t event_class, const char *event);
/* There is more in it than before: wakes clients blocked on the key, who may wait for several elements. */
void key_grew(redis_call_t *call, bytes_t key, redis_type_t type);
/* An event alone (the "del" after a pop emptied the list). */
void key_event(redis_call_t *call, bytes_t key, uint32_t event_class, const char *event);

/* ---- blocking on keys ------------------------------------------------------------------------------------------------ */

typedef enum { BLOCK_NULL_ARRAY, BLOCK_NULL, BLOCK_ZERO } redis_block_timeout_t;
/* Blocks the client until one of the keys is added, or grows, with type `type`; then the handler runs again with the
 * same argv (in an order that serves first who came first) and may block again, which keeps its place and its
 * deadline. `timeout_ms` 0 = for ever; a timeout replies as told. False when the client may not block (MULTI,
 * script): the handler then replies what it replies on timeout. */
bool key_block(redis_call_t *call, const bytes_t *keys, size_t key_count, redis_type_t type, int64_t timeout_ms,
               redis_block_timeout_t on_timeout) MUST_CHECK;
typedef struct key_wait {
    redis_type_t type;
    int64_t timeout_ms;
    redis_block_timeout_t on_timeout;
    int64_t again_ms; /* the handler also runs again after so long; 0 = it does not */
    /* Those of one line want the same of the key (a consumer group): when the first finds nothing, nobody behind it is
     * asked. They are asked too when the key goes or gets another type, for then what they want has gone. ptr NULL: each
     * wants something else. */
    bytes_t line;
} key_wait_t;
bool key_block_as(redis_call_t *call, const bytes_t *keys, size_t key_count, const key_wait_t *wait) MUST_CHECK;

#endif
