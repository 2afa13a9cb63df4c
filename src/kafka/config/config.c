/* config.c: see config.h; and the kafka_config_t that the server fills before there is a broker.
 *
 * Invariant: text members of kafka->config and topic->config borrow from the layers, the topic's overrides or
 * the tables, so a layer is freed only after everything was computed without it. */
#include "kafka/config/config.h"

#include "base/nearest.h"

#include <stdio.h>
#include <stdlib.h>

struct kafka_config {
    config_layer_t *layer;
};

/* What Kafka's own sample server.properties sets for one node, and 0 for the wait before a group's first
 * rebalance. */
static const char *const embedded[][2] = {
    {"node.id", "1"},
    {"broker.id", "1"},
    {"process.roles", "broker,controller"},
    {"offsets.topic.replication.factor", "1"},
    {"transaction.state.log.replication.factor", "1"},
    {"transaction.state.log.min.isr", "1"},
    {"share.coordinator.state.topic.replication.factor", "1"},
    {"share.coordinator.state.topic.min.isr", "1"},
    {"group.initial.rebalance.delay.ms", "0"},
};

const kafka_setting_def_t *config_broker_setting(bytes_t name)
{
    return kafka_setting_find(kafka_broker_settings, KAFKA_BROKER_SETTINGS_COUNT, name);
}

const kafka_setting_def_t *config_topic_setting(bytes_t name)
{
    return kafka_setting_find(kafka_topic_settings, KAFKA_TOPIC_SETTINGS_COUNT, name);
}

/* ---- layers ---- */

config_layer_t *config_layer_new(void) { return mem_zalloc(sizeof(config_layer_t)); }

void config_layer_free(config_layer_t *layer)
{
    if (!layer) return;
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) mem_free(layer->values[i]);
    mem_free(layer);
}

void config_layer_set(config_layer_t *layer, const kafka_setting_def_t *def, bytes_t value)
{
    char **slot = &layer->values[def - kafka_broker_settings];
    mem_free(*slot);
    *slot = value.ptr ? kafka_setting_normal(def, value) : NULL;
}

static config_layer_t *layer_copy(const config_layer_t *from)
{
    config_layer_t *layer = config_layer_new();
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) {
        if (from->values[i]) layer->values[i] = mem_strdup(from->values[i]);
    }
    return layer;
}

/* ---- the server's configuration ---- */

kafka_config_t *kafka_config_new(void)
{
    kafka_config_t *config = mem_zalloc(sizeof(*config));
    config->layer = config_layer_new();
    for (size_t i = 0; i < ARRAY_LEN(embedded); i++) {
        const kafka_setting_def_t *def = config_broker_setting(bytes_str(embedded[i][0]));
        ASSERT(def);
        config_layer_set(config->layer, def, bytes_str(embedded[i][1]));
    }
    return config;
}

void kafka_config_free(kafka_config_t *config)
{
    if (!config) return;
    config_layer_free(config->layer);
    mem_free(config);
}

static void say_unknown(const char *name, char *err, size_t err_bytes)
{
    char hint[2 * NEAREST_CHARS_MAX];
    nearest_t nearest = nearest_to(name);
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) nearest_offer(&nearest, kafka_broker_settings[i].name);
    snprintf(err, err_bytes, "unknown setting '%.100s'%s", name, nearest_hint(&nearest, hint, sizeof(hint)));
}

int kafka_configure(kafka_config_t *config, const char *name, const char *value, char *err, size_t err_bytes)
{
    const kafka_setting_def_t *def = config_broker_setting(bytes_str(name));
    if (!def) {
        say_unknown(name, err, err_bytes);
        return ERR_NOT_FOUND;
    }
    if (kafka_setting_check(def, bytes_str(value), err, err_bytes) != 0) return ERR_INVALID;
    config_layer_set(config->layer, def, bytes_str(value));
    if (strcmp(name, "node.id") == 0)
        config_layer_set(config->layer, config_broker_setting(BYTES_LIT("broker.id")), bytes_str(value));
    if (strcmp(name, "broker.id") == 0)
        config_layer_set(config->layer, config_broker_setting(BYTES_LIT("node.id")), bytes_str(value));
    return 0;
}

const char *kafka_config_get(kafka_config_t *config, const char *name)
{
    const kafka_setting_def_t *def = config_broker_setting(bytes_str(name));
    if (!def) return NULL;
    const char *value = config->layer->values[def - kafka_broker_settings];
    return value ? value : def->default_value;
}

bool kafka_config_is_set(const kafka_config_t *config, const char *name)
{
    const kafka_setting_def_t *def = config_broker_setting(bytes_str(name));
    return def && config->layer->values[def - kafka_broker_settings];
}

/* ---- the store ---- */

config_store_t *config_store_new(const kafka_config_t *config)
{
    config_store_t *store = mem_zalloc(sizeof(*store));
    store->layers[CONFIG_LAYER_BROKER] = config_layer_new();
    store->layers[CONFIG_LAYER_DEFAULT_BROKER] = config_layer_new();
    store->layers[CONFIG_LAYER_STATIC] = layer_copy(config->layer);
    return store;
}

void config_store_free(config_store_t *store)
{
    if (!store) return;
    for (int i = 0; i < CONFIG_LAYERS_COUNT; i++) config_layer_free(store->layers[i]);
    mem_free(store);
}

const char *config_value_in(const config_store_t *store, const kafka_setting_def_t *def, config_source_t source)
{
    size_t i = (size_t)(def - kafka_broker_settings);
    switch (source) {
    case CONFIG_SOURCE_BROKER: return store->layers[CONFIG_LAYER_BROKER]->values[i];
    case CONFIG_SOURCE_DEFAULT_BROKER: return store->layers[CONFIG_LAYER_DEFAULT_BROKER]->values[i];
    case CONFIG_SOURCE_STATIC: return store->layers[CONFIG_LAYER_STATIC]->values[i];
    case CONFIG_SOURCE_DEFAULT: return def->default_value;
    case CONFIG_SOURCE_UNKNOWN:
    case CONFIG_SOURCE_GROUP:
    case CONFIG_SOURCE_TOPIC: break;
    }
    return NULL;
}

const char *config_value(const config_store_t *store, const kafka_setting_def_t *def)
{
    for (config_source_t source = CONFIG_SOURCE_BROKER; source <= CONFIG_SOURCE_DEFAULT; source++) {
        const char *value = config_value_in(store, def, source);
        if (value) return value;
    }
    return NULL;
}

void config_fix_in_sync(const kafka_t *kafka, config_layer_t *values)
{
    const kafka_setting_def_t *def = config_broker_setting(BYTES_LIT("min.insync.replicas"));
    const char *configured = config_value_in(kafka->config_store, def, CONFIG_SOURCE_STATIC);
    if (values->values[def - kafka_broker_settings]) return;
    config_layer_set(values, def, bytes_str(configured ? configured : def->default_value));
}

void config_compute_broker(kafka_t *kafka)
{
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_broker_settings[i];
        kafka_setting_assign(def, config_value(kafka->config_store, def), &kafka->config);
    }
    kafka->config_version++;
}

void config_set_found(kafka_t *kafka, const char *name, const char *value)
{
    const kafka_setting_def_t *def = config_broker_setting(bytes_str(name));
    config_layer_t *layer = kafka->config_store->layers[CONFIG_LAYER_STATIC];
    ASSERT(def);
    if (layer->values[def - kafka_broker_settings]) return;
    config_layer_set(layer, def, bytes_str(value));
    config_compute_broker(kafka);
}

void config_replace_layer(kafka_t *kafka, int layer, config_layer_t *values)
{
    config_layer_t *old = kafka->config_store->layers[layer];
    kafka->config_store->layers[layer] = values;
    config_compute_broker(kafka);
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) config_compute_topic(entry->value);
    config_layer_free(old);
}

/* ---- topics ---- */

/* The next of "log.roll.ms,log.roll.hours*3600000". */
static const kafka_setting_def_t *next_synonym(const char **at, int64_t *ret_factor)
{
    if (!**at) return NULL;
    size_t name_len = strcspn(*at, ",*");
    const kafka_setting_def_t *def = config_broker_setting(bytes_of(*at, name_len));
    ASSERT(def);
    *at += name_len;
    *ret_factor = **at == '*' ? strtoll(*at + 1, NULL, 10) : 1;
    *at += strcspn(*at, ",");
    if (**at) (*at)++;
    return def;
}

/* From the synonyms: a value that is set comes before any default. */
static const char *inherited(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t *ret_factor)
{
    for (int pass = 0; pass < 2; pass++) {
        const char *at = def->broker_names ? def->broker_names : "";
        for (const kafka_setting_def_t *synonym; (synonym = next_synonym(&at, ret_factor));) {
            const char *value = config_value(kafka->config_store, synonym);
            if (value && (pass == 1 || value != synonym->default_value)) return value;
        }
    }
    *ret_factor = 1;
    return def->default_value;
}

void config_compute_topic(kafka_topic_t *topic)
{
    for (size_t i = 0; i < KAFKA_TOPIC_SETTINGS_COUNT; i++) {
        const kafka_setting_def_t *def = &kafka_topic_settings[i];
        int64_t factor = 1;
        const char *value = map_get_str(&topic->overrides, def->name);
        kafka_setting_assign(def, value ? value : inherited(topic->kafka, def, &factor), &topic->config);
        int64_t *number = (int64_t *)(void *)((uint8_t *)&topic->config + def->offset);
        if (factor != 1) *number = *number < 0 ? -1 : *number * factor;
    }
}

bool config_topic_forbidden(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes)
{
    if (strcmp(def->name, "remote.storage.enable") != 0 || !bytes_eq_nocase(value, BYTES_LIT("true"))) return false;
    snprintf(err, err_bytes,
             "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with "
             "remote log storage.");
    return true;
}

/* The first broker name of a topic's setting, which alone Kafka shows as its synonym. */
const kafka_setting_def_t *config_topic_synonym(const kafka_setting_def_t *def)
{
    if (!def->broker_names) return NULL;
    return config_broker_setting(bytes_of(def->broker_names, strcspn(def->broker_names, ",*")));
}

const char *config_topic_value(const kafka_topic_t *topic, const kafka_setting_def_t *def, config_source_t *ret_source,
                               arena_t *arena)
{
    const char *override = map_get_str(&topic->overrides, def->name);
    int64_t factor = 1;
    *ret_source = CONFIG_SOURCE_TOPIC;
    if (override) return override;
    const kafka_setting_def_t *synonym = config_topic_synonym(def);
    const char *value = inherited(topic->kafka, def, &factor);
    *ret_source = CONFIG_SOURCE_DEFAULT;
    for (config_source_t source = CONFIG_SOURCE_BROKER; synonym && source <= CONFIG_SOURCE_DEFAULT; source++) {
        if (!config_value_in(topic->kafka->config_store, synonym, source)) continue;
        *ret_source = source;
        break;
    }
    if (!value || factor == 1) return value;
    int64_t number = strtoll(value, NULL, 10);
    return arena_printf(arena, "%" PRId64, number < 0 ? -1 : number * factor);
}

static const char *const synonym_groups[][3] = {
    {"log.roll.ms", "log.roll.hours", NULL},
    {"log.roll.jitter.ms", "log.roll.jitter.hours", NULL},
    {"log.flush.interval.ms", "log.flush.scheduler.interval.ms", NULL},
    {"log.retention.ms", "log.retention.minutes", "log.retention.hours"},
};

const kafka_setting_def_t *config_synonym(const kafka_setting_def_t *def, int i)
{
    for (size_t g = 0; g < ARRAY_LEN(synonym_groups); g++) {
        for (int j = 0; j < 3 && synonym_groups[g][j]; j++) {
            if (strcmp(synonym_groups[g][j], def->name) != 0) continue;
            if (strcmp(def->name, "log.flush.scheduler.interval.ms") == 0) break; /* no synonym of itself in Kafka */
            return i < 3 && synonym_groups[g][i] ? config_broker_setting(bytes_str(synonym_groups[g][i])) : NULL;
        }
    }
    return i == 0 ? def : NULL;
}
