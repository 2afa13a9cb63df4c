/* command.c: commands found by their names, and kept for later. */
#include "redis/exec/state.h"
#include "redis_commands.h"

#include <ctype.h>

const redis_command_t *command__lookup(redis_t *redis, bytes_t name)
{
    const redis_command_t *c = command_find(name);
    if (LIKELY(c != NULL)) return c;
    char upper[COMMAND_NAME_LEN_MAX * 2];
    if (redis->extra_commands.count == 0 || name.len > sizeof(upper)) return NULL;
    for (size_t i = 0; i < name.len; i++) upper[i] = (char)toupper(name.ptr[i]);
    return map_get(&redis->extra_commands, bytes_of(upper, name.len));
}

const redis_command_t *command__resolve(const redis_command_t *command, int argc, const bytes_t *argv)
{
    if (command->subcommand_count == 0 || argc < 2) return command;
    for (unsigned i = 0; i < command->subcommand_count; i++)
        if (bytes_eq_nocase(bytes_str(command->subcommands[i].name), argv[1])) return &command->subcommands[i];
    return NULL;
}

bool command__arity_fits(const redis_command_t *command, int argc)
{
    return command->arity >= 0 ? argc == command->arity : argc >= -command->arity;
}

saved_command_t *command__save(const redis_command_t *command, int argc, const bytes_t *argv)
{
    size_t bytes = sizeof(saved_command_t) + sizeof(bytes_t) * (size_t)argc;
    size_t head = bytes;
    for (int i = 0; i < argc; i++) bytes += argv[i].len;
    saved_command_t *s = mem_alloc(bytes);
    uint8_t *to = (uint8_t *)s + head;
    s->command = command;
    s->question = NULL;
    s->argc = argc;
    for (int i = 0; i < argc; i++) {
        if (argv[i].len) memcpy(to, argv[i].ptr, argv[i].len);
        s->argv[i] = bytes_of(to, argv[i].len);
        to += argv[i].len;
    }
    return s;
}

uint64_t redis_random(redis_t *redis) { return keyspace__random(&redis->keyspace); }
