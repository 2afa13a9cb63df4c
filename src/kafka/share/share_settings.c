/* share_settings.c: see share_settings.h. */
#include "kafka/share/share_settings.h"

#include "kafka/topics/config_group.h"

#include <ctype.h>
#include <stdlib.h>

#define LATEST      (-1)
#define EARLIEST    (-2)
#define BY_DURATION "by_duration:"
#define MS_A_DAY    86400000

int64_t share_duration_ms(const char *duration)
{
    int64_t ms = 0;
    const char *at = duration + 1;
    while (*at) {
        char *unit;
        if (!isdigit((unsigned char)*at)) { /* the T before hours */
            at++;
            continue;
        }
        double number = strtod(at, &unit);
        int c = toupper((unsigned char)*unit);
        double each = c == 'D' ? MS_A_DAY : c == 'H' ? 3600000 : c == 'M' ? 60000 : 1000;
        ms = (int64_t)MIN((double)ms + number * each, (double)INT32_MAX * MS_A_DAY);
        at = *unit ? unit + 1 : unit;
    }
    return ms;
}

/* The group's own value, or NULL when it has none, or there is no such setting. */
static const char *own_value(const config_group_t *values, const char *name)
{
    const kafka_setting_def_t *def = config_group_setting(bytes_str(name));
    return def ? values->own[def - config_group_settings()] : NULL;
}

static int64_t number_of(const config_group_t *values, const char *name, int64_t brokers)
{
    const char *own = own_value(values, name);
    return own ? strtoll(own, NULL, 10) : brokers;
}

static void read_reset(const config_group_t *values, share_settings_t *settings)
{
    const char *own = own_value(values, "share.auto.offset.reset");
    settings->reset = own && strcmp(own, "earliest") == 0 ? EARLIEST : LATEST;
    settings->by_duration = own && strncmp(own, BY_DURATION, strlen(BY_DURATION)) == 0;
    if (settings->by_duration) settings->reset = share_duration_ms(own + strlen(BY_DURATION));
}

void share_settings_read(const kafka_t *kafka, bytes_t group, share_settings_t *ret_settings)
{
    arena_t arena;
    config_group_t values;
    const kafka_broker_config_t *broker = &kafka->config;
    arena_init(&arena, 0);
    config_group_read(kafka, group, &arena, &values);
    const char *isolation = own_value(&values, "share.isolation.level");
    const char *renews = own_value(&values, "share.renew.acknowledge.enable");
    *ret_settings = (share_settings_t){
        .limits = {.deliveries_max = (int16_t)number_of(&values, "share.delivery.count.limit",
                                                        broker->group_share_delivery_count_limit),
                   .in_flight_max = (int32_t)number_of(&values, "share.partition.max.record.locks",
                                                       broker->group_share_partition_max_record_locks),
                   .lock_ms = number_of(&values, "share.record.lock.duration.ms",
                                        broker->group_share_record_lock_duration_ms)},
        .read_committed = isolation && strcmp(isolation, "read_committed") == 0,
        .renews = !renews || strcmp(renews, "false") != 0};
    read_reset(&values, ret_settings);
    arena_deinit(&arena);
}
