/* slowlog.c: SLOWLOG: the last commands that took long. */
#include "redis/state.h"
#include "redis_commands.h"

#include <stdio.h>

enum { WORDS_MAX = 32, WORD_BYTES_MAX = 128 };

typedef struct slow {
    list_t node;
    uint64_t id, usec;
    int64_t at_s;
    char *peer, *client;
    int argc;
    bytes_t argv[WORDS_MAX];
} slow_t;

struct slowlog {
    list_t entries; /* newest first */
    uint64_t next_id;
    int64_t count;
};

slowlog_t *slowlog__new(void)
{
    slowlog_t *log = mem_zalloc(sizeof(*log));
    list_init(&log->entries);
    return log;
}

static void drop(slowlog_t *log, slow_t *s)
{
    list_remove(&s->node);
    for (int i = 0; i < s->argc; i++) mem_free((void *)s->argv[i].ptr);
    mem_free(s->peer);
    mem_free(s->client);
    mem_free(s);
    log->count--;
}

static void trim(slowlog_t *log, int64_t max)
{
    while (log->count > max) drop(log, CONTAINER_OF(log->entries.prev, slow_t, node));
}

void slowlog__free(slowlog_t *log)
{
    trim(log, 0);
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

void slowlog__add(redis_t *redis, redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv,
                  uint64_t usec)
{
    slowlog_t *log = redis->slowlog;
    if (redis->config->slowlog_max_len == 0) return;
    secrets_t secrets = secrets__find(command, argc, argv);
    for (const redis_call_t *call = redis->current; call && !c->conn; call = call->outer)
        c = call->client; /* a script's command is its caller's */
    slow_t *s = mem_zalloc(sizeof(*s));
    s->id = log->next_id++;
    s->usec = usec;
    s->at_s = redis->now_ms / 1000;
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
    trim(log, redis->config->slowlog_max_len);
}

void redis_cmd_slowlog_reset(redis_call_t *call)
{
    trim(call->redis->slowlog, 0);
    reply_ok(call->client);
}

void redis_cmd_slowlog_len(redis_call_t *call) { reply_int(call->client, call->redis->slowlog->count); }

void redis_cmd_slowlog_get(redis_call_t *call)
{
    redis_client_t *c = call->client;
    slowlog_t *log = call->redis->slowlog;
    int64_t n = 10;
    if (call->argc > 3) {
        reply_error_syntax(c);
        return;
    }
    if (call->argc == 3 && !arg_i64_in(call, 2, -1, INT64_MAX, "ERR count should be greater than or equal to -1", &n))
        return;
    if (n == -1 || n > log->count) n = log->count;
    reply_array(c, (size_t)n);
    LIST_EACH(&log->entries, s, slow_t, node) {
        if (n-- == 0) break;
        reply_array(c, 6);
        reply_int(c, (int64_t)s->id);
        reply_int(c, s->at_s);
        reply_int(c, (int64_t)s->usec);
        reply_array(c, (size_t)s->argc);
        for (int i = 0; i < s->argc; i++) reply_bulk(c, s->argv[i]);
        reply_bulk_str(c, s->peer);
        reply_bulk_str(c, s->client);
    }
}
