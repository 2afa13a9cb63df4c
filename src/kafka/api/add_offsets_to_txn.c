/* add_offsets_to_txn.c: AddOffsetsToTxn: what a group commits belongs to a transaction: the group's partition of
 * __consumer_offsets becomes one of the transaction's. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"
#include "kafka/coordinator/groups.h"

#define VERSION_WITH_FENCED 2

typedef struct add_state {
    txns_request_t add;
    kafka_request_t *request;
} add_state_t;

static void respond(kafka_request_t *request, kafka_code_t error)
{
    kafka_add_offsets_to_txn_response_t *response = KAFKA_MESSAGE(request, add_offsets_to_txn_response);
    response->error_code = txn_code_for(request, VERSION_WITH_FENCED, error);
    kafka_respond(request, response);
}

static void added(txns_request_t *add, kafka_code_t error, txn_producer_t producer)
{
    respond(CONTAINER_OF(add, add_state_t, add)->request, error);
}

void kafka_handle_add_offsets_to_txn(kafka_request_t *request)
{
    const kafka_add_offsets_to_txn_request_t *body = request->body;
    int32_t count = runtime_partitions_count(groups_runtime(request->kafka->groups));
    add_state_t *state = ARENA_NEW(&request->arena, add_state_t);
    txn_parts_t parts = {.topics = MAP_INIT};
    if (count == 0) { /* nobody has looked for the group's coordinator yet */
        respond(request, KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    state->request = request;
    txn_parts_add(&parts, BYTES_LIT(GROUPS_TOPIC), runtime_partition_of(body->group_id, count));
    txns_add(request->kafka->txns, body->transactional_id, (txn_producer_t){body->producer_id, body->producer_epoch},
             &parts, &state->add, added);
    txn_parts_clear(&parts);
}
