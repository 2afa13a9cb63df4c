/* hash.h: the hash type: a listpack of field, value, field, value ..., and past the configured limits a table
 * whose entries hold field and value in one allocation. */
#ifndef TRIVET_REDIS_TYPES_HASH_H
#define TRIVET_REDIS_TYPES_HASH_H

#include "base/num.h"
#include "redis/types/value.h"

typedef void (*hash_each_cb)(void *user, bytes_t field, bytes_t value);

value_t hash_new(void);
size_t hash_length(value_t v);
/* `ret_value` may lie in `room`. */
bool hash_get(value_t v, bytes_t field, char room[NUM_I64_CHARS_MAX], bytes_t *ret_value);
/* Sets; true when the field is new. Converts when a limit is passed. The bytes must not lie in the hash. */
bool hash_set(value_t *v, bytes_t field, bytes_t text, const redis_config_t *config);
bool hash_delete(value_t *v, bytes_t field);
/* In the order of insertion while it is a listpack. The hash must not change meanwhile. */
void hash_each(value_t v, hash_each_cb each, void *user);
/* What a handle of sample.h stands for. `room`: the field's text, `value_room`: the value's. */
void hash_at(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX], char value_room[NUM_I64_CHARS_MAX],
             bytes_t *ret_field, bytes_t *ret_value);

#endif
