/* script_host.h: the server's side of scripts: commands for them, the pause of a long one, its end. */
#ifndef TRIVET_REDIS_SCRIPT_HOST_H
#define TRIVET_REDIS_SCRIPT_HOST_H

#include "redis/script/script.h"
#include "redis/state.h"

/* Made at its first use. */
script_engine_t *scripts__engine(redis_t *redis);
void scripts__free(redis_t *redis);

/* Runs a script with call->argv[3..] as keys and arguments, and replies, perhaps later. */
void scripts__run(redis_call_t *call, const script_t *script, int keys_count, bool read_only);
/* SCRIPT KILL: replies. */
void scripts__kill(redis_call_t *call);
/* What a client hears while a script has paused. */
const char *scripts__busy_text(const redis_t *redis);
/* A scripting command's flags: what its script declares replaces what the command might do. */
uint32_t scripts__flags(redis_t *redis, const redis_command_t *command, int argc, const bytes_t *argv);

typedef struct scripts_info {
    size_t count, vm_bytes, cache_bytes;
    uint64_t evicted;
} scripts_info_t;
scripts_info_t scripts__info(const redis_t *redis);

#endif
