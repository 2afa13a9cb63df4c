/* config_rows.c: the directives that this server honours, a row each: name, alias, type, bounds, default. Those for which the
 * original's server has a use and this one has none are in config_kept.c. */
#include "redis/config/config_table.h"

#include <limits.h>
#include <stdlib.h>

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

static const directive_word_t loglevel_words[] = {{"debug", LOG_DEBUG},     {"verbose", LOG_VERBOSE},
                                                  {"notice", LOG_NOTICE},   {"warning", LOG_WARNING},
                                                  {"nothing", LOG_NOTHING}, {NULL, 0}};

static const directive_word_t oom_words[] = {
    {"no", OOM_NO}, {"yes", OOM_RELATIVE}, {"relative", OOM_RELATIVE}, {"absolute", OOM_ABSOLUTE}, {NULL, 0}};
static const directive_word_t format_words[] = {
    {"legacy", SLOG_LEGACY}, {"logfmt", SLOG_LOGFMT}, {"json", SLOG_JSON}, {NULL, 0}};
static const directive_word_t timestamp_words[] = {
    {"legacy", SLOG_TIME_LEGACY}, {"iso8601", SLOG_TIME_ISO8601}, {"milliseconds", SLOG_TIME_MILLISECONDS}, {NULL, 0}};
static const directive_word_t tls_client_words[] = {
    {"no", REDIS_TLS_CLIENTS_NO}, {"yes", REDIS_TLS_CLIENTS_YES}, {"optional", REDIS_TLS_CLIENTS_OPTIONAL}, {NULL, 0}};
static const directive_word_t version_words[] = {{"strict", 0}, {"relaxed", 1}, {NULL, 0}};
/* The last two concern replicas, of which there are none. */
static const directive_word_t signal_words[] = {{"default", 0},
                                                {"save", ON_SIGNAL_SAVE},
                                                {"nosave", ON_SIGNAL_NOSAVE},
                                                {"now", ON_SIGNAL_NOW},
                                                {"force", ON_SIGNAL_FORCE},
                                                {"safe", ON_SIGNAL_SAFE},
                                                {"failover", ON_SIGNAL_FAILOVER},
                                                {NULL, 0}};

static bool names(const char *value, bytes_t name)
{
    bytes_t rest = bytes_str(value), word;
    while ((word = directive_take_word(&rest)).len)
        if (bytes_eq_nocase(word, name)) return true;
    return false;
}

static const char *check_signal(const char *value)
{
    bool both = names(value, BYTES_LIT("save")) && names(value, BYTES_LIT("nosave"));
    return both ? "shutdown options SAVE and NOSAVE can't be used simultaneously" : NULL;
}

static const char *check_oom_values(const char *value)
{
    int count = 0;
    bool fit = true;
    bytes_t rest = bytes_str(value), word;
    for (; (word = directive_take_word(&rest)).len; count++) {
        char *end;
        long v = strtol((const char *)word.ptr, &end, 10);
        fit &= end == (const char *)word.ptr + word.len && v >= -2000 && v <= 2000;
    }
    if (count != 3) return "wrong number of arguments";
    return fit ? NULL : "Invalid oom-score-adj-values, elements must be between -2000 and 2000.";
}

static const char *check_rdb_name(const char *value)
{
    if (!*value) return "dbfilename can't be empty";
    return strchr(value, '/') ? "dbfilename can't be a path, just a filename" : NULL;
}

static const char *check_aof_name(const char *value)
{
    if (!*value) return "appendfilename can't be empty";
    return strchr(value, '/') ? "appendfilename can't be a path, just a filename" : NULL;
}

static const char *check_aof_dir(const char *value)
{
    if (!*value) return "appenddirname can't be empty";
    return strchr(value, '/') ? "appenddirname can't be a path, just a dirname" : NULL;
}

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
#define CHECKED(name, field, initial, flags, check)                                                                    \
    {                                                                                                                  \
        name, NULL, KIND_STRING, flags, AT(field), 0, 0, initial, NULL, NULL, check                                    \
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
    {"tcp-backlog", NULL, KIND_UINT, DIRECTIVE_FIXED, AT(tcp_backlog), 0, INT_MAX, "511", NULL, NULL},
    UINT("max-new-connections-per-cycle", NULL, max_new_connections_per_cycle, 1, 1000, "10"),
    {"io-threads", NULL, KIND_UINT, DIRECTIVE_FIXED, AT(io_threads), 1, 256, "1", NULL, NULL},
    STRING("unixsocket", unixsocket, "", DIRECTIVE_FIXED),
    STRING("unixsocketgroup", unixsocketgroup, "", DIRECTIVE_FIXED),
    {"unixsocketperm", NULL, KIND_OCTAL, DIRECTIVE_FIXED, AT(unixsocketperm), 0, 0777, "0", NULL, NULL},
    MEMORY("maxmemory", NULL, maxmemory, 0, "0"),
    {"maxmemory-clients", NULL, KIND_MEMORY_OR_PERCENT, 0, AT(maxmemory_clients), -100, INT64_MAX, "0", NULL, NULL},
    UINT("maxmemory-samples", NULL, maxmemory_samples, 1, REDIS_MAXMEMORY_SAMPLES_MAX, "5"),
    INT("maxmemory-eviction-tenacity", maxmemory_eviction_tenacity, 0, 100, "10"),
    ENUM("maxmemory-policy", maxmemory_policy, policy_words, "noeviction", 0),
    INT("lfu-log-factor", lfu_log_factor, 0, INT_MAX, "10"),
    INT("lfu-decay-time", lfu_decay_time, 0, INT_MAX, "1"),
    INT("active-expire-effort", active_expire_effort, 1, 10, "1"),
    INT("hz", hz, 0, INT_MAX, "10"),
    BOOL("dynamic-hz", dynamic_hz, "yes", 0),
    ONLY("activerehashing", KIND_BOOL, 0, activerehashing, "yes", "tables always move on in the background"),
    BOOL("lazyfree-lazy-eviction", lazyfree_lazy_eviction, "yes", 0),
    BOOL("lazyfree-lazy-expire", lazyfree_lazy_expire, "yes", 0),
    BOOL("lazyfree-lazy-server-del", lazyfree_lazy_server_del, "yes", 0),
    BOOL("lazyfree-lazy-user-del", lazyfree_lazy_user_del, "yes", 0),
    BOOL("lazyfree-lazy-user-flush", lazyfree_lazy_user_flush, "yes", 0),
    BOOL("appendonly", appendonly, "yes", 0),
    BOOL("aof-load-truncated", aof_load_truncated, "yes", 0),
    BOOL("aof-use-rdb-preamble", aof_use_rdb_preamble, "yes", 0),
    ONLY("aof-timestamp-enabled", KIND_BOOL, 0, aof_timestamp_enabled, "no",
         "timestamps are not written to the append-only file in this version"),
    BOOL("no-appendfsync-on-rewrite", no_appendfsync_on_rewrite, "no", 0),
    ENUM("appendfsync", appendfsync, fsync_words, "everysec", 0),
    UINT("auto-aof-rewrite-percentage", NULL, auto_aof_rewrite_percentage, 0, INT_MAX, "100"),
    MEMORY("auto-aof-rewrite-min-size", NULL, auto_aof_rewrite_min_size, 0, "67108864"),
    CHECKED("appendfilename", appendfilename, "appendonly.aof", DIRECTIVE_FIXED, check_aof_name),
    CHECKED("appenddirname", appenddirname, "appendonlydir", DIRECTIVE_FIXED, check_aof_dir),
    STRING("dir", dir, "", DIRECTIVE_PROTECTED),
    CHECKED("dbfilename", dbfilename, "dump.rdb", DIRECTIVE_PROTECTED, check_rdb_name),
    {"save", NULL, KIND_SAVE_POINTS, 0, AT(save), 0, 0, "", NULL, NULL},
    BOOL("rdbcompression", rdbcompression, "yes", 0),
    BOOL("rdbchecksum", rdbchecksum, "yes", DIRECTIVE_FIXED),
    BOOL("stop-writes-on-bgsave-error", stop_writes_on_bgsave_error, "yes", 0),
    {"requirepass", NULL, KIND_BYTES, DIRECTIVE_SECRET, AT(requirepass), 0, 0, "", NULL, NULL},
    STRING("bind", bind, "127.0.0.1 -::1", 0),
    INT("port", port, 0, 65535, "6379"),
    INT("tls-port", tls_port, 0, 65535, "0"),
    STRING("tls-cert-file", tls_cert_file, "", 0),
    STRING("tls-key-file", tls_key_file, "", 0),
    STRING("tls-key-file-pass", tls_key_file_pass, "", DIRECTIVE_SECRET),
    STRING("tls-ca-cert-file", tls_ca_cert_file, "", 0),
    STRING("tls-ca-cert-dir", tls_ca_cert_dir, "", 0),
    STRING("tls-protocols", tls_protocols, "", 0),
    STRING("tls-ciphers", tls_ciphers, "", 0),
    STRING("tls-ciphersuites", tls_ciphersuites, "", 0),
    STRING("tls-dh-params-file", tls_dh_params_file, "", 0),
    ENUM("tls-auth-clients", tls_auth_clients, tls_client_words, "yes", 0),
    BOOL("tls-prefer-server-ciphers", tls_prefer_server_ciphers, "no", 0),
    BOOL("tls-session-caching", tls_session_caching, "yes", 0),
    INT("tls-session-cache-size", tls_session_cache_size, 0, INT_MAX, "20480"),
    INT("tls-session-cache-timeout", tls_session_cache_timeout_s, 0, INT_MAX, "300"),
    INT("tls-auto-reload-interval", tls_auto_reload_interval_s, 0, INT_MAX, "0"),
    UINT("max-new-tls-connections-per-cycle", NULL, max_new_tls_connections_per_cycle, 1, 1000, "1"),
    {"databases", NULL, KIND_INT, DIRECTIVE_FIXED, AT(databases), 1, 1 << 16, "16", NULL, NULL},
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
    STRING("availability-zone", availability_zone, "", 0),
    ENUM("log-format", log_format, format_words, "legacy", 0),
    ENUM("log-timestamp-format", log_timestamp_format, timestamp_words, "legacy", 0),
    ENUM("oom-score-adj", oom_score_adj, oom_words, "no", 0),
    CHECKED("oom-score-adj-values", oom_score_adj_values, "0 200 800", 0, check_oom_values),
    {"rdb-key-save-delay", NULL, KIND_INT, DIRECTIVE_HIDDEN, AT(rdb_key_save_delay_us), INT_MIN, INT_MAX, "0", NULL,
     NULL},
    {"key-load-delay", NULL, KIND_INT, DIRECTIVE_HIDDEN, AT(key_load_delay_us), INT_MIN, INT_MAX, "0", NULL, NULL},
    ENUM("rdb-version-check", rdb_version_relaxed, version_words, "strict", 0),
    {"shutdown-on-sigint", NULL, KIND_FLAGS, 0, AT(shutdown_on_sigint), 0, 0, "default", signal_words, NULL,
     check_signal},
    {"shutdown-on-sigterm", NULL, KIND_FLAGS, 0, AT(shutdown_on_sigterm), 0, 0, "default", signal_words, NULL,
     check_signal},
    {"min-replicas-to-write", "min-slaves-to-write", KIND_INT, 0, AT(min_replicas_to_write), 0, INT_MAX, "0", NULL,
     NULL},
    ENUM("enable-debug-command", enable_debug_command, guard_words, "no", DIRECTIVE_FIXED),
    ENUM("enable-protected-configs", enable_protected_configs, guard_words, "no", DIRECTIVE_FIXED),
};
const size_t redis_directive_count = ARRAY_LEN(redis_directives);
