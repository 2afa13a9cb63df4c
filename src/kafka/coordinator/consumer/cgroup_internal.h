/* cgroup_internal.h: what the files of the consumer group's state machine share. */
#ifndef TRIVET_KAFKA_GROUPS_CGROUP_INTERNAL_H
#define TRIVET_KAFKA_GROUPS_CGROUP_INTERNAL_H

#include "kafka/coordinator/consumer/cgroup.h"

/* cgroup.c */
void cgroup__set_bytes(bytes_t *slot, bytes_t b); /* replaces an owned copy */
void cgroup__schedule(cgroup_t *g, int64_t *slot, int64_t deadline_ms);
void cgroup__reschedule_session(cgroup_t *g, cgroup_member_t *m, runtime_now_t now);
void cgroup__bump(cgroup_t *g);
bool cgroup__is_full(const cgroup_t *g, bytes_t member_id);
/* Under another id, which starts anew with what the old one had. */
cgroup_member_t *cgroup__replace(cgroup_t *g, cgroup_member_t *old, bytes_t new_id);

/* cgroup_topics.c */
void cgroup__count(map_t *counts, bytes_t name, topic_pattern_t *pattern);
void cgroup__uncount(map_t *counts, bytes_t name);
void cgroup__free_counts(map_t *counts);
/* Looks up again what members read; true when it is not what it was. */
bool cgroup__refresh_topics(cgroup_t *g);

/* cgroup_heartbeat.c */
bool cgroup__update_bytes(bytes_t *slot, bytes_t told);
/* True when the member did not read these. */
bool cgroup__update_topics(cgroup_t *g, cgroup_member_t *m, const bytes_t *topics, size_t count);
/* What follows from an input of a member: a new epoch, new targets, and the member's own next step. True when what it
 * is assigned changed. */
bool cgroup__progress(cgroup_t *g, cgroup_member_t *m, bool resubscribed, const cgroup_set_t *owned, runtime_now_t now);
/* Members have gone. */
void cgroup__members_gone(cgroup_t *g);

/* cgroup_reconcile.c */
/* Brings a member closer to its target; true when what it is assigned changed. `owned` NULL: it did not say.
 */
bool cgroup__reconcile(cgroup_t *g, cgroup_member_t *m, const cgroup_set_t *owned, runtime_now_t now);
/* Starts or stops the clock of a revocation, by the member's state. */
void cgroup__await_revocation(cgroup_t *g, cgroup_member_t *m, runtime_now_t now);
/* What it owns or has yet to let go of is (no longer) its own. */
void cgroup__hold(cgroup_t *g, cgroup_member_t *m);
void cgroup__release(cgroup_t *g, cgroup_member_t *m);
/* Others still hold some of its target. */
bool cgroup__waits_for_others(const cgroup_t *g, const cgroup_member_t *m);

#endif
