/* secrets.h: what of a command may not be shown to those who watch commands. */
#ifndef TRIVET_REDIS_EXEC_SECRETS_H
#define TRIVET_REDIS_EXEC_SECRETS_H

#include "redis/exec/command.h"

/* Where a command's passwords are: words [from, to), or the values of settings that are secret. */
typedef struct secrets {
    int from, to;
    bool settings;
} secrets_t;
secrets_t secrets__find(const redis_command_t *command, int argc, const bytes_t *argv);
/* The word as it may be shown. */
bytes_t secrets__shown(secrets_t secrets, const bytes_t *argv, int i);

#endif
