/* getkeys.h: which words of a command line are keys, by the command's key specifications. */
#ifndef TRIVET_REDIS_GETKEYS_H
#define TRIVET_REDIS_GETKEYS_H

#include "redis/exec/command_table.h"

typedef struct key_position {
    int index;
    uint32_t flags;
} key_position_t;

typedef struct key_positions {
    key_position_t *at;
    size_t count, cap;
} key_positions_t;

/* False when the arguments contradict the specification; `keys` are those found before. */
bool command_get_keys(const redis_command_t *command, int argc, const bytes_t *argv, key_positions_t *keys);
void key_positions_deinit(key_positions_t *keys);

#endif
