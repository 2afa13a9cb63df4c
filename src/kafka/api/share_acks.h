/* share_acks.h: the answers that members of share groups give to records, as ShareFetch and ShareAcknowledge carry them. */
#ifndef TRIVET_KAFKA_API_SHARE_ACKS_H
#define TRIVET_KAFKA_API_SHARE_ACKS_H

#include "kafka/share/share_session.h"

/* From here on members may renew the time for which they have records (KIP-1222). */
#define SHARE_VERSION_WITH_RENEW 2

/* Those of one partition. */
typedef struct share_acks_part {
    share_answer_t answer;
    struct share_acks *acks;
    kafka_uuid_t topic_id;
    int32_t index;
    kafka_code_t error;
    share_ack_t *items; /* ascending; the arena's */
    size_t count, cap;
    int64_t last; /* offset of the batches so far */
    bool disordered;
} share_acks_part_t;

/* Those of one request, whose arena holds them. */
typedef struct share_acks {
    kafka_request_t *request;
    bool may_renew;   /* the version knows of it */
    bool says_renews; /* the request announces it */
    share_acks_part_t *parts;
    size_t count;
    size_t ranges;  /* of all of them */
    size_t waiting; /* for their answers to be stored, and one while they are being handed in */
    void (*done)(struct share_acks *acks);
} share_acks_t;

void share_acks_init(share_acks_t *acks, kafka_request_t *request, bool says_renews, size_t parts_max);
/* Begins a partition. */
void share_acks_part(share_acks_t *acks, kafka_uuid_t topic_id, int32_t index);
/* One of its batches. */
void share_acks_batch(share_acks_t *acks, int64_t first, int64_t last, const int8_t *types, int32_t types_count);
/* Hands all of them in; `done` runs once each has its outcome, maybe within the call. */
void share_acks_run(share_acks_t *acks, const share_session_t *session, const share_settings_t *settings,
                    void (*done)(share_acks_t *acks));

/* Whether a session can be looked for. */
bool share_request_names_session(bytes_t group_id, bytes_t member_id);

/* Partitions that one request may name. */
#define SHARE_REQUEST_PARTS_MAX 10000
/* Ranges of answers that one request may hold, over all of its partitions; those of a partition that would pass it are refused. */
#define SHARE_REQUEST_ACKS_MAX 200000

#endif
