/* setting.h: one row of the tables of settings (generated from schema/kafka/configs.schema), and how a value
 * is checked, read and spelt by it. */
#ifndef TRIVET_KAFKA_SETTING_H
#define TRIVET_KAFKA_SETTING_H

#include "base/base.h"

typedef enum kafka_setting_type { /* numbered as DescribeConfigs numbers them */
                                  KAFKA_SETTING_BOOLEAN = 1,
                                  KAFKA_SETTING_STRING = 2,
                                  KAFKA_SETTING_INT = 3,
                                  KAFKA_SETTING_SHORT = 4,
                                  KAFKA_SETTING_LONG = 5,
                                  KAFKA_SETTING_DOUBLE = 6,
                                  KAFKA_SETTING_LIST = 7,
                                  KAFKA_SETTING_CLASS = 8,
                                  KAFKA_SETTING_PASSWORD = 9,
} kafka_setting_type_t;

typedef enum kafka_setting_mode {
    KAFKA_SETTING_READ_ONLY,
    KAFKA_SETTING_CLUSTER_WIDE,
    KAFKA_SETTING_PER_BROKER,
} kafka_setting_mode_t;

#define KAFKA_SETTING_UNBOUND         __builtin_inf()
#define KAFKA_SETTING_ERROR_BYTES_MAX 512

typedef struct kafka_setting_def {
    const char *name;
    const char *default_value; /* NULL = none */
    const char *doc;
    const char *valid;        /* words, by spaces */
    const char *broker_names; /* of a topic's setting: "log.roll.ms,log.roll.hours*3600000" */
    double min, max, or_else; /* a number is in min..max or equals or_else */
    uint8_t type, mode;
    bool hidden, nocase, nonempty;
    bool words; /* the member is a number: of the word, or a bit for each of a list; see tools/gen/kafka_configs.py */
    bool per_listener; /* may change at run time only under a listener's prefix */
    uint16_t offset;   /* in kafka_topic_config_t or kafka_broker_config_t */
} kafka_setting_def_t;

/* The row of that name in a sorted table; NULL when there is none. */
const kafka_setting_def_t *kafka_setting_find(const kafka_setting_def_t *table, size_t count, bytes_t name);
/* Whether `value` fits; ERR_INVALID and Kafka's words for it in `err` when not. */
int kafka_setting_check(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes) MUST_CHECK;
/* A copy of a value that fits, spelt as Kafka would show it: trimmed, numbers and booleans plain. */
char *kafka_setting_normal(const kafka_setting_def_t *def, bytes_t value);
/* Sets the member of `config` (a kafka_topic_config_t or kafka_broker_config_t) from a value that fits; NULL
 * sets 0, -1 for numbers. Text members borrow `value`; words are numbers, so that nobody compares text on the append path. */
void kafka_setting_assign(const kafka_setting_def_t *def, const char *value, void *config);
static inline bool kafka_setting_is_sensitive(const kafka_setting_def_t *def)
{
    return def->type == KAFKA_SETTING_PASSWORD;
}

#endif
