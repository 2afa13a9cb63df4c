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

static void unfinished_free(unfinished_t *u)
{
    if (!u) return;
    arena_deinit(&u->arena);
    mem_free(u);
}

/* The look goes on in the next turn, with what the tree says now. */
static void look_later(topics_store_t *store, bytes_t name, int32_t next)
{
    bytes_t data;
    unfinished_t *u = mem_zalloc(sizeof(*u));
    char path[PATH_CHARS_MAX];
    arena_init(&u->arena, 0);
    u->next = next;
    snprintf(path, sizeof(path), ZNODES_TOPICS "/%.*s", (int)name.len, (const char *)name.ptr);
    if (mirror_get(store->kafka->tree, path, &data, NULL) != ZOK || znode_parse_topic(data, &u->arena, &u->node) != 0) {
        unfinished_free(u);
        return;
    }
    unfinished_free(map_put(&store->unfinished, name, u));
    topics__work_later(store);
}

/* ---- settings ---- */

static void each_override(void *user, const char *name, const char *value) { topic_add_override(user, name, value); }

static void sync_overrides(kafka_topic_t *topic)
{
    char path[PATH_CHARS_MAX];
    bytes_t data;
    snprintf(path, sizeof(path), ZNODES_TOPIC_CONFIGS "/%s", topic->name);
    map_t old = topic->overrides;
    topic->overrides = MAP_INIT;
    if (mirror_get(topic->kafka->tree, path, &data, NULL) == ZOK && data.len > 0 &&
        znode_parse_config(data, each_override, topic) != 0) {
        slog(SLOG_WARN, "kafka", "topic settings in the tree are not JSON as Kafka writes it", "topic=%s", topic->name);
    }
    config_compute_topic(topic);
    size_t cursor = 0; /* the old texts were in use until here */
    for (map_entry_t *entry; (entry = map_next(&old, &cursor));) mem_free(entry->value);
    map_deinit(&old);
}

static void configure_partitions(kafka_topic_t *topic)
{
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        if (topic->partitions[i].log) partition_configure(topic->partitions[i].log);
    }
    LIST_EACH(&topic->kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
        if (listener->configured) listener->configured(listener, topic);
    }
}

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
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) configure_partitions(entry->value);
}

/* ---- topics ---- */

static void announce(kafka_topic_t *topic)
{
    kafka_t *kafka = topic->kafka;
    topic_index(topic);
    LIST_EACH(&kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
        if (listener->created) listener->created(listener, topic);
    }
}

static void drop_topic(topics_store_t *store, kafka_topic_t *topic, bool announced)
{
    kafka_t *kafka = store->kafka;
    if (announced) {
        topic_unindex(topic);
        LIST_EACH(&kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
            if (listener->deleted) listener->deleted(listener, topic);
        }
    }
    topics__drop(store, topic);
}

static void forget_topic(topics_store_t *store, bytes_t name)
{
    kafka_topic_t *loading = map_remove(&store->loading, name), *topic = map_get(&store->kafka->topics, name);
    if (loading) drop_topic(store, loading, false);
    if (topic) drop_topic(store, topic, true);
}

/* A topic made by hand may lack its id. */
static void give_id(kafka_t *kafka, const char *name, znode_topic_t *node, arena_t *arena)
{
    io_random(kafka->loop, node->id.bytes, sizeof(node->id.bytes));
    node->has_id = true;
    tree_change_t *change = tree_change_new(kafka);
    tree_change_set(change, arena_printf(arena, ZNODES_TOPICS "/%s", name), znode_format_topic(node, arena));
    tree_change_submit(change, NULL, NULL);
}

static void grow_topic(topics_store_t *store, kafka_topic_t *topic, const znode_topic_t *node, int32_t from,
                       arena_t *arena)
{
    int32_t first = topic->partitions_count;
    int32_t opened = topics__open_partitions(store, topic, node, from, arena);
    if (opened < node->partitions_count && store->stopped)
        look_later(store, kafka_topic_name(topic), opened);
    else if (opened < node->partitions_count)
        topic_elect(topic, node);
    if (topic->partitions_count == first) return;
    LIST_EACH(&topic->kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
        if (listener->grown) listener->grown(listener, topic, first);
    }
}

static void load_topic(topics_store_t *store, kafka_topic_t *topic, const znode_topic_t *node, int32_t from,
                       arena_t *arena)
{
    bytes_t name = kafka_topic_name(topic);
    int32_t opened = topics__open_partitions(store, topic, node, from, arena);
    if (opened == node->partitions_count) {
        map_remove(&store->loading, name);
        announce(topic);
        return;
    }
    map_put(&store->loading, name, topic);
    if (store->stopped)
        look_later(store, name, opened);
    else
        topic_elect(topic, node);
}

static void sync_found(topics_store_t *store, const char *name, znode_topic_t *node, arena_t *arena)
{
    kafka_t *kafka = store->kafka;
    bytes_t key = bytes_str(name);
    kafka_topic_t *topic = map_get(&kafka->topics, key);
    kafka_topic_t *loading = map_get(&store->loading, key);
    kafka_topic_t *known = topic ? topic : loading;
    if (known && !kafka_uuid_eq(known->id, node->id)) { /* deleted and made again between two looks */
        forget_topic(store, key);
        topic = loading = NULL;
    }
    if (map_get(&store->dropping, key)) { /* its directories have the names that the new one needs */
        map_put(&store->dirty, key, store);
        topics__work_later(store);
        return;
    }
    if (topic) {
        sync_overrides(topic);
        configure_partitions(topic);
        grow_topic(store, topic, node, 0, arena);
        return;
    }
    if (!loading) loading = topic_new(kafka, key, node->id);
    sync_overrides(loading);
    load_topic(store, loading, node, 0, arena);
}

static void go_on(topics_store_t *store, bytes_t name, unfinished_t *u)
{
    kafka_topic_t *topic = map_get(&store->kafka->topics, name), *loading = map_get(&store->loading, name);
    kafka_topic_t *known = topic ? topic : loading;
    if (!known || !kafka_uuid_eq(known->id, u->node.id))
        return; /* it was deleted, and perhaps made again: marked dirty */
    if (topic)
        grow_topic(store, topic, &u->node, u->next, &u->arena);
    else
        load_topic(store, loading, &u->node, u->next, &u->arena);
    topics__end_waits(store, name);
}

void topics_store_sync(kafka_t *kafka, bytes_t name)
{
    topics_store_t *store = kafka->topics_store;
    arena_t arena;
    arena_init(&arena, 0);
    char *text = arena_strdup(&arena, name);
    bytes_t data;
    znode_topic_t node;
    if (kafka_topic_name_problem(name, &arena)) goto out;
    unfinished_free(map_remove(&store->unfinished, name)); /* this look is newer */
    coord_zerr_t found = mirror_get(kafka->tree, arena_printf(&arena, ZNODES_TOPICS "/%s", text), &data, NULL);
    if (found != ZOK) {
        forget_topic(store, name);
    } else if (znode_parse_topic(data, &arena, &node) != 0) {
        slog(SLOG_WARN, "kafka", "topic in the tree is not JSON as Kafka writes it", "topic=%s", text);
    } else {
        if (!node.has_id) give_id(kafka, text, &node, &arena);
        sync_found(store, text, &node, &arena);
    }
    topics__end_waits(store, name);
out:
    arena_deinit(&arena);
}

/* ---- following the tree ---- */

static bool may_go_on(topics_store_t *store)
{
    return !topics__turn_is_over(store) && partition_precheck_may_begin(store->kafka);
}

/* The next name, which is no longer dirty then; malloc'd. */
static char *take_dirty(topics_store_t *store)
{
    const map_entry_t *entry = map_next(&store->dirty, &store->dirty_cursor);
    if (!entry) {
        store->dirty_cursor = 0;
        entry = map_next(&store->dirty, &store->dirty_cursor);
    }
    store->dirty_cursor--; /* another may move up to its place */
    char *name = mem_strndup(entry->key);
    map_remove(&store->dirty, bytes_str(name));
    return name;
}

/* A name that is marked again meanwhile may come twice, but no more often than there are names. */
static void run_dirty(topics_store_t *store)
{
    for (size_t left = store->dirty.count; left > 0 && may_go_on(store); left--) {
        char *name = take_dirty(store);
        topics_store_sync(store->kafka, bytes_str(name));
        mem_free(name);
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
        unfinished_t *u = map_remove(&store->unfinished, name);
        go_on(store, name, u);
        unfinished_free(u);
    }
}

static void run_work(io_timer_t *timer)
{
    topics_store_t *store = CONTAINER_OF(timer, topics_store_t, work);
    io_turn_note(store->kafka->loop, "kafka: topics follow the tree");
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

static void mark(topics_store_t *store, const char *path, const char *prefix)
{
    const char *name = path + strlen(prefix);
    if (*name != '/') return;
    name++;
    map_put(&store->dirty, bytes_of(name, strcspn(name, "/")), store);
    topics__work_later(store);
}

static void on_topics(coord_subscription_t *subscription, coord_change_t change, const char *path)
{
    mark(CONTAINER_OF(subscription, topics_store_t, topics), path, ZNODES_TOPICS);
}

static void on_configs(coord_subscription_t *subscription, coord_change_t change, const char *path)
{
    topics_store_t *store = CONTAINER_OF(subscription, topics_store_t, configs);
    if (strncmp(path, ZNODES_TOPIC_CONFIGS "/", strlen(ZNODES_TOPIC_CONFIGS "/")) == 0) {
        mark(store, path, ZNODES_TOPIC_CONFIGS);
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

static void each_topic(void *user, const char *name)
{
    topics_store_t *store = user;
    map_put(&store->dirty, bytes_str(name), store);
}

int topics_store_open(kafka_t *kafka, void (*opened)(kafka_t *kafka))
{
    topics_store_t *store = mem_zalloc(sizeof(*store));
    kafka->topics_store = store;
    store->kafka = kafka;
    store->opening = true;
    store->opened = opened;
    store->dirty = store->loading = store->unfinished = store->dropping = MAP_INIT;
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
    for (map_entry_t *entry; (entry = map_next(&store->unfinished, &cursor));) unfinished_free(entry->value);
    cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) topics__close(entry->value);
    cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&store->loading, &cursor));) topics__close(entry->value);
    map_deinit(&kafka->topics);
    map_deinit(&kafka->topics_by_id);
    map_deinit(&kafka->topics_folded);
    map_deinit(&store->loading);
    map_deinit(&store->dirty);
    map_deinit(&store->unfinished);
    mem_free(store);
    kafka->topics_store = NULL;
}
