/* request.h: what connection.c does with a request before its handler has it. */
#ifndef TRIVET_KAFKA_BROKER_REQUEST_H
#define TRIVET_KAFKA_BROKER_REQUEST_H

#include "kafka/kafka_internal.h"

kafka_request_t *request__new(kafka_t *kafka);
void request__free(kafka_request_t *request);
/* Those that wait for work. */
void request__free_spare(kafka_t *kafka);

/* API, version and handler; the reader is left where the rest of the header begins. ERR_UNSUPPORTED: no such API or version. 0 with
 * request->unsupported_version: ApiVersions, which answers without its body. */
int request__read_header(kafka_request_t *request, kafka_reader_t *frame) MUST_CHECK;
/* The rest; what the reader reads must last as long as the request is to use it. */
int request__read_body(kafka_request_t *request, kafka_reader_t *r) MUST_CHECK;
/* The same off the loop; `read` runs later, also when the client has gone meanwhile. */
void request__read_body_apart(kafka_request_t *request, const kafka_reader_t *r,
                              void (*read)(kafka_request_t *request, int err));
/* Frees the requests that are being read; nobody hears of them. */
void request__stop_reading(kafka_t *kafka);

#endif
