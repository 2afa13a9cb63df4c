/* config.h: what redis.conf's directives set. One struct, filled from the table in config.c; names, types,
 * bounds and defaults are Redis's, but that Trivet starts with `appendonly yes`. Handlers read the fields
 * directly. */
#ifndef TRIVET_REDIS_CONFIG_H
#define TRIVET_REDIS_CONFIG_H

#include "base/base.h"
#include "base/slog.h"

typedef enum { FSYNC_NO, FSYNC_ALWAYS, FSYNC_EVERYSEC } redis_fsync_t;
typedef enum {
    EVICT_NONE,
    EVICT_ALLKEYS_LRU,
    EVICT_ALLKEYS_LFU,
    EVICT_ALLKEYS_RANDOM,
    EVICT_VOLATILE_LRU,
    EVICT_VOLATILE_LFU,
    EVICT_VOLATILE_RANDOM,
    EVICT_VOLATILE_TTL,
} redis_evict_t;
typedef enum { LOG_DEBUG, LOG_VERBOSE, LOG_NOTICE, LOG_WARNING, LOG_NOTHING } redis_loglevel_t;
typedef enum { REDIS_TLS_CLIENTS_NO, REDIS_TLS_CLIENTS_YES, REDIS_TLS_CLIENTS_OPTIONAL } redis_tls_clients_t;
typedef enum { DEBUG_NO, DEBUG_YES, DEBUG_LOCAL } redis_guard_t;

#define REDIS_MAXMEMORY_SAMPLES_MAX 64

typedef enum { OUT_NORMAL, OUT_REPLICA, OUT_PUBSUB, REDIS_OUT_CLASSES } redis_out_class_t;
/* Unsent bytes; 0 = no limit. Above the soft one for so many seconds is too much as well. */
typedef struct redis_out_limit {
    uint64_t hard_bytes, soft_bytes, soft_s;
} redis_out_limit_t;

/* A snapshot is due when so many changes are this old. */
#define REDIS_SAVE_POINTS_MAX 32
typedef struct redis_save_point {
    uint64_t seconds, changes;
} redis_save_point_t;
#define REDIS_PERCENTILES_MAX 32
typedef struct redis_percentiles {
    double at[REDIS_PERCENTILES_MAX];
    size_t count;
} redis_percentiles_t;

typedef enum { OOM_NO, OOM_RELATIVE, OOM_ABSOLUTE } redis_oom_t;

/* What a signal asks for, as SHUTDOWN's options. */
enum {
    ON_SIGNAL_SAVE = 1,
    ON_SIGNAL_NOSAVE = 2,
    ON_SIGNAL_NOW = 4,
    ON_SIGNAL_FORCE = 8,
    ON_SIGNAL_SAFE = 16,
    ON_SIGNAL_FAILOVER = 32
};

/* A setting without a field of its own (config_kept.c). */
#define REDIS_KEPT_MAX 160
typedef union redis_kept {
    int64_t number;
    char *text;
    int word;
    bool on;
} redis_kept_t;

typedef struct redis_save_points {
    redis_save_point_t at[REDIS_SAVE_POINTS_MAX];
    size_t count;
} redis_save_points_t;

typedef struct redis_config {
    /* encodings */
    uint64_t hash_max_listpack_entries, hash_max_listpack_value;
    uint64_t zset_max_listpack_entries, zset_max_listpack_value;
    uint64_t set_max_listpack_entries, set_max_listpack_value, set_max_intset_entries;
    int64_t list_max_listpack_size; /* > 0 entries a node; -1..-5 = 4, 8, 16, 32, 64 KB a node */
    int64_t list_compress_depth;
    /* No directive sets it: DEBUG QUICKLIST-PACKED-THRESHOLD does; 0 = as list_max_listpack_size says. */
    uint64_t list_plain_bytes_min;
    bool checksums_skipped;        /* of payloads; DEBUG SET-SKIP-CHECKSUM-VALIDATION does */
    uint64_t hll_sparse_max_bytes; /* a longer HyperLogLog becomes dense */
    uint64_t stream_node_max_bytes, stream_node_max_entries;
    /* limits */
    uint64_t proto_max_bulk_len, client_query_buffer_limit, maxclients, timeout_s, tcp_keepalive_s, tcp_backlog,
        max_new_connections_per_cycle, io_threads;
    redis_out_limit_t out_limits[REDIS_OUT_CLASSES];
    /* memory */
    uint64_t maxmemory, maxmemory_samples;
    int64_t maxmemory_clients;           /* below zero: so many percent of maxmemory */
    int64_t maxmemory_eviction_tenacity; /* 0 to 100: how long one call drives keys out */
    uint64_t script_memory_max;          /* of scripts and what they reply; 0 = by the machine's memory */
    redis_evict_t maxmemory_policy;
    int64_t lfu_log_factor, lfu_decay_time, active_expire_effort, hz;
    bool lazyfree_lazy_eviction, lazyfree_lazy_expire, lazyfree_lazy_server_del, lazyfree_lazy_user_del,
        lazyfree_lazy_user_flush, activerehashing, dynamic_hz;
    /* persistence */
    bool appendonly, aof_load_truncated, aof_use_rdb_preamble, aof_timestamp_enabled, no_appendfsync_on_rewrite;
    redis_fsync_t appendfsync;
    uint64_t auto_aof_rewrite_percentage, auto_aof_rewrite_min_size;
    bool rdbcompression, rdbchecksum, stop_writes_on_bgsave_error;
    char *appendfilename, *appenddirname, *dir, *dbfilename;
    redis_save_points_t save;
    uint64_t tracking_table_max_keys; /* 0 = no limit */
    /* the rest */
    bytes_t requirepass; /* empty = none */
    char *bind;
    char *unixsocket, *unixsocketgroup; /* "" = none */
    int64_t unixsocketperm;
    /* TLS; "" = not given */
    int64_t tls_port; /* 0 = none */
    char *tls_cert_file, *tls_key_file, *tls_key_file_pass, *tls_ca_cert_file, *tls_ca_cert_dir, *tls_protocols,
        *tls_ciphers, *tls_ciphersuites, *tls_dh_params_file;
    redis_tls_clients_t tls_auth_clients;
    bool tls_prefer_server_ciphers, tls_session_caching;
    int64_t tls_session_cache_size, tls_session_cache_timeout_s, tls_auto_reload_interval_s;
    uint64_t max_new_tls_connections_per_cycle;
    redis_loglevel_t loglevel;
    int64_t port, databases, slowlog_log_slower_than, slowlog_max_len, busy_reply_threshold_ms,
        latency_monitor_threshold, commandlog_request_larger_than, commandlog_reply_larger_than,
        commandlog_large_request_max_len, commandlog_large_reply_max_len;
    uint32_t notify_events; /* NOTIFY_ bits */
    redis_guard_t enable_debug_command, enable_protected_configs;
    redis_percentiles_t latency_percentiles; /* that INFO latencystats shows */
    bool protected_mode, latency_tracking;
    int rdb_version_relaxed; /* of a file of a later version what is known is read */
    char *availability_zone;
    slog_format_t log_format;
    slog_time_t log_timestamp_format;
    int shutdown_on_sigint, shutdown_on_sigterm; /* ON_SIGNAL_ bits */
    int64_t min_replicas_to_write;
    int64_t rdb_key_save_delay_us, key_load_delay_us; /* of each key, so that tests find what they test under way */
    redis_oom_t oom_score_adj;
    char *oom_score_adj_values;
    redis_kept_t kept[REDIS_KEPT_MAX];
} redis_config_t;

#endif
