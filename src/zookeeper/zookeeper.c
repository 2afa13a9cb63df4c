/* zookeeper.c: the wing's life. */
#include "zookeeper/zookeeper_internal.h"

#define OUT_BYTES_HIGH     MIB(1)
#define HANDSHAKE_MS       10000
#define TRACE_MASK_DEFAULT 306
#define FRAME_MS           60000
#define OUT_BYTES_MAX      MIB(64) /* a client that reads nothing while watches fire; a reply may be larger than a frame */

zookeeper_t *zookeeper_new(io_loop_t *loop, net_t *net, coord_t *coord, const zookeeper_config_t *config)
{
    zookeeper_t *zk = mem_zalloc(sizeof(*zk));
    zk->loop = loop;
    zk->net = net;
    zk->coord = coord;
    zk->started_ns = io_now_ns(loop);
    zk->trace_mask = TRACE_MASK_DEFAULT;
    zk->response_last = zk->response_min = zk->response_max = -1;
    zookeeper_config_copy(&zk->config, config);
    list_init(&zk->conns);
    list_init(&zk->cache);
    list_init(&zk->unfinished);
    list_init(&zk->leaving);
    io_timer_init(loop, &zk->leaving_timer, zk__leaving_run);
    io_timer_init(loop, &zk->unfinished_timer, zk__unfinished_run);
    arena_init(&zk->arena, ZK_REQUEST_ARENA_BYTES_MAX);
    zk->service = (net_service_t){
        .name = "zookeeper",
        .on_open = zk__on_open,
        .on_data = zk__on_data,
        .on_close = zk__on_close,
        .limits = {.in_bytes_max = (size_t)zk->config.frame_bytes_max + ZK_FRAME_HEAD_BYTES,
                   .out_bytes_high = OUT_BYTES_HIGH,
                   .out_bytes_max = OUT_BYTES_MAX,
                   .handshake_ms = HANDSHAKE_MS,
                   .frame_ms = FRAME_MS,
                   .conns_max = zk->config.conns_max > 0 ? (uint32_t)zk->config.conns_max : UINT32_MAX},
    };
    coord_session_listen(coord, zk__session_closed, zk);
    return zk;
}

static int listen_at(zookeeper_t *zk, const char *host, uint16_t port, bool is_secure, uint16_t *ret_port)
{
    net_listener_t *net;
    int err = net_listen(zk->net, host, port, &zk->service, zk, &net);
    if (err) return err;
    zk->listeners = mem_realloc(zk->listeners, (size_t)(zk->listeners_count + 1) * sizeof(*zk->listeners));
    zk->listeners[zk->listeners_count] = (zk_listener_t){net, is_secure};
    zk__present(zk, &zk->listeners[zk->listeners_count++]);
    *ret_port = net_listener_port(net);
    return 0;
}

int zookeeper_listen(zookeeper_t *zk, const char *host, uint16_t port, uint16_t *ret_port)
{
    int err = listen_at(zk, host, port, false, ret_port);
    if (!err) zk->port = *ret_port;
    return err;
}

int zookeeper_listen_secure(zookeeper_t *zk, const char *host, uint16_t port)
{
    uint16_t bound;
    return listen_at(zk, host, port, true, &bound);
}

/* What ties a connection to the tree goes now: the tree may be closed before the net calls on_close. */
static void close_conn(void *user, net_conn_t *net)
{
    zookeeper_t *zk = user;
    zk_conn_t *conn = net_conn_user(net);
    if (conn) {
        coord_watcher_deinit(zk->coord, &conn->watcher);
        zk__requests_abandon(conn);
        conn->closing = true;
    }
    net_close_now(net);
}

void zookeeper_stop(zookeeper_t *zk)
{
    if (zk->stopping) return;
    zk->stopping = true;
    io_timer_stop(&zk->unfinished_timer);
    zk__leaving_end(zk);
    for (int i = 0; i < zk->listeners_count; i++) net_listener_close(zk->listeners[i].net);
    zk->listeners_count = 0;
    coord_session_listen(zk->coord, NULL, NULL);
    net_each(zk->net, &zk->service, close_conn, zk);
}

/* After the coord answered or dropped what was under way, and the net closed its connections. */
void zookeeper_free(zookeeper_t *zk)
{
    zookeeper_stop(zk);
    ASSERT(zk->conns_count == 0 && zk->outstanding == 0 && list_empty(&zk->unfinished));
    while (!list_empty(&zk->cache)) {
        zk_request_t *request = LIST_FIRST(&zk->cache, zk_request_t, node);
        list_remove(&request->node);
        mem_free(request);
    }
    map_deinit(&zk->by_session);
    mem_free(zk->listeners);
    tls_context_unref(zk->tls);
    arena_deinit(&zk->arena);
    zookeeper_config_deinit(&zk->config);
    mem_free(zk);
}
