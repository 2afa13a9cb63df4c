/* quorum_peer.h: what whoever configures a group must know of it: its members' addresses, and a bound. */
#ifndef TRIVET_COORD_QUORUM_PEER_H
#define TRIVET_COORD_QUORUM_PEER_H

#include "base/base.h"

/* A leader may not know of the last entries that a follower has: up to 32 are on their way unanswered (libraft's limit). One
 * that a follower threw away is one that it denies ever having had, and neither of them would get out of that. So no
 * trailing_entries below this. */
#define QUORUM_TRAILING_ENTRIES_MIN 64

/* A member and where the others reach it. */
typedef struct quorum_peer {
    uint8_t id;
    const char *host;
    uint16_t port;
} quorum_peer_t;

#endif
