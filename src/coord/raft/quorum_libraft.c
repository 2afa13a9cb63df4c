/* quorum_libraft.c: the only place that looks into libraft's struct. Each line is here because 0.22.1 has no accessor for it, or
 * none that takes a const pointer. */
#include "coord/raft/quorum_internal.h"

/* The accessors that follow change nothing and are not declared const. */
static struct raft *unconst(const quorum_t *q) { return (struct raft *)&q->raft; }

bool quorum__is_leader(const quorum_t *q) { return raft_state(unconst(q)) == RAFT_LEADER; }
bool quorum__is_candidate(const quorum_t *q) { return raft_state(unconst(q)) == RAFT_CANDIDATE; }

uint64_t quorum__leader_id(const quorum_t *q)
{
    raft_id id;
    const char *address;
    raft_leader(unconst(q), &id, &address);
    return id;
}

const struct raft_configuration *quorum__configuration(const quorum_t *q) { return &q->raft.configuration; }
uint64_t quorum__log_offset(const quorum_t *q) { return q->raft.trail.offset; }

bool quorum__within_raft(const quorum_t *q, const void *at)
{
    const char *byte = at, *raft = (const char *)&q->raft;
    return byte >= raft && byte < raft + sizeof(q->raft);
}

/* It writes to the standard error stream otherwise. */
void quorum__silence_tracer(quorum_t *q) { q->raft.tracer = NULL; }
