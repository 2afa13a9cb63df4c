/* listeners.c: see listeners.h. */
#include "kafka/broker/listeners.h"
#include "kafka/broker/connection.h"
#include "kafka/config/config.h"

#include "base/slog.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define OPEN_MAX 32 /* addresses of all of them */

struct listeners {
    listeners_spec_t specs[LISTENERS_MAX]; /* those that have a name; the first is opened where the server says */
    int count;
    bool given; /* by `listeners`; else there is only PLAINTEXT */
    net_listener_t *open[OPEN_MAX];
    const listeners_spec_t *open_as[OPEN_MAX];
    int open_count;
    tls_context_t *context; /* NULL = none speaks TLS */
    uint64_t files;         /* tls_settings_files, as they were read */
};

listeners_t *listeners_new(void) { return mem_zalloc(sizeof(listeners_t)); }

void listeners_free(listeners_t *l)
{
    if (!l) return;
    tls_context_unref(l->context);
    mem_free(l);
}

/* ---- what `listeners` says ---------------------------------------------------------------------------------------------- */

/* Whether `name` is one of a list apart by commas. */
static bool lists(const char *list, bytes_t name)
{
    while (list && *list) {
        size_t len = strcspn(list, ",");
        if (bytes_eq_nocase(bytes_of(list, len), name)) return true;
        list += len + (list[len] == ',');
    }
    return false;
}

/* The protocol of a name in "NAME:PROTOCOL,..."; empty = it is not there. */
static bytes_t protocol_of(const char *map, bytes_t name)
{
    while (map && *map) {
        size_t len = strcspn(map, ",");
        const char *colon = memchr(map, ':', len);
        if (colon && bytes_eq_nocase(bytes_of(map, (size_t)(colon - map)), name))
            return bytes_of(colon + 1, len - (size_t)(colon + 1 - map));
        map += len + (map[len] == ',');
    }
    return BYTES_LIT("");
}

/* NAME://host:port. False: it is not of that form. */
static bool split(bytes_t text, listeners_spec_t *ret_spec, bytes_t *ret_name)
{
    const char *at = (const char *)text.ptr, *slashes = memmem(at, text.len, "://", 3),
               *colon = memrchr(at, ':', text.len);
    if (!slashes || !colon || colon < slashes + 3) return false;
    bytes_t host = bytes_of(slashes + 3, (size_t)(colon - slashes) - 3),
            digits = bytes_of(colon + 1, text.len - (size_t)(colon + 1 - at));
    if (host.len > 1 && host.ptr[0] == '[') host = bytes_of(host.ptr + 1, host.len - 2); /* IPv6 */
    char number[8] = "", *end;
    *ret_name = bytes_of(at, (size_t)(slashes - at));
    if (digits.len == 0 || digits.len >= sizeof(number) || ret_name->len == 0 ||
        ret_name->len >= sizeof(ret_spec->name) || host.len >= sizeof(ret_spec->host))
        return false;
    memcpy(number, digits.ptr, digits.len);
    long port = strtol(number, &end, 10);
    if (*end || port < 0 || port > UINT16_MAX) return false;
    *ret_spec = (listeners_spec_t){.port = (uint16_t)port};
    memcpy(ret_spec->name, ret_name->ptr, ret_name->len);
    memcpy(ret_spec->host, host.ptr, host.len);
    return true;
}

static int take_protocol(listeners_spec_t *spec, bytes_t protocol, char *err, size_t err_bytes)
{
    spec->is_secure = bytes_eq_nocase(protocol, BYTES_LIT("SSL"));
    if (spec->is_secure || bytes_eq_nocase(protocol, BYTES_LIT("PLAINTEXT"))) return 0;
    if (protocol.len == 0)
        snprintf(err, err_bytes, "kafka.listeners: no protocol is given for %s in listener.security.protocol.map",
                 spec->name);
    else
        snprintf(err, err_bytes, "kafka.listeners: %s is not there yet, only PLAINTEXT and SSL", spec->name);
    return ERR_UNSUPPORTED;
}

int listeners_parse(const char *listeners, const char *protocols, const char *controllers,
                    listeners_spec_t ret_specs[LISTENERS_MAX], char *err, size_t err_bytes)
{
    int count = 0;
    for (const char *at = listeners; *at;) {
        size_t len = strcspn(at, ",");
        listeners_spec_t spec;
        bytes_t name;
        if (!split(bytes_of(at, len), &spec, &name)) {
            snprintf(err, err_bytes, "kafka.listeners are NAME://host:port, not '%.*s'", (int)len, at);
            return ERR_INVALID;
        }
        at += len + (at[len] == ',');
        if (lists(controllers, name)) continue;
        for (int i = 0; i < count; i++) {
            if (strcasecmp(ret_specs[i].name, spec.name) != 0) continue;
            snprintf(err, err_bytes, "kafka.listeners: %s is there twice", spec.name);
            return ERR_INVALID;
        }
        if (count == LISTENERS_MAX) return ERR_LIMIT;
        int result = take_protocol(&spec, protocol_of(protocols, name), err, err_bytes);
        if (result) return result;
        ret_specs[count++] = spec;
    }
    if (count) return count;
    snprintf(err, err_bytes, "kafka.listeners: there is none for clients in '%s'", listeners);
    return ERR_INVALID;
}

/* ---- what ssl.* says ------------------------------------------------------------------------------------------------------ */

static const char *value_of(const kafka_t *kafka, const char *name)
{
    const char *value = config_value(kafka->config_store, config_broker_setting(bytes_str(name)));
    return value && *value ? value : NULL;
}

static unsigned protocols_of(const char *list)
{
    return (lists(list, BYTES_LIT("TLSv1.2")) ? TLS_PROTOCOL_1_2 : 0u) |
           (lists(list, BYTES_LIT("TLSv1.3")) ? TLS_PROTOCOL_1_3 : 0u);
}

static tls_settings_t settings_of(const kafka_t *kafka)
{
    const char *auth = value_of(kafka, "ssl.client.auth");
    tls_settings_t s = {.cert_pem = value_of(kafka, "ssl.keystore.certificate.chain"),
                        .key_pem = value_of(kafka, "ssl.keystore.key"),
                        .ca_pem = value_of(kafka, "ssl.truststore.certificates"),
                        .protocols = protocols_of(value_of(kafka, "ssl.enabled.protocols"))};
    tls_settings_keystore(&s, value_of(kafka, "ssl.keystore.location"), value_of(kafka, "ssl.keystore.type"),
                          value_of(kafka, "ssl.keystore.password"));
    tls_settings_truststore(&s, value_of(kafka, "ssl.truststore.location"), value_of(kafka, "ssl.truststore.type"),
                            value_of(kafka, "ssl.truststore.password"));
    if (value_of(kafka, "ssl.key.password")) s.key_pass = value_of(kafka, "ssl.key.password");
    if (auth && strcmp(auth, "requested") == 0) s.clients = TLS_CLIENTS_OPTIONAL;
    if (auth && strcmp(auth, "required") == 0) s.clients = TLS_CLIENTS_REQUIRED;
    return s;
}

static int make_context(const kafka_t *kafka, tls_context_t **ret_context, char why[TLS_WHY_CHARS_MAX])
{
    tls_settings_t s = settings_of(kafka);
    const char *wrong = NULL;
    if (!s.store_file && !s.cert_file && !s.cert_pem)
        wrong = "SSL listeners need ssl.keystore.location, or ssl.keystore.certificate.chain and ssl.keystore.key";
    if (s.clients != TLS_CLIENTS_UNASKED && !s.ca_file && !s.ca_pem && !s.ca_store_file)
        wrong = "ssl.client.auth needs ssl.truststore.location or ssl.truststore.certificates";
    if (value_of(kafka, "ssl.cipher.suites")) wrong = "ssl.cipher.suites is not there yet";
    if (!wrong) return tls_context_new(&s, ret_context, why);
    snprintf(why, TLS_WHY_CHARS_MAX, "%s", wrong);
    return ERR_INVALID;
}

bool listeners_speak_tls(const kafka_t *kafka) { return kafka->listeners->context != NULL; }

static int configure_tls(kafka_t *kafka, char *err, size_t err_bytes)
{
    listeners_t *l = kafka->listeners;
    char why[TLS_WHY_CHARS_MAX];
    bool wanted = false;
    for (int i = 0; i < l->count; i++) wanted |= l->specs[i].is_secure;
    if (!wanted) return 0;
    tls_settings_t settings = settings_of(kafka);
    l->files = tls_settings_files(&settings);
    int result = make_context(kafka, &l->context, why);
    if (result) snprintf(err, err_bytes, "kafka: %s", why);
    return result;
}

int listeners_configure(kafka_t *kafka, char *err, size_t err_bytes)
{
    listeners_t *l = kafka->listeners;
    const char *text =
        config_value_in(kafka->config_store, config_broker_setting(BYTES_LIT("listeners")), CONFIG_SOURCE_STATIC);
    l->given = text && *text;
    l->count = 1;
    l->specs[0] = (listeners_spec_t){.name = "PLAINTEXT"};
    if (!l->given) return 0;
    const char *controllers = value_of(kafka, "controller.listener.names");
    int count = listeners_parse(text, value_of(kafka, "listener.security.protocol.map"),
                                controllers ? controllers : "CONTROLLER", l->specs, err, err_bytes);
    if (count < 0) return count;
    l->count = count;
    return configure_tls(kafka, err, err_bytes);
}

void listeners_reload(kafka_t *kafka, bool forced)
{
    listeners_t *l = kafka->listeners;
    char why[TLS_WHY_CHARS_MAX];
    tls_context_t *context;
    if (!l->context) return;
    tls_settings_t settings = settings_of(kafka);
    uint64_t files = tls_settings_files(&settings);
    if (!forced && files == l->files) return;
    l->files = files; /* what does not fit is tried again when it changes */
    if (make_context(kafka, &context, why)) {
        slog(SLOG_WARN, "kafka", "certificates stay as they are", "why=\"%s\"", why);
        return;
    }
    for (int i = 0; i < l->open_count; i++)
        if (l->open_as[i]->is_secure) net_listener_secure(l->open[i], context, false);
    tls_context_unref(l->context);
    l->context = context;
    slog(SLOG_INFO, "kafka", "certificates were read again", "%s", "");
}

/* ---- opening ---------------------------------------------------------------------------------------------------------------- */

static int open_one(kafka_t *kafka, listeners_spec_t *spec, const char *host, uint16_t port, uint16_t *ret_port)
{
    listeners_t *l = kafka->listeners;
    net_listener_t *net;
    if (l->open_count == OPEN_MAX) return ERR_LIMIT;
    int err = net_listen(kafka->net, host, port, kafka_service(), kafka, &net);
    if (err) return err;
    if (spec->is_secure) net_listener_secure(net, l->context, false);
    net_listener_set_user(net, spec);
    spec->port = *ret_port = net_listener_port(net);
    l->open[l->open_count] = net;
    l->open_as[l->open_count++] = spec;
    return 0;
}

int listeners_open(kafka_t *kafka, const char *host, uint16_t port, uint16_t *ret_port)
{
    listeners_t *l = kafka->listeners;
    bool first = l->open_count == 0;
    int err = open_one(kafka, &l->specs[0], host, port, ret_port);
    if (!err && first) snprintf(l->specs[0].host, sizeof(l->specs[0].host), "%s", host);
    for (int i = 1; !err && first && i < l->count; i++) {
        uint16_t bound;
        listeners_spec_t *spec = &l->specs[i];
        err = open_one(kafka, spec, spec->host, spec->port, &bound);
        if (err)
            slog(SLOG_ERROR, "kafka", "cannot listen there", "listener=%s://%s:%u error=\"%s\"", spec->name, spec->host,
                 spec->port, err_text(err));
    }
    return err;
}

void listeners_close(kafka_t *kafka)
{
    listeners_t *l = kafka->listeners;
    while (l->open_count) net_listener_close(l->open[--l->open_count]);
}

const listeners_spec_t *listeners_at(const kafka_t *kafka, int i)
{
    const listeners_t *l = kafka->listeners;
    return i < l->count ? &l->specs[i] : NULL;
}

const char *listeners_name_of(const kafka_t *kafka, const net_conn_t *conn)
{
    const listeners_spec_t *spec = conn ? net_conn_listener_user(conn) : NULL;
    return kafka->listeners && kafka->listeners->given && spec ? spec->name : NULL;
}
