/* bridge.h: what needs more than one wing, and nothing else: Redis commands that append Kafka records and commit
 * offsets of consumer groups, alone or in one atomic step with keys.
 *
 *   KAFKA.PRODUCE topic [PARTITION n] [KEY k] [HEADER name value ...] [AT unix-ms] [ONCE key seconds] value
 *   KAFKA.COMMIT group topic partition offset [MEMBER id generation] [METADATA text]
 *   KAFKA.COMMITTED group topic partition
 *   KAFKA.WAIT timeout-ms
 *   KAFKA.OUTBOX INFO | FEEDS | LIST [count]
 *   KAFKA.REROUTE topic [DROP]
 *   KAFKA.HELP
 *   KAFKA.JOURNAL ...   what the outbox writes into the append-only file: refused from clients
 *
 * Alone and without AT and ONCE a record goes straight into its partition. Else it goes, as offsets do, through the outbox
 * (docs/decisions/0021-outbox.md): into the append-only file together with the keys that change with it, and from there
 * into its partition, in order and exactly once.
 *
 * A change feed (docs/decisions/0022-change-feed.md) makes a record of each change to the keys it covers, by the same way. */
#ifndef TRIVET_BRIDGE_BRIDGE_H
#define TRIVET_BRIDGE_BRIDGE_H

#include "base/base.h"
#include "io/io.h"
#include "kafka/catalog.h"
#include "kafka/kafka.h"
#include "redis/redis.h"

typedef struct bridge bridge_t;

/* Registers the commands: before redis_load, which reads the outbox back. */
bridge_t *bridge_new(io_loop_t *loop, redis_t *redis);
/* Before kafka_start; `kafka_loop` is the one that Kafka runs on. Without it records wait in the outbox and new ones are refused. */
void bridge_attach(bridge_t *bridge, kafka_t *kafka, io_loop_t *kafka_loop);
/* Once Redis has loaded and Kafka is ready, on Redis' reactor: delivery begins, and commands no longer answer LOADING. `started`
 * runs there when it has, perhaps within the call. ERR_CORRUPT: what the append-only file says of the outbox makes no sense. */
int bridge_start(bridge_t *bridge, void (*started)(void *user), void *user) MUST_CHECK;

/* ---- change feeds: [trivet] changefeed.<name>.topic, .databases, .patterns, .format ---- */

typedef struct bridge_feeds bridge_feeds_t;
bridge_feeds_t *bridge_feeds_new(void);
/* After the bridge. */
void bridge_feeds_free(bridge_feeds_t *feeds);
bool bridge_feeds_any(const bridge_feeds_t *feeds);
/* One setting: "<name>.topic". ERR_NOT_FOUND, ERR_INVALID or ERR_LIMIT with a sentence in `err`. */
int bridge_feeds_configure(bridge_feeds_t *feeds, const char *name, const char *value, char *err,
                           size_t err_bytes) MUST_CHECK;
/* After bridge_start: from here on changes are fed. On failure `err` says which setting cannot be. */
int bridge_feeds_start(bridge_feeds_t *feeds, bridge_t *bridge, char *err, size_t err_bytes) MUST_CHECK;

/* ---- the end, and the rest ---- */

/* Records beyond it are refused, and writes that feeds would make records of; 1 GiB unless told. */
void bridge_set_bytes_max(bridge_t *bridge, size_t bytes);
/* Prometheus text. */
void bridge_metrics(const bridge_t *bridge, buf_t *out);
/* Nothing is delivered any more; before the wings stop. */
void bridge_stop(bridge_t *bridge);
/* Both wings have stopped and are still there. */
void bridge_free(bridge_t *bridge); /* before its redis_t */

/* What the bridge knows of Kafka's topics: for tests. */
const kafka_catalog_t *bridge_catalog(const bridge_t *bridge);

#endif
