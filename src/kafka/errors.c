/* errors.c: names and texts of Kafka's error codes, out of the one table. */
#include "kafka/errors.h"

#include "kafka/kafka.h"

#define PREFIX_CHARS 6 /* "KAFKA_" */

const char *kafka_error_name(kafka_code_t error)
{
    switch (error) {
#define X(name, code, text)                                                                                            \
    case code: return &#name[PREFIX_CHARS];
        KAFKA_ERROR_MAP(X)
#undef X
    default: return "UNKNOWN_SERVER_ERROR";
    }
}

const char *kafka_error_text(kafka_code_t error)
{
    if (error == KAFKA_NONE) return NULL;
    switch (error) {
#define X(name, code, text)                                                                                            \
    case code: return text;
        KAFKA_ERROR_MAP(X)
#undef X
    default: return "The server experienced an unexpected error when processing the request.";
    }
}
