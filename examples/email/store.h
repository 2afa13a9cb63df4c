/* store.h: one connection to Redis (or Trivet), opened when needed and again after it broke. For one thread
 * at a time. */
#pragma once

#include <hiredis/hiredis.h>

#include "config.h"

#define STORE_ARGS_MAX 24

typedef struct store {
    const config_t *config;
    redisContext *context;
} store_t;

typedef struct arg {
    const char *data;
    size_t size;
} arg_t;

#define ARG_TEXT(text) ((arg_t){(text), strlen(text)})
/* A number as an argument, in a buffer that lives until the end of the enclosing block. */
#define ARG_INT(value) number_arg((char[24]){0}, (value))
arg_t number_arg(char buffer[24], int64_t value);

void store_init(store_t *store, const config_t *config);
void store_deinit(store_t *store);

/* Runs a command. NULL when Redis is away or answers with an error, which is said on stderr. After a broken
 * connection the command is sent once more, so whatever is sent here must have the same effect twice as once. */
MUST_CHECK redisReply *store_run(store_t *store, int argc, const arg_t argv[]);

/* EVAL with `keys` of the argc arguments being keys. */
MUST_CHECK redisReply *store_eval(store_t *store, const char *script, int keys, int argc, const arg_t argv[]);

/* The text of element i of an array reply; "" when it is not there. */
const char *reply_text(const redisReply *reply, size_t i);
