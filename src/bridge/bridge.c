/* bridge.c: the bridge's life and its commands' rows. */
#include "bridge/feed.h"

static void add_command(bridge_t *bridge, const char *name, int arity, const char *flags, const char *summary,
                        void (*handler)(redis_call_t *call, void *user),
                        const char *(*check)(int argc, const bytes_t *argv, void *user))
{
    redis_extra_command_t row = {
        .name = name,
        .arity = arity,
        .flags = flags,
        .summary = summary,
        .since = "0.1.0",
        .group = "kafka",
        .handler = handler,
        .check = check,
        .user = bridge,
    };
    redis_register_command(bridge->redis, &row);
}

bridge_t *bridge_new(io_loop_t *loop, redis_t *redis)
{
    bridge_t *bridge = mem_zalloc(sizeof(*bridge));
    bridge->loop = loop;
    bridge->redis = redis;
    outbox_init(bridge);
    waiters_init(bridge);
    positions_init(bridge);
    add_command(bridge, "KAFKA.PRODUCE", -3, "write,denyoom",
                "Appends a record to a Kafka topic, in one step with keys.", produce_command, produce_precondition);
    add_command(bridge, "KAFKA.COMMIT", -5, "write,denyoom",
                "Commits a consumer group's position, in one step with keys.", position_commit_command,
                position_precondition);
    add_command(bridge, "KAFKA.COMMITTED", 4, "readonly", "Returns a consumer group's position.",
                position_committed_command, NULL);
    add_command(bridge, "KAFKA.WAIT", 2, "noscript", "Waits until this connection's records are in their partitions.",
                waiters_command, NULL);
    add_command(bridge, "KAFKA.OUTBOX", -2, "readonly", "Shows the records that wait for their partitions.",
                show_command, NULL);
    add_command(bridge, "KAFKA.JOURNAL", -4, "write,noscript", "The outbox in the append-only file.", journal_command,
                NULL);
    redis_on_client_gone(redis, waiters_gone, bridge);
    redis_on_rewrite(redis, journal_emit, bridge);
    redis_waiting(redis, outbox_waiting_bytes, bridge);
    return bridge;
}

void bridge_attach(bridge_t *bridge, kafka_t *kafka)
{
    bridge->kafka = kafka;
    kafka_positions_hold(kafka, position_waits, bridge);
    if (bridge->producer_id >= 0) kafka_producer_keep(kafka, bridge->producer_id);
}

int bridge_start(bridge_t *bridge)
{
    if (bridge->unreadable) return ERR_CORRUPT;
    deliver_start(bridge);
    map_deinit(&bridge->by_number);
    bridge->by_number = MAP_INIT;
    return 0;
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
    redis_on_rewrite(bridge->redis, NULL, NULL);
    redis_waiting(bridge->redis, NULL, NULL);
    waiters_deinit(bridge);
    positions_deinit(bridge);
    outbox_deinit(bridge);
    mem_free(bridge);
}

void bridge_set_bytes_max(bridge_t *bridge, size_t bytes) { bridge->bytes_max = bytes; }

void bridge_break_order(bridge_t *bridge) { bridge->unordered = true; }
