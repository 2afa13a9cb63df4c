/* command.h: what a command handler is given, and how it parses arguments and is propagated.
 *
 * A handler is `void redis_cmd_NAME(redis_call_t *call)` (declared by the generated redis_commands.h; a
 * subcommand of CONFIG is redis_cmd_config_get). Arity is checked before it runs. It replies exactly one
 * value (reply.h), works on keys through key.h, and adds to call->dirty for each change it made. A
 * command that left dirty at 0 is not propagated. */
#ifndef TRIVET_REDIS_COMMAND_H
#define TRIVET_REDIS_COMMAND_H

#include "base/base.h"
#include "redis/conn/reply.h"
#include "redis/number.h"

typedef struct redis redis_t;
typedef struct redis_db redis_db_t;
typedef struct redis_config redis_config_t;
typedef struct redis_command redis_command_t;

enum {
    CALL_RETRY = 1,   /* runs again after having blocked */
    CALL_IN_EXEC = 2, /* inside MULTI/EXEC: may not block */
    CALL_LOADING = 4, /* replayed from the append-only file: no expiry, no client */
    CALL_ASKED = 8,   /* its command's `check` was asked, before the first of its transaction ran */
    CALL_MIDWAY = 16, /* of a script that has written already */
};

typedef struct redis_call {
    redis_t *redis;
    redis_client_t *client;
    redis_db_t *db;
    const redis_command_t *command;
    const redis_config_t *config;
    const bytes_t *argv; /* argv[0] is the name; they last until the handler returns */
    int argc;
    uint32_t flags;
    uint64_t dirty; /* changes made */
    int64_t now_ms; /* Unix time of this command (one for a whole transaction) */
    /* private */
    struct redis_call *outer;  /* the command that runs this one: EXEC, a script */
    bytes_t raw;               /* the request's bytes, fit to be appended as they are; ptr NULL = none */
    const uint8_t *hashed_key; /* the key whose hash is `key_hash` */
    uint64_t key_hash;
    bool propagation_set; /* what travels was said by propagate_* */
} redis_call_t;

/* ---- arguments: false after replying the error ----------------------------------------------------------------------- */

bool arg_i64(redis_call_t *call, int i, int64_t *ret) MUST_CHECK; /* value is not an integer or out of range */
/* With a bound; the error is "value is out of range, ..." unless `error` gives the whole text. */
bool arg_i64_in(redis_call_t *call, int i, int64_t min, int64_t max, const char *error, int64_t *ret) MUST_CHECK;
bool arg_double(redis_call_t *call, int i, double *ret) MUST_CHECK; /* value is not a valid float; inf allowed */
/* A blocking command's timeout in seconds, fractions allowed, to milliseconds (0 = for ever). */
bool arg_timeout(redis_call_t *call, int i, int64_t *ret_ms) MUST_CHECK;
bool arg_timeout_ms(redis_call_t *call, int i, int64_t *ret_ms) MUST_CHECK; /* the same, given in whole milliseconds */
/* Case-insensitive comparison with an option's name in UPPER CASE. */
bool arg_is(const redis_call_t *call, int i, const char *option);

/* ---- propagation to the append-only file ----------------------------------------------------------------------------- */

/* By default a command that changed something travels as received. These replace that. */
/* Travels as this command instead (may be called several times: all of them, in order; in MULTI/EXEC of their
 * own). */
void propagate(redis_call_t *call, int argc, const bytes_t *argv);
/* Convenience: words are NUL-terminated or bytes; e.g. propagate_key(call, "DEL", key). */
void propagate_key(redis_call_t *call, const char *name, bytes_t key);
/* Nothing travels. */
void propagate_none(redis_call_t *call);

/* ---- what else types need -------------------------------------------------------------------------------------------- */

uint64_t redis_random(redis_t *redis); /* fast, not for secrets */

#endif
