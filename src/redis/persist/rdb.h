/* rdb.h: keys and whole data sets in Redis' RDB format: DUMP and RESTORE, SAVE and BGSAVE, the append-only file's base.
 *
 *     | magic | AUX ... | FUNCTION ... | SELECTDB n | RESIZEDB | [EXPIRE_MS] [IDLE or FREQ] type, key, value ... | EOF | CRC-64 |
 *
 * The magic is REDIS0011; or VALKEY080 where a hash has fields that expire, which no older format can say.
 *
 * Databases may be selected any number of times, so that keys may come in any order. */
#ifndef TRIVET_REDIS_RDB_H
#define TRIVET_REDIS_RDB_H

#include "io/io.h"
#include "redis/db/keyspace.h"
#include "redis/types/rdb_value.h"

typedef struct persist persist_t;

/* ---- one key: rdb_entry.c -------------------------------------------------------------------------------------------- */

/* The value without its type, which is rdb__entry_type. */
uint8_t rdb__entry_type(const redis_entry_t *e);
void rdb__put_entry_value(rdb_writer_t *w, const redis_entry_t *e);
/* A payload of DUMP: type, value, version, checksum. */
void rdb__dump(const redis_entry_t *e, buf_t *out);
void rdb__seal(buf_t *payload); /* adds version and checksum */
void rdb__seal_as(buf_t *payload, unsigned version);
/* What is in a payload, without version and checksum. ERR_CORRUPT: they are wrong, or of a newer format. */
int rdb__check_dump(const redis_config_t *config, bytes_t payload, bytes_t *ret_body) MUST_CHECK;
/* Those of a later version are, where rdb-version-check is relaxed: what is known of them is read. */
bool rdb__version_is_read(const redis_config_t *config, unsigned version);

/* Makes an entry with the value of `v` (of which it becomes the owner) under an absent key. */
redis_entry_t *rdb__add(redis_db_t *db, bytes_t key, const rdb_value_t *v);
void rdb__set_lfu(keyspace_t *k, redis_entry_t *e, uint8_t counter);
void rdb__set_idle_s(keyspace_t *k, redis_entry_t *e, uint64_t idle_s);

/* An AUX field of ours: commands in append-only form, of what a data set has beside keys; any number of them, cut anywhere. */
#define RDB_AUX_COMMANDS "trivet-commands"
/* The same of the key in front, whole: what RDB's form of its value has no place for. */
#define RDB_AUX_KEY_COMMANDS "trivet-key-commands"

/* ---- writing a file: rdb_write.c ------------------------------------------------------------------------------------- */

typedef struct rdb_file {
    keyspace_t *keyspace;
    io_file_t *file;
    rdb_writer_t writer;
    buf_t buf;      /* not yet written */
    uint64_t bytes; /* written */
    uint64_t crc;
    int selected_db;
    bool timed_fields; /* the format has a place for times of fields */
    int err;           /* the first one; then nothing more is written */
} rdb_file_t;

/* Writes to `file`, which is empty and stays the caller's. `is_base`: the append-only file's. */
void rdb__file_init(rdb_file_t *f, keyspace_t *keyspace, io_file_t *file, bool is_base);
void rdb__file_deinit(rdb_file_t *f);
void rdb__file_put_aux(rdb_file_t *f, const char *name, bytes_t value);
void rdb__file_put_function(rdb_file_t *f, bytes_t code);
/* How many keys the database has, for whoever reads; only hints. */
void rdb__file_put_sizes(rdb_file_t *f, const redis_db_t *db);
void rdb__file_put_entry(rdb_file_t *f, const redis_db_t *db, const redis_entry_t *e);
/* The end mark; all is written, and not yet synced. */
int rdb__file_end(rdb_file_t *f) MUST_CHECK;

/* ---- reading one: rdb_read.c ----------------------------------------------------------------------------------------- */

typedef struct rdb_loader rdb_loader_t;

enum {
    RDB_LOAD_BASE = 1,      /* commands follow that may speak of keys whose time is over */
    RDB_LOAD_REPLACE = 2,   /* a key may be there already */
    RDB_LOAD_KEYS_ONLY = 4, /* what it carries beside them is in memory */
    RDB_LOAD_CHECK = 8,     /* nothing is loaded: of `redis` only loop and configuration need be there */
};

typedef struct rdb_loaded {
    uint64_t keys, expired, empty, bytes;
} rdb_loaded_t;

/* Reads the file from its start; `name` is for messages and must last. The databases need not be empty. */
rdb_loader_t *rdb__loader_new(persist_t *persist, io_file_t *file, const char *name, unsigned flags);
void rdb__loader_free(rdb_loader_t *l);
/* Reads on for some keys. On an error `err` says what and where; what was read before is in the databases. */
int rdb__loader_step(rdb_loader_t *l, bool *ret_done, char *err, size_t err_bytes) MUST_CHECK;
rdb_loaded_t rdb__loader_result(const rdb_loader_t *l);
/* All steps in one. */
int rdb__load(persist_t *persist, io_file_t *file, const char *name, unsigned flags, rdb_loaded_t *ret, char *err,
              size_t err_bytes) MUST_CHECK;

#define RDB_MAGIC_BYTES        9   /* with the version */
#define RDB_SENTENCE_CHARS_MAX 400 /* room that `err` should have */
/* Whether a file that begins so is one. */
bool rdb__is_magic(const uint8_t *data, size_t len);

#endif
