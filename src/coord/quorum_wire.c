/* quorum_wire.c: libraft's messages as bytes for the transport. */
#include "coord/quorum_internal.h"

int quorum__send(quorum_t *q, const struct raft_message *message)
{
    return q->transport == NULL ? ERR_STATE : ERR_UNSUPPORTED;
}
