/* describe_acls.c: no authorizer is configured, and that is what the answer says. */
#include "kafka/api/apis.h"

void kafka_handle_describe_acls(kafka_request_t *request)
{
    kafka_describe_acls_response_t *response = KAFKA_MESSAGE(request, describe_acls_response);
    response->error_code = KAFKA_SECURITY_DISABLED;
    response->error_message = BYTES_LIT("No Authorizer is configured on the broker");
    kafka_respond(request, response);
}
