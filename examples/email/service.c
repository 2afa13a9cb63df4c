/* service.c: accepting an email, in two ways. Atomic: the guard against duplicates, the rate limit, the
 * status and the record are one step of Trivet. Portable: they are four steps of two systems, in the order
 * that loses least. */
#include "service.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "scripts.h"

#define KEY_BYTES_MAX 320

typedef struct keys {
    char once[KEY_BYTES_MAX], rate[KEY_BYTES_MAX], email[KEY_BYTES_MAX];
} keys_t;

/* Two requests are the same email when their Idempotency-Key is, or without one when all three fields are. */
static void digest_of(const email_t *email, const char *key, char hex[65])
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!md || !EVP_DigestInit_ex(md, EVP_sha256(), NULL)) die("no SHA-256");
    const char *parts[] = {key ? "key" : "email", key ? key : email->to, key ? "" : email->subject,
                           key ? "" : email->body};
    for (size_t i = 0; i < sizeof parts / sizeof *parts;
         i++) /* with their terminators, so that none runs into the next */
        EVP_DigestUpdate(md, parts[i], strlen(parts[i]) + 1);
    EVP_DigestFinal_ex(md, sum, NULL);
    EVP_MD_CTX_free(md);
    for (size_t i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", sum[i]);
}

static void name_keys(keys_t *keys, const email_t *email, const char *key, const char *id)
{
    char digest[65];
    digest_of(email, key, digest);
    snprintf(keys->once, sizeof keys->once, "email:once:%s", digest);
    snprintf(keys->rate, sizeof keys->rate, "email:rate:%s", email->to);
    snprintf(keys->email, sizeof keys->email, "email:%s", id);
}

/* The replies of SCRIPT_ACCEPT and SCRIPT_ADMIT. */
static outcome_t outcome_of(redisReply *reply, char id[ID_BYTES], int64_t *wait_ms)
{
    outcome_t outcome = OUTCOME_AWAY;
    if (!reply) return outcome;
    const char *word = reply_text(reply, 0), *value = reply_text(reply, 1);
    if (!strcmp(word, "limited")) {
        outcome = OUTCOME_LIMITED;
        *wait_ms = atoll(value);
    } else if (!strcmp(word, "queued") || !strcmp(word, "duplicate")) {
        outcome = *word == 'q' ? OUTCOME_QUEUED : OUTCOME_DUPLICATE;
        snprintf(id, ID_BYTES, "%s", value);
    }
    freeReplyObject(reply);
    return outcome;
}

static outcome_t accept_atomic(service_t *service, const email_t *email, const keys_t *keys, char id[ID_BYTES],
                               const char *record, int64_t *wait_ms)
{
    const config_t *c = service->config;
    arg_t argv[] = {
        ARG_TEXT(keys->once),
        ARG_TEXT(keys->rate),
        ARG_TEXT(keys->email),
        ARG_TEXT(id),
        ARG_INT(c->once_seconds),
        ARG_INT(now_ms()),
        ARG_INT(c->rate_window_seconds * INT64_C(1000)),
        ARG_INT(c->rate_max),
        ARG_INT(c->keep_seconds),
        ARG_TEXT(c->topic),
        ARG_TEXT(email->to),
        ARG_TEXT(record),
    };
    return outcome_of(store_eval(&service->store, SCRIPT_ACCEPT, 3, 12, argv), id, wait_ms);
}

/* SET NX, and on a duplicate GET. The key may expire between the two; then the second round sets it. */
static outcome_t take_guard(service_t *service, const keys_t *keys, char id[ID_BYTES])
{
    arg_t set[] = {ARG_TEXT("SET"), ARG_TEXT(keys->once), ARG_TEXT(id),
                   ARG_TEXT("NX"),  ARG_TEXT("EX"),       ARG_INT(service->config->once_seconds)};
    arg_t get[] = {ARG_TEXT("GET"), ARG_TEXT(keys->once)};
    outcome_t outcome = OUTCOME_AWAY;
    for (int round = 0; round < 2 && outcome == OUTCOME_AWAY; round++) {
        redisReply *reply = store_run(&service->store, 6, set);
        if (!reply) return OUTCOME_AWAY;
        bool taken = reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (taken) return OUTCOME_QUEUED;
        reply = store_run(&service->store, 2, get);
        if (!reply) return OUTCOME_AWAY;
        if (reply->type == REDIS_REPLY_STRING) { /* our own id: SET was sent twice, and its first reply lost */
            outcome = strcmp(reply->str, id) ? OUTCOME_DUPLICATE : OUTCOME_QUEUED;
            snprintf(id, ID_BYTES, "%s", reply->str);
        }
        freeReplyObject(reply);
    }
    return outcome;
}

static void release(service_t *service, const keys_t *keys, const char *id)
{
    arg_t argv[] = {ARG_TEXT(keys->once), ARG_TEXT(keys->rate), ARG_TEXT(keys->email), ARG_TEXT(id)};
    redisReply *reply = store_eval(&service->store, SCRIPT_RELEASE, 3, 4, argv);
    if (!reply)
        say("email %s was not queued, and its guard stays until it expires", id);
    else
        freeReplyObject(reply);
}

static outcome_t accept_portable(service_t *service, const email_t *email, const keys_t *keys, char id[ID_BYTES],
                                 const char *record, int64_t *wait_ms)
{
    const config_t *c = service->config;
    outcome_t outcome = take_guard(service, keys, id);
    if (outcome != OUTCOME_QUEUED) return outcome;
    arg_t argv[] = {ARG_TEXT(keys->rate),
                    ARG_TEXT(keys->email),
                    ARG_TEXT(id),
                    ARG_INT(now_ms()),
                    ARG_INT(c->rate_window_seconds * INT64_C(1000)),
                    ARG_INT(c->rate_max),
                    ARG_INT(c->keep_seconds),
                    ARG_TEXT(email->to)};
    outcome = outcome_of(store_eval(&service->store, SCRIPT_ADMIT, 2, 8, argv), id, wait_ms);
    if (outcome == OUTCOME_QUEUED &&
        queue_produce(service->producer, c->topic, email->to, id, NULL, record, strlen(record)))
        outcome = OUTCOME_AWAY;
    if (outcome != OUTCOME_QUEUED) release(service, keys, id);
    return outcome;
}

outcome_t service_accept(service_t *service, const email_t *email, const char *key, char id[ID_BYTES], int64_t *wait_ms)
{
    keys_t keys = {0};
    id_make(id);
    name_keys(&keys, email, key, id);
    char *record = email_record(email, id);
    outcome_t outcome = service->config->atomic ? accept_atomic(service, email, &keys, id, record, wait_ms)
                                                : accept_portable(service, email, &keys, id, record, wait_ms);
    free(record);
    return outcome;
}

redisReply *service_status(service_t *service, const char *id)
{
    char key[KEY_BYTES_MAX];
    snprintf(key, sizeof key, "email:%.64s", id);
    arg_t argv[] = {ARG_TEXT("HGETALL"), ARG_TEXT(key)};
    return store_run(&service->store, 2, argv);
}

const char *service_away(service_t *service)
{
    arg_t ping[] = {ARG_TEXT("PING")};
    redisReply *reply = store_run(&service->store, 1, ping);
    if (!reply) return "Redis";
    freeReplyObject(reply);
    return service->producer && !queue_answers(service->producer) ? "Kafka" : NULL;
}
