/* migrate.c: MIGRATE: what is asked for; exec/migration.c does it while the client waits. */
#include "redis/exec/key.h"
#include "redis/exec/migration.h"
#include "redis_commands.h"

#include "base/num.h"

#define FIRST_OPTION 6

/* Where an option's words end; 0 after the error. KEYS takes all that follow. */
static int take_option(redis_call_t *call, int i, migration_order_t *o, int *ret_first_key)
{
    int more = call->argc - 1 - i;
    if (arg_is(call, i, "COPY")) {
        o->copy = true;
        return i + 1;
    }
    if (arg_is(call, i, "REPLACE")) {
        o->replace = true;
        return i + 1;
    }
    if (arg_is(call, i, "AUTH") && more >= 1) {
        o->user = BYTES_NULL;
        o->password = call->argv[i + 1];
        return i + 2;
    }
    if (arg_is(call, i, "AUTH2") && more >= 2) {
        o->user = call->argv[i + 1];
        o->password = call->argv[i + 2];
        return i + 3;
    }
    if (arg_is(call, i, "KEYS") && call->argv[3].len) {
        reply_error(call->client,
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string");
        return 0;
    }
    if (!arg_is(call, i, "KEYS")) {
        reply_error_syntax(call->client);
        return 0;
    }
    *ret_first_key = i + 1;
    return call->argc;
}

/* False after the error. */
static bool parse(redis_call_t *call, migration_order_t *o, int *ret_first_key, int *ret_end)
{
    int64_t port;
    *ret_first_key = 3;
    for (int i = FIRST_OPTION; i < call->argc;)
        if ((i = take_option(call, i, o, ret_first_key)) == 0) return false;
    *ret_end = *ret_first_key == 3 ? 4 : call->argc;
    if (!arg_i64(call, 5, &o->timeout_ms) || !arg_i64(call, 4, &o->db)) return false;
    if (o->timeout_ms <= 0) o->timeout_ms = 1000;
    o->timeout_ms = MIN(o->timeout_ms, (int64_t)INT32_MAX);
    bool ok = num_parse_i64(call->argv[2], &port) && port > 0 && port <= UINT16_MAX;
    o->host = call->argv[1];
    o->port = ok ? (uint16_t)port : 0; /* to which nobody connects */
    return true;
}

void redis_cmd_migrate(redis_call_t *call)
{
    migration_order_t order = {0};
    int first, end;
    if (!parse(call, &order, &first, &end)) return;
    bytes_t *keys = mem_alloc(sizeof(bytes_t) * (size_t)MAX(end - first, 1));
    for (int i = first; i < end; i++)
        if (key_read(call, call->argv[i])) keys[order.key_count++] = call->argv[i];
    order.keys = keys;
    propagate_none(call); /* each key's DEL travels when the other server has it */
    if (order.key_count == 0)
        reply_simple(call->client, "NOKEY");
    else if (!redis_call_may_wait(call))
        reply_error(call->client, "ERR MIGRATE waits for the other server, which a transaction or a script cannot");
    else
        migration__begin(call, &order);
    mem_free(keys);
}
