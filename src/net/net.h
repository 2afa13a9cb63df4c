/* net.h: connections: framing's input buffer, coalesced output, back-pressure, limits and deadlines. One net_t for
 * the connections of a reactor, which owns what they change; carriers may read and write for it.
 *
 * A service (a protocol) gets bytes through on_data and answers with net_write and its kin; what a turn of the loop
 * wrote leaves in one system call, from the loop's hook at rank 90. Nothing here blocks.
 *
 * Input: bytes not consumed by on_data stay and come again in front of the next ones. A connection whose unconsumed
 * input would pass `in_bytes_max` is closed (a frame's length must be refused earlier, with the protocol's own error).
 * Output: above `out_bytes_high` unsent bytes a connection's input is no longer delivered and, but for
 * `in_bytes_congested_max`, no longer read (back-pressure); above `out_bytes_max` it is closed. A service that can write
 * much for little input asks net_congested between requests and returns early when it says so.
 *
 * All connections together have budgets, too (net_set_bounds): what exceeds one closes the greediest. Memory for input is taken as
 * input arrives, whatever a frame announces. */
#ifndef TRIVET_NET_NET_H
#define TRIVET_NET_NET_H

#include "base/base.h"
#include "base/buf.h"
#include "base/list.h"
#include "io/io.h"
#include "net/tls.h"

typedef struct net net_t;
typedef struct net_conn net_conn_t;
typedef struct net_listener net_listener_t;

typedef struct net_limits {
    size_t in_bytes_max; /* largest frame */
    /* Read and kept while above `out_bytes_high`: a peer that sends all before it reads anything must come to its
     * reading. 0 = as much as the kernel holds. */
    size_t in_bytes_congested_max;
    size_t out_bytes_high; /* stop reading above */
    size_t out_bytes_max;  /* close above; 0 = no limit */
    uint32_t conns_max; /* open connections of this service; further ones get `refusal` and are closed; 0 = no limit */
    /* Closed when it is silent for so long before net_greeted, or is not greeted in six times that; 0 = no limit. */
    uint32_t handshake_ms;
    /* Closed when a frame that has begun neither ends nor grows by 1 KiB in that time; 0 = no limit. */
    uint32_t frame_ms;
} net_limits_t;

typedef struct net_service {
    const char *name;
    /* A new connection: set its state with net_conn_set_user. Non-zero refuses it (closed at once, after any output). */
    int (*on_open)(net_conn_t *conn, void *service);
    /* Consumes all the requests it can and returns their bytes (0 = wait for more), or a negative error: the connection is
     * closed once what was written is out. Bytes left over come again when more arrive, or after net_resume or congestion.
     * `data` is valid during the call only; it may be written to. */
    ssize_t (*on_data)(net_conn_t *conn, uint8_t *data, size_t len);
    /* Whether the peer, who has said all, is still owed something: input that waits behind a pause, or an answer under way.
     * It is asked when the peer ends, and again whenever input was delivered or output left. NULL = never. */
    bool (*is_awaited)(const net_conn_t *conn);
    /* The peer or net_close closed it; free the state. Never called inside on_data or on_open. */
    void (*on_close)(net_conn_t *conn);
    net_limits_t limits;
    const char *refusal; /* may be NULL */
} net_service_t;

net_t *net_new(io_loop_t *loop);
void net_free(net_t *net); /* closes all connections and listeners */
/* From now on services are given no more input; what they wrote still leaves. For the end, when they stop one after another. */
void net_quiet(net_t *net);
/* The loop of a carrier, which reads and writes for connections accepted from now on; several take turns. Services run
 * here all the same. Before its thread starts; its thread must have ended before net_free. */
#define NET_CARRIERS_MAX 63
void net_add_carrier(net_t *net, io_loop_t *loop);
io_loop_t *net_loop(const net_t *net);

/* What all connections share; 0 = no limit. */
typedef struct net_bounds {
    size_t in_bytes_max;    /* unfinished input */
    size_t out_bytes_max;   /* unsent output in memory */
    size_t alone_bytes_max; /* so much of the greediest connection's does not count */
    uint32_t conns_max;     /* further ones get their service's `refusal` and are closed */
} net_bounds_t;
void net_set_bounds(net_t *net, const net_bounds_t *bounds);
/* From here on `conns_max` bounds the connections of both together, and of all that share with `first`, which is freed last.
 * They may be on other reactors. */
void net_share_count(net_t *net, net_t *first);

/* Services of that name refuse peers that are not on this machine's loopback: net_conn_is_stranger says so, and the
 * service answers in its protocol's words. Before net_listen; the name lives as long as the net. */
#define NET_PROTECTED_MAX 4
void net_protect(net_t *net, const char *service_name);
bool net_host_is_loopback(bytes_t host); /* or a path, which is nowhere else */

/* What befell a connection because of a limit: `told` runs for each, on the net's loop, and may not touch the net. `bytes` is what
 * the connection held of that whose limit it is. The peer is "" when there is no connection; `why` is NULL but where it is named. */
typedef enum net_event {
    NET_EVENT_NONE,
    NET_EVENT_CONNS_MAX,
    NET_EVENT_SERVICE_CONNS_MAX,
    NET_EVENT_REFUSED, /* by the service */
    NET_EVENT_NO_DESCRIPTOR,
    NET_EVENT_NO_MEMORY, /* for its input; `bytes` is what it would have held */
    NET_EVENT_INPUT_BUDGET,
    NET_EVENT_OUTPUT_BUDGET,
    NET_EVENT_HANDSHAKE_LATE,
    NET_EVENT_FRAME_LATE,
    NET_EVENT_STRANGER,
    NET_EVENT_TLS_FAILED, /* the handshake, or a record; `why` is OpenSSL's reason */
    NET_EVENTS_COUNT
} net_event_t;
typedef void (*net_told_cb)(void *user, net_event_t event, const char *service, const char *peer, size_t bytes,
                            const char *why);
void net_on_event(net_t *net, net_told_cb told, void *user);

/* Port 0 picks a free one. `service` is the user pointer handed to on_open; `def` must outlive the net. */
int net_listen(net_t *net, const char *host, uint16_t port, const net_service_t *def, void *service,
               net_listener_t **ret_listener) MUST_CHECK;
/* At a path, as io_listen_path. */
int net_listen_path(net_t *net, const char *path, unsigned mode, const char *group, const net_service_t *def,
                    void *service, net_listener_t **ret_listener) MUST_CHECK;
int net_listener_tune(net_listener_t *listener, int backlog, uint32_t accepts_max) MUST_CHECK; /* io_listener_tune */
/* All listeners of services of that name but those at a path, and but those that net_listener_secure was called for: as that. For those
 * that there are, and for those to come; the name lives as long as the net. */
#define NET_SECURED_MAX 4
void net_secure(net_t *net, const char *service_name, tls_context_t *context, bool allows_plain);
/* Connections accepted from now on speak TLS; with `allows_plain` their first byte decides. NULL: plain text again. Those that are open stay
 * as they are. A handshake that is not done in 10 seconds ends the connection. Services see plain text either way. */
#define NET_TLS_HANDSHAKE_MS 10000
void net_listener_secure(net_listener_t *listener, tls_context_t *context, bool allows_plain); /* keeps a reference */
uint16_t net_listener_port(const net_listener_t *listener);
/* For net_conn_listener_user of the connections that come by it from now on. */
void net_listener_set_user(net_listener_t *listener, void *user);
void net_listener_close(net_listener_t *listener); /* open connections stay */
/* An outgoing connection with the same life; on_open runs when connected, on_close alone when it fails. */
int net_connect(net_t *net, const char *host, uint16_t port, const net_service_t *def, void *service,
                net_conn_t **ret_conn) MUST_CHECK;

void *net_conn_user(const net_conn_t *conn);
void net_conn_set_user(net_conn_t *conn, void *user);
void *net_conn_listener_user(const net_conn_t *conn); /* NULL = none was set */
uint64_t net_conn_id(const net_conn_t *conn);         /* unique in the process's life, from 1 */
const char *net_conn_peer(const net_conn_t *conn);    /* "127.0.0.1:51234" */
const char *net_conn_local(const net_conn_t *conn);   /* the address at which the peer reached us */
bytes_t net_conn_host(const net_conn_t *conn);        /* of the peer, without port and brackets; or the path */
bool net_conn_has_path(const net_conn_t *conn);       /* it came by a path of the machine's, not by an address */
/* Open connections of the same service from the same host, this one among them. */
uint32_t net_conn_siblings(const net_conn_t *conn);
bool net_conn_is_stranger(const net_conn_t *conn);
bool net_conn_is_secure(const net_conn_t *conn); /* it speaks TLS, and the handshake is done */
/* Counts and tells it, and closes behind what was written. */
void net_refuse_stranger(net_conn_t *conn);
/* The handshake is done: handshake_ms no longer applies. */
void net_greeted(net_conn_t *conn);
uint64_t net_conn_active_ms(const net_conn_t *conn); /* last byte read */
size_t net_conn_in_bytes(const net_conn_t *conn);    /* unconsumed */
size_t net_conn_out_bytes(const net_conn_t *conn);   /* unsent */

/* Within on_data: hands over the memory that its `data` lies in, so that a large frame need not be copied to last; `end` is the frame's.
 * What lies behind it is delivered in a later call, so the service returns without looking at it. False when the memory is not
 * the connection's own, or has too much behind the frame. */
bool net_take_memory(net_conn_t *conn, const uint8_t *end, buf_t *ret_memory) MUST_CHECK;

/* Output. net_reserve gives `n` contiguous bytes to fill, net_commit says how many were used (nothing else may be
 * written between). All copy but net_write_file (refers to the file, which must stay open until `release(file_user)`
 * runs). Writing to a closing connection is allowed and has no effect. */
uint8_t *net_reserve(net_conn_t *conn, size_t n);
void net_commit(net_conn_t *conn, size_t n);
void net_write(net_conn_t *conn, const void *data, size_t n);
void net_write_file(net_conn_t *conn, io_file_t *file, uint64_t offset, size_t n, void (*release)(void *file_user),
                    void *file_user);

/* Output that is made before its place has come, over as many turns as that takes; written whole, it is not copied again. Zeroed,
 * it is empty. */
typedef struct net_output {
    struct net_chunk *first, *last;
    size_t bytes;      /* unsent */
    size_t file_bytes; /* of these, ranges of files */
} net_output_t;
/* Returns where the copy lies, to be changed until the output is written. */
uint8_t *net_output_add(net_t *net, net_output_t *output, const void *data, size_t n);
void net_write_output(net_conn_t *conn, net_output_t *output);
void net_output_drop(net_t *net, net_output_t *output);

/* Sends now what would be sent at the end of the turn: large replies are still in the cache then, and their memory is
 * used again at once. The caller knows that nothing they depend on is yet to be written. */
void net_send(net_conn_t *conn);

/* More unsent output than `out_bytes_high`: nothing further is delivered until half of it is out. */
bool net_congested(const net_conn_t *conn);
/* Stops and resumes calls of on_data. Up to NET_PAUSED_IN_BYTES_MAX of input are still read, so that a dead peer is
 * noticed. Resuming delivers what is there in this turn's hook or the next turn, never inside the call. */
#define NET_PAUSED_IN_BYTES_MAX KIB(64)
void net_pause(net_conn_t *conn);
void net_resume(net_conn_t *conn);
/* Asks a silent peer for signs of life (io_stream_keepalive). */
void net_keepalive(net_conn_t *conn, uint32_t seconds);
/* Closes after pending output is sent (at most `linger_ms`, 1,000), or at once. Safe to call at any time, twice too. */
void net_close(net_conn_t *conn);
void net_close_now(net_conn_t *conn);
/* Says that the frame being read has `n` bytes in all: it is delivered when they are there. */
void net_expect(net_conn_t *conn, size_t n);

/* Walks the connections of one service; the connection itself may be closed in `each`. */
void net_each(net_t *net, const net_service_t *def, void (*each)(void *user, net_conn_t *conn), void *user);
/* Counters for metrics. */
typedef struct net_stats {
    uint64_t accepted, refused, closed, in_bytes, out_bytes;
    uint32_t open;
} net_stats_t;
net_stats_t net_service_stats(const net_t *net, const net_service_t *def);
/* Of all services. */
typedef struct net_totals {
    uint32_t conns;             /* that hold a descriptor */
    size_t in_bytes, out_bytes; /* unfinished, unsent, as the budgets count them */
    uint64_t in_shed, out_shed; /* closed because of them */
    uint64_t late, strangers, no_descriptor, no_memory;
    uint64_t tls_handshakes, tls_failed;
} net_totals_t;
net_totals_t net_totals(const net_t *net);

#endif
