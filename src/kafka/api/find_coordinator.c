/* find_coordinator.c: FindCoordinator: the broker that serves a group or a transactional id, from version 4 on for many at once.
 * __consumer_offsets or __transaction_state is made on the first question; the answer waits for it, so that no client has to
 * retry. */
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/share/share_state.h"
#include "kafka/coordinator/txn/txns.h"

enum { KEY_GROUP = 0, KEY_TRANSACTION = 1, KEY_SHARE = 2 };

typedef struct finding {
    runtime_waiter_t waiter;
    kafka_request_t *request;
} finding_t;

typedef struct coordinator {
    kafka_code_t error;
    int32_t node_id;
    bytes_t host;
    int32_t port;
} coordinator_t;

static coordinator_t nobody(kafka_code_t error) { return (coordinator_t){error, -1, BYTES_LIT(""), -1}; }

static coordinator_t this_broker(kafka_request_t *request)
{
    coordinator_t found = {KAFKA_NONE, request->kafka->broker_id, BYTES_NULL, 0};
    kafka_advertised(request, &found.host, &found.port);
    found.host =
        arena_copy(&request->arena, found.host); /* the connection's, and it may go before the answer is written */
    return found;
}

static void respond_one(kafka_request_t *request, coordinator_t found)
{
    kafka_find_coordinator_response_t *response = KAFKA_MESSAGE(request, find_coordinator_response);
    response->error_code = found.error;
    /* The original says "NONE" here when all is well. */
    response->error_message = found.error ? bytes_str(kafka_error_text(found.error)) : BYTES_LIT("NONE");
    response->node_id = found.node_id;
    response->host = found.host;
    response->port = found.port;
    kafka_respond(request, response);
}

static void respond(kafka_request_t *request, coordinator_t found)
{
    if (request->header.api_version < 4) {
        respond_one(request, found);
        return;
    }
    const kafka_find_coordinator_request_t *asked = request->body;
    kafka_find_coordinator_response_t *response = KAFKA_MESSAGE(request, find_coordinator_response);
    int32_t count = asked->coordinator_keys_count;
    response->coordinators = kafka_find_coordinator_response_coordinator_array(&request->arena, count);
    for (int32_t i = 0; i < count; i++) {
        kafka_find_coordinator_response_coordinator_t *out = &response->coordinators[response->coordinators_count++];
        out->key = asked->coordinator_keys[i];
        out->error_code = found.error;
        out->error_message = BYTES_LIT("");
        out->node_id = found.node_id;
        out->host = found.host;
        out->port = found.port;
    }
    kafka_respond(request, response);
}

static void on_topic(runtime_waiter_t *waiter, kafka_code_t error)
{
    kafka_request_t *request = CONTAINER_OF(waiter, finding_t, waiter)->request;
    respond(request, error == KAFKA_NONE ? this_broker(request) : nobody(error));
}

static runtime_t *runtime_of(const kafka_t *kafka, int8_t key_type)
{
    switch (key_type) {
    case KEY_GROUP: return groups_runtime(kafka->groups);
    case KEY_TRANSACTION: return txns_runtime(kafka->txns);
    case KEY_SHARE: return share_states_runtime(kafka->share_states);
    default: return NULL;
    }
}

/* group:topic id:partition */
static bool is_share_key(bytes_t key)
{
    kafka_uuid_t id;
    size_t at = key.len;
    while (at > 0 && key.ptr[at - 1] >= '0' && key.ptr[at - 1] <= '9') at--;
    if (at == key.len || at < KAFKA_UUID_CHARS + 3 || key.ptr[at - 1] != ':') return false;
    const uint8_t *text = key.ptr + at - 1 - KAFKA_UUID_CHARS;
    return text[-1] == ':' && kafka_uuid_parse(bytes_of(text, KAFKA_UUID_CHARS), &id);
}

static bool are_share_keys(const kafka_find_coordinator_request_t *asked)
{
    for (int32_t i = 0; i < asked->coordinator_keys_count; i++) {
        if (!is_share_key(asked->coordinator_keys[i])) return false;
    }
    return true;
}

void kafka_handle_find_coordinator(kafka_request_t *request)
{
    const kafka_find_coordinator_request_t *asked = request->body;
    kafka_t *kafka = request->kafka;
    runtime_t *runtime = runtime_of(kafka, asked->key_type);
    if (!runtime || (asked->key_type == KEY_SHARE && !are_share_keys(asked))) {
        respond(request, nobody(KAFKA_INVALID_REQUEST));
        return;
    }
    finding_t *finding = ARENA_NEW(&request->arena, finding_t);
    finding->request = request;
    runtime_need_topic(runtime, &finding->waiter, on_topic);
}
