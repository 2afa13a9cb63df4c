/* store.c: keeps the broker's topics what the tree says.
 *
 * A change in the tree marks its topic as dirty; in the loop's next turn each dirty topic is read whole and
 * the difference is carried out: made, grown, configured, or dropped. So it does not matter who changed the
 * tree (a Kafka client, another part of this process, zkCli.sh), nor how many changes came at once.
 *
 * Opening and removing partitions takes time: a turn does a few milliseconds of it, and the rest follows in further turns,
 * also at the start, when the broker's clients wait until all that the tree has is open.
 *
 * Invariants: a topic is in kafka->topics only when every partition of its has been opened (or has failed
 * to); listeners hear of a topic once, and of its end once. */
#include "kafka/topics/store_internal.h"

#include "base/slog.h"
#include "kafka/config/config.h"
#include "kafka/partition/partition.h"
#include "kafka/topics/tree_change.h"

#include <stdio.h>

typedef struct topic_wait {
    list_t node;
    char *name;
    int32_t partitions_count;
    topic_wait_cb done;
    void *user;
} topic_wait_t;

void topics__work_later(topics_store_t *store)
{
    if (store->work.due_ns == 0) io_timer_start(&store->work, 0, 0);
}

/* ---- waits ---- */

static void wait_end(topic_wait_t *wait, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    list_remove(&wait->node);
    wait->done(wait->user, topic, error, message);
    mem_free(wait->name);
    mem_free(wait);
}

static bool wait_is_over(const topics_store_t *store, const topic_wait_t *wait, const kafka_topic_t *topic)
{
    if (wait->partitions_count == 0) return topic == NULL && !map_get(&store->dropping, bytes_str(wait->name));
    return topic && topic->partitions_count >= wait->partitions_count;
}

/* A wait's callback may start another wait, so the list is walked anew after each; it may also free whoever
 * owns `asked`, hence the copy. */
void topics__end_waits(topics_store_t *store, bytes_t asked)
{
    char copy[KAFKA_TOPIC_NAME_BYTES_MAX];
    bytes_t name = bytes_of(copy, MIN(asked.len, sizeof(copy)));
    memcpy(copy, asked.ptr, name.len);
    bool again = true;
    while (again) {
        again = false;
        kafka_topic_t *topic = map_get(&store->kafka->topics, name);
        LIST_EACH(&store->waits, wait, topic_wait_t, node) {
            if (!bytes_eq(bytes_str(wait->name), name) || !wait_is_over(store, wait, topic)) continue;
            wait_end(wait, topic, KAFKA_NONE, NULL);
            again = true;
            break;
        }
    }
}

void topics_store_wait(kafka_t *kafka, bytes_t name, int32_t partitions_count, topic_wait_cb done, void *user)
{
    topic_wait_t *wait = mem_zalloc(sizeof(*wait));
    wait->name = mem_strndup(name);
    wait->partitions_count = partitions_count;
    wait->done = done;
    wait->user = user;
    list_push_back(&kafka->topics_store->waits, &wait->node);
    topics__end_waits(kafka->topics_store, name);
}

/* ---- settings of brokers ---- */

static void each_broker_setting(void *user, const char *name, const char *value)
{
    char err[KAFKA_SETTING_ERROR_BYTES_MAX];
    const kafka_setting_def_t *def = config_broker_setting(bytes_str(name));
    if (def && kafka_setting_check(def, bytes_str(value), err, sizeof(err)) == 0)
        config_layer_set(user, def, bytes_str(value));
}

static void sync_broker_layer(kafka_t *kafka, int layer, const char *path)
{
    bytes_t data;
    config_layer_t *values = config_layer_new();
    if (mirror_get(kafka->tree, path, &data, NULL) == ZOK && data.len > 0 &&
        znode_parse_config(data, each_broker_setting, values) != 0)
        slog(SLOG_WARN, "kafka", "broker settings in the tree are not JSON as Kafka writes it", "path=%s", path);
    if (layer == CONFIG_LAYER_DEFAULT_BROKER) config_fix_in_sync(kafka, values);
    config_replace_layer(kafka, layer, values);
}

void topics_store_sync_brokers(kafka_t *kafka)
{
    char path[PATH_CHARS_MAX];
    snprintf(path, sizeof(path), ZNODES_BROKER_CONFIGS "/%" PRId32, kafka->broker_id);
    sync_broker_layer(kafka, CONFIG_LAYER_BROKER, path);
    sync_broker_layer(kafka, CONFIG_LAYER_DEFAULT_BROKER, ZNODES_BROKER_CONFIGS "/<default>");
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) { /* they have the values already */
        topics__tell_configured(entry->value);
        topics__mark(kafka->topics_store, entry->key)->settings = true;
    }
}

/* ---- following the tree ---- */

static bool may_go_on(topics_store_t *store)
{
    return !topics__turn_is_over(store) && partition_precheck_may_begin(store->kafka);
}

/* The next name, which is no longer dirty then; malloc'd, as its news are. */
static char *take_dirty(topics_store_t *store, topic_news_t **ret_news)
{
    const map_entry_t *entry = map_next(&store->dirty, &store->dirty_cursor);
    if (!entry) {
        store->dirty_cursor = 0;
        entry = map_next(&store->dirty, &store->dirty_cursor);
    }
    store->dirty_cursor--; /* another may move up to its place */
    char *name = mem_strndup(entry->key);
    *ret_news = map_remove(&store->dirty, bytes_str(name));
    return name;
}

/* A name that is marked again meanwhile may come twice, but no more often than there are names. */
static void run_dirty(topics_store_t *store)
{
    for (size_t left = store->dirty.count; left > 0 && may_go_on(store); left--) {
        topic_news_t *news;
        char *name = take_dirty(store, &news);
        topics__look(store, bytes_str(name), news);
        mem_free(name);
        mem_free(news);
    }
}

/* One after the other, each to its end: their number does not matter then. */
static void run_unfinished(topics_store_t *store)
{
    for (size_t left = store->unfinished.count; left > 0 && may_go_on(store); left--) {
        size_t cursor = 0;
        bytes_t name = map_next(&store->unfinished, &cursor)->key;
        char copy[KAFKA_TOPIC_NAME_BYTES_MAX];
        memcpy(copy, name.ptr, name.len);
        name = bytes_of(copy, name.len);
        topics__look_go_on(store, name, map_remove(&store->unfinished, name));
    }
}

static void run_work(io_timer_t *timer)
{
    topics_store_t *store = CONTAINER_OF(timer, topics_store_t, work);
    io_turn_note(store->kafka->loop, "kafka: topics follow the tree");
    store->since_ns = 0;
    if (store->broker_configs_dirty) {
        store->broker_configs_dirty = false;
        topics_store_sync_brokers(store->kafka);
    }
    uint32_t opened_before = store->opened_count;
    topics__drop_more(store);
    run_unfinished(store);
    run_dirty(store);
    bool waits = partition_prechecks(store->kafka) > 0 && store->opened_count == opened_before; /* for on_prechecked */
    bool more = store->dirty.count || store->unfinished.count;
    if (store->dropping.count || (more && !waits)) topics__work_later(store);
    if (store->opening && !store->dirty.count && !store->unfinished.count) {
        store->opening = false;
        store->opened(store->kafka);
    }
}

static void on_topics(coord_subscription_t *subscription, coord_change_t change, const char *path)
{
    size_t above = strlen(ZNODES_TOPICS "/");
    if (strlen(path) > above) topics__mark_path(CONTAINER_OF(subscription, topics_store_t, topics), path + above);
}

static void on_configs(coord_subscription_t *subscription, coord_change_t change, const char *path)
{
    topics_store_t *store = CONTAINER_OF(subscription, topics_store_t, configs);
    if (strncmp(path, ZNODES_TOPIC_CONFIGS "/", strlen(ZNODES_TOPIC_CONFIGS "/")) == 0) {
        const char *name = path + strlen(ZNODES_TOPIC_CONFIGS "/");
        topics__mark(store, bytes_of(name, strcspn(name, "/")))->settings = true;
    } else if (strncmp(path, ZNODES_BROKER_CONFIGS "/", strlen(ZNODES_BROKER_CONFIGS "/")) == 0) {
        store->broker_configs_dirty = true;
        topics__work_later(store);
    }
}

static void ignore_deleted(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message) {}

/* Kafka's own way to ask for a deletion through the tree. */
static void on_deletions(coord_subscription_t *subscription, coord_change_t change, const char *path)
{
    topics_store_t *store = CONTAINER_OF(subscription, topics_store_t, deletions);
    if (change != COORD_CREATED || strlen(path) <= strlen(ZNODES_DELETE_TOPICS "/")) return;
    kafka_topic_t *topic = kafka_topic_get(store->kafka, bytes_str(path + strlen(ZNODES_DELETE_TOPICS "/")));
    if (topic) topic_delete(topic, ignore_deleted, NULL);
}

static void on_prechecked(kafka_t *kafka) { topics__work_later(kafka->topics_store); }

static void each_topic(void *user, const char *name) { topics__mark(user, bytes_str(name))->node = true; }

int topics_store_open(kafka_t *kafka, void (*opened)(kafka_t *kafka))
{
    topics_store_t *store = mem_zalloc(sizeof(*store));
    kafka->topics_store = store;
    store->kafka = kafka;
    store->opening = true;
    store->opened = opened;
    store->dirty = store->loading = store->unfinished = store->stateless = store->dropping = MAP_INIT;
    list_init(&store->waits);
    io_timer_init(kafka->loop, &store->work, run_work);
    store->topics = (coord_subscription_t){.prefix = ZNODES_TOPICS, .changed = on_topics};
    store->configs = (coord_subscription_t){.prefix = "/config", .changed = on_configs};
    store->deletions = (coord_subscription_t){.prefix = ZNODES_DELETE_TOPICS, .changed = on_deletions};
    mirror_subscribe(kafka->tree, &store->topics);
    mirror_subscribe(kafka->tree, &store->configs);
    mirror_subscribe(kafka->tree, &store->deletions);
    partition_on_prechecked(kafka, on_prechecked);
    topics_store_sync_brokers(kafka);
    coord_zerr_t err = mirror_children(kafka->tree, ZNODES_TOPICS, each_topic, store);
    if (err != ZOK && err != ZNO_NODE) return ERR_IO;
    topics__work_later(store);
    return 0;
}

static void free_looks(map_t *looks)
{
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(looks, &cursor));) topics__look_free(entry->value);
    map_deinit(looks);
}

void topics_store_close(kafka_t *kafka)
{
    topics_store_t *store = kafka->topics_store;
    if (!store) return;
    mirror_unsubscribe(&store->topics);
    mirror_unsubscribe(&store->configs);
    mirror_unsubscribe(&store->deletions);
    io_timer_stop(&store->work);
    LIST_EACH(&store->waits, wait, topic_wait_t, node)
        wait_end(wait, NULL, KAFKA_BROKER_NOT_AVAILABLE, kafka_error_text(KAFKA_BROKER_NOT_AVAILABLE));
    size_t cursor = 0;
    store->closing = true;
    topics__drop_all(store);
    free_looks(&store->unfinished);
    free_looks(&store->stateless);
    for (map_entry_t *entry; (entry = map_next(&store->dirty, &cursor));) mem_free(entry->value);
    cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) topics__close(entry->value);
    cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&store->loading, &cursor));) topics__close(entry->value);
    map_deinit(&kafka->topics);
    map_deinit(&kafka->topics_by_id);
    map_deinit(&kafka->topics_folded);
    map_deinit(&store->loading);
    map_deinit(&store->dirty);
    mem_free(store);
    kafka->topics_store = NULL;
}
