/* stats.c: the counters that INFO shows and CONFIG RESETSTAT sets back. */
#include "redis/exec/state.h"
#include "redis_commands.h"

/* Counts an error by its code, the first word. */
void stats__error(redis_t *redis, const char *text, size_t len, bool from_script)
{
    enum { CODES_MAX = 128, CODE_BYTES_MAX = 31 };
    size_t n = 0;
    while (n < MIN(len, (size_t)CODE_BYTES_MAX) && text[n] != ' ') n++;
    redis->clients.stats.error_replies++;
    bool has_code = n < MIN(len, (size_t)CODE_BYTES_MAX);
    bytes_t code = has_code ? bytes_of(text, n) : BYTES_LIT("ERR");
    uint64_t *counter = map_get(&redis->error_stats, code);
    if (!counter && from_script && redis->error_stats.count >= CODES_MAX) {
        code = BYTES_LIT("ERRORSTATS_OVERFLOW");
        counter = map_get(&redis->error_stats, code);
    }
    if (!counter) {
        counter = mem_zalloc(sizeof(*counter));
        map_put(&redis->error_stats, code, counter);
    }
    ++*counter;
}

void stats__reset(redis_t *redis)
{
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&redis->error_stats, &cursor))) mem_free(m->value);
    map_deinit(&redis->error_stats);
    redis->error_stats = MAP_INIT;
    redis->clients.stats = (redis_stats_counters_t){0};
    redis->keyspace.stats = (keyspace_stats_t){0};
    redis->keyspace.lazy.freed = 0;
    redis->ops_last_count = 0;
    size_t ids = redis_command_id_count + redis->extra_commands.count;
    for (size_t i = 0; i < ids; i++) mem_free(redis->command_stats[i].durations);
    memset(redis->command_stats, 0, sizeof(command_stats_t) * ids);
}
