/* client.c: CLIENT and its subcommands. */
#include "redis/state.h"
#include "redis_commands.h"

#include "base/num.h"

#include <stdlib.h>
#include <strings.h>

/* ---- describing ------------------------------------------------------------------------------------------------------ */

static void put_flags(const redis_client_t *c, buf_t *out)
{
    static const struct {
        uint32_t bit;
        char letter;
    } letters[] = {{CLIENT_PUBSUB, 'P'},  {CLIENT_MULTI, 'x'},    {CLIENT_BLOCKED, 'b'},  {CLIENT_DIRTY_CAS, 'd'},
                   {CLIENT_CLOSING, 'c'}, {CLIENT_NO_EVICT, 'e'}, {CLIENT_NO_TOUCH, 'T'}, {CLIENT_MONITOR, 'O'}};
    size_t before = out->len;
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (c->flags & letters[i].bit) buf_u8(out, (uint8_t)letters[i].letter);
    if (out->len == before) buf_u8(out, 'N');
}

static size_t watch_count(const redis_client_t *c)
{
    size_t n = 0;
    for (const list_t *l = c->watches.next; l != &c->watches; l = l->next) n++;
    return n;
}

void client__describe(redis_client_t *c, buf_t *out)
{
    const redis_t *redis = c->redis;
    size_t in = net_conn_in_bytes(c->conn), unsent = net_conn_out_bytes(c->conn);
    buf_printf(out,
               "id=%" PRIu64 " addr=%s laddr=%s fd=%" PRIu64 " name=%s age=%" PRId64 " idle=%" PRId64 " flags=", c->id,
               net_conn_peer(c->conn), net_conn_local(c->conn), net_conn_id(c->conn), c->name ? c->name : "",
               (redis->now_ms - c->created_ms) / 1000, (redis->now_ms - c->active_ms) / 1000);
    put_flags(c, out);
    buf_printf(out,
               " db=%d sub=%zu psub=%zu ssub=%zu multi=%d watch=%zu qbuf=%zu qbuf-free=0 argv-mem=0 "
               "multi-mem=0 rbs=%d "
               "rbp=0 obl=0 oll=0 omem=%zu tot-mem=%zu events=r cmd=%s user=default redir=-1 resp=%d "
               "lib-name=%s lib-ver=%s "
               "tot-net-in=%" PRIu64 " tot-net-out=%" PRIu64 " tot-cmds=%" PRIu64 "\n",
               c->db->id, c->channels.count, c->patterns.count, c->shard_channels.count,
               c->flags & CLIENT_MULTI ? (int)c->queue_len : -1, watch_count(c), in, OUT_RESERVE_BYTES, unsent,
               sizeof(*c) + in + unsent, c->last_command ? c->last_command->full_name : "NULL", c->resp,
               c->lib_name ? c->lib_name : "", c->lib_version ? c->lib_version : "", c->in_bytes, c->out_bytes,
               c->commands);
}

/* ---- who is there ---------------------------------------------------------------------------------------------------- */

void redis_cmd_client_id(redis_call_t *call) { reply_int(call->client, (int64_t)call->client->id); }

void redis_cmd_client_getname(redis_call_t *call)
{
    if (call->client->name)
        reply_bulk_str(call->client, call->client->name);
    else
        reply_null(call->client);
}

void redis_cmd_client_setname(redis_call_t *call)
{
    if (!client__name_is_valid(call->argv[2])) {
        reply_error(call->client, "ERR Client names cannot contain spaces, newlines or special characters.");
        return;
    }
    client__set_name(call->client, call->argv[2]);
    reply_ok(call->client);
}

void redis_cmd_client_setinfo(redis_call_t *call)
{
    redis_client_t *c = call->client;
    bool is_name = arg_is(call, 2, "LIB-NAME");
    if (!is_name && !arg_is(call, 2, "LIB-VER")) {
        reply_errorf(c, "ERR Unrecognized option '%.*s'", (int)MIN(call->argv[2].len, (size_t)128),
                     (const char *)call->argv[2].ptr);
        return;
    }
    if (!client__name_is_valid(call->argv[3])) {
        reply_errorf(c, "ERR %s cannot contain spaces, newlines or special characters.",
                     is_name ? "lib-name" : "lib-ver");
        return;
    }
    char **field = is_name ? &c->lib_name : &c->lib_version;
    mem_free(*field);
    *field = call->argv[3].len ? mem_strndup(call->argv[3]) : NULL;
    reply_ok(c);
}

void redis_cmd_client_info(redis_call_t *call)
{
    buf_t text = BUF_INIT;
    client__describe(call->client, &text);
    reply_verbatim(call->client, "txt", buf_bytes(&text));
    buf_deinit(&text);
}

/* normal, master, replica, pubsub; -1 = unknown word. There are no replicas here. */
enum { KIND_NORMAL, KIND_MASTER, KIND_REPLICA, KIND_PUBSUB };
static int parse_kind(bytes_t word)
{
    static const struct {
        const char *name;
        int kind;
    } kinds[] = {{"normal", KIND_NORMAL},   {"master", KIND_MASTER}, {"primary", KIND_MASTER},
                 {"replica", KIND_REPLICA}, {"slave", KIND_REPLICA}, {"pubsub", KIND_PUBSUB}};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (bytes_eq_nocase(word, bytes_str(kinds[i].name))) return kinds[i].kind;
    return -1;
}

static int kind_of(const redis_client_t *c) { return c->flags & CLIENT_PUBSUB ? KIND_PUBSUB : KIND_NORMAL; }

static void refuse_kind(redis_call_t *call, int i)
{
    reply_errorf(call->client, "ERR Unknown client type '%.*s'", (int)MIN(call->argv[i].len, (size_t)128),
                 (const char *)call->argv[i].ptr);
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The arguments from the third on, in order; NULL after an error. */
static int64_t *read_ids(redis_call_t *call)
{
    size_t count = (size_t)call->argc - 3;
    int64_t *ids = mem_alloc(sizeof(*ids) * count);
    for (size_t i = 0; i < count; i++) {
        if (arg_i64_in(call, (int)i + 3, INT64_MIN, INT64_MAX, "ERR Invalid client ID", &ids[i])) continue;
        mem_free(ids);
        return NULL;
    }
    qsort(ids, count, sizeof(*ids), compare_ids);
    return ids;
}

static bool is_listed(const redis_client_t *c, int kind, const int64_t *ids, size_t ids_count)
{
    if (kind >= 0 && kind_of(c) != kind) return false;
    int64_t id = (int64_t)c->id;
    return !ids || bsearch(&id, ids, ids_count, sizeof(id), compare_ids);
}

void redis_cmd_client_list(redis_call_t *call)
{
    int kind = -1;
    int64_t *ids = NULL;
    if (call->argc == 4 && arg_is(call, 2, "TYPE")) {
        kind = parse_kind(call->argv[3]);
        if (kind < 0) {
            refuse_kind(call, 3);
            return;
        }
    } else if (call->argc > 3 && arg_is(call, 2, "ID")) {
        ids = read_ids(call);
        if (!ids) return;
    } else if (call->argc != 2) {
        reply_error_syntax(call->client);
        return;
    }
    buf_t text = BUF_INIT;
    LIST_EACH(&call->redis->clients, c, redis_client_t, node)
        if (is_listed(c, kind, ids, (size_t)call->argc - 3)) client__describe(c, &text);
    mem_free(ids);
    reply_verbatim(call->client, "txt", bytes_of(text.ptr ? text.ptr : (const uint8_t *)"", text.len));
    buf_deinit(&text);
}

/* ---- KILL ------------------------------------------------------------------------------------------------------------ */

typedef struct kill_filter {
    int64_t id, age_s_min;
    bytes_t peer, local;
    int kind;
    bool skip_me, wrong_user;
} kill_filter_t;

static bool arg_age(redis_call_t *call, int i, int64_t *ret_s)
{
    if (!arg_i64_in(call, i, INT64_MIN, INT64_MAX, "ERR maxage is not an integer or out of range", ret_s)) return false;
    if (*ret_s > 0) return true;
    reply_error(call->client, "ERR maxage should be greater than 0");
    return false;
}

static bool kill_option(redis_call_t *call, int i, kill_filter_t *f)
{
    redis_client_t *c = call->client;
    if (i + 1 >= call->argc) {
        reply_error_syntax(c);
        return false;
    }
    bytes_t value = call->argv[i + 1];
    if (arg_is(call, i, "ID"))
        return arg_i64_in(call, i + 1, 1, INT64_MAX, "ERR client-id should be greater than 0", &f->id);
    if (arg_is(call, i, "MAXAGE")) return arg_age(call, i + 1, &f->age_s_min);
    if (arg_is(call, i, "TYPE")) {
        f->kind = parse_kind(value);
        if (f->kind < 0) refuse_kind(call, i + 1);
        return f->kind >= 0;
    }
    if (arg_is(call, i, "ADDR")) {
        f->peer = value;
        return true;
    }
    if (arg_is(call, i, "LADDR")) {
        f->local = value;
        return true;
    }
    if (arg_is(call, i, "USER")) {
        if (bytes_eq(value, BYTES_LIT("default"))) return true;
        reply_errorf(c, "ERR No such user '%.*s'", (int)MIN(value.len, (size_t)128), (const char *)value.ptr);
        return false;
    }
    if (arg_is(call, i, "SKIPME") && (arg_is(call, i + 1, "YES") || arg_is(call, i + 1, "NO"))) {
        f->skip_me = arg_is(call, i + 1, "YES");
        return true;
    }
    reply_error_syntax(c);
    return false;
}

static bool kill_matches(const kill_filter_t *f, const redis_client_t *c)
{
    if (f->id && (uint64_t)f->id != c->id) return false;
    if (f->kind >= 0 && kind_of(c) != f->kind) return false;
    if (f->peer.ptr && !bytes_eq(f->peer, bytes_str(net_conn_peer(c->conn)))) return false;
    if (f->local.ptr && !bytes_eq(f->local, bytes_str(net_conn_local(c->conn)))) return false;
    return !f->age_s_min || (c->redis->now_ms - c->created_ms) / 1000 >= f->age_s_min;
}

static int64_t kill_all(redis_call_t *call, const kill_filter_t *f)
{
    int64_t count = 0;
    bool me = false;
    LIST_EACH(&call->redis->clients, c, redis_client_t, node) {
        if (c->flags & CLIENT_CLOSING || !kill_matches(f, c) || (c == call->client && f->skip_me)) continue;
        count++;
        if (c == call->client) {
            me = true;
            continue;
        }
        c->flags |= CLIENT_CLOSING;
        net_close_now(c->conn);
    }
    if (me) call->client->flags |= CLIENT_CLOSE_AFTER;
    return count;
}

void redis_cmd_client_kill(redis_call_t *call)
{
    kill_filter_t f = {.kind = -1, .skip_me = true};
    if (call->argc == 3) {
        f.peer = call->argv[2];
        f.skip_me = false;
        if (kill_all(call, &f))
            reply_ok(call->client);
        else
            reply_error(call->client, "ERR No such client");
    } else {
        for (int i = 2; i < call->argc; i += 2)
            if (!kill_option(call, i, &f)) return;
        reply_int(call->client, kill_all(call, &f));
    }
    if (call->client->flags & CLIENT_CLOSE_AFTER) client__close(call->client);
}

/* ---- switches -------------------------------------------------------------------------------------------------------- */

static void set_switch(redis_call_t *call, uint32_t flag)
{
    if (arg_is(call, 2, "ON")) {
        call->client->flags |= flag;
    } else if (arg_is(call, 2, "OFF")) {
        call->client->flags &= ~flag;
    } else {
        reply_error_syntax(call->client);
        return;
    }
    reply_ok(call->client);
}

void redis_cmd_client_no_evict(redis_call_t *call) { set_switch(call, CLIENT_NO_EVICT); }
void redis_cmd_client_no_touch(redis_call_t *call) { set_switch(call, CLIENT_NO_TOUCH); }

void redis_cmd_client_reply(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (arg_is(call, 2, "ON")) {
        client__flush(c);
        c->flags &= ~(uint32_t)(CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
        reply_ok(c);
    } else if (arg_is(call, 2, "OFF")) {
        client__flush(c);
        c->flags |= CLIENT_REPLY_OFF;
    } else if (arg_is(call, 2, "SKIP")) {
        if (!(c->flags & CLIENT_REPLY_OFF)) c->flags |= CLIENT_REPLY_SKIP_NEXT;
    } else {
        reply_error_syntax(c);
    }
}

void redis_cmd_client_unblock(redis_call_t *call)
{
    int64_t id;
    bool with_error = call->argc == 4 && arg_is(call, 3, "ERROR");
    if (call->argc == 4 && !with_error && !arg_is(call, 3, "TIMEOUT")) {
        reply_error(call->client, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
        return;
    }
    if (!arg_i64(call, 2, &id)) return;
    redis_client_t *c = client__by_id(call->redis, (uint64_t)id);
    reply_int(call->client, c && blocking__unblock(c, with_error));
}

void redis_cmd_client_pause(redis_call_t *call)
{
    int64_t ms;
    bool all = true;
    if (call->argc == 4) {
        all = arg_is(call, 3, "ALL");
        if (!all && !arg_is(call, 3, "WRITE")) {
            reply_error(call->client, "ERR CLIENT PAUSE mode must be WRITE or ALL");
            return;
        }
    }
    if (!arg_timeout_ms(call, 2, &ms)) return;
    redis_t *redis = call->redis;
    redis->pause_all = all || redis->pause_all;
    redis->pause_until_ms = MAX(redis->pause_until_ms, call->now_ms + ms);
    redis__update_gate(redis);
    reply_ok(call->client);
}

void redis_cmd_client_unpause(redis_call_t *call)
{
    redis__end_pause(call->redis);
    reply_ok(call->client);
}
