/* quorum_net.h: the transport between servers over src/net: to each other server one connection of ours, on which we only
 * send; what they send comes on theirs. A frame that finds no connection, or one that is too full, is dropped: raft sends anew. */
#ifndef TRIVET_COORD_QUORUM_NET_H
#define TRIVET_COORD_QUORUM_NET_H

#include "coord/raft/quorum.h"
#include "coord/raft/quorum_peer.h"
#include "net/net.h"

typedef struct quorum_net quorum_net_t;

/* Listens on the own member's address and keeps connecting to the others. */
int quorum_net_new(net_t *net, uint64_t self, const quorum_peer_t *members, int members_count,
                   quorum_net_t **ret_net) MUST_CHECK;
/* Frames received before this was called are dropped. */
void quorum_net_attach(quorum_net_t *qn, quorum_t *quorum);
quorum_transport_t *quorum_net_transport(quorum_net_t *qn);
void quorum_net_free(quorum_net_t *qn);

#endif
