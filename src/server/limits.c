/* limits.c: what all connections together may take: memory for unfinished input and unsent output, descriptors; and who may
 * connect at all. Derives what nobody has set, tells the log what was closed because of it, and shows it as metrics. */
#include "server/server_internal.h"

#include "base/slog.h"

#include <stdio.h>

#define MEMORY_SHARE     16 /* one byte in so many is for unfinished input, and one for unsent output */
#define BUDGET_BYTES_MIN MIB(64)
#define BUDGET_BYTES_MAX MIB(512)
#define ALONE_SHARE      4 /* one connection's huge value may take one byte in so many */
#define CONTROL_SHARE    8 /* of that, one byte in so many is for control's connections */
#define CONNS_MIN        8
#define EVENT_EVERY_NS   1000000000ull

/* ---- what is not set is derived ---------------------------------------------------------------------------------- */

static size_t budget_of(uint64_t memory_bytes)
{
    return (size_t)MIN(MAX(memory_bytes / MEMORY_SHARE, BUDGET_BYTES_MIN), BUDGET_BYTES_MAX);
}

/* What files and the server itself leave of the descriptors. HTTP has its few beside these. */
static uint32_t conns_of(uint32_t descriptors_max)
{
    uint32_t left = descriptors_max - io_descriptors_for_files(descriptors_max);
    uint32_t own = IO_DESCRIPTORS_OWN + http_conns_max(descriptors_max);
    return left > own + CONNS_MIN ? left - own : CONNS_MIN;
}

static void derive(server__limits_t *limits)
{
    uint64_t memory_bytes = io_memory_bytes();
    if (!limits->in_bytes_max) limits->in_bytes_max = budget_of(memory_bytes);
    if (!limits->out_bytes_max) limits->out_bytes_max = budget_of(memory_bytes);
    if (!limits->conns_max) limits->conns_max = conns_of(io_descriptors_max());
    limits->alone_bytes_max = (size_t)(memory_bytes / ALONE_SHARE);
}

/* ---- what befell connections ------------------------------------------------------------------------------------- */

static const char *const event_texts[NET_EVENTS_COUNT] = {
    [NET_EVENT_CONNS_MAX] = "refused a connection: all protocols together have trivet.connections-max of them",
    [NET_EVENT_SERVICE_CONNS_MAX] = "refused a connection: the protocol has as many as it may",
    [NET_EVENT_REFUSED] = "refused a connection: its address or its protocol has as many as it may",
    [NET_EVENT_NO_DESCRIPTOR] = "refused a connection: no file descriptor is left; raise the limit of open files",
    [NET_EVENT_NO_MEMORY] = "closed a connection: there is no memory for its request",
    [NET_EVENT_INPUT_BUDGET] = "closed the connection with the most unfinished input: all together passed "
                               "trivet.input-bytes-max",
    [NET_EVENT_OUTPUT_BUDGET] = "closed the connection with the most unread output: all together passed "
                                "trivet.output-bytes-max",
    [NET_EVENT_HANDSHAKE_LATE] = "closed a connection that did not say who it is in time",
    [NET_EVENT_FRAME_LATE] = "closed a connection that stopped in the middle of a request",
    [NET_EVENT_TLS_FAILED] = "closed a connection: TLS failed",
    [NET_EVENT_STRANGER] = "refused a stranger: there are no users yet, so only this machine is served; "
                           "protected-mode no, of [trivet] or of the protocol, lets everybody in",
};

/* One line a second of each kind: a flood of connections must not become one of log lines. */
static void on_event(void *user, net_event_t event, const char *service, const char *peer, size_t bytes,
                     const char *why)
{
    server__reactor_t *reactor = user;
    server__event_line_t *line = &reactor->lines[event];
    uint64_t now_ns = io_now_ns(reactor->loop);
    if (line->at_ns && now_ns - line->at_ns < EVENT_EVERY_NS) {
        line->unsaid++;
        return;
    }
    if (why)
        slog(SLOG_WARN, service, event_texts[event], "peer=%s why=\"%s\" others_unsaid=%" PRIu64, peer, why,
             line->unsaid);
    else
        slog(SLOG_WARN, service, event_texts[event], "peer=%s bytes=%zu others_unsaid=%" PRIu64, peer, bytes,
             line->unsaid);
    line->at_ns = now_ns;
    line->unsaid = 0;
}

/* ---- strangers --------------------------------------------------------------------------------------------------- */

/* Redis protects itself: it may have a password. */
static const server_door_t protected_doors[] = {DOOR_KAFKA, DOOR_ZOOKEEPER, DOOR_HTTP};

static bool bound_beyond_loopback(const server_t *server, server_door_t door)
{
    const char *list = server->doors[door].bind ? server->doors[door].bind : server->bind;
    while (*list) {
        size_t len = strcspn(list, " ,");
        bytes_t address = bytes_of(list, len);
        if (len && list[0] == '-') address = bytes_of(list + 1, len - 1);
        if (len && !net_host_is_loopback(address) && !bytes_eq(address, BYTES_LIT("localhost"))) return true;
        list += len + (list[len] != '\0');
    }
    return false;
}

bool server_refuses_strangers(const server_t *server, server_door_t door)
{
    return door != DOOR_REDIS && server->doors[door].bound_port >= 0 && server->doors[door].protected &&
           bound_beyond_loopback(server, door);
}

bool server_lets_strangers_in(const server_t *server, server_door_t door)
{
    return door != DOOR_REDIS && server->doors[door].bound_port >= 0 && !server->doors[door].protected &&
           bound_beyond_loopback(server, door);
}

void server__say_strangers(const server_t *server)
{
    for (size_t i = 0; i < ARRAY_LEN(protected_doors); i++) {
        server_door_t door = protected_doors[i];
        const char *name = server_door_names[door];
        if (server_refuses_strangers(server, door))
            slog(SLOG_WARN, name, "bound beyond loopback without a password: strangers are refused",
                 "hint=\"%s.protected-mode no lets everybody in\"", name);
        if (server_lets_strangers_in(server, door))
            slog(SLOG_WARN, name, "bound beyond loopback without a password: everybody who reaches the port may use it",
                 "setting=protected-mode");
    }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Of the memory: control's connections, ZooKeeper's, have small frames. */
static size_t share_of(const server_t *server, int reactor, size_t bytes)
{
    if (server->reactors_made == 1) return bytes;
    return reactor == 0 ? bytes / CONTROL_SHARE : (bytes - bytes / CONTROL_SHARE) / (size_t)(server->reactors_made - 1);
}

void server__limits_start(server_t *server)
{
    server__limits_t *limits = &server->limits;
    derive(limits);
    for (int i = 0; i < server->reactors_made; i++) {
        net_t *net = server->reactors[i].net;
        net_bounds_t bounds = {share_of(server, i, limits->in_bytes_max), share_of(server, i, limits->out_bytes_max),
                               limits->alone_bytes_max, limits->conns_max};
        net_set_bounds(net, &bounds);
        net_on_event(net, on_event, &server->reactors[i]);
        if (i > 0) net_share_count(net, server->reactors[0].net);
    }
    for (size_t i = 0; i < ARRAY_LEN(protected_doors); i++)
        if (server->doors[protected_doors[i]].protected)
            net_protect(server__reactor_of(server, protected_doors[i])->net, server_door_names[protected_doors[i]]);
}

static void bound(buf_t *out, const char *name, uint64_t value)
{
    buf_printf(out, "# TYPE trivet_%s gauge\ntrivet_%s %" PRIu64 "\n", name, name, value);
}

/* Control's part names the bounds, each reactor what its connections hold. */
void server__limits_metrics(const server_t *server, const server__reactor_t *reactor, buf_t *out)
{
    net_totals_t totals = net_totals(reactor->net);
    if (reactor == &server->reactors[0]) {
        bound(out, "connections_max", server->limits.conns_max);
        bound(out, "input_bytes_max", server->limits.in_bytes_max);
        bound(out, "output_bytes_max", server->limits.out_bytes_max);
    }
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"connections", totals.conns},
        {"input_bytes", totals.in_bytes},
        {"output_bytes", totals.out_bytes},
        {"connections_closed_for_input_total", totals.in_shed},
        {"connections_closed_for_output_total", totals.out_shed},
        {"connections_closed_late_total", totals.late},
        {"connections_without_descriptor_total", totals.no_descriptor},
        {"connections_closed_without_memory_total", totals.no_memory},
        {"strangers_refused_total", totals.strangers},
        {"tls_handshakes_total", totals.tls_handshakes},
        {"tls_failed_total", totals.tls_failed},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        buf_printf(out, "trivet_%s{reactor=\"%s\"} %" PRIu64 "\n", rows[i].name, reactor->name, rows[i].value);
}
