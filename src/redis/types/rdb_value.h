/* rdb_value.h: values as RDB has them: in files, and in what DUMP gives. Packed values travel as they lie in memory; what is read
 * is checked all through, whoever wrote it: nothing that was accepted may break later. */
#ifndef TRIVET_REDIS_TYPES_RDB_VALUE_H
#define TRIVET_REDIS_TYPES_RDB_VALUE_H

#include "redis/types/value.h"
#include "wire/rdb.h"

/* What the value (of any type but strings, which are rdb_put_string's) is in RDB. */
rdb_type_t rdb_type_of(redis_type_t type, redis_encoding_t encoding);
/* Writes the value without its type. */
void rdb_put_value(rdb_writer_t *w, redis_type_t type, value_t v);

typedef struct rdb_value {
    redis_type_t type;
    value_t value; /* the caller's; not of a string */
    bytes_t text;  /* of a string; valid until the reader reads on */
} rdb_value_t;

/* Reads a value of the type. ERR_NOT_FOUND: it is well formed and has no elements, which no key may hold. ERR_UNSUPPORTED: a
 * module's. Else as the functions of wire/rdb.h. */
int rdb_get_value(rdb_reader_t *r, uint8_t rdb_type, const redis_config_t *config, rdb_value_t *ret) MUST_CHECK;
void rdb_value_free(rdb_value_t *v);

/* rdb_old.c: what older servers packed as ziplists and zipmaps, as a listpack. ERR_CORRUPT. */
int rdb__listpack_of_ziplist(bytes_t image, uint8_t **ret_lp) MUST_CHECK;
int rdb__listpack_of_zipmap(bytes_t image, uint8_t **ret_lp) MUST_CHECK;

/* rdb_stream.c: a stream is written as RDB_STREAM_3; what was read of a bad one is the caller's to free as well. */
struct stream;
void rdb__put_stream(rdb_writer_t *w, const struct stream *s);
int rdb__get_stream(rdb_reader_t *r, rdb_type_t type, value_t *ret_value) MUST_CHECK;

#endif
