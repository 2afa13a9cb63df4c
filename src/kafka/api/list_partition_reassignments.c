/* list_partition_reassignments.c: with one broker no replica is ever on the move. */
#include "kafka/api/apis.h"

void kafka_handle_list_partition_reassignments(kafka_request_t *request)
{
    kafka_respond(request, KAFKA_MESSAGE(request, list_partition_reassignments_response));
}
