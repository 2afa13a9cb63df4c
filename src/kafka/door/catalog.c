/* catalog.c: the catalog's own half: takes what Kafka's reactor tells, and finds it again. See catalog.h. */
#include "kafka/door/catalog_internal.h"
#include "kafka/topics/topics.h"

kafka_catalog_t *kafka_catalog_new(kafka_t *kafka)
{
    kafka_catalog_t *catalog = mem_zalloc(sizeof(*catalog));
    catalog->topics = catalog->folded = MAP_INIT;
    catalog__feed_start(catalog, kafka);
    return catalog;
}

static void topic_drop(catalog_topic_t *topic)
{
    mem_free(topic->errors);
    mem_free(topic);
}

void kafka_catalog_free(kafka_catalog_t *catalog)
{
    size_t cursor = 0;
    if (!catalog) return;
    catalog__feed_stop(&catalog->feed);
    kafka_catalog_update(catalog);
    for (map_entry_t *e; (e = map_next(&catalog->topics, &cursor));) topic_drop(e->value);
    map_deinit(&catalog->topics);
    map_deinit(&catalog->folded);
    mem_free(catalog);
}

/* ---- taking ---------------------------------------------------------------------------------------------------------- */

static void forget(kafka_catalog_t *catalog, bytes_t name)
{
    uint8_t buffer[KAFKA_TOPIC_NAME_BYTES_MAX];
    catalog_topic_t *topic = map_remove(&catalog->topics, name);
    bytes_t folded = topic_fold(name, buffer);
    if (!topic) return;
    if (map_get(&catalog->folded, folded) == topic) map_remove(&catalog->folded, folded);
    topic_drop(topic);
}

static catalog_topic_t *topic_of(kafka_catalog_t *catalog, bytes_t name)
{
    uint8_t buffer[KAFKA_TOPIC_NAME_BYTES_MAX];
    catalog_topic_t *topic = map_get(&catalog->topics, name);
    if (topic) return topic;
    topic = mem_zalloc(sizeof(*topic) + name.len);
    topic->name_bytes = (uint32_t)name.len;
    memcpy(topic->name, name.ptr, name.len);
    map_put(&catalog->topics, name, topic);
    map_put(&catalog->folded, topic_fold(name, buffer), topic);
    return topic;
}

/* Where partitions are chosen by turns the turn goes on. */
static void keep(kafka_catalog_t *catalog, bytes_t name, const catalog_head_t *head, const uint8_t *errors)
{
    catalog_topic_t *topic = topic_of(catalog, name);
    size_t errors_bytes = sizeof(topic->errors[0]) * (size_t)head->partitions_count;
    topic->rules = head->rules;
    topic->partitions_count = head->partitions_count;
    topic->internal = head->internal;
    topic->deleting = head->deleting;
    mem_free(topic->errors);
    topic->errors = NULL;
    if (!head->has_errors) return;
    topic->errors = mem_alloc(errors_bytes);
    memcpy(topic->errors, errors, errors_bytes);
}

static size_t take_topic(kafka_catalog_t *catalog, const uint8_t *at)
{
    catalog_head_t head;
    memcpy(&head, at, sizeof(head));
    bytes_t name = bytes_of(at + sizeof(head), head.name_bytes);
    if (head.partitions_count < 0)
        forget(catalog, name);
    else
        keep(catalog, name, &head, bytes_end(name));
    return sizeof(head) + name.len + (head.has_errors ? sizeof(int16_t) * (size_t)head.partitions_count : 0);
}

static void take(kafka_catalog_t *catalog, catalog_news_t *news)
{
    catalog->broker = news->broker;
    for (size_t at = 0; at < news->topics.len;) at += take_topic(catalog, news->topics.ptr + at);
    buf_deinit(&news->topics);
    mem_free(news);
}

void kafka_catalog_update(kafka_catalog_t *catalog)
{
    if (!atomic_load_explicit(&catalog->mailbox, memory_order_relaxed)) return;
    catalog_news_t *newest = atomic_exchange_explicit(&catalog->mailbox, NULL, memory_order_acquire), *oldest = NULL;
    while (newest) {
        catalog_news_t *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        catalog_news_t *next = oldest->next;
        take(catalog, oldest);
        oldest = next;
    }
}

/* ---- finding --------------------------------------------------------------------------------------------------------- */

bool kafka_catalog_ready(const kafka_catalog_t *catalog) { return catalog->broker.ready; }

catalog_topic_t *catalog__find(const kafka_catalog_t *catalog, bytes_t name)
{
    catalog_topic_t *topic = map_get(&catalog->topics, name);
    return topic && !topic->deleting ? topic : NULL;
}

int32_t kafka_topic_partitions(const kafka_catalog_t *catalog, bytes_t name)
{
    const catalog_topic_t *topic = catalog__find(catalog, name);
    return topic ? topic->partitions_count : -1;
}
