/* store_look.c: a look at what the tree says of one topic, and what follows from it: a topic that is made, grown, configured or
 * dropped. Called by store.c.
 *
 * A topic may have thousands of partitions, whose states come a few hundred at a time. So a look takes only what is news: the topic's node
 * is read again when it changed, the settings when they did, and of the partitions those whose states did. What a turn is
 * too short for goes on in the next. */
#include "base/num.h"
#include "base/slog.h"
#include "kafka/config/config.h"
#include "kafka/partition/partition.h"
#include "kafka/topics/store_internal.h"
#include "kafka/topics/tree_change.h"

#include <stdio.h>

/* ---- news ------------------------------------------------------------------------------------------------------------ */

/* What changed of the topic whose name stands at the front of `rest`, the part of a path behind /brokers/topics/. */
static void note_change(topic_news_t *news, bytes_t rest)
{
    static const char partitions[] = "/partitions/", state[] = "/state";
    int64_t index;
    if (rest.len == 0) {
        news->node = true;
        return;
    }
    size_t around = strlen(partitions) + strlen(state);
    if (rest.len <= around || memcmp(rest.ptr, partitions, strlen(partitions)) != 0 ||
        memcmp(bytes_end(rest) - strlen(state), state, strlen(state)) != 0)
        return;
    bytes_t number = bytes_of(rest.ptr + strlen(partitions), rest.len - around);
    if (!num_parse_i64(number, &index) || index < 0 || index >= KAFKA_PARTITIONS_MAX) return;
    news->from = news->end ? MIN(news->from, (int32_t)index) : (int32_t)index;
    news->end = MAX(news->end, (int32_t)index + 1);
}

topic_news_t *topics__mark(topics_store_t *store, bytes_t name)
{
    topic_news_t *news = map_get(&store->dirty, name);
    if (!news) {
        news = mem_zalloc(sizeof(*news));
        map_put(&store->dirty, name, news);
    }
    topics__work_later(store);
    return news;
}

void topics__mark_path(topics_store_t *store, const char *path)
{
    bytes_t name = bytes_of(path, strcspn(path, "/")), all = bytes_str(path);
    note_change(topics__mark(store, name), bytes_of(bytes_end(name), all.len - name.len));
}

/* ---- settings -------------------------------------------------------------------------------------------------------- */

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

void topics__tell_configured(kafka_topic_t *topic)
{
    LIST_EACH(&topic->kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
        if (listener->configured) listener->configured(listener, topic);
    }
}

static void configure(kafka_topic_t *topic)
{
    sync_overrides(topic);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        if (topic->partitions[i].log) partition_configure(topic->partitions[i].log);
    }
    bool known = map_get(&topic->kafka->topics, kafka_topic_name(topic)) == topic; /* and not just loading */
    if (known) topics__tell_configured(topic);
}

/* ---- topics that come and go ----------------------------------------------------------------------------------------- */

void topics__look_free(topic_look_t *look)
{
    if (!look) return;
    arena_deinit(&look->arena);
    mem_free(look);
}

static void drop_looks(topics_store_t *store, bytes_t name)
{
    topics__look_free(map_remove(&store->unfinished, name));
    topics__look_free(map_remove(&store->stateless, name));
}

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
    drop_looks(store, name);
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

/* ---- a look ---------------------------------------------------------------------------------------------------------- */

static void tell_grown(kafka_topic_t *topic, int32_t first)
{
    if (topic->partitions_count == first) return;
    LIST_EACH(&topic->kafka->topic_listeners, listener, kafka_topic_listener_t, node) {
        if (listener->grown) listener->grown(listener, topic, first);
    }
}

/* Keeps the look for a later turn, or until a state comes; false when it is over. */
static bool put_off(topics_store_t *store, kafka_topic_t *topic, topic_look_t *look)
{
    bytes_t name = kafka_topic_name(topic);
    if (look->next == look->end) return false;
    if (store->stopped) {
        map_put(&store->unfinished, name, look);
        topics__work_later(store);
        return true;
    }
    map_put(&store->stateless, name, look);
    topic_elect(topic, &look->node);
    return true;
}

static void advance(topics_store_t *store, kafka_topic_t *topic, topic_look_t *look)
{
    bytes_t name = kafka_topic_name(topic);
    bool loading = map_get(&store->loading, name) == topic;
    int32_t first = topic->partitions_count;
    topics__open_partitions(store, topic, look);
    bool over = !put_off(store, topic, look);
    if (over) topics__look_free(look);
    if (!loading) {
        tell_grown(topic, first);
    } else if (over) {
        map_remove(&store->loading, name);
        announce(topic);
    }
}

static kafka_topic_t *find_known(topics_store_t *store, bytes_t name)
{
    kafka_topic_t *topic = map_get(&store->kafka->topics, name);
    return topic ? topic : map_get(&store->loading, name);
}

void topics__look_go_on(topics_store_t *store, bytes_t name, topic_look_t *look)
{
    kafka_topic_t *topic = find_known(store, name);
    ASSERT(topic); /* whoever forgets one drops its looks */
    advance(store, topic, look);
    topics__end_waits(store, name);
}

/* Takes `look`, which has the topic's node. */
static void look_at_node(topics_store_t *store, bytes_t name, const topic_news_t *news, topic_look_t *look)
{
    kafka_topic_t *topic = find_known(store, name);
    drop_looks(store, name);                                 /* this one is newer */
    if (topic && !kafka_uuid_eq(topic->id, look->node.id)) { /* deleted and made again between two looks */
        forget_topic(store, name);
        topic = NULL;
    }
    if (map_get(&store->dropping, name)) { /* its directories have the names that the new one needs */
        topics__mark(store, name)->node = true;
        topics__look_free(look);
        return;
    }
    if (!topic) {
        topic = topic_new(store->kafka, name, look->node.id);
        map_put(&store->loading, name, topic);
        sync_overrides(topic);
    } else if (news->settings) {
        configure(topic);
    }
    advance(store, topic, look);
}

static topic_look_t *look_new(topics_store_t *store, bytes_t name, bytes_t data)
{
    topic_look_t *look = mem_zalloc(sizeof(*look));
    arena_init(&look->arena, 0);
    const char *text = arena_strdup(&look->arena, name);
    if (znode_parse_topic(data, &look->arena, &look->node) != 0) {
        slog(SLOG_WARN, "kafka", "topic in the tree is not JSON as Kafka writes it", "topic=%s", text);
        topics__look_free(look);
        return NULL;
    }
    if (!look->node.has_id) give_id(store->kafka, text, &look->node, &look->arena);
    look->end = look->node.partitions_count;
    return look;
}

/* Of a topic whose node is as it was: looks that wait for states go on, and partitions that are open follow theirs. */
static void look_at_states(topics_store_t *store, kafka_topic_t *topic, const topic_news_t *news)
{
    bytes_t name = kafka_topic_name(topic);
    topic_look_t *look = map_remove(&store->unfinished, name);
    if (!look) look = map_remove(&store->stateless, name);
    int32_t end = MIN(news->end, topic->partitions_count);
    if (!look && news->from >= end) return;
    if (!look) {
        look = mem_zalloc(sizeof(*look));
        arena_init(&look->arena, 0);
        look->next = news->from;
    }
    look->next = MIN(look->next, news->from);
    if (!look->node.partitions) look->end = MAX(look->end, end);
    advance(store, topic, look);
}

static bool must_read_node(topics_store_t *store, bytes_t name, const topic_news_t *news)
{
    if (news->node || !find_known(store, name)) return true;
    return map_get(&store->loading, name) && !map_get(&store->unfinished, name) && !map_get(&store->stateless, name);
}

static void look(topics_store_t *store, bytes_t name, const topic_news_t *news)
{
    char path[PATH_CHARS_MAX];
    bytes_t data;
    snprintf(path, sizeof(path), ZNODES_TOPICS "/%.*s", (int)name.len, (const char *)name.ptr);
    if (mirror_get(store->kafka->tree, path, &data, NULL) != ZOK) {
        forget_topic(store, name);
    } else if (must_read_node(store, name, news)) {
        topic_look_t *look = look_new(store, name, data);
        if (look) look_at_node(store, name, news, look);
    } else {
        kafka_topic_t *topic = find_known(store, name);
        if (news->settings) configure(topic);
        if (news->end > 0) look_at_states(store, topic, news);
    }
}

/* A name that no topic can have is passed over: the tree may hold anything. */
void topics__look(topics_store_t *store, bytes_t name, const topic_news_t *news)
{
    arena_t arena;
    arena_init(&arena, 0);
    bool legal = !kafka_topic_name_problem(name, &arena);
    arena_deinit(&arena);
    if (!legal) return;
    look(store, name, news);
    topics__end_waits(store, name);
}

void topics_store_configure(kafka_t *kafka, bytes_t name)
{
    topics_store_t *store = kafka->topics_store;
    kafka_topic_t *topic = find_known(store, name);
    topic_news_t *news = map_get(&store->dirty, name);
    if (news) news->settings = false;
    if (topic) configure(topic);
}
