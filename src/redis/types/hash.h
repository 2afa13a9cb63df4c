/* hash.h: the hash type: a listpack of field, value, field, value ..., and past the configured limits a table
 * whose entries hold field and value in one allocation. A field may have a time at which it expires; a hash with such fields is a
 * table that keeps them in the order of their times as well (ENC_HASHTABLE_TIMED).
 *
 * A field whose time is over is there until somebody deletes it. Readers pass the time that it is, and do not see it;
 * HASH_ALL sees all. */
#ifndef TRIVET_REDIS_TYPES_HASH_H
#define TRIVET_REDIS_TYPES_HASH_H

#include "base/heap.h"
#include "base/num.h"
#include "redis/types/value.h"

#define HASH_NO_TIME   (-1)      /* of a field that never expires */
#define HASH_KEEP_TIME (-2)      /* whatever the field has */
#define HASH_ALL       INT64_MIN /* a time at which nothing is over yet */

typedef struct hash_item {
    bytes_t field, text;
    int64_t at_ms; /* when it expires, Unix milliseconds; HASH_NO_TIME */
} hash_item_t;

static inline bool hash_is_over(int64_t at_ms, int64_t now_ms) { return at_ms >= 0 && at_ms < now_ms; }

typedef void (*hash_each_cb)(void *user, bytes_t field, bytes_t value);
typedef void (*hash_item_cb)(void *user, const hash_item_t *item);

value_t hash_new(void);
/* So many fields are about to be set, perhaps some of them twice: what then would be too many becomes a table at once. */
void hash_expect(value_t *v, size_t count, const redis_config_t *config);
/* All fields, those too whose time is over. */
size_t hash_length(value_t v);
/* `ret_value` may lie in `room`. */
bool hash_get(value_t v, bytes_t field, int64_t now_ms, char room[NUM_I64_CHARS_MAX], bytes_t *ret_value);
/* Whatever its time; `ret->text` may lie in `room`. */
bool hash_look(value_t v, bytes_t field, char room[NUM_I64_CHARS_MAX], hash_item_t *ret);
/* Sets, with this time (or HASH_NO_TIME, HASH_KEEP_TIME); true when the field was not there. Converts when a limit is passed.
 * The bytes must not lie in the hash. */
bool hash_put(value_t *v, bytes_t field, bytes_t text, int64_t at_ms, const redis_config_t *config);
static inline bool hash_set(value_t *v, bytes_t field, bytes_t text, const redis_config_t *config)
{
    return hash_put(v, field, text, HASH_NO_TIME, config);
}
bool hash_delete(value_t *v, bytes_t field);
/* In the order of insertion while it is a listpack. The hash must not change meanwhile. */
void hash_each(value_t v, int64_t now_ms, hash_each_cb each, void *user);
void hash_each_item(value_t v, hash_item_cb each, void *user);
/* What a handle of sample.h stands for. `room`: the field's text, `value_room`: the value's. */
void hash_at(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX], char value_room[NUM_I64_CHARS_MAX],
             bytes_t *ret_field, bytes_t *ret_value);

/* ---- times: hash_time.c ---------------------------------------------------------------------------------------------- */

/* Of a field that is there; HASH_NO_TIME takes it away. */
void hash_set_time(value_t *v, bytes_t field, int64_t at_ms);
/* Fields with a time, and those of them whose time is over. */
size_t hash_timed(value_t v);
size_t hash_over(value_t v, int64_t now_ms);
/* The field that expires first, if its time is over. */
bool hash_first_over(value_t v, int64_t now_ms, bytes_t *ret_field);
bool hash_handle_is_over(value_t v, const void *handle, int64_t now_ms);

/* What whoever keeps many hashes has in one with times: its place among them, by the first of its times, and its owner. */
typedef struct hash_clock {
    heap_node_t node;
    void *owner;
} hash_clock_t;
/* NULL: no field has a time, and since hash_settle none had. `hash_clock_ms`: the first of them, of which there is one. */
hash_clock_t *hash_clock(value_t v);
int64_t hash_clock_ms(value_t v);
/* After the last time went, when the clock is in no heap: the hash is an ordinary one again. */
void hash_settle(value_t *v);

#endif
