/* admin.c: the changes to topics that clients ask for, as changes of the tree; and the election of
 * leaders, which with one broker is giving every partition its state. What the tree then says comes back
 * through store.c.
 *
 * One change holds at most PARTITIONS_AT_ONCE partitions, so that no entry of the replicated log grows
 * without bound: the rest follows in further changes, and a deletion that was interrupted goes on from
 * /admin/delete_topics. */
#include "kafka/topics/topics.h"

#include "kafka/config/config.h"
#include "kafka/topics/tree_change.h"

#include <stdio.h>

#define PARTITIONS_AT_ONCE 200
#define LEADER_EPOCH_FIRST 0

static kafka_code_t error_of(coord_zerr_t err)
{
    switch (err) {
    case ZOK: return KAFKA_NONE;
    case ZCONNECTION_LOSS:
    case ZOPERATION_TIMEOUT: return KAFKA_REQUEST_TIMED_OUT;
    case ZSYSTEM_ERROR: return KAFKA_KAFKA_STORAGE_ERROR; /* the tree's disk is full */
    default: return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

/* ---- leaders ---- */

static int32_t controller_epoch(const kafka_t *kafka)
{
    bytes_t data;
    if (mirror_get(kafka->tree, ZNODES_CONTROLLER_EPOCH, &data, NULL) != ZOK) return 0;
    return znode_parse_controller_epoch(data);
}

/* Adds states for partitions that have none, from `first` on; returns how many. With one broker the leader is
 * the first replica that is this one. */
static int32_t add_states(tree_change_t *change, const char *name, const znode_topic_t *topic, int32_t first)
{
    int32_t added = 0;
    for (int32_t i = first; i < topic->partitions_count && added < PARTITIONS_AT_ONCE; i++) {
        const char *path = arena_printf(&change->arena, ZNODES_TOPICS "/%s/partitions/%" PRId32 "/state", name, i);
        if (mirror_exists(change->kafka->tree, path)) continue;
        int32_t self = change->kafka->broker_id;
        znode_state_t state = {.leader = -1,
                               .leader_epoch = LEADER_EPOCH_FIRST,
                               .controller_epoch = controller_epoch(change->kafka),
                               .isr = topic->partitions[i]};
        for (int32_t r = 0; r < topic->partitions[i].count; r++) {
            if (topic->partitions[i].ids[r] != self) continue;
            state.leader = self;
            state.isr = (znode_replicas_t){&self, 1};
        }
        tree_change_create(change, path, znode_format_state(&state, &change->arena));
        added++;
    }
    return added;
}

void topic_elect(const kafka_topic_t *topic, const znode_topic_t *node)
{
    tree_change_t *change = tree_change_new(topic->kafka);
    (void)add_states(change, topic->name, node, topic->partitions_count);
    tree_change_submit(change, NULL, NULL);
}

/* ---- creation ---- */

static kafka_code_t check_counts(const kafka_topic_spec_t *spec, arena_t *arena, const char **ret_message)
{
    if (spec->replication_factor < -1 || spec->replication_factor == 0) {
        *ret_message = "Replication factor must be larger than 0, or -1 to use the default value.";
        return KAFKA_INVALID_REPLICATION_FACTOR;
    }
    if (spec->partitions_count < -1 || spec->partitions_count == 0) {
        *ret_message = "Number of partitions was set to an invalid non-positive value.";
        return KAFKA_INVALID_PARTITIONS;
    }
    if (spec->partitions_count > KAFKA_PARTITIONS_MAX) {
        *ret_message = arena_printf(arena, "Number of partitions is above the limit of %d.", KAFKA_PARTITIONS_MAX);
        return KAFKA_INVALID_PARTITIONS;
    }
    return KAFKA_NONE;
}

static kafka_code_t check_overrides(const kafka_topic_spec_t *spec, arena_t *arena, const char **ret_message)
{
    for (int32_t i = 0; i < spec->overrides_count; i++) {
        const kafka_setting_t *override = &spec->overrides[i];
        const kafka_setting_def_t *def = config_topic_setting(override->name);
        char *err = arena_alloc(arena, KAFKA_SETTING_ERROR_BYTES_MAX);
        *ret_message = err;
        if (!def) {
            *ret_message = arena_printf(arena, "Unknown topic config name: %s", arena_strdup(arena, override->name));
            return KAFKA_INVALID_CONFIG;
        }
        if (kafka_setting_check(def, override->value, err, KAFKA_SETTING_ERROR_BYTES_MAX) != 0 ||
            config_topic_forbidden(def, override->value, err, KAFKA_SETTING_ERROR_BYTES_MAX))
            return KAFKA_INVALID_CONFIG;
    }
    return KAFKA_NONE;
}

static int16_t effective_replication(const kafka_t *kafka, const kafka_topic_spec_t *spec)
{
    return spec->replication_factor > 0 ? spec->replication_factor : (int16_t)kafka->config.default_replication_factor;
}

const char *topic_exists_text(bytes_t name, arena_t *arena)
{
    return arena_printf(arena, "Topic '%.*s' already exists.", (int)name.len, (const char *)name.ptr);
}

const char *topic_collides_text(bytes_t name, bytes_t other, arena_t *arena)
{
    return arena_printf(arena, "Topic '%.*s' collides with existing topic: %.*s", (int)name.len, (const char *)name.ptr,
                        (int)other.len, (const char *)other.ptr);
}

const char *topic_replication_problem(int16_t replication, arena_t *arena)
{
    if (replication <= 1) return NULL;
    return arena_printf(arena,
                        "Unable to replicate the partition %d time(s): The target replication factor "
                        "of %d cannot be reached because only 1 broker(s) are registered.",
                        replication, replication);
}

kafka_code_t topic_create_check(kafka_t *kafka, const kafka_topic_spec_t *spec, arena_t *arena,
                                const char **ret_message)
{
    const char *problem = kafka_topic_name_problem(spec->name, arena);
    *ret_message = problem;
    if (problem) return KAFKA_INVALID_TOPIC_EXCEPTION;
    const kafka_topic_t *colliding = topic_colliding(kafka, spec->name);
    if (map_get(&kafka->topics, spec->name)) {
        *ret_message = topic_exists_text(spec->name, arena);
        return KAFKA_TOPIC_ALREADY_EXISTS;
    }
    if (colliding) {
        *ret_message = topic_collides_text(spec->name, kafka_topic_name(colliding), arena);
        return KAFKA_INVALID_TOPIC_EXCEPTION;
    }
    kafka_code_t error = check_overrides(spec, arena, ret_message);
    if (error) return error;
    error = check_counts(spec, arena, ret_message);
    if (error) return error;
    *ret_message = topic_replication_problem(effective_replication(kafka, spec), arena);
    return *ret_message ? KAFKA_INVALID_REPLICATION_FACTOR : KAFKA_NONE;
}

const char *topic_assignment_problem(const kafka_t *kafka, const int32_t *ids, int32_t count, arena_t *arena)
{
    if (count == 0) return "The manual partition assignment includes an empty replica list.";
    for (int32_t i = 0; i < count; i++) {
        if (ids[i] != kafka->broker_id)
            return arena_printf(
                arena, "The manual partition assignment includes broker %" PRId32 ", but no such broker is registered.",
                ids[i]);
        if (i > 0)
            return arena_printf(
                arena, "The manual partition assignment includes the broker %" PRId32 " more than once.", ids[i]);
    }
    return NULL;
}

typedef struct creation {
    kafka_t *kafka;
    char *name;
    int32_t partitions_count;
    kafka_topic_created_cb done;
    void *user;
} creation_t;

static void creation_end(creation_t *creation, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    creation->done(creation->user, topic, error, message);
    mem_free(creation->name);
    mem_free(creation);
}

static void creation_is_there(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    creation_end(user, topic, error, message);
}

static void creation_committed(tree_change_t *change, coord_zerr_t err, int failed_index)
{
    creation_t *creation = change->user;
    if (err == ZNODE_EXISTS) {
        char *message = arena_printf(&change->arena, "Topic '%s' already exists.", creation->name);
        creation_end(creation, NULL, KAFKA_TOPIC_ALREADY_EXISTS, message);
    } else if (err != ZOK) {
        creation_end(creation, NULL, error_of(err), kafka_error_text(error_of(err)));
    } else {
        topics_store_wait(creation->kafka, bytes_str(creation->name), creation->partitions_count, creation_is_there,
                          creation);
    }
}

static znode_topic_t plan_topic(tree_change_t *change, kafka_uuid_t id, int32_t partitions_count)
{
    znode_topic_t topic = {.has_id = true, .id = id, .partitions_count = partitions_count};
    topic.partitions = ARENA_ARRAY(&change->arena, znode_replicas_t, partitions_count);
    int32_t *self = arena_alloc(&change->arena, sizeof(*self));
    *self = change->kafka->broker_id;
    for (int32_t i = 0; i < partitions_count; i++) topic.partitions[i] = (znode_replicas_t){self, 1};
    return topic;
}

/* Kafka's ids avoid a leading '-', which shells would take for an option. */
static kafka_uuid_t new_topic_id(kafka_t *kafka)
{
    kafka_uuid_t id;
    char text[KAFKA_UUID_CHARS + 1];
    do {
        io_random(kafka->loop, id.bytes, sizeof(id.bytes));
        id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x40); /* a version-4 UUID, as Java's randomUUID makes it */
        id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
        kafka_uuid_format(id, text);
    } while (text[0] == '-');
    return id;
}

void kafka_topic_create(kafka_t *kafka, const kafka_topic_spec_t *spec, kafka_topic_created_cb done, void *user)
{
    tree_change_t *change = tree_change_new(kafka);
    const char *message;
    kafka_code_t error = topic_create_check(kafka, spec, &change->arena, &message);
    if (error) {
        done(user, NULL, error, message);
        arena_deinit(&change->arena);
        mem_free(change);
        return;
    }
    creation_t *creation = mem_zalloc(sizeof(*creation));
    *creation = (creation_t){kafka, mem_strndup(spec->name), 0, done, user};
    creation->partitions_count =
        spec->partitions_count > 0 ? spec->partitions_count : (int32_t)kafka->config.num_partitions;
    znode_topic_t topic = plan_topic(change, new_topic_id(kafka), creation->partitions_count);
    const char *path = arena_printf(&change->arena, ZNODES_TOPICS "/%s", creation->name);
    tree_change_put(change, arena_printf(&change->arena, ZNODES_TOPIC_CONFIGS "/%s", creation->name),
                    znode_format_config(spec->overrides, spec->overrides_count, &change->arena));
    tree_change_create(change, path, znode_format_topic(&topic, &change->arena));
    (void)add_states(change, creation->name, &topic, 0);
    tree_change_queue(change, creation_committed, creation);
}

void kafka_topic_create_auto(kafka_t *kafka, bytes_t name, kafka_topic_created_cb done, void *user)
{
    char segment[24];
    kafka_topic_spec_t spec = {.name = name, .partitions_count = -1, .replication_factor = -1};
    kafka_setting_t settings[] = {
        {BYTES_LIT("cleanup.policy"), BYTES_LIT("compact")},
        {BYTES_LIT("compression.type"), BYTES_LIT("producer")},
        {BYTES_LIT("segment.bytes"), BYTES_NULL},
    };
    int64_t segment_bytes = 0;
    if (bytes_eq(name, BYTES_LIT("__consumer_offsets"))) {
        spec.partitions_count = (int32_t)kafka->config.offsets_topic_num_partitions;
        spec.replication_factor = (int16_t)kafka->config.offsets_topic_replication_factor;
        segment_bytes = kafka->config.offsets_topic_segment_bytes;
    } else if (bytes_eq(name, BYTES_LIT("__transaction_state"))) {
        spec.partitions_count = (int32_t)kafka->config.transaction_state_log_num_partitions;
        spec.replication_factor = (int16_t)kafka->config.transaction_state_log_replication_factor;
        segment_bytes = kafka->config.transaction_state_log_segment_bytes;
    }
    if (segment_bytes) {
        snprintf(segment, sizeof(segment), "%" PRId64, segment_bytes);
        settings[2].value = bytes_str(segment);
        spec.overrides = settings;
        spec.overrides_count = ARRAY_LEN(settings);
    }
    kafka_topic_create(kafka, &spec, done, user);
}

/* ---- deletion ---- */

typedef struct deletion {
    kafka_t *kafka;
    char *name;
    topic_wait_cb done;
    void *user;
} deletion_t;

static void deletion_step(deletion_t *deletion);

static void deletion_end(deletion_t *deletion, kafka_code_t error, const char *message)
{
    kafka_topic_t *topic = map_get(&deletion->kafka->topics, bytes_str(deletion->name));
    if (error && topic) {
        topic->deleting = false;
        kafka_topic_altered(topic);
    }
    deletion->done(deletion->user, NULL, error, message);
    mem_free(deletion->name);
    mem_free(deletion);
}

static void deletion_is_done(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    deletion_end(user, error, message);
}

static void deletion_committed(tree_change_t *change, coord_zerr_t err, int failed_index)
{
    deletion_t *deletion = change->user;
    if (err != ZOK) {
        deletion_end(deletion, error_of(err), kafka_error_text(error_of(err)));
        return;
    }
    const char *path = arena_printf(&change->arena, ZNODES_TOPICS "/%s", deletion->name);
    if (mirror_exists(deletion->kafka->tree, path)) {
        deletion_step(deletion);
        return;
    }
    topics_store_wait(deletion->kafka, bytes_str(deletion->name), 0, deletion_is_done, deletion);
}

typedef struct child_list {
    tree_change_t *change;
    const char *parent;
    const char **names;
    int32_t count;
} child_list_t;

static void each_child(void *user, const char *name)
{
    child_list_t *list = user;
    if (list->count >= PARTITIONS_AT_ONCE) return;
    list->names[list->count++] = arena_strdup(&list->change->arena, bytes_str(name));
}

static int32_t delete_children(tree_change_t *change, const char *parent)
{
    child_list_t list = {.change = change, .parent = parent};
    list.names = ARENA_ARRAY(&change->arena, const char *, PARTITIONS_AT_ONCE);
    (void)mirror_children(change->kafka->tree, parent, each_child, &list);
    for (int32_t i = 0; i < list.count; i++) {
        const char *path = arena_printf(&change->arena, "%s/%s", parent, list.names[i]);
        const char *state = arena_printf(&change->arena, "%s/state", path);
        if (mirror_exists(change->kafka->tree, state)) tree_change_delete(change, state);
        tree_change_delete(change, path);
    }
    return list.count;
}

/* Deletes a slice of the partitions, or, with the last slice, the topic itself. */
static void deletion_step(deletion_t *deletion)
{
    tree_change_t *change = tree_change_new(deletion->kafka);
    arena_t *arena = &change->arena;
    const mirror_t *tree = deletion->kafka->tree;
    const char *topic = arena_printf(arena, ZNODES_TOPICS "/%s", deletion->name);
    const char *partitions = arena_printf(arena, "%s/partitions", topic);
    const char *config = arena_printf(arena, ZNODES_TOPIC_CONFIGS "/%s", deletion->name);
    const char *wish = arena_printf(arena, ZNODES_DELETE_TOPICS "/%s", deletion->name);
    if (delete_children(change, partitions) < PARTITIONS_AT_ONCE) {
        if (mirror_exists(tree, partitions)) tree_change_delete(change, partitions);
        tree_change_delete(change, topic);
        if (mirror_exists(tree, config)) tree_change_delete(change, config);
        if (mirror_exists(tree, wish)) tree_change_delete(change, wish);
    } else if (!mirror_exists(tree, wish)) {
        tree_change_create(change, wish, BYTES_NULL);
    }
    tree_change_queue(change, deletion_committed, deletion);
}

void topic_delete(kafka_topic_t *topic, topic_wait_cb done, void *user)
{
    deletion_t *deletion = mem_zalloc(sizeof(*deletion));
    *deletion = (deletion_t){topic->kafka, mem_strdup(topic->name), done, user};
    topic->deleting = true;
    kafka_topic_altered(topic);
    deletion_step(deletion);
}

/* ---- growth ---- */

typedef struct growth {
    kafka_t *kafka;
    char *name;
    int32_t partitions_count;
    topic_wait_cb done;
    void *user;
} growth_t;

static void growth_is_there(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    growth_t *growth = user;
    growth->done(growth->user, topic, error, message);
    mem_free(growth->name);
    mem_free(growth);
}

static void growth_committed(tree_change_t *change, coord_zerr_t err, int failed_index)
{
    growth_t *growth = change->user;
    if (err != ZOK) {
        growth_is_there(growth, NULL, error_of(err), kafka_error_text(error_of(err)));
        return;
    }
    topics_store_wait(growth->kafka, bytes_str(growth->name), growth->partitions_count, growth_is_there, growth);
}

void topic_grow(kafka_topic_t *topic, int32_t count, topic_wait_cb done, void *user)
{
    tree_change_t *change = tree_change_new(topic->kafka);
    growth_t *growth = mem_zalloc(sizeof(*growth));
    *growth = (growth_t){topic->kafka, mem_strdup(topic->name), count, done, user};
    znode_topic_t plan = plan_topic(change, topic->id, count);
    for (int32_t i = 0; i < topic->partitions_count; i++) {
        const kafka_partition_state_t *p = &topic->partitions[i];
        plan.partitions[i] = (znode_replicas_t){p->replicas, p->replicas_count};
    }
    tree_change_set(change, arena_printf(&change->arena, ZNODES_TOPICS "/%s", topic->name),
                    znode_format_topic(&plan, &change->arena));
    (void)add_states(change, topic->name, &plan, topic->partitions_count);
    tree_change_queue(change, growth_committed, growth);
}
