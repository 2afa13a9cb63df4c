/* request.c: the order of things. Frames become calls of op_… handlers: reads at once or in their turn, writes when they
 * were applied. See zookeeper_internal.h for the rule. */
#include "zookeeper/zookeeper_internal.h"

typedef enum op_kind { OP_UNKNOWN, OP_PART, OP_WRITE, OP_READ, OP_SESSION } op_kind_t;

typedef struct op {
    op_kind_t kind;
    zk_handler_t handle;
    const char *turn_note;
} op_t;

static op_t op_of(int32_t type)
{
    switch (type) {
#define X(NAME, opcode, kind, handler, name)                                                                           \
    case opcode: return (op_t){OP_##kind, zk__op_##handler, "zookeeper " name};
        ZK_OPERATION_MAP(X)
#undef X
    }
    return (op_t){OP_UNKNOWN, NULL, NULL};
}

/* ---- requests that wait ---------------------------------------------------------------------------------------------- */

static void resume(zk_conn_t *conn)
{
    if (!conn->throttled && !conn->reads_full && !list_linked(&conn->unfinished_node)) net_resume(conn->net);
}

static void throttle(zk_conn_t *conn)
{
    zookeeper_t *zk = conn->zookeeper;
    if (zk->outstanding <= (uint64_t)zk->config.outstanding_max || conn->throttled || !conn->connected) return;
    conn->throttled = true;
    zk->throttling = true;
    net_pause(conn->net);
}

static void unthrottle(zookeeper_t *zk)
{
    if (!zk->throttling || zk->outstanding > (uint64_t)zk->config.outstanding_max / 2) return;
    zk->throttling = false;
    LIST_EACH(&zk->conns, conn, zk_conn_t, node) {
        if (!conn->throttled) continue;
        conn->throttled = false;
        resume(conn);
    }
}

zk_request_t *zk__request_new(zk_conn_t *conn, int32_t xid, int32_t type)
{
    zookeeper_t *zk = conn->zookeeper;
    zk_request_t *request = LIST_FIRST(&zk->cache, zk_request_t, node);
    if (request) {
        list_remove(&request->node);
        zk->cache_count--;
    } else {
        request = mem_alloc(sizeof(*request));
    }
    *request =
        (zk_request_t){.conn = conn, .zookeeper = zk, .xid = xid, .type = type, .started_ns = io_now_ns(zk->loop)};
    list_push_back(&conn->requests, &request->node);
    conn->pending++;
    zk->outstanding++;
    throttle(conn);
    return request;
}

void zk__request_free(zk_request_t *request)
{
    zookeeper_t *zk = request->zookeeper;
    ASSERT(zk->outstanding > 0 && (request->conn == NULL || request->conn->pending > 0));
    if (request->conn) {
        list_remove(&request->node);
        request->conn->pending--;
    }
    zk->outstanding--;
    mem_free(request->body);
    mem_free(request->path);
    zk__listing_free(zk, request->listing);
    if (zk->cache_count < ZK_REQUESTS_CACHED_MAX && !zk->stopping) {
        list_push_front(&zk->cache, &request->node);
        zk->cache_count++;
    } else {
        mem_free(request);
    }
    unthrottle(zk);
}

/* The connection is gone: reads go with it, writes are on their way and come back to nobody. */
void zk__requests_abandon(zk_conn_t *conn)
{
    LIST_EACH(&conn->requests, request, zk_request_t, node) {
        if (!request->write.done) {
            zk__request_free(request);
            continue;
        }
        list_remove(&request->node);
        request->conn = NULL;
    }
    conn->pending = conn->reads_waiting = 0;
}

/* ---- calls ----------------------------------------------------------------------------------------------------------- */

static void call(const zk_call_t *c)
{
    zookeeper_t *zk = c->zookeeper;
    op_t op = op_of(c->type);
    arena_reset(&zk->arena);
    io_turn_note(zk->loop, op.turn_note);
    if (c->result && c->result->err == ZCONNECTION_LOSS) {
        zk__conn_close(c->conn); /* nobody knows what became of it */
        return;
    }
    if (op.kind == OP_WRITE && !c->result)
        zk__reply_err(c, ZMARSHALLING_ERROR); /* it was never proposed */
    else
        op.handle(c);
}

/* The read at the head; true when it was answered. */
static bool run_read(zk_conn_t *conn, zk_request_t *request, bool hurry)
{
    uint32_t before = request->progress.turns;
    zk_call_t c = {.zookeeper = conn->zookeeper,
                   .conn = conn,
                   .xid = request->xid,
                   .type = request->type,
                   .body = bytes_of(request->body, request->body_bytes),
                   .started_ns = request->started_ns,
                   .progress = &request->progress,
                   .listing = &request->listing,
                   .hurry = hurry};
    ASSERT(!request->write.done && conn->reads_waiting > 0);
    call(&c);
    if (request->progress.turns != before) return false;
    conn->reads_waiting--;
    zk__request_free(request);
    return true;
}

/* No request is taken until then: a write among them would be applied before the read is done. */
static void go_on_later(zk_conn_t *conn)
{
    zookeeper_t *zk = conn->zookeeper;
    net_pause(conn->net);
    if (!list_linked(&conn->unfinished_node)) list_push_back(&zk->unfinished, &conn->unfinished_node);
    io_timer_start(&zk->unfinished_timer, 0, 0);
}

/* Answers the reads that now stand at the head; true when one of them takes more than this turn. */
static bool run_reads(zk_conn_t *conn)
{
    bool unfinished = false;
    while (!list_empty(&conn->requests) && !unfinished) {
        zk_request_t *request = LIST_FIRST(&conn->requests, zk_request_t, node);
        if (request->write.done) break;
        unfinished = !run_read(conn, request, false);
    }
    if (unfinished) go_on_later(conn);
    if (conn->reads_full && conn->reads_waiting < ZK_READS_WAITING_MAX) {
        conn->reads_full = false;
        resume(conn);
    }
    return unfinished;
}

/* A slice for the connection that has waited longest, until it is through: of all that take long one alone holds memory that
 * nobody counts. */
void zk__unfinished_run(io_timer_t *timer)
{
    zookeeper_t *zk = CONTAINER_OF(timer, zookeeper_t, unfinished_timer);
    zk_conn_t *conn = LIST_FIRST(&zk->unfinished, zk_conn_t, unfinished_node);
    if (conn && !coord_is_applying(zk->coord) && !run_reads(conn)) {
        list_remove(&conn->unfinished_node);
        resume(conn);
    }
    if (!list_empty(&zk->unfinished)) io_timer_start(timer, 0, 0);
}

static void applied(coord_write_t *write, const coord_result_t *result)
{
    zk_request_t *request = CONTAINER_OF(write, zk_request_t, write);
    zk_conn_t *conn = request->conn;
    if (!conn) {
        zk__request_free(request);
        return;
    }
    while (conn->requests.next != &request->node) { /* a read that takes more than one turn must be answered first */
        bool answered = run_read(conn, LIST_FIRST(&conn->requests, zk_request_t, node), true);
        ASSERT(answered);
    }
    zk_call_t c = {.zookeeper = conn->zookeeper,
                   .conn = conn,
                   .xid = request->xid,
                   .type = request->type,
                   .result = result,
                   .path = request->path,
                   .started_ns = request->started_ns};
    call(&c);
    zk__request_free(request);
    (void)run_reads(conn);
}

static void propose(zk_conn_t *conn, int32_t xid, int32_t type, bytes_t body)
{
    zk_request_t *request = zk__request_new(conn, xid, type);
    if (type == ZK_OP_CLOSE_SESSION) conn->closing = true;
    coord_write(conn->zookeeper->coord, &request->write, type, conn->session_id, zk__who(conn), body, applied);
}

/* sync answers with the path it was given, after all that was proposed before it. */
static void propose_sync(zk_conn_t *conn, int32_t xid, bytes_t body)
{
    zk_request_t *request = zk__request_new(conn, xid, ZK_OP_SYNC);
    request->path = mem_alloc(body.len + 1);
    memcpy(request->path, body.ptr, body.len);
    coord_sync(conn->zookeeper->coord, &request->write, applied);
}

static zk_request_t *queue_read(zk_conn_t *conn, int32_t xid, int32_t type, bytes_t body)
{
    zk_request_t *request = zk__request_new(conn, xid, type);
    request->body = mem_alloc(body.len + 1);
    request->body_bytes = body.len;
    memcpy(request->body, body.ptr, body.len);
    if (++conn->reads_waiting < ZK_READS_WAITING_MAX) return request;
    conn->reads_full = true;
    net_pause(conn->net);
    return request;
}

static void read_now(zk_conn_t *conn, int32_t xid, int32_t type, bytes_t body)
{
    zk_progress_t progress = {0};
    struct zk_listing *listing = NULL;
    zk_call_t c = {.zookeeper = conn->zookeeper,
                   .conn = conn,
                   .xid = xid,
                   .type = type,
                   .body = body,
                   .started_ns = io_now_ns(conn->zookeeper->loop),
                   .progress = &progress,
                   .listing = &listing};
    call(&c);
    if (progress.turns == 0) return;
    zk_request_t *request = queue_read(conn, xid, type, body);
    request->progress = progress;
    request->listing = listing;
    go_on_later(conn);
}

/* As the original: told with zxid -1, then closed. */
static void refuse_unknown(zk_conn_t *conn, int32_t xid)
{
    uint8_t *frame = net_reserve(conn->net, ZK_REPLY_HEAD_BYTES);
    zk_reply_header_t header = {xid, -1, ZUNIMPLEMENTED};
    store_be32(frame, ZK_REPLY_HEAD_BYTES - ZK_FRAME_HEAD_BYTES);
    zk_reply_header_put(frame + ZK_FRAME_HEAD_BYTES, &header);
    net_commit(conn->net, ZK_REPLY_HEAD_BYTES);
    zk__conn_close(conn);
}

static bool sync_body_valid(bytes_t body)
{
    zk_path_request_t request;
    jute_reader_t r = jute_reader(body, NULL);
    zk_path_request_get(&r, &request);
    return !r.bad;
}

static bool decodes(zookeeper_t *zk, int32_t type, bytes_t body)
{
    arena_reset(&zk->arena);
    return coord_write_decodes(type, body, &zk->arena);
}

bool zk__request(zk_conn_t *conn, bytes_t frame)
{
    zk_request_header_t header;
    jute_reader_t r = jute_reader(frame, NULL);
    zk_request_header_get(&r, &header);
    if (r.bad) return false;
    bytes_t body = bytes_of(r.at, jute_left(&r));
    op_t op = op_of(header.type);
    if (op.kind == OP_UNKNOWN || op.kind == OP_PART || header.type == ZK_OP_CREATE_SESSION) {
        refuse_unknown(conn, header.xid);
    } else if (op.kind == OP_WRITE && decodes(conn->zookeeper, header.type, body)) {
        propose(conn, header.xid, header.type, body);
    } else if (header.type == ZK_OP_SYNC && sync_body_valid(body)) {
        propose_sync(conn, header.xid, body);
    } else if (op.kind != OP_SESSION && conn->pending > 0) {
        (void)queue_read(conn, header.xid, header.type, body);
    } else {
        read_now(conn, header.xid, header.type, body);
    }
    return true;
}
