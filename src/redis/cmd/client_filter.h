/* client_filter.h: which clients CLIENT LIST shows and CLIENT KILL closes. */
#ifndef TRIVET_REDIS_CMD_CLIENT_FILTER_H
#define TRIVET_REDIS_CMD_CLIENT_FILTER_H

#include "redis/exec/command.h"

/* What a client may be asked for, and with NOT- in front must not be. */
enum {
    FILTER_ID,
    FILTER_TYPE,
    FILTER_USER,
    FILTER_ADDR,
    FILTER_LADDR,
    FILTER_IP,
    FILTER_NAME,
    FILTER_LIB_NAME,
    FILTER_LIB_VER,
    FILTER_DB,
    FILTER_FLAGS,
    FILTER_CAPA,
    FILTER_COUNT,
};

typedef struct client_criterion {
    bool given;
    bytes_t text;
    int64_t number;
    int64_t *ids; /* FILTER_ID: in order */
    size_t id_count;
} client_criterion_t;

typedef struct client_filter {
    client_criterion_t is[FILTER_COUNT], is_not[FILTER_COUNT];
    int64_t age_s_min, idle_s_min; /* 0: any */
    bool skip_me;
} client_filter_t;

/* Options from argv[i] on; false after replying the error. */
bool client_filter__read(redis_call_t *call, int i, client_filter_t *f) MUST_CHECK;
void client_filter__deinit(client_filter_t *f);
bool client_filter__matches(const client_filter_t *f, const redis_call_t *call, const redis_client_t *c);

#endif
