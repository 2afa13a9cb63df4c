/* input.c: connections: a pipeline's requests are parsed together, their keys' buckets and entries asked for
 * from memory, and then run. */
#include "redis/exec/input.h"

#include "redis/conn/out.h"
#include "redis/exec/inquiry.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/redis.h"

#include "base/slog.h"

#include <stdio.h>
#include <string.h>

/* A pipeline is often sent whole before its first reply is read: so much of one is kept when its replies must wait. What is
 * more stays with the client, whom that may block for ever. */
#define IN_CONGESTED_BYTES_MAX MIB(1024)
#define CLIENTS_MAX_REACHED    "-ERR max number of clients reached\r\n"
#define FRAME_MS               300000 /* who makes a pipeline as he sends it may think for long in the middle of a command */
#define BIG_WORDS_KEPT_MAX     (1 << 14) /* a longer request's words are given back after it */
#define SEND_EARLY_BYTES       KIB(32)

/* ---- connections ----------------------------------------------------------------------------------------------------- */

/* Why the connection is not served, as its first and last reply; NULL = it is. */
static const char *refusal(redis_t *redis, net_conn_t *conn)
{
    const redis_config_t *config = redis->config;
    if (redis->clients.count >= config->maxclients) return CLIENTS_MAX_REACHED;
    bool open_to_all = config->requirepass.len == 0;
    if (config->protected_mode && open_to_all && !net_host_is_loopback(net_conn_host(conn)))
        return "-DENIED Redis is running in protected mode because protected mode is enabled and no password "
               "is set for the default user. In this mode connections are only accepted from the loopback "
               "interface. To connect from elsewhere set a password (requirepass), or turn the mode off "
               "(protected-mode no) when only trusted machines can reach this port.\r\n";
    return NULL;
}

static int on_open(net_conn_t *conn, void *service)
{
    redis_t *redis = service;
    const char *words = refusal(redis, conn);
    if (words) {
        redis->clients.stats.rejected_connections++;
        net_write(conn, words, strlen(words));
        return ERR_LIMIT;
    }
    redis->clients.stats.connections++;
    if (redis->config->tcp_keepalive_s) net_keepalive(conn, (uint32_t)redis->config->tcp_keepalive_s);
    net_conn_set_user(conn, client__new(&redis->clients, conn));
    return 0;
}

static void on_close(net_conn_t *conn)
{
    redis_client_t *c = net_conn_user(conn);
    if (!c) return;
    redis_t *redis = c->redis;
    client__free(c);
    exec__after_event(redis);
}

/* ---- input ----------------------------------------------------------------------------------------------------------- */

static bool may_run(const redis_client_t *c)
{
    return !(c->flags & (CLIENT_BLOCKED | CLIENT_PAUSED | CLIENT_CLOSING | CLIENT_CONGESTED));
}

static resp_limits_t limits_of(const redis_client_t *c)
{
    if (UNLIKELY(c->flags & CLIENT_NEED_AUTH)) return (resp_limits_t){10, 16384, true};
    return (resp_limits_t){RESP_ARGC_MAX, (int64_t)c->redis->config->proto_max_bulk_len, false};
}

static bytes_t *make_big_words(redis_t *redis, int argc)
{
    if ((size_t)argc > redis->input.big_words_cap) {
        redis->input.big_words_cap = (size_t)argc;
        mem_free(redis->input.big_words);
        redis->input.big_words = mem_alloc(sizeof(bytes_t) * (size_t)argc);
    }
    return redis->input.big_words;
}

static void drop_big_words(redis_t *redis)
{
    mem_free(redis->input.big_words);
    redis->input.big_words = NULL;
    redis->input.big_words_cap = 0;
}

static void find_key(redis_t *redis, parsed_t *q)
{
    q->hashed_key = NULL;
    q->command = command__lookup(redis, q->argv[0]);
    if (UNLIKELY(q->command == NULL)) return;
    int at = q->command->first_key;
    if (at <= 0 || at >= q->argc) return;
    q->hashed_key = q->argv[at].ptr;
    q->key_hash = hash_bytes(q->argv[at].ptr, q->argv[at].len);
}

/* Parses requests from data[*pos] on into redis->input.batch, moves *pos behind the last. Returns how many;
 * *ret_last tells why it ended. */
static int parse_batch(redis_client_t *c, uint8_t *data, size_t len, size_t *pos, resp_result_t *ret_last,
                       resp_request_t *request)
{
    redis_t *redis = c->redis;
    resp_limits_t limits = limits_of(c);
    int count = 0, words = 0, count_max = c->flags & CLIENT_NEED_AUTH ? 1 : INPUT_BATCH_MAX;
    *ret_last = RESP_REQUEST;
    while (count < count_max && *pos < len) {
        if (UNLIKELY(data[*pos] != '*') && count)
            return count; /* inline words are unquoted in place: only when next to run */
        *request = (resp_request_t){.argv = redis->input.words + words, .argv_max = INPUT_WORDS_MAX - words};
        resp_result_t result = resp_parse(data + *pos, len - *pos, &limits, &c->resume, request);
        if (UNLIKELY(result == RESP_ROOM)) {
            if (count) return count; /* run what there is, then this one alone */
            request->argv = make_big_words(redis, request->argc);
            request->argv_max = request->argc;
            result = resp_parse(data + *pos, len - *pos, &limits, &c->resume, request);
            count_max = 1;
        }
        *ret_last = result;
        if (result != RESP_REQUEST) return count;
        size_t start = *pos;
        *pos += request->consumed;
        if (UNLIKELY(request->argc == 0)) continue;
        if (UNLIKELY(request->is_inline)) count_max = 1;
        parsed_t *q = &redis->input.batch[count++];
        q->argv = request->argv;
        q->argc = request->argc;
        q->is_inline = request->is_inline;
        q->start = start;
        q->end = *pos;
        words += request->argc;
        find_key(redis, q);
    }
    return count;
}

enum { ACL_COLLECTIONS = ACL_LIST | ACL_HASH | ACL_SET | ACL_SORTEDSET };

/* The third step down: bucket, entry, value. */
static void prefetch_value(const table_t *keys, uint64_t hash)
{
    if (!keys->buckets[0]) return;
    const table_bucket_t *b = table__top(keys, 0, hash);
    unsigned m = table__matches(b, table__tag(hash));
    if (m == 0) return;
    const redis_entry_t *e = table__ref(b, (unsigned)__builtin_ctz(m));
    if (e->flags & ENTRY_WORD) mem_prefetch(entry_value(e));
}

static void prefetch(redis_client_t *c, int count)
{
    const table_t *keys = &c->db->keys;
    const parsed_t *batch = c->redis->input.batch;
    for (int i = 0; i < count; i++)
        if (batch[i].hashed_key) table_prefetch_bucket(keys, batch[i].key_hash);
    for (int i = 0; i < count; i++)
        if (batch[i].hashed_key) table_prefetch_entry(keys, batch[i].key_hash);
    for (int i = 0; i < count; i++)
        if (batch[i].hashed_key && batch[i].command->acl & ACL_COLLECTIONS) prefetch_value(keys, batch[i].key_hash);
}

/* Runs parsed requests; returns the position behind the last that ran. */
static size_t run_batch(redis_client_t *c, const uint8_t *data, int count)
{
    redis_t *redis = c->redis;
    size_t done = redis->input.batch[0].start;
    for (int i = 0; i < count; i++) {
        const parsed_t *q = &redis->input.batch[i];
        bytes_t raw = q->is_inline ? BYTES_NULL : bytes_of(data + q->start, q->end - q->start);
        if (count == 1 || !exec__fast(c, q, raw)) exec__request(c, q, raw);
        if (UNLIKELY(c->flags & CLIENT_PAUSED)) return done; /* not run: comes again */
        inquiry__drop(c);
        done = q->end;
        if (LIKELY(!(c->flags & CLIENT_BLOCKED))) client__answered(c); /* else when what it waits for has come */
        if (UNLIKELY(!may_run(c))) break;
    }
    return done;
}

static void protocol_error(redis_client_t *c, const char *text)
{
    reply_errorf(c, "ERR Protocol error: %s", text);
    client__close(c);
}

/* What a client has sent of a request that is not whole, or announced, may not pass a bound. */
static bool query_fits(redis_client_t *c, size_t bytes)
{
    if (LIKELY(bytes <= c->redis->config->client_query_buffer_limit)) return true;
    slog(SLOG_WARN, "redis", "closing a client that reached the query buffer limit", "peer=%s bytes=%zu",
         net_conn_peer(c->conn), bytes);
    c->redis->clients.stats.query_limit_disconnections++;
    client__close(c);
    return false;
}

/* Large replies go out while they are warm, unless a write of this turn has yet to reach the append-only
 * file. */
static void send_early(redis_client_t *c)
{
    if (c->out_start && aof__is_written(&c->redis->persist)) {
        out__flush(c);
        if (net_conn_out_bytes(c->conn) >= SEND_EARLY_BYTES) net_send(c->conn);
    }
}

static ssize_t on_data(net_conn_t *conn, uint8_t *data, size_t len)
{
    redis_client_t *c = net_conn_user(conn);
    redis_t *redis = c->redis;
    size_t done = 0;
    c->flags &= ~(uint32_t)CLIENT_CONGESTED;
    c->active_ms = redis->keyspace.now_ms = io_wall_ms(redis->loop);
    redis->keyspace.lru_clock = (uint32_t)(redis->keyspace.now_ms / 1000);
    c->query_expected = c->query_parsed = 0;
    if (UNLIKELY(redis->clients.memory.limit_bytes != 0)) { /* before a request runs that takes too much */
        client_memory__count(c);
        client_memory__enforce(&redis->clients);
    }
    while (done < len && may_run(c)) {
        resp_request_t request;
        resp_result_t last;
        size_t pos = done;
        int count = parse_batch(c, data, len, &pos, &last, &request);
        if (count > 1) prefetch(c, count);
        if (count) {
            size_t ran = run_batch(c, data, count);
            send_early(c);
            bool all = ran == redis->input.batch[count - 1].end;
            done = all ? pos : ran;
            if (!all) {
                resp_resume_deinit(&c->resume); /* what follows comes again from its start */
                break;
            }
        } else {
            done = pos;
        }
        if (last == RESP_BAD && may_run(c) && c->flags & CLIENT_IN_LINE) {
            client__pause(c); /* behind the answers that are under way */
            resp_resume_deinit(&c->resume);
            break;
        }
        if (last == RESP_BAD && may_run(c)) protocol_error(c, request.error);
        if (last == RESP_MORE) {
            c->query_expected = request.expect;
            c->query_parsed = request.expect_from;
            if (query_fits(c, MAX(request.expect, len - done)) && request.expect) net_expect(conn, request.expect);
            break;
        }
    }
    if (c->flags & CLIENT_CLOSING) done = len;
    c->in_bytes += done;
    if (UNLIKELY(redis->input.big_words_cap > BIG_WORDS_KEPT_MAX)) drop_big_words(redis);
    client_memory__count(c);
    out__flush_all(&redis->clients);
    return (ssize_t)done;
}

/* Requests that wait behind a script or an answer, and answers from outside. Not one that blocks for keys or sits out CLIENT
 * PAUSE: what it would do when it goes on, nobody is there to see. */
static bool is_awaited(const net_conn_t *conn)
{
    const redis_client_t *c = net_conn_user(conn);
    if (c->flags & CLIENT_PAUSED && c->redis->pause_until_ms == 0) return true;
    return !list_empty(&c->asyncs) && (c->flags & CLIENT_BLOCKED || !(c->flags & CLIENT_REPLY_OFF));
}

static const net_service_t service = {
    .name = "redis",
    .on_open = on_open,
    .on_data = on_data,
    .is_awaited = is_awaited,
    .on_close = on_close,
    .limits = {.in_bytes_max = SIZE_MAX / 8, /* client-query-buffer-limit is the bound */
               .in_bytes_congested_max = IN_CONGESTED_BYTES_MAX,
               .out_bytes_high = MIB(1),
               .out_bytes_max = 0,
               .frame_ms = FRAME_MS},
    .refusal = CLIENTS_MAX_REACHED,
};

const net_service_t *input__service(void) { return &service; }
const net_service_t *redis_net_service(void) { return &service; }

void input__deinit(input_t *input) { mem_free(input->big_words); }
