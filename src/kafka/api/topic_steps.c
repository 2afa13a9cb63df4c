/* topic_steps.c: see topic_steps.h. Used by the handlers that need nothing but their place in the request between two steps. */
#include "kafka/api/topic_steps.h"

typedef struct topic_steps {
    int32_t topics_count, partitions_count;
    int32_t topic, partition; /* whose turn it is; a topic that has not begun has the partition -1 */
    topic_steps_begin_cb begin;
    topic_steps_one_cb one;
    item_steps_end_cb end;
    void *job;
} topic_steps_t;

static slice_state_t topic_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    topic_steps_t *steps = request->state;
    if (steps->topic == steps->topics_count) {
        steps->end(request, steps->job); /* the request may be gone */
        return SLICE_ENDED;
    }
    if (steps->partition < 0) {
        steps->partitions_count = steps->begin(request, steps->job, steps->topic);
        steps->partition = 0;
    }
    if (steps->partition < steps->partitions_count) {
        steps->one(request, steps->job, steps->topic, steps->partition++);
    } else {
        steps->topic++;
        steps->partition = -1;
    }
    return SLICE_MORE;
}

void kafka_topic_steps_run_to(kafka_request_t *request, int32_t topics_count, topic_steps_begin_cb begin,
                              topic_steps_one_cb one, item_steps_end_cb end, void *job)
{
    topic_steps_t *steps = request->state = ARENA_NEW(&request->arena, topic_steps_t);
    *steps = (topic_steps_t){
        .topics_count = topics_count, .partition = -1, .begin = begin, .one = one, .end = end, .job = job};
    kafka_request_run(request, topic_step, NULL);
}

static void send(kafka_request_t *request, void *response) { kafka_respond(request, response); }

void kafka_topic_steps_run(kafka_request_t *request, int32_t topics_count, topic_steps_begin_cb begin,
                           topic_steps_one_cb one, void *response)
{
    kafka_topic_steps_run_to(request, topics_count, begin, one, send, response);
}

typedef struct item_steps {
    int32_t count, next;
    item_steps_one_cb one;
    item_steps_end_cb end;
    void *job;
} item_steps_t;

static slice_state_t item_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    item_steps_t *steps = request->state;
    if (steps->next < steps->count) {
        steps->one(request, steps->job, steps->next++);
        return SLICE_MORE;
    }
    steps->end(request, steps->job);
    return SLICE_ENDED;
}

void kafka_item_steps_run(kafka_request_t *request, int32_t count, item_steps_one_cb one, item_steps_end_cb end,
                          void *job)
{
    item_steps_t *steps = request->state = ARENA_NEW(&request->arena, item_steps_t);
    *steps = (item_steps_t){.count = count, .one = one, .end = end, .job = job};
    kafka_request_run(request, item_step, NULL);
}
