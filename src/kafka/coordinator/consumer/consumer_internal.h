/* consumer_internal.h: what the files of the consumer group's state machine share. */
#ifndef TRIVET_KAFKA_GROUPS_CONSUMER_INTERNAL_H
#define TRIVET_KAFKA_GROUPS_CONSUMER_INTERNAL_H

#include "kafka/coordinator/consumer/consumer_group.h"

/* consumer_group.c */
void consumer__set_bytes(bytes_t *slot, bytes_t b); /* replaces an owned copy */
void consumer__schedule(consumer_group_t *g, int64_t *slot, int64_t deadline_ms);
void consumer__reschedule_session(consumer_group_t *g, consumer_member_t *m, runtime_now_t now);
void consumer__bump(consumer_group_t *g);
bool consumer__is_full(const consumer_group_t *g, bytes_t member_id);
/* Under another id, which starts anew with what the old one had. */
consumer_member_t *consumer__replace(consumer_group_t *g, consumer_member_t *old, bytes_t new_id);

/* consumer_topics.c */
void consumer__count(map_t *counts, bytes_t name, topic_pattern_t *pattern);
void consumer__uncount(map_t *counts, bytes_t name);
void consumer__free_counts(map_t *counts);
/* Looks up again what members read; true when it is not what it was. */
bool consumer__refresh_topics(consumer_group_t *g);

/* consumer_heartbeat.c */
bool consumer__update_bytes(bytes_t *slot, bytes_t told);
/* True when the member did not read these. */
bool consumer__update_topics(consumer_group_t *g, consumer_member_t *m, const bytes_t *topics, size_t count);
/* What follows from an input of a member: a new epoch, new targets, and the member's own next step. True when what it
 * is assigned changed. */
bool consumer__progress(consumer_group_t *g, consumer_member_t *m, bool resubscribed, const tp_set_t *owned,
                        runtime_now_t now);
/* Members have gone. */
void consumer__members_gone(consumer_group_t *g);

/* consumer_reconcile.c */
/* Brings a member closer to its target; true when what it is assigned changed. `owned` NULL: it did not say.
 */
bool consumer__reconcile(consumer_group_t *g, consumer_member_t *m, const tp_set_t *owned, runtime_now_t now);
/* Starts or stops the clock of a revocation, by the member's state. */
void consumer__await_revocation(consumer_group_t *g, consumer_member_t *m, runtime_now_t now);
/* What it owns or has yet to let go of is (no longer) its own. */
void consumer__hold(consumer_group_t *g, consumer_member_t *m);
void consumer__release(consumer_group_t *g, consumer_member_t *m);
/* Others still hold some of its target. */
bool consumer__waits_for_others(const consumer_group_t *g, const consumer_member_t *m);

#endif
