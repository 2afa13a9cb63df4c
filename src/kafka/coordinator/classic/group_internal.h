/* group_internal.h: what the files of the group state machine share: group.c (members, replies, deadlines),
 * group_protocols.c (what they
 * know, and the vote), group_rebalance.c (phases), group_join.c and group_member_ops.c (inputs). */
#ifndef TRIVET_KAFKA_GROUPS_GROUP_INTERNAL_H
#define TRIVET_KAFKA_GROUPS_GROUP_INTERNAL_H

#include "kafka/coordinator/classic/group.h"
#include "kafka/errors.h"

/* A member id that was handed out and not used yet (KIP-394). */
typedef struct group_pending {
    list_t node;
    bytes_t id;
    int64_t deadline_ms;
} group_pending_t;

/* group.c */
bytes_t group__dup(bytes_t b);             /* null stays null */
void group__set(bytes_t *slot, bytes_t b); /* replaces an owned copy */
void group__transition(group_t *g, group_state_t state, runtime_now_t now);
void group__schedule(group_t *g, int64_t *slot, int64_t deadline_ms);
void group__reschedule_session(group_t *g, group_member_t *m, runtime_now_t now);
bool group__all_joined(const group_t *g);
int32_t group__rebalance_timeout_ms(const group_t *g);

group_member_t *group__add(group_t *g, bytes_t member_id, const group_join_t *join);
void group__remove(group_t *g, group_member_t *m);
void group__rename(group_t *g, group_member_t *m, bytes_t new_id);
void group__update(group_t *g, group_member_t *m, const group_join_t *join);
void group__set_protocols(group_t *g, group_member_t *m, const group_protocol_t *protocols, size_t count);
void group__drop_protocols(group_t *g, group_member_t *m);
bool group__all_know(const group_t *g, bytes_t protocol);
bytes_t group__select_protocol(const group_t *g);
/* group_subscription.c: what members read has changed, or may have. */
void group__forget_reads(group_t *g);
void group__free_tallies(group_t *g);
kafka_code_t group__validate(const group_t *g, bytes_t member_id, bytes_t instance_id) MUST_CHECK;

group_pending_t *group__pending(const group_t *g, bytes_t member_id);
void group__add_pending(group_t *g, bytes_t member_id, int64_t deadline_ms);
void group__remove_pending(group_t *g, group_pending_t *pending);

void group__park_join(group_t *g, group_member_t *m, void *request);
void group__reply_join(group_t *g, group_member_t *m, const group_join_reply_t *reply);
void group__fail_join(group_t *g, group_member_t *m, bytes_t member_id, kafka_code_t error);
void group__park_sync(group_t *g, group_member_t *m, void *request);
void group__reply_sync(group_t *g, group_member_t *m, kafka_code_t error);
group_join_reply_t group__join_reply(const group_t *g, const group_member_t *m);

group_store_t *group__store_new(group_t *g, int kind);
void group__store_free(group_store_t *store);

/* group_rebalance.c */
void group__prepare_rebalance(group_t *g, runtime_now_t now);
/* Starts a rebalance where the state allows one, else ends the join phase if nobody is missing. */
void group__rebalance_or_complete(group_t *g, runtime_now_t now);
void group__maybe_complete_join(group_t *g, runtime_now_t now);
void group__complete_join(group_t *g, runtime_now_t now);
void group__set_sync_due(group_t *g, group_member_t *m, bool due);
void group__sync_received(group_t *g, group_member_t *m);

#endif
