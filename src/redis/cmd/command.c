/* command.c: COMMAND: the generated table, told to clients. */
#include "redis/exec/getkeys.h"
#include "redis/exec/state.h"
#include "redis/glob.h"
#include "redis_commands.h"

#include <stdio.h>

/* ---- INFO ------------------------------------------------------------------------------------------------------------ */

static void reply_flags(redis_client_t *c, uint32_t flags)
{
#define X(name, text) text,
    static const char *const names[] = {CMD_FLAG_MAP(X)};
#undef X
    size_t count = 0;
    flags &= ~(uint32_t)CMD_MAY_REPLICATE; /* the original keeps this one to itself */
    for (int i = 0; i < CMD_FLAG_COUNT; i++) count += (flags >> i & 1) && names[i];
    reply_set(c, count);
    for (int i = 0; i < CMD_FLAG_COUNT; i++)
        if ((flags >> i & 1) && names[i]) reply_simple(c, names[i]);
}

static void reply_categories(redis_client_t *c, uint32_t acl)
{
#define X(name, text) "@" text,
    static const char *const names[] = {CMD_ACL_MAP(X)};
#undef X
    reply_set(c, (size_t)__builtin_popcount(acl));
    for (int i = 0; i < ACL_COUNT; i++)
        if (acl >> i & 1) reply_simple(c, names[i]);
}

static void reply_key_flags(redis_client_t *c, uint32_t flags)
{
#define X(name, text) text,
    static const char *const names[] = {KEY_FLAG_MAP(X)};
#undef X
    reply_set(c, (size_t)__builtin_popcount(flags));
    for (int i = 0; i < KEY_FLAG_COUNT; i++)
        if (flags >> i & 1) reply_simple(c, names[i]);
}

static void reply_pair_int(redis_client_t *c, const char *name, int64_t v)
{
    reply_bulk_str(c, name);
    reply_int(c, v);
}

static void reply_key_spec(redis_client_t *c, const redis_key_spec_t *s)
{
    reply_map(c, 3);
    reply_bulk_str(c, "flags");
    reply_key_flags(c, s->flags);
    reply_bulk_str(c, "begin_search");
    reply_map(c, 2);
    reply_bulk_str(c, "type");
    reply_bulk_str(c, s->keyword ? "keyword" : "index");
    reply_bulk_str(c, "spec");
    reply_map(c, s->keyword ? 2 : 1);
    if (s->keyword) {
        reply_bulk_str(c, "keyword");
        reply_bulk_str(c, s->keyword);
        reply_pair_int(c, "startfrom", s->index);
    } else {
        reply_pair_int(c, "index", s->index);
    }
    reply_bulk_str(c, "find_keys");
    reply_map(c, 2);
    reply_bulk_str(c, "type");
    reply_bulk_str(c, s->keynum ? "keynum" : "range");
    reply_bulk_str(c, "spec");
    reply_map(c, 3);
    reply_pair_int(c, s->keynum ? "keynumidx" : "lastkey", s->keynum ? s->keynum_index : s->last_key);
    reply_pair_int(c, s->keynum ? "firstkey" : "keystep", s->keynum ? s->first_key : s->step);
    reply_pair_int(c, s->keynum ? "keystep" : "limit", s->keynum ? s->step : s->limit);
}

static void reply_info(redis_client_t *c, const redis_command_t *cmd)
{
    if (!cmd) {
        reply_null(c);
        return;
    }
    reply_array(c, 10);
    reply_bulk_str(c, cmd->full_name);
    reply_int(c, cmd->arity);
    reply_flags(c, cmd->flags);
    reply_int(c, cmd->first_key);
    reply_int(c, cmd->last_key);
    reply_int(c, cmd->key_step);
    reply_categories(c, cmd->acl);
    reply_set(c, cmd->tip_count);
    for (unsigned i = 0; i < cmd->tip_count; i++) reply_bulk_str(c, cmd->tips[i]);
    reply_set(c, cmd->key_spec_count);
    for (unsigned i = 0; i < cmd->key_spec_count; i++) reply_key_spec(c, &cmd->key_specs[i]);
    reply_set(c, cmd->subcommand_count);
    for (unsigned i = 0; i < cmd->subcommand_count; i++) reply_info(c, &cmd->subcommands[i]);
}

/* "get", "config|get"; NULL when there is none. */
static const redis_command_t *find(redis_t *redis, bytes_t name)
{
    const uint8_t *bar = name.len ? memchr(name.ptr, '|', name.len) : NULL;
    if (!bar) return command__lookup(redis, name);
    const redis_command_t *parent = command__lookup(redis, bytes_of(name.ptr, (size_t)(bar - name.ptr)));
    if (!parent || parent->subcommand_count == 0) return NULL;
    bytes_t argv[2] = {name, bytes_of(bar + 1, name.len - (size_t)(bar + 1 - name.ptr))};
    return command__resolve(parent, 2, argv);
}

/* Calls `each` for all top-level commands. */
static size_t each_command(redis_t *redis, redis_client_t *c, void (*each)(redis_client_t *, const redis_command_t *))
{
    size_t cursor = 0;
    map_entry_t *m;
    for (unsigned i = 0; i < redis_command_count; i++) each(c, &redis_commands[i]);
    while ((m = map_next(&redis->extra_commands, &cursor))) each(c, m->value);
    return redis_command_count + redis->extra_commands.count;
}

static size_t command_count(const redis_t *redis) { return redis_command_count + redis->extra_commands.count; }

void redis_cmd_command(redis_call_t *call)
{
    reply_array(call->client, command_count(call->redis));
    each_command(call->redis, call->client, reply_info);
}

void redis_cmd_command_info(redis_call_t *call)
{
    if (call->argc == 2) {
        redis_cmd_command(call);
        return;
    }
    reply_array(call->client, (size_t)call->argc - 2);
    for (int i = 2; i < call->argc; i++) reply_info(call->client, find(call->redis, call->argv[i]));
}

void redis_cmd_command_count(redis_call_t *call) { reply_int(call->client, (int64_t)command_count(call->redis)); }

/* ---- DOCS ------------------------------------------------------------------------------------------------------------ */

static void reply_pair(redis_client_t *c, const char *name, const char *value)
{
    reply_bulk_str(c, name);
    reply_bulk_str(c, value);
}

static void reply_args(redis_client_t *c, const redis_arg_t *args, unsigned count)
{
    reply_array(c, count);
    for (unsigned i = 0; i < count; i++) {
        const redis_arg_t *a = &args[i];
        bool display =
            strcmp(a->type, "oneof") != 0 && strcmp(a->type, "block") != 0 && strcmp(a->type, "pure-token") != 0;
        size_t pairs = 2 + (a->token != NULL) + (a->since != NULL) + (a->deprecated != NULL) + (a->flags != 0) +
                       (a->args != NULL) + (a->key_spec >= 0) + (a->display || display);
        reply_map(c, pairs);
        reply_pair(c, "name", a->name);
        reply_pair(c, "type", a->type);
        if (a->display || display) reply_pair(c, "display_text", a->display ? a->display : a->name);
        if (a->key_spec >= 0) reply_pair_int(c, "key_spec_index", a->key_spec);
        if (a->token) reply_pair(c, "token", a->token);
        if (a->since) reply_pair(c, "since", a->since);
        if (a->deprecated) reply_pair(c, "deprecated_since", a->deprecated);
        if (a->flags) {
            static const char *const names[] = {"optional", "multiple", "multiple_token"};
            reply_bulk_str(c, "flags");
            reply_set(c, (size_t)__builtin_popcount(a->flags));
            for (int f = 0; f < 3; f++)
                if (a->flags >> f & 1) reply_simple(c, names[f]);
        }
        if (a->args) {
            reply_bulk_str(c, "arguments");
            reply_args(c, a->args, a->arg_count);
        }
    }
}

static void reply_docs(redis_client_t *c, const redis_command_t *cmd)
{
    reply_bulk_str(c, cmd->full_name);
    size_t pairs = 3 + (cmd->complexity != NULL) + (cmd->doc_flags != NULL) + (cmd->deprecated != NULL) +
                   (cmd->replaced_by != NULL) + (cmd->arg_count > 0) + (cmd->subcommand_count > 0);
    reply_map(c, pairs);
    reply_pair(c, "summary", cmd->summary);
    reply_pair(c, "since", cmd->since);
    reply_pair(c, "group", cmd->group);
    if (cmd->complexity) reply_pair(c, "complexity", cmd->complexity);
    if (cmd->doc_flags) {
        reply_bulk_str(c, "doc_flags");
        reply_set(c, 1);
        reply_simple(c, cmd->doc_flags);
    }
    if (cmd->deprecated) reply_pair(c, "deprecated_since", cmd->deprecated);
    if (cmd->replaced_by) reply_pair(c, "replaced_by", cmd->replaced_by);
    if (cmd->arg_count) {
        reply_bulk_str(c, "arguments");
        reply_args(c, cmd->args, cmd->arg_count);
    }
    if (cmd->subcommand_count) {
        reply_bulk_str(c, "subcommands");
        reply_map(c, cmd->subcommand_count);
        for (unsigned i = 0; i < cmd->subcommand_count; i++) reply_docs(c, &cmd->subcommands[i]);
    }
}

void redis_cmd_command_docs(redis_call_t *call)
{
    if (call->argc == 2) {
        reply_map(call->client, command_count(call->redis));
        each_command(call->redis, call->client, reply_docs);
        return;
    }
    reply_deferred_t d = reply_deferred_begin(call->client);
    size_t count = 0;
    for (int i = 2; i < call->argc; i++) {
        const redis_command_t *cmd = find(call->redis, call->argv[i]);
        if (!cmd) continue;
        reply_docs(call->client, cmd);
        count++;
    }
    reply_deferred_map(call->client, d, count);
}

/* ---- LIST ------------------------------------------------------------------------------------------------------------ */

typedef enum { FILTER_NONE, FILTER_MODULE, FILTER_CATEGORY, FILTER_PATTERN } filter_t;

static bool passes(filter_t filter, bytes_t value, const redis_command_t *cmd)
{
#define X(name, text) text,
    static const char *const categories[] = {CMD_ACL_MAP(X)};
#undef X
    switch (filter) {
    case FILTER_MODULE: return false;
    case FILTER_PATTERN: return glob_match(value, bytes_str(cmd->full_name), true);
    case FILTER_CATEGORY:
        for (int i = 0; i < ACL_COUNT; i++)
            if (cmd->acl >> i & 1 && bytes_eq_nocase(value, bytes_str(categories[i]))) return true;
        return false;
    default: return true;
    }
}

static size_t list_command(redis_client_t *c, filter_t filter, bytes_t value, const redis_command_t *cmd)
{
    size_t count = 0;
    if (passes(filter, value, cmd)) {
        reply_bulk_str(c, cmd->full_name);
        count++;
    }
    for (unsigned i = 0; i < cmd->subcommand_count; i++) count += list_command(c, filter, value, &cmd->subcommands[i]);
    return count;
}

void redis_cmd_command_list(redis_call_t *call)
{
    filter_t filter = FILTER_NONE;
    if (call->argc == 5 && arg_is(call, 2, "FILTERBY")) {
        if (arg_is(call, 3, "MODULE")) filter = FILTER_MODULE;
        if (arg_is(call, 3, "ACLCAT")) filter = FILTER_CATEGORY;
        if (arg_is(call, 3, "PATTERN")) filter = FILTER_PATTERN;
    }
    if (call->argc != 2 && filter == FILTER_NONE) {
        reply_error_syntax(call->client);
        return;
    }
    bytes_t value = filter == FILTER_NONE ? BYTES_NULL : call->argv[4];
    reply_deferred_t d = reply_deferred_begin(call->client);
    size_t count = 0, cursor = 0;
    map_entry_t *m;
    for (unsigned i = 0; i < redis_command_count; i++)
        count += list_command(call->client, filter, value, &redis_commands[i]);
    while ((m = map_next(&call->redis->extra_commands, &cursor)))
        count += list_command(call->client, filter, value, m->value);
    reply_deferred_array(call->client, d, count);
}

/* ---- GETKEYS --------------------------------------------------------------------------------------------------------- */

static void get_keys(redis_call_t *call, bool with_flags)
{
    redis_client_t *c = call->client;
    int argc = call->argc - 2;
    const bytes_t *argv = call->argv + 2;
    const redis_command_t *cmd = command__lookup(call->redis, argv[0]);
    if (cmd) cmd = command__resolve(cmd, argc, argv);
    if (!cmd) {
        reply_error(c, "ERR Invalid command specified");
        return;
    }
    if (cmd->key_spec_count == 0 && cmd->first_key == 0) {
        reply_error(c, "ERR The command has no key arguments");
        return;
    }
    if (!command__arity_fits(cmd, argc)) {
        reply_error(c, "ERR Invalid number of arguments specified for command");
        return;
    }
    key_positions_t keys = {0};
    bool ok = command_get_keys(cmd, argc, argv, &keys), may_be_none = cmd->flags & CMD_NO_MANDATORY_KEYS;
    if (!ok) keys.count = 0;
    if (keys.count == 0 && !may_be_none) {
        reply_error(c, "ERR Invalid arguments specified for command");
        key_positions_deinit(&keys);
        return;
    }
    reply_array(c, keys.count);
    for (size_t i = 0; i < keys.count; i++) {
        if (with_flags) reply_array(c, 2);
        reply_bulk(c, argv[keys.at[i].index]);
        if (with_flags) reply_key_flags(c, keys.at[i].flags);
    }
    key_positions_deinit(&keys);
}

void redis_cmd_command_getkeys(redis_call_t *call) { get_keys(call, false); }
void redis_cmd_command_getkeysandflags(redis_call_t *call) { get_keys(call, true); }
