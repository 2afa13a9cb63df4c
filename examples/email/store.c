/* store.c: see store.h. */
#include "store.h"

#include <string.h>
#include <sys/time.h>

#define CONNECT_SECONDS_MAX 2
#define REPLY_SECONDS_MAX   10

arg_t number_arg(char buffer[24], int64_t value)
{
    return (arg_t){buffer, (size_t)snprintf(buffer, 24, "%lld", (long long)value)};
}

void store_init(store_t *store, const config_t *config) { *store = (store_t){.config = config}; }

void store_deinit(store_t *store)
{
    if (store->context) redisFree(store->context);
    store->context = NULL;
}

static bool is_ok(redisContext *context, redisReply *reply)
{
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    if (!ok) say("Redis: %s", reply ? reply->str : context->errstr);
    if (reply) freeReplyObject(reply);
    return ok;
}

static bool greet(const config_t *config, redisContext *context)
{
    if (*config->redis_user &&
        !is_ok(context, redisCommand(context, "AUTH %s %s", config->redis_user, config->redis_password)))
        return false;
    if (!*config->redis_user && *config->redis_password &&
        !is_ok(context, redisCommand(context, "AUTH %s", config->redis_password)))
        return false;
    return !config->redis_database || is_ok(context, redisCommand(context, "SELECT %d", config->redis_database));
}

static bool connect_once(store_t *store)
{
    if (store->context) return true;
    const config_t *config = store->config;
    redisContext *context = redisConnectWithTimeout(config->redis_host, config->redis_port,
                                                    (struct timeval){.tv_sec = CONNECT_SECONDS_MAX});
    if (!context) return false;
    if (context->err) say("Redis at %s:%d: %s", config->redis_host, config->redis_port, context->errstr);
    if (context->err || redisSetTimeout(context, (struct timeval){.tv_sec = REPLY_SECONDS_MAX}) ||
        !greet(config, context)) {
        redisFree(context);
        return false;
    }
    store->context = context;
    return true;
}

redisReply *store_run(store_t *store, int argc, const arg_t argv[])
{
    const char *data[STORE_ARGS_MAX];
    size_t sizes[STORE_ARGS_MAX];
    if (argc > STORE_ARGS_MAX) die("a command of %d arguments", argc);
    for (int i = 0; i < argc; i++) {
        data[i] = argv[i].data;
        sizes[i] = argv[i].size;
    }
    for (int attempt = 0; attempt < 2; attempt++) {
        if (!connect_once(store)) return NULL;
        redisReply *reply = redisCommandArgv(store->context, argc, data, sizes);
        if (reply && reply->type != REDIS_REPLY_ERROR) return reply;
        if (reply) {
            say("Redis answers %s to %s", reply->str, data[0]);
            freeReplyObject(reply);
            return NULL;
        }
        store_deinit(store); /* broken, perhaps long ago: a second connection tells */
    }
    return NULL;
}

redisReply *store_eval(store_t *store, const char *script, int keys, int argc, const arg_t argv[])
{
    arg_t all[STORE_ARGS_MAX] = {ARG_TEXT("EVAL"), ARG_TEXT(script), ARG_INT(keys)};
    if (argc + 3 > STORE_ARGS_MAX) die("a script with %d arguments", argc);
    memcpy(all + 3, argv, argc * sizeof *argv);
    return store_run(store, argc + 3, all);
}

const char *reply_text(const redisReply *reply, size_t i)
{
    if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements || !reply->element[i]->str) return "";
    return reply->element[i]->str;
}
