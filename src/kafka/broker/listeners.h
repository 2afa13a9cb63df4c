/* listeners.h: where the broker listens: `listeners` by name, each with the protocol that listener.security.protocol.map gives it,
 * and what ssl.* says those present that speak TLS. Without `listeners` there is one, PLAINTEXT, at every address it is opened at. */
#ifndef TRIVET_KAFKA_LISTENERS_H
#define TRIVET_KAFKA_LISTENERS_H

#include "kafka/kafka_internal.h"

#define LISTENERS_MAX            16
#define LISTENERS_NAME_CHARS_MAX 64
#define LISTENERS_HOST_CHARS_MAX 256

typedef struct listeners_spec {
    char name[LISTENERS_NAME_CHARS_MAX];
    char host[LISTENERS_HOST_CHARS_MAX]; /* "" = every address */
    uint16_t port;
    bool is_secure;
} listeners_spec_t;

/* Those for clients: controllers' are left out. Returns how many, or a negative error that `err` explains. */
int listeners_parse(const char *listeners, const char *protocols, const char *controllers,
                    listeners_spec_t ret_specs[LISTENERS_MAX], char *err, size_t err_bytes) MUST_CHECK;

listeners_t *listeners_new(void);
void listeners_free(listeners_t *listeners);
/* Reads what the settings say, and the certificates that they name. Before anything is opened. */
int listeners_configure(kafka_t *kafka, char *err, size_t err_bytes) MUST_CHECK;
/* The first of those that are configured, there; with it the others, where the settings say. */
int listeners_open(kafka_t *kafka, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
void listeners_close(kafka_t *kafka);
/* Reads certificates again when their files have changed, or in any case. */
void listeners_reload(kafka_t *kafka, bool forced);
bool listeners_speak_tls(const kafka_t *kafka);

/* The i-th that is open, each name once; NULL at the end. */
const listeners_spec_t *listeners_at(const kafka_t *kafka, int i);
/* The name of the one by which the connection came; NULL when `listeners` does not name them. */
const char *listeners_name_of(const kafka_t *kafka, const net_conn_t *conn);

#endif
