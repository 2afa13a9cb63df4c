/* budget.c: what all connections together hold: unfinished input, and unsent output in memory. When a budget is exceeded the
 * greediest connection is closed, then the next, until the rest is within it.
 *
 * What the greediest alone holds counts only beyond `alone_bytes_max`: one client may send its one huge value, or be sent
 * one, as far as its protocol goes; many at once may not.
 *
 * Invariant: budget->bytes is the sum of conn->counted over all connections that are not dead; a dead one counts 0 although
 * its memory lives until the turn's end. */
#include "net/net_internal.h"

#define UNKNOWN_BYTES SIZE_MAX /* greediest_bytes: who it is must be looked up */

void net__budgets_init(net_t *net)
{
    for (int kind = 0; kind < NET_BUDGETS_COUNT; kind++)
        net->budgets[kind] = (net_budget_t){.bytes_max = SIZE_MAX, .greediest_bytes = UNKNOWN_BYTES};
}

static void find_greediest(net_t *net, net_budget_kind_t kind)
{
    net_budget_t *budget = &net->budgets[kind];
    budget->greediest = NULL;
    budget->greediest_bytes = 0;
    LIST_EACH(&net->conns, conn, net_conn_t, all_node) {
        if (conn->counted[kind] <= budget->greediest_bytes) continue;
        budget->greediest = conn;
        budget->greediest_bytes = conn->counted[kind];
    }
}

static void shed(net_conn_t *conn, net_budget_kind_t kind)
{
    net_t *net = conn->net;
    size_t bytes = conn->counted[kind];
    net->budgets[kind].shed++;
    net__tell(net, kind == NET_INPUT ? NET_EVENT_INPUT_BUDGET : NET_EVENT_OUTPUT_BUDGET, conn, bytes);
    net__kill(conn);
}

static void enforce(net_t *net, net_budget_kind_t kind)
{
    net_budget_t *budget = &net->budgets[kind];
    for (;;) {
        if (budget->greediest_bytes == UNKNOWN_BYTES) find_greediest(net, kind);
        if (!budget->greediest) return;
        if (budget->bytes - MIN(budget->greediest_bytes, budget->alone_bytes_max) <= budget->bytes_max) return;
        shed(budget->greediest, kind);
    }
}

void net__count(net_conn_t *conn, net_budget_kind_t kind, size_t bytes)
{
    net_budget_t *budget = &conn->net->budgets[kind];
    size_t before = conn->counted[kind];
    if (conn->state >= CONN_DEAD) bytes = 0;
    if (bytes == before) return;
    budget->bytes += bytes - before;
    conn->counted[kind] = bytes;
    if (bytes < before) {
        if (budget->greediest == conn) {
            budget->greediest = NULL;
            budget->greediest_bytes = UNKNOWN_BYTES;
        }
        return;
    }
    if (budget->greediest == conn || bytes > budget->greediest_bytes) {
        budget->greediest = conn;
        budget->greediest_bytes = bytes;
    }
    if (UNLIKELY(budget->bytes > budget->bytes_max)) enforce(conn->net, kind);
}

bool net__pressed(const net_t *net)
{
    const net_budget_t *budget = &net->budgets[NET_OUTPUT];
    return budget->bytes > budget->bytes_max / 2;
}
