/* service.h: what the HTTP handlers ask for: accept an email, tell about one. */
#pragma once

#include "email.h"
#include "queue.h"
#include "store.h"

typedef enum outcome { OUTCOME_QUEUED, OUTCOME_DUPLICATE, OUTCOME_LIMITED, OUTCOME_AWAY } outcome_t;

/* What one HTTP thread works with; `producer` is NULL in atomic mode. */
typedef struct service {
    const config_t *config;
    store_t store;
    rd_kafka_t *producer;
} service_t;

/* `key` is the Idempotency-Key or NULL. On OUTCOME_QUEUED and OUTCOME_DUPLICATE `id` is the id of the email
 * that is sent, on OUTCOME_LIMITED `wait_ms` is when a place is free. */
outcome_t service_accept(service_t *service, const email_t *email, const char *key, char id[ID_BYTES],
                         int64_t *wait_ms);

/* The status as an HGETALL reply, with no elements when the id is unknown. NULL: Redis is away. */
MUST_CHECK redisReply *service_status(service_t *service, const char *id);

/* Which backend does not answer; NULL when all is well. */
const char *service_away(service_t *service);
