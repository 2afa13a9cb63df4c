/* share_settings.h: what a share group is configured with: its own settings before the broker's. They are read whenever they are needed, so
 * that a change is heard at once. */
#ifndef TRIVET_KAFKA_SHARE_SETTINGS_H
#define TRIVET_KAFKA_SHARE_SETTINGS_H

#include "kafka/kafka_internal.h"
#include "kafka/share/share_partition.h"

typedef struct share_settings {
    share_limits_t limits;
    bool read_committed;
    /* Where a partition begins of which nothing is stored: a time as ListOffsets has it (-1 its end, -2 its start), or with `by_duration`
     * so many milliseconds ago. */
    bool by_duration;
    int64_t reset;
    bool renews; /* members may renew their time */
} share_settings_t;

void share_settings_read(const kafka_t *kafka, bytes_t group, share_settings_t *ret_settings);

/* PnDTnHnMn.nS, which was checked, in milliseconds. */
int64_t share_duration_ms(const char *duration);

#endif
