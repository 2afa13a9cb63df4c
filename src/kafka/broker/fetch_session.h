/* fetch_session.h: fetch sessions (KIP-227): the broker remembers which partitions a consumer reads and what
 * it was told last, so that a fetch names only what changed and is answered only with what is new.
 *
 *   request (id, epoch)      meaning
 *   (0, -1)                  no session
 *   (any, 0)                 everything is named; makes a session (id 0 in the answer: the cache is full)
 *   (id, -1)                 ends the session; served without one
 *   (id, n)                  the next of session id; n must be the epoch expected, which begins at 1 */
#ifndef TRIVET_KAFKA_FETCH_SESSION_H
#define TRIVET_KAFKA_FETCH_SESSION_H

#include "kafka/partition/partition.h"

#define FETCH_SESSION_ID_NONE       0
#define FETCH_SESSION_EPOCH_INITIAL 0
#define FETCH_SESSION_EPOCH_FINAL   (-1)
#define FETCH_SESSION_IDLE_MS_MIN   120000 /* a session that was used since is not evicted */

/* Of one request; for more no session is made, as when the cache is full. */
#define FETCH_SESSION_PARTS_MAX 20000

struct fetch;

/* One partition of a fetch; in a session it outlives the request. */
typedef struct fetch_part {
    list_t node; /* in fetch->parts or session->parts */
    struct fetch *fetch;
    partition_waiter_t waiter;
    bytes_t topic; /* by name before version 13, else by id */
    kafka_uuid_t topic_id;
    int32_t partition;
    int32_t current_leader_epoch;
    int64_t fetch_offset;
    int32_t last_fetched_epoch;
    int32_t bytes_max;
    /* what the client was told last; -1 = nothing */
    int64_t told_high_watermark, told_log_start;
    /* the answer being made */
    kafka_code_t error;
    int64_t high_watermark, last_stable_offset, log_start;
    int32_t diverging_epoch;
    int64_t diverging_end_offset;
    log_slice_t slice;
    size_t seen_bytes; /* what the last look found */
} fetch_part_t;

typedef struct fetch_session {
    list_t node; /* in sessions->by_use, the longest unused first */
    int32_t id;
    int32_t epoch; /* expected next */
    bool by_topic_id;
    uint64_t used_ns;
    struct fetch *fetch; /* under way; such a session is not evicted */
    list_t parts;
    map_t by_key; /* topic and partition -> fetch_part_t, which it owns */
} fetch_session_t;

/* Finds the session of an incremental fetch and applies what the request says: KAFKA_NONE,
 * FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. */
kafka_code_t fetch_session_continue(kafka_t *kafka, const kafka_fetch_request_t *request, bool by_topic_id,
                                    fetch_session_t **ret_session) MUST_CHECK;
/* A new session for a full fetch, or NULL when the cache is full of sessions in use, or the request is too large for one. */
fetch_session_t *fetch_session_create(kafka_t *kafka, const kafka_fetch_request_t *request, bool by_topic_id);
void fetch_session_remove(kafka_t *kafka, fetch_session_t *session);
fetch_session_t *fetch_session_get(const kafka_t *kafka, int32_t id);
void fetch_sessions_free(kafka_t *kafka);

/* Takes over what the request says of a partition. */
void fetch_part_set(fetch_part_t *part, const kafka_fetch_request_topic_t *topic,
                    const kafka_fetch_request_partition_t *in);

#endif
