/* config.c: environment variables to config_t. A name that is not set has a default that suits a Trivet on
 * this machine. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    char *problem;
    size_t problem_bytes;
    bool failed;
} reader_t;

static void fail(reader_t *r, const char *name, const char *want)
{
    if (!r->failed) snprintf(r->problem, r->problem_bytes, "%s is '%s'; it wants %s", name, getenv(name), want);
    r->failed = true;
}

static const char *text_of(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value && *value ? value : fallback;
}

static int parse_int(const char *text, int min, int max, int *ret)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max) return -1;
    *ret = (int)value;
    return 0;
}

static int int_of(reader_t *r, const char *name, int fallback, int min, int max)
{
    const char *text = text_of(name, NULL);
    if (!text) return fallback;
    int value = fallback;
    char want[64];
    snprintf(want, sizeof want, "a number from %d to %d", min, max);
    if (parse_int(text, min, max, &value)) fail(r, name, want);
    return value;
}

static int copy(char *to, const char *from, size_t size)
{
    if (size >= NAME_BYTES_MAX) return -1;
    memcpy(to, from, size);
    to[size] = 0;
    return 0;
}

/* User and password of a URL may hold %40 and the like. */
static int copy_decoded(char *to, const char *from, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        if (n == NAME_BYTES_MAX - 1) return -1;
        if (from[i] != '%') {
            to[n++] = from[i];
            continue;
        }
        if (i + 2 >= size || !isxdigit((unsigned char)from[i + 1]) || !isxdigit((unsigned char)from[i + 2])) return -1;
        char digits[3] = {from[i + 1], from[i + 2], 0};
        to[n++] = (char)strtol(digits, NULL, 16);
        i += 2;
    }
    to[n] = 0;
    return 0;
}

static int parse_credentials(config_t *config, const char *from, const char *end)
{
    const char *colon = memchr(from, ':', end - from);
    if (!colon) return copy_decoded(config->redis_password, from, end - from);
    if (copy_decoded(config->redis_user, from, colon - from)) return -1;
    return copy_decoded(config->redis_password, colon + 1, end - colon - 1);
}

/* redis://[[user]:password@]host[:port][/database] */
static int parse_redis_url(config_t *config, const char *url)
{
    static const char scheme[] = "redis://";
    if (strncmp(url, scheme, sizeof scheme - 1)) return -1;
    const char *from = url + sizeof scheme - 1, *end = from + strcspn(from, "/");
    if (*end && end[1] && parse_int(end + 1, 0, INT_MAX, &config->redis_database)) return -1;
    const char *at = memrchr(from, '@', end - from);
    if (at && parse_credentials(config, from, at)) return -1;
    if (at) from = at + 1;
    const char *colon = memrchr(from, ':', end - from);
    if (colon) {
        char port[8] = "";
        if (end - colon - 1 >= (ptrdiff_t)sizeof port) return -1;
        memcpy(port, colon + 1, end - colon - 1);
        if (parse_int(port, 1, 65535, &config->redis_port)) return -1;
        end = colon;
    }
    return end == from ? -1 : copy(config->redis_host, from, end - from);
}

static void read_redis(reader_t *r, config_t *config)
{
    config->redis_port = 6379;
    const char *url = text_of("REDIS_URL", NULL);
    if (url) {
        if (parse_redis_url(config, url)) fail(r, "REDIS_URL", "redis://[[user]:password@]host[:port][/database]");
        return;
    }
    const char *host = text_of("REDIS_HOST", "127.0.0.1"), *password = text_of("REDIS_PASSWORD", "");
    if (copy(config->redis_host, host, strlen(host))) fail(r, "REDIS_HOST", "a host name");
    if (copy(config->redis_password, password, strlen(password))) fail(r, "REDIS_PASSWORD", "at most 255 bytes");
    config->redis_port = int_of(r, "REDIS_PORT", 6379, 1, 65535);
}

static void read_kafka(reader_t *r, config_t *config)
{
    config->kafka_brokers = text_of("KAFKA_BROKERS", "127.0.0.1:9092");
    config->kafka_client_id = text_of("KAFKA_CLIENT_ID", "email");
    config->kafka_username = text_of("KAFKA_SASL_USERNAME", NULL);
    config->kafka_password = text_of("KAFKA_SASL_PASSWORD", NULL);
    config->kafka_protocol = text_of("KAFKA_SECURITY_PROTOCOL", "sasl_plaintext");
    config->kafka_mechanism = text_of("KAFKA_SASL_MECHANISM", "PLAIN");
    config->topic = text_of("KAFKA_TOPIC_EVENTS", "emails");
    if (strlen(config->topic) > 240) fail(r, "KAFKA_TOPIC_EVENTS", "at most 240 bytes");
    snprintf(config->topic_retry, sizeof config->topic_retry, "%.240s.retry", config->topic);
    snprintf(config->topic_dead, sizeof config->topic_dead, "%.240s.dead", config->topic);
}

static void read_email(reader_t *r, config_t *config)
{
    const char *mode = text_of("EMAIL_MODE", "atomic");
    config->atomic = !strcmp(mode, "atomic");
    if (!config->atomic && strcmp(mode, "portable")) fail(r, "EMAIL_MODE", "portable or atomic");
    config->smtp_url = text_of("SMTP_URL", "smtp://127.0.0.1:2525");
    if (strncmp(config->smtp_url, "smtp://", 7) && strncmp(config->smtp_url, "smtps://", 8))
        fail(r, "SMTP_URL", "smtp://host[:port] or smtps://host[:port]");
    config->mail_from = text_of("EMAIL_FROM", "noreply@example.com");
    config->http_host = text_of("HTTP_HOST", "127.0.0.1");
    config->http_port = int_of(r, "HTTP_PORT", 8081, 1, 65535);
    config->once_seconds = int_of(r, "EMAIL_ONCE_SECONDS", 60, 1, 86400);
    config->keep_seconds = int_of(r, "EMAIL_KEEP_SECONDS", 7 * 86400, 60, 365 * 86400);
    config->rate_max = int_of(r, "EMAIL_RATE_MAX", 10, 1, 1000000);
    config->rate_window_seconds = int_of(r, "EMAIL_RATE_WINDOW_SECONDS", 60, 1, 86400);
    config->request_bytes_max = int_of(r, "EMAIL_REQUEST_BYTES_MAX", 64 * 1024, 256, 512 * 1024);
    config->attempts_max = int_of(r, "EMAIL_ATTEMPTS_MAX", 5, 1, 20);
    config->backoff_ms = int_of(r, "EMAIL_BACKOFF_MS", 1000, 10, 60000);
    config->lease_ms = int_of(r, "EMAIL_LEASE_MS", 15000, 1000, 120000);
}

int config_load(config_t *config, char *problem, size_t problem_bytes)
{
    reader_t r = {.problem = problem, .problem_bytes = problem_bytes};
    *config = (config_t){0};
    read_redis(&r, config);
    read_kafka(&r, config);
    read_email(&r, config);
    const char *host = text_of("ZOOKEEPER_HOST", "127.0.0.1");
    if (strlen(host) > 240) fail(&r, "ZOOKEEPER_HOST", "a host name");
    int port = int_of(&r, "ZOOKEEPER_PORT", 2181, 1, 65535);
    snprintf(config->zookeeper, sizeof config->zookeeper, "%.240s:%d", host, port);
    return r.failed ? -1 : 0;
}
