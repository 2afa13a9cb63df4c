/* config.c: redis.conf's directives as a table: name, alias, type, bounds, default. */
#include "redis/config/config_table.h"

#include "base/nearest.h"
#include "base/num.h"
#include "redis/redis.h"
#include "redis/state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const directive_word_t fsync_words[] = {
    {"everysec", FSYNC_EVERYSEC}, {"always", FSYNC_ALWAYS}, {"no", FSYNC_NO}, {NULL, 0}};
static const directive_word_t policy_words[] = {{"volatile-lru", EVICT_VOLATILE_LRU},
                                                {"volatile-lfu", EVICT_VOLATILE_LFU},
                                                {"volatile-random", EVICT_VOLATILE_RANDOM},
                                                {"volatile-ttl", EVICT_VOLATILE_TTL},
                                                {"allkeys-lru", EVICT_ALLKEYS_LRU},
                                                {"allkeys-lfu", EVICT_ALLKEYS_LFU},
                                                {"allkeys-random", EVICT_ALLKEYS_RANDOM},
                                                {"noeviction", EVICT_NONE},
                                                {NULL, 0}};
static const directive_word_t guard_words[] = {{"no", DEBUG_NO}, {"yes", DEBUG_YES}, {"local", DEBUG_LOCAL}, {NULL, 0}};

static const directive_word_t loglevel_words[] = {
    {"debug", LOG_DEBUG}, {"verbose", LOG_VERBOSE}, {"notice", LOG_NOTICE}, {"warning", LOG_WARNING}, {NULL, 0}};

#define AT(field) offsetof(redis_config_t, field)
#define BOOL(name, field, initial, flags)                                                                              \
    {                                                                                                                  \
        name, NULL, KIND_BOOL, flags, AT(field), 0, 1, initial, NULL, NULL                                             \
    }
#define INT(name, field, min, max, initial)                                                                            \
    {                                                                                                                  \
        name, NULL, KIND_INT, 0, AT(field), min, max, initial, NULL, NULL                                              \
    }
#define UINT(name, alias, field, min, max, initial)                                                                    \
    {                                                                                                                  \
        name, alias, KIND_UINT, 0, AT(field), min, max, initial, NULL, NULL                                            \
    }
#define MEMORY(name, alias, field, min, initial)                                                                       \
    {                                                                                                                  \
        name, alias, KIND_MEMORY, 0, AT(field), min, INT64_MAX, initial, NULL, NULL                                    \
    }
#define STRING(name, field, initial, flags)                                                                            \
    {                                                                                                                  \
        name, NULL, KIND_STRING, flags, AT(field), 0, 0, initial, NULL, NULL                                           \
    }
#define ENUM(name, field, words, initial, flags)                                                                       \
    {                                                                                                                  \
        name, NULL, KIND_ENUM, flags, AT(field), 0, 0, initial, words, NULL                                            \
    }

/* Only the default fits: another value would be accepted and do nothing. */
#define ONLY(name, kind, flags, field, initial, why)                                                                   \
    {                                                                                                                  \
        name, NULL, kind, (flags) | DIRECTIVE_INITIAL_ONLY, AT(field), 0, INT64_MAX, initial, NULL, why                \
    }
#define FREED_AT_ONCE "memory is freed at once in this version: only \"no\" fits"

const directive_t redis_directives[] = {
    UINT("hash-max-listpack-entries", "hash-max-ziplist-entries", hash_max_listpack_entries, 0, INT64_MAX, "512"),
    MEMORY("hash-max-listpack-value", "hash-max-ziplist-value", hash_max_listpack_value, 0, "64"),
    UINT("zset-max-listpack-entries", "zset-max-ziplist-entries", zset_max_listpack_entries, 0, INT64_MAX, "128"),
    MEMORY("zset-max-listpack-value", "zset-max-ziplist-value", zset_max_listpack_value, 0, "64"),
    UINT("set-max-listpack-entries", NULL, set_max_listpack_entries, 0, INT64_MAX, "128"),
    UINT("set-max-listpack-value", NULL, set_max_listpack_value, 0, INT64_MAX, "64"),
    UINT("set-max-intset-entries", NULL, set_max_intset_entries, 0, INT64_MAX, "512"),
    {"list-max-listpack-size", "list-max-ziplist-size", KIND_INT, 0, AT(list_max_listpack_size), INT_MIN, INT_MAX, "-2",
     NULL, NULL},
    INT("list-compress-depth", list_compress_depth, 0, INT_MAX, "0"),
    MEMORY("proto-max-bulk-len", NULL, proto_max_bulk_len, 1024 * 1024, "536870912"),
    MEMORY("client-query-buffer-limit", NULL, client_query_buffer_limit, 1024 * 1024, "1073741824"),
    {"client-output-buffer-limit", NULL, KIND_OUT_LIMITS, 0, AT(out_limits), 0, 0,
     "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60", NULL, NULL},
    UINT("maxclients", NULL, maxclients, 1, UINT_MAX, "10000"),
    UINT("tracking-table-max-keys", NULL, tracking_table_max_keys, 0, INT64_MAX, "1000000"),
    UINT("timeout", NULL, timeout_s, 0, INT_MAX, "0"),
    UINT("tcp-keepalive", NULL, tcp_keepalive_s, 0, INT_MAX, "300"),
    ONLY("tcp-backlog", KIND_UINT, DIRECTIVE_FIXED, tcp_backlog, "511",
         "the queue of new connections has a fixed length"),
    MEMORY("maxmemory", NULL, maxmemory, 0, "0"),
    UINT("maxmemory-samples", NULL, maxmemory_samples, 1, REDIS_MAXMEMORY_SAMPLES_MAX, "5"),
    INT("maxmemory-eviction-tenacity", maxmemory_eviction_tenacity, 0, 100, "10"),
    ENUM("maxmemory-policy", maxmemory_policy, policy_words, "noeviction", 0),
    INT("lfu-log-factor", lfu_log_factor, 0, INT_MAX, "10"),
    INT("lfu-decay-time", lfu_decay_time, 0, INT_MAX, "1"),
    INT("active-expire-effort", active_expire_effort, 1, 10, "1"),
    INT("hz", hz, 0, INT_MAX, "10"),
    BOOL("dynamic-hz", dynamic_hz, "yes", 0),
    ONLY("activerehashing", KIND_BOOL, 0, activerehashing, "yes", "tables always move on in the background"),
    ONLY("lazyfree-lazy-eviction", KIND_BOOL, 0, lazyfree_lazy_eviction, "no", FREED_AT_ONCE),
    ONLY("lazyfree-lazy-expire", KIND_BOOL, 0, lazyfree_lazy_expire, "no", FREED_AT_ONCE),
    ONLY("lazyfree-lazy-server-del", KIND_BOOL, 0, lazyfree_lazy_server_del, "no", FREED_AT_ONCE),
    ONLY("lazyfree-lazy-user-del", KIND_BOOL, 0, lazyfree_lazy_user_del, "no", FREED_AT_ONCE),
    ONLY("lazyfree-lazy-user-flush", KIND_BOOL, 0, lazyfree_lazy_user_flush, "no", FREED_AT_ONCE),
    BOOL("appendonly", appendonly, "yes", 0),
    BOOL("aof-load-truncated", aof_load_truncated, "yes", 0),
    BOOL("aof-use-rdb-preamble", aof_use_rdb_preamble, "yes", 0),
    ONLY("aof-timestamp-enabled", KIND_BOOL, 0, aof_timestamp_enabled, "no",
         "timestamps are not written to the append-only file in this version: only \"no\" fits"),
    BOOL("no-appendfsync-on-rewrite", no_appendfsync_on_rewrite, "no", 0),
    ENUM("appendfsync", appendfsync, fsync_words, "everysec", 0),
    UINT("auto-aof-rewrite-percentage", NULL, auto_aof_rewrite_percentage, 0, INT_MAX, "100"),
    MEMORY("auto-aof-rewrite-min-size", NULL, auto_aof_rewrite_min_size, 0, "67108864"),
    STRING("appendfilename", appendfilename, "appendonly.aof", DIRECTIVE_FIXED),
    STRING("appenddirname", appenddirname, "appendonlydir", DIRECTIVE_FIXED),
    STRING("dir", dir, "", DIRECTIVE_PROTECTED),
    STRING("dbfilename", dbfilename, "dump.rdb", DIRECTIVE_PROTECTED),
    {"save", NULL, KIND_SAVE_POINTS, 0, AT(save), 0, 0, "", NULL, NULL},
    BOOL("rdbcompression", rdbcompression, "yes", 0),
    BOOL("rdbchecksum", rdbchecksum, "yes", DIRECTIVE_FIXED),
    BOOL("stop-writes-on-bgsave-error", stop_writes_on_bgsave_error, "yes", 0),
    {"requirepass", NULL, KIND_BYTES, DIRECTIVE_SECRET, AT(requirepass), 0, 0, "", NULL, NULL},
    STRING("bind", bind, "127.0.0.1 -::1", 0),
    INT("port", port, 0, 65535, "6379"),
    {"databases", NULL, KIND_INT, DIRECTIVE_FIXED, AT(databases), 1, 1 << 16, "16", NULL, NULL},
    {"logfile", NULL, KIND_STRING, DIRECTIVE_FIXED | DIRECTIVE_EMPTY_ONLY, AT(logfile), 0, 0, "", NULL,
     "the log goes to standard error: only \"\" fits"},
    ENUM("loglevel", loglevel, loglevel_words, "notice", 0),
    MEMORY("hll-sparse-max-bytes", NULL, hll_sparse_max_bytes, 0, "3000"),
    MEMORY("stream-node-max-bytes", NULL, stream_node_max_bytes, 0, "4096"),
    UINT("stream-node-max-entries", NULL, stream_node_max_entries, 0, INT64_MAX, "100"),
    BOOL("protected-mode", protected_mode, "yes", 0),
    MEMORY("script-memory-max", NULL, script_memory_max, 0, "0"),
    {"busy-reply-threshold", "lua-time-limit", KIND_INT, 0, AT(busy_reply_threshold_ms), 0, INT64_MAX, "5000", NULL,
     NULL},
    {"slowlog-log-slower-than", "commandlog-execution-slower-than", KIND_INT, 0, AT(slowlog_log_slower_than), -1,
     INT64_MAX, "10000", NULL, NULL},
    {"slowlog-max-len", "commandlog-slow-execution-max-len", KIND_INT, 0, AT(slowlog_max_len), 0, INT64_MAX, "128",
     NULL, NULL},
    INT("commandlog-request-larger-than", commandlog_request_larger_than, -1, INT64_MAX, "1048576"),
    INT("commandlog-large-request-max-len", commandlog_large_request_max_len, 0, INT64_MAX, "128"),
    INT("commandlog-reply-larger-than", commandlog_reply_larger_than, -1, INT64_MAX, "1048576"),
    INT("commandlog-large-reply-max-len", commandlog_large_reply_max_len, 0, INT64_MAX, "128"),
    INT("latency-monitor-threshold", latency_monitor_threshold, 0, INT64_MAX, "0"),
    BOOL("latency-tracking", latency_tracking, "no", 0),
    {"latency-tracking-info-percentiles", NULL, KIND_PERCENTILES, 0, AT(latency_percentiles), 0, 0, "50 99 99.9", NULL,
     NULL},
    {"notify-keyspace-events", NULL, KIND_EVENTS, 0, AT(notify_events), 0, 0, "", NULL, NULL},
    ENUM("enable-debug-command", enable_debug_command, guard_words, "no", DIRECTIVE_FIXED),
    ENUM("enable-protected-configs", enable_protected_configs, guard_words, "no", DIRECTIVE_FIXED),
};
const size_t redis_directive_count = ARRAY_LEN(redis_directives);

static const directive_t *find_in(const directive_t *rows, size_t count, bytes_t name)
{
    for (size_t i = 0; i < count; i++) {
        const directive_t *d = &rows[i];
        if (bytes_eq_nocase(bytes_str(d->name), name) || (d->alias && bytes_eq_nocase(bytes_str(d->alias), name)))
            return d;
    }
    return NULL;
}

const directive_t *directive_find(bytes_t name)
{
    const directive_t *d = find_in(redis_directives, redis_directive_count, name);
    return d ? d : find_in(redis_absent_directives, redis_absent_directive_count, name);
}

/* ---- values ---------------------------------------------------------------------------------------------------------- */

bytes_t directive_take_word(bytes_t *rest)
{
    while (rest->len && rest->ptr[0] == ' ') *rest = bytes_of(rest->ptr + 1, rest->len - 1);
    const uint8_t *end = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    bytes_t word = bytes_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = bytes_of(rest->ptr + word.len, rest->len - word.len);
    return word;
}

static int refuse(char *why, size_t why_bytes, const char *text)
{
    snprintf(why, why_bytes, "%s", text);
    return ERR_INVALID;
}

static int check_bounds(const directive_t *d, int64_t v, char *why, size_t why_bytes)
{
    if (v >= d->min && v <= d->max) return 0;
    snprintf(why, why_bytes, "argument must be between %" PRId64 " and %" PRId64 " inclusive", d->min, d->max);
    return ERR_INVALID;
}

static int set_enum(int *field, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    for (const directive_word_t *w = d->words; w->name; w++) {
        if (strcasecmp(w->name, value) != 0) continue;
        *field = w->value;
        return 0;
    }
    size_t n = (size_t)snprintf(why, why_bytes, "argument(s) must be one of the following: ");
    for (const directive_word_t *w = d->words; w->name && n < why_bytes; w++)
        n += (size_t)snprintf(why + n, why_bytes - n, "%s%s", w == d->words ? "" : ", ", w->name);
    return ERR_INVALID;
}

static int set_number(void *field, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    int64_t v;
    uint64_t bytes;
    if (d->kind == KIND_MEMORY) {
        if (!num_parse_memory(bytes_str(value), &bytes) || bytes > INT64_MAX)
            return refuse(why, why_bytes, "argument must be a memory value");
        v = (int64_t)bytes;
    } else if (!num_parse_i64(bytes_str(value), &v)) {
        return refuse(why, why_bytes, "argument couldn't be parsed into an integer");
    }
    int err = check_bounds(d, v, why, why_bytes);
    if (!err) memcpy(field, &v, sizeof(v));
    return err;
}

static int set_text(redis_config_t *config, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    void *field = (char *)config + d->offset;
    bool ok = true;
    if (d->flags & DIRECTIVE_INITIAL_ONLY && strcasecmp(value, d->initial) != 0) return refuse(why, why_bytes, d->why);
    switch (d->kind) {
    case KIND_OUT_LIMITS: return out_limits_set(field, value, why, why_bytes);
    case KIND_SAVE_POINTS: return save_points_set(field, value, why, why_bytes);
    case KIND_PERCENTILES: return percentiles_set(field, value, why, why_bytes);
    case KIND_CONSTANT: return absent_set(d, value, why, why_bytes);
    case KIND_BOOL:
        if (strcasecmp(value, "yes") != 0 && strcasecmp(value, "no") != 0)
            return refuse(why, why_bytes, "argument must be 'yes' or 'no'");
        *(bool *)field = strcasecmp(value, "yes") == 0;
        return 0;
    case KIND_ENUM: return set_enum(field, d, value, why, why_bytes);
    case KIND_EVENTS: {
        uint32_t events = notify__parse(value, &ok);
        if (!ok) return refuse(why, why_bytes, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        *(uint32_t *)field = events;
        return 0;
    }
    case KIND_STRING:
        if (d->flags & DIRECTIVE_EMPTY_ONLY && *value && strcmp(value, "\"\"") != 0)
            return refuse(why, why_bytes, d->why);
        mem_free(*(char **)field);
        *(char **)field = mem_strdup(d->flags & DIRECTIVE_EMPTY_ONLY ? "" : value);
        return 0;
    default: return set_number(field, d, value, why, why_bytes);
    }
}

static void replace_bytes(bytes_t *field, bytes_t value)
{
    mem_free((void *)field->ptr);
    *field = bytes_of(mem_strndup(value), value.len);
}

int directive_set(redis_config_t *config, const directive_t *d, bytes_t value, char *why, size_t why_bytes)
{
    if (d->kind == KIND_BYTES) {
        replace_bytes((bytes_t *)((char *)config + d->offset), value);
        return 0;
    }
    if (value.len && memchr(value.ptr, '\0', value.len))
        return refuse(why, why_bytes, "argument must not hold a NUL byte");
    char *text = mem_strndup(value);
    int err = set_text(config, d, text, why, why_bytes);
    mem_free(text);
    return err;
}

void directive_get(const redis_config_t *config, const directive_t *d, buf_t *out)
{
    const void *field = (const char *)config + d->offset;
    char text[64] = "";
    switch (d->kind) {
    case KIND_OUT_LIMITS: out_limits_get(field, out); return;
    case KIND_SAVE_POINTS: save_points_get(field, out); return;
    case KIND_PERCENTILES: percentiles_get(field, out); return;
    case KIND_CONSTANT: buf_printf(out, "%s", d->initial); return;
    case KIND_BOOL: buf_printf(out, "%s", *(const bool *)field ? "yes" : "no"); return;
    case KIND_STRING: buf_printf(out, "%s", *(char *const *)field ? *(char *const *)field : ""); return;
    case KIND_BYTES: buf_append(out, ((const bytes_t *)field)->ptr, ((const bytes_t *)field)->len); return;
    case KIND_EVENTS:
        notify__format(*(const uint32_t *)field, text);
        buf_printf(out, "%s", text);
        return;
    case KIND_ENUM:
        for (const directive_word_t *w = d->words; w->name; w++)
            if (w->value == *(const int *)field) buf_printf(out, "%s", w->name);
        return;
    default: buf_printf(out, "%" PRId64, *(const int64_t *)field); return;
    }
}

/* ---- the whole ------------------------------------------------------------------------------------------------------- */

redis_config_t *redis_config_new(void)
{
    redis_config_t *config = mem_zalloc(sizeof(*config));
    char why[128];
    for (size_t i = 0; i < redis_directive_count; i++) {
        int err = directive_set(config, &redis_directives[i], bytes_str(redis_directives[i].initial), why, sizeof(why));
        ASSERT(!err);
    }
    return config;
}

void redis_config_free(redis_config_t *config)
{
    if (!config) return;
    for (size_t i = 0; i < redis_directive_count; i++) {
        void *field = (char *)config + redis_directives[i].offset;
        if (redis_directives[i].kind == KIND_STRING) mem_free(*(char **)field);
        if (redis_directives[i].kind == KIND_BYTES) mem_free((void *)((bytes_t *)field)->ptr);
    }
    mem_free(config);
}

redis_config_t *config_copy(const redis_config_t *from)
{
    redis_config_t *to = mem_zalloc(sizeof(*to));
    *to = *from;
    for (size_t i = 0; i < redis_directive_count; i++) {
        void *field = (char *)to + redis_directives[i].offset;
        char **text = field;
        bytes_t *bytes = field;
        if (redis_directives[i].kind == KIND_STRING && *text) *text = mem_strdup(*text);
        if (redis_directives[i].kind == KIND_BYTES) bytes->ptr = (const uint8_t *)mem_strndup(*bytes);
    }
    return to;
}

static void say_unknown(const char *name, char *err, size_t err_bytes)
{
    char hint[2 * NEAREST_CHARS_MAX];
    nearest_t nearest = nearest_to(name);
    for (size_t i = 0; i < redis_directive_count; i++) nearest_offer(&nearest, redis_directives[i].name);
    snprintf(err, err_bytes, "unknown directive '%.100s'%s", name, nearest_hint(&nearest, hint, sizeof(hint)));
}

int redis_configure(redis_config_t *config, const char *name, const char *value, char *err, size_t err_bytes)
{
    const directive_t *d = directive_find(bytes_str(name));
    if (!d) {
        say_unknown(name, err, err_bytes);
        return ERR_NOT_FOUND;
    }
    char why[256];
    bool adds = d->kind == KIND_SAVE_POINTS; /* each line of a file is one more */
    int rc = adds ? save_points_add(&config->save, value, why, sizeof(why))
                  : directive_set(config, d, bytes_str(value), why, sizeof(why));
    if (rc) snprintf(err, err_bytes, "%s '%s': %s", name, value, why);
    return rc;
}
