/* group_protocols.c: the protocols that members of a classic group know: their own copies, how many members know each
 * name, and the vote. The counts change with each member, so that neither a join nor the vote looks at all pairs of
 * members: both are linear in the members and their (few) protocols. */
#include "kafka/coordinator/classic/group_internal.h"

struct group_tally {
    size_t members; /* that know the protocol */
    size_t votes;   /* while the group votes */
};

bool group_protocols_repeat(const group_protocol_t *protocols, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (bytes_eq(protocols[i].name, protocols[index].name)) return true;
    }
    return false;
}

static void count_in(group_t *g, bytes_t name)
{
    group_tally_t *tally = map_get(&g->tallies, name);
    if (!tally) {
        tally = mem_zalloc(sizeof(*tally));
        map_put(&g->tallies, name, tally);
    }
    tally->members++;
}

static void count_out(group_t *g, bytes_t name)
{
    group_tally_t *tally = map_get(&g->tallies, name);
    ASSERT(tally && tally->members > 0);
    if (--tally->members > 0) return;
    map_remove(&g->tallies, name);
    mem_free(tally);
}

size_t group_protocols_bytes(const group_protocol_t *protocols, size_t count)
{
    size_t bytes = count * sizeof(group_protocol_t);
    for (size_t i = 0; i < count; i++) bytes += protocols[i].name.len + protocols[i].metadata.len;
    return bytes;
}

group_protocol_t *group_protocols_copy(const group_protocol_t *protocols, size_t count)
{
    group_protocol_t *copy = mem_alloc(group_protocols_bytes(protocols, count) + 1);
    uint8_t *next = (uint8_t *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        bytes_t name = protocols[i].name, metadata = protocols[i].metadata;
        copy[i] = (group_protocol_t){bytes_of(next, name.len), bytes_of(next + name.len, metadata.len)};
        if (name.len) memcpy(next, name.ptr, name.len);
        if (metadata.len) memcpy(next + name.len, metadata.ptr, metadata.len);
        next += name.len + metadata.len;
    }
    return copy;
}

void group__drop_protocols(group_t *g, group_member_t *m)
{
    group__forget_reads(g);
    for (size_t i = 0; i < m->protocols_count; i++) {
        if (!group_protocols_repeat(m->protocols, i)) count_out(g, m->protocols[i].name);
    }
    g->kept_bytes -= group_protocols_bytes(m->protocols, m->protocols_count);
    mem_free(m->protocols);
    m->protocols = NULL;
    m->protocols_count = 0;
}

void group__set_protocols(group_t *g, group_member_t *m, const group_protocol_t *protocols, size_t count)
{
    group_protocol_t *copy = group_protocols_copy(protocols, count);
    group__drop_protocols(g, m);
    m->protocols = copy;
    m->protocols_count = count;
    g->kept_bytes += group_protocols_bytes(copy, count);
    for (size_t i = 0; i < count; i++) {
        if (!group_protocols_repeat(copy, i)) count_in(g, copy[i].name);
    }
}

bool group__all_know(const group_t *g, bytes_t protocol)
{
    const group_tally_t *tally = map_get(&g->tallies, protocol);
    return (tally ? tally->members : 0) == g->members_count;
}

/* ---- the vote --------------------------------------------------------------------------------------- */

static group_tally_t *vote_of(const group_t *g, const group_member_t *m, bytes_t *ret_name)
{
    for (size_t i = 0; i < m->protocols_count; i++) {
        group_tally_t *tally = map_get(&g->tallies, m->protocols[i].name);
        if (tally->members != g->members_count) continue;
        *ret_name = m->protocols[i].name;
        return tally;
    }
    UNREACHABLE(); /* nobody joins without a protocol that all know */
}

static void clear_votes(const group_t *g)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->tallies, &cursor));) ((group_tally_t *)e->value)->votes = 0;
}

/* Each member votes for the first of its protocols that all know; most votes win, then the oldest voter's. */
bytes_t group__select_protocol(const group_t *g)
{
    bytes_t best = BYTES_NULL, name;
    size_t best_votes = 0;
    clear_votes(g);
    LIST_EACH(&g->members, m, group_member_t, node) vote_of(g, m, &name)->votes++;
    LIST_EACH(&g->members, m, group_member_t, node) {
        const group_tally_t *tally = vote_of(g, m, &name);
        if (tally->votes <= best_votes) continue;
        best = name;
        best_votes = tally->votes;
    }
    return best;
}

void group__free_tallies(group_t *g)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&g->tallies, &cursor));) mem_free(e->value);
    map_deinit(&g->tallies);
}
