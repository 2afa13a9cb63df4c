/* bridge.c: the bridge's life. */
#include "bridge/far.h"
#include "bridge/feed.h"

bridge_t *bridge_new(io_loop_t *loop, redis_t *redis)
{
    bridge_t *bridge = mem_zalloc(sizeof(*bridge));
    bridge->loop = loop;
    bridge->redis = redis;
    outbox_init(bridge);
    waiters_init(bridge);
    commits_init(bridge);
    bridge__add_commands(bridge);
    redis_on_client_gone(redis, waiters_gone, bridge);
    redis_beside_add(redis, journal_emit, bridge);
    redis_uncounted_add(redis, outbox_waiting_bytes, bridge);
    return bridge;
}

void bridge_attach(bridge_t *bridge, kafka_t *kafka, io_loop_t *kafka_loop)
{
    bridge->kafka_loop = kafka_loop;
    bridge->kafka = kafka;
    bridge->catalog = kafka_catalog_new(kafka);
    bridge->far_commits = far_commits_new();
    kafka_commits_hold(kafka, far_commits_wait, bridge->far_commits);
    kafka_producer_keep(kafka, KAFKA_PRODUCERS_ALL); /* until Redis has loaded, and so the bridge's own is known */
}

void bridge__update(bridge_t *bridge)
{
    if (bridge->catalog) kafka_catalog_update(bridge->catalog);
}

void bridge_stop(bridge_t *bridge)
{
    if (!bridge->stopped) deliver_stop(bridge);
}

void bridge_free(bridge_t *bridge)
{
    bridge_stop(bridge);
    if (bridge->feeds) feed__stop(bridge->feeds);
    redis_on_client_gone(bridge->redis, NULL, NULL); /* connections close when the bridge has gone */
    redis_beside_remove(bridge->redis, bridge);
    redis_uncounted_remove(bridge->redis, bridge);
    waiters_deinit(bridge);
    commits_deinit(bridge);
    outbox_deinit(bridge);
    if (bridge->far_commits) far_commits_free(bridge->far_commits);
    kafka_catalog_free(bridge->catalog);
    mem_free(bridge->commands);
    mem_free(bridge);
}

void bridge_set_bytes_max(bridge_t *bridge, size_t bytes) { bridge->bytes_max = bytes; }

const kafka_catalog_t *bridge_catalog(const bridge_t *bridge) { return bridge->catalog; }
