/* share_state_steps.h: requests about the states of share partitions, one partition a step. */
#ifndef TRIVET_KAFKA_API_SHARE_STATE_STEPS_H
#define TRIVET_KAFKA_API_SHARE_STATE_STEPS_H

#include "kafka/coordinator/share/share_state.h"

typedef struct share_state_steps {
    kafka_request_t *request;
    const struct share_state_api *api;
    void *response;
    bytes_t group_id;
    int32_t topics_count;
    int32_t topic, partitions_count, partition; /* where it is */
    bool stepping, asking;
    share_state_request_t state;
} share_state_steps_t;

/* What an API brings. */
typedef struct share_state_api {
    /* How many partitions the request names of this topic. */
    int32_t (*count)(const kafka_request_t *request, int32_t topic);
    /* Begins the answer for the topic. */
    void (*begin)(share_state_steps_t *steps);
    /* Asks about the partition at hand, with share_state_steps_told. */
    void (*ask)(share_state_steps_t *steps);
    /* Writes its answer. `message` is NULL where all is well. */
    void (*answer)(share_state_steps_t *steps, kafka_code_t error, const char *message,
                   const share_state_value_t *value);
} share_state_api_t;

/* `response` has room for `topics_count` results. As the original: a request that names no group, no topic, or a topic without
 * partitions, is answered with nothing. */
void share_state_steps_run(kafka_request_t *request, const share_state_api_t *api, bytes_t group_id,
                           int32_t topics_count, void *response);
void share_state_steps_told(share_state_request_t *request, kafka_code_t error, const char *message,
                            const share_state_value_t *value);

#endif
