/* commandlog.h: the slow log, and those of large requests and replies. */
#ifndef TRIVET_REDIS_EXEC_COMMANDLOG_H
#define TRIVET_REDIS_EXEC_COMMANDLOG_H

#include "redis/exec/command.h"

typedef struct commandlog commandlog_t;

typedef enum {
    COMMANDLOG_SLOW,
    COMMANDLOG_LARGE_REQUEST,
    COMMANDLOG_LARGE_REPLY,
    COMMANDLOG_KINDS,
} commandlog_kind_t;
commandlog_t *commandlog__new(void);
void commandlog__free(commandlog_t *log);
/* `measure`: microseconds, or bytes. */
void commandlog__add(redis_t *redis, commandlog_kind_t kind, redis_client_t *c, const redis_command_t *command,
                     int argc, const bytes_t *argv, uint64_t measure);

#endif
