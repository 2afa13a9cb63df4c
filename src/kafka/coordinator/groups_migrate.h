/* groups_migrate.h: groups that change their protocol while they have members (KIP-848's online migration), and what the
 * classic protocol's consumers embed in their requests. */
#ifndef TRIVET_KAFKA_GROUPS_GROUPS_MIGRATE_H
#define TRIVET_KAFKA_GROUPS_GROUPS_MIGRATE_H

#include "kafka/coordinator/groups_internal.h"

/* Makes a classic group with members a consumer group. GROUP_ID_NOT_FOUND with the original's words when it may not be,
 * COORDINATOR_LOAD_IN_PROGRESS while it is being stored. */
kafka_code_t groups_upgrade(group_entry_t *entry, char message[CONSUMER_MESSAGE_BYTES]) MUST_CHECK;
/* Makes a consumer group (nothing else) a classic one if all its members speak that protocol and the policy allows it; with `rebalance`
 * they are all to join again. */
void groups_downgrade(group_entry_t *entry, bool rebalance);

/* Makes an empty group speak the other protocol: false when it is not empty, or speaks it already. What the old protocol has
 * stored is taken back by tombstones. */
bool groups_become_classic(group_entry_t *entry);
bool groups_become_consumer(group_entry_t *entry);

bool groups_may_become_classic(const kafka_groups_t *groups, size_t members_count);

/* `owned` is the caller's, and must be empty; all else is in the arena or in `data`. */
int groups_read_subscription(const kafka_groups_t *groups, bytes_t data, arena_t *arena, tp_set_t *owned,
                             consumer_subscription_t *ret_subscription) MUST_CHECK;
/* In the version of the subscription that `protocol` carries. */
bytes_t groups_write_assignment(const kafka_groups_t *groups, const tp_set_t *set, const group_protocol_t *protocol,
                                arena_t *arena);

#endif
