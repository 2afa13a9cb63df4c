/* function_dump.c: FUNCTION DUMP and RESTORE: all libraries as one payload, in RDB's form. RESTORE takes all of it or nothing. */
#include "redis/exec/scripts.h"
#include "redis/persist/rdb.h"
#include "redis_commands.h"

static void put_library(void *writer, bytes_t code)
{
    rdb_put_u8(writer, RDB_OP_FUNCTION);
    rdb_put_string(writer, code);
}

void redis_cmd_function_dump(redis_call_t *call)
{
    buf_t payload = BUF_INIT;
    rdb_writer_t w = {.out = &payload, .compress = call->config->rdbcompression};
    scripts__each_library(call->redis, put_library, &w);
    rdb__seal(&payload);
    reply_bulk(call->client, buf_bytes(&payload));
    buf_deinit(&payload);
}

/* ---- RESTORE --------------------------------------------------------------------------------------------------------- */

typedef enum { RESTORE_APPEND, RESTORE_REPLACE, RESTORE_FLUSH } restore_policy_t;

static bool parse_policy(redis_call_t *call, restore_policy_t *ret)
{
    *ret = RESTORE_APPEND;
    if (call->argc > 4) {
        reply_error(call->client,
                    "ERR unknown subcommand or wrong number of arguments for 'restore'. Try FUNCTION HELP.");
        return false;
    }
    if (call->argc < 4 || arg_is(call, 3, "APPEND")) return true;
    *ret = arg_is(call, 3, "REPLACE") ? RESTORE_REPLACE : RESTORE_FLUSH;
    if (*ret == RESTORE_REPLACE || arg_is(call, 3, "FLUSH")) return true;
    reply_error(call->client, "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.");
    return false;
}

/* One library of the payload. `why` gets the error. */
static int read_library(rdb_reader_t *r, bytes_t *ret_code, buf_t *why)
{
    uint8_t op;
    if (rdb_get_u8(r, &op)) {
        buf_printf(why, "ERR can not read data type");
    } else if (op == RDB_OP_FUNCTION_OLD) {
        buf_printf(why, "ERR Pre-GA function format not supported");
    } else if (op != RDB_OP_FUNCTION) {
        buf_printf(why, "ERR given type is not a function");
    } else if (rdb_get_string(r, ret_code)) {
        buf_printf(why, "ERR Failed loading library payload");
    } else {
        return 0;
    }
    return ERR_INVALID;
}

static int load_all(redis_call_t *call, bytes_t body, bool replace, buf_t *why)
{
    rdb_reader_t r = rdb_reader_of(body);
    int err = 0;
    while (r.at < r.end && !err) {
        bytes_t code;
        const script_library_t *library;
        err = read_library(&r, &code, why);
        if (!err) err = script_library_load(scripts__engine(call->redis), code, replace, &library, why);
        if (err == ERR_EXISTS) buf_printf(why, "ERR Library %s already exists", library->name);
    }
    rdb_reader_deinit(&r);
    return err;
}

/* The libraries as they were: they loaded once, and there is nothing in their way. */
static void go_back(redis_call_t *call, bytes_t before)
{
    buf_t why = BUF_INIT;
    script_libraries_flush(scripts__engine(call->redis));
    int err = load_all(call, before, false, &why);
    ASSERT(!err);
    buf_deinit(&why);
}

void redis_cmd_function_restore(redis_call_t *call)
{
    restore_policy_t policy;
    bytes_t body;
    if (!parse_policy(call, &policy)) return;
    if (rdb__check_dump(call->config, call->argv[2], &body)) {
        reply_error(call->client, "ERR DUMP payload version or checksum are wrong");
        return;
    }
    buf_t before = BUF_INIT, why = BUF_INIT;
    rdb_writer_t w = {.out = &before};
    scripts__each_library(call->redis, put_library, &w);
    if (policy == RESTORE_FLUSH) script_libraries_flush(scripts__engine(call->redis));
    if (load_all(call, body, policy == RESTORE_REPLACE || call->flags & CALL_LOADING, &why)) {
        go_back(call, buf_bytes(&before));
        reply_errorf(call->client, "%.*s", (int)why.len, (const char *)why.ptr);
    } else {
        call->dirty++;
        reply_ok(call->client);
    }
    buf_deinit(&before);
    buf_deinit(&why);
}
