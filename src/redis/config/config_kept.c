/* config_kept.c: the original's directives that change nothing here. Those of the first kind are checked, kept, shown and
 * rewritten as the original does, because what they are for is met in another way, or because they tune what is off; those of
 * the second (ONLY) take the one value that asks for nothing and refuse every other with the reason. docs/redis.md says the
 * same, and a test holds it to this table. */
#include "redis/config/config_table.h"

#include <arpa/inet.h>
#include <limits.h>

#define NO_REPLICAS "there is no replication in this version"
#define NO_CLUSTER  "there is no cluster in this version"
#define NO_USERS    "there are no users and rights in this version"
#define NO_MODULES  "there are no modules"
#define NO_FORK     "nothing forks here"
#define NO_PINNING  "threads cannot be bound to processors"
#define NO_RDMA     "No RDMA building support."
#define NO_DEFRAG                                                                                                      \
    "Active defragmentation cannot be enabled: it requires a server compiled with a modified Jemalloc like the one "   \
    "shipped by default with the source distribution"
#define OWN_THREADS   "reactors and carriers are the threads"
#define OWN_LOG       "the log never shows users' data"
#define OWN_TITLE     "the process keeps the command line that it was started with"
#define OWN_CRASH     "a crash is told by the log and the system's own dump"
#define OWN_SYNC      "files are made durable by a thread of the pool"
#define OWN_PREFETCH  "what a pipeline reads is asked for from memory in one go, up to a fixed bound"
#define OWN_LEVEL     "HELLO and INFO always tell the level as Redis does"
#define OWN_PROCESS   "server/process.c does it before this server is made"
#define OWN_PAGES     "huge pages are wanted, because nothing forks"
#define OWN_ALLOCATOR "the allocator gives memory back by itself"
#define NO_WARNINGS   "the warnings that it silences are not given here"
#define NO_SUCH_THING "this cannot be changed in this version"

#define KEPT(name, alias, kind, flags, min, max, initial, words, why)                                                  \
    {                                                                                                                  \
        name, alias, kind, DIRECTIVE_KEPT | (flags), 0, min, max, initial, words, why, NULL                            \
    }
#define KEPT_BOOL(name, alias, initial, why)          KEPT(name, alias, KIND_BOOL, 0, 0, 1, initial, NULL, why)
#define KEPT_INT(name, alias, min, max, initial, why) KEPT(name, alias, KIND_INT, 0, min, max, initial, NULL, why)
#define KEPT_MEMORY(name, alias, min, initial, why)                                                                    \
    KEPT(name, alias, KIND_MEMORY, 0, min, INT64_MAX, initial, NULL, why)
#define KEPT_TEXT(name, alias, initial, why)        KEPT(name, alias, KIND_STRING, 0, 0, 0, initial, NULL, why)
#define KEPT_SECRET(name, alias, why)               KEPT(name, alias, KIND_STRING, DIRECTIVE_SECRET, 0, 0, "", NULL, why)
#define KEPT_ENUM(name, alias, words, initial, why) KEPT(name, alias, KIND_ENUM, 0, 0, 0, initial, words, why)
#define KEPT_FIXED(name, kind, min, max, initial, why)                                                                 \
    KEPT(name, NULL, kind, DIRECTIVE_FIXED, min, max, initial, NULL, why)
#define KEPT_HIDDEN(name, kind, min, max, initial, why)                                                                \
    KEPT(name, NULL, kind, DIRECTIVE_HIDDEN, min, max, initial, NULL, why)
#define ONLY(name, alias, kind, flags, initial, why)                                                                   \
    KEPT(name, alias, kind, (flags) | DIRECTIVE_INITIAL_ONLY, 0, INT64_MAX, initial, NULL, why)
#define CHECKED(name, flags, initial, why, check)                                                                      \
    {                                                                                                                  \
        name, NULL, KIND_STRING, DIRECTIVE_KEPT | (flags), 0, 0, 0, initial, NULL, why, check                          \
    }

static const directive_word_t diskless_words[] = {
    {"disabled", 0}, {"on-empty-db", 1}, {"swapdb", 2}, {"flush-before-load", 3}, {NULL, 0}};
static const directive_word_t propagation_words[] = {{"ignore", 0}, {"panic", 1}, {"panic-on-replicas", 2}, {NULL, 0}};
static const directive_word_t endpoint_words[] = {{"ip", 0}, {"hostname", 1}, {"unknown-endpoint", 2}, {NULL, 0}};
static const directive_word_t cluster_save_words[] = {{"sync", 0}, {"best-effort", 1}, {NULL, 0}};
static const directive_word_t tls_user_words[] = {{"CN", 0}, {"URI", 1}, {"off", 2}, {NULL, 0}};
static const directive_word_t guard_words[] = {{"no", 0}, {"yes", 1}, {"local", 2}, {NULL, 0}};
static const directive_word_t sanitize_words[] = {{"no", 0}, {"yes", 1}, {"clients", 2}, {NULL, 0}};
static const directive_word_t pubsub_words[] = {{"allchannels", 0}, {"resetchannels", 1}, {NULL, 0}};
static const directive_word_t supervised_words[] = {{"upstart", 0}, {"systemd", 1}, {"auto", 2}, {"no", 3}, {NULL, 0}};
static const directive_word_t facility_words[] = {{"user", 0},   {"local0", 1}, {"local1", 2}, {"local2", 3},
                                                  {"local3", 4}, {"local4", 5}, {"local5", 6}, {"local6", 7},
                                                  {"local7", 8}, {NULL, 0}};

/* Text with any of the original's variables in it. */
static const char *check_title(const char *value)
{
    static const char wrong[] = "template format is invalid or contains unknown variables";
    static const char *const names[] = {"{title}",    "{listen-addr}", "{server-mode}", "{port}",
                                        "{tls-port}", "{unixsocket}",  "{config-file}"};
    if (!*value) return wrong;
    for (const char *at = value; (at = strchr(at, '{')); at++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(names); i++) known |= strncmp(at, names[i], strlen(names[i])) == 0;
        if (!known) return wrong;
    }
    return NULL;
}

static const char *check_ipv4(const char *value)
{
    uint8_t out[16];
    return !*value || inet_pton(AF_INET, value, out) == 1 ? NULL : "Invalid IPv4 address";
}

static const char *check_ipv6(const char *value)
{
    uint8_t out[16];
    return !*value || inet_pton(AF_INET6, value, out) == 1 ? NULL : "Invalid IPv6 address";
}

const directive_t redis_kept_directives[] = {
    KEPT_BOOL("replica-serve-stale-data", "slave-serve-stale-data", "yes", NO_REPLICAS),
    KEPT_BOOL("replica-read-only", "slave-read-only", "yes", NO_REPLICAS),
    KEPT_INT("replica-priority", "slave-priority", 0, INT_MAX, "100", NO_REPLICAS),
    KEPT_BOOL("replica-lazy-flush", "slave-lazy-flush", "yes", NO_REPLICAS),
    KEPT_BOOL("replica-ignore-maxmemory", "slave-ignore-maxmemory", "yes", NO_REPLICAS),
    KEPT_BOOL("replica-ignore-disk-write-errors", NULL, "no", NO_REPLICAS),
    KEPT_BOOL("replica-announced", NULL, "yes", NO_REPLICAS),
    KEPT_TEXT("replica-announce-ip", "slave-announce-ip", "", NO_REPLICAS),
    KEPT_INT("replica-announce-port", "slave-announce-port", 0, 65535, "0", NO_REPLICAS),
    KEPT_SECRET("primaryauth", "masterauth", NO_REPLICAS),
    KEPT_SECRET("primaryuser", "masteruser", NO_REPLICAS),
    KEPT_BOOL("repl-diskless-sync", NULL, "yes", NO_REPLICAS),
    KEPT_INT("repl-diskless-sync-delay", NULL, 0, INT_MAX, "5", NO_REPLICAS),
    KEPT_INT("repl-diskless-sync-max-replicas", NULL, 0, INT_MAX, "0", NO_REPLICAS),
    KEPT_ENUM("repl-diskless-load", NULL, diskless_words, "disabled", NO_REPLICAS),
    KEPT_BOOL("repl-disable-tcp-nodelay", NULL, "no", NO_REPLICAS),
    KEPT_MEMORY("repl-backlog-size", NULL, 1, "10485760", NO_REPLICAS),
    KEPT_INT("repl-backlog-ttl", NULL, 0, INT64_MAX, "3600", NO_REPLICAS),
    KEPT_INT("repl-ping-replica-period", "repl-ping-slave-period", 1, INT_MAX, "10", NO_REPLICAS),
    KEPT_INT("repl-timeout", NULL, 1, INT_MAX, "60", NO_REPLICAS),
    KEPT_INT("min-replicas-max-lag", "min-slaves-max-lag", 0, INT_MAX, "10", NO_REPLICAS),
    KEPT_BOOL("dual-channel-replication-enabled", NULL, "no", NO_REPLICAS),
    KEPT_ENUM("propagation-error-behavior", NULL, propagation_words, "ignore", NO_REPLICAS),
    KEPT_BOOL("rdb-del-sync-files", NULL, "no", NO_REPLICAS),
    KEPT_TEXT("bind-source-addr", NULL, "", NO_REPLICAS),
    KEPT_INT("shutdown-timeout", NULL, 0, INT_MAX, "10", NO_REPLICAS),
    KEPT_FIXED("repl-mptcp", KIND_BOOL, 0, 1, "no", NO_REPLICAS),
    KEPT_MEMORY("slot-migration-max-failover-repl-bytes", NULL, 0, "0", NO_REPLICAS),
    ONLY("replicaof", "slaveof", KIND_STRING, DIRECTIVE_FIXED, "", NO_REPLICAS),
    ONLY("import-mode", NULL, KIND_BOOL, 0, "no", NO_REPLICAS),

    ONLY("cluster-enabled", NULL, KIND_BOOL, DIRECTIVE_FIXED, "no", NO_CLUSTER),
    KEPT_FIXED("cluster-config-file", KIND_STRING, 0, 0, "nodes.conf", NO_CLUSTER),
    KEPT_INT("cluster-node-timeout", NULL, 0, INT64_MAX, "15000", NO_CLUSTER),
    KEPT_FIXED("cluster-port", KIND_INT, 0, 65535, "0", NO_CLUSTER),
    KEPT_FIXED("cluster-databases", KIND_INT, 1, INT_MAX, "1", NO_CLUSTER),
    KEPT_TEXT("cluster-announce-ip", NULL, "", NO_CLUSTER),
    KEPT_INT("cluster-announce-port", NULL, 0, 65535, "0", NO_CLUSTER),
    KEPT_INT("cluster-announce-bus-port", NULL, 0, 65535, "0", NO_CLUSTER),
    KEPT_INT("cluster-announce-tls-port", NULL, 0, 65535, "0", NO_CLUSTER),
    KEPT_INT("cluster-announce-client-port", NULL, 0, 65535, "0", NO_CLUSTER),
    KEPT_INT("cluster-announce-client-tls-port", NULL, 0, 65535, "0", NO_CLUSTER),
    CHECKED("cluster-announce-client-ipv4", 0, "", NO_CLUSTER, check_ipv4),
    CHECKED("cluster-announce-client-ipv6", 0, "", NO_CLUSTER, check_ipv6),
    KEPT_TEXT("cluster-announce-hostname", NULL, "", NO_CLUSTER),
    KEPT_TEXT("cluster-announce-human-nodename", NULL, "", NO_CLUSTER),
    KEPT_BOOL("cluster-allow-pubsubshard-when-down", NULL, "yes", NO_CLUSTER),
    KEPT_BOOL("cluster-allow-reads-when-down", NULL, "no", NO_CLUSTER),
    KEPT_BOOL("cluster-allow-replica-migration", NULL, "yes", NO_CLUSTER),
    KEPT_INT("cluster-migration-barrier", NULL, 0, INT_MAX, "1", NO_CLUSTER),
    KEPT_BOOL("cluster-replica-no-failover", "cluster-slave-no-failover", "no", NO_CLUSTER),
    KEPT_INT("cluster-replica-validity-factor", "cluster-slave-validity-factor", 0, INT_MAX, "10", NO_CLUSTER),
    KEPT_BOOL("cluster-require-full-coverage", NULL, "yes", NO_CLUSTER),
    KEPT_MEMORY("cluster-link-sendbuf-limit", NULL, 0, "0", NO_CLUSTER),
    KEPT_ENUM("cluster-preferred-endpoint-type", NULL, endpoint_words, "ip", NO_CLUSTER),
    KEPT_INT("cluster-blacklist-ttl", NULL, INT64_MIN, INT64_MAX, "60", NO_CLUSTER),
    KEPT_ENUM("cluster-config-save-behavior", NULL, cluster_save_words, "sync", NO_CLUSTER),
    KEPT_INT("cluster-manual-failover-timeout", NULL, 1, INT_MAX, "5000", NO_CLUSTER),
    KEPT_INT("cluster-slot-migration-log-max-len", NULL, 0, INT64_MAX, "1000", NO_CLUSTER),
    KEPT_BOOL("cluster-slot-stats-enabled", NULL, "no", NO_CLUSTER),

    ONLY("tls-cluster", NULL, KIND_BOOL, 0, "no", NO_CLUSTER),
    ONLY("tls-replication", NULL, KIND_BOOL, 0, "no", NO_REPLICAS),
    KEPT_TEXT("tls-client-cert-file", NULL, "", NO_REPLICAS),
    KEPT_TEXT("tls-client-key-file", NULL, "", NO_REPLICAS),
    KEPT_SECRET("tls-client-key-file-pass", NULL, NO_REPLICAS),
    KEPT_ENUM("tls-auth-clients-user", NULL, tls_user_words, "off", NO_USERS),

    ONLY("aclfile", NULL, KIND_STRING, DIRECTIVE_FIXED, "", NO_USERS),
    KEPT_INT("acllog-max-len", NULL, 0, INT64_MAX, "128", NO_USERS),
    KEPT_ENUM("acl-pubsub-default", NULL, pubsub_words, "resetchannels", NO_USERS),
    KEPT("enable-module-command", NULL, KIND_ENUM, DIRECTIVE_FIXED, 0, 0, "no", guard_words, NO_MODULES),

    ONLY("activedefrag", NULL, KIND_BOOL, DIRECTIVE_AS_SAID, "no", NO_DEFRAG),
    KEPT_INT("active-defrag-cycle-min", NULL, 1, 99, "1", NO_DEFRAG),
    KEPT_INT("active-defrag-cycle-max", NULL, 1, 99, "25", NO_DEFRAG),
    KEPT_INT("active-defrag-cycle-us", NULL, 0, 100000, "500", NO_DEFRAG),
    KEPT_MEMORY("active-defrag-ignore-bytes", NULL, 1, "104857600", NO_DEFRAG),
    KEPT_INT("active-defrag-max-scan-fields", NULL, 1, INT64_MAX, "1000", NO_DEFRAG),
    KEPT_INT("active-defrag-threshold-lower", NULL, 0, 1000, "10", NO_DEFRAG),
    KEPT_INT("active-defrag-threshold-upper", NULL, 0, 1000, "100", NO_DEFRAG),
    KEPT_BOOL("jemalloc-bg-thread", NULL, "yes", OWN_ALLOCATOR),

    ONLY("server-cpulist", "server_cpulist", KIND_STRING, DIRECTIVE_FIXED, "", NO_PINNING),
    ONLY("bio-cpulist", "bio_cpulist", KIND_STRING, DIRECTIVE_FIXED, "", NO_PINNING),
    ONLY("aof-rewrite-cpulist", "aof_rewrite_cpulist", KIND_STRING, DIRECTIVE_FIXED, "", NO_FORK),
    ONLY("bgsave-cpulist", "bgsave_cpulist", KIND_STRING, DIRECTIVE_FIXED, "", NO_FORK),
    KEPT_INT("events-per-io-thread", NULL, 0, INT_MAX, "2", OWN_THREADS),
    KEPT_FIXED("io-threads-do-reads", KIND_BOOL, 0, 1, "yes", OWN_THREADS),
    KEPT_HIDDEN("io-threads-always-active", KIND_BOOL, 0, 1, "no", OWN_THREADS),
    KEPT_HIDDEN("min-io-threads-avoid-copy-reply", KIND_INT, 0, INT_MAX, "7", OWN_THREADS),
    KEPT_HIDDEN("min-string-size-avoid-copy-reply", KIND_INT, 0, INT_MAX, "16384", OWN_THREADS),
    KEPT_HIDDEN("min-string-size-avoid-copy-reply-threaded", KIND_INT, 0, INT_MAX, "65536", OWN_THREADS),
    KEPT_INT("prefetch-batch-max-size", NULL, 0, 128, "16", OWN_PREFETCH),

    KEPT_FIXED("daemonize", KIND_BOOL, 0, 1, "no", OWN_PROCESS),
    KEPT_FIXED("pidfile", KIND_STRING, 0, 0, "", OWN_PROCESS),
    KEPT("supervised", NULL, KIND_ENUM, DIRECTIVE_FIXED, 0, 0, "no", supervised_words, OWN_PROCESS),
    KEPT_FIXED("logfile", KIND_STRING, 0, 0, "", OWN_PROCESS),
    KEPT_FIXED("syslog-enabled", KIND_BOOL, 0, 1, "no", OWN_PROCESS),
    KEPT_FIXED("syslog-ident", KIND_STRING, 0, 0, "valkey", OWN_PROCESS),
    KEPT("syslog-facility", NULL, KIND_ENUM, DIRECTIVE_FIXED, 0, 0, "local0", facility_words, OWN_PROCESS),
    KEPT_FIXED("hash-seed", KIND_STRING, 0, 0, "", OWN_PROCESS),
    KEPT_FIXED("always-show-logo", KIND_BOOL, 0, 1, "no", OWN_LOG),
    KEPT_FIXED("set-proc-title", KIND_BOOL, 0, 1, "yes", OWN_TITLE),
    CHECKED("proc-title-template", 0, "{title} {listen-addr} {server-mode}", OWN_TITLE, check_title),
    KEPT_BOOL("hide-user-data-from-log", NULL, "yes", OWN_LOG),
    KEPT_BOOL("crash-log-enabled", NULL, "yes", OWN_CRASH),
    KEPT_BOOL("crash-memcheck-enabled", NULL, "yes", OWN_CRASH),
    KEPT_HIDDEN("use-exit-on-panic", KIND_BOOL, 0, 1, "no", OWN_CRASH),
    KEPT("enable-debug-assert", NULL, KIND_BOOL, DIRECTIVE_FIXED | DIRECTIVE_HIDDEN, 0, 1, "no", NULL, OWN_CRASH),
    KEPT_HIDDEN("debug-context", KIND_STRING, 0, 0, "", OWN_LOG),
    KEPT("sanitize-dump-payload", NULL, KIND_ENUM, 0, 0, 0, "no", sanitize_words, "every payload is checked in depth"),
    KEPT_BOOL("aof-rewrite-incremental-fsync", NULL, "yes", OWN_SYNC),
    KEPT_BOOL("rdb-save-incremental-fsync", NULL, "yes", OWN_SYNC),
    KEPT_BOOL("extended-redis-compatibility", NULL, "no", OWN_LEVEL),
    KEPT_TEXT("ignore-warnings", NULL, "", NO_WARNINGS),
    KEPT_FIXED("disable-thp", KIND_BOOL, 0, 1, "yes", OWN_PAGES),
    KEPT_HIDDEN("lua-enable-deprecated-api", KIND_BOOL, 0, 1, "no", "the original's removed functions are not there"),
    ONLY("lua-enable-insecure-api", NULL, KIND_BOOL, DIRECTIVE_HIDDEN, "no", "scripts are never given those functions"),

    ONLY("locale-collate", NULL, KIND_STRING, 0, "", "SORT compares bytes"),
    ONLY("socket-mark-id", NULL, KIND_INT, DIRECTIVE_FIXED, "0", NO_SUCH_THING),
    ONLY("mptcp", NULL, KIND_BOOL, DIRECTIVE_FIXED, "no", "connections take one path in this version"),
    KEPT("rdma-port", NULL, KIND_INT, DIRECTIVE_INITIAL_ONLY | DIRECTIVE_AS_SAID, 0, 65535, "0", NULL, NO_RDMA),
    ONLY("rdma-bind", NULL, KIND_STRING, DIRECTIVE_AS_SAID, "", NO_RDMA),
    KEPT_FIXED("rdma-completion-vector", KIND_INT, -1, INT_MAX, "-1", NO_RDMA),
    KEPT_FIXED("rdma-rx-size", KIND_INT, 65536, 16777216, "1048576", NO_RDMA),
};
const size_t redis_kept_directive_count = ARRAY_LEN(redis_kept_directives);
_Static_assert(ARRAY_LEN(redis_kept_directives) <= REDIS_KEPT_MAX, "each has its place");
