/* client.c: CLIENT and its subcommands. */
#include "redis/cmd/client.h"
#include "redis/cmd/client_filter.h"
#include "redis/conn/out.h"
#include "redis/conn/tracking.h"
#include "redis/exec/pause.h"
#include "redis/exec/state.h"
#include "redis_commands.h"

#include "base/num.h"

/* ---- describing ------------------------------------------------------------------------------------------------------ */

void client__put_flags(const redis_client_t *c, buf_t *out)
{
    static const struct {
        uint32_t bit;
        char letter;
    } letters[] = {{CLIENT_PUBSUB, 'P'},  {CLIENT_MULTI, 'x'},    {CLIENT_BLOCKED, 'b'},  {CLIENT_DIRTY_CAS, 'd'},
                   {CLIENT_CLOSING, 'c'}, {CLIENT_NO_EVICT, 'e'}, {CLIENT_NO_TOUCH, 'T'}, {CLIENT_MONITOR, 'O'}};
    size_t before = out->len;
    for (size_t i = 0; i < ARRAY_LEN(letters); i++)
        if (c->flags & letters[i].bit) buf_u8(out, (uint8_t)letters[i].letter);
    if (c->conn && net_conn_has_path(c->conn)) buf_u8(out, 'U');
    uint32_t tracking = c->tracking ? c->tracking->flags : 0;
    if (c->tracking) buf_u8(out, 't');
    if (tracking & TRACKING_BROKEN_REDIR) buf_u8(out, 'R');
    if (tracking & TRACKING_BCAST) buf_u8(out, 'B');
    if (out->len == before) buf_u8(out, 'N');
}

static void describe(redis_client_t *c, buf_t *out)
{
    const redis_t *redis = c->redis;
    client_holding_t h = client_memory__measure(c);
    buf_printf(out,
               "id=%" PRIu64 " addr=%s laddr=%s fd=%" PRIu64 " name=%s age=%" PRId64 " idle=%" PRId64 " flags=", c->id,
               net_conn_peer(c->conn), net_conn_local(c->conn), net_conn_id(c->conn), c->name ? c->name : "",
               (redis->keyspace.now_ms - c->created_ms) / 1000, (redis->keyspace.now_ms - c->active_ms) / 1000);
    client__put_flags(c, out);
    buf_printf(out,
               " capa=%s db=%d sub=%zu psub=%zu ssub=%zu multi=%d watch=%zu qbuf=%zu qbuf-free=%zu argv-mem=%zu "
               "multi-mem=%zu rbs=%d "
               "rbp=0 obl=%zu oll=0 omem=%zu tot-mem=%zu events=%s cmd=%s user=default redir=%" PRId64 " resp=%d "
               "lib-name=%s lib-ver=%s "
               "tot-net-in=%" PRIu64 " tot-net-out=%" PRIu64 " tot-cmds=%" PRIu64 "\n",
               c->flags & CLIENT_REDIRECTS ? "r" : "", c->db->id, c->channels.count, c->patterns.count,
               c->shard_channels.count, c->flags & CLIENT_MULTI ? (int)c->queue_len : -1, c->watch_count, h.query,
               h.query_free, h.arguments, h.queued, OUT_RESERVE_BYTES, h.small_unsent, h.unsent, h.total,
               h.unsent + h.small_unsent ? "rw" : "r", c->last_command ? c->last_command->full_name : "NULL",
               c->tracking ? (int64_t)c->tracking->redirect_id : -1, c->resp, c->lib_name ? c->lib_name : "",
               c->lib_version ? c->lib_version : "", c->in_bytes, c->out_bytes, c->commands);
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
    describe(call->client, &text);
    reply_verbatim(call->client, "txt", buf_bytes(&text));
    buf_deinit(&text);
}

void redis_cmd_client_list(redis_call_t *call)
{
    client_filter_t f = {0};
    buf_t text = BUF_INIT;
    if (client_filter__read(call, 2, &f)) {
        LIST_EACH(&call->redis->clients.all, c, redis_client_t, node)
            if (!(c->flags & CLIENT_DROPPED) && client_filter__matches(&f, call, c)) describe(c, &text);
        reply_verbatim(call->client, "txt", bytes_of(text.ptr ? text.ptr : (const uint8_t *)"", text.len));
    }
    client_filter__deinit(&f);
    buf_deinit(&text);
}

static int64_t kill_all(redis_call_t *call, const client_filter_t *f)
{
    int64_t count = 0;
    bool me = false;
    LIST_EACH(&call->redis->clients.all, c, redis_client_t, node) {
        if (c->flags & CLIENT_CLOSING || !client_filter__matches(f, call, c)) continue;
        count++;
        if (c == call->client) {
            me = true;
            continue;
        }
        client__drop(c);
    }
    if (me) call->client->flags |= CLIENT_CLOSE_AFTER;
    return count;
}

static void kill_by_address(redis_call_t *call)
{
    client_filter_t f = {.is[FILTER_ADDR] = {.given = true, .text = call->argv[2]}};
    if (kill_all(call, &f))
        reply_ok(call->client);
    else
        reply_error(call->client, "ERR No such client");
}

static void kill_by_filter(redis_call_t *call)
{
    client_filter_t f = {.skip_me = true};
    if (client_filter__read(call, 2, &f)) reply_int(call->client, kill_all(call, &f));
    client_filter__deinit(&f);
}

void redis_cmd_client_kill(redis_call_t *call)
{
    if (call->argc == 3)
        kill_by_address(call);
    else
        kill_by_filter(call);
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

/* What is not known is passed over, as there. */
void redis_cmd_client_capa(redis_call_t *call)
{
    for (int i = 2; i < call->argc; i++)
        if (arg_is(call, i, "REDIRECT")) call->client->flags |= CLIENT_REDIRECTS;
    reply_ok(call->client);
}

/* import-mode is always off: there is nobody to import from. */
void redis_cmd_client_import_source(redis_call_t *call)
{
    if (arg_is(call, 2, "OFF"))
        reply_ok(call->client);
    else
        reply_error(call->client, "ERR Server is not in import mode");
}

void redis_cmd_client_reply(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (arg_is(call, 2, "ON")) {
        out__flush(c);
        c->flags &= ~(uint32_t)(CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP);
        reply_ok(c);
    } else if (arg_is(call, 2, "OFF")) {
        out__flush(c);
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
    redis_client_t *c = clients__find(&call->redis->clients, (uint64_t)id);
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
    redis->keyspace.paused = true;
    redis->pause_until_ms = MAX(redis->pause_until_ms, call->now_ms + ms);
    exec__update_gate(redis);
    reply_ok(call->client);
}

void redis_cmd_client_unpause(redis_call_t *call)
{
    pause__end(call->redis);
    reply_ok(call->client);
}
