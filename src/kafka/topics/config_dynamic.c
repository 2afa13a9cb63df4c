/* config_dynamic.c: see config_dynamic.h. Kafka's brokers hold changes against what they run with: how many threads there
 * are, how much memory a cleaner gets. */
#include "kafka/topics/config_dynamic.h"

#include "kafka/config/config.h"

#include <stdlib.h>

#define CLEANER_THREAD_BYTES_MIN 1048576

typedef const char *(*problem_t)(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena);

static int64_t now_of(const kafka_t *kafka, const char *name)
{
    const char *value = config_value(kafka->config_store, config_broker_setting(bytes_str(name)));
    return value ? strtoll(value, NULL, 10) : 0;
}

static const char *thread_count(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    int64_t now = now_of(kafka, def->name);
    const char *why = NULL;
    if (value == now) return NULL;
    if (value <= 0)
        why = "value should be at least 1";
    else if (value < now / 2)
        why = arena_printf(arena, "value should be at least half the current value %" PRId64, now);
    else if (value > now * 2)
        why = arena_printf(arena, "value should not be greater than double the current value %" PRId64, now);
    if (!why) return NULL;
    return arena_printf(arena,
                        "Invalid value org.apache.kafka.common.config.ConfigException: Dynamic thread count update "
                        "validation failed for %s=%" PRId64 ", %s for configuration Invalid dynamic configuration",
                        def->name, value, why);
}

static const char *not_zero(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    if (value > 0) return NULL;
    return arena_printf(arena,
                        "Invalid value org.apache.kafka.common.config.ConfigException: Invalid %s %" PRId64
                        " for configuration Invalid dynamic configuration",
                        def->name, value);
}

static const char *per_ip(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    if (value > 0) return NULL;
    return "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides "
           "property is set.";
}

static const char *at_least_1(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    return value >= 1 ? NULL
                      : arena_printf(arena, "requirement failed: %s must be greater than or equal to 1", def->name);
}

static const char *at_least_0(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    return value >= 0 ? NULL
                      : arena_printf(arena, "requirement failed: %s must be greater than or equal to 0", def->name);
}

static const char *retention(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    if (value != 0) return NULL;
    return "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1";
}

static const char *cleaner_memory(int64_t bytes, int64_t threads)
{
    if (threads == 0) return "/ by zero";
    if (bytes / threads > CLEANER_THREAD_BYTES_MIN) return NULL;
    return "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.";
}

static const char *cleaner_threads(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    const char *problem = cleaner_memory(now_of(kafka, "log.cleaner.dedupe.buffer.size"), value);
    return problem ? problem : thread_count(kafka, def, value, arena);
}

static const char *cleaner_bytes(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    return cleaner_memory(value, now_of(kafka, "log.cleaner.threads"));
}

/* The original can open another listener while it runs; this broker cannot, and must not pretend to. */
static const char *not_here(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    return arena_printf(arena, "Cannot update these configs dynamically: [%s]", def->name);
}

/* The first of these that is set: ms, minutes, hours. */
static int64_t retention_ms(const kafka_t *kafka)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"log.retention.ms", 1}, {"log.retention.minutes", 60000}, {"log.retention.hours", 3600000}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        const char *value = config_value(kafka->config_store, config_broker_setting(bytes_str(units[i].name)));
        if (value) return strtoll(value, NULL, 10) * units[i].ms;
    }
    return -1;
}

static const char *within(const kafka_setting_def_t *def, int64_t value, const char *most_name, int64_t most,
                          arena_t *arena)
{
    if (most < 0 || value <= most) return NULL;
    return arena_printf(arena,
                        "Invalid value org.apache.kafka.common.config.ConfigException: Invalid value %" PRId64
                        " for configuration %s: Value must not exceed %s (effective value: %" PRId64
                        ") for configuration Invalid dynamic configuration",
                        value, def->name, most_name, most);
}

static const char *copy_lag_ms(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    int64_t most = now_of(kafka, "log.local.retention.ms");
    return within(def, value, "log.local.retention.ms", most == -2 ? retention_ms(kafka) : most, arena);
}

static const char *copy_lag_bytes(const kafka_t *kafka, const kafka_setting_def_t *def, int64_t value, arena_t *arena)
{
    int64_t most = now_of(kafka, "log.local.retention.bytes");
    return within(def, value, "log.local.retention.bytes", most == -2 ? now_of(kafka, "log.retention.bytes") : most,
                  arena);
}

static const struct {
    const char *name;
    problem_t problem;
} checks[] = {
    {"background.threads", thread_count},
    {"listener.security.protocol.map", not_here},
    {"listeners", not_here},
    {"log.cleaner.dedupe.buffer.size", cleaner_bytes},
    {"log.cleaner.threads", cleaner_threads},
    {"log.remote.copy.lag.bytes", copy_lag_bytes},
    {"log.remote.copy.lag.ms", copy_lag_ms},
    {"log.retention.ms", retention},
    {"log.roll.jitter.ms", at_least_0},
    {"log.roll.ms", at_least_1},
    {"max.connection.creation.rate", not_zero},
    {"max.connections", not_zero},
    {"max.connections.per.ip", per_ip},
    {"num.io.threads", thread_count},
    {"num.network.threads", thread_count},
    {"num.recovery.threads.per.data.dir", thread_count},
    {"num.replica.fetchers", thread_count},
    {"remote.log.manager.copier.thread.pool.size", thread_count},
    {"remote.log.manager.expiration.thread.pool.size", thread_count},
    {"remote.log.manager.follower.thread.pool.size", thread_count},
    {"remote.log.reader.threads", thread_count},
};

/* A comma-separated list; "*" is all. */
static const char *cordoned(const kafka_t *kafka, bytes_t list, arena_t *arena)
{
    const char *missing = NULL;
    for (bytes_t rest = list; rest.len > 0;) {
        const uint8_t *comma = memchr(rest.ptr, ',', rest.len);
        bytes_t dir = bytes_of(rest.ptr, comma ? (size_t)(comma - rest.ptr) : rest.len);
        rest = comma ? bytes_of(comma + 1, rest.len - dir.len - 1) : BYTES_NULL;
        if (bytes_eq(dir, BYTES_LIT("*")) || bytes_eq(dir, bytes_str(kafka->data_dir))) continue;
        missing = arena_printf(arena, "%s%s%s", missing ? missing : "", missing ? ", " : "", arena_strdup(arena, dir));
    }
    if (!missing) return NULL;
    return arena_printf(arena,
                        "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. "
                        "Missing entries : %s",
                        missing);
}

const char *config_dynamic_problem(const kafka_t *kafka, const kafka_setting_def_t *def, const config_edit_t *edit,
                                   bool everywhere, arena_t *arena)
{
    bool in_sync = strcmp(def->name, "min.insync.replicas") == 0;
    if (in_sync && !everywhere) return "Broker-level min.insync.replicas cannot be altered while ELR is enabled.";
    if (in_sync && edit->op == CONFIG_DELETE)
        return "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.";
    if (edit->op != CONFIG_SET || !edit->value.ptr) return NULL;
    if (!everywhere && strcmp(def->name, "cordoned.log.dirs") == 0) return cordoned(kafka, edit->value, arena);
    int64_t value = strtoll(arena_strdup(arena, edit->value), NULL, 10);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (strcmp(checks[i].name, def->name) == 0) return checks[i].problem(kafka, def, value, arena);
    }
    return NULL;
}
