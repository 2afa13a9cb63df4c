/* zookeeper_internal.h: what the files of src/zookeeper share.
 *
 *   conn.c ─frame─> request.c ─┬ read ──> op_*.c ──> reply          (nothing of this connection pending)
 *                              ├ read ──> queued behind the writes  (something is)
 *                              └ write ─> coord_write … applied ──> op_*.c ──> reply, then what waited behind it
 *
 * FIFO: a connection's requests form one list; the head is answered first. Writes of all connections are applied in the
 * order of proposal, so that the write which is done is always its connection's head. */
#ifndef TRIVET_ZOOKEEPER_INTERNAL_H
#define TRIVET_ZOOKEEPER_INTERNAL_H

#include "base/map.h"
#include "coord/session.h"
#include "zookeeper/zookeeper.h"

#define ZK_VERSION                 "3.9.3"
#define ZK_FRAME_HEAD_BYTES        4
#define ZK_REPLY_HEAD_BYTES        20 /* length, xid, zxid, err */
#define ZK_CONNECT_BYTES_MAX       1024
#define ZK_STRING_CHARS_MAX        256
#define ZK_REQUESTS_CACHED_MAX     1024
#define ZK_READS_WAITING_MAX       32 /* of a connection: they are answered at once, with a node's data each */
#define ZK_REQUEST_ARENA_BYTES_MAX MIB(64)
#define ZK_MULTI_READ_BYTES_MAX    MIB(32) /* of a reply, but for its last part */
#define ZK_WATCHES_SLICE           4000    /* paths that a setWatches renews in a turn; watches that go */
#define ZK_LISTING_SLICE           10000   /* children that are listed in a turn */
#define ZK_LISTING_TRIES_MAX       3 /* when some come or go meanwhile it begins anew, and then all is listed at once */
#define ZK_AUTH_IDS_MAX            64 /* identities a connection may prove */
#define ZK_XID_NOTIFICATION        (-1)
#define ZK_XID_AUTH                (-4)

enum { ZK_STATE_SYNC_CONNECTED = 3 };

typedef struct zk_conn zk_conn_t;

/* How far a read is that takes more than one turn. */
typedef struct zk_progress {
    uint32_t turns;
    size_t at;          /* setWatches: in its body, */
    int32_t list, left; /* in this one of its lists, with so many paths to come */
} zk_progress_t;

/* One request that could not be answered at once. */
typedef struct zk_request {
    list_t node;     /* zk_conn_t.requests, or the cache */
    zk_conn_t *conn; /* NULL once the connection is gone */
    zookeeper_t *zookeeper;
    int32_t xid, type;
    uint64_t started_ns;
    coord_write_t write;
    uint8_t *body; /* malloc'd copy, reads only */
    size_t body_bytes;
    zk_progress_t progress;     /* of a read that takes more than one turn */
    struct zk_listing *listing; /* and what it has so far, when it lists children */
    uint8_t *path;              /* sync */
} zk_request_t;

typedef struct zk_latency {
    uint64_t count, total_ns, min_ns, max_ns;
} zk_latency_t;

struct zk_conn {
    list_t node; /* zookeeper_t.conns, at the end `leaving` */
    zookeeper_t *zookeeper;
    net_conn_t *net;
    int64_t session_id;
    int32_t timeout_ms;
    uint32_t touched_bucket; /* the expiry tick the session was last put into from here */
    bool connected;          /* the handshake is done */
    bool with_read_only;     /* the client knows the readOnly byte */
    bool closing;            /* a closeSession is under way, or the connection is to be closed */
    bool throttled;          /* the server has too many requests under way */
    bool reads_full;         /* ZK_READS_WAITING_MAX of its reads wait for a write before them */
    uint8_t ids_count;
    zk_id_t *ids; /* the texts are malloc'd too */
    coord_watcher_t watcher;
    list_t requests;
    list_t unfinished_node; /* in zookeeper_t.unfinished while the head of `requests` takes more than one turn */
    uint32_t pending;       /* in `requests` */
    uint32_t reads_waiting; /* of these */
    uint64_t received, sent;
    int64_t last_cxid, last_zxid;
    const char *last_op;
    int64_t established_ms, last_response_ms;
    uint64_t last_latency_ns;
    zk_latency_t latency;
};

typedef struct zk_listener {
    net_listener_t *net;
    bool is_secure; /* TLS alone */
} zk_listener_t;

struct zookeeper {
    io_loop_t *loop;
    net_t *net;
    coord_t *coord;
    uint64_t started_ns;
    zookeeper_config_t config;
    net_service_t service;
    zk_listener_t *listeners;
    int listeners_count;
    uint16_t port;
    tls_context_t *tls; /* NULL = no port speaks it */
    uint64_t tls_files; /* tls_settings_files, as they were read */
    list_t conns;
    uint32_t conns_count;
    map_t by_session; /* session id -> zk_conn_t */
    list_t cache;     /* zk_request_t */
    uint32_t cache_count;
    list_t unfinished; /* zk_conn_t.unfinished_node */
    io_timer_t unfinished_timer;
    list_t leaving; /* zk_conn_t.node: gone, but for some of their watches */
    io_timer_t leaving_timer;
    uint64_t outstanding;
    bool throttling;
    bool stopping;
    arena_t arena; /* the request being answered */
    zk_latency_t latency, read_latency, update_latency;
    uint64_t received, sent, connection_rejected, sessions_closed;
    int64_t trace_mask;                                /* stmk's, for gtmk: nothing is traced by it */
    int64_t response_last, response_min, response_max; /* bytes; -1 = none yet */
    uint64_t auth_failed;
};

/* secure.c: what the listener is to speak. */
void zk__present(zookeeper_t *zk, const zk_listener_t *listener);

/* ---- conn.c ------------------------------------------------------------------------------------------------------- */

ssize_t zk__on_data(net_conn_t *net, uint8_t *data, size_t len);
int zk__on_open(net_conn_t *net, void *service);
void zk__on_close(net_conn_t *net);
zk_conn_t *zk__conn_of_session(const zookeeper_t *zookeeper, int64_t session_id);
void zk__conn_bind(zk_conn_t *conn, int64_t session_id);
void zk__conn_touch(zk_conn_t *conn);
void zk__leaving_run(io_timer_t *timer);
void zk__leaving_end(zookeeper_t *zk); /* at once */
/* Answers what is written, then closes. */
void zk__conn_close(zk_conn_t *conn);
void zk__session_closed(void *user, int64_t session_id);
coord_who_t zk__who(const zk_conn_t *conn);

/* ---- connect.c ---------------------------------------------------------------------------------------------------- */

/* The first frame. False: the connection is to be closed. */
bool zk__connect(zk_conn_t *conn, bytes_t frame);

/* ---- request.c ---------------------------------------------------------------------------------------------------- */

/* A later frame. False: malformed beyond a reply. */
bool zk__request(zk_conn_t *conn, bytes_t frame);
zk_request_t *zk__request_new(zk_conn_t *conn, int32_t xid, int32_t type);
void zk__request_free(zk_request_t *request);
void zk__requests_abandon(zk_conn_t *conn);
void zk__unfinished_run(io_timer_t *timer);

/* ---- reply.c ------------------------------------------------------------------------------------------------------- */

/* What is being answered: filled by request.c, used by the op_… handlers. */
typedef struct zk_call {
    zookeeper_t *zookeeper;
    zk_conn_t *conn;
    int32_t xid, type;
    bytes_t body;
    const coord_result_t *result; /* writes */
    uint8_t *path;                /* sync */
    uint64_t started_ns;
    zk_progress_t *
        progress; /* reads: a handler that does not answer yet counts a turn, and is called again; NULL = all at once */
    struct zk_listing **listing; /* beside `progress` */
    bool hurry;                  /* a write behind it was applied: all at once, from there */
} zk_call_t;

/* The request's record, into the arena; a bad one is answered with a marshalling error by the caller when false. */
jute_reader_t zk__reader(const zk_call_t *call);
/* Room for a reply with `body_bytes` behind its header; returns where the body goes. The reply leaves with zk__reply_end. */
uint8_t *zk__reply_begin(const zk_call_t *call, size_t body_bytes);
void zk__reply_end(const zk_call_t *call, size_t body_bytes);
void zk__reply_err(const zk_call_t *call, int32_t err);
void zk__reply_bytes(const zk_call_t *call, bytes_t body);
/* A whole frame, whose head, ZK_REPLY_HEAD_BYTES, is still to be filled. */
void zk__reply_output(const zk_call_t *call, net_output_t *frame, uint8_t *head);
void zk__notify(coord_watcher_t *watcher, coord_event_t type, bytes_t path, int64_t zxid);
void zk__notify_conn(zk_conn_t *conn, int type, bytes_t path, int64_t zxid);
zk_stat_t zk__stat(const coord_stat_t *stat);

#define ZK_REPLY_RECORD(call, type, record)                                                                            \
    do {                                                                                                               \
        size_t size_ = zk_##type##_size(record);                                                                       \
        zk_##type##_put(zk__reply_begin(call, size_), record);                                                         \
        zk__reply_end(call, size_);                                                                                    \
    } while (0)

/* ---- listing.c: getChildren of a node that has very many ----------------------------------------------------------------- */

/* False when the node has few, or all must be said now: then nothing was done. */
bool zk__listing_run(const zk_call_t *call, const zk_path_watch_request_t *request, bool with_stat);
void zk__listing_free(zookeeper_t *zk, struct zk_listing *listing);

/* ---- op_*.c: one handler for each `handler=` of schema/zookeeper/operations.schema ------------------------------------ */

typedef void (*zk_handler_t)(const zk_call_t *call);
void zk__op_create(const zk_call_t *call);
void zk__op_create2(const zk_call_t *call);
void zk__op_delete(const zk_call_t *call);
void zk__op_set_data(const zk_call_t *call);
void zk__op_set_acl(const zk_call_t *call);
void zk__op_part(const zk_call_t *call);
void zk__op_multi(const zk_call_t *call);
void zk__op_multi_read(const zk_call_t *call);
void zk__op_reconfig(const zk_call_t *call);
void zk__op_exists(const zk_call_t *call);
void zk__op_get_data(const zk_call_t *call);
void zk__op_get_acl(const zk_call_t *call);
void zk__op_get_children(const zk_call_t *call);
void zk__op_get_children2(const zk_call_t *call);
void zk__op_get_all_children_number(const zk_call_t *call);
void zk__op_get_ephemerals(const zk_call_t *call);
void zk__op_add_watch(const zk_call_t *call);
void zk__op_check_watches(const zk_call_t *call);
void zk__op_remove_watches(const zk_call_t *call);
void zk__op_set_watches(const zk_call_t *call);
void zk__op_set_watches2(const zk_call_t *call);
void zk__op_ping(const zk_call_t *call);
void zk__op_sync(const zk_call_t *call);
void zk__op_auth(const zk_call_t *call);
void zk__op_sasl(const zk_call_t *call);
void zk__op_who_am_i(const zk_call_t *call);
void zk__op_create_session(const zk_call_t *call);
void zk__op_close_session(const zk_call_t *call);

/* ---- auth.c --------------------------------------------------------------------------------------------------------- */

/* Adds an identity to the connection (once). False when it has ZK_AUTH_IDS_MAX. */
bool zk__auth_add(zk_conn_t *conn, bytes_t scheme, bytes_t id);
/* Proves "user:password". */
bool zk__auth_digest(zk_conn_t *conn, bytes_t user_password);
void zk__auth_drop(zk_conn_t *conn);

/* ---- four_letter.c --------------------------------------------------------------------------------------------------- */

bool zk__is_command(const uint8_t word[4]);
/* How many bytes the command has: stmk's mask comes behind the word. */
size_t zk__command_bytes(const zookeeper_t *zk, const uint8_t word[4]);
void zk__command(zk_conn_t *conn, const uint8_t *word);
/* To a stranger. */
void zk__refuse_word(zk_conn_t *conn);

/* ---- stats.c --------------------------------------------------------------------------------------------------------- */

void zk__latency_add(zk_latency_t *latency, uint64_t ns);
void zk__note_reply(const zk_call_t *call, int64_t zxid, size_t bytes);
/* Of clients: the server's own, which holds what the server itself creates, is none. */
uint64_t zk__session_count(const zookeeper_t *zk, const coord_figures_t *figures);
/* As the original counts: the root is there twice. */
uint64_t zk__znode_count(const coord_figures_t *figures);
const char *zk__op_name(int32_t type);
const char *zk__op_short(int32_t type); /* "CREA": cons's last operation */

#endif
