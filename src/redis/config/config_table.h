/* config_table.h: one row a directive; config.c and config_value.c set by it, cmd/config.c reads and rewrites by it. */
#ifndef TRIVET_REDIS_CONFIG_TABLE_H
#define TRIVET_REDIS_CONFIG_TABLE_H

#include "base/buf.h"
#include "redis/config/config.h"

typedef enum directive_kind {
    KIND_BOOL,
    KIND_INT,
    KIND_UINT,
    KIND_MEMORY,
    KIND_MEMORY_OR_PERCENT, /* below zero: so many percent */
    KIND_STRING,
    KIND_BYTES, /* a bytes_t: the only kind whose value may hold a NUL */
    KIND_ENUM,
    KIND_OUT_LIMITS,
    KIND_SAVE_POINTS,
    KIND_PERCENTILES,
    KIND_OCTAL,
    KIND_FLAGS, /* several of `words`, whose values are added */
    KIND_EVENTS
} directive_kind_t;

enum {
    DIRECTIVE_FIXED = 1,         /* only in the file and on the command line */
    DIRECTIVE_SECRET = 2,        /* not shown in the slow log and by MONITOR */
    DIRECTIVE_PROTECTED = 4,     /* CONFIG SET needs enable-protected-configs */
    DIRECTIVE_INITIAL_ONLY = 16, /* any other value asks for something this version does not do */
    DIRECTIVE_AS_SAID = 32,      /* `why` is the original's own sentence */
    DIRECTIVE_HIDDEN = 64,       /* CONFIG GET shows it to who names it, and not to patterns */
    DIRECTIVE_KEPT = 128,        /* no field of its own: config_kept.c */
};

typedef struct directive_word {
    const char *name;
    int value;
} directive_word_t;

typedef struct directive {
    const char *name, *alias;
    directive_kind_t kind;
    unsigned flags;
    size_t offset; /* in redis_config_t; not of a kept one */
    int64_t min, max;
    const char *initial;
    const directive_word_t *words; /* KIND_ENUM, KIND_FLAGS: ends with a NULL name */
    const char *why;               /* DIRECTIVE_INITIAL_ONLY, DIRECTIVE_KEPT: the reason */
    /* Why a text does not fit; NULL = it does. May be NULL itself. */
    const char *(*check)(const char *value);
} directive_t;

extern const directive_t redis_directives[];
extern const size_t redis_directive_count;
extern const directive_t redis_kept_directives[];
extern const size_t redis_kept_directive_count;

/* One after another, of both tables; NULL at the end. */
const directive_t *directive_at(size_t i);
void *directive_field(redis_config_t *config, const directive_t *d);

redis_config_t *config_copy(const redis_config_t *from); /* the copy owns its strings */
const directive_t *directive_find(bytes_t name);         /* any case, aliases too */
/* Sets the field; on failure `why` says what would fit. */
int directive_set(redis_config_t *config, const directive_t *d, bytes_t value, char *why, size_t why_bytes) MUST_CHECK;
/* The same of client-output-buffer-limit; classes that are not named keep theirs. */
int out_limits_set(redis_out_limit_t *limits, const char *value, char *why, size_t why_bytes) MUST_CHECK;
void out_limits_get(const redis_out_limit_t *limits, buf_t *out);
/* The same of latency-tracking-info-percentiles. */
int percentiles_set(redis_percentiles_t *percentiles, const char *value, char *why, size_t why_bytes) MUST_CHECK;
void percentiles_get(const redis_percentiles_t *percentiles, buf_t *out);
void directive_get(const redis_config_t *config, const directive_t *d, buf_t *out);
/* The same of `save`: seconds and changes in turn, one after another; empty = none. */
int save_points_set(redis_save_points_t *points, const char *value, char *why, size_t why_bytes) MUST_CHECK;
/* Adds them to those that there are, as another line of a file does; none takes all away. */
int save_points_add(redis_save_points_t *points, const char *value, char *why, size_t why_bytes) MUST_CHECK;
void save_points_get(const redis_save_points_t *points, buf_t *out);
/* The next word of a value of several, which is taken from its front; empty at the end. */
bytes_t directive_take_word(bytes_t *rest);

#endif
