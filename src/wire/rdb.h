/* rdb.h: the primitives of Redis' RDB format, as files and DUMP payloads have them: lengths, strings, numbers. Pure functions
 * over bytes; what they make up (values, files) is the business of redis/.
 *
 *     length   00xxxxxx            6 bits          11000000  a string follows that is an 8-bit integer, 11000001 16, 11000010 32
 *              01xxxxxx xxxxxxxx   14 bits         11000011  one compressed by LZF: its length, the length it had, the bytes
 *              10000000 u32        big-endian
 *              10000001 u64        big-endian
 *     string   length, bytes */
#ifndef TRIVET_WIRE_RDB_H
#define TRIVET_WIRE_RDB_H

#include "base/buf.h"

#define RDB_VERSION           11 /* that is written */
#define RDB_VERSION_MAX       12 /* of Redis' own numbers */
#define RDB_VERSION_VALKEY    80 /* Valkey 9's, whose files begin with its name */
#define RDB_STRING_BYTES_MAX  ((uint64_t)UINT32_MAX)
#define RDB_INTEGER_CHARS_MAX 11 /* a longer text is never stored as an integer */
#define RDB_LZF_BYTES_MIN     21 /* a shorter one is never compressed */

typedef enum rdb_type {
    RDB_STRING = 0,
    RDB_LIST = 1,
    RDB_SET = 2,
    RDB_ZSET = 3, /* scores as text */
    RDB_HASH = 4,
    RDB_ZSET_2 = 5, /* scores as binary doubles */
    RDB_MODULE = 6,
    RDB_MODULE_2 = 7,
    RDB_HASH_ZIPMAP = 9,
    RDB_LIST_ZIPLIST = 10,
    RDB_SET_INTSET = 11,
    RDB_ZSET_ZIPLIST = 12,
    RDB_HASH_ZIPLIST = 13,
    RDB_LIST_QUICKLIST = 14, /* of ziplists */
    RDB_STREAM = 15,
    RDB_HASH_LISTPACK = 16,
    RDB_ZSET_LISTPACK = 17,
    RDB_LIST_QUICKLIST_2 = 18, /* of listpacks and plain elements */
    RDB_STREAM_2 = 19,
    RDB_SET_LISTPACK = 20,
    RDB_STREAM_3 = 21,
    RDB_HASH_2 = 22, /* Valkey 9: a time beside each field */
} rdb_type_t;

typedef enum rdb_opcode {
    RDB_OP_SLOT_INFO = 244,
    RDB_OP_FUNCTION = 245,
    RDB_OP_FUNCTION_OLD = 246, /* of release candidates */
    RDB_OP_MODULE_AUX = 247,
    RDB_OP_IDLE = 248, /* seconds since the last use */
    RDB_OP_FREQ = 249, /* the LFU counter */
    RDB_OP_AUX = 250,  /* name, value */
    RDB_OP_RESIZEDB = 251,
    RDB_OP_EXPIRE_MS = 252,
    RDB_OP_EXPIRE_S = 253,
    RDB_OP_SELECTDB = 254,
    RDB_OP_EOF = 255,
} rdb_opcode_t;

/* The containers of RDB_LIST_QUICKLIST_2. */
enum { RDB_NODE_PLAIN = 1, RDB_NODE_PACKED = 2 };

/* ---- writing --------------------------------------------------------------------------------------------------------- */

typedef struct rdb_writer {
    buf_t *out;
    bool compress; /* rdbcompression */
    /* Called when `out` holds RDB_SPILL_BYTES or more between two strings, to take what is there; NULL = all of it stays. */
    void (*spill)(struct rdb_writer *w);
} rdb_writer_t;

#define RDB_SPILL_BYTES KIB(64)

void rdb_put_u8(rdb_writer_t *w, uint8_t v); /* a type or an opcode */
void rdb_put_length(rdb_writer_t *w, uint64_t v);
void rdb_put_i64(rdb_writer_t *w, int64_t v);   /* 8 bytes, little-endian: times */
void rdb_put_double(rdb_writer_t *w, double v); /* 8 bytes, little-endian */
/* As an integer where the text is exactly what a 32-bit one prints, compressed where that gains. */
void rdb_put_string(rdb_writer_t *w, bytes_t text);
void rdb_put_integer(rdb_writer_t *w, int64_t v); /* a string that is a number */

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* Bytes in memory, or a window on a file that `more` moves on. All functions return 0, ERR_TRUNCATED, ERR_CORRUPT, ERR_NOMEM or
 * what `more` returned. */
typedef struct rdb_reader {
    const uint8_t *at, *end;
    /* Makes `bytes` readable from `at` on; what was read before may move. NULL: there is no more than this. */
    int (*more)(struct rdb_reader *r, size_t bytes);
    buf_t scratch; /* what integers and compressed strings were unpacked to */
} rdb_reader_t;

static inline rdb_reader_t rdb_reader_of(bytes_t data)
{
    return (rdb_reader_t){.at = data.ptr, .end = data.ptr + data.len};
}
static inline void rdb_reader_deinit(rdb_reader_t *r) { buf_deinit(&r->scratch); }

int rdb_get_u8(rdb_reader_t *r, uint8_t *ret) MUST_CHECK;
int rdb_get_length(rdb_reader_t *r, uint64_t *ret) MUST_CHECK;
int rdb_get_i64(rdb_reader_t *r, int64_t *ret) MUST_CHECK;
int rdb_get_i32(rdb_reader_t *r, int32_t *ret) MUST_CHECK;
int rdb_get_double(rdb_reader_t *r, double *ret) MUST_CHECK;
/* A score of RDB_ZSET: one byte of length and text; 253 NaN, 254 infinity, 255 minus infinity. */
int rdb_get_double_text(rdb_reader_t *r, double *ret) MUST_CHECK;
/* `ret` is valid until the next string is read. */
int rdb_get_string(rdb_reader_t *r, bytes_t *ret) MUST_CHECK;

#endif
