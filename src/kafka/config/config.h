/* config.h: where the value of each setting comes from.
 *
 * A broker's setting is looked for in four layers, first found wins: /config/brokers/N,
 * /config/brokers/<default>, the server's configuration, the default. A topic's: /config/topics/T, then its
 * broker synonyms through those layers. */
#ifndef TRIVET_KAFKA_CONFIG_H
#define TRIVET_KAFKA_CONFIG_H

#include "kafka/kafka_internal.h"

typedef enum config_source { /* DescribeConfigs' numbers */
                             CONFIG_SOURCE_UNKNOWN = 0,
                             CONFIG_SOURCE_TOPIC = 1,
                             CONFIG_SOURCE_BROKER = 2,
                             CONFIG_SOURCE_DEFAULT_BROKER = 3,
                             CONFIG_SOURCE_STATIC = 4,
                             CONFIG_SOURCE_DEFAULT = 5,
                             CONFIG_SOURCE_GROUP = 8,
} config_source_t;

enum { CONFIG_LAYER_BROKER, CONFIG_LAYER_DEFAULT_BROKER, CONFIG_LAYER_STATIC, CONFIG_LAYERS_COUNT };

/* A value for every row of kafka_broker_settings; NULL = not set. */
typedef struct config_layer {
    char *values[KAFKA_BROKER_SETTINGS_COUNT];
} config_layer_t;

typedef struct config_store {
    config_layer_t *layers[CONFIG_LAYERS_COUNT];
} config_store_t;

config_layer_t *config_layer_new(void);
void config_layer_free(config_layer_t *layer);
void config_layer_set(config_layer_t *layer, const kafka_setting_def_t *def, bytes_t value);

config_store_t *config_store_new(const kafka_config_t *config);
void config_store_free(config_store_t *store);

const kafka_setting_def_t *config_broker_setting(bytes_t name);
const kafka_setting_def_t *config_topic_setting(bytes_t name);

/* The value in one source (CONFIG_SOURCE_DEFAULT gives the default); NULL = not set there. */
const char *config_value_in(const config_store_t *store, const kafka_setting_def_t *def, config_source_t source);
/* The value that counts. */
const char *config_value(const config_store_t *store, const kafka_setting_def_t *def);

/* Adds to the server's configuration what it leaves open and the broker found out: its directory, its
 * listener. */
void config_set_found(kafka_t *kafka, const char *name, const char *value);
/* Replaces a dynamic layer (taking it over) and computes what follows: the broker's values, then every
 * topic's. */
void config_replace_layer(kafka_t *kafka, int layer, config_layer_t *values);
/* With eligible leader replicas (KIP-966) min.insync.replicas is always set for all brokers: as it was configured, unless it
 * was changed since. */
void config_fix_in_sync(const kafka_t *kafka, config_layer_t *values);
/* Fills kafka->config from the layers. */
void config_compute_broker(kafka_t *kafka);
/* Fills topic->config from its overrides and the broker. */
void config_compute_topic(kafka_topic_t *topic);

/* A value that fits its setting, and that this broker has no use for; why, in `err`. */
bool config_topic_forbidden(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes);

/* The value of a topic's setting as text and where it comes from, as DescribeConfigs tells it; in the arena
 * or borrowed. */
const char *config_topic_value(const kafka_topic_t *topic, const kafka_setting_def_t *def, config_source_t *ret_source,
                               arena_t *arena);

/* The broker's setting that a topic's is shown with; NULL when there is none. */
const kafka_setting_def_t *config_topic_synonym(const kafka_setting_def_t *def);

/* The i-th of a setting's synonyms, as DescribeConfigs lists them: log.retention.ms, .minutes, .hours. NULL
 * at the end. */
const kafka_setting_def_t *config_synonym(const kafka_setting_def_t *def, int i);

#endif
