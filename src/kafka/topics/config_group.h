/* config_group.h: the settings of single groups: what /config/groups/G sets, else what the broker has for every group.
 *
 * They are read from the tree whenever they are needed, so whoever changes them there is heard at a member's next heartbeat. */
#ifndef TRIVET_KAFKA_CONFIG_GROUP_H
#define TRIVET_KAFKA_CONFIG_GROUP_H

#include "kafka/kafka_internal.h"

enum { CONFIG_GROUP_SETTINGS_COUNT = 21 };

/* A row for each setting, sorted by name. */
const kafka_setting_def_t *config_group_settings(void);
/* NULL when groups have no such setting. */
const kafka_setting_def_t *config_group_setting(bytes_t name);
/* The value of groups that have none of their own. */
const char *config_group_default(const kafka_t *kafka, const kafka_setting_def_t *def);
/* As kafka_setting_check, with the formats that groups alone have. */
int config_group_check(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes) MUST_CHECK;

typedef struct config_group {
    const char *own[CONFIG_GROUP_SETTINGS_COUNT]; /* spelt as Kafka shows it; NULL = not set */
} config_group_t;

/* What the tree says; the texts are the arena's. What does not fit is left out: the tree may hold anything. */
void config_group_read(const kafka_t *kafka, bytes_t group, arena_t *arena, config_group_t *ret_values);
/* `value` must fit. */
void config_group_set(config_group_t *values, const kafka_setting_def_t *def, bytes_t value, arena_t *arena);
/* What is wrong with values that fit one by one: the broker's limits, and what must be less than another. NULL: nothing. */
const char *config_group_problem(const kafka_t *kafka, const config_group_t *values, arena_t *arena);
/* The node of a group in the tree, which is there once the group has had settings; and the group of a node's name. */
const char *config_group_path(bytes_t group, arena_t *arena);
bytes_t config_group_of(const char *node, arena_t *arena);

#endif
