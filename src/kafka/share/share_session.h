/* share_session.h: share sessions (KIP-932): which partitions a member of a share group reads, so that its requests name only what
 * changed. A session belongs to a connection, and ends with it; then what the member had acquired is given back.
 *
 *   epoch    meaning
 *   0        everything is named; makes a session, in the place of one that the member had
 *   -1       the last request of the session
 *   n        the next request; n must be the epoch expected, which begins at 1 and follows INT32_MAX */
#ifndef TRIVET_KAFKA_SHARE_SESSION_H
#define TRIVET_KAFKA_SHARE_SESSION_H

#include "kafka/share/share_leader.h"

#define SHARE_SESSION_EPOCH_INITIAL 0
#define SHARE_SESSION_EPOCH_FINAL   (-1)

struct share_fetch;

/* One partition of a session; the fetch that is under way keeps what it has found here. */
typedef struct share_part {
    list_t node; /* in session->parts, unless it is forgotten */
    kafka_uuid_t topic_id;
    int32_t index;
    bool untold;    /* the next answer names it, whatever was found */
    bool acquired;  /* something was, once: it is given back when the session ends */
    bool forgotten; /* and the member reads it no longer */
    /* the fetch's */
    struct share_fetch *fetch;
    share_waiter_t waiter;
    kafka_code_t error;
    size_t found_bytes;
    share_taken_t taken;
} share_part_t;

typedef struct share_session {
    struct share_group *group;
    bytes_t member;  /* owned */
    uint64_t number; /* the member's, in share_partition.h */
    int32_t epoch;   /* expected next */
    kafka_conn_watch_t watch;
    list_t parts; /* who got something last is last */
    map_t by_key; /* topic id and partition -> share_part_t, which it owns */
    /* The fetch under way, and how it is ended at once. */
    struct share_fetch *fetch;
    void (*end_fetch)(struct share_fetch *fetch);
} share_session_t;

/* A new one. INVALID_REQUEST, SHARE_SESSION_LIMIT_REACHED. */
kafka_code_t share_session_open(kafka_request_t *request, const kafka_share_fetch_request_t *body,
                                share_session_t **ret_session) MUST_CHECK;
/* The one that a later request belongs to, whatever its epoch; SHARE_SESSION_NOT_FOUND. */
kafka_code_t share_session_find(const kafka_t *kafka, bytes_t group, bytes_t member,
                                share_session_t **ret_session) MUST_CHECK;
/* Steps to the next epoch, unless this is the last request. INVALID_SHARE_SESSION_EPOCH. */
kafka_code_t share_session_step(share_session_t *session, int32_t epoch) MUST_CHECK;
/* Takes over what a later fetch says. SHARE_SESSION_LIMIT_REACHED: it would read too many partitions. */
kafka_code_t share_session_apply(share_session_t *session, const kafka_share_fetch_request_t *body) MUST_CHECK;
/* Gives back what the member has, and forgets it. */
void share_session_end(share_session_t *session);

#endif
