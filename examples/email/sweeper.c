/* sweeper.c: see sweeper.h. In atomic mode a record leaves the sorted set in the step that produces it; in
 * portable mode it is produced first, so that a crash between may double the record, which the worker's guard
 * then drops. */
#include "sweeper.h"

#include <string.h>

#include "election.h"
#include "queue.h"
#include "scripts.h"
#include "store.h"

#define SWEEP_MS          250
#define SWEEP_RECORDS_MAX 100

typedef struct sweeper {
    const config_t *config;
    store_t store;
    rd_kafka_t *producer; /* NULL in atomic mode */
} sweeper_t;

static int sweep_atomic(sweeper_t *s)
{
    arg_t argv[] = {ARG_TEXT(RETRIES_KEY), ARG_INT(now_ms()), ARG_TEXT(s->config->topic_retry),
                    ARG_INT(SWEEP_RECORDS_MAX)};
    redisReply *reply = store_eval(&s->store, SCRIPT_SWEEP, 1, 4, argv);
    int count = reply ? (int)reply->integer : 0;
    if (reply) freeReplyObject(reply);
    return count;
}

static bool sweep_one(sweeper_t *s, const redisReply *record)
{
    arg_t argv[] = {ARG_TEXT("ZREM"), ARG_TEXT(RETRIES_KEY), {record->str, record->len}};
    if (queue_produce(s->producer, s->config->topic_retry, "", "", NULL, record->str, record->len)) return false;
    redisReply *reply = store_run(&s->store, 3, argv);
    if (reply) freeReplyObject(reply);
    return reply;
}

static int sweep_portable(sweeper_t *s)
{
    arg_t argv[] = {ARG_TEXT("ZRANGEBYSCORE"), ARG_TEXT(RETRIES_KEY), ARG_TEXT("-inf"),
                    ARG_INT(now_ms()),         ARG_TEXT("LIMIT"),     ARG_INT(0),
                    ARG_INT(SWEEP_RECORDS_MAX)};
    redisReply *due = store_run(&s->store, 7, argv);
    if (!due) return 0;
    size_t count = 0;
    while (count < due->elements && sweep_one(s, due->element[count])) count++;
    freeReplyObject(due);
    return (int)count;
}

void *sweeper_run(void *opaque)
{
    const config_t *config = opaque;
    sweeper_t sweeper = {.config = config, .producer = config->atomic ? NULL : queue_new(config, NULL)};
    election_t *election = election_new(config);
    bool led = false;
    store_init(&sweeper.store, config);
    for (; !stopping(); sleep_ms(SWEEP_MS)) {
        bool leads = election_leads(election);
        if (leads != led) say(leads ? "is the housekeeper now" : "is not the housekeeper any more");
        led = leads;
        if (!leads) continue;
        int count = config->atomic ? sweep_atomic(&sweeper) : sweep_portable(&sweeper);
        if (count) say("%d due for another try, back in %s", count, config->topic_retry);
    }
    election_free(election);
    queue_free(sweeper.producer);
    store_deinit(&sweeper.store);
    return NULL;
}
