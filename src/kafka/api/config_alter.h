/* config_alter.h: changing the settings of all resources that one request names: what AlterConfigs and
 * IncrementalAlterConfigs have in common. */
#ifndef TRIVET_KAFKA_CONFIG_ALTER_H
#define TRIVET_KAFKA_CONFIG_ALTER_H

#include "kafka/topics/config_change.h"

typedef struct config_alteration {
    config_change_t change;
    struct config_alter_job *job; /* config_alter_all's */
    /* How it ended. */
    kafka_code_t error;
    bytes_t message; /* ptr NULL without an error */
} config_alteration_t;

/* Makes all changes; a resource that is named twice is refused. `all` and what it points to lives in the request's arena;
 * `done` answers the request, at once or later. */
typedef void (*config_altered_cb)(kafka_request_t *request, const config_alteration_t *all, int32_t count);
void config_alter_all(kafka_request_t *request, config_alteration_t *all, int32_t count, config_altered_cb done);

#endif
