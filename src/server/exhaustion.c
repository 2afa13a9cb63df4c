/* exhaustion.c: what a person reads when the process ends because an allocation failed. base/ has said how much was asked for; here
 * follow what is in use, what there is, and what can be lowered. */
#include "redis/redis.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <unistd.h>

/* Nothing here allocates. */
static void tell(void *user)
{
    const server_t *server = user;
    char text[640];
    redis_stats_t redis = {0};
    if (server->redis) redis = redis_stats(server->redis);
    int n = snprintf(text, sizeof(text),
                     "  %zu MiB are in use, and the process may have %" PRIu64
                     " MiB: the least of the machine's memory, its control group's and ulimit -v.\n"
                     "  Give it more, or lower redis.maxmemory, which is %" PRIu64
                     " MiB now%s, trivet.outbox-bytes-max, trivet.input-bytes-max or trivet.output-bytes-max.\n",
                     mem_used() >> 20, server->memory_bytes >> 20, redis.memory_limit_bytes >> 20,
                     redis.memory_limit_bytes ? "" : " (no limit)");
    if (write(STDERR_FILENO, text, (size_t)MAX(n, 0)) < 0) return; /* nobody reads it */
}

void server__explain_exhaustion(server_t *server)
{
    server->memory_bytes = io_memory_bytes();
    mem_on_exhausted(tell, server);
}
