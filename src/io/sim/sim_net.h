/* sim_net.h: the two ends of a simulated connection, shared by sim_net.c (how it comes about) and sim_stream.c (how bytes
 * flow). */
#ifndef TRIVET_IO_SIM_NET_H
#define TRIVET_IO_SIM_NET_H

#include "io/sim/sim_internal.h"

typedef enum sim_segment_kind {
    SEGMENT_CONNECTED,
    SEGMENT_REFUSED,
    SEGMENT_DATA,
    SEGMENT_END,
    SEGMENT_RESET
} sim_segment_kind_t;

/* Something under way to a stream. */
typedef struct sim_segment {
    list_t node;
    sim_segment_kind_t kind;
    uint64_t due_ns;
    size_t bytes;
    uint8_t data[];
} sim_segment_t;

/* connecting -> open -> (ended | failed); a stream that was accepted starts open. */
struct sim_stream {
    io_stream_t base;
    io_socket_t socket; /* its name between two loops */
    sim_loop_t *loop;
    list_t node;          /* of its loop, or of a listener's queue before it was accepted */
    sim_stream_t *peer;   /* NULL: the other end is closed, or not yet made */
    sim_node_t *far_node; /* where the other end is */
    bool connecting;
    bool ended; /* the peer's end of stream has arrived */
    int error;  /* why it failed */
    buf_t received;
    list_t incoming; /* sim_segment_t, in order of arrival */
    size_t incoming_bytes;
    uint64_t incoming_last_ns;
    io_timer_t arrival; /* of the first of them; while connecting, of our request at the far node */
    uint32_t attempts;
    uint16_t far_port;
    char *far_path; /* in place of it; NULL = none */
    unsigned events;
    io_ready_cb ready;
    void *user;
    sim_item_t item;
    char peer_addr[IO_ADDR_CHARS_MAX];
    char local_addr[IO_ADDR_CHARS_MAX];
};

struct sim_listener {
    io_listener_t base;
    list_t node;
    uint16_t port;
    char *path; /* in place of a port; NULL = none */
    uint32_t backlog;
    uint32_t queued;
    io_accept_cb accept;
    void *user;
    list_t queue; /* sim_stream_t */
    sim_item_t item;
};

sim_stream_t *sim__stream_new(sim_loop_t *loop, sim_node_t *far_node);
/* Sends to `to` from its far node. */
void sim__send(sim_stream_t *to, sim_segment_kind_t kind, const void *data, size_t bytes);
/* The stream's state changed: its owner may want to know. */
void sim__stream_update(sim_stream_t *stream);
void sim__stream_free(sim_stream_t *stream);

#endif
