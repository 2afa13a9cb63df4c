/* secure.c: the tls-* directives become a context of the net's (net/tls.h). */
#include "redis/conn/secure.h"
#include "redis/config/config_table.h"
#include "redis/conn/clients.h"

#include "base/slog.h"

#include <stdio.h>

static const char *given(const char *text) { return *text ? text : NULL; }

/* 0 = a name among them is none. */
static unsigned protocols_of(const char *text)
{
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{"tlsv1", TLS_PROTOCOL_1_0},
                {"tlsv1.1", TLS_PROTOCOL_1_1},
                {"tlsv1.2", TLS_PROTOCOL_1_2},
                {"tlsv1.3", TLS_PROTOCOL_1_3}};
    unsigned bits = 0;
    bytes_t rest = bytes_str(text), word;
    while ((word = directive_take_word(&rest)).len) {
        unsigned bit = 0;
        for (size_t i = 0; i < ARRAY_LEN(rows); i++)
            if (bytes_eq_nocase(word, bytes_str(rows[i].name))) bit = rows[i].bit;
        if (!bit) return 0;
        bits |= bit;
    }
    return bits;
}

static tls_settings_t settings_of(const redis_config_t *c)
{
    static const tls_clients_t clients[] = {[REDIS_TLS_CLIENTS_NO] = TLS_CLIENTS_UNASKED,
                                            [REDIS_TLS_CLIENTS_YES] = TLS_CLIENTS_REQUIRED,
                                            [REDIS_TLS_CLIENTS_OPTIONAL] = TLS_CLIENTS_OPTIONAL};
    return (tls_settings_t){.cert_file = given(c->tls_cert_file),
                            .key_file = given(c->tls_key_file),
                            .key_pass = given(c->tls_key_file_pass),
                            .ca_file = given(c->tls_ca_cert_file),
                            .ca_dir = given(c->tls_ca_cert_dir),
                            .ciphers = given(c->tls_ciphers),
                            .ciphersuites = given(c->tls_ciphersuites),
                            .dh_params_file = given(c->tls_dh_params_file),
                            .protocols = protocols_of(c->tls_protocols),
                            .clients = clients[c->tls_auth_clients],
                            .prefers_own_ciphers = c->tls_prefer_server_ciphers,
                            .caches_sessions = c->tls_session_caching,
                            .sessions_max = c->tls_session_cache_size,
                            .session_timeout_s = c->tls_session_cache_timeout_s};
}

/* In the original's words. */
static const char *missing(const redis_config_t *c, const tls_settings_t *s)
{
    if (!s->cert_file) return "No tls-cert-file configured!";
    if (!s->key_file) return "No tls-key-file configured!";
    if (s->clients != TLS_CLIENTS_UNASKED && !s->ca_file && !s->ca_dir)
        return "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when tls-cluster, tls-replication or "
               "tls-auth-clients are enabled!";
    if (*c->tls_protocols && !s->protocols)
        return "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.";
    return NULL;
}

int secure__make(const redis_config_t *config, tls_context_t **ret_context, char why[TLS_WHY_CHARS_MAX])
{
    tls_settings_t settings = settings_of(config);
    const char *wrong = missing(config, &settings);
    if (!wrong) return tls_context_new(&settings, ret_context, why);
    snprintf(why, TLS_WHY_CHARS_MAX, "%s", wrong);
    return ERR_INVALID;
}

void secure__use(clients_t *clients, const redis_config_t *made_of, tls_context_t *context)
{
    tls_settings_t settings = settings_of(made_of);
    tls_context_unref(clients->secure.context);
    clients->secure.context = context;
    clients->secure.files = tls_settings_files(&settings);
    for (int i = 0; i < clients->tls_listeners.count; i++)
        net_listener_secure(clients->tls_listeners.at[i].net, context, false);
}

void secure__reload(clients_t *clients)
{
    char why[TLS_WHY_CHARS_MAX];
    tls_context_t *context;
    if (!clients->secure.context) return;
    tls_settings_t settings = settings_of(clients->config);
    clients->secure.files = tls_settings_files(&settings); /* what does not fit is tried again when it changes */
    if (secure__make(clients->config, &context, why)) {
        slog(SLOG_WARN, "redis", "certificates stay as they are", "why=\"%s\"", why);
        return;
    }
    secure__use(clients, clients->config, context);
    slog(SLOG_INFO, "redis", "certificates were read again", "file=%s", clients->config->tls_cert_file);
}

void secure__cron(clients_t *clients)
{
    int64_t every_ms = clients->config->tls_auto_reload_interval_s * 1000, now_ms = clients->keyspace->now_ms;
    if (!every_ms || !clients->secure.context || now_ms - clients->secure.looked_ms < every_ms) return;
    clients->secure.looked_ms = now_ms;
    tls_settings_t settings = settings_of(clients->config);
    if (tls_settings_files(&settings) != clients->secure.files) secure__reload(clients);
}

void secure__deinit(clients_t *clients) { tls_context_unref(clients->secure.context); }
