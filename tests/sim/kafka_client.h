/* kafka_client.h: a scenario's Kafka client: requests by their shapes on one connection, and their answers in order. */
#ifndef TRIVET_TESTS_SIM_KAFKA_CLIENT_H
#define TRIVET_TESTS_SIM_KAFKA_CLIENT_H

#include "scenario.h"

#include "io/io.h"
#include "kafka_schema.h"

#define KAFKA_IN_FLIGHT_MAX 64

typedef struct kafka_client kafka_client_t;
/* `answer` is the decoded response, gone when the call returns. */
typedef void kafka_answered_t(void *user, int64_t tag, const void *answer);

struct kafka_client {
    run_t *run;
    io_stream_t *stream; /* NULL = not connected */
    buf_t in, out;
    struct {
        const kafka_shape_t *shape; /* of the answer */
        int16_t version;
        bool flexible;
        int32_t correlation;
        int64_t tag;
        kafka_answered_t *answered;
    } flight[KAFKA_IN_FLIGHT_MAX]; /* oldest first */
    int in_flight;
    int32_t sent;
    bool failed; /* the connection is gone */
    void *user;
};

void kafka_client_connect(kafka_client_t *client, run_t *run, io_loop_t *loop, const char *host, uint16_t port);
/* `request` has the API's shape. */
void kafka_client_ask(kafka_client_t *client, int16_t api_key, int16_t version, const void *request,
                      kafka_answered_t *answered, int64_t tag);
void kafka_client_close(kafka_client_t *client);
void kafka_client_deinit(kafka_client_t *client);

#endif
