/* scripts.c: see scripts.h.
 *
 *   idle --run--> running --done--> idle                         the reply goes out at once
 *                    | longer than a turn
 *                    v
 *                  left <--timer--> running --done--> idle        the caller waited as redis_async has it
 *
 * While a script is left, the other protocols have their turns, and everybody else's commands wait (CLIENT_PAUSED), so a
 * script stays atomic; past busy-reply-threshold they hear BUSY instead. exec_depth stays raised from the beginning to the
 * end: what the script's commands change is gathered, reaches the append-only file as one transaction, and wakes blocked
 * clients at the end. A script inside MULTI is left together with what is behind it in the queue (multi.c).
 *
 * A call of a command that must know something from elsewhere (inquiry.c) leaves its script in the same way, until it knows. */
#include "redis/exec/scripts.h"
#include "redis/conn/out.h"
#include "redis/exec/commandlog.h"

#include "base/slog.h"
#include "redis/conn/push.h"
#include "redis/exec/changes.h"
#include "redis/exec/inquiry.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/data_file.h"
#include "redis/persist/snapshot.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include <stdio.h>

#define TURN_NS         10000000 /* before the others get theirs */
#define SETTLE_EVERY_MS 1
#define KNOWN_EVERY_MS  10 /* a script that waits for an answer is looked at: it may have taken long, or been killed */
#define MEMORY_MAX      MIB(256)   /* of scripts, unless script-memory-max says otherwise; */
#define MEMORY_PART     16         /* at most this part of the machine's */
#define VERSION_NUM     0x00070204 /* of REDIS_VERSION */
#define ERROR_BYTES_MAX 256        /* of a command's error that are compared with the script's */

struct scripts {
    redis_t *redis;
    script_engine_t *engine;
    redis_client_t *client; /* in whose name the commands run */
    size_t memory_max;      /* the default */
    bool running, function; /* function: not a script, but FCALL */
    /* of the run under way */
    uint32_t call_flags;
    bool read_only, allow_oom, out_of_memory;
    bool wrote;  /* ran a write command: cannot be killed, and is not refused anything on the way */
    bool killed; /* SCRIPT KILL was accepted */
    bool may_be_left;
    int64_t now_ms; /* one time for the whole script */
    uint64_t started_ns, turn_ns, ran_ns;
    uint64_t first_ns;                /* of ran_ns, before the first pause: in the statistics already */
    char last_error[ERROR_BYTES_MAX]; /* of a command: counted already */
    size_t last_error_len;
    buf_t result;
    /* of a paused one */
    redis_async_t *caller;
    saved_command_t *command;
    inquiry_t *inquiry; /* of the call under way; NULL = none */
    io_timer_t timer;
    io_timer_t settling; /* what a script left behind is given back in slices */
};

/* ---- commands of scripts --------------------------------------------------------------------------------------------- */

/* Why the command may not run; NULL = it may. Once a script has written it must be able to end its work. */
static const char *refusal(scripts_t *s, const redis_command_t *command, int argc, const bytes_t *argv, char *text,
                           size_t text_bytes)
{
    redis_t *redis = s->redis;
    if (!command) return "ERR Unknown command called from script";
    if (!command__arity_fits(command, argc)) return "ERR Wrong number of args calling command from script";
    if (command->flags & CMD_NOSCRIPT && !redis->scripts_unchecked)
        return "ERR This Redis command is not allowed from script";
    if (s->read_only && command->flags & (CMD_WRITE | CMD_MAY_REPLICATE))
        return "ERR Write commands are not allowed from read-only scripts.";
    if (s->wrote || s->call_flags & CALL_LOADING) return NULL;
    const char *failure = command->flags & CMD_WRITE ? persist__failure(&redis->persist) : NULL;
    if (failure) {
        snprintf(text, text_bytes, "MISCONF Errors writing to the AOF file: %s", failure);
        return text;
    }
    if (state__lacks_replicas(redis) && command->flags & CMD_WRITE) return NO_REPLICAS_ERROR;
    if (s->out_of_memory && !s->allow_oom && command->flags & CMD_DENYOOM)
        return "OOM command not allowed when used memory > 'maxmemory'.";
    return redis->changes.held ? changes__refusal(s->client->db, command, argc, argv) : NULL;
}

static void remember_error(scripts_t *s, bytes_t reply)
{
    if (reply.len < 3 || reply.ptr[0] != '-') return;
    s->last_error_len = MIN(reply.len - 3, sizeof(s->last_error));
    memcpy(s->last_error, reply.ptr + 1, s->last_error_len);
}

static void on_known(void *user)
{
    scripts_t *s = user;
    io_timer_start(&s->timer, 0, 0);
}

/* While an answer is on its way the script is left. False: it was killed meanwhile, or the server ends. Where nobody can wait the
 * command finds no answer, and says so. */
static bool ask(scripts_t *s, const redis_command_t *command, int argc, const bytes_t *argv)
{
    s->inquiry = inquiry__new(on_known, s);
    redis_question_t *question = inquiry__add(s->inquiry, command, argc, argv);
    bool goes_on = true;
    while (goes_on && s->may_be_left && !inquiry__is_known(s->inquiry)) goes_on = script_leave(s->engine) && !s->killed;
    s->redis->question = inquiry__is_known(s->inquiry) ? question : NULL;
    s->redis->keyspace.now_ms = s->now_ms;
    return goes_on;
}

static void end_asking(scripts_t *s)
{
    inquiry__free(s->inquiry);
    s->inquiry = NULL;
    s->redis->question = NULL;
}

static void run_command(scripts_t *s, const redis_command_t *command, int argc, const bytes_t *argv)
{
    uint32_t midway = s->wrote ? CALL_MIDWAY : 0;
    parsed_t q = {.command = command, .argv = argv, .argc = argc};
    bool asks = exec__asks(command) && !(s->call_flags & CALL_LOADING);
    if (!asks || ask(s, command, argc, argv)) {
        if (command->flags & CMD_WRITE) s->wrote = true;
        exec__run_timed(s->client, command, &q, BYTES_NULL, s->call_flags | midway);
    } else {
        reply_error(s->client, "ERR the script was ended while it waited for an answer");
    }
    if (asks) end_asking(s);
}

static void on_call(void *user, const bytes_t *argv, int argc, int resp, buf_t *reply)
{
    scripts_t *s = user;
    redis_client_t *c = s->client;
    redis_t *redis = s->redis;
    char text[256];
    const redis_command_t *named = command__lookup(redis, argv[0]);
    const redis_command_t *command = named ? command__resolve(named, argc, argv) : NULL;
    const char *why = refusal(s, command, argc, argv, text, sizeof(text));
    if (named && !command) {
        exec__say_unknown_subcommand(named, argv, text, sizeof(text));
        why = text;
    }
    c->sink = reply;
    c->resp = (uint8_t)resp;
    redis->keyspace.now_ms = s->now_ms;
    if (why) {
        if (command) redis->command_stats[command->id].rejected++;
        reply_error(c, why);
    } else {
        run_command(s, command, argc, argv);
    }
    out__flush(c);
    c->sink = NULL;
    remember_error(s, buf_bytes(reply));
}

static void on_log(void *user, int level, bytes_t text)
{
    slog((slog_level_t)level, "redis", "script", "text=\"%.*s\"", (int)text.len, (const char *)text.ptr);
}

static script_tick_t on_tick(void *user)
{
    scripts_t *s = user;
    if (s->killed) return SCRIPT_STOP;
    return s->may_be_left && io_hrtime_ns(s->redis->loop) - s->turn_ns >= TURN_NS ? SCRIPT_PAUSE : SCRIPT_GO_ON;
}

static int on_check(void *user, const bytes_t *argv, int argc)
{
    scripts_t *s = user;
    const redis_command_t *command = command__lookup(s->redis, argv[0]);
    return command && command__resolve(command, argc, argv) ? 1 : -1;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void on_turn(io_timer_t *timer);

static void on_settle(io_timer_t *timer)
{
    scripts_t *s = CONTAINER_OF(timer, scripts_t, settling);
    if (!s->running && !script_settle(s->engine)) io_timer_start(timer, SETTLE_EVERY_MS, 0);
}

static void emit_library(void *base, bytes_t code) { data_file__put_function(base, code); }

void scripts__each_library(redis_t *redis, void (*each)(void *user, bytes_t code), void *user)
{
    if (!redis->scripts) return;
    size_t cursor = 0;
    for (const script_library_t *l; (l = script_library_next(scripts__engine(redis), &cursor));) each(user, l->code);
}

static void emit_libraries(void *user, redis_base_t *base)
{
    scripts__each_library(((scripts_t *)user)->redis, emit_library, base);
}

static scripts_t *need(redis_t *redis)
{
    if (redis->scripts) return redis->scripts;
    scripts_t *s = mem_zalloc(sizeof(*s));
    s->redis = redis;
    s->client = client__new_internal(&redis->clients, NULL);
    io_timer_init(redis->loop, &s->timer, on_turn);
    io_timer_init(redis->loop, &s->settling, on_settle);
    script_host_t host = {
        .user = s,
        .call = on_call,
        .log = on_log,
        .tick = on_tick,
        .format = format_double,
        .check = on_check,
        .seed = redis_random(redis),
        .version = REDIS_VERSION,
        .version_num = VERSION_NUM,
    };
    s->engine = script_engine_new(&host);
    s->memory_max = (size_t)MIN(io_memory_bytes() / MEMORY_PART, MEMORY_MAX);
    redis->scripts = s;
    persist__beside_add(&redis->persist, emit_libraries, s);
    return s;
}

script_engine_t *scripts__engine(redis_t *redis) { return need(redis)->engine; }

/* The clients are gone already: one that waits for a paused script is only forgotten. */
void scripts__free(redis_t *redis)
{
    scripts_t *s = redis->scripts;
    if (!s) return;
    io_timer_stop(&s->timer);
    io_timer_stop(&s->settling);
    if (s->caller) redis_async_done(s->caller);
    multi__free_left(redis);
    persist__beside_remove(&redis->persist, s);
    script_engine_free(s->engine);
    client__free(s->client);
    buf_deinit(&s->result);
    mem_free(s->command);
    mem_free(s);
    redis->scripts = NULL;
}

scripts_info_t scripts__info(const redis_t *redis)
{
    const scripts_t *s = redis->scripts;
    if (!s) return (scripts_info_t){0};
    return (scripts_info_t){
        .count = script_count(s->engine),
        .vm_bytes = script_memory_bytes(s->engine),
        .cache_bytes = script_cache_bytes(s->engine),
        .evicted = script_evicted(s->engine),
        .libraries = script_library_count(s->engine),
        .functions = script_function_count(s->engine),
    };
}

/* ---- a run ----------------------------------------------------------------------------------------------------------- */

/* What a script that declares its flags is refused before it begins. */
static const char *declared_refusal(redis_call_t *call, const script_job_t *job, bool out_of_memory)
{
    if (!(job->flags & SCRIPT_HAS_SHEBANG) || job->flags & SCRIPT_NO_WRITES) return NULL;
    if (persist__failure(&call->redis->persist))
        return "MISCONF The append-only file cannot be written. Writable scripts are blocked. Use 'no-writes' flag "
               "for read only scripts.";
    if (state__lacks_replicas(call->redis)) return NO_REPLICAS_ERROR;
    if (job->read_only) return "ERR Can not execute a script with write flag using *_ro command.";
    if (out_of_memory && !(job->flags & SCRIPT_ALLOW_OOM))
        return "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'";
    return NULL;
}

static void begin(scripts_t *s, redis_call_t *call, const script_job_t *job, bool out_of_memory)
{
    redis_t *redis = s->redis;
    ASSERT(!s->running);
    s->running = true;
    s->function = job->function != NULL;
    s->call_flags = CALL_IN_EXEC | (call->flags & CALL_LOADING);
    s->read_only = job->read_only || job->flags & SCRIPT_NO_WRITES;
    s->allow_oom = job->flags & SCRIPT_ALLOW_OOM;
    s->out_of_memory = out_of_memory;
    s->wrote = s->killed = false;
    s->may_be_left = !(call->flags & CALL_LOADING) && (call->client->conn || redis->multi.left);
    s->now_ms = call->now_ms;
    s->started_ns = s->turn_ns = io_hrtime_ns(redis->loop);
    s->last_error_len = 0;
    uint64_t memory_max = redis->config->script_memory_max;
    script_limit_memory(s->engine, memory_max ? memory_max : s->memory_max);
    s->client->db = call->db;
    s->client->id = call->client->id; /* who KAFKA.WAIT counts for */
    redis->exec_depth++;
}

/* Replies; the error of a command that the script let through was counted when the command failed. */
static void deliver(scripts_t *s, redis_client_t *c, bool *ret_failed)
{
    redis_t *redis = s->redis;
    const char *text = (const char *)s->result.ptr;
    *ret_failed = text[0] == '-';
    if (*ret_failed) {
        bool counted = s->last_error_len && s->result.len - 1 >= s->last_error_len &&
                       memcmp(text + 1, s->last_error, s->last_error_len) == 0;
        if (!counted) stats__error(redis, text + 1, s->result.len - 3, true);
    }
    reply_raw(c, s->result.ptr, s->result.len);
    buf_clear(&s->result);
}

/* The client waits for the end of its script, or of the transaction that the script is in. */
static void leave_run(scripts_t *s, redis_call_t *call)
{
    if (!s->caller) s->caller = redis_async(call->flags & CALL_IN_EXEC ? call->outer : call);
    ASSERT(s->caller); /* else it may not be left */
    s->command = command__save(call->command, call->argc, call->argv);
    s->ran_ns = s->first_ns = io_hrtime_ns(s->redis->loop) - s->started_ns;
    s->redis->keyspace.midway = true;
    exec__update_gate(s->redis);
    io_timer_start(&s->timer, 0, 0);
}

static script_result_t start(scripts_t *s, redis_call_t *call, const script_job_t *job)
{
    script_given_t given = {.keys = call->argv + 3,
                            .keys_count = job->keys_count,
                            .args = call->argv + 3 + job->keys_count,
                            .args_count = call->argc - 3 - job->keys_count,
                            .client_resp = call->client->resp,
                            .reply = &s->result};
    if (job->script) return script_run(s->engine, job->script, &given);
    return script_run_function(s->engine, job->function, &given);
}

void scripts__tell_monitors(redis_call_t *call)
{
    if (UNLIKELY(!list_empty(&call->redis->monitors))) monitor__tell(call);
}

void scripts__run(redis_call_t *call, const script_job_t *job)
{
    redis_t *redis = call->redis;
    scripts_t *s = need(redis);
    redis_client_t *c = call->client;
    bool out_of_memory = evict__is_over(&redis->keyspace) && redis->out_of_memory && !(call->flags & CALL_LOADING);
    const char *why = declared_refusal(call, job, out_of_memory);
    if (why) {
        reply_error(c, why);
        return;
    }
    begin(s, call, job, out_of_memory);
    if (start(s, call, job) == SCRIPT_PAUSED) {
        leave_run(s, call);
        return;
    }
    redis->exec_depth--;
    s->running = false;
    on_settle(&s->settling);
    deliver(s, c, &c->failed);
}

/* ---- a paused run ---------------------------------------------------------------------------------------------------- */

/* As exec__run_timed does for a command that ends at once. */
static void count_run(scripts_t *s, redis_client_t *c, bool failed)
{
    redis_t *redis = s->redis;
    command_stats_t *stats = &redis->command_stats[s->command->command->id];
    stats->calls++;
    stats->failed += failed;
    stats->usec += (s->ran_ns - s->first_ns) / 1000;
    keyspace__note_latency(&redis->keyspace, "command", s->ran_ns / 1000);
    if (s->ran_ns / 1000 >= (uint64_t)redis->config->slowlog_log_slower_than)
        commandlog__add(redis, COMMANDLOG_SLOW, c, s->command->command, s->command->argc, s->command->argv,
                        s->ran_ns / 1000);
}

/* Others are served again. */
static void come_back(scripts_t *s)
{
    redis_t *redis = s->redis;
    redis_client_t *c = redis_async_client(s->caller);
    redis_async_t *caller = s->caller;
    s->caller = NULL;
    exec__update_gate(redis);
    clients__resume(&redis->clients);
    if (c->pushed_to_self.len) push__give_own(c);
    exec__end_entry(redis, true);
    redis_async_done(caller);
    exec__after_event(redis);
}

static void finish(scripts_t *s)
{
    redis_t *redis = s->redis;
    redis_client_t *c = redis_async_client(s->caller);
    bool failed;
    deliver(s, c, &failed);
    count_run(s, c, failed);
    mem_free(s->command);
    s->command = NULL;
    redis->exec_depth--;
    s->running = redis->keyspace.midway = redis->script_busy = false;
    on_settle(&s->settling);
    if (redis->multi.left && !multi__go_on(redis, c)) return;
    come_back(s);
}

/* Past busy-reply-threshold the others are told instead of kept waiting. */
static void note_long_run(scripts_t *s)
{
    redis_t *redis = s->redis;
    uint64_t bound_ms = (uint64_t)redis->config->busy_reply_threshold_ms;
    uint64_t ran_ms = (io_hrtime_ns(redis->loop) - s->started_ns) / 1000000;
    if (redis->script_busy || bound_ms == 0 || ran_ms < bound_ms) return;
    redis->script_busy = true;
    slog(SLOG_WARN, "redis", "a script takes long", "ms=%" PRIu64, ran_ms);
    clients__resume(&redis->clients);
}

static void on_turn(io_timer_t *timer)
{
    scripts_t *s = CONTAINER_OF(timer, scripts_t, timer);
    note_long_run(s);
    if (s->inquiry && !inquiry__is_known(s->inquiry) && !s->killed) {
        io_timer_start(timer, KNOWN_EVERY_MS, 0);
        return;
    }
    s->turn_ns = io_hrtime_ns(s->redis->loop);
    script_result_t result = script_resume(s->engine);
    s->ran_ns += io_hrtime_ns(s->redis->loop) - s->turn_ns;
    if (result == SCRIPT_DONE) {
        finish(s);
        return;
    }
    out__flush_all(&s->redis->clients); /* what it published */
    io_timer_start(&s->timer, 0, 0);
}

const char *scripts__busy_text(const redis_t *redis)
{
    return redis->scripts->function
               ? "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE."
               : "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
}

void scripts__kill(redis_call_t *call, bool function)
{
    scripts_t *s = call->redis->scripts;
    if (!s || !s->running) {
        reply_error(call->client, "NOTBUSY No scripts in execution right now.");
    } else if (s->wrote) {
        reply_error(call->client, "UNKILLABLE Sorry the script already executed write commands against the dataset. "
                                  "You can either wait the script termination or kill the server in a hard way "
                                  "using the SHUTDOWN NOSAVE command.");
    } else if (s->function != function) {
        reply_error(call->client, scripts__busy_text(call->redis));
    } else {
        s->killed = true;
        reply_ok(call->client);
    }
}

static void reply_running(redis_client_t *c, const scripts_t *s)
{
    reply_map(c, 3);
    reply_bulk_str(c, "name");
    reply_bulk(c, s->command->argv[1]);
    reply_bulk_str(c, "command");
    reply_array(c, (size_t)s->command->argc);
    for (int i = 0; i < s->command->argc; i++) reply_bulk(c, s->command->argv[i]);
    reply_bulk_str(c, "duration_ms");
    reply_int(c, (int64_t)((io_hrtime_ns(s->redis->loop) - s->started_ns) / 1000000));
}

void scripts__reply_stats(redis_call_t *call)
{
    redis_client_t *c = call->client;
    scripts_t *s = need(call->redis);
    if (s->running && !s->function) {
        reply_error(c, scripts__busy_text(call->redis));
        return;
    }
    reply_map(c, 2);
    reply_bulk_str(c, "running_script");
    s->running ? reply_running(c, s) : reply_null(c);
    reply_bulk_str(c, "engines");
    reply_map(c, 1);
    reply_bulk_str(c, "LUA");
    reply_map(c, 2);
    reply_bulk_str(c, "libraries_count");
    reply_int(c, (int64_t)script_library_count(s->engine));
    reply_bulk_str(c, "functions_count");
    reply_int(c, (int64_t)script_function_count(s->engine));
}

uint32_t scripts__flags(redis_t *redis, const redis_command_t *command, int argc, const bytes_t *argv)
{
    uint32_t flags = command->flags, declared = 0;
    if (command->traits & TRAIT_BY_FUNCTION) {
        const script_function_t *f = script_function_find(scripts__engine(redis), argv[1]);
        if (f) declared = f->flags;
    } else if (command->traits & TRAIT_BY_SOURCE) {
        declared = script_declared_flags(argv[1]);
    } else if (command->traits & TRAIT_BY_SHA) {
        const script_t *script = script_find(scripts__engine(redis), argv[1]);
        if (script) declared = script->flags;
    }
    if (!(declared & SCRIPT_HAS_SHEBANG)) return flags;
    flags &= ~(uint32_t)(CMD_STALE | CMD_DENYOOM | CMD_WRITE | CMD_MAY_REPLICATE);
    if (!(declared & (SCRIPT_ALLOW_OOM | SCRIPT_NO_WRITES))) flags |= CMD_DENYOOM;
    if (!(declared & SCRIPT_NO_WRITES)) flags |= CMD_WRITE;
    if (declared & SCRIPT_ALLOW_STALE) flags |= CMD_STALE;
    return flags;
}
