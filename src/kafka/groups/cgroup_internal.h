/* cgroup_internal.h: what cgroup.c and cgroup_reconcile.c share. */
#ifndef TRIVET_KAFKA_GROUPS_CGROUP_INTERNAL_H
#define TRIVET_KAFKA_GROUPS_CGROUP_INTERNAL_H

#include "kafka/groups/cgroup.h"

/* Brings a member closer to its target; true when what it is assigned changed. `owned` NULL: it did not say.
 */
bool cgroup__reconcile(cgroup_t *g, cgroup_member_t *m, const cgroup_set_t *owned, group_now_t now);
/* Starts or stops the clock of a revocation, by the member's state. */
void cgroup__await_revocation(cgroup_t *g, cgroup_member_t *m, group_now_t now);

#endif
