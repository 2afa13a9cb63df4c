/* secure.h: what the tls-* directives ask for, and when their files are read again. */
#ifndef TRIVET_REDIS_SECURE_H
#define TRIVET_REDIS_SECURE_H

#include "net/tls.h"
#include "redis/config/config.h"

typedef struct clients clients_t;

/* Of a tls-port. */
typedef struct redis_secure {
    tls_context_t *context; /* NULL until there is one */
    uint64_t files;         /* tls_settings_files, as they were read */
    int64_t looked_ms;
} redis_secure_t;

/* Makes what the directives ask for; on failure `why` says what does not fit. */
int secure__make(const redis_config_t *config, tls_context_t **ret_context, char why[TLS_WHY_CHARS_MAX]) MUST_CHECK;
/* Presents it to those who connect from now on, and takes it over. */
void secure__use(clients_t *clients, const redis_config_t *made_of, tls_context_t *context);
/* Reads the files again, now, or when tls-auto-reload-interval says so and they have changed. What does not fit is told to the log,
 * and everything stays as it was. */
void secure__reload(clients_t *clients);
void secure__cron(clients_t *clients);
void secure__deinit(clients_t *clients);

#endif
