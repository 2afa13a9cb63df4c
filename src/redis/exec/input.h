/* input.h: what connections send, parsed and run. */
#ifndef TRIVET_REDIS_INPUT_H
#define TRIVET_REDIS_INPUT_H

#include "net/net.h"
#include "redis/exec/exec.h"

#define INPUT_BATCH_MAX 64 /* requests of a pipeline that are parsed before the first runs */
#define INPUT_WORDS_MAX 1024

typedef struct input {
    parsed_t batch[INPUT_BATCH_MAX];
    bytes_t words[INPUT_WORDS_MAX];
    bytes_t *big_words; /* for a request of more words */
    size_t big_words_cap;
} input_t;

const net_service_t *input__service(void);
void input__deinit(input_t *input);

#endif
