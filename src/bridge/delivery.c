/* delivery.c: one turn's records on their way into their partitions and back. The near half sends of each topic one run, in the
 * order of the numbers; of a topic at most one is under way, so nothing passes a record that is refused. The far half makes
 * batches of them, partition by partition, up to the first error. */
#include "bridge/far.h"

#include <stdio.h>

#define GATHER_MAX 512  /* looked at for one batch */
#define NOT_TRIED  (-2) /* an offset; -1 is that of a record which the partition had already */

typedef struct sent {
    outbox_record_t *record;
    kafka_numbered_t numbered; /* its offset is the answer */
} sent_t;

/* Of one topic. */
typedef struct run {
    outbox_topic_t *topic; /* the near half's alone */
    int first, count;      /* in delivery->sent */
    /* the answer */
    int refused; /* which one was; -1 = none */
    kafka_code_t error;
    char words[KAFKA_MESSAGE_BYTES_MAX];
} run_t;

struct delivery {
    far_request_t request;
    far_commits_t *commits; /* the far half's */
    int64_t producer_id;
    run_t *runs;
    sent_t *sent;
    int runs_count, runs_cap, sent_count, sent_cap;
};

/* ---- near: sending --------------------------------------------------------------------------------------------------- */

static int grown(int cap) { return cap ? cap * 2 : 4; }

static void put_record(delivery_t *d, outbox_record_t *r)
{
    if (d->sent_count == d->sent_cap) {
        d->sent_cap = grown(d->sent_cap);
        d->sent = mem_realloc(d->sent, sizeof(*d->sent) * (size_t)d->sent_cap);
    }
    r->state = RECORD_SENT;
    d->sent[d->sent_count++] = (sent_t){r, {.record = &r->record, .number = r->number, .offset = NOT_TRIED}};
}

static void put_run(delivery_t *d, outbox_topic_t *t, int first)
{
    if (d->runs_count == d->runs_cap) {
        d->runs_cap = grown(d->runs_cap);
        d->runs = mem_realloc(d->runs, sizeof(*d->runs) * (size_t)d->runs_cap);
    }
    t->sent = true;
    d->runs[d->runs_count++] = (run_t){.topic = t, .first = first, .count = d->sent_count - first, .refused = -1};
}

/* Nothing passes a record without a partition, or an offset whose topic is yet to be made. */
int delivery_add(bridge_t *bridge, delivery_t **delivery, outbox_topic_t *t, int budget)
{
    int32_t partitions_count = kafka_topic_partitions(bridge->catalog, t->name);
    if (!*delivery) *delivery = mem_zalloc(sizeof(**delivery));
    delivery_t *d = *delivery;
    int first = d->sent_count;
    LIST_EACH(&t->records, r, outbox_record_t, queue) {
        bool placeless = r->record.partition < 0 || reroute_is_due(r, partitions_count);
        if (d->sent_count - first == budget || placeless || commit_must_wait(bridge, r)) break;
        put_record(d, r);
    }
    if (d->sent_count > first) put_run(d, t, first);
    return d->sent_count - first;
}

/* ---- far: appending -------------------------------------------------------------------------------------------------- */

typedef struct batch {
    sent_t *from[GATHER_MAX];
    kafka_numbered_t numbered[GATHER_MAX];
    int count;
} batch_t;

/* The first that has no place yet, and what comes behind it for the same partition, about as much as a batch takes. */
static void gather(sent_t *sent, int count, batch_t *b)
{
    size_t bytes = 0;
    b->count = 0;
    for (int i = 0; i < MIN(count, GATHER_MAX) && bytes <= KAFKA_BATCH_BYTES; i++) {
        const kafka_produce_t *record = sent[i].numbered.record;
        if (sent[i].numbered.offset != NOT_TRIED) continue;
        if (b->count && record->partition != b->numbered[0].record->partition) continue;
        b->from[b->count] = &sent[i];
        b->numbered[b->count++] = sent[i].numbered;
        bytes += record->key.len + record->value.len;
    }
}

/* Where several together are refused, the first is given alone: it may be another's fault. */
static kafka_code_t append(kafka_t *kafka, int64_t producer_id, batch_t *b, int *ret_taken, char *words)
{
    kafka_code_t error = kafka_produce_numbered(kafka, b->numbered, b->count, producer_id, ret_taken, words);
    if (error && b->count > 1) error = kafka_produce_numbered(kafka, b->numbered, 1, producer_id, ret_taken, words);
    return error;
}

static void append_run(delivery_t *d, run_t *run)
{
    batch_t b;
    sent_t *at = d->sent + run->first, *end = at + run->count;
    while (at < end) {
        int taken = 0;
        if (at->numbered.offset != NOT_TRIED) {
            at++;
            continue;
        }
        gather(at, (int)(end - at), &b);
        run->error = append(d->request.kafka, d->producer_id, &b, &taken, run->words);
        if (run->error) {
            run->refused = (int)(at - d->sent);
            return;
        }
        for (int i = 0; i < taken; i++) {
            b.from[i]->numbered.offset = b.numbered[i].offset;
            far_commits_settle(d->commits, b.numbered[i].record);
        }
    }
}

static void append_all(far_request_t *request)
{
    delivery_t *d = CONTAINER_OF(request, delivery_t, request);
    for (int i = 0; i < d->runs_count; i++) append_run(d, &d->runs[i]);
    far_answer(request, 0, 0, NULL);
}

/* ---- near: what came of it ------------------------------------------------------------------------------------------- */

/* Those that were placed first: whoever hears of it may go on and drop others of the queue. */
static void end_run(bridge_t *bridge, const delivery_t *d, const run_t *run)
{
    const sent_t *sent = d->sent + run->first;
    outbox_record_t *refused = run->refused < 0 ? NULL : d->sent[run->refused].record;
    for (int i = 0; i < run->count; i++) {
        if (sent[i].numbered.offset == NOT_TRIED) continue;
        run->topic->refused_since_ms = 0;
        deliver__placed(bridge, sent[i].record, sent[i].numbered.offset);
    }
    for (int i = 0; i < run->count; i++)
        if (sent[i].numbered.offset == NOT_TRIED) sent[i].record->state = RECORD_QUEUED;
    run->topic->sent = false;
    deliver__topic_answered(bridge, run->topic, refused, run->error, run->words);
}

static void answered(bridge_t *bridge, far_request_t *request)
{
    delivery_t *d = CONTAINER_OF(request, delivery_t, request);
    for (int i = 0; bridge && i < d->runs_count; i++) end_run(bridge, d, &d->runs[i]);
    mem_free(d->runs);
    mem_free(d->sent);
    mem_free(d);
}

void delivery_send(bridge_t *bridge, delivery_t *delivery)
{
    if (!delivery) return;
    if (delivery->runs_count == 0) {
        mem_free(delivery);
        return;
    }
    delivery->producer_id = bridge->producer_id;
    delivery->commits = bridge->far_commits;
    far_send(bridge, &delivery->request, append_all, answered);
}
