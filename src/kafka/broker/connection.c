/* connection.c: frames in, requests to their handlers, answers out in the order of the requests.
 *
 * A frame is int32 size, then the request. As in Kafka, one request of a connection is served at a time; only
 * handlers that say so (Produce) let the next one start before they are answered. While a connection waits it
 * is paused, so that the peer feels the back-pressure. A frame that cannot be understood closes the
 * connection, as Kafka does: only ApiVersions has an answer for a version it does not know.
 *
 * Invariant: conn->requests holds the unanswered requests and those whose answer waits for an earlier one, in
 * order; a request is on it until its answer is written or its client is gone. */
#include "kafka/broker/connection.h"
#include "kafka/broker/listeners.h"

#include "base/slog.h"
#include "kafka/broker/answer.h"
#include "kafka/broker/request.h"

#include <stdlib.h>

#define FRAME_KEPT_BYTES_MIN KIB(256) /* of a smaller one the bytes are copied instead */
#define READ_APART_BYTES_MIN KIB(256) /* a smaller one is read within a millisecond or two */
#define IDLE_CHECK_MS_MAX    10000
#define IDLE_CHECK_MS_MIN    50
#define CONNECTIONS_MAX      100000
#define OUT_HIGH_BYTES       MIB(4)
#define FRAME_MS             60000 /* silence between requests is connections.max.idle.ms' concern */

struct kafka_conn {
    kafka_t *kafka;
    net_conn_t *net;
    list_t node;
    list_t requests;
    list_t watches; /* kafka_conn_watch_t */
    uint32_t in_flight;
    bool exclusive; /* a request that must be answered before the next may start */
    bool paused;
    bool in_data; /* inside on_data: its loop goes on by itself */
    bool failed;
    const uint8_t *frame_end; /* of the one that is being taken */
    bool gave_frame;          /* a request kept the memory that it lies in */
};

/* ---- answers ---- */

static void resume(kafka_conn_t *conn)
{
    if (!conn->paused || conn->exclusive || conn->in_flight >= KAFKA_IN_FLIGHT_MAX) return;
    conn->paused = false;
    net_resume(conn->net);
}

/* Writes the answers that no earlier request holds back. */
static void flush(kafka_conn_t *conn)
{
    kafka_request_t *request;
    while ((request = LIST_FIRST(&conn->requests, kafka_request_t, node)) && request->answer != KAFKA_REQUEST_OPEN) {
        if (request->answer == KAFKA_REQUEST_DONE) answer_send(conn->net, request);
        request__free(request);
    }
}

static void finish(kafka_request_t *request)
{
    kafka_conn_t *conn = request->conn;
    if (!conn) {
        request__free(request);
        return;
    }
    conn->in_flight--;
    if (!(request->handler->flags & KAFKA_HANDLER_OVERLAPS) || request->holds) conn->exclusive = false;
    flush(conn);
    if (!conn->in_data) resume(conn);
}

/* ---- requests that take their time ---- */

void kafka_request_hold(kafka_request_t *request)
{
    request->holds = true;
    if (request->conn) request->conn->exclusive = true;
}

void kafka_request_release(kafka_request_t *request)
{
    kafka_conn_t *conn = request->conn;
    if (!request->holds) return;
    request->holds = false;
    if (!conn) return;
    conn->exclusive = false;
    if (!conn->in_data) resume(conn);
}

void kafka_request_run(kafka_request_t *request, slice_state_t (*step)(slice_t *slice), void (*pause)(slice_t *slice))
{
    ASSERT(pause || !(request->handler->flags & KAFKA_HANDLER_BORROWS));
    request->slice = (slice_t){.step = step, .pause = pause};
    slice_run(&request->kafka->slices, &request->slice);
}

void connection__answered(kafka_request_t *request)
{
    request->answer = KAFKA_REQUEST_DONE;
    finish(request);
}

void kafka_respond_version(kafka_request_t *request, int16_t version, const void *response)
{
    bool lasts = request->handler->flags & KAFKA_HANDLER_LASTS;
    ASSERT(request->answer == KAFKA_REQUEST_OPEN);
    if (lasts && !answer_encode_first(request, version, response)) return;
    if (!lasts) answer_encode(request, version, response); /* to nobody too: it releases what the response holds */
    connection__answered(request);
}

void kafka_respond(kafka_request_t *request, const void *response)
{
    kafka_respond_version(request, request->header.api_version, response);
}

void kafka_respond_nothing(kafka_request_t *request)
{
    ASSERT(request->answer == KAFKA_REQUEST_OPEN);
    request->answer = KAFKA_REQUEST_SILENT;
    finish(request);
}

void kafka_respond_close(kafka_request_t *request)
{
    kafka_conn_t *conn = request->conn;
    if (conn) {
        conn->failed = true;
        if (!conn->in_data) net_close(conn->net);
    }
    kafka_respond_nothing(request);
}

/* ---- requests ---- */

static bool keep_frame(kafka_conn_t *conn, kafka_request_t *request, size_t bytes)
{
    if (bytes < FRAME_KEPT_BYTES_MIN || !net_take_memory(conn->net, conn->frame_end, &request->frame)) return false;
    conn->gave_frame = true;
    return true;
}

bool kafka_request_keep_frame(kafka_request_t *request)
{
    kafka_conn_t *conn = request->conn;
    if (request->frame.ptr) return true;
    return conn && conn->in_data && keep_frame(conn, request, request->frame_bytes);
}

/* It lasts as long as the request. */
static int own_frame(kafka_conn_t *conn, kafka_request_t *request, kafka_reader_t *r)
{
    size_t len = kafka_reader_left(r);
    if (keep_frame(conn, request, len)) return 0;
    uint8_t *copy = arena_try_alloc(&request->arena, len);
    if (!copy) return ERR_NOMEM;
    memcpy(copy, r->ptr, len);
    *r = kafka_reader(bytes_of(copy, len));
    return 0;
}

/* The one API whose answer has a place for an error that every client shows before it asks for anything. */
static bool answers_stranger(const kafka_request_t *request)
{
    return request->api && request->api->key == KAFKA_API_API_VERSIONS && !request->unsupported_version;
}

/* What a stranger gets: CLUSTER_AUTHORIZATION_FAILED as the answer to ApiVersions, then the end. */
static int refuse_stranger(kafka_conn_t *conn, kafka_request_t *request, int err)
{
    if (!err && answers_stranger(request)) {
        kafka_api_versions_response_t *response = KAFKA_MESSAGE(request, api_versions_response);
        response->error_code = KAFKA_CLUSTER_AUTHORIZATION_FAILED;
        answer_encode(request, request->header.api_version, response);
        answer_send(conn->net, request);
    }
    request__free(request);
    net_refuse_stranger(conn->net);
    return ERR_ACCESS;
}

static void not_understood(const kafka_conn_t *conn, const kafka_request_t *request, int err)
{
    slog(SLOG_INFO, "kafka", "closing a connection: request not understood",
         "peer=%s api_key=%d version=%d error=\"%s\"", net_conn_peer(conn->net), request->header.api_key,
         request->header.api_version, err_text(err));
    conn->kafka->stats.request_errors++;
}

static void admit(kafka_conn_t *conn, kafka_request_t *request)
{
    request->conn = conn;
    list_push_back(&conn->requests, &request->node);
    conn->in_flight++;
    if (!(request->handler->flags & KAFKA_HANDLER_OVERLAPS)) conn->exclusive = true;
}

static void serve(kafka_request_t *request)
{
    kafka_t *kafka = request->kafka;
    kafka->stats.requests++;
    io_turn_note(kafka->loop, request->api->turn_note);
    request->handler->handle(request);
}

static void was_read_apart(kafka_request_t *request, int err)
{
    if (request->conn && !err) {
        serve(request);
        return;
    }
    if (request->conn) not_understood(request->conn, request, err);
    kafka_respond_close(request);
}

static int take_frame(kafka_conn_t *conn, bytes_t frame)
{
    kafka_request_t *request = request__new(conn->kafka);
    kafka_reader_t r = kafka_reader(frame);
    int err = request__read_header(request, &r);
    if (UNLIKELY(net_conn_is_stranger(conn->net))) return refuse_stranger(conn, request, err);
    bool read = err || request->unsupported_version;
    bool owns = !read && !(request->handler->flags & KAFKA_HANDLER_BORROWS);
    if (owns) err = own_frame(conn, request, &r);
    if (!err && owns && frame.len >= READ_APART_BYTES_MIN) {
        admit(conn, request);
        request__read_body_apart(request, &r, was_read_apart);
        return 0;
    }
    if (!err && !read) err = request__read_body(request, &r);
    if (err) {
        not_understood(conn, request, err);
        request__free(request);
        return err;
    }
    admit(conn, request);
    serve(request);
    return conn->failed ? ERR_CLOSED : 0;
}

static bool must_wait(const kafka_conn_t *conn)
{
    return conn->exclusive || conn->in_flight >= KAFKA_IN_FLIGHT_MAX || !conn->kafka->ready;
}

/* Consumes whole frames; < 0 closes. */
static ssize_t take_frames(kafka_conn_t *conn, uint8_t *data, size_t len)
{
    size_t used = 0;
    while (len - used >= KAFKA_FRAME_SIZE_BYTES && !must_wait(conn) && !net_congested(conn->net)) {
        int64_t size = (int32_t)load_be32(data + used);
        if (size < 0 || size > conn->kafka->config.socket_request_max_bytes) {
            slog(SLOG_WARN, "kafka", "closing a connection: impossible frame size", "peer=%s bytes=%" PRId64,
                 net_conn_peer(conn->net), size);
            return ERR_LIMIT;
        }
        if (len - used - KAFKA_FRAME_SIZE_BYTES < (size_t)size) {
            net_expect(conn->net, KAFKA_FRAME_SIZE_BYTES + (size_t)size);
            break;
        }
        bytes_t frame = bytes_of(data + used + KAFKA_FRAME_SIZE_BYTES, (size_t)size);
        conn->frame_end = bytes_end(frame);
        conn->gave_frame = false;
        int err = take_frame(conn, frame);
        if (err) return err;
        used += KAFKA_FRAME_SIZE_BYTES + (size_t)size;
        if (conn->gave_frame) break;
    }
    return (ssize_t)used;
}

static ssize_t on_data(net_conn_t *net, uint8_t *data, size_t len)
{
    kafka_conn_t *conn = net_conn_user(net);
    conn->in_data = true;
    ssize_t used = take_frames(conn, data, len);
    conn->in_data = false;
    if (used >= 0 && must_wait(conn)) {
        conn->paused = true;
        net_pause(net);
    }
    return used;
}

/* ---- connections ---- */

/* Of max.connections.per.ip.overrides, "host:count,host:count"; -1 = it does not name the host. */
static int64_t override_of(const char *overrides, bytes_t host)
{
    for (const char *at = overrides ? overrides : ""; *at; at += *at == ',') {
        size_t len = strcspn(at, ",");
        const char *colon = memrchr(at, ':', len);
        while (*at == ' ') at++, len--;
        if (colon && bytes_eq(bytes_of(at, (size_t)(colon - at)), host)) return strtol(colon + 1, NULL, 10);
        at += len;
    }
    return -1;
}

int64_t connection__from_host_max(const kafka_t *kafka, bytes_t host)
{
    int64_t count = override_of(kafka->config.max_connections_per_ip_overrides, host);
    return count >= 0 ? count : kafka->config.max_connections_per_ip;
}

static bool has_room(const kafka_t *kafka, net_conn_t *net)
{
    if (kafka->stats.connections >= kafka->config.max_connections) return false;
    return net_conn_siblings(net) <= connection__from_host_max(kafka, net_conn_host(net));
}

static int on_open(net_conn_t *net, void *service)
{
    kafka_t *kafka = service;
    if (!has_room(kafka, net)) return ERR_LIMIT;
    kafka_conn_t *conn = mem_zalloc(sizeof(*conn));
    conn->kafka = kafka;
    conn->net = net;
    list_init(&conn->requests);
    list_init(&conn->watches);
    list_push_back(&kafka->connections, &conn->node);
    kafka->stats.connections++;
    net_conn_set_user(net, conn);
    return 0;
}

void kafka_conn_on_close(kafka_conn_t *conn, kafka_conn_watch_t *watch)
{
    list_push_back(&conn->watches, &watch->node);
}

static void tell_watches(kafka_conn_t *conn)
{
    kafka_conn_watch_t *watch;
    while ((watch = LIST_FIRST(&conn->watches, kafka_conn_watch_t, node))) {
        list_remove(&watch->node);
        watch->closed(watch);
    }
}

static void on_close(net_conn_t *net)
{
    kafka_conn_t *conn = net_conn_user(net);
    if (!conn) return;
    list_t orphans;
    list_init(&orphans);
    LIST_EACH(&conn->requests, request, kafka_request_t, node) request->conn = NULL;
    list_splice_back(&orphans, &conn->requests);
    kafka_request_t *request;
    while ((request = LIST_FIRST(&orphans, kafka_request_t, node))) {
        list_remove(&request->node);
        if (request->answer != KAFKA_REQUEST_OPEN)
            request__free(request);
        else if (request->gone)
            request->gone(request);
    }
    tell_watches(conn);
    list_remove(&conn->node);
    conn->kafka->stats.connections--;
    mem_free(conn);
}

/* Requests behind one that is under way: a producer that asks for no answers may have said all. */
static bool is_awaited(const net_conn_t *net)
{
    const kafka_conn_t *conn = net_conn_user(net);
    return conn->paused && net_conn_in_bytes(net) > 0;
}

static const net_service_t service = {
    .name = "kafka",
    .on_open = on_open,
    .on_data = on_data,
    .is_awaited = is_awaited,
    .on_close = on_close,
    .limits = {.in_bytes_max = (size_t)INT32_MAX + KAFKA_FRAME_SIZE_BYTES,
               .out_bytes_high = OUT_HIGH_BYTES,
               .conns_max = CONNECTIONS_MAX,
               .frame_ms = FRAME_MS},
};

const net_service_t *kafka_service(void) { return &service; }

void connection__resume_all(kafka_t *kafka)
{
    LIST_EACH(&kafka->connections, conn, kafka_conn_t, node) resume(conn);
}

/* A tenth of the time later than it should be nobody notices. */
static void look_again_for_idle(kafka_t *kafka)
{
    int64_t idle_ms = kafka->config.connections_max_idle_ms;
    int64_t after_ms = idle_ms < 0 ? IDLE_CHECK_MS_MAX : MIN(MAX(idle_ms / 10, IDLE_CHECK_MS_MIN), IDLE_CHECK_MS_MAX);
    io_timer_start(&kafka->idle_timer, (uint64_t)after_ms, 0);
}

/* Closes connections that were silent for connections.max.idle.ms, unless an answer is due. */
static void close_idle(io_timer_t *timer)
{
    kafka_t *kafka = CONTAINER_OF(timer, kafka_t, idle_timer);
    int64_t idle_ms = kafka->config.connections_max_idle_ms;
    look_again_for_idle(kafka);
    if (idle_ms < 0) return;
    uint64_t now_ms = io_now_ns(kafka->loop) / 1000000;
    LIST_EACH(&kafka->connections, conn, kafka_conn_t, node) {
        if (conn->in_flight == 0 && now_ms > net_conn_active_ms(conn->net) + (uint64_t)idle_ms) net_close(conn->net);
    }
}

void connection__start_all(kafka_t *kafka)
{
    io_timer_init(kafka->loop, &kafka->idle_timer, close_idle);
    look_again_for_idle(kafka);
}

void connection__stop_all(kafka_t *kafka)
{
    io_timer_stop(&kafka->idle_timer);
    request__stop_reading(kafka);
    LIST_EACH(&kafka->connections, conn, kafka_conn_t, node) net_close(conn->net);
}

/* ---- addresses ---- */

bytes_t connection__host_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') return bytes_of(address + 1, len - 2);
    return bytes_of(address, len);
}

int32_t connection__port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? (int32_t)strtol(colon + 1, NULL, 10) : 0;
}

/* Of advertised.listeners, "PLAINTEXT://host:port,...", the one of that name, or the first, without its name. */
static const char *advertised_address(const kafka_t *kafka, const char *listener)
{
    const char *slashes = NULL;
    for (const char *at = kafka->config.advertised_listeners; at && *at; at += strcspn(at, ",")) {
        at += *at == ',';
        slashes = strstr(at, "://");
        bytes_t name = slashes ? bytes_of(at, (size_t)(slashes - at)) : BYTES_LIT("");
        if (slashes && (!listener || bytes_eq_nocase(name, bytes_str(listener)))) return slashes + 3;
    }
    return NULL;
}

void kafka_advertised(const kafka_request_t *request, bytes_t *ret_host, int32_t *ret_port)
{
    net_conn_t *conn = request->conn ? request->conn->net : NULL;
    connection__advertised(request->kafka, listeners_name_of(request->kafka, conn), conn ? net_conn_local(conn) : "",
                           ret_host, ret_port);
}

void connection__advertised(const kafka_t *kafka, const char *listener, const char *local, bytes_t *ret_host,
                            int32_t *ret_port)
{
    char first[300];
    const char *address = advertised_address(kafka, listener);
    if (address) {
        size_t len = MIN(strcspn(address, ","), sizeof(first) - 1);
        memcpy(first, address, len);
        first[len] = '\0';
        *ret_port = connection__port_of(first);
        *ret_host = bytes_of(address + (connection__host_of(first).ptr - (const uint8_t *)first),
                             connection__host_of(first).len);
        if (ret_host->len) return;
    }
    *ret_host = connection__host_of(local);
    *ret_port = connection__port_of(local);
}

bytes_t kafka_request_client_host(const kafka_request_t *request)
{
    return request->conn ? connection__host_of(net_conn_peer(request->conn->net)) : BYTES_LIT("");
}
