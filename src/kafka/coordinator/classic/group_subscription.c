/* group_subscription.c: which topics the members of a classic group read, as far as their subscriptions tell. Looked up
 * once a change of members or protocol and kept: expiry and deletion ask for each topic that the group has offsets of. */
#include "kafka/coordinator/classic/group_internal.h"

/* The start that all versions of the consumer's subscription share: version i16, topics i32 × (i16 length,
 * name). False when it is malformed: then nobody knows what the member reads. */
static bool add_topics(group_t *g, bytes_t metadata)
{
    if (metadata.len < 6) return false;
    int32_t count = (int32_t)load_be32(metadata.ptr + 2);
    size_t at = 6;
    for (int32_t i = 0; i < count; i++) {
        if (metadata.len - at < 2) return false;
        size_t len = load_be16(metadata.ptr + at);
        at += 2;
        if (metadata.len - at < len) return false;
        map_put(&g->reads, bytes_of(metadata.ptr + at, len), g);
        at += len;
    }
    return true;
}

void group__forget_reads(group_t *g)
{
    map_deinit(&g->reads);
    g->reads = MAP_INIT;
    g->reads_known = g->reads_all = false;
}

static void look_up(group_t *g)
{
    group__forget_reads(g);
    g->reads_known = true;
    g->reads_all = !g->protocol_name.ptr; /* members, but no protocol yet */
    LIST_EACH(&g->members, m, group_member_t, node) {
        if (g->reads_all) return;
        bytes_t metadata = group_member_metadata(m, g->protocol_name);
        if (metadata.ptr && !add_topics(g, metadata)) g->reads_all = true;
    }
}

bool group_subscribed(group_t *g, bytes_t topic)
{
    if (!bytes_eq(g->protocol_type, BYTES_LIT("consumer")) || list_empty(&g->members)) return false;
    if (!g->reads_known) look_up(g);
    return g->reads_all || map_get(&g->reads, topic);
}
