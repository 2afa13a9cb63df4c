/* shares_internal.h: what the files share that know of groups, their partitions and their sessions. */
#ifndef TRIVET_KAFKA_SHARES_INTERNAL_H
#define TRIVET_KAFKA_SHARES_INTERNAL_H

#include "kafka/share/shares.h"

struct shares {
    kafka_t *kafka;
    map_t groups; /* id -> share_group_t */
    kafka_topic_listener_t listener;
    uint64_t last_member;
    uint32_t sessions_count, leaders_count;
    uint32_t parts_count; /* of all sessions */
    list_t news;          /* share_leader_t whose waiters are to be woken */
    io_timer_t news_timer;
    bool stopped;
};

typedef struct share_group {
    shares_t *shares;
    bytes_t id;     /* owned */
    map_t leaders;  /* topic id and partition -> share_leader_t */
    list_t living;  /* the same */
    map_t sessions; /* member id -> share_session_t */
} share_group_t;

#define SHARE_KEY_BYTES 20 /* a topic's id and a partition's index */
static inline bytes_t share__key(uint8_t out[SHARE_KEY_BYTES], kafka_uuid_t topic_id, int32_t index)
{
    memcpy(out, topic_id.bytes, sizeof(topic_id.bytes));
    store_be32(out + sizeof(topic_id.bytes), (uint32_t)index);
    return bytes_of(out, SHARE_KEY_BYTES);
}

/* shares.c */
/* NULL when there is none. */
share_group_t *shares__group(const shares_t *shares, bytes_t id);
share_group_t *shares__group_new(shares_t *shares, bytes_t id);
/* Frees it, when nothing of it is left. */
void shares__group_drop(share_group_t *group);

/* share_leader.c */
/* The group's last session has ended: what is not being written is forgotten. */
void share__leaders_drop(share_group_t *group);
void share__leaders_close(share_group_t *group, kafka_code_t error);
/* Ends one, with `error` for whoever waits, told in a later turn: its topic is gone, another broker leads, the wing stops. The group stays. */
struct share_leader;
void share__leader_close(struct share_leader *leader, kafka_code_t error);
void share__tell_news(shares_t *shares);

/* share_session.c */
void share__sessions_end(share_group_t *group);

#endif
