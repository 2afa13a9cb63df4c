/* listen.h: the addresses and the ports that clients connect to. */
#ifndef TRIVET_REDIS_CONN_LISTEN_H
#define TRIVET_REDIS_CONN_LISTEN_H

#include "net/net.h"

typedef struct clients clients_t;

#define REDIS_LISTENERS_MAX 16

typedef struct redis_listener {
    net_listener_t *net;
    char *host;
} redis_listener_t;

/* One an address, all of one port. */
typedef struct redis_listeners {
    redis_listener_t at[REDIS_LISTENERS_MAX];
    int count;
    int port;       /* 0 = none */
    bool is_secure; /* they speak TLS */
} redis_listeners_t;

/* On one more address, or with a path, which has no port. */
int listen__open(clients_t *clients, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
/* The same with TLS, by secure__use's context. */
int listen__open_secure(clients_t *clients, const char *host, uint16_t port) MUST_CHECK;
void listen__close(clients_t *clients);
/* Listens there from now on; on failure everything is as it was. Port 0: nowhere. */
int listen__change(clients_t *clients, const char *bind, int port, int tls_port, bool *ret_tls_failed) MUST_CHECK;
/* max-new-connections-per-cycle has changed, or that of TLS. */
void listen__tune(clients_t *clients);

#endif
