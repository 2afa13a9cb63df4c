/* help.c: the bridge's commands as Redis knows them: their rows, what COMMAND DOCS tells of their arguments (redis-cli's
 * help), and KAFKA.HELP. */
#include "bridge/bridge_internal.h"

#define ARGS(list) .args = (list), .args_count = (int)ARRAY_LEN(list)

static const redis_extra_arg_t header_args[] = {{.name = "name", .type = "string"},
                                                {.name = "value", .type = "string"}};
static const redis_extra_arg_t once_args[] = {{.name = "key", .type = "key"}, {.name = "seconds", .type = "integer"}};
static const redis_extra_arg_t produce_args[] = {
    {.name = "topic", .type = "string"},
    {.name = "partition", .type = "integer", .token = "PARTITION", .optional = true},
    {.name = "key", .type = "string", .token = "KEY", .optional = true},
    {.name = "header", .type = "block", .token = "HEADER", .optional = true, .multiple = true, ARGS(header_args)},
    {.name = "unix-time-milliseconds", .type = "unix-time", .token = "AT", .optional = true},
    {.name = "once", .type = "block", .token = "ONCE", .optional = true, ARGS(once_args)},
    {.name = "value", .type = "string"},
};

static const redis_extra_arg_t member_args[] = {{.name = "id", .type = "string"},
                                                {.name = "generation", .type = "integer"}};
static const redis_extra_arg_t commit_args[] = {
    {.name = "group", .type = "string"},
    {.name = "topic", .type = "string"},
    {.name = "partition", .type = "integer"},
    {.name = "offset", .type = "integer"},
    {.name = "member", .type = "block", .token = "MEMBER", .optional = true, ARGS(member_args)},
    {.name = "text", .type = "string", .token = "METADATA", .optional = true},
};
static const redis_extra_arg_t committed_args[] = {
    {.name = "group", .type = "string"}, {.name = "topic", .type = "string"}, {.name = "partition", .type = "integer"}};
static const redis_extra_arg_t wait_args[] = {{.name = "timeout-ms", .type = "integer"}};

static const redis_extra_arg_t list_args[] = {{.name = "list", .type = "pure-token", .token = "LIST"},
                                              {.name = "count", .type = "integer", .optional = true}};
static const redis_extra_arg_t shows[] = {
    {.name = "info", .type = "pure-token", .token = "INFO"},
    {.name = "feeds", .type = "pure-token", .token = "FEEDS"},
    {.name = "list", .type = "block", ARGS(list_args)},
};
static const redis_extra_arg_t outbox_args[] = {{.name = "subcommand", .type = "oneof", ARGS(shows)}};
static const redis_extra_arg_t reroute_args[] = {
    {.name = "topic", .type = "string"},
    {.name = "drop", .type = "pure-token", .token = "DROP", .optional = true},
};

static void help_command(redis_call_t *call, void *user)
{
    static const char *const lines[] = {
        "The bridge to Kafka. Commands are:",
        "KAFKA.PRODUCE <topic> [PARTITION <n>] [KEY <key>] [HEADER <name> <value> ...] [AT <unix-ms>]",
        "              [ONCE <key> <seconds>] <value>",
        "    Append a record. In MULTI or a script: in one step with the keys that change there.",
        "KAFKA.COMMIT <group> <topic> <partition> <offset> [MEMBER <id> <generation>] [METADATA <text>]",
        "    Commit a consumer group's position, in one step with keys.",
        "KAFKA.COMMITTED <group> <topic> <partition>",
        "    Return a consumer group's position.",
        "KAFKA.WAIT <timeout-ms>",
        "    Wait until this connection's records are in their partitions.",
        "KAFKA.OUTBOX INFO | FEEDS | LIST [<count>]",
        "    Show the records that wait for their partitions, and the change feeds.",
        "KAFKA.REROUTE <topic> [DROP]",
        "    Give records whose partition is gone another one by their key, or drop them.",
        "KAFKA.HELP",
        "    Print this help.",
    };
    redis_client_t *client = redis_call_client(call);
    redis_reply_array(client, ARRAY_LEN(lines));
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) redis_reply_status(client, lines[i]);
}

static const redis_extra_command_t rows[] = {
    {"KAFKA.PRODUCE", -3, "write,denyoom", .summary = "Appends a record to a Kafka topic, in one step with keys.",
     ARGS(produce_args), .handler = produce_command, .check = produce_precondition, .follows = produce_follows},
    {"KAFKA.COMMIT", -5, "write,denyoom", .summary = "Commits a consumer group's position, in one step with keys.",
     ARGS(commit_args), .handler = commit_command, .check = commit_precondition, .ask = commit_ask},
    {"KAFKA.COMMITTED", 4, "readonly", .summary = "Returns a consumer group's position.", ARGS(committed_args),
     .handler = committed_command, .ask = committed_ask},
    {"KAFKA.WAIT", 2, "noscript", .summary = "Waits until this connection's records are in their partitions.",
     ARGS(wait_args), .handler = waiters_command},
    {"KAFKA.OUTBOX", -2, "readonly", .summary = "Shows the records that wait for their partitions.", ARGS(outbox_args),
     .handler = show_command},
    {"KAFKA.REROUTE", -2, "write,noscript",
     .summary = "Gives records whose partition is gone another one by their key, or drops them.", ARGS(reroute_args),
     .handler = reroute_command},
    {"KAFKA.HELP", 1, "loading,stale", .summary = "Returns helpful text about the bridge's commands.",
     .handler = help_command},
    {"KAFKA.JOURNAL", -4, "write,noscript", .summary = "The outbox in the append-only file.",
     .handler = journal_command},
};

/* A row with its bridge: the user of what Redis calls. */
typedef struct bridge_command {
    bridge_t *bridge;
    const redis_extra_command_t *row;
} bridge_command_t;

#define LOADING_TEXT "LOADING Kafka is recovering its partitions"

/* Before that, nobody knows which numbers the partitions have. HELP needs none, and JOURNAL is what the file says. */
static bool must_wait(const bridge_command_t *command, const redis_call_t *call)
{
    if (command->bridge->started || strstr(command->row->flags, "loading")) return false;
    return !call || !redis_call_is_loading(call);
}

static void run_command(redis_call_t *call, void *user)
{
    const bridge_command_t *command = user;
    if (must_wait(command, call))
        redis_reply_error(redis_call_client(call), LOADING_TEXT);
    else
        command->row->handler(call, command->bridge);
}

static const char *check_command(int argc, const bytes_t *argv, redis_question_t *question, void *user)
{
    const bridge_command_t *command = user;
    return must_wait(command, NULL) ? LOADING_TEXT : command->row->check(argc, argv, question, command->bridge);
}

static redis_question_t *ask_command(int argc, const bytes_t *argv, void *user)
{
    const bridge_command_t *command = user;
    return must_wait(command, NULL) ? NULL : command->row->ask(argc, argv, command->bridge);
}

void bridge__add_commands(bridge_t *bridge)
{
    bridge->commands = mem_zalloc(sizeof(*bridge->commands) * ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        redis_extra_command_t row = rows[i];
        bridge->commands[i] = (bridge_command_t){bridge, &rows[i]};
        row.since = "0.1.0";
        row.group = "kafka";
        row.handler = run_command;
        row.check = rows[i].check ? check_command : NULL;
        row.ask = rows[i].ask ? ask_command : NULL;
        row.user = &bridge->commands[i];
        redis_register_command(bridge->redis, &row);
    }
}
