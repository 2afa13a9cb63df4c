/* config_group.c: see config_group.h. A group's id may be any text: in the tree's paths it is escaped as Kafka with ZooKeeper
 * escaped the names of users and clients. */
#include "kafka/topics/config_group.h"

#include "kafka/config/config.h"
#include "kafka/topics/znodes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define OFFSET_RESET "share.auto.offset.reset"

static const kafka_setting_def_t group_settings[CONFIG_GROUP_SETTINGS_COUNT] = {
    {.name = "consumer.assignment.interval.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.consumer.assignment.interval.ms",
     .min = 0,
     .or_else = 0,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "consumer.heartbeat.interval.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.consumer.heartbeat.interval.ms",
     .min = 1,
     .or_else = 1,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "consumer.session.timeout.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.consumer.session.timeout.ms",
     .min = 1,
     .or_else = 1,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "errors.deadletterqueue.copy.record.enable", .type = KAFKA_SETTING_BOOLEAN, .default_value = "false"},
    {.name = "errors.deadletterqueue.topic.name", .type = KAFKA_SETTING_STRING, .default_value = ""},
    {.name = "share.assignment.interval.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.share.assignment.interval.ms",
     .min = 0,
     .or_else = 0,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "share.auto.offset.reset", .type = KAFKA_SETTING_STRING, .default_value = "latest"},
    {.name = "share.delivery.count.limit",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.share.delivery.count.limit",
     .min = 2,
     .or_else = 2,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "share.heartbeat.interval.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.share.heartbeat.interval.ms",
     .min = 1,
     .or_else = 1,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "share.isolation.level",
     .type = KAFKA_SETTING_STRING,
     .default_value = "read_uncommitted",
     .valid = "read_committed read_uncommitted"},
    {.name = "share.partition.max.record.locks",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.share.partition.max.record.locks",
     .min = 100,
     .or_else = 100,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "share.record.lock.duration.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.share.record.lock.duration.ms",
     .min = 1000,
     .or_else = 1000,
     .max = 3600000},
    {.name = "share.renew.acknowledge.enable", .type = KAFKA_SETTING_BOOLEAN, .default_value = "true"},
    {.name = "share.session.timeout.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.share.session.timeout.ms",
     .min = 1,
     .or_else = 1,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "streams.assignment.interval.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.streams.assignment.interval.ms",
     .min = 0,
     .or_else = 0,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "streams.assignor.name", .type = KAFKA_SETTING_STRING, .broker_names = "group.streams.assignors"},
    {.name = "streams.heartbeat.interval.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.streams.heartbeat.interval.ms",
     .min = 1,
     .or_else = 1,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "streams.initial.rebalance.delay.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.streams.initial.rebalance.delay.ms",
     .min = 0,
     .or_else = 0,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "streams.num.standby.replicas",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.streams.num.standby.replicas",
     .min = 0,
     .or_else = 0,
     .max = KAFKA_SETTING_UNBOUND},
    {.name = "streams.rack.aware.assignment.tags",
     .type = KAFKA_SETTING_LIST,
     .broker_names = "group.streams.rack.aware.assignment.tags"},
    {.name = "streams.session.timeout.ms",
     .type = KAFKA_SETTING_INT,
     .broker_names = "group.streams.session.timeout.ms",
     .min = 1,
     .or_else = 1,
     .max = KAFKA_SETTING_UNBOUND},
};

const kafka_setting_def_t *config_group_settings(void) { return group_settings; }

const kafka_setting_def_t *config_group_setting(bytes_t name)
{
    return kafka_setting_find(group_settings, CONFIG_GROUP_SETTINGS_COUNT, name);
}

const char *config_group_default(const kafka_t *kafka, const kafka_setting_def_t *def)
{
    if (!def->broker_names) return def->default_value;
    return config_value(kafka->config_store, config_broker_setting(bytes_str(def->broker_names)));
}

/* ---- one value ------------------------------------------------------------------------------------------------------- */

static bool take_unit(const char **at, char unit)
{
    const char *p = *at;
    while (isdigit((unsigned char)*p)) p++;
    if (unit == 'S' && p > *at && *p == '.') p++;
    while (isdigit((unsigned char)*p)) p++;
    if (p == *at || toupper((unsigned char)*p) != unit) return false;
    *at = p + 1;
    return true;
}

/* PnDTnHnMn.nS, of which any may be missing, but not all. */
static bool is_duration(const char *at)
{
    if (toupper((unsigned char)*at) != 'P') return false;
    at++;
    bool any = take_unit(&at, 'D');
    if (toupper((unsigned char)*at) == 'T') {
        at++;
        bool hours = take_unit(&at, 'H'), minutes = take_unit(&at, 'M'), seconds = take_unit(&at, 'S');
        any = hours || minutes || seconds;
    }
    return any && *at == '\0';
}

static bool is_offset_reset(const char *value)
{
    const char *by_duration = "by_duration:";
    if (strcmp(value, "earliest") == 0 || strcmp(value, "latest") == 0) return true;
    return strncmp(value, by_duration, strlen(by_duration)) == 0 && is_duration(value + strlen(by_duration));
}

int config_group_check(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes)
{
    if (kafka_setting_check(def, value, err, err_bytes) != 0) return ERR_INVALID;
    if (strcmp(def->name, OFFSET_RESET) != 0) return 0;
    char *text = kafka_setting_normal(def, value);
    bool fits = is_offset_reset(text);
    if (!fits)
        snprintf(err, err_bytes,
                 "Invalid value %.100s for configuration " OFFSET_RESET
                 ": Invalid value `%.100s` for configuration " OFFSET_RESET
                 ". The value must be either 'earliest', 'latest' or of the format 'by_duration:<PnDTnHnMn.nS>'.",
                 text, text);
    mem_free(text);
    return fits ? 0 : ERR_INVALID;
}

/* ---- all of a group -------------------------------------------------------------------------------------------------- */

/* The broker's limits, and what must be greater; in Kafka's order. */
static const struct {
    const char *name, *least, *most, *above;
} limits[] = {
    {"consumer.heartbeat.interval.ms", "group.consumer.min.heartbeat.interval.ms",
     "group.consumer.max.heartbeat.interval.ms", NULL},
    {"consumer.session.timeout.ms", "group.consumer.min.session.timeout.ms", "group.consumer.max.session.timeout.ms",
     NULL},
    {"share.heartbeat.interval.ms", "group.share.min.heartbeat.interval.ms", "group.share.max.heartbeat.interval.ms",
     NULL},
    {"share.session.timeout.ms", "group.share.min.session.timeout.ms", "group.share.max.session.timeout.ms", NULL},
    {"share.record.lock.duration.ms", "group.share.min.record.lock.duration.ms",
     "group.share.max.record.lock.duration.ms", NULL},
    {"share.delivery.count.limit", "group.share.min.delivery.count.limit", "group.share.max.delivery.count.limit",
     NULL},
    {"share.partition.max.record.locks", "group.share.min.partition.max.record.locks",
     "group.share.max.partition.max.record.locks", NULL},
    {"consumer.assignment.interval.ms", "group.consumer.min.assignment.interval.ms",
     "group.consumer.max.assignment.interval.ms", NULL},
    {"share.assignment.interval.ms", "group.share.min.assignment.interval.ms", "group.share.max.assignment.interval.ms",
     NULL},
    {"streams.assignment.interval.ms", "group.streams.min.assignment.interval.ms",
     "group.streams.max.assignment.interval.ms", NULL},
    {"streams.heartbeat.interval.ms", "group.streams.min.heartbeat.interval.ms",
     "group.streams.max.heartbeat.interval.ms", NULL},
    {"streams.session.timeout.ms", "group.streams.min.session.timeout.ms", "group.streams.max.session.timeout.ms",
     NULL},
    {"streams.num.standby.replicas", NULL, "group.streams.max.standby.replicas", NULL},
    {"consumer.session.timeout.ms", NULL, NULL, "consumer.heartbeat.interval.ms"},
    {"share.session.timeout.ms", NULL, NULL, "share.heartbeat.interval.ms"},
    {"streams.session.timeout.ms", NULL, NULL, "streams.heartbeat.interval.ms"},
};

static int64_t number_of(const kafka_t *kafka, const config_group_t *values, const char *name)
{
    const kafka_setting_def_t *def = config_group_setting(bytes_str(name));
    const char *own = values->own[def - group_settings];
    return strtoll(own ? own : config_group_default(kafka, def), NULL, 10);
}

static int64_t limit_of(const kafka_t *kafka, const char *name)
{
    return strtoll(config_value(kafka->config_store, config_broker_setting(bytes_str(name))), NULL, 10);
}

static const char *out_of_range(const char *name, bool has_least, int64_t least, int64_t most, arena_t *arena)
{
    if (!has_least) return arena_printf(arena, "%s must be less than or equal to %" PRId64, name, most);
    return arena_printf(arena, "%s must be in the range %" PRId64 " to %" PRId64 " inclusive.", name, least, most);
}

const char *config_group_problem(const kafka_t *kafka, const config_group_t *values, arena_t *arena)
{
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        const char *name = limits[i].name;
        int64_t number = number_of(kafka, values, name);
        int64_t least = limits[i].least ? limit_of(kafka, limits[i].least) : INT64_MIN;
        int64_t most = limits[i].most ? limit_of(kafka, limits[i].most) : INT64_MAX;
        if (number < least || number > most) return out_of_range(name, limits[i].least, least, most, arena);
        if (limits[i].above && number <= number_of(kafka, values, limits[i].above))
            return arena_printf(arena, "%s must be greater than %s", name, limits[i].above);
    }
    return NULL;
}

void config_group_set(config_group_t *values, const kafka_setting_def_t *def, bytes_t value, arena_t *arena)
{
    char *normal = kafka_setting_normal(def, value);
    values->own[def - group_settings] = arena_strdup(arena, bytes_str(normal));
    mem_free(normal);
}

/* ---- in the tree ----------------------------------------------------------------------------------------------------- */

static bool is_plain(uint8_t c) { return isalnum(c) || c == '-' || c == '_' || c == '.'; }

const char *config_group_path(bytes_t group, arena_t *arena)
{
    bool dots = bytes_eq(group, BYTES_LIT(".")) || bytes_eq(group, BYTES_LIT("..")); /* no path has them */
    size_t prefix = strlen(ZNODES_GROUP_CONFIGS "/");
    char *path = arena_alloc(arena, prefix + group.len * 3 + 1), *to = path + prefix;
    memcpy(path, ZNODES_GROUP_CONFIGS "/", prefix);
    for (size_t i = 0; i < group.len; i++) {
        if (is_plain(group.ptr[i]) && !dots)
            *to++ = (char)group.ptr[i];
        else
            to += sprintf(to, "%%%02X", group.ptr[i]);
    }
    *to = '\0';
    return path;
}

static int hex_value(char c)
{
    if (isdigit((unsigned char)c)) return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A name that nobody escaped like that stands for itself. */
bytes_t config_group_of(const char *node, arena_t *arena)
{
    uint8_t *group = arena_alloc(arena, strlen(node) + 1);
    size_t len = 0;
    for (const char *at = node; *at; at++) {
        bool escaped = *at == '%' && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0;
        group[len++] = escaped ? (uint8_t)(hex_value(at[1]) << 4 | hex_value(at[2])) : (uint8_t)*at;
        if (escaped) at += 2;
    }
    return bytes_of(group, len);
}

typedef struct reading {
    config_group_t *values;
    arena_t *arena;
} reading_t;

static void each_setting(void *user, const char *name, const char *value)
{
    const reading_t *r = user;
    char err[KAFKA_SETTING_ERROR_BYTES_MAX];
    const kafka_setting_def_t *def = config_group_setting(bytes_str(name));
    if (def && config_group_check(def, bytes_str(value), err, sizeof(err)) == 0)
        config_group_set(r->values, def, bytes_str(value), r->arena);
}

void config_group_read(const kafka_t *kafka, bytes_t group, arena_t *arena, config_group_t *ret_values)
{
    bytes_t data;
    *ret_values = (config_group_t){0};
    if (group.len == 0 || mirror_get(kafka->tree, config_group_path(group, arena), &data, NULL) != ZOK) return;
    if (znode_parse_config(data, each_setting, &(reading_t){ret_values, arena}) != 0) *ret_values = (config_group_t){0};
}
