/* exec.h: a request on its way: found, checked, queued or run, propagated. */
#ifndef TRIVET_REDIS_EXEC_H
#define TRIVET_REDIS_EXEC_H

#include "redis/conn/client.h"
#include "redis/exec/command.h"
#include "redis/exec/command_table.h"

/* A command kept for later: MULTI's queue, a blocked client. One allocation. */
struct saved_command {
    const redis_command_t *command;
    struct redis_question *question; /* of a transaction's that must know something before EXEC runs; NULL = none */
    int argc;
    bytes_t argv[];
};

/* One parsed request of a pipeline. */
typedef struct parsed {
    const redis_command_t *command; /* NULL = unknown */
    const bytes_t *argv;
    int argc;
    bool is_inline;
    uint64_t key_hash;
    const uint8_t *hashed_key;
    size_t start, end; /* offsets in the input */
} parsed_t;

const redis_command_t *command__lookup(redis_t *redis, bytes_t name);
/* The subcommand named by argv[1], or the command itself when it has none; NULL when unknown. */
const redis_command_t *command__resolve(const redis_command_t *command, int argc, const bytes_t *argv);
bool command__arity_fits(const redis_command_t *command, int argc);
/* The error for a subcommand that command__resolve did not find. */
void exec__say_unknown_subcommand(const redis_command_t *command, const bytes_t *argv, char *text, size_t text_bytes);
/* All checks, then queues or runs it. `raw` may be null. */
void exec__request(redis_client_t *c, const parsed_t *request, bytes_t raw);
/* The way of a pipelined request that needs no clock of its own; false = take exec__request. */
bool exec__fast(redis_client_t *c, const parsed_t *request, bytes_t raw);
/* Runs a command that passed the checks: statistics, propagation, what it woke. */
void exec__run(redis_client_t *c, const redis_command_t *command, int argc, const bytes_t *argv, bytes_t raw,
               const uint8_t *hashed_key, uint64_t key_hash, uint32_t flags);
/* The same, with its time taken for statistics and the slow log. */
void exec__run_timed(redis_client_t *c, const redis_command_t *command, const parsed_t *request, bytes_t raw,
                     uint32_t flags);
saved_command_t *command__save(const redis_command_t *command, int argc, const bytes_t *argv);
void exec__free_extra(redis_t *redis);
/* Whether it may run although answers to earlier commands of its client are under way. */
bool exec__follows(const redis_command_t *command, int argc, const bytes_t *argv);
/* Whether it is a command from outside that may have to know something before it runs; what it asks, NULL = nothing. */
bool exec__asks(const redis_command_t *command);
struct redis_question *exec__ask(const redis_command_t *command, int argc, const bytes_t *argv);
/* Why a command from outside must not run in a transaction now; NULL = it may. */
const char *exec__extra_problem(const saved_command_t *command);
/* Closes what the command, transaction or script under way has gathered for the append-only file, if it has; `atomic`: it
 * must be read back whole or not at all. */
void exec__end_entry(redis_t *redis, bool atomic);
/* After an event outside any command (a timer): propagates and serves what it caused. */
void exec__after_event(redis_t *redis);
/* A call for work outside any command: expiry, eviction. */
redis_call_t exec__internal_call(redis_t *redis, redis_db_t *db);

#endif
