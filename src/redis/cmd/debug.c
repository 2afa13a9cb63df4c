/* debug.c: DEBUG: what tests and the curious ask of a server. Each subcommand is a row of the table at the end. */
#include "base/num.h"
#include "redis/config/config_table.h"
#include "redis/db/digest.h"
#include "redis/db/evict.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/rdb.h"
#include "redis/persist/snapshot.h"
#include "redis/types/quicklist.h"
#include "redis_commands.h"

#include <limits.h>
#include <stdio.h>

/* The original keeps sizes of elements in 32 bits. */
#define LIST_PLAIN_BYTES_MAX (((uint64_t)1 << 32) - MIB(1))

/* ---- values ---------------------------------------------------------------------------------------------------------- */

/* A quicklist's nodes: how many, how full, how long one may be, whether inner ones are packed. */
static void describe_quicklist(const redis_entry_t *e, buf_t *text)
{
    const quicklist_t *ql = entry_value(e);
    size_t raw_bytes = 0;
    for (const ql_node_t *node = ql->head; node; node = node->next) raw_bytes += ql_node_bytes(node);
    buf_printf(
        text, " ql_nodes:%zu ql_avg_node:%.2f ql_listpack_max:%" PRId64 " ql_compressed:%d ql_uncompressed_size:%zu",
        ql->nodes_count, (double)ql->count / (double)ql->nodes_count, ql->fill, ql->compress_depth != 0, raw_bytes);
}

/* The value's bytes in a snapshot, without its type. */
static size_t serialized_bytes(const redis_entry_t *e)
{
    buf_t value = BUF_INIT;
    rdb_writer_t w = {.out = &value, .compress = true};
    rdb__put_entry_value(&w, e);
    size_t bytes = value.len;
    buf_deinit(&value);
    return bytes;
}

static void debug_object(redis_call_t *call)
{
    redis_entry_t *e = db__find(call->db, call->argv[2]);
    if (!e) {
        reply_error_no_such_key(call->client);
        return;
    }
    buf_t text = BUF_INIT;
    buf_printf(&text,
               "Value at:%p refcount:1 encoding:%s serializedlength:%zu lru:%" PRIu32 " lru_seconds_idle:%" PRIu32,
               (void *)e, encoding_name((redis_encoding_t)e->encoding), serialized_bytes(e), (uint32_t)e->access,
               evict__idle_s(&call->redis->keyspace, e));
    if (e->encoding == ENC_QUICKLIST) describe_quicklist(e, &text);
    buf_u8(&text, 0);
    reply_simple(call->client, (const char *)text.ptr);
    buf_deinit(&text);
}

static void debug_reply_digest(redis_client_t *c, const uint8_t digest[DIGEST_BYTES])
{
    char hex[DIGEST_BYTES * 2 + 1];
    for (int i = 0; i < DIGEST_BYTES; i++) snprintf(hex + i * 2, 3, "%02x", digest[i]);
    reply_simple(c, hex);
}

static void debug_digest(redis_call_t *call)
{
    uint8_t digest[DIGEST_BYTES];
    digest_all(&call->redis->keyspace, digest);
    debug_reply_digest(call->client, digest);
}

static void debug_digest_value(redis_call_t *call)
{
    uint8_t digest[DIGEST_BYTES];
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) {
        redis_entry_t *e = db__find(call->db, call->argv[i]);
        memset(digest, 0, sizeof(digest));
        if (e) digest_value(e, call->now_ms, digest);
        debug_reply_digest(call->client, digest);
    }
}

/* COUNT [PREFIX [SIZE]]: keys that hold "value:N", those that are there already left alone. */
static void debug_populate(redis_call_t *call)
{
    static const char positive[] = "ERR value is out of range, must be positive";
    int64_t count, size = 0;
    bytes_t prefix = call->argc > 3 ? call->argv[3] : BYTES_LIT("key");
    if (!arg_i64_in(call, 2, 0, INT64_MAX, positive, &count)) return;
    if (call->argc > 4 && !arg_i64_in(call, 4, 0, (int64_t)call->config->proto_max_bulk_len, positive, &size)) return;
    buf_t key = BUF_INIT, value = BUF_INIT;
    for (int64_t i = 0; i < count; i++) {
        buf_clear(&key);
        buf_append(&key, prefix.ptr, prefix.len);
        buf_printf(&key, ":%" PRId64, i);
        if (key_peek(call, buf_bytes(&key))) continue;
        buf_clear(&value);
        buf_printf(&value, "value:%" PRId64, i);
        while (value.len < (size_t)size) buf_u8(&value, 0);
        if (size) value.len = (size_t)size;
        key_set_string(call, buf_bytes(&key), buf_bytes(&value), false);
        key_changed(call, buf_bytes(&key), NOTIFY_STRING, "set");
        propagate(call, 3, (bytes_t[]){BYTES_LIT("SET"), buf_bytes(&key), buf_bytes(&value)});
    }
    buf_deinit(&key);
    buf_deinit(&value);
    call->dirty++;
    reply_ok(call->client);
}

/* Elements of lists from so many bytes on get a node of their own; 0 = what list-max-listpack-size says. */
static void debug_packed_threshold(redis_call_t *call)
{
    uint64_t bytes;
    if (!num_parse_memory(call->argv[2], &bytes) || bytes > LIST_PLAIN_BYTES_MAX) {
        reply_error(call->client, "ERR argument must be a memory value bigger than 1 and smaller than 4gb");
        return;
    }
    call->redis->config->list_plain_bytes_min = bytes;
    reply_ok(call->client);
}

/* ---- the server ------------------------------------------------------------------------------------------------------ */

static void debug_sleep(redis_call_t *call)
{
    double seconds;
    if (!parse_double(call->argv[2], &seconds)) seconds = 0; /* as strtod reads it */
    io_loop_t *loop = call->redis->loop;
    uint64_t until = io_hrtime_ns(loop) + (uint64_t)(seconds * 1e9);
    while (io_hrtime_ns(loop) < until) {
    } /* the point is to hold the loop up */
    io_loop_update_time(loop);
    call->db->keyspace->now_ms = io_wall_ms(loop);
    reply_ok(call->client);
}

static void reload_failed(redis_call_t *call, const char *why)
{
    reply_errorf(call->client, "ERR Error trying to load the data again, check server logs: %s", why);
}

static void debug_loadaof(redis_call_t *call)
{
    char err[256];
    if (aof__reload(&call->redis->persist, err, sizeof(err)))
        reload_failed(call, err);
    else
        reply_ok(call->client);
}

static void debug_reload(redis_call_t *call)
{
    bool save = true, flush = true, merge = false;
    char err[512];
    for (int i = 2; i < call->argc; i++) {
        if (arg_is(call, i, "MERGE")) {
            merge = true;
        } else if (arg_is(call, i, "NOFLUSH")) {
            flush = false;
        } else if (arg_is(call, i, "NOSAVE")) {
            save = false;
        } else {
            reply_error(call->client, "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
            return;
        }
    }
    if (save && snapshot__save(&call->redis->persist))
        reply_error(call->client, "ERR");
    else if (snapshot__reload(&call->redis->persist, flush, merge, err, sizeof(err)))
        reload_failed(call, err);
    else
        reply_ok(call->client);
}

static void debug_switch(redis_call_t *call, bool *ret_on)
{
    *ret_on = !bytes_eq(call->argv[2], BYTES_LIT("0"));
    reply_ok(call->client);
}

static void debug_pause_cron(redis_call_t *call) { debug_switch(call, &call->redis->cron_paused); }
static void debug_set_active_expire(redis_call_t *call) { debug_switch(call, &call->redis->active_expire); }
static void debug_set_disable_deny_scripts(redis_call_t *call) { debug_switch(call, &call->redis->scripts_unchecked); }

static void debug_change_repl_id(redis_call_t *call)
{
    uint8_t bytes[20];
    io_random(call->redis->loop, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) snprintf(call->redis->run_id + i * 2, 3, "%02x", bytes[i]);
    reply_ok(call->client);
}

/* ---- replies --------------------------------------------------------------------------------------------------------- */

static void debug_error(redis_call_t *call)
{
    bytes_t text = call->argv[2];
    reply_errorf(call->client, "%.*s", (int)MIN(text.len, (size_t)INT_MAX), (const char *)text.ptr);
}

static void debug_push(redis_client_t *c)
{
    if (c->resp != 3) {
        reply_error(c, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_bulk_str(c, "Some real reply following the push reply"); /* the push itself comes behind it, as all do */
    reply_push(c, 2);
    reply_bulk_str(c, "server-cpu-usage");
    reply_int(c, 42);
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
        debug_push(c);
    } else if (arg_is(call, 2, "VERBATIM")) {
        reply_verbatim(c, "txt", BYTES_LIT("This is a verbatim\nstring"));
    } else if (arg_is(call, 2, "TRUE") || arg_is(call, 2, "FALSE")) {
        reply_bool(c, arg_is(call, 2, "TRUE"));
    } else if (arg_is(call, 2, "BIGNUM")) {
        reply_bignum(c, "1234567999999999999999999999999999999");
    } else {
        reply_error(c, "ERR Wrong protocol type name. Please use one of the following: "
                       "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false");
    }
}

/* ---- the table ------------------------------------------------------------------------------------------------------- */

static void debug_help(redis_call_t *call);
static void debug_skip_checksums(redis_call_t *call)
{
    call->redis->config->checksums_skipped = !bytes_eq(call->argv[2], BYTES_LIT("0"));
    reply_ok(call->client);
}

static void debug_reply_buffer(redis_call_t *call)
{
    if (arg_is(call, 2, "RESIZING"))
        reply_ok(call->client);
    else
        reply_error_syntax(call->client);
}

static void debug_rewrite_all(redis_call_t *call) { config__rewrite(call, true); }

static const struct debug_row {
    const char *name, *args, *summary;
    int argc_min, argc_max;
    void (*run)(redis_call_t *call);
} rows[] = {
    {"CHANGE-REPL-ID", "", "Takes a new run id.", 2, 2, debug_change_repl_id},
    {"CONFIG-REWRITE-FORCE-ALL", "", "As CONFIG REWRITE, of settings that nobody has changed, too.", 2, 2,
     debug_rewrite_all},
    {"DIGEST", "", "Tells a checksum of all that is kept.", 2, 2, debug_digest},
    {"DIGEST-VALUE", " <key> [<key> ...]", "Tells a checksum of each value.", 2, INT_MAX, debug_digest_value},
    {"ERROR", " <string>", "Replies this error.", 3, 3, debug_error},
    {"HELP", "", "Lists the subcommands.", 2, 2, debug_help},
    {"LOADAOF", "", "Forgets everything and reads the append-only file.", 2, 2, debug_loadaof},
    {"OBJECT", " <key> [FAST]", "Tells how a value is kept.", 3, 4, debug_object},
    {"POPULATE", " <count> [<prefix> [<size>]]", "Makes keys.", 3, 5, debug_populate},
    {"PROTOCOL", " <type>", "Replies a value of this type.", 3, 3, debug_protocol},
    {"QUICKLIST-PACKED-THRESHOLD", " <size>", "From which size on an element of a list has a node of its own.", 3, 3,
     debug_packed_threshold},
    {"PAUSE-CRON", " (0|1)", "Stops what the server does by itself, or lets it go on.", 3, 3, debug_pause_cron},
    {"RELOAD", " [MERGE] [NOFLUSH] [NOSAVE]", "Writes the snapshot and reads it back.", 2, 5, debug_reload},
    {"REPLYBUFFER", " RESIZING (0|1)", "Agreed to: no client has a reply buffer of a size of its own.", 4, 4,
     debug_reply_buffer},
    {"SET-ACTIVE-EXPIRE", " (0|1)", "Turns the search for expired keys off or on.", 3, 3, debug_set_active_expire},
    {"SET-DISABLE-DENY-SCRIPTS", " (0|1)", "Lets scripts call what is not for scripts.", 3, 3,
     debug_set_disable_deny_scripts},
    {"SET-SKIP-CHECKSUM-VALIDATION", " (0|1)", "Has payloads read whose checksum is wrong.", 3, 3,
     debug_skip_checksums},
    {"SLEEP", " <seconds>", "Holds the server up.", 3, 3, debug_sleep},
};

static void debug_help(redis_call_t *call)
{
    redis_client_t *c = call->client;
    char line[160];
    reply_array(c, ARRAY_LEN(rows) * 2 + 1);
    reply_simple(c, "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(line, sizeof(line), "%s%s", rows[i].name, rows[i].args);
        reply_simple(c, line);
        snprintf(line, sizeof(line), "    %s", rows[i].summary);
        reply_simple(c, line);
    }
}

void redis_cmd_debug(redis_call_t *call)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct debug_row *row = &rows[i];
        if (!arg_is(call, 1, row->name) || call->argc < row->argc_min || call->argc > row->argc_max) continue;
        row->run(call);
        return;
    }
    reply_errorf(call->client, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try DEBUG HELP.",
                 (int)MIN(call->argv[1].len, (size_t)128), (const char *)call->argv[1].ptr);
}
