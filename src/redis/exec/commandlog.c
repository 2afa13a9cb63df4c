/* commandlog.c: COMMANDLOG: the last commands that took long, whose request was large, or whose reply was. SLOWLOG is its older
 * name for the first. */
#include "redis/exec/commandlog.h"
#include "redis/exec/secrets.h"
#include "redis/exec/state.h"
#include "redis_commands.h"

#include <stdio.h>

enum { WORDS_MAX = 32, WORD_BYTES_MAX = 128 };

typedef struct logged {
    list_t node;
    uint64_t id, measure; /* microseconds or bytes */
    int64_t at_s;
    char *peer, *client;
    int argc;
    bytes_t argv[WORDS_MAX];
} logged_t;

typedef struct log_kind {
    list_t entries; /* newest first */
    uint64_t next_id;
    int64_t count;
} log_kind_t;

struct commandlog {
    log_kind_t kinds[COMMANDLOG_KINDS];
};

commandlog_t *commandlog__new(void)
{
    commandlog_t *log = mem_zalloc(sizeof(*log));
    for (int i = 0; i < COMMANDLOG_KINDS; i++) list_init(&log->kinds[i].entries);
    return log;
}

static void drop(log_kind_t *log, logged_t *s)
{
    list_remove(&s->node);
    for (int i = 0; i < s->argc; i++) mem_free((void *)s->argv[i].ptr);
    mem_free(s->peer);
    mem_free(s->client);
    mem_free(s);
    log->count--;
}

static void trim(log_kind_t *log, int64_t max)
{
    while (log->count > max) drop(log, CONTAINER_OF(log->entries.prev, logged_t, node));
}

void commandlog__free(commandlog_t *log)
{
    for (int i = 0; i < COMMANDLOG_KINDS; i++) trim(&log->kinds[i], 0);
    mem_free(log);
}

static bytes_t copy(bytes_t word) { return bytes_of(mem_strndup(word), word.len); }

static bytes_t shorten(bytes_t word)
{
    if (word.len <= WORD_BYTES_MAX) return copy(word);
    char tail[64];
    snprintf(tail, sizeof(tail), "... (%zu more bytes)", word.len - WORD_BYTES_MAX);
    buf_t b = BUF_INIT;
    buf_append(&b, word.ptr, WORD_BYTES_MAX);
    buf_append(&b, tail, strlen(tail));
    return buf_bytes(&b);
}

static int64_t kept_max(const redis_config_t *config, commandlog_kind_t kind)
{
    switch (kind) {
    case COMMANDLOG_SLOW: return config->slowlog_max_len;
    case COMMANDLOG_LARGE_REQUEST: return config->commandlog_large_request_max_len;
    case COMMANDLOG_LARGE_REPLY: return config->commandlog_large_reply_max_len;
    default: UNREACHABLE();
    }
}

void commandlog__add(redis_t *redis, commandlog_kind_t kind, redis_client_t *c, const redis_command_t *command,
                     int argc, const bytes_t *argv, uint64_t measure)
{
    log_kind_t *log = &redis->commandlog->kinds[kind];
    int64_t max = kept_max(redis->config, kind);
    if (max == 0 || command->flags & CMD_SKIP_COMMANDLOG) return;
    secrets_t secrets = secrets__find(command, argc, argv);
    for (const redis_call_t *call = redis->current; call && !c->conn; call = call->outer)
        c = call->client; /* a script's command is its caller's */
    logged_t *s = mem_zalloc(sizeof(*s));
    s->id = log->next_id++;
    s->measure = measure;
    s->at_s = redis->keyspace.now_ms / 1000;
    s->peer = mem_strdup(c->conn ? net_conn_peer(c->conn) : "");
    s->client = mem_strdup(c->name ? c->name : "");
    s->argc = MIN(argc, WORDS_MAX);
    for (int i = 0; i < s->argc; i++) {
        char more[64];
        snprintf(more, sizeof(more), "... (%d more arguments)", argc - s->argc + 1);
        bool last = argc > WORDS_MAX && i == s->argc - 1;
        s->argv[i] = last ? copy(bytes_str(more)) : shorten(secrets__shown(secrets, argv, i));
    }
    list_push_front(&log->entries, &s->node);
    log->count++;
    trim(log, max);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static void reply_logged(redis_client_t *c, const logged_t *s)
{
    reply_array(c, 6);
    reply_int(c, (int64_t)s->id);
    reply_int(c, s->at_s);
    reply_int(c, (int64_t)s->measure);
    reply_array(c, (size_t)s->argc);
    for (int i = 0; i < s->argc; i++) reply_bulk(c, s->argv[i]);
    reply_bulk_str(c, s->peer);
    reply_bulk_str(c, s->client);
}

/* -1: all. */
static void reply_newest(redis_call_t *call, const log_kind_t *log, int64_t n)
{
    if (n == -1 || n > log->count) n = log->count;
    reply_array(call->client, (size_t)n);
    LIST_EACH(&log->entries, s, logged_t, node) {
        if (n-- == 0) break;
        reply_logged(call->client, s);
    }
}

static bool arg_count(redis_call_t *call, int64_t *ret_n)
{
    return arg_i64_in(call, 2, -1, INT64_MAX, "ERR count should be greater than or equal to -1", ret_n);
}

/* NULL after an error. */
static log_kind_t *arg_kind(redis_call_t *call, int i)
{
    static const char *const names[COMMANDLOG_KINDS] = {"SLOW", "LARGE-REQUEST", "LARGE-REPLY"};
    for (int k = 0; k < COMMANDLOG_KINDS; k++)
        if (arg_is(call, i, names[k])) return &call->redis->commandlog->kinds[k];
    reply_error(call->client, "ERR type should be one of the following: slow, large-request, large-reply");
    return NULL;
}

static log_kind_t *slow_ones(redis_call_t *call) { return &call->redis->commandlog->kinds[COMMANDLOG_SLOW]; }

void redis_cmd_slowlog_get(redis_call_t *call)
{
    int64_t n = 10;
    if (call->argc > 3)
        reply_error_syntax(call->client);
    else if (call->argc < 3 || arg_count(call, &n))
        reply_newest(call, slow_ones(call), n);
}

void redis_cmd_commandlog_get(redis_call_t *call)
{
    int64_t n;
    if (!arg_count(call, &n)) return;
    log_kind_t *log = arg_kind(call, 3);
    if (log) reply_newest(call, log, n);
}

void redis_cmd_slowlog_len(redis_call_t *call) { reply_int(call->client, slow_ones(call)->count); }

void redis_cmd_commandlog_len(redis_call_t *call)
{
    log_kind_t *log = arg_kind(call, 2);
    if (log) reply_int(call->client, log->count);
}

static void reset(redis_call_t *call, log_kind_t *log)
{
    trim(log, 0);
    reply_ok(call->client);
}

void redis_cmd_slowlog_reset(redis_call_t *call) { reset(call, slow_ones(call)); }

void redis_cmd_commandlog_reset(redis_call_t *call)
{
    log_kind_t *log = arg_kind(call, 2);
    if (log) reset(call, log);
}
