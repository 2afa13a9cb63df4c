/* connection.c: HELLO, AUTH and the small commands of a connection. CLIENT is in client.c. */
#include "redis/conn/clients.h"
#include "redis/conn/out.h"
#include "redis/conn/tracking.h"
#include "redis/exec/monitor.h"
#include "redis/exec/multi.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include "base/num.h"

#include <stdio.h>

/* ---- login ----------------------------------------------------------------------------------------------------------- */

/* Takes as long whatever the guess has right. */
static bool same_secret(bytes_t a, bytes_t b)
{
    unsigned diff = a.len != b.len;
    for (size_t i = 0; i < a.len; i++) diff |= (unsigned)(a.ptr[i] ^ (b.len ? b.ptr[i % b.len] : 1));
    return diff == 0;
}

static bool has_password(const redis_client_t *c) { return c->clients->config->requirepass.len > 0; }

static bool login(redis_client_t *c, bytes_t user, bytes_t password)
{
    bool known = bytes_eq(user, BYTES_LIT("default"));
    bool right = !has_password(c) || same_secret(password, c->clients->config->requirepass);
    if (!known || !right) {
        reply_error(c, "WRONGPASS invalid username-password pair or user is disabled.");
        return false;
    }
    c->flags &= ~(uint32_t)CLIENT_NEED_AUTH;
    return true;
}

void redis_cmd_auth(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (call->argc > 3) {
        reply_error_syntax(c);
        return;
    }
    if (call->argc == 2 && !has_password(call->client)) {
        reply_error(c, "ERR AUTH <password> called without any password configured for the default user. Are "
                       "you sure your "
                       "configuration is correct?");
        return;
    }
    bytes_t user = call->argc == 3 ? call->argv[1] : BYTES_LIT("default");
    if (login(c, user, call->argv[call->argc - 1])) reply_ok(c);
}

/* ---- HELLO ----------------------------------------------------------------------------------------------------------- */

static void reply_greeting(redis_client_t *c)
{
    const char *zone = c->clients->config->availability_zone;
    reply_map(c, *zone ? 8 : 7);
    reply_bulk_str(c, "server");
    reply_bulk_str(c, "redis");
    reply_bulk_str(c, "version");
    reply_bulk_str(c, REDIS_VERSION);
    reply_bulk_str(c, "proto");
    reply_int(c, c->resp);
    reply_bulk_str(c, "id");
    reply_int(c, (int64_t)c->id);
    reply_bulk_str(c, "mode");
    reply_bulk_str(c, "standalone");
    reply_bulk_str(c, "role");
    reply_bulk_str(c, "master");
    reply_bulk_str(c, "modules");
    reply_array(c, 0);
    if (!*zone) return;
    reply_bulk_str(c, "availability_zone");
    reply_bulk_str(c, zone);
}

static bool hello_options(redis_call_t *call, bytes_t *ret_name)
{
    redis_client_t *c = call->client;
    int left;
    for (int i = 2; i < call->argc; i++) {
        left = call->argc - 1 - i;
        if (arg_is(call, i, "AUTH") && left >= 2) {
            if (!login(c, call->argv[i + 1], call->argv[i + 2])) return false;
            i += 2;
        } else if (arg_is(call, i, "SETNAME") && left >= 1) {
            *ret_name = call->argv[++i];
            if (client__name_is_valid(*ret_name)) continue;
            reply_error(c, "ERR Client names cannot contain spaces, newlines or special characters.");
            return false;
        } else {
            reply_errorf(c, "ERR Syntax error in HELLO option '%.*s'", (int)MIN(call->argv[i].len, (size_t)128),
                         (const char *)call->argv[i].ptr);
            return false;
        }
    }
    return true;
}

void redis_cmd_hello(redis_call_t *call)
{
    redis_client_t *c = call->client;
    bytes_t name = BYTES_NULL;
    int64_t version = c->resp;
    if (call->argc >= 2) {
        if (!num_parse_i64(call->argv[1], &version)) {
            reply_error(c, "ERR Protocol version is not an integer or out of range");
            return;
        }
        if (version < 2 || version > 3) {
            reply_error(c, "NOPROTO unsupported protocol version");
            return;
        }
    }
    if (!hello_options(call, &name)) return;
    if (c->flags & CLIENT_NEED_AUTH) {
        reply_error(c, "NOAUTH HELLO must be called with the client already authenticated, otherwise the "
                       "HELLO <proto> AUTH "
                       "<user> <pass> option can be used to authenticate the client and select the RESP "
                       "protocol version "
                       "at the same time");
        return;
    }
    if (name.ptr) client__set_name(c, name);
    if (call->argc >= 2) c->resp = (uint8_t)version;
    reply_greeting(c);
}

/* ---- the rest -------------------------------------------------------------------------------------------------------- */

void redis_cmd_ping(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (call->argc > 2) {
        reply_errorf(c, "ERR wrong number of arguments for '%s' command", call->command->name);
    } else if (c->flags & CLIENT_PUBSUB && c->resp == 2) {
        reply_array(c, 2);
        reply_bulk_str(c, "pong");
        reply_bulk(c, call->argc == 2 ? call->argv[1] : BYTES_LIT(""));
    } else if (call->argc == 2) {
        reply_bulk(c, call->argv[1]);
    } else {
        reply_simple(c, "PONG");
    }
}

void redis_cmd_echo(redis_call_t *call) { reply_bulk(call->client, call->argv[1]); }

void redis_cmd_select(redis_call_t *call)
{
    int64_t n;
    if (!arg_i64(call, 1, &n)) return;
    if (n < 0 || n >= call->db->keyspace->db_count) {
        reply_error(call->client, "ERR DB index is out of range");
        return;
    }
    call->client->db = &call->db->keyspace->dbs[n];
    reply_ok(call->client);
}

void redis_cmd_quit(redis_call_t *call)
{
    reply_ok(call->client);
    client__close(call->client);
}

void redis_cmd_reset(redis_call_t *call)
{
    redis_client_t *c = call->client;
    multi__discard(c);
    multi__unwatch(c);
    pubsub__forget(c);
    tracking__off(c);
    monitor__forget(c);
    out__flush(c);
    c->flags &=
        ~(uint32_t)(CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP_NEXT | CLIENT_NO_TOUCH | CLIENT_NO_EVICT | CLIENT_NEED_AUTH);
    if (has_password(call->client)) c->flags |= CLIENT_NEED_AUTH;
    c->db = &call->db->keyspace->dbs[0];
    c->resp = 2;
    client__set_name(c, BYTES_NULL);
    reply_simple(c, "RESET");
}
