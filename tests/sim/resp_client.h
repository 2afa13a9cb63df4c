/* resp_client.h: a scenario's Redis client: many commands in flight on one connection, and word of each that was answered. */
#ifndef TRIVET_TESTS_SIM_RESP_CLIENT_H
#define TRIVET_TESTS_SIM_RESP_CLIENT_H

#include "resp_text.h"
#include "scenario.h"

#include "io/io.h"

#define RESP_IN_FLIGHT_MAX 48

typedef struct resp_client {
    run_t *run;
    io_stream_t *stream; /* NULL = not connected */
    buf_t in, out;       /* commands are put into `out`: resp_text_put, resp_client_expect, resp_client_flush */
    struct {
        int tag, replies;
    } flight[RESP_IN_FLIGHT_MAX]; /* oldest first */
    int in_flight;
    bool failed; /* something with a tag was refused, or the connection is gone: nothing counts as answered any more */
    void (*answered)(void *user, int tag);
    /* Instead of it, with the last reply; then errors are answers, too. */
    void (*replied)(void *user, int tag, bytes_t reply);
    void *user;
} resp_client_t;

void resp_client_connect(resp_client_t *client, run_t *run, io_loop_t *loop, const char *host, uint16_t port);
/* What was put since makes so many replies; `answered` runs at the last of them. Tag 0: nobody asks, and it may be refused. */
void resp_client_expect(resp_client_t *client, int tag, int replies);
void resp_client_flush(resp_client_t *client);
void resp_client_close(resp_client_t *client);
void resp_client_deinit(resp_client_t *client);

#endif
