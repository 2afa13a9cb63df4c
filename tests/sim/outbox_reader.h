/* outbox_reader.h: the part of the outbox scenario that is a consumer: it commits offsets of one group, one after the other, by
 * chance through Redis in one step with its state, or through Kafka alone. */
#ifndef TRIVET_TESTS_SIM_OUTBOX_READER_H
#define TRIVET_TESTS_SIM_OUTBOX_READER_H

#include "kafka_client.h"
#include "resp_client.h"
#include "scenario.h"

#include "kafka/kafka.h"

#define READER_GROUP       "reader"
#define READER_STATE       "reader-state" /* the key: the last offset committed through Redis */
#define READER_COMMITS_MAX 2000

typedef struct reader {
    run_t *run;
    const char *host, *topic;
    uint16_t redis_port, kafka_port;
    resp_client_t redis;
    kafka_client_t kafka;
    io_timer_t timer;
    /* the n-th commit has offset n */
    bool by_redis[READER_COMMITS_MAX + 1];
    int sent, answered;
    int promised; /* the last that was answered by Redis: it survives power loss */
    /* the first question after a start */
    bool asking;
    int least;    /* that may be told */
    int64_t told; /* 0 = none, -1 = not asked */
} reader_t;

/* Asks Kafka for the offset, the first thing after a start; until `asking` is false. After power loss only what Redis
 * answered is promised, after a kill whatever was answered. */
void reader_ask(reader_t *reader, io_loop_t *loop, bool power_lost);
void reader_start(reader_t *reader, io_loop_t *loop);
/* After either of the two. */
void reader_stop(reader_t *reader);
void reader_deinit(reader_t *reader);
/* Before it goes on: `offset` and `state` (0 = none) must agree with each other and with what was answered and told. */
void reader_check(reader_t *reader, int64_t offset, int64_t state);

#endif
