/* describe_cluster.c: the cluster's id, controller and brokers. Asked for controllers (endpoint type 2), a
 * broker refuses, as Kafka's does. */
#include "kafka/api/apis.h"

void kafka_handle_describe_cluster(kafka_request_t *request)
{
    const kafka_t *kafka = request->kafka;
    const kafka_describe_cluster_request_t *body = request->body;
    kafka_describe_cluster_response_t *response = KAFKA_MESSAGE(request, describe_cluster_response);
    response->cluster_id = bytes_str(kafka->cluster_id);
    response->endpoint_type = body->endpoint_type;
    if (body->endpoint_type != 1) {
        response->error_code =
            body->endpoint_type == 2 ? KAFKA_MISMATCHED_ENDPOINT_TYPE : KAFKA_UNSUPPORTED_ENDPOINT_TYPE;
        response->error_message = bytes_str(kafka_error_text(response->error_code));
        kafka_respond(request, response);
        return;
    }
    response->controller_id = kafka->broker_id;
    response->brokers_count = 1;
    response->brokers = kafka_describe_cluster_response_broker_array(&request->arena, 1);
    response->brokers[0].broker_id = kafka->broker_id;
    kafka_advertised(request, &response->brokers[0].host, &response->brokers[0].port);
    response->brokers[0].rack = kafka_text(request, kafka->config.broker_rack);
    if (body->include_cluster_authorized_operations) response->cluster_authorized_operations = KAFKA_OPERATIONS_CLUSTER;
    kafka_respond(request, response);
}
