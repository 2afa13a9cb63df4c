/* conns.h: the connections of one HTTP listener. There are few, and a newcomer always finds a place: the oldest of the address that
 * has the most gives way, so that half requests, however many, cannot keep a health check out. */
#ifndef TRIVET_HTTP_CONNS_H
#define TRIVET_HTTP_CONNS_H

#include "base/base.h"
#include "base/list.h"
#include "io/io.h"

struct MHD_Connection;

typedef struct http_conns {
    io_loop_t *loop;
    list_t conns; /* oldest first */
    uint32_t count, count_max;
    io_timer_t sweep;
    uint64_t evicted, late;
} http_conns_t;

void http__conns_init(http_conns_t *conns, io_loop_t *loop, uint32_t count_max);
void http__conns_deinit(http_conns_t *conns);
/* For MHD_OPTION_NOTIFY_CONNECTION: `*slot` is the connection's own. */
void http__conn_opened(http_conns_t *conns, struct MHD_Connection *connection, void **slot);
void http__conn_closed(http_conns_t *conns, void **slot);
/* A request is whole: the deadline for the next one begins. */
void http__conn_asked(http_conns_t *conns, struct MHD_Connection *connection);
bool http__conn_is_local(struct MHD_Connection *connection);

#endif
