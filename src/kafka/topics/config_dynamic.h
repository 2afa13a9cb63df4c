/* config_dynamic.h: what keeps a broker's setting from being changed while it runs, beside its type and range. */
#ifndef TRIVET_KAFKA_CONFIG_DYNAMIC_H
#define TRIVET_KAFKA_CONFIG_DYNAMIC_H

#include "kafka/kafka_internal.h"
#include "kafka/topics/config_change.h"

/* NULL, or why an edit whose value fits its setting is refused, in Kafka's words (in the arena or static). `everywhere`: it
 * is meant for all brokers, and not for this one. */
const char *config_dynamic_problem(const kafka_t *kafka, const kafka_setting_def_t *def, const config_edit_t *edit,
                                   bool everywhere, arena_t *arena);

#endif
