/* worker.c: the program email-worker. One record at a time: claim it in Redis, send the mail, write down how
 * that ended, and commit the offset: in atomic mode in that very step, in portable mode after it. A record seen
 * twice is dropped by what is written down; one that a dead worker had claimed waits for the end of that worker's
 * lease. Nothing but a written-down end lets the offset pass. */
#include <curl/curl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "email.h"
#include "mailer.h"
#include "queue.h"
#include "scripts.h"
#include "store.h"
#include "sweeper.h"

#define GROUP              "email-worker"
#define LEDGER_KEY         "email:ledger" /* a list of the ids sent, newest first */
#define LEDGER_ENTRIES_MAX 100000
#define POLL_MS            500
#define AWAY_MS            500
#define KEY_BYTES_MAX      128
#define POSITION_ARGS      4

typedef struct worker {
    const config_t *config;
    store_t store;
    rd_kafka_t *consumer, *producer;   /* the producer is NULL in atomic mode */
    const rd_kafka_message_t *message; /* the record at hand */
    char name[ID_BYTES];
} worker_t;

/* DONE: the end is written down. COMMITTED: and so is the position. AGAIN: not now; the same record is to be handled again. */
typedef enum step { STEP_DONE, STEP_COMMITTED, STEP_AGAIN } step_t;

typedef struct keys {
    char email[KEY_BYTES_MAX], lease[KEY_BYTES_MAX];
} keys_t;

/* --- how an email can end ------------------------------------------------------------------------------ */

/* Runs a script that writes down an end. The position goes before its other ARGV; in portable mode it names no group. */
static step_t write_end(worker_t *w, const char *script, int keys, int argc, const arg_t argv[])
{
    const rd_kafka_message_t *m = w->message;
    arg_t position[POSITION_ARGS] = {ARG_TEXT(w->config->atomic ? GROUP : ""), ARG_TEXT(rd_kafka_topic_name(m->rkt)),
                                     ARG_INT(m->partition), ARG_INT(m->offset + 1)};
    arg_t all[STORE_ARGS_MAX];
    if (argc + POSITION_ARGS > STORE_ARGS_MAX) die("an end with %d arguments", argc);
    memcpy(all, argv, keys * sizeof *argv);
    memcpy(all + keys, position, sizeof position);
    memcpy(all + keys + POSITION_ARGS, argv + keys, (argc - keys) * sizeof *argv);
    redisReply *reply = store_eval(&w->store, script, keys, argc + POSITION_ARGS, all);
    if (!reply) return STEP_AGAIN;
    bool committed = w->config->atomic && reply->integer == 1;
    freeReplyObject(reply);
    return committed ? STEP_COMMITTED : STEP_DONE;
}

static step_t note_sent(worker_t *w, const email_t *email, const keys_t *keys, int attempts)
{
    arg_t argv[] = {ARG_TEXT(keys->email),
                    ARG_TEXT(keys->lease),
                    ARG_TEXT(LEDGER_KEY),
                    ARG_TEXT(email->id),
                    ARG_INT(w->config->keep_seconds),
                    ARG_INT(attempts),
                    ARG_INT(LEDGER_ENTRIES_MAX)};
    say("sent %s to %s", email->id, email->to);
    return write_end(w, SCRIPT_SENT, 3, 7, argv);
}

static step_t note_later(worker_t *w, const email_t *email, const keys_t *keys, int attempts, const char *problem)
{
    int64_t wait_ms = (int64_t)w->config->backoff_ms << (attempts - 1);
    char *record = email_record(email, email->id);
    arg_t argv[] = {ARG_TEXT(keys->email),       ARG_TEXT(keys->lease), ARG_TEXT(RETRIES_KEY), ARG_TEXT(record),
                    ARG_INT(now_ms() + wait_ms), ARG_INT(attempts),     ARG_TEXT(problem)};
    say("%s to %s: %s; again in %lld ms", email->id, email->to, problem, (long long)wait_ms);
    step_t step = write_end(w, SCRIPT_LATER, 3, 7, argv);
    free(record);
    return step;
}

static step_t note_failed(worker_t *w, const email_t *email, const keys_t *keys, int attempts, const char *problem)
{
    const char *dead = w->config->topic_dead;
    char *record = email_record(email, email->id);
    arg_t argv[] = {ARG_TEXT(keys->email),
                    ARG_TEXT(keys->lease),
                    ARG_TEXT(email->id),
                    ARG_TEXT(problem),
                    ARG_INT(attempts),
                    ARG_INT(w->config->keep_seconds),
                    ARG_TEXT(w->config->atomic ? dead : ""),
                    ARG_TEXT(record)};
    step_t step = STEP_AGAIN;
    say("%s to %s failed for good: %s; parked in %s", email->id, email->to, problem, dead);
    if (w->config->atomic || !queue_produce(w->producer, dead, email->id, email->id, problem, record, strlen(record)))
        step = write_end(w, SCRIPT_FAILED, 2, 8, argv);
    free(record);
    return step;
}

/* Not an email at all: there is no id, so the record's place is what tells a second parking from the first. */
static step_t park_poison(worker_t *w, const rd_kafka_message_t *m, const char *problem)
{
    char place[KEY_BYTES_MAX * 2], once[KEY_BYTES_MAX * 3];
    snprintf(place, sizeof place, "%.200s/%d/%lld", rd_kafka_topic_name(m->rkt), m->partition, (long long)m->offset);
    snprintf(once, sizeof once, "email:poison:%s", place);
    say("%s is no email: %s; parked in %s", place, problem, w->config->topic_dead);
    if (!w->config->atomic) {
        const char *dead = w->config->topic_dead;
        int status = queue_produce(w->producer, dead, place, place, problem, m->payload, m->len);
        return status ? STEP_AGAIN : STEP_DONE;
    }
    arg_t argv[] = {ARG_TEXT("KAFKA.PRODUCE"),
                    ARG_TEXT(w->config->topic_dead),
                    ARG_TEXT("KEY"),
                    ARG_TEXT(place),
                    ARG_TEXT("HEADER"),
                    ARG_TEXT("reason"),
                    ARG_TEXT(problem),
                    ARG_TEXT("ONCE"),
                    ARG_TEXT(once),
                    ARG_INT(w->config->keep_seconds),
                    {m->payload ? m->payload : "", m->len}};
    redisReply *reply = store_run(&w->store, 11, argv);
    if (!reply) return STEP_AGAIN;
    freeReplyObject(reply);
    return STEP_DONE;
}

/* --- one record ---------------------------------------------------------------------------------------- */

typedef enum claim { CLAIM_YOURS, CLAIM_DONE, CLAIM_BUSY } claim_t;

static claim_t claim(worker_t *w, const keys_t *keys, int *attempts)
{
    arg_t argv[] = {ARG_TEXT(keys->email), ARG_TEXT(keys->lease), ARG_TEXT(w->name), ARG_INT(w->config->lease_ms)};
    redisReply *reply = store_eval(&w->store, SCRIPT_CLAIM, 2, 4, argv);
    if (!reply) return CLAIM_BUSY;
    const char *word = reply_text(reply, 0);
    *attempts = atoi(reply_text(reply, 1));
    claim_t claimed = !strcmp(word, "yours") ? CLAIM_YOURS : !strcmp(word, "done") ? CLAIM_DONE : CLAIM_BUSY;
    freeReplyObject(reply);
    return claimed;
}

static step_t send_email(worker_t *w, const email_t *email)
{
    keys_t keys;
    char problem[MAIL_PROBLEM_BYTES];
    int attempts = 0;
    snprintf(keys.email, sizeof keys.email, "email:%s", email->id);
    snprintf(keys.lease, sizeof keys.lease, "email:lease:%s", email->id);
    claim_t claimed = claim(w, &keys, &attempts);
    if (claimed != CLAIM_YOURS) return claimed == CLAIM_DONE ? STEP_DONE : STEP_AGAIN;
    mail_t mail = mailer_send(w->config, email, problem);
    attempts++;
    /* The mail is out: nothing but a crash of this process may now keep that from being written down. */
    while (mail == MAIL_SENT) {
        step_t step = note_sent(w, email, &keys, attempts);
        if (step != STEP_AGAIN || stopping()) return step;
        sleep_ms(AWAY_MS);
    }
    if (mail == MAIL_LATER && attempts < w->config->attempts_max) return note_later(w, email, &keys, attempts, problem);
    return note_failed(w, email, &keys, attempts, problem);
}

static step_t handle(worker_t *w, const rd_kafka_message_t *message)
{
    char words[PROBLEM_BYTES], problem[PROBLEM_BYTES + 16];
    const char *field;
    email_t email;
    if (email_parse(&email, message->payload ? message->payload : "", message->len, true, &field, words)) {
        snprintf(problem, sizeof problem, "%s%s%s", field, *field ? " " : "", words);
        return park_poison(w, message, problem);
    }
    step_t step = send_email(w, &email);
    email_deinit(&email);
    return step;
}

static void consume(worker_t *w, rd_kafka_message_t *message)
{
    if (message->err) {
        if (message->err != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) say("Kafka: %s", rd_kafka_message_errstr(message));
        return;
    }
    w->message = message;
    step_t step;
    while ((step = handle(w, message)) == STEP_AGAIN) {
        if (stopping()) return; /* not committed: another worker gets it */
        sleep_ms(AWAY_MS);
    }
    if (step == STEP_COMMITTED) return;
    rd_kafka_commit_message(w->consumer, message, 1); /* were it lost, the guard drops the record the next time */
}

int main(void)
{
    config_t config;
    char problem[512];
    if (config_load(&config, problem, sizeof problem)) die("%s", problem);
    stop_on_signals();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    worker_t worker = {.config = &config,
                       .consumer = queue_new(&config, GROUP),
                       .producer = config.atomic ? NULL : queue_new(&config, NULL)};
    store_init(&worker.store, &config);
    id_make(worker.name);
    queue_subscribe(worker.consumer, config.topic, config.topic_retry);
    pthread_t sweeper;
    if (pthread_create(&sweeper, NULL, sweeper_run, &config)) die("cannot start a thread");
    say("waiting for records of %s, %s mode", config.topic, config.atomic ? "atomic" : "portable");
    while (!stopping()) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(worker.consumer, POLL_MS);
        if (!message) continue;
        consume(&worker, message);
        rd_kafka_message_destroy(message);
    }
    pthread_join(sweeper, NULL);
    rd_kafka_consumer_close(worker.consumer);
    queue_free(worker.consumer);
    queue_free(worker.producer);
    store_deinit(&worker.store);
    curl_global_cleanup();
    return 0;
}
