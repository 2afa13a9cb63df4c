/* net_internal.h: the connection, as the files of this folder share it.
 *
 *   net.c      its life, the turn's end, the public functions      input.c    bytes to the service
 *   output.c   what is still to be sent                            carried.c  a connection whose bytes
 *   carrier.c  the carrier's side of that                                     a carrier reads and writes
 *   budget.c   what all hold together              admit.c    who gets in
 *   deadline.c who stops in the middle                secure.c   TLS between a connection and its stream
 *
 * States: connecting --> open --> closing (output lingers) --> dead (buried by the hook)
 *                                                              carried: --> leaving (until its link is closed) */
#ifndef TRIVET_NET_NET_INTERNAL_H
#define TRIVET_NET_NET_INTERNAL_H

#include "base/buf.h"
#include "base/map.h"
#include "net/net.h"
#include "net/tls/engine.h"

#include <stdatomic.h>

#define NET_CHUNK_BYTES       KIB(16)
#define NET_CHUNK_SMALL_BYTES KIB(1)
#define NET_CHUNKS_CACHED_MAX 64
#define NET_SCRATCH_BYTES     KIB(256)
#define NET_LINGER_MS         1000
/* While the budget of output is half taken a connection is congested above this. */
#define NET_PRESSED_HIGH_BYTES KIB(64)

/* ---- output.c ------------------------------------------------------------------------------------------------------- */

/* A piece of output: bytes inside the chunk, or a range of a file. */
typedef struct net_chunk {
    struct net_chunk *next;
    size_t at;  /* sent so far */
    size_t len; /* filled */
    size_t cap; /* room in data; 0 when the bytes are in a file */
    io_file_t *file;
    uint64_t file_offset;
    void (*release)(void *user);
    void *release_user;
    uint8_t data[];
} net_chunk_t;

/* Where chunks go when they are sent: those of the usual size wait here for their next use. A carrier's keeps all of
 * them as they are, for their owner. */
typedef struct net_chunk_cache {
    net_chunk_t *first;
    uint32_t count;
    bool keeps_all;
    uint32_t lent; /* chunks of NET_CHUNK_BYTES that somebody fills or sends */
} net_chunk_cache_t;

uint8_t *net__output_reserve(net_output_t *out, net_chunk_cache_t *cache, size_t n);
void net__output_add_file(net_output_t *out, net_chunk_cache_t *cache, io_file_t *file, uint64_t offset, size_t n,
                          void (*release)(void *user), void *user);
/* Moves all of `from` behind what is there. */
void net__output_take(net_output_t *out, net_output_t *from);
/* The same, but small chunks, unsent, share one: behind a stream that is full each turn's few bytes would else keep a
 * whole chunk. */
void net__output_join(net_output_t *out, net_chunk_cache_t *cache, net_output_t *from);
/* A peer that reads as fast as it is written to is sent so much in a turn. */
#define NET_SEND_BYTES_MAX MIB(4)
/* Sends what the stream takes, up to NET_SEND_BYTES_MAX. 0 when all is out, ERR_AGAIN when the rest waits until the stream is
 * writable, another error when it is gone. */
int net__output_send(net_output_t *out, net_chunk_cache_t *cache, io_stream_t *stream, uint64_t *sent_bytes);
/* The same by TLS. 0 as well while hands are still being shaken: the rest waits for that, not for the stream. What is sealed is taken
 * from `out`, and counted as sent when all of it left. */
typedef struct net_tls {
    tls_engine_t *engine;
    tls_workspace_t *workspace;
} net_tls_t;
int net__output_send_tls(net_output_t *out, net_chunk_cache_t *cache, net_tls_t tls, io_stream_t *stream,
                         uint64_t *sent_bytes);
void net__output_clear(net_output_t *out, net_chunk_cache_t *cache);
void net__chunk_free(net_chunk_cache_t *cache, net_chunk_t *chunk);
void net__chunk_cache_free(net_chunk_cache_t *cache);

/* ---- carrier.c ------------------------------------------------------------------------------------------------------ */

typedef struct net_carrier net_carrier_t;
typedef struct net_link net_link_t; /* the carrier's side of a connection */

/* Input that a carrier has read. */
typedef struct net_block {
    struct net_block *next;
    size_t len;
    size_t cap;
    uint8_t data[];
} net_block_t;

/* What one side has to tell the other of one connection, gathered over a turn. An order goes from the connection to its
 * link, a report back. */
typedef struct net_parcel {
    net_link_t *link;
    net_conn_t *conn;
    net_output_t output; /* order: to be sent. Report: the chunks that were, and `bytes` = how much left */
    net_block_t *blocks; /* order: spent. Report: input, in the order of `next` */
    net_block_t *blocks_last;
    uint32_t reads;      /* order: so many further blocks may be read */
    int32_t keepalive_s; /* order: -1 = as it is */
    int ended;           /* report: 0, or why nothing more is read: NET_END or an error */
    bool closes;         /* order: close it now. Report: it is closed, and nothing follows */
    bool settles;        /* order: tls_engine_settle */
    bool tells_tls;      /* report: what follows has changed */
    tls_state_t tls;
    size_t held_bytes; /* of a record that is not whole */
    const char *why;   /* TLS_FAILED; static */
} net_parcel_t;

#define NET_END 1 /* the peer said all */

/* For the owner's reactor. */
net_carrier_t *net__carrier_new(net_t *net, io_loop_t *loop);
/* Its thread has ended, and all its connections are closed. */
void net__carrier_free(net_carrier_t *carrier);
/* Takes the socket. The first order opens the link. */
net_carrier_t *net__link_carrier(const net_link_t *link);
net_link_t *net__link_new(net_carrier_t *carrier, net_conn_t *conn, io_socket_t *socket, tls_engine_t *tls);
/* This turn's order to the link. */
net_parcel_t *net__order(net_link_t *link);
void net__post_orders(net_carrier_t *carrier);
/* At the end: makes the carrier do what it was told, on this thread. */
void net__carrier_settle(net_carrier_t *carrier);

/* ---- the connection ------------------------------------------------------------------------------------------------- */

typedef enum net_budget_kind { NET_INPUT, NET_OUTPUT, NET_BUDGETS_COUNT } net_budget_kind_t;
typedef struct net_address net_address_t;

typedef enum conn_state { CONN_CONNECTING, CONN_OPEN, CONN_CLOSING, CONN_DEAD, CONN_LEAVING } conn_state_t;

struct net_conn {
    net_t *net;
    const net_service_t *def;
    net_stats_t *stats;
    void *service;
    void *user;
    void *listener_user;
    io_stream_t *stream; /* NULL when it is carried: then `link` */
    net_link_t *link;
    tls_engine_t *tls;     /* between it and its stream, unless it is carried; NULL = plain text */
    tls_state_t tls_state; /* carried: as reported */
    size_t held_bytes;     /* of a record that is not whole */
    uint64_t shaking_since_ms;
    uint64_t id;
    list_t all_node;
    list_t work_node;  /* linked while the output's hook has something to do for it */
    list_t input_node; /* linked while input waits to be delivered again */
    list_t linger_node;
    conn_state_t state;
    bool opened;   /* on_open ran and accepted it */
    bool outgoing; /* made by net_connect: on_close tells of a failure to connect, too */
    bool paused;
    bool congested;
    bool blocked;    /* the stream took no more; wait until writable */
    bool ended;      /* the peer has said all */
    bool delivering; /* its service is at its input */
    unsigned watched;
    buf_t in;
    size_t in_taken; /* of `in`, by the service */
    bool in_given;   /* `in` became the service's while it was delivered: net_take_memory */
    size_t expect_bytes;
    net_output_t out;
    size_t carried_bytes; /* unsent, and with the carrier */
    size_t carried_file_bytes;
    size_t counted[NET_BUDGETS_COUNT];
    net_address_t *address; /* NULL for outgoing ones */
    bool stranger;
    bool greeted;
    io_timer_t deadline;
    uint64_t frame_since_ms; /* 0 = no frame is unfinished */
    size_t frame_bytes;      /* of it, by then */
    uint32_t reads_owed;     /* blocks that came and whose like may not be read yet */
    uint64_t linger_until_ns;
    uint64_t opened_ms;
    uint64_t active_ms;
    char *peer;
    char *local;
};

struct net_listener {
    net_t *net;
    const net_service_t *def;
    void *service;
    void *user;
    io_listener_t *io;
    bool protected;
    bool has_path;
    bool has_own_tls;   /* else net_secure's */
    tls_context_t *tls; /* NULL = plain text */
    bool allows_plain;
    list_t node;
};

/* What net_secure asked for a service. */
typedef struct net_secured {
    const char *service_name;
    tls_context_t *context;
    bool allows_plain;
} net_secured_t;

typedef struct service_stats {
    list_t node;
    const net_service_t *def;
    net_stats_t stats;
} service_stats_t;

typedef struct net_budget {
    size_t bytes, bytes_max, alone_bytes_max;
    net_conn_t *greediest; /* as long as its bytes are known */
    size_t greediest_bytes;
    uint64_t shed;
} net_budget_t;

struct net {
    io_loop_t *loop;
    io_hook_t input_hook, hook;
    io_timer_t linger_timer;
    list_t conns;
    list_t leaving;     /* told of their end, but their links are still open */
    list_t work, input; /* net_conn.work_node, input_node */
    list_t lingering;
    list_t listeners;
    list_t services;
    uint64_t next_id;
    bool quiet;
    net_chunk_cache_t chunks;
    net_budget_t budgets[NET_BUDGETS_COUNT];
    net_totals_t totals; /* what has no place of its own */
    uint32_t conns_open, conns_max;
    atomic_uint conns_here, *conns_all; /* as conns_open, of the nets that count together: the first one's */
    uint32_t readers, readers_before;   /* connections that had something to say, in this turn and the last */
    size_t turn_moved_bytes;
    map_t addresses; /* service and host -> net_address_t */
    const char *protected[NET_PROTECTED_MAX];
    int protected_count;
    net_secured_t secured[NET_SECURED_MAX];
    int secured_count;
    net_told_cb told;
    void *told_user;
    net_carrier_t *carriers[NET_CARRIERS_MAX];
    uint32_t carriers_count;
    uint32_t carrier_next;
    tls_workspace_t tls;
    uint8_t scratch[NET_SCRATCH_BYTES];
};

/* net.c */
void net__queue_work(net_conn_t *conn);
/* What the connection keeps of its input is delivered again, before the hooks of this turn or of the next. */
void net__queue_input(net_conn_t *conn);
/* Closes the connection of a peer that has said all, unless it must wait for what it asked for. */
void net__close_ended(net_conn_t *conn);
/* Tells the service of the connection. */
void net__open(net_conn_t *conn);
/* Stops all traffic now; the hook tells the service and frees it. */
void net__kill(net_conn_t *conn);
void net__conn_free(net_conn_t *conn);
/* After output left: ends congestion, and a connection that only waited for it. */
void net__output_left(net_conn_t *conn);
static inline size_t net__unsent(const net_conn_t *conn)
{
    return conn->out.bytes + conn->carried_bytes + (conn->tls ? tls_engine_sealed(conn->tls) : 0);
}
static inline uint64_t net__now_ms(const net_t *net) { return io_now_ns(net->loop) / 1000000; }

void net__tell(net_t *net, net_event_t event, const net_conn_t *conn, size_t bytes);
void net__tell_why(net_t *net, net_event_t event, const net_conn_t *conn, size_t bytes, const char *why);

/* budget.c */
void net__budgets_init(net_t *net);
/* The connection holds so much now. May close it, or another. */
void net__count(net_conn_t *conn, net_budget_kind_t kind, size_t bytes);
/* More than half of the output's budget is taken: connections must read what they asked for sooner. */
bool net__pressed(const net_t *net);

/* admit.c */
void net__address_enter(net_conn_t *conn);
void net__address_leave(net_conn_t *conn);
bool net__protects(const net_t *net, const net_service_t *def);
/* Why a connection that was just accepted has no place; NET_EVENT_NONE = it has. */
net_event_t net__admit(net_conn_t *conn);

/* secure.c */
void net__listener_secure(net_listener_t *listener); /* as net_secure said of its service, if it did */
void net__secured_deinit(net_t *net);
void net__secure(net_conn_t *conn, tls_context_t *context, bool allows_plain); /* just accepted */
/* Reads into the net's scratch memory and delivers. Result as tls_engine_read. */
ssize_t net__secure_read(net_conn_t *conn, bool *ret_more);
/* After output must leave that may be none's reply: whoever has said nothing is taken for one who speaks plain text. */
void net__secure_settle(net_conn_t *conn);
/* Its engine stands so now, or was reported to. */
void net__secure_became(net_conn_t *conn, tls_state_t state, size_t held_bytes, const char *why);

/* deadline.c */
void net__deadline_init(net_conn_t *conn);
void net__deadline_opened(net_conn_t *conn);
void net__deadline_shaking(net_conn_t *conn); /* TLS begins */
/* After input was delivered and kept; `frame_ended`: the service took some of it. */
void net__deadline_input(net_conn_t *conn, bool frame_ended);

/* input.c */
bool net__may_deliver(const net_conn_t *conn);
/* What the stream or the carrier should tell of, as the connection stands. */
void net__update_watch(net_conn_t *conn);
/* Input that the carrier has read. */
void net__take_input(net_conn_t *conn, uint8_t *data, size_t len);
void net__count_input(net_conn_t *conn);
void net__deliver_kept(net_conn_t *conn);
/* The peer has said all: the connection closes once that was delivered. */
void net__input_ended(net_conn_t *conn);
/* The readiness callback of every stream here. */
void net__on_ready(void *user, unsigned events);

/* carried.c */
/* Gives the connection's stream to the next carrier. */
void net__carry(net_conn_t *conn);
/* Gives the output to the order of this turn; net__carried_post lets that go at once. */
void net__carried_send(net_conn_t *conn);
void net__carried_post(net_conn_t *conn);
/* Lets the carrier read as many blocks as are owed. */
void net__carried_read(net_conn_t *conn);
void net__carried_leave(net_conn_t *conn);
void net__on_report(net_parcel_t *report);

#endif
