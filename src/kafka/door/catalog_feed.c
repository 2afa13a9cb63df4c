/* catalog_feed.c: the half of the catalog on Kafka's reactor: what changed in a turn leaves at its end in one piece, each
 * topic as it is then. It leaves before the turn's replies do, so that who was told of a new topic finds it in the catalog. */
#include "kafka/config/config.h"
#include "kafka/coordinator/groups.h"
#include "kafka/door/catalog_internal.h"
#include "kafka/partition/partition.h"

#define FEED_HOOK_RANK 80 /* before connections' output (90) */

/* ---- a topic --------------------------------------------------------------------------------------------------------- */

static catalog_rules_t rules_of(const kafka_t *kafka, const kafka_topic_config_t *config)
{
    return (catalog_rules_t){
        .batch_bytes_max = config->max_message_bytes,
        .packing = produce__packing(kafka, config),
        .compacted = config->cleanup_policy & KAFKA_CLEANUP_POLICY_COMPACT,
    };
}

/* Into __consumer_offsets alone offsets go, and a group's partition takes them once its groups could be read. */
static kafka_code_t error_of(const kafka_topic_t *topic, int32_t index)
{
    partition_t *partition;
    if (topic->internal) return groups_partition_error(topic->kafka->groups, topic, index);
    return kafka_topic_partition_get(topic, index, &partition);
}

static bool has_errors(const kafka_topic_t *topic)
{
    for (int32_t i = 0; i < topic->partitions_count; i++)
        if (error_of(topic, i)) return true;
    return false;
}

static void put_topic(const kafka_t *kafka, bytes_t name, buf_t *out)
{
    const kafka_topic_t *topic = map_get(&kafka->topics, name);
    catalog_head_t head = {.partitions_count = -1, .name_bytes = (uint32_t)name.len};
    if (topic) {
        head.rules = rules_of(kafka, &topic->config);
        head.partitions_count = topic->partitions_count;
        head.internal = topic->internal;
        head.deleting = topic->deleting;
        head.has_errors = has_errors(topic);
    }
    buf_append(out, &head, sizeof(head));
    buf_append(out, name.ptr, name.len);
    for (int32_t i = 0; head.has_errors && i < topic->partitions_count; i++) {
        kafka_code_t error = error_of(topic, i);
        buf_append(out, &error, sizeof(error));
    }
}

/* ---- the broker ------------------------------------------------------------------------------------------------------ */

static bool broker_changed(const catalog_feed_t *feed)
{
    const kafka_t *kafka = feed->kafka;
    return !feed->told || feed->config_version != kafka->config_version || feed->broker.ready != kafka->ready ||
           feed->broker.groups_partitions_count != groups_partitions_count(kafka->groups);
}

static catalog_broker_t broker_of(kafka_t *kafka)
{
    kafka_topic_t as_made = {.kafka = kafka, .overrides = MAP_INIT};
    config_compute_topic(&as_made);
    return (catalog_broker_t){
        .ready = kafka->ready,
        .makes_topics = kafka->config.auto_create_topics_enable,
        .replication_factor = (int16_t)kafka->config.default_replication_factor,
        .partitions_count = (int32_t)kafka->config.num_partitions,
        .groups_partitions_count = groups_partitions_count(kafka->groups),
        .metadata_bytes_max = MIN(kafka->config.offset_metadata_max_bytes, INT16_MAX),
        .as_made = rules_of(kafka, &as_made.config),
    };
}

/* ---- telling --------------------------------------------------------------------------------------------------------- */

static void put(kafka_catalog_t *catalog, catalog_news_t *news)
{
    catalog_news_t *head = atomic_load_explicit(&catalog->mailbox, memory_order_relaxed);
    do {
        news->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&catalog->mailbox, &head, news, memory_order_release,
                                                    memory_order_relaxed));
}

static void tell(kafka_catalog_t *catalog)
{
    catalog_feed_t *feed = &catalog->feed;
    catalog_news_t *news = mem_zalloc(sizeof(*news));
    size_t cursor = 0;
    if (broker_changed(feed)) {
        feed->broker = broker_of(feed->kafka);
        feed->config_version = feed->kafka->config_version;
        feed->told = true;
    }
    news->topics = BUF_INIT;
    news->broker = feed->broker;
    for (map_entry_t *e; (e = map_next(&feed->dirty, &cursor));) put_topic(feed->kafka, e->key, &news->topics);
    map_deinit(&feed->dirty);
    feed->dirty = MAP_INIT;
    put(catalog, news);
}

/* Before kafka_start has read the topics there is nothing to tell, and after kafka_stop nobody to tell it to. */
void kafka_catalog_flush(kafka_catalog_t *catalog)
{
    const catalog_feed_t *feed = &catalog->feed;
    if (!feed->kafka->topics_store) return;
    if (feed->dirty.count || broker_changed(feed)) tell(catalog);
}

static void on_turn(io_hook_t *hook) { kafka_catalog_flush(CONTAINER_OF(hook, kafka_catalog_t, feed.hook)); }

/* ---- hearing --------------------------------------------------------------------------------------------------------- */

static void mark(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    catalog_feed_t *feed = CONTAINER_OF(listener, catalog_feed_t, listener);
    map_put(&feed->dirty, kafka_topic_name(topic), feed);
    io_loop_wake(feed->kafka->loop);
}

static void mark_grown(kafka_topic_listener_t *listener, kafka_topic_t *topic, int32_t first) { mark(listener, topic); }

void catalog__feed_start(kafka_catalog_t *catalog, kafka_t *kafka)
{
    catalog_feed_t *feed = &catalog->feed;
    *feed = (catalog_feed_t){.kafka = kafka, .dirty = MAP_INIT};
    feed->listener = (kafka_topic_listener_t){.created = mark,
                                              .grown = mark_grown,
                                              .deleted = mark,
                                              .configured = mark,
                                              .online = mark_grown,
                                              .altered = mark};
    feed->hook = (io_hook_t){.rank = FEED_HOOK_RANK, .name = "kafka catalog", .run = on_turn};
    kafka_topic_listen(kafka, &feed->listener);
    io_hook_add(kafka->loop, &feed->hook);
}

void catalog__feed_stop(catalog_feed_t *feed)
{
    io_hook_remove(&feed->hook);
    list_remove(&feed->listener.node);
    map_deinit(&feed->dirty);
}
