/* connection.h: what wing.c and the API handlers need of connection.c beside kafka_respond and its kin. */
#ifndef TRIVET_KAFKA_CONNECTION_H
#define TRIVET_KAFKA_CONNECTION_H

#include "kafka/kafka_internal.h"

const net_service_t *kafka_service(void);

void connection__start_all(kafka_t *kafka);
/* The broker became ready: what waited in connections is read. */
void connection__resume_all(kafka_t *kafka);
void connection__stop_all(kafka_t *kafka);

#define KAFKA_FRAME_SIZE_BYTES 4 /* in front of each request and answer */
/* The answer is in request->out, or in its pieces. Ends the request. */
void connection__answered(kafka_request_t *request);

/* As kafka_respond, in a version that is not the request's: for ApiVersions. */
void kafka_respond_version(kafka_request_t *request, int16_t version, const void *response);

/* max.connections.per.ip, or what its overrides say for the host. */
int64_t connection__from_host_max(const kafka_t *kafka, bytes_t host);

/* The parts of "127.0.0.1:9092" and "[::1]:9092". */
bytes_t connection__host_of(const char *address);
int32_t connection__port_of(const char *address);
/* To clients of the listener of that name (NULL = any), who reached us at `local`. */
void connection__advertised(const kafka_t *kafka, const char *listener, const char *local, bytes_t *ret_host,
                            int32_t *ret_port);

#endif
