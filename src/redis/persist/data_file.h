/* data_file.h: a whole data set on its way to a file: as RDB, or as commands in append-only form. What lies beside the keys
 * (functions, the outbox) goes first. */
#ifndef TRIVET_REDIS_DATA_FILE_H
#define TRIVET_REDIS_DATA_FILE_H

#include "redis/persist/rdb.h"

typedef enum { DATA_RDB, DATA_RDB_BASE, DATA_COMMANDS } data_form_t; /* base: of an append-only file */

typedef struct data_file {
    persist_t *persist;
    data_form_t form;
    char *path; /* where it lies, until it is put in its place */
    io_file_t *file;
    rdb_file_t rdb;
    buf_t buf; /* commands */
    int selected_db;
    uint64_t bytes; /* written */
    int err;        /* the first one; then nothing more is written */
} data_file_t;

/* Opens a new file at `path`, which it takes. */
int data_file__open(data_file_t *f, persist_t *persist, char *path, data_form_t form) MUST_CHECK;
void data_file__put(data_file_t *f, const redis_db_t *db, const redis_entry_t *e);
/* From an `emit` of what lies beside the keys: RDB has a form of its own for libraries of functions. */
void data_file__put_function(struct redis_emitter *base, bytes_t code);
/* All is written then, and not yet durable. */
int data_file__end(data_file_t *f) MUST_CHECK;
/* Closes it and takes it away, unless it was renamed: then `path` is NULL. */
void data_file__close(data_file_t *f);
/* The commands that make one entry. */
void data_file__emit_entry(redis_emitter_t *out, int *selected_db, const redis_db_t *db, const redis_entry_t *e);
size_t data_file__buffer_bytes(const data_file_t *f);

#endif
