/* conns.c: see conns.h. libmicrohttpd owns the connections; one is ended here by shutting its socket down, which
 * libmicrohttpd takes for the peer's end. Invariant: `count` is the length of the list. */
#include "http/conns.h"
#include "net/net.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <sys/socket.h>

#define FIRST_REQUEST_MS 10000 /* to be whole, from the beginning of the connection */
#define NEXT_REQUEST_MS  30000 /* from the end of the request before it */
#define SWEEP_MS         1000

typedef struct conn {
    list_t node;
    int fd;
    struct in6_addr address;
    uint64_t since_ms;
    bool asked; /* a request of it was whole */
    bool ended;
} conn_t;

static uint64_t now_ms(const http_conns_t *conns) { return io_now_ns(conns->loop) / 1000000; }

/* IPv4 addresses as they are written in IPv6. */
static struct in6_addr address_of(struct MHD_Connection *connection)
{
    struct in6_addr out = {0};
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *peer = info ? info->client_addr : NULL;
    if (peer && peer->sa_family == AF_INET6) {
        out = ((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;
    } else if (peer && peer->sa_family == AF_INET) {
        out.s6_addr[10] = out.s6_addr[11] = 0xff;
        memcpy(&out.s6_addr[12], &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    }
    return out;
}

bool http__conn_is_local(struct MHD_Connection *connection)
{
    struct in6_addr address = address_of(connection);
    char text[INET6_ADDRSTRLEN];
    return inet_ntop(AF_INET6, &address, text, sizeof(text)) && net_host_is_loopback(bytes_str(text));
}

static void end(conn_t *conn)
{
    if (!conn->ended) shutdown(conn->fd, SHUT_RDWR);
    conn->ended = true;
}

static uint32_t count_from(const http_conns_t *conns, const struct in6_addr *address)
{
    uint32_t count = 0;
    LIST_EACH(&conns->conns, conn, conn_t, node)
        count += !conn->ended && memcmp(&conn->address, address, sizeof(*address)) == 0;
    return count;
}

/* The list is short: a few dozen at most. */
static void evict_one(http_conns_t *conns)
{
    conn_t *chosen = NULL;
    uint32_t most = 0;
    LIST_EACH(&conns->conns, conn, conn_t, node) {
        uint32_t count = conn->ended ? 0 : count_from(conns, &conn->address);
        if (count <= most) continue;
        most = count;
        chosen = conn;
    }
    if (!chosen) return;
    conns->evicted++;
    end(chosen);
}

static uint32_t count_alive(const http_conns_t *conns)
{
    uint32_t count = 0;
    LIST_EACH(&conns->conns, conn, conn_t, node) count += !conn->ended;
    return count;
}

static void sweep(io_timer_t *timer)
{
    http_conns_t *conns = CONTAINER_OF(timer, http_conns_t, sweep);
    uint64_t now = now_ms(conns);
    LIST_EACH(&conns->conns, conn, conn_t, node) {
        if (conn->ended || now - conn->since_ms < (conn->asked ? NEXT_REQUEST_MS : FIRST_REQUEST_MS)) continue;
        conns->late++;
        end(conn);
    }
    if (conns->count) io_timer_start(timer, SWEEP_MS, 0);
}

void http__conns_init(http_conns_t *conns, io_loop_t *loop, uint32_t count_max)
{
    *conns = (http_conns_t){.loop = loop, .count_max = count_max};
    list_init(&conns->conns);
    io_timer_init(loop, &conns->sweep, sweep);
}

void http__conns_deinit(http_conns_t *conns)
{
    ASSERT(conns->count == 0);
    io_timer_stop(&conns->sweep);
}

void http__conn_opened(http_conns_t *conns, struct MHD_Connection *connection, void **slot)
{
    if (count_alive(conns) >= conns->count_max) evict_one(conns);
    conn_t *conn = mem_zalloc(sizeof(*conn));
    conn->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    conn->address = address_of(connection);
    conn->since_ms = now_ms(conns);
    list_push_back(&conns->conns, &conn->node);
    conns->count++;
    if (!conns->sweep.due_ns) io_timer_start(&conns->sweep, SWEEP_MS, 0);
    *slot = conn;
}

void http__conn_closed(http_conns_t *conns, void **slot)
{
    conn_t *conn = *slot;
    list_remove(&conn->node);
    conns->count--;
    mem_free(conn);
    *slot = NULL;
}

void http__conn_asked(http_conns_t *conns, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    conn_t *conn = info->socket_context;
    conn->asked = true;
    conn->since_ms = now_ms(conns);
}
