/* shares.h: the share groups as the leader of partitions knows them (KIP-932): of each partition that a group reads, which records who has
 * (share_leader.h), and the sessions of members (share_session.h). What lasts is kept by the share coordinator
 * (coordinator/share/share_state.h); all here is made when it is first asked for, and goes with the last session of its group. */
#ifndef TRIVET_KAFKA_SHARES_H
#define TRIVET_KAFKA_SHARES_H

#include "kafka/kafka_internal.h"

/* Partitions that all sessions together may read; a session that would pass it is refused. */
#define SHARES_PARTS_MAX 200000

shares_t *kafka_shares_new(kafka_t *kafka);
/* Before the coordinators stop. Whoever waits is told. */
void kafka_shares_stop(shares_t *shares);
void kafka_shares_free(shares_t *shares);

uint32_t kafka_shares_sessions(const shares_t *shares);
uint32_t kafka_shares_leaders(const shares_t *shares);

#endif
