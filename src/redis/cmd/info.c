/* info.c: INFO and its sections. */
#include "redis/cmd/memory.h"
#include "redis/conn/tracking.h"
#include "redis/exec/migration.h"
#include "redis/exec/scripts.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis/persist/snapshot.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- sections -------------------------------------------------------------------------------------------------------- */

static void human(char out[32], uint64_t bytes)
{
    static const char units[] = "BKMGTP";
    double v = (double)bytes;
    int u = 0;
    while (v >= 1024 && u < 5) {
        v /= 1024;
        u++;
    }
    snprintf(out, 32, u ? "%.2f%c" : "%.0f%c", v, units[u]);
}

static void put_listener(const redis_listeners_t *listeners, const char *name, int *number, buf_t *b)
{
    if (!listeners->count) return;
    buf_printf(b, "listener%d:name=%s", (*number)++, name);
    for (int i = 0; i < listeners->count; i++) buf_printf(b, ",bind=%s", listeners->at[i].host);
    buf_printf(b, ",port=%d\r\n", listeners->port);
}

static void put_listeners(const redis_t *redis, buf_t *b)
{
    int number = 0;
    put_listener(&redis->clients.listeners, "tcp", &number, b);
    if (redis->clients.path_listener)
        buf_printf(b, "listener%d:name=unix,bind=%s\r\n", number++, redis->config->unixsocket);
    put_listener(&redis->clients.tls_listeners, "tls", &number, b);
}

static void section_server(redis_t *redis, buf_t *b)
{
    int64_t up = (redis->keyspace.now_ms - redis->started_ms) / 1000;
    buf_printf(b,
               "redis_version:" REDIS_VERSION "\r\nredis_git_sha1:00000000\r\nredis_git_dirty:0\r\n"
               "redis_build_id:0\r\nserver_name:trivet\r\ntrivet_version:" TRIVET_VERSION "\r\n"
               "redis_mode:standalone\r\nserver_mode:standalone\r\nos:Linux\r\narch_bits:%d\r\n"
               "monotonic_clock:POSIX clock_gettime\r\nmultiplexing_api:epoll\r\ngcc_version:%d.%d.%d\r\n"
               "process_id:%d\r\nprocess_supervised:%s\r\nrun_id:%s\r\ntcp_port:%d\r\n",
               (int)sizeof(void *) * 8, __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__, (int)getpid(),
               redis->supervisor ? redis->supervisor : "no", redis->run_id,
               redis->clients.listeners.port ? redis->clients.listeners.port : redis->clients.tls_listeners.port);
    buf_printf(b,
               "server_time_usec:%" PRId64 "\r\nuptime_in_seconds:%" PRId64 "\r\nuptime_in_days:%" PRId64
               "\r\nhz:%" PRIu32 "\r\nclients_hz:%" PRIu32 "\r\nconfigured_hz:%" PRId64 "\r\nlru_clock:%" PRIu32
               "\r\nexecutable:%s\r\nconfig_file:%s\r\nio_threads_active:0\r\navailability_zone:%s\r\n",
               io_wall_us(redis->loop), up, up / 86400, redis->hz, redis->hz, redis->config->hz,
               redis->keyspace.lru_clock, redis->executable ? redis->executable : "",
               redis->config_file ? redis->config_file : "", redis->config->availability_zone);
    put_listeners(redis, b);
}

static void put_buffers_and_pause(const redis_t *redis, buf_t *b)
{
    size_t in_max, out_max;
    client_memory__peaks(&redis->clients, &in_max, &out_max);
    bool paused = redis->pause_until_ms != 0;
    const char *actions = redis->pause_all ? "all" : "write";
    buf_printf(b,
               "client_recent_max_input_buffer:%zu\r\nclient_recent_max_output_buffer:%zu\r\npaused_reason:%s\r\n"
               "paused_actions:%s\r\npaused_timeout_milliseconds:%" PRId64 "\r\n",
               in_max, out_max, paused ? "client_pause" : "none", paused ? actions : "none",
               paused ? MAX(redis->pause_until_ms - redis->keyspace.now_ms, (int64_t)0) : 0);
}

static void section_clients(redis_t *redis, buf_t *b)
{
    size_t watched = 0, waited_for = 0, until_gone = 0;
    for (int i = 0; i < redis->keyspace.db_count; i++) {
        watched += redis->keyspace.dbs[i].watched.count;
        waited_for += redis->keyspace.dbs[i].blocked.count;
        until_gone += blocking__count_watched_ends(&redis->keyspace.dbs[i]);
    }
    buf_printf(b,
               "connected_clients:%" PRIu64 "\r\ncluster_connections:0\r\nmaxclients:%" PRIu64
               "\r\nblocked_clients:%" PRIu64 "\r\ntracking_clients:%" PRIu64 "\r\npubsub_clients:%" PRIu64
               "\r\nclients_in_timeout_table:%zu\r\nwatching_clients:%" PRIu64
               "\r\ntotal_watched_keys:%zu\r\ntotal_blocking_keys:%zu"
               "\r\ntotal_blocking_keys_on_nokey:%zu\r\n",
               redis->clients.count, redis->config->maxclients, redis->blocking.clients + redis->clients.paused,
               tracking__info(&redis->clients).clients, redis->clients.pubsub.clients, blocking__count_timeouts(redis),
               redis->multi.watching, watched, waited_for, until_gone);
    put_buffers_and_pause(redis, b);
}

static const char *policy_name(redis_evict_t p)
{
    static const char *const names[] = {"noeviction",   "allkeys-lru",  "allkeys-lfu",     "allkeys-random",
                                        "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"};
    return names[p];
}

static void put_script_memory(redis_t *redis, buf_t *b)
{
    char vm_h[32], cache_h[32];
    scripts_info_t s = scripts__info(redis);
    human(vm_h, s.vm_bytes);
    human(cache_h, s.cache_bytes);
    buf_printf(b,
               "used_memory_vm_eval:%zu\r\nused_memory_lua:%zu\r\nused_memory_lua_human:%s\r\n"
               "used_memory_scripts_eval:%zu\r\nnumber_of_cached_scripts:%zu\r\nnumber_of_functions:%zu\r\n"
               "number_of_libraries:%zu\r\nused_memory_vm_functions:0\r\nused_memory_vm_total:%zu\r\n"
               "used_memory_vm_total_human:%s\r\nused_memory_functions:0\r\nused_memory_scripts:%zu\r\n"
               "used_memory_scripts_human:%s\r\n",
               s.vm_bytes, s.vm_bytes, vm_h, s.cache_bytes, s.count, s.functions, s.libraries, s.vm_bytes, vm_h,
               s.cache_bytes, cache_h);
}

static double share(size_t a, size_t b) { return b ? (double)a / (double)b : 0; }

static void put_allocator(const memory_figures_t *f, buf_t *b)
{
    const mem_totals_t *a = &f->allocator;
    buf_printf(b,
               "allocator_active:%zu\r\nallocator_resident:%zu\r\nallocator_frag_ratio:%.2f\r\n"
               "allocator_frag_bytes:%zd\r\nallocator_rss_ratio:%.2f\r\nallocator_rss_bytes:%zd\r\n"
               "rss_overhead_ratio:%.2f\r\nrss_overhead_bytes:%zd\r\nused_memory_overhead:%zu\r\n"
               "mem_clients_normal:%zu\r\n",
               a->active_bytes, a->resident_bytes, share(a->active_bytes, a->used_bytes),
               (ssize_t)(a->active_bytes - a->used_bytes), share(a->resident_bytes, a->active_bytes),
               (ssize_t)(a->resident_bytes - a->active_bytes), share(f->resident_bytes, a->resident_bytes),
               (ssize_t)(f->resident_bytes - a->resident_bytes), memory__overhead_bytes(f), f->clients_bytes);
}

static void put_system_memory(buf_t *b)
{
    char text[32];
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    human(text, bytes);
    buf_printf(b, "total_system_memory:%" PRIu64 "\r\ntotal_system_memory_human:%s\r\n", bytes, text);
}

/* What is true of a server without replicas, in the words that monitors look for. */
static void put_replication_memory(buf_t *b)
{
    buf_printf(b, "mem_replication_backlog:0\r\nmem_total_replication_buffers:0\r\nmem_replicas_repl_buffer:0\r\n"
                  "mem_clients_slaves:0\r\nmem_cluster_links:0\r\n");
}

static void put_rehashing(const redis_t *redis, buf_t *b)
{
    size_t bytes = 0;
    for (int i = 0; i < redis->keyspace.db_count; i++)
        bytes += table_moving_bytes(&redis->keyspace.dbs[i].keys) + table_moving_bytes(&redis->keyspace.dbs[i].expires);
    buf_printf(b, "mem_overhead_db_hashtable_rehashing:%zu\r\n", bytes);
}

static void section_memory(redis_t *redis, buf_t *b)
{
    char used_h[32], peak_h[32], rss_h[32], max_h[32];
    memory_figures_t f = memory__measure(redis);
    size_t used = f.allocator.used_bytes, rss = f.resident_bytes, startup = f.startup_bytes;
    size_t overhead = memory__overhead_bytes(&f), data = used - MIN(overhead, used), grown = used - MIN(startup, used);
    human(used_h, used);
    human(peak_h, redis->keyspace.evict.peak_bytes);
    human(rss_h, rss);
    human(max_h, redis->config->maxmemory);
    size_t huge_bytes;
    bool huge = mem_huge_advised(&huge_bytes);
    buf_printf(b,
               "used_memory:%zu\r\nused_memory_human:%s\r\nused_memory_rss:%zu\r\nused_memory_rss_human:%s\r\n"
               "used_memory_peak:%zu\r\nused_memory_peak_human:%s\r\nused_memory_peak_perc:%.2f%%\r\n"
               "used_memory_startup:%zu\r\nused_memory_dataset:%zu\r\nused_memory_dataset_perc:%.2f%%\r\n"
               "allocator_allocated:%zu\r\n",
               used, used_h, rss, rss_h, redis->keyspace.evict.peak_bytes, peak_h,
               redis->keyspace.evict.peak_bytes ? 100.0 * (double)used / (double)redis->keyspace.evict.peak_bytes : 0.0,
               startup, data, grown ? 100.0 * (double)data / (double)grown : 0.0, used);
    put_allocator(&f, b);
    buf_printf(b,
               "maxmemory:%" PRIu64 "\r\nmaxmemory_human:%s\r\nmaxmemory_policy:%s\r\n"
               "maxmemory_derived:%" PRIu64 "\r\n"
               "mem_fragmentation_ratio:%.2f\r\nmem_fragmentation_bytes:%zd\r\nmem_not_counted_for_evict:%zu\r\n"
               "mem_aof_buffer:%" PRIu64 "\r\nmem_huge_pages:%s\r\nmem_huge_pages_advised:%zu"
               "\r\nmem_allocator:jemalloc\r\nactive_defrag_running:0\r\nlazyfree_pending_objects:%" PRIu64
               "\r\nlazyfreed_objects:%" PRIu64 "\r\n",
               redis->config->maxmemory, max_h, policy_name(redis->config->maxmemory_policy),
               redis->keyspace.evict.derived_limit_bytes, used ? (double)rss / (double)used : 0.0,
               (ssize_t)rss - (ssize_t)used, evict__uncounted_bytes(&redis->keyspace),
               aof__info(&redis->persist).buffer_bytes, huge ? "advised" : "none", huge_bytes,
               redis->keyspace.lazy.pending, redis->keyspace.lazy.freed);
    put_rehashing(redis, b);
    put_replication_memory(b);
    put_system_memory(b);
    put_script_memory(redis, b);
}

static void section_persistence(redis_t *redis, buf_t *b)
{
    aof_info_t a = aof__info(&redis->persist);
    snapshot_info_t s = snapshot__info(&redis->persist);
    buf_printf(b,
               "loading:%d\r\nasync_loading:0\r\nrdb_changes_since_last_save:%" PRIu64
               "\r\nrdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%" PRId64
               "\r\nrdb_last_bgsave_status:%s\r\nrdb_last_bgsave_time_sec:%" PRId64
               "\r\nrdb_current_bgsave_time_sec:%" PRId64 "\r\nrdb_saves:%" PRIu64
               "\r\nrdb_last_load_keys_expired:%" PRIu64 "\r\nrdb_last_load_keys_loaded:%" PRIu64
               "\r\naof_enabled:%d\r\n"
               "aof_rewrite_in_progress:%d\r\naof_rewrite_scheduled:%d\r\naof_last_rewrite_time_sec:%" PRId64
               "\r\naof_current_rewrite_time_sec:%" PRId64 "\r\naof_last_bgrewrite_status:%s\r\naof_rewrites:%" PRIu64
               "\r\naof_last_write_status:%s\r\n",
               redis->keyspace.loading, s.changes, s.active, s.last_save_s, s.last_ok ? "ok" : "err", s.last_seconds,
               s.current_seconds, s.saves, s.loaded_expired, s.loaded_keys, a.enabled, a.rewriting, a.scheduled,
               a.last_rewrite_s, a.current_rewrite_s, a.last_rewrite_ok ? "ok" : "err", a.rewrites,
               a.last_write_ok ? "ok" : "err");
    if (!a.enabled) return;
    buf_printf(b,
               "aof_current_size:%" PRIu64 "\r\naof_base_size:%" PRIu64 "\r\naof_pending_rewrite:%d\r\n"
               "aof_buffer_length:%" PRIu64 "\r\naof_pending_bio_fsync:%d\r\naof_delayed_fsync:%" PRIu64 "\r\n",
               a.current_bytes, a.base_bytes, a.scheduled, a.buffer_bytes, a.sync_pending, a.delayed_syncs);
}

static uint64_t average(const uint64_t *samples, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += samples[i];
    return sum / count;
}

/* All of the reactor's turns; of commands alone what they took is known by their statistics. */
static void put_turns(const redis_t *redis, buf_t *b)
{
    io_turn_counts_t counts = io_turn_counts(redis->loop);
    uint64_t turns = 0, command_us = 0;
    for (size_t i = 0; i < ARRAY_LEN(counts.buckets); i++) turns += counts.buckets[i];
    for (size_t i = 0; i < redis_command_id_count; i++) command_us += redis->command_stats[i].usec;
    buf_printf(b,
               "eventloop_cycles:%" PRIu64 "\r\neventloop_duration_sum:%" PRIu64
               "\r\neventloop_duration_cmd_sum:%" PRIu64 "\r\n",
               turns, counts.sum_ns / 1000, command_us);
    enum { SAMPLES = ARRAY_LEN(redis->turn_samples) };
    buf_printf(b,
               "instantaneous_eventloop_cycles_per_sec:%" PRIu64 "\r\ninstantaneous_eventloop_duration_usec:%" PRIu64
               "\r\n",
               average(redis->turn_samples, SAMPLES), average(redis->turn_us_samples, SAMPLES));
}

/* Time above maxmemory, as the calls see it that drive keys out; and what the rest of the keyspace counts. */
static void put_keyspace_times(const redis_t *redis, buf_t *b)
{
    const keyspace_t *k = &redis->keyspace;
    uint64_t since_ns = k->evict.over_since_ns, now_ns = io_hrtime_ns(redis->loop);
    uint64_t current_ms = since_ns ? (now_ns - since_ns) / 1000000 : 0;
    buf_printf(b,
               "expire_cycle_cpu_milliseconds:%" PRIu64 "\r\ntotal_eviction_exceeded_time:%" PRIu64
               "\r\ncurrent_eviction_exceeded_time:%" PRIu64 "\r\ndump_payload_sanitizations:%" PRIu64 "\r\n",
               k->stats.expire_us / 1000, k->stats.over_ns / 1000000 + current_ms, current_ms,
               k->stats.checked_payloads);
}

static void section_stats(redis_t *redis, buf_t *b)
{
    enum { SAMPLES = ARRAY_LEN(redis->ops_samples) };
    const redis_stats_counters_t *s = &redis->clients.stats;
    tracking_info_t tracking = tracking__info(&redis->clients);
    net_stats_t net = net_service_stats(redis->net, input__service());
    buf_printf(b,
               "total_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64
               "\r\ninstantaneous_ops_per_sec:%" PRIu64 "\r\ntotal_net_input_bytes:%" PRIu64
               "\r\ntotal_net_output_bytes:%" PRIu64 "\r\ninstantaneous_input_kbps:%.2f\r\n"
               "instantaneous_output_kbps:%.2f\r\nrejected_connections:%" PRIu64
               "\r\nsync_full:0\r\nsync_partial_ok:0\r\nsync_partial_err:0\r\n",
               s->connections, s->commands, average(redis->ops_samples, SAMPLES), net.in_bytes, net.out_bytes,
               (double)average(redis->in_samples, SAMPLES) / 1024, (double)average(redis->out_samples, SAMPLES) / 1024,
               s->rejected_connections);
    buf_printf(
        b,
        "expired_keys:%" PRIu64 "\r\nexpired_fields:%" PRIu64 "\r\nexpired_stale_perc:%.2f\r\n"
        "expired_keys_with_volatile_items_stale_perc:%.2f\r\nexpired_time_cap_reached_count:%" PRIu64
        "\r\nevicted_keys:%" PRIu64 "\r\nevicted_clients:%" PRIu64 "\r\nkeyspace_hits:%" PRIu64
        "\r\nkeyspace_misses:%" PRIu64 "\r\npubsub_channels:%zu\r\npubsub_patterns:%zu\r\npubsubshard_channels:%zu\r\n"
        "evicted_scripts:%" PRIu64
        "\r\nlatest_fork_usec:0\r\ntotal_forks:0\r\nmigrate_cached_sockets:%zu\r\ntotal_error_replies:%" PRIu64
        "\r\nunexpected_error_replies:%" PRIu64 "\r\nclient_query_buffer_limit_disconnections:%" PRIu64
        "\r\nclient_output_buffer_limit_disconnections:%" PRIu64 "\r\ntracking_total_keys:%" PRIu64
        "\r\ntracking_total_items:%" PRIu64 "\r\ntracking_total_prefixes:%" PRIu64 "\r\n",
        redis->keyspace.stats.expired_keys, redis->keyspace.stats.expired_fields,
        redis->keyspace.stats.expired_stale_percent, redis->keyspace.stats.hashes_stale_percent,
        redis->keyspace.stats.expired_time_capped, redis->keyspace.stats.evicted_keys, s->evicted_clients,
        redis->keyspace.stats.hits, redis->keyspace.stats.misses, redis->clients.pubsub.channels.count,
        redis->clients.pubsub.patterns.count, redis->clients.pubsub.shard_channels.count, scripts__info(redis).evicted,
        migration__links(redis->migrations), s->error_replies, s->unexpected_errors, s->query_limit_disconnections,
        s->out_limit_disconnections, tracking.keys, tracking.items, tracking.prefixes);
    put_keyspace_times(redis, b);
    put_turns(redis, b);
}

static void section_replication(redis_t *redis, buf_t *b)
{
    buf_printf(b,
               "role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\nmaster_replid:%s\r\n"
               "master_replid2:0000000000000000000000000000000000000000\r\nmaster_repl_offset:0\r\nsecond_repl_"
               "offset:-1\r\n"
               "repl_backlog_active:0\r\nrepl_backlog_size:0\r\nrepl_backlog_first_byte_offset:0\r\n"
               "repl_backlog_histlen:0\r\n",
               redis->run_id);
}

static double seconds(struct timeval t) { return (double)t.tv_sec + (double)t.tv_usec / 1e6; }

/* Of the reactor that runs commands: this thread. */
static void put_thread(const redis_t *redis, buf_t *b)
{
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage)) return;
    buf_printf(b,
               "used_cpu_sys_main_thread:%.6f\r\nused_cpu_user_main_thread:%.6f\r\n"
               "used_active_time_main_thread:%.6f\r\n",
               seconds(usage.ru_stime), seconds(usage.ru_utime), (double)io_turn_counts(redis->loop).sum_ns / 1e9);
}

static void section_cpu(redis_t *redis, buf_t *b)
{
    double ticks = (double)sysconf(_SC_CLK_TCK);
    unsigned long user = 0, sys = 0;
    FILE *f = fopen("/proc/self/stat", "r");
    if (f) {
        if (fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2) user = sys = 0;
        fclose(f);
    }
    buf_printf(b,
               "used_cpu_sys:%.6f\r\nused_cpu_user:%.6f\r\nused_cpu_sys_children:0.000000\r\n"
               "used_cpu_user_children:0.000000\r\n",
               (double)sys / ticks, (double)user / ticks);
    put_thread(redis, b);
}

static void put_command_stats(redis_t *redis, const redis_command_t *cmd, buf_t *b)
{
    const command_stats_t *s = &redis->command_stats[cmd->id];
    if (s->calls || s->rejected)
        buf_printf(b,
                   "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                   ",failed_calls=%" PRIu64 "\r\n",
                   cmd->full_name, s->calls, s->usec, s->calls ? (double)s->usec / (double)s->calls : 0.0, s->rejected,
                   s->failed);
    for (unsigned i = 0; i < cmd->subcommand_count; i++) put_command_stats(redis, &cmd->subcommands[i], b);
}

static void put_percentiles(redis_t *redis, const redis_command_t *cmd, buf_t *b)
{
    const histogram_t *h = redis->command_stats[cmd->id].durations;
    const redis_percentiles_t *wanted = &redis->config->latency_percentiles;
    char name[DOUBLE_CHARS_MAX];
    if (h) buf_printf(b, "latency_percentiles_usec_%s:", cmd->full_name);
    for (size_t i = 0; h && i < wanted->count; i++)
        buf_printf(b, "%sp%.*s=%.3f", i ? "," : "", (int)format_double(name, wanted->at[i]), name,
                   (double)histogram_percentile(h, wanted->at[i]) / 1000);
    if (h) buf_printf(b, "\r\n");
    for (unsigned i = 0; i < cmd->subcommand_count; i++) put_percentiles(redis, &cmd->subcommands[i], b);
}

static void each_command(redis_t *redis, void (*put)(redis_t *redis, const redis_command_t *cmd, buf_t *b), buf_t *b)
{
    size_t cursor = 0;
    map_entry_t *m;
    for (unsigned i = 0; i < redis_command_count; i++) put(redis, &redis_commands[i], b);
    while ((m = map_next(&redis->extra_commands, &cursor))) put(redis, m->value, b);
}

static void section_commandstats(redis_t *redis, buf_t *b) { each_command(redis, put_command_stats, b); }
static void section_latencystats(redis_t *redis, buf_t *b) { each_command(redis, put_percentiles, b); }

static void section_errorstats(redis_t *redis, buf_t *b)
{
    size_t cursor = 0;
    map_entry_t *m;
    while ((m = map_next(&redis->error_stats, &cursor)))
        buf_printf(b, "errorstat_%.*s:count=%" PRIu64 "\r\n", (int)m->key.len, (const char *)m->key.ptr,
                   *(uint64_t *)m->value);
}

static void section_cluster(redis_t *redis, buf_t *b) { buf_printf(b, "cluster_enabled:0\r\n"); }
/* Of what tls-port presents; there is no such section without one. */
static void section_tls(redis_t *redis, buf_t *b)
{
    tls_facts_t facts = tls_context_facts(redis->clients.secure.context);
    int64_t now_s = redis->keyspace.now_ms / 1000;
    buf_printf(b, "tls_server_cert_serial:%s\r\ntls_server_cert_expires_in_seconds:%" PRId64 "\r\n", facts.serial,
               facts.ends_s - now_s);
    if (!facts.ca_serial[0]) return;
    buf_printf(b, "tls_ca_cert_serial:%s\r\ntls_ca_cert_expires_in_seconds:%" PRId64 "\r\n", facts.ca_serial,
               facts.ca_ends_s - now_s);
}

static void section_modules(redis_t *redis, buf_t *b) {}

static void section_engines(redis_t *redis, buf_t *b)
{
    scripts_info_t s = scripts__info(redis);
    buf_printf(b,
               "engines_count:1\r\nengines_total_used_memory:%zu\r\nengines_total_memory_overhead:%zu\r\n"
               "engine_0:name=LUA,module=built-in,abi_version=4,used_memory=%zu,memory_overhead=%zu\r\n",
               s.vm_bytes, s.cache_bytes, s.vm_bytes, s.cache_bytes);
}

static void section_keyspace(redis_t *redis, buf_t *b)
{
    for (int i = 0; i < redis->keyspace.db_count; i++) {
        const redis_db_t *db = &redis->keyspace.dbs[i];
        if (table_count(&db->keys) == 0) continue;
        buf_printf(b, "db%d:keys=%zu,expires=%zu,avg_ttl=%" PRId64 ",keys_with_volatile_items=%" PRIu32 "\r\n", i,
                   table_count(&db->keys), table_count(&db->expires), db->ttl_average_ms, db->clocks.count);
    }
}

static const struct {
    const char *name, *title;
    bool usual;
    void (*put)(redis_t *redis, buf_t *b);
} sections[] = {
    {"server", "Server", true, section_server},
    {"clients", "Clients", true, section_clients},
    {"memory", "Memory", true, section_memory},
    {"persistence", "Persistence", true, section_persistence},
    {"stats", "Stats", true, section_stats},
    {"replication", "Replication", true, section_replication},
    {"cpu", "CPU", true, section_cpu},
    {"modules", "Modules", true, section_modules},
    {"commandstats", "Commandstats", false, section_commandstats},
    {"errorstats", "Errorstats", true, section_errorstats},
    {"latencystats", "Latencystats", false, section_latencystats},
    {"cluster", "Cluster", true, section_cluster},
    {"keyspace", "Keyspace", true, section_keyspace},
    {"scriptingengines", "Scripting Engines", false, section_engines},
    {"tls", "TLS", true, section_tls},
};

static bool is_wanted(redis_call_t *call, size_t s)
{
    if (call->argc == 1) return sections[s].usual;
    for (int i = 1; i < call->argc; i++) {
        if (arg_is(call, i, "ALL") || arg_is(call, i, "EVERYTHING")) return true;
        if (arg_is(call, i, "DEFAULT") && sections[s].usual) return true;
        if (bytes_eq_nocase(call->argv[i], bytes_str(sections[s].name))) return true;
    }
    return false;
}

void redis_cmd_info(redis_call_t *call)
{
    buf_t text = BUF_INIT;
    for (size_t s = 0; s < ARRAY_LEN(sections); s++) {
        if (!is_wanted(call, s) || (sections[s].put == section_tls && !call->redis->clients.secure.context)) continue;
        buf_printf(&text, "%s# %s\r\n", text.len ? "\r\n" : "", sections[s].title);
        sections[s].put(call->redis, &text);
    }
    reply_verbatim(call->client, "txt", bytes_of(text.ptr ? text.ptr : (const uint8_t *)"", text.len));
    buf_deinit(&text);
}
