/* emit.h: commands written as RESP arrays of bulk strings, for the append-only file. */
#ifndef TRIVET_REDIS_EMIT_H
#define TRIVET_REDIS_EMIT_H

#include "base/buf.h"

#define EMIT_ITEMS_MAX 64 /* elements a command when a value is rebuilt */

typedef struct redis_emitter {
    buf_t *out;
    /* Called when `out` holds EMIT_SPILL_BYTES or more between two words, to take what is there; NULL = all of it stays. */
    void (*spill)(struct redis_emitter *e);
    void *user; /* of spill */
} redis_emitter_t;

#define EMIT_SPILL_BYTES KIB(256)

/* Begins a command of `argc` words, the name among them; exactly `argc` words must follow. */
void emit_command(redis_emitter_t *e, size_t argc);
void emit_bytes(redis_emitter_t *e, bytes_t word);
void emit_i64(redis_emitter_t *e, int64_t word);
/* The shortest text that reads back as the same number. */
void emit_double(redis_emitter_t *e, double word);
/* Items that commands of EMIT_ITEMS_MAX each give to a key. */
typedef struct emit_items {
    redis_emitter_t *out;
    const char *command;
    bytes_t key;
    size_t words; /* an item */
    size_t left;  /* items of which no command was begun */
    size_t open;  /* those that the command under way still wants */
} emit_items_t;
/* The words of the next item follow. */
void emit_next_item(emit_items_t *items);
static inline void emit_str(redis_emitter_t *e, const char *word) { emit_bytes(e, bytes_str(word)); }

#endif
