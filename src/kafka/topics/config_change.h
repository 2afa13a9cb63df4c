/* config_change.h: changing the settings of one resource. */
#ifndef TRIVET_KAFKA_CONFIG_CHANGE_H
#define TRIVET_KAFKA_CONFIG_CHANGE_H

#include "kafka/kafka_internal.h"

enum { CONFIG_RESOURCE_TOPIC = 2, CONFIG_RESOURCE_BROKER = 4, CONFIG_RESOURCE_GROUP = 32 };

typedef enum config_op { CONFIG_SET = 0, CONFIG_DELETE = 1, CONFIG_APPEND = 2, CONFIG_SUBTRACT = 3 } config_op_t;

typedef struct config_edit {
    bytes_t name;
    int8_t op;
    bytes_t value;
} config_edit_t;

typedef struct config_change {
    int8_t resource_type;
    bytes_t resource_name;
    const config_edit_t *edits;
    int32_t edits_count;
    bool replace_all; /* what is not among the edits is dropped */
    bool validate_only;
} config_change_t;

/* Everything but `done`'s arguments lives in `arena`, which must outlive it. `message` is NULL without an
 * error. May run `done` at once. */
typedef void (*config_changed_cb)(void *user, kafka_code_t error, const char *message);
void config_change(kafka_t *kafka, const config_change_t *change, arena_t *arena, config_changed_cb done, void *user);

#endif
