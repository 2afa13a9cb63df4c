/* topic_steps.h: requests that name topics, each with partitions, served one partition a step (slices.h), and requests that name other
 * things, served one a step. */
#ifndef TRIVET_KAFKA_API_TOPIC_STEPS_H
#define TRIVET_KAFKA_API_TOPIC_STEPS_H

#include "kafka/kafka_internal.h"

/* Begins the answer for the topic at `topic` and returns how many partitions the request names of it. */
typedef int32_t (*topic_steps_begin_cb)(kafka_request_t *request, void *response, int32_t topic);
/* Answers for one of them, at once. */
typedef void (*topic_steps_one_cb)(kafka_request_t *request, void *response, int32_t topic, int32_t partition);

/* Takes request->state. `response` is sent when every partition has had its turn. */
void kafka_topic_steps_run(kafka_request_t *request, int32_t topics_count, topic_steps_begin_cb begin,
                           topic_steps_one_cb one, void *response);

/* Answers for the item at `index`, at once. `job` is what the handler needs. */
typedef void (*item_steps_one_cb)(kafka_request_t *request, void *job, int32_t index);
/* When every item has had its turn: sends the answer, at once or later. */
typedef void (*item_steps_end_cb)(kafka_request_t *request, void *job);

/* Takes request->state. */
void kafka_item_steps_run(kafka_request_t *request, int32_t count, item_steps_one_cb one, item_steps_end_cb end,
                          void *job);
/* The same for topics with partitions: `response` is theirs, and `end` sends it. */
void kafka_topic_steps_run_to(kafka_request_t *request, int32_t topics_count, topic_steps_begin_cb begin,
                              topic_steps_one_cb one, item_steps_end_cb end, void *job);

#endif
