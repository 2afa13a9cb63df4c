/* http.c: the program email-service. libmicrohttpd calls handle() in one of a few threads; each request
 * borrows one of as many service_t, and every answer is JSON but /metrics. */
#include <arpa/inet.h>
#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "service.h"

#define THREADS                   4
#define SECONDS_IDLE_MAX          30
#define CODES                     9
#define IDEMPOTENCY_KEY_BYTES_MAX 255

static const int codes[CODES] = {200, 202, 400, 404, 405, 413, 429, 503, 500};

typedef struct server {
    const config_t *config;
    pthread_mutex_t mutex;
    service_t *idle[THREADS];
    size_t idle_count; /* never 0 when a handler asks: there are as many as threads */
    atomic_ulong answered[CODES];
} server_t;

/* What a request has sent so far. */
typedef struct upload {
    char *text;
    size_t size;
    bool too_large;
} upload_t;

static service_t *borrow(server_t *server)
{
    pthread_mutex_lock(&server->mutex);
    if (!server->idle_count) die("more requests at once than threads");
    service_t *service = server->idle[--server->idle_count];
    pthread_mutex_unlock(&server->mutex);
    return service;
}

static void give_back(server_t *server, service_t *service)
{
    pthread_mutex_lock(&server->mutex);
    server->idle[server->idle_count++] = service;
    pthread_mutex_unlock(&server->mutex);
}

/* `header` is one more header, with its `value`; or NULL. */
static enum MHD_Result answer_text(server_t *server, struct MHD_Connection *to, int code, const char *type, char *text,
                                   const char *header, const char *value)
{
    for (size_t i = 0; i < CODES; i++)
        if (codes[i] == code) server->answered[i]++;
    struct MHD_Response *response = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", type);
    if (header) MHD_add_response_header(response, header, value);
    enum MHD_Result result = MHD_queue_response(to, code, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_with(server_t *server, struct MHD_Connection *to, int code, json_t *document,
                                   const char *header, const char *value)
{
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    return text ? answer_text(server, to, code, "application/json", text, header, value) : MHD_NO;
}

static enum MHD_Result answer(server_t *server, struct MHD_Connection *to, int code, json_t *document)
{
    return answer_with(server, to, code, document, NULL, NULL);
}

static enum MHD_Result refuse(server_t *server, struct MHD_Connection *to, int code, const char *words)
{
    return answer(server, to, code, json_pack("{s:s}", "error", words));
}

static enum MHD_Result answer_limited(server_t *server, struct MHD_Connection *to, const email_t *email,
                                      int64_t wait_ms)
{
    char seconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(wait_ms + 999) / 1000);
    json_t *document = json_pack("{s:s, s:s, s:I}", "error", "too many emails to this recipient", "to", email->to,
                                 "retry_after_ms", (json_int_t)wait_ms);
    return answer_with(server, to, 429, document, "Retry-After", seconds);
}

static enum MHD_Result accept_email(server_t *server, struct MHD_Connection *to, const email_t *email, const char *key)
{
    char id[ID_BYTES];
    int64_t wait_ms = 0;
    service_t *service = borrow(server);
    outcome_t outcome = service_accept(service, email, key, id, &wait_ms);
    give_back(server, service);
    switch (outcome) {
    case OUTCOME_QUEUED: return answer(server, to, 202, json_pack("{s:s, s:s}", "id", id, "status", "queued"));
    case OUTCOME_DUPLICATE: return answer(server, to, 200, json_pack("{s:s, s:b}", "id", id, "duplicate", 1));
    case OUTCOME_LIMITED: return answer_limited(server, to, email, wait_ms);
    case OUTCOME_AWAY: break;
    }
    return refuse(server, to, 503, "a backend is away; the same request may be sent again");
}

static enum MHD_Result post_email(server_t *server, struct MHD_Connection *to, const upload_t *upload)
{
    const char *key = MHD_lookup_connection_value(to, MHD_HEADER_KIND, "Idempotency-Key"), *field;
    char problem[PROBLEM_BYTES];
    email_t email;
    if (upload->too_large) {
        snprintf(problem, sizeof problem, "the request is larger than %d bytes", server->config->request_bytes_max);
        return refuse(server, to, 413, problem);
    }
    if (key && (!*key || strlen(key) > IDEMPOTENCY_KEY_BYTES_MAX))
        return answer(server, to, 400,
                      json_pack("{s:s, s:s}", "error", "is not of 1 to 255 bytes", "field", "Idempotency-Key"));
    if (email_parse(&email, upload->text ? upload->text : "", upload->size, false, &field, problem))
        return answer(server, to, 400,
                      json_pack("{s:s, s:s}", "error", problem, "field", *field ? field : "(the body)"));
    enum MHD_Result result = accept_email(server, to, &email, key);
    email_deinit(&email);
    return result;
}

static enum MHD_Result get_email(server_t *server, struct MHD_Connection *to, const char *id)
{
    bool is_id = strlen(id) == ID_BYTES - 1 && strspn(id, "0123456789abcdef") == ID_BYTES - 1;
    if (!is_id) return refuse(server, to, 404, "no such email");
    service_t *service = borrow(server);
    redisReply *reply = service_status(service, id);
    give_back(server, service);
    if (!reply) return refuse(server, to, 503, "Redis is away");
    json_t *document = json_pack("{s:s}", "id", id);
    size_t fields = reply->elements / 2;
    for (size_t i = 0; i < fields; i++) {
        const char *name = reply_text(reply, 2 * i), *value = reply_text(reply, 2 * i + 1);
        json_object_set_new(document, name, strcmp(name, "attempts") ? json_string(value) : json_integer(atoi(value)));
    }
    freeReplyObject(reply);
    if (fields) return answer(server, to, 200, document);
    json_decref(document);
    return refuse(server, to, 404, "no such email");
}

static enum MHD_Result get_health(server_t *server, struct MHD_Connection *to)
{
    service_t *service = borrow(server);
    const char *away = service_away(service);
    give_back(server, service);
    if (away) return answer(server, to, 503, json_pack("{s:s, s:s}", "status", "away", "backend", away));
    return answer(server, to, 200,
                  json_pack("{s:s, s:s}", "status", "ok", "mode", server->config->atomic ? "atomic" : "portable"));
}

static enum MHD_Result get_metrics(server_t *server, struct MHD_Connection *to)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return MHD_NO;
    fputs("# HELP email_http_responses_total Answers given, by status code.\n"
          "# TYPE email_http_responses_total counter\n",
          out);
    for (size_t i = 0; i < CODES; i++)
        fprintf(out, "email_http_responses_total{code=\"%d\"} %lu\n", codes[i], atomic_load(&server->answered[i]));
    fclose(out);
    return answer_text(server, to, 200, "text/plain; version=0.0.4", text, NULL, NULL);
}

static enum MHD_Result route(server_t *server, struct MHD_Connection *to, const char *method, const char *path,
                             const upload_t *upload)
{
    bool get = !strcmp(method, "GET") || !strcmp(method, "HEAD"), post = !strcmp(method, "POST");
    bool is_one = !strncmp(path, "/emails/", 8), is_all = !strcmp(path, "/emails");
    bool is_health = !strcmp(path, "/healthz"), is_metrics = !strcmp(path, "/metrics");
    if (!is_one && !is_all && !is_health && !is_metrics) return refuse(server, to, 404, "no such page");
    if (is_all ? !post : !get)
        return answer_with(server, to, 405, json_pack("{s:s}", "error", "the method is not for this page"), "Allow",
                           is_all ? "POST" : "GET, HEAD");
    if (is_all) return post_email(server, to, upload);
    if (is_one) return get_email(server, to, path + 8);
    return is_health ? get_health(server, to) : get_metrics(server, to);
}

/* Keeps reading past the limit, so that the client gets to read the 413, but keeps nothing. */
static void collect(const config_t *config, upload_t *upload, const char *data, size_t size)
{
    if (upload->too_large || upload->size + size > (size_t)config->request_bytes_max) {
        upload->too_large = true;
        return;
    }
    char *grown = realloc(upload->text, upload->size + size);
    if (!grown) die("no memory");
    memcpy(grown + upload->size, data, size);
    upload->text = grown;
    upload->size += size;
}

static enum MHD_Result handle(void *opaque, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *data, size_t *size, void **state)
{
    server_t *server = opaque;
    if (!*state) return (*state = calloc(1, sizeof(upload_t))) ? MHD_YES : MHD_NO;
    if (!*size) return route(server, connection, method, path, *state);
    collect(server->config, *state, data, *size);
    *size = 0;
    return MHD_YES;
}

static void finish(void *opaque, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode code)
{
    upload_t *upload = *state;
    if (!upload) return;
    free(upload->text);
    free(upload);
    *state = NULL;
}

int main(void)
{
    config_t config;
    char problem[512];
    if (config_load(&config, problem, sizeof problem)) die("%s", problem);
    stop_on_signals();
    rd_kafka_t *producer = config.atomic ? NULL : queue_new(&config, NULL);
    server_t server = {.config = &config, .mutex = PTHREAD_MUTEX_INITIALIZER};
    service_t services[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        services[i] = (service_t){.config = &config, .producer = producer};
        store_init(&services[i].store, &config);
        give_back(&server, &services[i]);
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(config.http_port)};
    if (inet_pton(AF_INET, config.http_host, &address.sin_addr) != 1)
        die("HTTP_HOST is '%s'; it wants an IPv4 address", config.http_host);
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, config.http_port, NULL, NULL, handle,
                                                 &server, MHD_OPTION_THREAD_POOL_SIZE, THREADS, MHD_OPTION_SOCK_ADDR,
                                                 &address, MHD_OPTION_CONNECTION_TIMEOUT, SECONDS_IDLE_MAX,
                                                 MHD_OPTION_NOTIFY_COMPLETED, finish, NULL, MHD_OPTION_END);
    if (!daemon) die("cannot listen on %s:%d", config.http_host, config.http_port);
    say("listening on %s:%d, %s mode", config.http_host, config.http_port, config.atomic ? "atomic" : "portable");
    while (!stopping()) sleep_ms(200);
    MHD_stop_daemon(daemon);
    for (size_t i = 0; i < THREADS; i++) store_deinit(&services[i].store);
    queue_free(producer);
    return 0;
}
