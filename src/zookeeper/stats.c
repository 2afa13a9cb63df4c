/* stats.c: what is counted about requests, for the four-letter words and /metrics. */
#include "zookeeper/zookeeper_internal.h"

void zk__latency_add(zk_latency_t *latency, uint64_t ns)
{
    latency->min_ns = latency->count == 0 ? ns : MIN(latency->min_ns, ns);
    latency->max_ns = MAX(latency->max_ns, ns);
    latency->total_ns += ns;
    latency->count++;
}

/* Latency by the loop's clock: what a request waited for the disk and for others, not the microseconds of its own turn. */
static void note_size(zookeeper_t *zk, int64_t bytes)
{
    zk->response_last = bytes;
    zk->response_max = MAX(zk->response_max, bytes);
    if (zk->response_min < 0 || bytes < zk->response_min) zk->response_min = bytes;
}

uint64_t zk__session_count(const zookeeper_t *zk, const coord_figures_t *figures)
{
    return figures->sessions - (coord_own_session(zk->coord) != 0 && figures->sessions > 0);
}

uint64_t zk__znode_count(const coord_figures_t *figures) { return figures->znodes + 1; }

void zk__note_reply(const zk_call_t *call, int64_t zxid, size_t bytes)
{
    zk_conn_t *conn = call->conn;
    zookeeper_t *zk = call->zookeeper;
    uint64_t took = io_now_ns(zk->loop) - call->started_ns;
    conn->sent++;
    zk->sent++;
    note_size(zk, (int64_t)bytes);
    conn->last_zxid = zxid;
    if (call->xid >= 0) conn->last_cxid = call->xid;
    conn->last_op = zk__op_short(call->type);
    conn->last_response_ms = io_wall_ms(zk->loop);
    conn->last_latency_ns = took;
    zk__latency_add(&conn->latency, took);
    zk__latency_add(&zk->latency, took);
    zk__latency_add(call->result != NULL ? &zk->update_latency : &zk->read_latency, took);
}

const char *zk__op_name(int32_t type)
{
    switch (type) {
#define X(NAME, opcode, kind, handler, name)                                                                           \
    case opcode: return name;
        ZK_OPERATION_MAP(X)
#undef X
    }
    return "unknown";
}

const char *zk__op_short(int32_t type)
{
    switch (type) {
    case ZK_OP_CREATE:
    case ZK_OP_CREATE2:
    case ZK_OP_CREATE_TTL:
    case ZK_OP_CREATE_CONTAINER: return "CREA";
    case ZK_OP_DELETE:
    case ZK_OP_DELETE_CONTAINER: return "DELE";
    case ZK_OP_EXISTS: return "EXIS";
    case ZK_OP_GET_DATA: return "GETD";
    case ZK_OP_SET_DATA: return "SETD";
    case ZK_OP_GET_ACL: return "GETA";
    case ZK_OP_SET_ACL: return "SETA";
    case ZK_OP_GET_CHILDREN:
    case ZK_OP_GET_CHILDREN2: return "GETC";
    case ZK_OP_GET_ALL_CHILDREN_NUMBER: return "GETACN";
    case ZK_OP_GET_EPHEMERALS: return "GETE";
    case ZK_OP_SYNC: return "SYNC";
    case ZK_OP_PING: return "PING";
    case ZK_OP_CHECK: return "CHEC";
    case ZK_OP_MULTI: return "MULT";
    case ZK_OP_MULTI_READ: return "MLTR";
    case ZK_OP_RECONFIG: return "RECO";
    case ZK_OP_CHECK_WATCHES: return "CHKW";
    case ZK_OP_REMOVE_WATCHES: return "REMW";
    case ZK_OP_SET_WATCHES: return "SETW";
    case ZK_OP_SET_WATCHES2: return "STW2";
    case ZK_OP_ADD_WATCH: return "ADDW";
    case ZK_OP_WHO_AM_I: return "HOMI";
    case ZK_OP_CLOSE_SESSION: return "CLOS";
    }
    return "NA";
}

/* ---- metrics ----------------------------------------------------------------------------------------------------------- */

static void gauge(buf_t *out, const char *name, double value)
{
    buf_printf(out, "# TYPE %s gauge\n%s %.10g\n", name, name, value);
}

static void counter(buf_t *out, const char *name, uint64_t value)
{
    buf_printf(out, "# TYPE %s counter\n%s %" PRIu64 "\n", name, name, value);
}

static void summary(buf_t *out, const char *name, uint64_t count, uint64_t total_ns)
{
    buf_printf(out, "# TYPE %s summary\n%s_count %" PRIu64 "\n%s_sum %.6f\n", name, name, count, name,
               (double)total_ns / 1e6);
}

void zookeeper_metrics(const zookeeper_t *zk, buf_t *out)
{
    coord_figures_t f;
    coord_figures(zk->coord, &f);
    gauge(out, "znode_count", (double)zk__znode_count(&f));
    gauge(out, "ephemerals_count", (double)f.ephemerals);
    gauge(out, "watch_count", (double)(f.watches[COORD_WATCH_DATA] + f.watches[COORD_WATCH_CHILDREN]));
    gauge(out, "approximate_data_size", (double)f.data_bytes);
    gauge(out, "global_sessions", (double)zk__session_count(zk, &f));
    gauge(out, "num_alive_connections", zk->conns_count);
    gauge(out, "outstanding_requests", (double)zk->outstanding);
    gauge(out, "quorum_size", f.voters);
    gauge(out, "avg_latency", zk->latency.count ? (double)zk->latency.total_ns / (double)zk->latency.count / 1e6 : 0);
    gauge(out, "min_latency", (double)zk->latency.min_ns / 1e6);
    gauge(out, "max_latency", (double)zk->latency.max_ns / 1e6);
    counter(out, "packets_received", zk->received);
    counter(out, "packets_sent", zk->sent);
    counter(out, "connection_rejected", zk->connection_rejected);
    counter(out, "snapshots_taken", f.snapshots);
    summary(out, "readlatency", zk->read_latency.count, zk->read_latency.total_ns);
    summary(out, "updatelatency", zk->update_latency.count, zk->update_latency.total_ns);
    summary(out, "fsynctime", f.syncs, f.sync_ns_total);
}
