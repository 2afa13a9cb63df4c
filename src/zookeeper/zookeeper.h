/* zookeeper.h: the ZooKeeper wing: clients of the 3.9 protocol on the coordination tree (src/coord). */
#ifndef TRIVET_ZOOKEEPER_ZOOKEEPER_H
#define TRIVET_ZOOKEEPER_ZOOKEEPER_H

#include "base/buf.h"
#include "coord/coord.h"
#include "net/net.h"

typedef struct zookeeper zookeeper_t;

/* zoo.cfg's settings; the names are in config.c's table. */
typedef struct zookeeper_config {
    int32_t tick_time_ms;           /* tickTime */
    int32_t session_timeout_ms_min; /* minSessionTimeout; -1 = 2 ticks */
    int32_t session_timeout_ms_max; /* maxSessionTimeout; -1 = 20 ticks */
    int32_t conns_per_ip_max;       /* maxClientCnxns; 0 = no limit */
    int32_t conns_max;              /* maxCnxns; 0 = no limit */
    int32_t frame_bytes_max;        /* jute.maxbuffer */
    int32_t outstanding_max;        /* globalOutstandingLimit */
    int32_t snapshot_entries;       /* snapCount */
    int32_t container_check_ms;     /* znode.container.checkIntervalMs */
    int32_t init_limit, sync_limit; /* initLimit, syncLimit: ticks, for several servers */
    bool force_sync;                /* forceSync */
    bool skip_acl;                  /* skipACL */
    bool enforce_quota;             /* enforceQuota */
    bool extended_types;            /* extendedTypesEnabled */
    bool reconfig;                  /* reconfigEnabled */
    char *super_digest;             /* DigestAuthenticationProvider.superDigest: "super:base64"; NULL = none */
    bool port_unification;          /* client.portUnification: TLS and plain text at clientPort */
    int32_t secure_port;            /* secureClientPort; 0 = none */
    char *key_store, *key_store_pass, *key_store_type;       /* ssl.keyStore.*; NULL = not given */
    char *trust_store, *trust_store_pass, *trust_store_type; /* ssl.trustStore.* */
    char *client_auth;                                       /* ssl.clientAuth: need, want, none */
    char *protocols;                                         /* ssl.enabledProtocols; NULL = 1.2 and 1.3 */
    char *commands;                                          /* 4lw.commands.whitelist: "*" or names and commas */
} zookeeper_config_t;

void zookeeper_config_init(zookeeper_config_t *config);
void zookeeper_config_deinit(zookeeper_config_t *config);
/* With what is derived of the ticks. */
void zookeeper_config_copy(zookeeper_config_t *to, const zookeeper_config_t *from);
/* Sets one value by zoo.cfg's name. ERR_NOT_FOUND (unknown name) or ERR_INVALID; `err` then says what would fit. */
int zookeeper_configure(zookeeper_config_t *config, const char *name, const char *value, char *err,
                        size_t err_bytes) MUST_CHECK;
/* What of it the tree needs to know: tick, snapshots, syncing, types, quotas, ACLs. */
void zookeeper_config_coord(const zookeeper_config_t *config, coord_options_t *options);

/* `coord` must outlive it. Copies `config`. */
zookeeper_t *zookeeper_new(io_loop_t *loop, net_t *net, coord_t *coord, const zookeeper_config_t *config);
/* Port 0 picks a free one; may be called for several addresses. */
int zookeeper_listen(zookeeper_t *zookeeper, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
/* Reads the certificates, when a port is to speak TLS. Before anything listens; on failure `why` says what does not fit. */
int zookeeper_secure(zookeeper_t *zookeeper, char why[TLS_WHY_CHARS_MAX]) MUST_CHECK;
/* With TLS alone, at secureClientPort. */
int zookeeper_listen_secure(zookeeper_t *zookeeper, const char *host, uint16_t port) MUST_CHECK;
/* Reads the certificates again when their files have changed, or in any case. */
void zookeeper_reload(zookeeper_t *zookeeper, bool forced);
bool zookeeper_speaks_tls(const zookeeper_t *zookeeper);
/* Closes listeners and connections; sessions live on, as after a crash of the connection. */
void zookeeper_stop(zookeeper_t *zookeeper);
void zookeeper_free(zookeeper_t *zookeeper);

/* Appends the wing's metrics as Prometheus text, under the names ZooKeeper's own exporter uses. */
void zookeeper_metrics(const zookeeper_t *zookeeper, buf_t *out);

#endif
