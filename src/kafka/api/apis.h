/* apis.h: every API's handler: kafka_handle_NAME in api/NAME.c. */
#ifndef TRIVET_KAFKA_APIS_H
#define TRIVET_KAFKA_APIS_H

#include "kafka/kafka_internal.h"

#define X(ENUMERATOR, name, key, version_min, version_max, flexible_since)                                             \
    void kafka_handle_##name(kafka_request_t *request);
KAFKA_API_MAP(X)
#undef X

/* The row of an API; NULL when it has none. */
const kafka_handler_t *kafka_handler_find(int16_t api_key);

/* Bits of the operations a client may do, as Kafka answers them where no authorizer is configured; and the answer to
 * who did not ask. */
#define KAFKA_OPERATIONS_TOPIC     0x0df8
#define KAFKA_OPERATIONS_CLUSTER   0x1fa0
#define KAFKA_OPERATIONS_GROUP     0x0d48
#define KAFKA_OPERATIONS_NOT_ASKED INT32_MIN

/* A text into a response: it lives as long as the request. NULL stays null. */
static inline bytes_t kafka_text(const kafka_request_t *request, const char *text)
{
    return text ? arena_copy((arena_t *)&request->arena, bytes_str(text)) : BYTES_NULL;
}

#endif
