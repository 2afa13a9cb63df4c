/* share_acknowledge.c: ShareAcknowledge: a member of a share group answers records that it has acquired, without asking for others. The
 * answer leaves once all of them are stored. */
#include "kafka/api/apis.h"
#include "kafka/api/share_acks.h"

typedef struct acknowledging {
    kafka_request_t *request;
    share_acks_t acks;
    int64_t lock_ms;
} acknowledging_t;

static void refuse(kafka_request_t *request, kafka_code_t error)
{
    kafka_share_acknowledge_response_t *response = KAFKA_MESSAGE(request, share_acknowledge_response);
    response->error_code = error;
    kafka_respond(request, response);
}

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

/* A partition of a topic that is there, without answers, is not told of. */
static bool is_told(const share_acks_part_t *part) { return part->count > 0 || part->error; }

static void on_acknowledged(share_acks_t *acks)
{
    const acknowledging_t *a = CONTAINER_OF(acks, acknowledging_t, acks);
    kafka_request_t *request = a->request;
    kafka_share_acknowledge_response_t *response = KAFKA_MESSAGE(request, share_acknowledge_response);
    kafka_share_acknowledge_response_partition_t *out =
        kafka_share_acknowledge_response_partition_array(&request->arena, (int32_t)acks->count);
    kafka_share_acknowledge_response_topic_t *topic = NULL;
    response->responses = kafka_share_acknowledge_response_topic_array(&request->arena, (int32_t)acks->count);
    response->acquisition_lock_timeout_ms = (int32_t)a->lock_ms;
    for (size_t i = 0; i < acks->count; i++) {
        const share_acks_part_t *part = &acks->parts[i];
        if (!is_told(part)) continue;
        if (!topic || !kafka_uuid_eq(part->topic_id, topic->topic_id)) {
            topic = &response->responses[response->responses_count++];
            topic->topic_id = part->topic_id;
            topic->partitions = out;
        }
        out->partition_index = part->index;
        out->error_code = part->error;
        topic->partitions_count++;
        out++;
    }
    kafka_respond(request, response);
}

/* ---- the request ----------------------------------------------------------------------------------------------------- */

static size_t count_parts(const kafka_share_acknowledge_request_t *body)
{
    size_t parts = 0;
    for (int32_t t = 0; t < body->topics_count; t++) parts += (size_t)body->topics[t].partitions_count;
    return parts;
}

static void take_part(share_acks_t *acks, kafka_uuid_t topic_id,
                      const kafka_share_acknowledge_request_partition_t *partition)
{
    share_acks_part(acks, topic_id, partition->partition_index);
    for (int32_t i = 0; i < partition->acknowledgement_batches_count; i++) {
        const kafka_share_acknowledge_request_acknowledgement_batch_t *b = &partition->acknowledgement_batches[i];
        share_acks_batch(acks, b->first_offset, b->last_offset, b->acknowledge_types, b->acknowledge_types_count);
    }
}

static void take_acks(share_acks_t *acks, const kafka_share_acknowledge_request_t *body)
{
    share_acks_init(acks, acks->request, body->is_renew_ack, count_parts(body));
    for (int32_t t = 0; t < body->topics_count; t++)
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++)
            take_part(acks, body->topics[t].topic_id, &body->topics[t].partitions[p]);
}

static kafka_code_t take_session(const kafka_request_t *request, share_session_t **ret_session)
{
    const kafka_share_acknowledge_request_t *body = request->body;
    if (!share_request_names_session(body->group_id, body->member_id)) return KAFKA_INVALID_REQUEST;
    if (count_parts(body) > SHARE_REQUEST_PARTS_MAX) return KAFKA_INVALID_REQUEST;
    if (body->share_session_epoch == SHARE_SESSION_EPOCH_INITIAL) return KAFKA_INVALID_SHARE_SESSION_EPOCH;
    kafka_code_t error = share_session_find(request->kafka, body->group_id, body->member_id, ret_session);
    return error ? error : share_session_step(*ret_session, body->share_session_epoch);
}

void kafka_handle_share_acknowledge(kafka_request_t *request)
{
    const kafka_share_acknowledge_request_t *body = request->body;
    share_session_t *session;
    share_settings_t settings;
    kafka_code_t error = take_session(request, &session);
    if (error) {
        refuse(request, error);
        return;
    }
    acknowledging_t *a = ARENA_NEW(&request->arena, acknowledging_t);
    bool ends = body->share_session_epoch == SHARE_SESSION_EPOCH_FINAL;
    a->request = a->acks.request = request;
    share_settings_read(request->kafka, body->group_id, &settings);
    a->lock_ms = settings.limits.lock_ms;
    take_acks(&a->acks, body);
    share_acks_run(&a->acks, session, &settings, on_acknowledged); /* the request may be gone */
    if (ends) share_session_end(session);
}
