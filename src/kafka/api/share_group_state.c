/* share_group_state.c: InitializeShareGroupState, ReadShareGroupState, WriteShareGroupState, DeleteShareGroupState and
 * ReadShareGroupStateSummary: the states of share partitions for other brokers, as Kafka's ask one another. */
#include "kafka/api/group_apis.h"
#include "kafka/api/share_state_steps.h"

/* What the five have in common: where the request and the answer have the topic and the partition at hand. */
#define STEPS_OF(name)                                                                                                 \
    static const kafka_##name##_request_partition_t *asked_##name(const share_state_steps_t *s)                        \
    {                                                                                                                  \
        const kafka_##name##_request_t *body = s->request->body;                                                       \
        return &body->topics[s->topic].partitions[s->partition];                                                       \
    }                                                                                                                  \
    static share_state_key_t key_##name(const share_state_steps_t *s)                                                  \
    {                                                                                                                  \
        const kafka_##name##_request_t *body = s->request->body;                                                       \
        return (share_state_key_t){body->group_id, body->topics[s->topic].topic_id, asked_##name(s)->partition};       \
    }                                                                                                                  \
    static int32_t count_##name(const kafka_request_t *request, int32_t topic)                                         \
    {                                                                                                                  \
        return ((const kafka_##name##_request_t *)request->body)->topics[topic].partitions_count;                      \
    }                                                                                                                  \
    static void begin_##name(share_state_steps_t *s)                                                                   \
    {                                                                                                                  \
        const kafka_##name##_request_t *body = s->request->body;                                                       \
        kafka_##name##_response_t *response = s->response;                                                             \
        kafka_##name##_response_topic_t *out = &response->results[response->results_count++];                          \
        out->topic_id = body->topics[s->topic].topic_id;                                                               \
        out->partitions = kafka_##name##_response_partition_array(&s->request->arena, s->partitions_count);            \
    }                                                                                                                  \
    static kafka_##name##_response_partition_t *told_##name(share_state_steps_t *s, kafka_code_t error,                \
                                                            const char *message)                                       \
    {                                                                                                                  \
        kafka_##name##_response_t *response = s->response;                                                             \
        kafka_##name##_response_topic_t *topic = &response->results[s->topic];                                         \
        kafka_##name##_response_partition_t *out = &topic->partitions[topic->partitions_count++];                      \
        out->partition = asked_##name(s)->partition;                                                                   \
        out->error_code = error;                                                                                       \
        if (message) out->error_message = bytes_str(message);                                                          \
        return out;                                                                                                    \
    }                                                                                                                  \
    static void ask_##name(share_state_steps_t *s);                                                                    \
    static void answer_##name(share_state_steps_t *s, kafka_code_t error, const char *message,                         \
                              const share_state_value_t *value);                                                       \
    static const share_state_api_t api_##name = {count_##name, begin_##name, ask_##name, answer_##name};               \
    void kafka_handle_##name(kafka_request_t *request)                                                                 \
    {                                                                                                                  \
        const kafka_##name##_request_t *body = request->body;                                                          \
        kafka_##name##_response_t *response = KAFKA_MESSAGE(request, name##_response);                                 \
        response->results = kafka_##name##_response_topic_array(&request->arena, body->topics_count);                  \
        share_state_steps_run(request, &api_##name, body->group_id, body->topics_count, response);                     \
    }

STEPS_OF(initialize_share_group_state)
STEPS_OF(read_share_group_state)
STEPS_OF(write_share_group_state)
STEPS_OF(delete_share_group_state)
STEPS_OF(read_share_group_state_summary)

/* ---- initialize, delete ---------------------------------------------------------------------------------------------- */

static void ask_initialize_share_group_state(share_state_steps_t *s)
{
    const kafka_initialize_share_group_state_request_partition_t *in = asked_initialize_share_group_state(s);
    share_state_key_t key = key_initialize_share_group_state(s);
    share_state_initialize(s->request->kafka, &key, in->state_epoch, in->start_offset, &s->state,
                           share_state_steps_told);
}

static void answer_initialize_share_group_state(share_state_steps_t *s, kafka_code_t error, const char *message,
                                                const share_state_value_t *value)
{
    (void)told_initialize_share_group_state(s, error, message);
}

static void ask_delete_share_group_state(share_state_steps_t *s)
{
    share_state_key_t key = key_delete_share_group_state(s);
    share_state_delete(s->request->kafka, &key, &s->state, share_state_steps_told);
}

static void answer_delete_share_group_state(share_state_steps_t *s, kafka_code_t error, const char *message,
                                            const share_state_value_t *value)
{
    (void)told_delete_share_group_state(s, error, message);
}

/* ---- write ----------------------------------------------------------------------------------------------------------- */

static void ask_write_share_group_state(share_state_steps_t *s)
{
    const kafka_write_share_group_state_request_partition_t *in = asked_write_share_group_state(s);
    share_state_key_t key = key_write_share_group_state(s);
    int32_t count = MAX(in->state_batches_count, 0);
    share_state_batch_t *batches = ARENA_ARRAY(&s->request->arena, share_state_batch_t, (size_t)count + 1);
    for (int32_t i = 0; i < count; i++)
        batches[i] = (share_state_batch_t){in->state_batches[i].first_offset, in->state_batches[i].last_offset,
                                           in->state_batches[i].delivery_state, in->state_batches[i].delivery_count};
    share_state_value_t value = {.state_epoch = in->state_epoch,
                                 .leader_epoch = in->leader_epoch,
                                 .start_offset = in->start_offset,
                                 .delivery_complete_count = in->delivery_complete_count,
                                 .batches = batches,
                                 .batches_count = (size_t)count};
    share_state_write(s->request->kafka, &key, &value, &s->state, share_state_steps_told);
}

static void answer_write_share_group_state(share_state_steps_t *s, kafka_code_t error, const char *message,
                                           const share_state_value_t *value)
{
    (void)told_write_share_group_state(s, error, message);
}

/* ---- read ------------------------------------------------------------------------------------------------------------ */

static void ask_read_share_group_state(share_state_steps_t *s)
{
    share_state_key_t key = key_read_share_group_state(s);
    share_state_read(s->request->kafka, &key, asked_read_share_group_state(s)->leader_epoch, &s->state,
                     share_state_steps_told);
}

/* The state may change before the answer is written. */
static void answer_read_share_group_state(share_state_steps_t *s, kafka_code_t error, const char *message,
                                          const share_state_value_t *value)
{
    kafka_read_share_group_state_response_partition_t *out = told_read_share_group_state(s, error, message);
    if (!value) return;
    int32_t count = kafka_response_is_full(s->request) ? 0 : (int32_t)value->batches_count;
    out->state_epoch = value->state_epoch;
    out->start_offset = value->start_offset;
    out->state_batches_count = count;
    out->state_batches = kafka_read_share_group_state_response_state_batch_array(&s->request->arena, count);
    for (int32_t i = 0; i < count; i++) {
        const share_state_batch_t *b = &value->batches[i];
        out->state_batches[i].first_offset = b->first_offset;
        out->state_batches[i].last_offset = b->last_offset;
        out->state_batches[i].delivery_state = b->delivery_state;
        out->state_batches[i].delivery_count = b->delivery_count;
    }
    if (count == (int32_t)value->batches_count) return;
    out->state_batches_count = 0; /* one that is named over and over would make an answer of any size */
    out->error_code = KAFKA_INVALID_REQUEST;
}

static void ask_read_share_group_state_summary(share_state_steps_t *s)
{
    share_state_key_t key = key_read_share_group_state_summary(s);
    share_state_summary(s->request->kafka, &key, asked_read_share_group_state_summary(s)->leader_epoch, &s->state,
                        share_state_steps_told);
}

static void answer_read_share_group_state_summary(share_state_steps_t *s, kafka_code_t error, const char *message,
                                                  const share_state_value_t *value)
{
    kafka_read_share_group_state_summary_response_partition_t *out =
        told_read_share_group_state_summary(s, error, message);
    if (!value) return;
    out->state_epoch = value->state_epoch;
    out->leader_epoch = value->leader_epoch;
    out->start_offset = value->start_offset;
    out->delivery_complete_count = value->delivery_complete_count;
}
