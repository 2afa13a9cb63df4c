/* scripts.h: the server's side of scripts: commands for them, the pause of a long one, its end. */
#ifndef TRIVET_REDIS_SCRIPTS_H
#define TRIVET_REDIS_SCRIPTS_H

#include "redis/exec/exec.h"
#include "redis/script/script.h"

/* Made at its first use. */
script_engine_t *scripts__engine(redis_t *redis);
void scripts__free(redis_t *redis);

/* What is to run: a script, or else a function. */
typedef struct script_job {
    const script_t *script;
    const script_function_t *function;
    uint32_t flags;
    int keys_count;
    bool read_only; /* EVAL_RO and its kin */
} script_job_t;

/* MONITOR shows a script in front of what it runs, and also one that then is not run. */
void scripts__tell_monitors(redis_call_t *call);
/* Runs it with call->argv[3..] as keys and arguments, and replies, perhaps later. */
void scripts__run(redis_call_t *call, const script_job_t *job);
/* SCRIPT KILL, FUNCTION KILL, FUNCTION STATS: reply. */
void scripts__kill(redis_call_t *call, bool function);
void scripts__reply_stats(redis_call_t *call);
/* The source of each library. */
void scripts__each_library(redis_t *redis, void (*each)(void *user, bytes_t code), void *user);
/* What a client hears while a script has paused. */
const char *scripts__busy_text(const redis_t *redis);
/* A scripting command's flags: what its script declares replaces what the command might do. */
uint32_t scripts__flags(redis_t *redis, const redis_command_t *command, int argc, const bytes_t *argv);

typedef struct scripts_info {
    size_t count, vm_bytes, cache_bytes, libraries, functions;
    uint64_t evicted;
} scripts_info_t;
scripts_info_t scripts__info(const redis_t *redis);

#endif
