/* exec.c: a request on its way: found, checked as Redis checks, queued or run, counted, propagated. */
#include "redis/conn/out.h"
#include "redis/conn/push.h"
#include "redis/conn/tracking.h"
#include "redis/exec/changes.h"
#include "redis/exec/getkeys.h"
#include "redis/exec/inquiry.h"
#include "redis/exec/scripts.h"
#include "redis/exec/state.h"
#include "redis/exec/timing.h"
#include "redis/persist/aof.h"
#include "redis/persist/snapshot.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include "base/slog.h"

#include <ctype.h>
#include <stdio.h>

#define ATTACK_LOG_EVERY_MS 60000

/* ---- refusing -------------------------------------------------------------------------------------------------------- */

/* A refusal while a transaction is being queued spoils the transaction. */
static void refuse(redis_client_t *c, const redis_command_t *command, const char *text)
{
    if (command) c->redis->command_stats[command->id].rejected++;
    if (command && command->traits & TRAIT_RUNS_QUEUE) {
        const char *reason = strncmp(text, "ERR ", 4) == 0 ? text + 4 : text;
        reply_errorf(c, "EXECABORT Transaction discarded because of: %s", reason);
        multi__discard(c);
        multi__unwatch(c);
        return;
    }
    if (c->flags & CLIENT_MULTI) c->flags |= CLIENT_DIRTY_EXEC;
    reply_error(c, text);
}

/* A browser that a hostile page made talk to us: its body could hold commands. */
static bool looks_like_http(bytes_t name)
{
    return bytes_eq_nocase(BYTES_LIT("post"), name) || bytes_eq_nocase(BYTES_LIT("host:"), name);
}

static void drop_http(redis_client_t *c)
{
    redis_t *redis = c->redis;
    if (redis->keyspace.now_ms - redis->attack_logged_ms > ATTACK_LOG_EVERY_MS) {
        redis->attack_logged_ms = redis->keyspace.now_ms;
        slog(SLOG_WARN, "redis", "POST or Host: instead of a command: connection closed", "peer=%s",
             net_conn_peer(c->conn));
    }
    client__close(c);
}

static void refuse_unknown(redis_client_t *c, int argc, const bytes_t *argv)
{
    if (looks_like_http(argv[0]) && c->conn) {
        drop_http(c);
        return;
    }
    char args[160], text[384];
    size_t len = 0;
    args[0] = '\0';
    for (int i = 1; i < argc && len < 128; i++)
        len += (size_t)snprintf(args + len, sizeof(args) - len, "'%.*s' ", (int)MIN(argv[i].len, 128 - len),
                                (const char *)argv[i].ptr);
    snprintf(text, sizeof(text), "ERR unknown command '%.*s', with args beginning with: %s",
             (int)MIN(argv[0].len, (size_t)128), (const char *)argv[0].ptr, args);
    refuse(c, NULL, text);
}

void exec__say_unknown_subcommand(const redis_command_t *command, const bytes_t *argv, char *text, size_t text_bytes)
{
    char upper[COMMAND_NAME_LEN_MAX + 1];
    size_t n = strlen(command->name);
    for (size_t i = 0; i <= n; i++) upper[i] = (char)toupper(command->name[i]);
    snprintf(text, text_bytes, "ERR unknown subcommand '%.*s'. Try %s HELP.", (int)MIN(argv[1].len, (size_t)128),
             (const char *)argv[1].ptr, upper);
}

static void refuse_unknown_subcommand(redis_client_t *c, const redis_command_t *command, const bytes_t *argv)
{
    char text[256];
    exec__say_unknown_subcommand(command, argv, text, sizeof(text));
    refuse(c, NULL, text);
}

static void refuse_arity(redis_client_t *c, const redis_command_t *command)
{
    char text[128];
    snprintf(text, sizeof(text), "ERR wrong number of arguments for '%s' command", command->full_name);
    refuse(c, command, text);
}

static bool guard_allows(const redis_client_t *c, redis_guard_t guard)
{
    if (guard == DEBUG_YES || !c->conn) return true;
    if (guard == DEBUG_NO) return false;
    const char *peer = net_conn_peer(c->conn);
    return strncmp(peer, "127.", 4) == 0 || strncmp(peer, "[::1]", 5) == 0;
}

/* ---- the checks of the slow way -------------------------------------------------------------------------------------- */

/* A script's flags are what it declares. */
static uint32_t flags_of(redis_t *redis, const redis_command_t *command, int argc, const bytes_t *argv)
{
    return command->acl & ACL_SCRIPTING ? scripts__flags(redis, command, argc, argv) : command->flags;
}

static bool queue_writes(const redis_client_t *c)
{
    for (size_t i = 0; i < c->queue_len; i++) {
        const saved_command_t *s = c->queue[i];
        if (flags_of(c->redis, s->command, s->argc, s->argv) & (CMD_WRITE | CMD_MAY_REPLICATE)) return true;
    }
    return false;
}

static bool queue_needs_memory(const redis_client_t *c)
{
    for (size_t i = 0; i < c->queue_len; i++)
        if (c->queue[i]->command->flags & CMD_DENYOOM) return true;
    return false;
}

static bool is_write(const redis_client_t *c, const redis_command_t *command, uint32_t flags)
{
    if (flags & (CMD_WRITE | CMD_MAY_REPLICATE)) return true;
    return command->traits & TRAIT_RUNS_QUEUE && queue_writes(c);
}

/* A command that writes much: the disk is asked while it can still be refused. */
static void look_for_room(redis_client_t *c, const redis_command_t *command, bytes_t raw)
{
    size_t bytes = raw.len + (command->traits & TRAIT_RUNS_QUEUE ? c->queue_bytes : 0);
    if (bytes > AOF_ASK_BYTES && is_write(c, command, command->flags)) (void)aof__has_room(&c->redis->persist, bytes);
}

/* CLIENT PAUSE: the request stays unread until the pause ends. */
static bool must_wait(redis_client_t *c, const redis_command_t *command, uint32_t flags)
{
    redis_t *redis = c->redis;
    if (redis->pause_until_ms == 0 || !c->conn || redis->current) return false;
    if (c->flags & CLIENT_MULTI && !(command->traits & TRAIT_RUNS_QUEUE)) return false;
    if (command->traits & TRAIT_ENDS_PAUSE || !(redis->pause_all || is_write(c, command, flags))) return false;
    inquiry__drop(c); /* a pause may be long: it is asked anew */
    client__pause(c);
    return true;
}

/* A script that stepped aside for a moment: nobody sees what it has done so far. */
static bool must_wait_for_script(redis_client_t *c)
{
    if (!c->redis->keyspace.midway || c->redis->script_busy || !c->conn) return false;
    client__pause(c);
    return true;
}

/* Replies leave in the order of the commands. What might be refused waits, too: a refusal is a reply at once. */
static bool must_wait_for_answers(redis_client_t *c, const parsed_t *q)
{
    bool refused =
        c->redis->gate || c->flags & (CLIENT_SLOW_WAY & ~CLIENT_IN_LINE) || evict__is_over(&c->redis->keyspace);
    bool room = c->in_line < REDIS_IN_LINE_MAX && !refused;
    if (room && q->command && exec__follows(q->command, q->argc, q->argv)) return false;
    client__pause(c);
    return true;
}

/* `format` has one %s, for the command's name. */
__attribute__((format(printf, 3, 0))) static void refuse_named(redis_client_t *c, const redis_command_t *command,
                                                               const char *format)
{
    char text[256];
    snprintf(text, sizeof(text), format, command->full_name);
    refuse(c, command, text);
}

static bool passes(redis_client_t *c, const redis_command_t *command, const parsed_t *q, uint32_t flags)
{
    redis_t *redis = c->redis;
    if (c->flags & CLIENT_NEED_AUTH && !(command->flags & CMD_NO_AUTH)) {
        refuse(c, command, "NOAUTH Authentication required.");
        return false;
    }
    if (redis->script_busy && !(flags & CMD_ALLOW_BUSY)) {
        refuse(c, command, scripts__busy_text(redis));
        return false;
    }
    if (c->flags & CLIENT_MULTI && command->flags & CMD_NO_MULTI) {
        refuse_named(c, command, "ERR Command '%s' not allowed inside a transaction");
        return false;
    }
    redis->out_of_memory = evict__is_over(&redis->keyspace) && !evict__make_room(&redis->keyspace);
    if (redis->out_of_memory &&
        (flags & CMD_DENYOOM || (command->traits & TRAIT_RUNS_QUEUE && queue_needs_memory(c)))) {
        refuse(c, command, "OOM command not allowed when used memory > 'maxmemory'.");
        return false;
    }
    const char *failure = persist__failure(&redis->persist);
    if (failure && is_write(c, command, flags)) {
        char text[256];
        snprintf(text, sizeof(text), "MISCONF Errors writing to the AOF file: %s", failure);
        refuse(c, command, text);
        return false;
    }
    if (state__lacks_replicas(redis) && command->flags & CMD_WRITE) {
        refuse(c, command, NO_REPLICAS_ERROR);
        return false;
    }
    const char *held = redis->changes.held ? changes__refusal(c->db, command, q->argc, q->argv) : NULL;
    if (held) {
        refuse(c, command, held);
        return false;
    }
    if (c->flags & CLIENT_PUBSUB && c->resp == 2 && !(command->traits & TRAIT_WHILE_SUBSCRIBED)) {
        refuse_named(c, command,
                     "ERR Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed "
                     "in this context");
        return false;
    }
    if (redis->keyspace.loading && !(command->flags & CMD_LOADING)) {
        refuse(c, command, "LOADING Redis is loading the dataset in memory");
        return false;
    }
    return true;
}

void exec__update_gate(redis_t *redis)
{
    redis->timed = timing__is_wanted(redis);
    redis->gate = persist__failure(&redis->persist) || redis->keyspace.loading || redis->pause_until_ms ||
                  redis->keyspace.midway || redis->changes.held || redis->holds.keys.count ||
                  state__lacks_replicas(redis);
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

static bool has_gathered(const redis_t *redis) { return aof__has_gathered(&redis->persist) || redis->changes.open; }

void exec__end_entry(redis_t *redis, bool atomic)
{
    if (!has_gathered(redis)) return;
    if (UNLIKELY(redis->changes.open)) changes__close(redis);
    aof__commit(&redis->persist, atomic);
}

static void propagate_default(redis_call_t *call)
{
    redis_t *redis = call->redis;
    if (call->flags & CALL_LOADING) return;
    if (UNLIKELY(redis->changes.observer != NULL)) changes__tell(call->db, call->argc, call->argv);
    if (LIKELY(call->raw.ptr != NULL && redis->exec_depth == 0 && !has_gathered(redis)))
        aof__feed_raw(&call->redis->persist, call->db, call->raw);
    else
        aof__feed(&call->redis->persist, call->db, call->argc, call->argv);
}

/* Who is behind a command: for a script's, its caller. */
static redis_client_t *commander(const redis_call_t *call)
{
    while (UNLIKELY(call->client->conn == NULL) && call->outer) call = call->outer;
    return call->client;
}

/* What a tracking client has read, itself or by a script, is remembered. */
static void track(redis_call_t *call)
{
    redis_client_t *c = commander(call);
    bool reads =
        call->command->flags & CMD_READONLY && !(call->command->flags & CMD_SKIP_MONITOR); /* a script does not */
    if (reads && tracking__remembers(c)) {
        key_positions_t keys = {0};
        (void)command_get_keys(call->command, call->argc, call->argv, &keys);
        for (size_t i = 0; i < keys.count; i++) tracking__remember(c, call->argv[keys.at[i].index]);
        key_positions_deinit(&keys);
    }
    if (c->tracking && !call->outer && !(c->flags & CLIENT_MULTI)) tracking__command_done(c);
}

void exec__run(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv, bytes_t raw,
               const uint8_t *hashed_key, uint64_t key_hash, uint32_t flags)
{
    redis_t *redis = c->redis;
    redis_call_t call = {
        .redis = redis,
        .client = c,
        .db = c->db,
        .command = command,
        .config = redis->config,
        .argv = argv,
        .argc = argc,
        .flags = flags,
        .now_ms = redis->keyspace.now_ms,
        .outer = redis->current,
        .raw = raw,
        .hashed_key = hashed_key,
        .key_hash = key_hash,
    };
    redis->current = &call;
    c->failed = false;
    io_turn_note(redis->loop, command->turn_note);
    command->handler(&call);
    redis->current = call.outer;
    if (UNLIKELY(call.outer)) io_turn_note(redis->loop, call.outer->command->turn_note);
    command_stats_t *stats = &redis->command_stats[command->id];
    bool ended = LIKELY(!(c->flags & CLIENT_BLOCKED)) || !blocking__waits(c);
    if (LIKELY(ended)) { /* a wait counts at its end */
        stats->calls++;
        commander(&call)->commands++;
    }
    if (UNLIKELY(!list_empty(&redis->monitors)) && !(flags & CALL_RETRY) &&
        !(command->flags & (CMD_SKIP_MONITOR | CMD_ADMIN)))
        monitor__tell(&call);
    if (UNLIKELY(redis->clients.tracking_count)) track(&call);
    redis->clients.stats.commands++;
    if (UNLIKELY(c->failed)) stats->failed++;
    if (call.dirty) {
        redis->persist.dirty += call.dirty;
        if (!call.propagation_set) propagate_default(&call);
    }
    if (redis->exec_depth) return;
    if (UNLIKELY(c->pushed_to_self.len) && !redis->current) push__give_own(c);
    if (UNLIKELY(has_gathered(redis))) exec__end_entry(redis, true);
    if (UNLIKELY(!list_empty(&redis->blocking.ready_keys))) blocking__serve(redis);
}

void exec__request(redis_client_t *c, const parsed_t *q, bytes_t raw)
{
    redis_t *redis = c->redis;
    const redis_command_t *command = q->command;
    if (UNLIKELY(c->flags & CLIENT_IN_LINE) && must_wait_for_answers(c, q)) return;
    if (UNLIKELY(command == NULL)) {
        refuse_unknown(c, q->argc, q->argv);
        return;
    }
    if (UNLIKELY(command->subcommand_count) && q->argc > 1) {
        const redis_command_t *sub = command__resolve(command, q->argc, q->argv);
        if (!sub) {
            refuse_unknown_subcommand(c, command, q->argv);
            return;
        }
        command = sub;
    }
    if (UNLIKELY(!command__arity_fits(command, q->argc))) {
        refuse_arity(c, command);
        return;
    }
    if (UNLIKELY(command->flags & CMD_PROTECTED && !guard_allows(c, redis->config->enable_debug_command))) {
        refuse(c, command,
               "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you "
               "can run it from "
               "a local connection, otherwise you need to set this option in the configuration file, and "
               "then restart "
               "the server.");
        return;
    }
    if (UNLIKELY(raw.len + c->queue_bytes > AOF_ASK_BYTES)) look_for_room(c, command, raw);
    if (UNLIKELY(redis->gate || c->flags & CLIENT_SLOW_WAY || evict__is_over(&redis->keyspace))) {
        if (must_wait_for_script(c)) return;
        uint32_t flags = flags_of(redis, command, q->argc, q->argv);
        if (!passes(c, command, q, flags)) return;
        if (must_wait(c, command, flags) || holds__must_wait(c, command, q->argc, q->argv)) return;
        if (c->flags & CLIENT_MULTI && !(command->traits & TRAIT_IN_MULTI)) {
            multi__queue(c, command, q->argc, q->argv);
            return;
        }
    }
    if (inquiry__must_wait(c, command, q->argc, q->argv)) return;
    c->last_command = command;
    redis->question = c->question;
    exec__run_timed(c, command, q, raw, 0);
    redis->question = NULL;
}

bool exec__fast(redis_client_t *c, const parsed_t *q, bytes_t raw)
{
    const redis_command_t *command = q->command;
    if (UNLIKELY(command == NULL || c->redis->gate || c->redis->timed || c->flags & CLIENT_SLOW_WAY)) return false;
    if (UNLIKELY(evict__is_over(&c->redis->keyspace))) return false;
    if (UNLIKELY(!(command->flags & CMD_FAST || command->traits & TRAIT_QUICK))) return false;
    if (UNLIKELY(command->subcommand_count || !command__arity_fits(command, q->argc))) return false;
    if (UNLIKELY(raw.len > AOF_ASK_BYTES)) return false;
    c->last_command = command;
    uint64_t written = timing__written(c);
    exec__run(c, command, q->argc, q->argv, raw, q->hashed_key, q->key_hash, 0);
    timing__log_reply(c, command, q, timing__written(c) - written);
    return true;
}

void exec__after_event(redis_t *redis)
{
    bool idle = redis->exec_depth == 0; /* not: a script has paused */
    if (idle) exec__end_entry(redis, redis->changes.observer != NULL);
    if (idle && !list_empty(&redis->blocking.ready_keys)) blocking__serve(redis);
    out__flush_all(&redis->clients);
}

redis_call_t exec__internal_call(redis_t *redis, redis_db_t *db)
{
    return (redis_call_t){
        .redis = redis, .client = redis->nobody, .db = db, .config = redis->config, .now_ms = redis->keyspace.now_ms};
}

/* ---- what handlers say about propagation ----------------------------------------------------------------------------- */

void propagate(redis_call_t *call, int argc, const bytes_t *argv)
{
    call->propagation_set = true;
    if (call->flags & CALL_LOADING) return;
    if (UNLIKELY(call->redis->changes.observer != NULL)) changes__tell(call->db, argc, argv);
    aof__feed(&call->redis->persist, call->db, argc, argv);
}

void propagate_key(redis_call_t *call, const char *name, bytes_t key)
{
    bytes_t argv[2] = {bytes_str(name), key};
    propagate(call, 2, argv);
}

void propagate_none(redis_call_t *call) { call->propagation_set = true; }

/* ---- commands from outside ------------------------------------------------------------------------------------------- */

typedef struct extra {
    redis_command_t command;
    redis_extra_command_t row;
} extra_t;

static void run_extra(redis_call_t *call)
{
    const extra_t *e = CONTAINER_OF(call->command, extra_t, command);
    e->row.handler(call, e->row.user);
}

static void free_args(const redis_arg_t *args, unsigned count)
{
    for (unsigned i = 0; i < count; i++) free_args(args[i].args, args[i].arg_count);
    mem_free((void *)args);
}

static const redis_arg_t *args_of(const redis_extra_arg_t *from, int count)
{
    if (count == 0) return NULL;
    redis_arg_t *args = mem_zalloc(sizeof(*args) * (size_t)count);
    for (int i = 0; i < count; i++) {
        args[i] = (redis_arg_t){
            .name = from[i].name,
            .type = from[i].type,
            .token = from[i].token,
            .key_spec = -1,
            .flags = (uint8_t)(from[i].optional | from[i].multiple << 1),
            .arg_count = (uint8_t)from[i].args_count,
            .args = args_of(from[i].args, from[i].args_count),
        };
    }
    return args;
}

void exec__free_extra(redis_t *redis)
{
    size_t cursor = 0;
    for (map_entry_t *m; (m = map_next(&redis->extra_commands, &cursor));) {
        extra_t *e = CONTAINER_OF((redis_command_t *)m->value, extra_t, command);
        mem_free((void *)e->command.name);
        free_args(e->command.args, e->command.arg_count);
        mem_free(e);
    }
    map_deinit(&redis->extra_commands);
}

const char *exec__extra_problem(const saved_command_t *s)
{
    if (!(s->command->traits & TRAIT_FROM_OUTSIDE)) return NULL;
    const extra_t *e = CONTAINER_OF(s->command, extra_t, command);
    return e->row.check ? e->row.check(s->argc, s->argv, s->question, e->row.user) : NULL;
}

bool exec__follows(const redis_command_t *command, int argc, const bytes_t *argv)
{
    if (!(command->traits & TRAIT_FROM_OUTSIDE) || !command__arity_fits(command, argc)) return false;
    const extra_t *e = CONTAINER_OF(command, extra_t, command);
    return e->row.follows && e->row.follows(argc, argv);
}

bool exec__asks(const redis_command_t *command)
{
    return UNLIKELY(command->traits & TRAIT_FROM_OUTSIDE) && CONTAINER_OF(command, extra_t, command)->row.ask;
}

redis_question_t *exec__ask(const redis_command_t *command, int argc, const bytes_t *argv)
{
    const extra_t *e = CONTAINER_OF(command, extra_t, command);
    return e->row.ask(argc, argv, e->row.user);
}

static uint32_t parse_flags(const char *text)
{
#define X(name, flag) flag,
    static const char *const names[] = {CMD_FLAG_MAP(X)};
#undef X
    uint32_t flags = 0;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        const char *at = names[i] ? strstr(text, names[i]) : NULL;
        size_t n = names[i] ? strlen(names[i]) : 0;
        if (at && (at == text || at[-1] == ',') && (at[n] == ',' || at[n] == '\0')) flags |= 1u << i;
    }
    return flags;
}

void redis_register_command(redis_t *redis, const redis_extra_command_t *row)
{
    extra_t *e = mem_zalloc(sizeof(*e));
    size_t n = strlen(row->name);
    char *lower = mem_strdup(row->name);
    for (size_t i = 0; i < n; i++) lower[i] = (char)tolower(lower[i]);
    e->row = *row;
    e->command = (redis_command_t){
        .name_len = (uint8_t)n,
        .arity = (int8_t)row->arity,
        .first_key = (int8_t)row->first_key,
        .last_key = (int8_t)row->last_key,
        .key_step = (int8_t)row->key_step,
        .id = (uint16_t)(redis_command_id_count + redis->extra_commands.count),
        .flags = parse_flags(row->flags),
        .acl = ACL_SLOW,
        .traits = TRAIT_FROM_OUTSIDE,
        .handler = run_extra,
        .name = lower,
        .full_name = lower,
        .turn_note = lower,
        .group = row->group,
        .since = row->since,
        .summary = row->summary,
        .arg_count = (uint8_t)row->args_count,
        .args = args_of(row->args, row->args_count),
    };
    ASSERT(!row->ask || !(e->command.flags & CMD_FAST)); /* exec__fast asks nothing */
    size_t ids = (size_t)e->command.id + 1;
    redis->command_stats = mem_realloc(redis->command_stats, ids * sizeof(command_stats_t));
    redis->command_stats[ids - 1] = (command_stats_t){0};
    map_put(&redis->extra_commands, bytes_str(row->name), &e->command);
}

int redis_call_argc(const redis_call_t *call) { return call->argc; }
bytes_t redis_call_arg(const redis_call_t *call, int i) { return call->argv[i]; }
redis_client_t *redis_call_client(const redis_call_t *call) { return call->client; }
int64_t redis_call_now_ms(const redis_call_t *call) { return call->now_ms; }
bool redis_call_is_loading(const redis_call_t *call) { return call->flags & CALL_LOADING; }
bool redis_call_was_asked(const redis_call_t *call) { return call->flags & CALL_ASKED; }
bool redis_call_is_midway(const redis_call_t *call) { return call->flags & CALL_MIDWAY; }
void redis_propagate(redis_call_t *call, int argc, const bytes_t *argv)
{
    call->dirty++;
    propagate(call, argc, argv);
}
