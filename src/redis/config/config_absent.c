/* config_absent.c: the original's directives for what this version does not have. The one value that asks for nothing (almost
 * always the original's default, so that its configuration file is accepted) fits; every other is refused with the reason. */
#include "redis/config/config_table.h"

#include "base/num.h"

#include <stdio.h>
#include <strings.h>

#define NO_REPLICATION "there is no replication in this version"
#define NO_SNAPSHOTS   "snapshots are not written in this version"
#define NO_CLUSTER     "there is no cluster in this version"
#define NO_TLS         "connections are not encrypted in this version"
#define NO_USERS       "there are no users and rights in this version"
#define NO_DEFRAG      "memory is not defragmented in this version"
#define NO_MODULES     "there are no modules"
#define NO_PINNING     "threads cannot be bound to processors, and --reactors sets their number"
#define NO_SUCH_THING  "this cannot be changed in this version"

#define ABSENT(name, alias, only, why)                                                                                 \
    {                                                                                                                  \
        name, alias, KIND_CONSTANT, 0, 0, 0, 0, only, NULL, why                                                        \
    }
#define ABSENT_SECRET(name, alias, why)                                                                                \
    {                                                                                                                  \
        name, alias, KIND_CONSTANT, DIRECTIVE_SECRET, 0, 0, 0, "", NULL, why                                           \
    }

const directive_t redis_absent_directives[] = {
    ABSENT("replica-serve-stale-data", "slave-serve-stale-data", "yes", NO_REPLICATION),
    ABSENT("replica-read-only", "slave-read-only", "yes", NO_REPLICATION),
    ABSENT("replica-priority", "slave-priority", "100", NO_REPLICATION),
    ABSENT("replica-lazy-flush", "slave-lazy-flush", "no", NO_REPLICATION),
    ABSENT("replica-ignore-maxmemory", "slave-ignore-maxmemory", "yes", NO_REPLICATION),
    ABSENT("replica-ignore-disk-write-errors", NULL, "no", NO_REPLICATION),
    ABSENT("replica-announced", NULL, "yes", NO_REPLICATION),
    ABSENT("replica-announce-ip", "slave-announce-ip", "", NO_REPLICATION),
    ABSENT("replica-announce-port", "slave-announce-port", "0", NO_REPLICATION),
    ABSENT("replicaof", "slaveof", "", NO_REPLICATION),
    ABSENT_SECRET("primaryauth", "masterauth", NO_REPLICATION),
    ABSENT_SECRET("primaryuser", "masteruser", NO_REPLICATION),
    ABSENT("repl-diskless-sync", NULL, "yes", NO_REPLICATION),
    ABSENT("repl-diskless-sync-delay", NULL, "5", NO_REPLICATION),
    ABSENT("repl-diskless-sync-max-replicas", NULL, "0", NO_REPLICATION),
    ABSENT("repl-diskless-load", NULL, "disabled", NO_REPLICATION),
    ABSENT("repl-disable-tcp-nodelay", NULL, "no", NO_REPLICATION),
    ABSENT("repl-backlog-size", NULL, "10mb", NO_REPLICATION),
    ABSENT("repl-backlog-ttl", NULL, "3600", NO_REPLICATION),
    ABSENT("repl-ping-replica-period", "repl-ping-slave-period", "10", NO_REPLICATION),
    ABSENT("repl-timeout", NULL, "60", NO_REPLICATION),
    ABSENT("min-replicas-to-write", "min-slaves-to-write", "0", NO_REPLICATION),
    ABSENT("min-replicas-max-lag", "min-slaves-max-lag", "10", NO_REPLICATION),
    ABSENT("dual-channel-replication-enabled", NULL, "no", NO_REPLICATION),
    ABSENT("propagation-error-behavior", NULL, "ignore", NO_REPLICATION),
    ABSENT("rdb-del-sync-files", NULL, "no", NO_SNAPSHOTS),
    ABSENT("rdb-save-incremental-fsync", NULL, "yes", NO_SNAPSHOTS),
    ABSENT("sanitize-dump-payload", NULL, "no", NO_SNAPSHOTS),
    ABSENT("cluster-enabled", NULL, "no", NO_CLUSTER),
    ABSENT("cluster-config-file", NULL, "nodes.conf", NO_CLUSTER),
    ABSENT("cluster-node-timeout", NULL, "15000", NO_CLUSTER),
    ABSENT("cluster-port", NULL, "0", NO_CLUSTER),
    ABSENT("cluster-announce-ip", NULL, "", NO_CLUSTER),
    ABSENT("cluster-announce-port", NULL, "0", NO_CLUSTER),
    ABSENT("cluster-announce-bus-port", NULL, "0", NO_CLUSTER),
    ABSENT("cluster-announce-tls-port", NULL, "0", NO_CLUSTER),
    ABSENT("cluster-announce-hostname", NULL, "", NO_CLUSTER),
    ABSENT("cluster-announce-human-nodename", NULL, "", NO_CLUSTER),
    ABSENT("cluster-allow-pubsubshard-when-down", NULL, "yes", NO_CLUSTER),
    ABSENT("cluster-allow-reads-when-down", NULL, "no", NO_CLUSTER),
    ABSENT("cluster-allow-replica-migration", NULL, "yes", NO_CLUSTER),
    ABSENT("cluster-migration-barrier", NULL, "1", NO_CLUSTER),
    ABSENT("cluster-replica-no-failover", "cluster-slave-no-failover", "no", NO_CLUSTER),
    ABSENT("cluster-replica-validity-factor", "cluster-slave-validity-factor", "10", NO_CLUSTER),
    ABSENT("cluster-require-full-coverage", NULL, "yes", NO_CLUSTER),
    ABSENT("cluster-link-sendbuf-limit", NULL, "0", NO_CLUSTER),
    ABSENT("cluster-preferred-endpoint-type", NULL, "ip", NO_CLUSTER),
    ABSENT("tls-port", NULL, "0", NO_TLS),
    ABSENT("tls-cert-file", NULL, "", NO_TLS),
    ABSENT("tls-key-file", NULL, "", NO_TLS),
    ABSENT_SECRET("tls-key-file-pass", NULL, NO_TLS),
    ABSENT("tls-client-cert-file", NULL, "", NO_TLS),
    ABSENT("tls-client-key-file", NULL, "", NO_TLS),
    ABSENT_SECRET("tls-client-key-file-pass", NULL, NO_TLS),
    ABSENT("tls-ca-cert-file", NULL, "", NO_TLS),
    ABSENT("tls-ca-cert-dir", NULL, "", NO_TLS),
    ABSENT("tls-auth-clients", NULL, "yes", NO_TLS),
    ABSENT("tls-protocols", NULL, "", NO_TLS),
    ABSENT("tls-ciphers", NULL, "", NO_TLS),
    ABSENT("tls-ciphersuites", NULL, "", NO_TLS),
    ABSENT("tls-dh-params-file", NULL, "", NO_TLS),
    ABSENT("tls-cluster", NULL, "no", NO_TLS),
    ABSENT("tls-replication", NULL, "no", NO_TLS),
    ABSENT("tls-prefer-server-ciphers", NULL, "no", NO_TLS),
    ABSENT("tls-session-caching", NULL, "yes", NO_TLS),
    ABSENT("tls-session-cache-size", NULL, "20480", NO_TLS),
    ABSENT("tls-session-cache-timeout", NULL, "300", NO_TLS),
    ABSENT("aclfile", NULL, "", NO_USERS),
    ABSENT("acllog-max-len", NULL, "128", NO_USERS),
    ABSENT("acl-pubsub-default", NULL, "resetchannels", NO_USERS),
    ABSENT("activedefrag", NULL, "no", NO_DEFRAG),
    ABSENT("active-defrag-cycle-min", NULL, "1", NO_DEFRAG),
    ABSENT("active-defrag-cycle-max", NULL, "25", NO_DEFRAG),
    ABSENT("active-defrag-ignore-bytes", NULL, "100mb", NO_DEFRAG),
    ABSENT("active-defrag-max-scan-fields", NULL, "1000", NO_DEFRAG),
    ABSENT("active-defrag-threshold-lower", NULL, "10", NO_DEFRAG),
    ABSENT("active-defrag-threshold-upper", NULL, "100", NO_DEFRAG),
    ABSENT("enable-module-command", NULL, "no", NO_MODULES),
    ABSENT("server-cpulist", "server_cpulist", "", NO_PINNING),
    ABSENT("bio-cpulist", "bio_cpulist", "", NO_PINNING),
    ABSENT("aof-rewrite-cpulist", "aof_rewrite_cpulist", "", NO_PINNING),
    ABSENT("bgsave-cpulist", "bgsave_cpulist", "", NO_PINNING),
    ABSENT("io-threads", NULL, "1", NO_PINNING),
    ABSENT("oom-score-adj", NULL, "no", NO_SUCH_THING),
    ABSENT("oom-score-adj-values", NULL, "0 200 800", NO_SUCH_THING),
    ABSENT("disable-thp", NULL, "yes", NO_SUCH_THING),
    ABSENT("jemalloc-bg-thread", NULL, "yes", NO_SUCH_THING),
    ABSENT("set-proc-title", NULL, "yes", NO_SUCH_THING),
    ABSENT("locale-collate", NULL, "", NO_SUCH_THING),
    ABSENT("crash-log-enabled", NULL, "yes", NO_SUCH_THING),
    ABSENT("crash-memcheck-enabled", NULL, "yes", NO_SUCH_THING),
    ABSENT("socket-mark-id", NULL, "0", NO_SUCH_THING),
    ABSENT("bind-source-addr", NULL, "", NO_SUCH_THING),
    ABSENT("unixsocket", NULL, "", NO_SUCH_THING),
    ABSENT("unixsocketperm", NULL, "0", NO_SUCH_THING),
    ABSENT("syslog-enabled", NULL, "no", NO_SUCH_THING),
    ABSENT("shutdown-timeout", NULL, "10", NO_SUCH_THING),
    ABSENT("shutdown-on-sigint", NULL, "default", NO_SUCH_THING),
    ABSENT("shutdown-on-sigterm", NULL, "default", NO_SUCH_THING),
    ABSENT("hide-user-data-from-log", NULL, "yes", NO_SUCH_THING),
    ABSENT("aof-rewrite-incremental-fsync", NULL, "yes", NO_SUCH_THING),
    ABSENT("maxmemory-clients", NULL, "0", NO_SUCH_THING),
    ABSENT("proc-title-template", NULL, "{title} {listen-addr} {server-mode}", NO_SUCH_THING),
};
const size_t redis_absent_directive_count = ARRAY_LEN(redis_absent_directives);

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

static bool same_word(bytes_t a, bytes_t b)
{
    uint64_t x, y;
    return bytes_eq_nocase(a, b) || (num_parse_memory(a, &x) && num_parse_memory(b, &y) && x == y);
}

/* Word by word, sizes by what they mean. */
static bool same_words(bytes_t a, bytes_t b)
{
    bytes_t word, other;
    do {
        word = directive_take_word(&a);
        other = directive_take_word(&b);
        if (!same_word(word, other)) return false;
    } while (word.len);
    return true;
}

int absent_set(const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    bytes_t asked = strcmp(value, "\"\"") == 0 ? BYTES_LIT("") : bytes_str(value);
    if (same_words(asked, bytes_str(d->initial))) return 0;
    snprintf(why, why_bytes, "%s: only \"%s\" fits", d->why, d->initial);
    return ERR_INVALID;
}
