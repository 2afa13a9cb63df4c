/* zookeeper_fuzz.c: a client that sends anything, against the whole wing in the simulator. The input's first byte says how:
 *
 *   0, 1 mod 4   a handshake, then the rest as requests of {operation u8, body's length u8, body}
 *   2 mod 4      a handshake, then the rest as it is
 *   3 mod 4      the rest as it is, from the first byte on
 *
 * What well-framed requests get must be whole frames, one a request, in order, and none may stay unanswered while the connection
 * is open.
 *
 * One server serves all inputs: to start one takes longer than to answer a hundred requests, and its many branches would be
 * counted as the input's. After each input its session is ended and what it made is deleted, and the server is replaced when
 * that does not bring back what was there (the roots' own data and rights), or has been done WORLD_INPUTS_MAX times. */
#include "base/buf.h"
#include "coord/session.h"
#include "io/sim.h"
#include "zk_records.h"
#include "zookeeper/zookeeper.h"

#include <stdio.h>

#define WORLD_INPUTS_MAX 10000 /* bounds the log on the simulated disk */
#define SETTLE_MS_MAX    1000
#define SESSIONS_MAX     64
#define NODES_MAX        4096
#define REPLY_HEAD_BYTES 16
#define REQUESTS_MAX     1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Session operations, unknown ones and those that are only parts of others are answered at once, all others in turn. */
typedef enum op_kind { WRITE, READ, SESSION, PART = SESSION } op_kind_t;

typedef struct op {
    int32_t type;
    op_kind_t kind;
} op_t;

static const op_t ops_known[] = {
#define X(NAME, opcode, kind, handler, name) {opcode, kind},
    ZK_OPERATION_MAP(X)
#undef X
        {99, SESSION}};

static const char *const roots[] = {"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"};

typedef struct world {
    sim_t *sim;
    io_loop_t *server_loop, *client_loop;
    zookeeper_config_t config;
    coord_t *coord;
    net_t *net;
    zookeeper_t *zookeeper;
    int inputs;
    coord_stat_t roots[ARRAY_LEN(roots)]; /* as they were at the start */
} world_t;

/* ---- the server ------------------------------------------------------------------------------------------------------ */

static coord_stat_t root_stat(const world_t *w, size_t i)
{
    bytes_t data;
    coord_stat_t stat;
    if (coord_get(w->coord, roots[i], &data, &stat) != ZOK) __builtin_trap();
    return stat;
}

static void world_start(world_t *w)
{
    static const sim_net_faults_t net = {.delay_us_max = 1};
    static const sim_disk_faults_t disk = {.capacity_bytes = MIB(1024)};
    coord_options_t options = coord_options_default;
    *w = (world_t){.sim = sim_new(1)};
    sim_node_t *node = sim_node_new(w->sim, "10.0.0.1");
    w->server_loop = sim_node_loop(node);
    w->client_loop = sim_node_loop(sim_node_new(w->sim, "10.0.0.2"));
    sim_set_net_faults(w->sim, &net);
    sim_node_set_disk_faults(node, &disk);
    zookeeper_config_init(&w->config);
    zookeeper_config_coord(&w->config, &options);
    options.dir = "/data/coord";
    options.extended_types = true;
    if (coord_open(w->server_loop, &options, &w->coord) != 0) __builtin_trap();
    sim_run_for(w->sim, 1);
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) w->roots[i] = root_stat(w, i);
    w->net = net_new(w->server_loop);
    w->zookeeper = zookeeper_new(w->server_loop, w->net, w->coord, &w->config);
    uint16_t port;
    if (zookeeper_listen(w->zookeeper, "10.0.0.1", 2181, &port)) __builtin_trap();
}

static void world_stop(world_t *w)
{
    zookeeper_stop(w->zookeeper);
    coord_close(w->coord);
    net_free(w->net);
    zookeeper_free(w->zookeeper);
    zookeeper_config_deinit(&w->config);
    sim_free(w->sim);
    w->sim = NULL;
}

/* ---- the client ------------------------------------------------------------------------------------------------------ */

typedef struct client {
    io_stream_t *stream;
    buf_t in;
    bool ended;
    bool framed;
    bool greeted;
    int32_t sent, answers; /* requests, whose xids count from 1, and replies */
    int32_t answered;      /* the last of those that wait their turn */
    struct {
        op_kind_t kind;
        bool answered;
    } requests[REQUESTS_MAX + 1];
} client_t;

static void check_frame(client_t *c, bytes_t frame)
{
    if (!c->greeted) {
        c->greeted = true;
        return;
    }
    if (frame.len < REPLY_HEAD_BYTES) __builtin_trap();
    int32_t xid = (int32_t)load_be32(frame.ptr);
    if (xid == -1) return; /* a watch event */
    if (xid < 1 || xid > c->sent || c->requests[xid].answered) __builtin_trap();
    c->requests[xid].answered = true;
    c->answers++;
    if (c->requests[xid].kind == SESSION) return;
    if (xid < c->answered) __builtin_trap();
    c->answered = xid;
}

static void check_frames(client_t *c)
{
    while (c->in.len >= 4) {
        size_t bytes = load_be32(c->in.ptr);
        if (bytes > MIB(64)) __builtin_trap();
        if (c->in.len - 4 < bytes) return;
        check_frame(c, bytes_of(c->in.ptr + 4, bytes));
        buf_consume(&c->in, 4 + bytes);
    }
}

/* A stream at its end stays readable: heard of once. */
static void on_ready(void *user, unsigned events)
{
    static uint8_t bytes[65536];
    client_t *c = user;
    ssize_t n;
    while ((n = io_stream_read(c->stream, bytes, sizeof(bytes))) > 0)
        if (c->framed) buf_append(&c->in, bytes, (size_t)n);
    if (c->framed) check_frames(c);
    if (n == ERR_AGAIN) return;
    c->ended = true;
    io_stream_watch(c->stream, 0, NULL, NULL);
}

static void put_frame_head(buf_t *out, size_t bytes)
{
    uint8_t head[4];
    store_be32(head, (uint32_t)bytes);
    buf_append(out, head, sizeof(head));
}

static void put_handshake(buf_t *out)
{
    static const uint8_t zeros[COORD_PASSWD_BYTES];
    zk_connect_request_t request = {0, 0, 10000, 0, bytes_of(zeros, sizeof(zeros))};
    size_t bytes = zk_connect_request_size(&request);
    put_frame_head(out, bytes);
    zk_connect_request_put(buf_reserve(out, bytes), &request);
    out->len += bytes;
}

static void put_requests(client_t *c, buf_t *out, bytes_t input)
{
    while (input.len >= 2 && c->sent < REQUESTS_MAX) {
        size_t bytes = MIN((size_t)input.ptr[1], input.len - 2);
        const op_t *op = &ops_known[input.ptr[0] % ARRAY_LEN(ops_known)];
        c->requests[++c->sent].kind = op->kind;
        uint8_t head[8];
        store_be32(head, (uint32_t)c->sent);
        store_be32(head + 4, (uint32_t)op->type);
        put_frame_head(out, sizeof(head) + bytes);
        buf_append(out, head, sizeof(head));
        buf_append(out, input.ptr + 2, bytes);
        input = bytes_of(input.ptr + 2 + bytes, input.len - 2 - bytes);
    }
}

/* Every request is answered, or the connection has ended. */
static bool is_served(void *user)
{
    const client_t *c = user;
    return c->ended || c->answers == c->sent;
}

static void talk(world_t *w, const uint8_t *data, size_t size)
{
    client_t c = {.framed = data[0] % 4 < 2};
    buf_t out = BUF_INIT;
    if (data[0] % 4 != 3) put_handshake(&out);
    if (c.framed)
        put_requests(&c, &out, bytes_of(data + 1, size - 1));
    else
        buf_append(&out, data + 1, size - 1);
    if (io_connect(w->client_loop, "10.0.0.1", 2181, &c.stream) != 0) __builtin_trap();
    sim_run_for(w->sim, 1);
    io_stream_watch(c.stream, IO_READABLE, on_ready, &c);
    size_t sent = 0;
    while (!c.ended && sent < out.len) {
        ssize_t n = io_stream_writev(c.stream, &(struct iovec){out.ptr + sent, out.len - sent}, 1);
        if (n < 0) break; /* closed, or full of what the server does not take */
        sent += (size_t)n;
        sim_run_for(w->sim, 1);
    }
    if (c.framed && !sim_run_until(w->sim, is_served, &c, SETTLE_MS_MAX)) __builtin_trap();
    sim_run_for(w->sim, 1);
    io_stream_close(c.stream);
    sim_run_for(w->sim, 1);
    buf_deinit(&c.in);
    buf_deinit(&out);
}

/* ---- afterwards ------------------------------------------------------------------------------------------------------ */

typedef struct sweep {
    int64_t sessions[SESSIONS_MAX];
    coord_write_t writes[SESSIONS_MAX];
    int sessions_count;
    char *paths[NODES_MAX]; /* parents before their children */
    int paths_count;
    const char *parent;
    coord_request_t request;
} sweep_t;

static sweep_t sweep;
static int under_way;

static bool settled(void *user) { return under_way == 0; }

static void settle(world_t *w)
{
    io_loop_wake(w->server_loop);
    if (!sim_run_until(w->sim, settled, NULL, SETTLE_MS_MAX)) __builtin_trap();
}

static void note_session(void *user, int64_t session_id, int32_t timeout_ms, int64_t expires_in_ms, uint32_t ephemerals)
{
    world_t *w = user;
    if (session_id == coord_own_session(w->coord)) return;
    if (sweep.sessions_count == SESSIONS_MAX) __builtin_trap();
    sweep.sessions[sweep.sessions_count++] = session_id;
}

static void session_closed(coord_write_t *write, const coord_result_t *result) { under_way--; }

static void close_sessions(world_t *w)
{
    sweep.sessions_count = 0;
    coord_session_each(w->coord, note_session, w);
    for (int i = 0; i < sweep.sessions_count; i++) {
        under_way++;
        coord_write(w->coord, &sweep.writes[i], ZK_OP_CLOSE_SESSION, sweep.sessions[i], (coord_who_t){NULL, 0},
                    BYTES_NULL, session_closed);
    }
    if (under_way) settle(w);
}

static bool is_root(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(roots); i++)
        if (strcmp(path, roots[i]) == 0) return true;
    return false;
}

static void note_node(void *user, const char *name)
{
    if (sweep.paths_count == NODES_MAX) __builtin_trap();
    size_t bytes = strlen(sweep.parent) + strlen(name) + 2;
    char *path = mem_alloc(bytes);
    snprintf(path, bytes, "%s/%s", strcmp(sweep.parent, "/") == 0 ? "" : sweep.parent, name);
    sweep.paths[sweep.paths_count++] = path;
}

static void nodes_deleted(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    if (err != ZOK) __builtin_trap();
    under_way--;
}

static void delete_nodes(world_t *w)
{
    static coord_op_t ops[NODES_MAX];
    int ops_count = 0;
    sweep.paths_count = 0;
    sweep.parent = "/";
    if (coord_children(w->coord, "/", note_node, NULL) != ZOK) __builtin_trap();
    for (int i = 0; i < sweep.paths_count; i++) {
        sweep.parent = sweep.paths[i];
        if (coord_children(w->coord, sweep.parent, note_node, NULL) != ZOK) __builtin_trap();
    }
    for (int i = sweep.paths_count; i-- > 0;)
        if (!is_root(sweep.paths[i]))
            ops[ops_count++] = (coord_op_t){.kind = COORD_DELETE, .path = sweep.paths[i], .version = -1};
    if (ops_count > 0) {
        under_way++;
        coord_submit(w->coord, ops, ops_count, &sweep.request, nodes_deleted);
        settle(w);
    }
    for (int i = 0; i < sweep.paths_count; i++) mem_free(sweep.paths[i]);
}

static bool roots_are_as_they_were(const world_t *w)
{
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        coord_stat_t now = root_stat(w, i);
        if (now.version != w->roots[i].version || now.aversion != w->roots[i].aversion) return false;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world_t world;
    if (size == 0) return 0;
    if (!world.sim) world_start(&world);
    talk(&world, data, size);
    close_sessions(&world);
    delete_nodes(&world);
    if (!roots_are_as_they_were(&world) || ++world.inputs == WORLD_INPUTS_MAX) world_stop(&world);
    return 0;
}
