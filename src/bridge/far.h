/* far.h: requests of the bridge to Kafka's reactor, and their answers (far.c). */
#ifndef TRIVET_BRIDGE_FAR_H
#define TRIVET_BRIDGE_FAR_H

#include "bridge/bridge_internal.h"

#define FAR_GONE (-1) /* the answer's error when the bridge had stopped: UNKNOWN_SERVER_ERROR, which nobody sees */

/* What requests and their answers hold in common; freed with the last of its holders. */
typedef struct far_link {
    bridge_t *bridge; /* NULL = gone. The near half's alone, as the count is */
    int holders;
    bool closed; /* set when the threads are joined */
} far_link_t;
far_link_t *far_link_take(bridge_t *bridge);
/* The bridge, or NULL; the link is given back. */
bridge_t *far_link_use(far_link_t *link);
/* The bridge has stopped: whoever still answers finds nobody. */
void far_close(bridge_t *bridge);

/* Embedded in the state of the one who asks. */
typedef struct far_request far_request_t;
struct far_request {
    io_message_t message;
    far_link_t *link;
    kafka_t *kafka; /* the far half's alone, as the next is */
    kafka_catalog_t *catalog;
    io_loop_t *home;
    void (*run)(far_request_t *request); /* on Kafka's reactor; ends with far_answer, at once or later */
    void (*answered)(bridge_t *bridge,
                     far_request_t *request); /* back home; frees the request. bridge NULL = it has gone */
    bool asking;                              /* within far_ask, and not answered yet */
    int64_t value;
    kafka_code_t error; /* Kafka's code */
    char words[KAFKA_MESSAGE_BYTES_MAX];
};

void far_send(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
              void (*answered)(bridge_t *bridge, far_request_t *request));
/* For what a command needs before it runs: where both halves share a loop, what is answered within `run` comes back within the call,
 * and nobody has to wait. Whether it did. */
bool far_ask(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
             void (*answered)(bridge_t *bridge, far_request_t *request));
void far_answer(far_request_t *request, int64_t value, kafka_code_t error, const char *words);
/* far_answer as a kafka_door_cb: its user is the request. */
void far__answered(void *user, int64_t value, kafka_code_t error, const char *words);

/* For whoever posts or answers by other means than the next ones. */
void far_prepare(bridge_t *bridge, far_request_t *request, void (*run)(far_request_t *request),
                 void (*answered)(bridge_t *bridge, far_request_t *request));

/* ---- straight.c: records alone --------------------------------------------------------------------------------------- */

/* Sends the record, and replies with its place, at once or later. */
typedef struct straight_load straight_load_t;
void straight_produce(bridge_t *bridge, redis_call_t *call, const kafka_produce_t *record);
/* Replies so, behind the places that its client still waits for. */
void straight_refuse(bridge_t *bridge, redis_call_t *call, const char *problem);
/* What came in this turn leaves. */
void straight_send(bridge_t *bridge);
void straight_stop(bridge_t *bridge);

/* ---- delivery.c: records on their way into their partitions ---------------------------------------------------------- */

typedef struct delivery delivery_t;
/* Sends of the topic's queue what may be appended now, `budget` records at most, with the others of this turn; how many. */
int delivery_add(bridge_t *bridge, delivery_t **delivery, outbox_topic_t *topic, int budget);
void delivery_send(bridge_t *bridge, delivery_t *delivery);

/* ---- commit_far.c: offsets on their way, on Kafka's reactor; while one thread owns all, also on that ---------------- */

typedef struct far_commits far_commits_t;
far_commits_t *far_commits_new(void);
void far_commits_free(far_commits_t *commits);
void far_commits_add(far_commits_t *commits, bytes_t group);
/* One less: it is there, or will never be. */
void far_commits_remove(far_commits_t *commits, bytes_t group);
/* The same of a record, if it is an offset. */
void far_commits_settle(far_commits_t *commits, const kafka_produce_t *record);
/* For kafka_commits_hold. */
bool far_commits_wait(void *user, bytes_t group);
/* On the near half's reactor, before the reply that promises an offset: from then on the group's clients wait. */
void far_commits_announce(far_commits_t *commits, bytes_t group);
/* Of a record that is dropped: its group need not wait for it. */
void commit_withdraw(bridge_t *bridge, const outbox_record_t *record);

/* ---- deliver.c -------------------------------------------------------------------------------------------------------- */

/* What came of a topic's records: first each that was placed, then once the topic. `refused` NULL = all were placed. */
void deliver__placed(bridge_t *bridge, outbox_record_t *record, int64_t offset);
void deliver__topic_answered(bridge_t *bridge, outbox_topic_t *topic, const outbox_record_t *refused,
                             kafka_code_t error, const char *words);

#endif
