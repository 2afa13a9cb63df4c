/* server.c: FLUSHALL, SHUTDOWN, SWAPDB's exchange, DEBUG, MEMORY and the small commands about the server
 * itself. */
#include "redis/exec/changes.h"
#include "redis/exec/scripts.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/snapshot.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- whole databases ------------------------------------------------------------------------------------------------- */

static bool flush_option(redis_call_t *call, bool *ret_later)
{
    bool sync = call->argc == 2 && arg_is(call, 1, "SYNC"), async = call->argc == 2 && arg_is(call, 1, "ASYNC");
    *ret_later = async || (call->argc == 1 && call->config->lazyfree_lazy_user_flush);
    if (call->argc == 1 || sync || async) return true;
    reply_error_syntax(call->client);
    return false;
}

static uint64_t flush(redis_call_t *call, redis_db_t *db, bool later)
{
    return db__empty(db, call->flags & CALL_LOADING ? NULL : call->command->name, later);
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
    bool later;
    if (!flush_option(call, &later) || !may_flush(call)) return;
    call->dirty += flush(call, call->db, later) + 1;
    bytes_t argv[1] = {BYTES_LIT("FLUSHDB")};
    propagate(call, 1, argv);
    reply_ok(call->client);
}

/* With save points the snapshot must not bring back what was flushed. */
static void save_nothing(redis_call_t *call)
{
    bool wanted = call->redis->config->save.count > 0 && !(call->flags & (CALL_LOADING | CALL_IN_EXEC));
    if (wanted && snapshot__save(&call->redis->persist) == 0) call->dirty = 0;
}

void redis_cmd_flushall(redis_call_t *call)
{
    bool later;
    if (!flush_option(call, &later) || !may_flush(call)) return;
    for (int i = 0; i < call->db->keyspace->db_count; i++)
        call->dirty += flush(call, &call->db->keyspace->dbs[i], later);
    call->dirty++;
    bytes_t argv[1] = {BYTES_LIT("FLUSHALL")};
    propagate(call, 1, argv);
    save_nothing(call);
    reply_ok(call->client);
}

void redis_cmd_dbsize(redis_call_t *call) { reply_int(call->client, (int64_t)table_count(&call->db->keys)); }

/* ---- persistence ----------------------------------------------------------------------------------------------------- */

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

/* There are no modules, which run inside the original's own structures: enable-module-command stays at "no". */
void redis_cmd_module_list(redis_call_t *call) { reply_array(call->client, 0); }

void redis_cmd_module_refused(redis_call_t *call)
{
    reply_error(
        call->client,
        "ERR MODULE command not allowed. If the enable-module-command option is set to \"local\", you can run it "
        "from a local connection, otherwise you need to set this option in the configuration file, and then "
        "restart the server.");
}

/* There are no replicas: whoever waits for one waits until the timeout. */
void redis_cmd_wait(redis_call_t *call)
{
    int64_t replicas, timeout_ms;
    if (!arg_i64(call, 1, &replicas) || !arg_timeout_ms(call, 2, &timeout_ms)) return;
    if (replicas <= 0 || !key_block(call, NULL, 0, TYPE_STRING, timeout_ms, BLOCK_ZERO)) reply_int(call->client, 0);
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
