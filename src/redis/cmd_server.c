/* cmd_server.c: FLUSHALL, SHUTDOWN, SWAPDB's exchange, DEBUG, MEMORY and the small commands about the server
 * itself. */
#include "redis/aof.h"
#include "redis/changes.h"
#include "redis/script_host.h"
#include "redis/state.h"
#include "redis_commands.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- whole databases ------------------------------------------------------------------------------------------------- */

static bool flush_option(redis_call_t *call)
{
    if (call->argc == 1) return true;
    if (call->argc == 2 && (arg_is(call, 1, "SYNC") || arg_is(call, 1, "ASYNC"))) return true;
    reply_error_syntax(call->client);
    return false;
}

static uint64_t flush(redis_call_t *call, redis_db_t *db)
{
    if (call->redis->watching_clients) multi__touch_all(db, NULL);
    if (call->redis->observer && !(call->flags & CALL_LOADING)) changes__tell_flush(db, call->command->name);
    return db__clear(db);
}

/* False after the observer's refusal. */
static bool may_flush(redis_call_t *call)
{
    const char *why = changes__refusal(call->db, call->command, call->argc, call->argv);
    if (why) reply_error(call->client, why);
    return why == NULL;
}

void redis_cmd_flushdb(redis_call_t *call)
{
    if (!flush_option(call) || !may_flush(call)) return;
    aof__rewrite_restart(call->redis);
    call->dirty += flush(call, call->db) + 1;
    bytes_t argv[1] = {BYTES_LIT("FLUSHDB")};
    propagate(call, 1, argv);
    reply_ok(call->client);
}

void redis_cmd_flushall(redis_call_t *call)
{
    if (!flush_option(call) || !may_flush(call)) return;
    aof__rewrite_restart(call->redis);
    for (int i = 0; i < call->redis->db_count; i++) call->dirty += flush(call, &call->redis->dbs[i]);
    call->dirty++;
    bytes_t argv[1] = {BYTES_LIT("FLUSHALL")};
    propagate(call, 1, argv);
    reply_ok(call->client);
}

void db__swap(redis_db_t *a, redis_db_t *b)
{
    redis_t *redis = a->redis;
    aof__rewrite_restart(redis); /* its walk knows databases by number */
    if (redis->watching_clients) {
        multi__touch_all(a, b);
        multi__touch_all(b, a);
    }
    table_t keys = a->keys, expires = a->expires;
    a->keys = b->keys;
    a->expires = b->expires;
    b->keys = keys;
    b->expires = expires;
    a->expire_cursor = b->expire_cursor = 0;
    if (redis->blocked_clients) {
        blocking__recheck(a);
        blocking__recheck(b);
    }
}

void redis_cmd_dbsize(redis_call_t *call) { reply_int(call->client, (int64_t)table_count(&call->db->keys)); }

/* ---- persistence ----------------------------------------------------------------------------------------------------- */

void redis_cmd_bgrewriteaof(redis_call_t *call)
{
    if (!aof__info(call->redis).enabled)
        reply_error(call->client, "ERR the append-only file is off: CONFIG SET appendonly yes writes it anew");
    else if (aof__rewrite(call->redis) != 0)
        reply_error(call->client, "ERR Background append only file rewriting already in progress");
    else
        reply_simple(call->client, "Background append only file rewriting started");
}

void redis_cmd_lastsave(redis_call_t *call) { reply_int(call->client, call->redis->last_save_s); }

void redis_cmd_shutdown(redis_call_t *call)
{
    bool abort_asked = false, nosave = false;
    for (int i = 1; i < call->argc; i++) {
        bool known =
            arg_is(call, i, "NOSAVE") || arg_is(call, i, "SAVE") || arg_is(call, i, "NOW") || arg_is(call, i, "FORCE");
        abort_asked |= arg_is(call, i, "ABORT");
        nosave |= arg_is(call, i, "NOSAVE");
        if (known || (abort_asked && call->argc == 2)) continue;
        reply_error_syntax(call->client);
        return;
    }
    if (abort_asked) {
        reply_error(call->client, "ERR No shutdown in progress.");
        return;
    }
    if (call->redis->script_busy && !nosave) {
        reply_error(call->client, scripts__busy_text(call->redis));
        return;
    }
    if (call->redis->on_shutdown == NULL) {
        reply_error(call->client, "ERR Errors trying to SHUTDOWN. Check logs.");
        return;
    }
    client__close(call->client);
    call->redis->on_shutdown(call->redis->on_shutdown_user);
}

/* ---- small ones ------------------------------------------------------------------------------------------------------ */

void redis_cmd_time(redis_call_t *call)
{
    bool frozen = call->flags & CALL_IN_EXEC; /* one time for a whole script or transaction */
    int64_t us = frozen ? call->now_ms * 1000 : io_wall_us(call->redis->loop);
    reply_array(call->client, 2);
    reply_bulk_i64(call->client, us / 1000000);
    reply_bulk_i64(call->client, us % 1000000);
}

void redis_cmd_role(redis_call_t *call)
{
    reply_array(call->client, 3);
    reply_bulk_str(call->client, "master");
    reply_int(call->client, 0);
    reply_array(call->client, 0);
}

void redis_cmd_lolwut(redis_call_t *call)
{
    static const char text[] = "    _________\n"
                               "   /   / \\   \\\n"
                               "  /___/___\\___\\   three legs\n"
                               "   |    |    |\n"
                               "   |    |    |\n"
                               "\nRedis ver. " REDIS_VERSION "\n";
    reply_verbatim(call->client, "txt", BYTES_LIT(text));
}

/* There are no replicas: whoever waits for one waits until the timeout. */
void redis_cmd_wait(redis_call_t *call)
{
    static const char error[] = "ERR timeout is not an integer or out of range";
    int64_t replicas, timeout_ms;
    if (!arg_i64(call, 1, &replicas)) return;
    if (!arg_i64_in(call, 2, INT64_MIN, INT64_MAX - call->now_ms, error, &timeout_ms)) return;
    if (timeout_ms < 0)
        reply_error(call->client, "ERR timeout is negative");
    else if (replicas <= 0 || !key_block(call, NULL, 0, TYPE_STRING, timeout_ms, BLOCK_ZERO))
        reply_int(call->client, 0);
}

void redis_cmd_memory_usage(redis_call_t *call)
{
    int64_t samples = 5;
    for (int i = 3; i < call->argc; i++) {
        if (!arg_is(call, i, "SAMPLES") || i + 1 >= call->argc) {
            reply_error_syntax(call->client);
            return;
        }
        if (!arg_i64(call, ++i, &samples)) return;
        if (samples < 0) {
            reply_error_syntax(call->client);
            return;
        }
    }
    redis_entry_t *e = key_peek(call, call->argv[2]);
    if (e == NULL)
        reply_null(call->client);
    else
        reply_int(call->client, (int64_t)(entry__memory_bytes(e, (size_t)samples) + sizeof(void *) + 1));
}

/* HELP of any container, from its rows. */
void redis_cmd_help(redis_call_t *call)
{
    const redis_command_t *of = call->command->parent;
    char line[256], upper[32];
    for (size_t i = 0; i <= strlen(of->name); i++)
        upper[i] = (char)(of->name[i] >= 'a' && of->name[i] <= 'z' ? of->name[i] - 32 : of->name[i]);
    reply_array(call->client, (size_t)of->subcommand_count * 2 + 1);
    snprintf(line, sizeof(line), "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", upper);
    reply_simple(call->client, line);
    for (unsigned i = 0; i < of->subcommand_count; i++) {
        const redis_command_t *sub = &of->subcommands[i];
        size_t n = 0;
        for (const char *p = sub->name; *p; p++) line[n++] = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
        for (unsigned a = 0; a < sub->arg_count && n < sizeof(line); a++)
            n += (size_t)snprintf(line + n, sizeof(line) - n,
                                  sub->args[a].flags & ARG_OPTIONAL ? " [<%s>%s]" : " <%s>%s", sub->args[a].name,
                                  sub->args[a].flags & ARG_MULTIPLE ? " ..." : "");
        line[MIN(n, sizeof(line) - 1)] = '\0';
        reply_simple(call->client, line);
        snprintf(line, sizeof(line), "    %s.", sub->summary);
        reply_simple(call->client, line);
    }
}

/* ---- DEBUG ----------------------------------------------------------------------------------------------------------- */

static void debug_sleep(redis_call_t *call)
{
    double seconds;
    if (!arg_double(call, 2, &seconds)) return;
    io_loop_t *loop = call->redis->loop;
    uint64_t until = io_hrtime_ns(loop) + (uint64_t)(seconds * 1e9);
    while (io_hrtime_ns(loop) < until) {
    } /* the point is to hold the loop up */
    io_loop_update_time(loop);
    call->redis->now_ms = io_wall_ms(loop);
    reply_ok(call->client);
}

static void debug_object(redis_call_t *call)
{
    redis_entry_t *e = db__find(call->db, call->argv[2]);
    if (e == NULL) {
        reply_error_no_such_key(call->client);
        return;
    }
    char text[256];
    snprintf(text, sizeof(text),
             "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%" PRIu32 " lru_seconds_idle:%" PRIu32,
             (void *)e, encoding__name((redis_encoding_t)e->encoding), entry__memory_bytes(e, 0), e->access,
             call->redis->lru_clock - e->access);
    reply_simple(call->client, text);
}

static void debug_reload(redis_call_t *call, int (*reload)(redis_t *redis, char *err, size_t err_bytes))
{
    char err[256];
    if (reload(call->redis, err, sizeof(err)) == 0)
        reply_ok(call->client);
    else
        reply_errorf(call->client, "ERR Error trying to load the data again, check server logs: %s", err);
}

static void debug_protocol(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (arg_is(call, 2, "STRING")) {
        reply_bulk_str(c, "Hello World");
    } else if (arg_is(call, 2, "INTEGER")) {
        reply_int(c, 12345);
    } else if (arg_is(call, 2, "DOUBLE")) {
        reply_double(c, 3.141);
    } else if (arg_is(call, 2, "NULL")) {
        reply_null(c);
    } else if (arg_is(call, 2, "ARRAY") || arg_is(call, 2, "SET")) {
        arg_is(call, 2, "SET") ? reply_set(c, 3) : reply_array(c, 3);
        for (int i = 0; i < 3; i++) reply_int(c, i);
    } else if (arg_is(call, 2, "MAP")) {
        reply_map(c, 3);
        for (int i = 0; i < 3; i++) {
            reply_int(c, i);
            reply_bool(c, i == 1);
        }
    } else if (arg_is(call, 2, "ATTRIB")) {
        if (c->resp == 3) {
            static const char attribute[] = "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n";
            reply_raw(c, attribute, sizeof(attribute) - 1);
        }
        reply_bulk_str(c, "Some real reply following the attribute");
    } else if (arg_is(call, 2, "PUSH")) {
        reply_push(c, 2);
        reply_bulk_str(c, "server-cpu-usage");
        reply_int(c, 42);
    } else if (arg_is(call, 2, "VERBATIM")) {
        reply_verbatim(c, "txt", BYTES_LIT("This is a verbatim\nstring"));
    } else if (arg_is(call, 2, "TRUE") || arg_is(call, 2, "FALSE")) {
        reply_bool(c, arg_is(call, 2, "TRUE"));
    } else if (arg_is(call, 2, "BIGNUM")) {
        reply_bignum(c, "1234567999999999999999999999999999999");
    } else {
        reply_error(c, "ERR Wrong protocol type name. Please use one of the following: "
                       "string|integer|double|null|array|set|map|attrib|push|verbatim|true|false");
    }
}

void redis_cmd_debug(redis_call_t *call)
{
    redis_client_t *c = call->client;
    if (arg_is(call, 1, "SLEEP") && call->argc == 3) {
        debug_sleep(call);
    } else if (arg_is(call, 1, "OBJECT") && (call->argc == 3 || call->argc == 4)) {
        debug_object(call);
    } else if (arg_is(call, 1, "SET-ACTIVE-EXPIRE") && call->argc == 3) {
        call->redis->active_expire = !bytes_eq(call->argv[2], BYTES_LIT("0"));
        reply_ok(c);
    } else if (arg_is(call, 1, "SET-DISABLE-DENY-SCRIPTS") && call->argc == 3) {
        call->redis->scripts_unchecked = !bytes_eq(call->argv[2], BYTES_LIT("0"));
        reply_ok(c);
    } else if (arg_is(call, 1, "CHANGE-REPL-ID") && call->argc == 2) {
        uint8_t bytes[20];
        io_random(call->redis->loop, bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++) snprintf(call->redis->run_id + i * 2, 3, "%02x", bytes[i]);
        reply_ok(c);
    } else if (arg_is(call, 1, "PROTOCOL") && call->argc == 3) {
        debug_protocol(call);
    } else if (arg_is(call, 1, "LOADAOF") && call->argc == 2) {
        debug_reload(call, aof__reload);
    } else if (arg_is(call, 1, "RELOAD") && call->argc == 2) {
        debug_reload(call, aof__reload_emitted);
    } else {
        reply_errorf(c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                     (int)MIN(call->argv[1].len, (size_t)128), (const char *)call->argv[1].ptr);
    }
}
