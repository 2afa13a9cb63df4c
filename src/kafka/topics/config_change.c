/* config_change.c: see config_change.h. The order of the checks and their words are Kafka's: first what the
 * broker refuses, then what its controller does. What is agreed goes into the tree; store.c brings it to effect. */
#include "kafka/topics/config_change.h"

#include "kafka/config/config.h"
#include "kafka/topics/config_dynamic.h"
#include "kafka/topics/config_group.h"
#include "kafka/topics/name_count.h"
#include "kafka/topics/topics.h"
#include "kafka/topics/tree_change.h"

#include <stdlib.h>

#define EDITS_MAX       2000   /* more than there are settings; each is looked for among all */
#define EDITS_BYTES_MAX MIB(1) /* more than a znode takes */

typedef struct edited {
    kafka_setting_t *items; /* of the arena */
    int32_t count, cap;
    arena_t *arena;
} edited_t;

typedef struct refusal {
    kafka_code_t error;
    const char *message;
} refusal_t;

#define AGREED ((refusal_t){KAFKA_NONE, NULL})

static refusal_t refuse(kafka_code_t error, const char *message) { return (refusal_t){error, message}; }

/* ---- the values to be ---- */

static kafka_setting_t *find(edited_t *edited, bytes_t name)
{
    for (int32_t i = 0; i < edited->count; i++) {
        if (bytes_eq(edited->items[i].name, name)) return &edited->items[i];
    }
    return NULL;
}

static void put(edited_t *edited, bytes_t name, bytes_t value)
{
    kafka_setting_t *slot = find(edited, name);
    if (!slot) {
        ASSERT(edited->count < edited->cap);
        slot = &edited->items[edited->count++];
        slot->name = name;
    }
    slot->value = value;
}

static void drop(edited_t *edited, bytes_t name)
{
    kafka_setting_t *slot = find(edited, name);
    if (slot) *slot = edited->items[--edited->count];
}

static void count_setting(void *user, const char *name, const char *value) { (*(int32_t *)user)++; }

static void take_setting(void *user, const char *name, const char *value)
{
    edited_t *edited = user;
    put(edited, arena_copy(edited->arena, bytes_str(name)), arena_copy(edited->arena, bytes_str(value)));
}

static const char *path_of(const config_change_t *change, arena_t *arena)
{
    if (change->resource_type == CONFIG_RESOURCE_GROUP) return config_group_path(change->resource_name, arena);
    const char *name = arena_strdup(arena, change->resource_name);
    if (change->resource_type == CONFIG_RESOURCE_TOPIC) return arena_printf(arena, ZNODES_TOPIC_CONFIGS "/%s", name);
    return arena_printf(arena, ZNODES_BROKER_CONFIGS "/%s", *name ? name : "<default>");
}

/* What the tree has now, with room for the edits. */
static edited_t load(const kafka_t *kafka, const config_change_t *change, arena_t *arena)
{
    edited_t edited = {.arena = arena, .cap = change->edits_count};
    bytes_t data = BYTES_NULL;
    bool keep = !change->replace_all && mirror_get(kafka->tree, path_of(change, arena), &data, NULL) == ZOK;
    if (keep) keep = znode_parse_config(data, count_setting, &edited.cap) == 0;
    edited.items = ARENA_ARRAY(arena, kafka_setting_t, edited.cap);
    if (keep) (void)!znode_parse_config(data, take_setting, &edited);
    return edited;
}

static bytes_t take_word(bytes_t *rest)
{
    const uint8_t *comma = rest->len ? memchr(rest->ptr, ',', rest->len) : NULL;
    bytes_t word = bytes_of(rest->ptr, comma ? (size_t)(comma - rest->ptr) : rest->len);
    *rest = comma ? bytes_of(comma + 1, rest->len - word.len - 1) : BYTES_NULL;
    return word;
}

static void append_word(buf_t *list, bytes_t word)
{
    if (list->len) buf_u8(list, ',');
    buf_append(list, word.ptr, word.len);
}

/* The words of `list` but for empty ones and, in `without`, those that it has. */
static void append_words(buf_t *to, bytes_t list, const map_t *without)
{
    while (list.len) {
        bytes_t word = take_word(&list);
        if (word.len > 0 && !map_get(without, word)) append_word(to, word);
    }
}

static map_t words_of(bytes_t list)
{
    map_t words = MAP_INIT;
    while (list.len) {
        bytes_t word = take_word(&list);
        map_put(&words, word, (void *)word.ptr); /* any pointer but NULL */
    }
    return words;
}

/* The list with the words of `edit` added, or without them. */
static bytes_t edit_list(arena_t *arena, bytes_t list, bytes_t edit, bool add)
{
    buf_t out = BUF_INIT;
    map_t none = MAP_INIT, words = words_of(add ? list : edit);
    append_words(&out, list, add ? &none : &words);
    while (add && edit.len) {
        bytes_t word = take_word(&edit);
        if (!map_get(&words, word)) append_word(&out, word);
    }
    map_deinit(&words);
    bytes_t result = arena_copy(arena, out.ptr ? buf_bytes(&out) : BYTES_LIT(""));
    buf_deinit(&out);
    return result;
}

static const kafka_setting_def_t *def_of(const config_change_t *change, bytes_t name)
{
    if (change->resource_type == CONFIG_RESOURCE_GROUP) return config_group_setting(name);
    return change->resource_type == CONFIG_RESOURCE_TOPIC ? config_topic_setting(name) : config_broker_setting(name);
}

static refusal_t apply_list_edit(const config_change_t *change, const config_edit_t *edit, edited_t *edited)
{
    const kafka_setting_def_t *def = def_of(change, edit->name);
    bool add = edit->op == CONFIG_APPEND;
    if (!def || def->type != KAFKA_SETTING_LIST)
        return refuse(KAFKA_INVALID_CONFIG,
                      arena_printf(edited->arena, "Can't %s to key %s because its type is not LIST.",
                                   add ? "APPEND" : "SUBTRACT", arena_strdup(edited->arena, edit->name)));
    kafka_setting_t *now = find(edited, edit->name);
    bytes_t list = now ? now->value : bytes_str(def->default_value ? def->default_value : "");
    put(edited, edit->name, edit_list(edited->arena, list, edit->value, add));
    return AGREED;
}

static refusal_t apply_edits(const config_change_t *change, edited_t *edited)
{
    for (int32_t i = 0; i < change->edits_count; i++) {
        const config_edit_t *edit = &change->edits[i];
        if (edit->op == CONFIG_SET) {
            put(edited, edit->name, edit->value);
        } else if (edit->op == CONFIG_DELETE) {
            drop(edited, edit->name);
        } else if (edit->op == CONFIG_APPEND || edit->op == CONFIG_SUBTRACT) {
            refusal_t refusal = apply_list_edit(change, edit, edited);
            if (refusal.error) return refusal;
        } else {
            /* Kafka trips over it: there is no better code. */
            return refuse(KAFKA_UNKNOWN_SERVER_ERROR,
                          arena_printf(edited->arena, "Unknown operations type %d", edit->op));
        }
    }
    return AGREED;
}

/* ---- checks ---- */

static bool has_duplicates(const config_change_t *change)
{
    name_count_t names = {0};
    for (int32_t i = 0; i < change->edits_count; i++) name_count_add(&names, change->edits[i].name);
    bool found = names.counts.count < (size_t)change->edits_count;
    name_count_deinit(&names);
    return found;
}

/* Names the settings without a value, as many as an answer's string holds. */
static refusal_t refuse_nulls(const config_change_t *change, arena_t *arena)
{
    buf_t names = BUF_INIT;
    for (int32_t i = 0; i < change->edits_count && names.len < INT16_MAX; i++) {
        const config_edit_t *edit = &change->edits[i];
        if (edit->value.ptr || edit->op == CONFIG_DELETE) continue;
        buf_printf(&names, "%s%.*s", names.len ? ", " : "", (int)edit->name.len, (const char *)edit->name.ptr);
    }
    const char *text = arena_printf(arena, "Null value not supported for : %.*s", (int)names.len, (char *)names.ptr);
    buf_deinit(&names);
    return refuse(KAFKA_INVALID_REQUEST, text);
}

static bool are_too_large(const config_change_t *change)
{
    size_t bytes = 0;
    for (int32_t i = 0; i < change->edits_count; i++) bytes += change->edits[i].name.len + change->edits[i].value.len;
    return bytes > EDITS_BYTES_MAX;
}

static refusal_t check_edits(const config_change_t *change, arena_t *arena)
{
    bool nulls = false;
    if (change->edits_count > EDITS_MAX) return refuse(KAFKA_INVALID_REQUEST, "Too many configs for one resource");
    if (are_too_large(change)) return refuse(KAFKA_INVALID_REQUEST, "Configs of one resource are too large");
    if (has_duplicates(change)) return refuse(KAFKA_INVALID_REQUEST, "Error due to duplicate config keys");
    for (int32_t i = 0; i < change->edits_count; i++) {
        const config_edit_t *edit = &change->edits[i];
        if (!bytes_are_text(edit->name) || !bytes_are_text(edit->value))
            return refuse(KAFKA_INVALID_REQUEST, "Names and values of configs must be UTF-8 without NUL");
        if (edit->value.ptr || edit->op == CONFIG_DELETE) continue;
        nulls = true;
    }
    return nulls ? refuse_nulls(change, arena) : AGREED;
}

static refusal_t check_broker_name(const kafka_t *kafka, bytes_t name, arena_t *arena)
{
    char *text = arena_strdup(arena, name), *end;
    if (name.len == 0) return AGREED;
    long id = strtol(text, &end, 10);
    if (end != text + name.len)
        return refuse(KAFKA_INVALID_REQUEST, arena_printf(arena, "Node id must be an integer, but it is: %s", text));
    if (id == kafka->broker_id) return AGREED;
    return refuse(
        KAFKA_INVALID_REQUEST,
        arena_printf(arena, "Unexpected broker id, expected %" PRId32 ", but received %s", kafka->broker_id, text));
}

/* The controller's refusals have a code of their own. */
static kafka_code_t def_error(const kafka_setting_def_t *def)
{
    return strcmp(def->name, "min.insync.replicas") == 0 ? KAFKA_INVALID_CONFIG : KAFKA_INVALID_REQUEST;
}

typedef bool (*forbids_t)(const kafka_setting_def_t *def);

static bool is_read_only(const kafka_setting_def_t *def) { return def->mode == KAFKA_SETTING_READ_ONLY; }
static bool is_per_listener(const kafka_setting_def_t *def) { return def->per_listener; }
static bool is_per_broker(const kafka_setting_def_t *def) { return def->mode == KAFKA_SETTING_PER_BROKER; }

/* Refuses when there are settings that `forbids` finds, naming them as Java prints a set. */
static refusal_t check_kind(const edited_t *edited, forbids_t forbids, const char *why, arena_t *arena)
{
    const char *names = NULL;
    for (int32_t i = 0; i < edited->count; i++) {
        const kafka_setting_def_t *def = config_broker_setting(edited->items[i].name);
        if (def && forbids(def))
            names = arena_printf(arena, "%s%s%s", names ? names : "", names ? ", " : "", def->name);
    }
    return names ? refuse(KAFKA_INVALID_REQUEST, arena_printf(arena, "%s: [%s]", why, names)) : AGREED;
}

/* Settings that Kafka does not know are kept (they may be a plugin's); those it knows must be changeable and
 * fit. */
static refusal_t check_broker_values(const kafka_t *kafka, const config_change_t *change, const edited_t *edited,
                                     arena_t *arena)
{
    refusal_t refusal = check_kind(edited, is_read_only, "Cannot update these configs dynamically", arena);
    if (!refusal.error)
        refusal = check_kind(
            edited, is_per_listener,
            "These security configs can be dynamically updated only per-listener using the listener prefix", arena);
    for (int32_t i = 0; i < edited->count && !refusal.error; i++) {
        const kafka_setting_t *s = &edited->items[i];
        const kafka_setting_def_t *def = config_broker_setting(s->name);
        char *err = arena_alloc(arena, KAFKA_SETTING_ERROR_BYTES_MAX);
        if (def && kafka_setting_check(def, s->value, err, KAFKA_SETTING_ERROR_BYTES_MAX) != 0)
            refusal = refuse(KAFKA_INVALID_REQUEST, err);
    }
    for (int32_t i = 0; i < change->edits_count && !refusal.error; i++) {
        const config_edit_t *edit = &change->edits[i];
        const kafka_setting_def_t *def = config_broker_setting(edit->name);
        const char *problem =
            def ? config_dynamic_problem(kafka, def, edit, change->resource_name.len == 0, arena) : NULL;
        if (problem) refusal = refuse(def_error(def), problem);
    }
    if (!refusal.error && change->resource_name.len == 0)
        refusal =
            check_kind(edited, is_per_broker,
                       "Cannot update these configs at default cluster level, broker id must be specified", arena);
    return refusal;
}

static refusal_t check_topic(const kafka_t *kafka, const config_change_t *change, const edited_t *edited,
                             arena_t *arena)
{
    if (change->resource_name.len == 0)
        return refuse(KAFKA_INVALID_REQUEST, "Default topic resources are not allowed.");
    const char *problem = kafka_topic_name_problem(change->resource_name, arena);
    if (problem) return refuse(KAFKA_INVALID_TOPIC_EXCEPTION, problem);
    for (int32_t i = 0; i < edited->count; i++) {
        const kafka_setting_t *s = &edited->items[i];
        const kafka_setting_def_t *def = config_topic_setting(s->name);
        char *err = arena_alloc(arena, KAFKA_SETTING_ERROR_BYTES_MAX);
        if (!def)
            return refuse(KAFKA_INVALID_CONFIG,
                          arena_printf(arena, "Unknown topic config name: %s", arena_strdup(arena, s->name)));
        if (kafka_setting_check(def, s->value, err, KAFKA_SETTING_ERROR_BYTES_MAX) != 0 ||
            config_topic_forbidden(def, s->value, err, KAFKA_SETTING_ERROR_BYTES_MAX))
            return refuse(KAFKA_INVALID_CONFIG, err);
    }
    if (kafka_topic_get(kafka, change->resource_name)) return AGREED;
    return refuse(KAFKA_UNKNOWN_TOPIC_OR_PARTITION,
                  arena_printf(arena, "The topic '%s' does not exist.", arena_strdup(arena, change->resource_name)));
}

static refusal_t check_group(const kafka_t *kafka, const edited_t *edited, arena_t *arena)
{
    config_group_t values = {0};
    for (int32_t i = 0; i < edited->count; i++) {
        if (!config_group_setting(edited->items[i].name))
            return refuse(KAFKA_INVALID_CONFIG, arena_printf(arena, "Unknown group config name: %s",
                                                             arena_strdup(arena, edited->items[i].name)));
    }
    for (int32_t i = 0; i < edited->count; i++) {
        const kafka_setting_def_t *def = config_group_setting(edited->items[i].name);
        char *err = arena_alloc(arena, KAFKA_SETTING_ERROR_BYTES_MAX);
        if (config_group_check(def, edited->items[i].value, err, KAFKA_SETTING_ERROR_BYTES_MAX) != 0)
            return refuse(KAFKA_INVALID_CONFIG, err);
        config_group_set(&values, def, edited->items[i].value, arena);
    }
    const char *problem = config_group_problem(kafka, &values, arena);
    return problem ? refuse(KAFKA_INVALID_CONFIG, problem) : AGREED;
}

/* What is wrong with the resource, whatever is to become of it. */
static refusal_t check_resource(const kafka_t *kafka, const config_change_t *change, arena_t *arena)
{
    switch (change->resource_type) {
    case CONFIG_RESOURCE_TOPIC: return AGREED; /* the controller's checks come later */
    case CONFIG_RESOURCE_BROKER: return check_broker_name(kafka, change->resource_name, arena);
    case CONFIG_RESOURCE_GROUP:
        if (change->resource_name.len > 0) return AGREED;
        return refuse(KAFKA_INVALID_REQUEST, "Default group resources are not allowed.");
    default:
        return refuse(KAFKA_INVALID_REQUEST, arena_printf(arena, "Unknown resource type %d", change->resource_type));
    }
}

static refusal_t check_values(const kafka_t *kafka, const config_change_t *change, const edited_t *edited,
                              arena_t *arena)
{
    if (change->resource_type == CONFIG_RESOURCE_GROUP) return check_group(kafka, edited, arena);
    if (change->resource_type == CONFIG_RESOURCE_TOPIC) return check_topic(kafka, change, edited, arena);
    return check_broker_values(kafka, change, edited, arena);
}

static refusal_t prepare(const kafka_t *kafka, const config_change_t *change, arena_t *arena, edited_t *ret_edited)
{
    refusal_t refusal = check_edits(change, arena);
    if (!refusal.error) refusal = check_resource(kafka, change, arena);
    if (refusal.error) return refusal;
    bool topic = change->resource_type == CONFIG_RESOURCE_TOPIC;
    if (topic && kafka_topic_name_problem(change->resource_name, arena))
        *ret_edited = (edited_t){.arena = arena};
    else
        *ret_edited = load(kafka, change, arena);
    if (ret_edited->items) refusal = apply_edits(change, ret_edited);
    return refusal.error ? refusal : check_values(kafka, change, ret_edited, arena);
}

/* ---- into the tree ---- */

typedef struct pending {
    config_changed_cb done;
    void *user;
    const config_change_t *change;
} pending_t;

static void apply(kafka_t *kafka, const config_change_t *change)
{
    if (change->resource_type == CONFIG_RESOURCE_TOPIC)
        topics_store_configure(kafka, change->resource_name);
    else if (change->resource_type == CONFIG_RESOURCE_BROKER)
        topics_store_sync_brokers(kafka);
}

static void committed(tree_change_t *tree, coord_zerr_t err, int failed_index)
{
    const pending_t *pending = tree->user;
    kafka_code_t error = err == ZOK        ? KAFKA_NONE
                         : err == ZNO_NODE ? KAFKA_UNKNOWN_TOPIC_OR_PARTITION
                                           : KAFKA_REQUEST_TIMED_OUT;
    if (err == ZOK) apply(tree->kafka, pending->change);
    pending->done(pending->user, error, kafka_error_text(error));
}

void config_change(kafka_t *kafka, const config_change_t *change, arena_t *arena, config_changed_cb done, void *user)
{
    edited_t edited;
    refusal_t refusal = prepare(kafka, change, arena, &edited);
    if (refusal.error || change->validate_only) {
        done(user, refusal.error, refusal.message);
        return;
    }
    pending_t *pending = ARENA_NEW(arena, pending_t);
    *pending = (pending_t){done, user, change};
    tree_change_t *tree = tree_change_new(kafka);
    tree_change_put(tree, path_of(change, arena), znode_format_config(edited.items, edited.count, arena));
    if (change->resource_type == CONFIG_RESOURCE_GROUP) /* any number of them may be named */
        tree_change_queue(tree, committed, pending);
    else
        tree_change_submit(tree, committed, pending);
}
