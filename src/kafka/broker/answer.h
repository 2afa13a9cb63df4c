/* answer.h: an answer as bytes. */
#ifndef TRIVET_KAFKA_BROKER_ANSWER_H
#define TRIVET_KAFKA_BROKER_ANSWER_H

#include "kafka/kafka_internal.h"

/* Into request->out. */
void answer_encode(kafka_request_t *request, int16_t version, const void *response);
/* For handlers whose responses last: false when the rest follows in later turns, and then connection__answered. */
bool answer_encode_first(kafka_request_t *request, int16_t version, const void *response) MUST_CHECK;
/* Hands all of it to the connection: bytes, pieces, stretches of files. */
void answer_send(net_conn_t *net, kafka_request_t *request);

#endif
