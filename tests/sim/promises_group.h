/* promises_group.h: the part of the promises scenario that speaks Kafka: the member of a consumer group, whose generations come
 * and go, and OffsetFetch for whoever wants to know. */
#ifndef TRIVET_TESTS_SIM_PROMISES_GROUP_H
#define TRIVET_TESTS_SIM_PROMISES_GROUP_H

#include "kafka_client.h"
#include "scenario.h"

#include "io/io.h"

#define GENERATIONS_MAX  512
#define MEMBER_CHARS_MAX 128
#define OFFSET_NOT_TOLD  (-2) /* COORDINATOR_LOAD_IN_PROGRESS: the client is to come again */

/* Asks for the offset of partition 0. */
void offset_ask(kafka_client_t *client, const char *group, const char *topic, kafka_answered_t *answered, int64_t tag);
/* What the answer tells: an offset, -1 = none, or OFFSET_NOT_TOLD. */
int64_t offset_told(run_t *run, const void *answer);

/* What a member says it is when it commits. */
typedef struct membership {
    char id[MEMBER_CHARS_MAX]; /* "" = none */
    int32_t generation;        /* 0 = none */
} membership_t;

typedef struct group_member {
    run_t *run;
    const char *group, *topic;
    kafka_client_t kafka;
    io_timer_t timer;
    char id[MEMBER_CHARS_MAX]; /* to join with */
    int32_t generation;        /* 0 = it is joining */
    membership_t now, before;  /* the newest that it knows, and the one that this replaced */
    /* By generation: what it read when it began, or OFFSET_NOT_TOLD. Nothing of older ones may come behind that. */
    int64_t read[GENERATIONS_MAX];
    void (*began)(void *user, int32_t generation, int64_t offset);
    void *user;
} group_member_t;

/* Goes through generation after generation until it is stopped. */
void group_member_start(group_member_t *member, run_t *run, io_loop_t *loop, const char *host, uint16_t port);
void group_member_stop(group_member_t *member);

#endif
