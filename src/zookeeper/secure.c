/* secure.c: what ssl.* of zoo.cfg asks for becomes a context of the net's (net/tls.h). */
#include "base/slog.h"
#include "zookeeper/zookeeper_internal.h"

#include <stdio.h>
#include <strings.h>

/* As there, the end of a file's name tells its type where no type is given. */
static const char *type_of(const char *type, const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    if (type && *type) return type;
    return dot && strcasecmp(dot, ".pem") == 0 ? "PEM" : "PKCS12";
}

static unsigned protocols_of(const char *list)
{
    unsigned bits = 0;
    for (const char *at = list; at && *at; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ", ");
        if (bytes_eq(bytes_of(at, len), BYTES_LIT("TLSv1.2"))) bits |= TLS_PROTOCOL_1_2;
        if (bytes_eq(bytes_of(at, len), BYTES_LIT("TLSv1.3"))) bits |= TLS_PROTOCOL_1_3;
        at += len;
    }
    return bits;
}

static tls_settings_t settings_of(const zookeeper_config_t *c)
{
    tls_settings_t s = {.protocols = protocols_of(c->protocols), .clients = TLS_CLIENTS_REQUIRED};
    tls_settings_keystore(&s, c->key_store, type_of(c->key_store_type, c->key_store), c->key_store_pass);
    tls_settings_truststore(&s, c->trust_store, type_of(c->trust_store_type, c->trust_store), c->trust_store_pass);
    if (strcasecmp(c->client_auth, "want") == 0) s.clients = TLS_CLIENTS_OPTIONAL;
    if (strcasecmp(c->client_auth, "none") == 0) s.clients = TLS_CLIENTS_UNASKED;
    return s;
}

static const char *wrong(const zookeeper_config_t *c)
{
    bool known = strcasecmp(c->client_auth, "need") == 0 || strcasecmp(c->client_auth, "want") == 0 ||
                 strcasecmp(c->client_auth, "none") == 0;
    if (!known) return "ssl.clientAuth is need, want or none";
    if (!c->key_store) return "TLS needs ssl.keyStore.location";
    if (!c->trust_store && strcasecmp(c->client_auth, "none") != 0)
        return "clients are asked for a certificate: that needs ssl.trustStore.location, or ssl.clientAuth=none";
    if (c->protocols && !protocols_of(c->protocols)) return "ssl.enabledProtocols are TLSv1.2 and TLSv1.3";
    return NULL;
}

static int make(zookeeper_t *zk, tls_context_t **ret_context, char why[TLS_WHY_CHARS_MAX])
{
    const char *no = wrong(&zk->config);
    tls_settings_t settings = settings_of(&zk->config);
    zk->tls_files = tls_settings_files(&settings);
    if (!no) return tls_context_new(&settings, ret_context, why);
    snprintf(why, TLS_WHY_CHARS_MAX, "%s", no);
    return ERR_INVALID;
}

int zookeeper_secure(zookeeper_t *zk, char why[TLS_WHY_CHARS_MAX])
{
    if (!zk->config.secure_port && !zk->config.port_unification) return 0;
    return make(zk, &zk->tls, why);
}

bool zookeeper_speaks_tls(const zookeeper_t *zk) { return zk->tls != NULL; }

void zk__present(zookeeper_t *zk, const zk_listener_t *listener)
{
    if (listener->is_secure || zk->config.port_unification)
        net_listener_secure(listener->net, zk->tls, !listener->is_secure);
}

void zookeeper_reload(zookeeper_t *zk, bool forced)
{
    char why[TLS_WHY_CHARS_MAX];
    tls_context_t *context;
    if (!zk->tls || zk->stopping) return;
    tls_settings_t settings = settings_of(&zk->config);
    if (!forced && tls_settings_files(&settings) == zk->tls_files) return;
    if (make(zk, &context, why)) { /* it is tried again when the files change */
        slog(SLOG_WARN, "zookeeper", "certificates stay as they are", "why=\"%s\"", why);
        return;
    }
    tls_context_unref(zk->tls);
    zk->tls = context;
    for (int i = 0; i < zk->listeners_count; i++) zk__present(zk, &zk->listeners[i]);
    slog(SLOG_INFO, "zookeeper", "certificates were read again", "file=%s", zk->config.key_store);
}
