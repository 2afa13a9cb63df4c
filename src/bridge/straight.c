/* straight.c: KAFKA.PRODUCE outside of a transaction, without ONCE and AT: a record alone, which goes straight into its partition,
 * past the outbox.
 *
 *   commands of a turn ─> load ──── one message ───> together into their partitions
 *   replies, per client in the order of the commands <──── one message ┘   (those that wait for their topic or a sync: one each)
 *
 * The client goes on with further records, whose answers stand in line behind this one. With other commands, and with too many
 * bytes, it waits for the end. */
#include "bridge/far.h"

#include <stdio.h>

#define UNDER_WAY_BYTES_MAX MIB(16) /* beyond it each client waits for its record */
#define LOAD_COUNT_MAX      512

typedef struct straight {
    far_request_t request; /* of one that is answered by itself */
    list_t node;           /* bridge->straight */
    outbox_record_t *copy;
    redis_async_t *async; /* NULL: the bridge has stopped */
    bool in_load, placed; /* the far half's: the load brings the answer; which is known */
    bool answered;        /* the near half's: it is here */
    int32_t partition;    /* the answer's, with the offset */
    char *refusal;        /* it was not sent; NULL = it was */
} straight_t;

/* One turn's. */
struct straight_load {
    far_request_t request;
    straight_t *jobs[LOAD_COUNT_MAX];
    int count;
};

/* ---- far ------------------------------------------------------------------------------------------------------------- */

static void produced(void *user, int32_t partition, int64_t offset, kafka_code_t error, const char *words)
{
    straight_t *job = user;
    job->partition = partition;
    job->placed = true;
    if (!job->in_load) {
        far_answer(&job->request, offset, error, words);
        return;
    }
    job->request.value = offset;
    job->request.error = error;
    if (error) snprintf(job->request.words, sizeof(job->request.words), "%s", words ? words : "");
}

static void produce_load(far_request_t *request)
{
    straight_load_t *load = CONTAINER_OF(request, straight_load_t, request);
    kafka_single_t singles[LOAD_COUNT_MAX];
    for (int i = 0; i < load->count; i++) {
        singles[i] = (kafka_single_t){.record = &load->jobs[i]->copy->record, .done = produced, .user = load->jobs[i]};
        load->jobs[i]->in_load = true;
    }
    kafka_produce_records(request->kafka, singles, load->count);
    int answered = 0;
    for (int i = 0; i < load->count; i++) {
        if (load->jobs[i]->placed)
            load->jobs[answered++] = load->jobs[i];
        else
            load->jobs[i]->in_load = false;
    }
    load->count = answered;
    far_answer(request, 0, 0, NULL);
}

/* ---- near: replying -------------------------------------------------------------------------------------------------- */

static void job_free(straight_t *job)
{
    mem_free(job->copy);
    mem_free(job->refusal);
    mem_free(job);
}

/* For KAFKA.WAIT it counts like the others. */
static void count_straight(bridge_t *bridge, uint64_t client_id)
{
    if (client_id == 0) return;
    waiters_added(bridge, client_id);
    waiters_placed(bridge, client_id);
}

static void reply(bridge_t *bridge, const straight_t *job)
{
    const far_request_t *answer = &job->request;
    redis_client_t *client = redis_async_client(job->async);
    char text[PROBLEM_BYTES];
    if (job->refusal) {
        redis_reply_error(client, job->refusal);
        return;
    }
    if (answer->error) {
        snprintf(text, sizeof(text), "%s %s", kafka_error_name(answer->error),
                 answer->words[0] ? answer->words : "the record was refused");
        redis_reply_error(client, text);
        return;
    }
    produce__reply_place(client, job->partition, answer->value);
    count_straight(bridge, redis_client_id(client));
}

static void end_job(bridge_t *bridge, straight_t *job)
{
    list_remove(&job->node);
    if (job->copy) bridge->straight_bytes -= job->copy->bytes;
    reply(bridge, job);
    redis_async_done(job->async);
    job_free(job);
}

/* Its answer is here: it is given when those before it are, and then it is the turn of those behind it. */
static void settle(bridge_t *bridge, straight_t *job)
{
    while (job && job->answered && redis_async_is_next(job->async)) {
        straight_t *behind = redis_async_behind(job->async);
        end_job(bridge, job);
        job = behind;
    }
}

static void on_produced(bridge_t *bridge, far_request_t *request)
{
    straight_t *job = CONTAINER_OF(request, straight_t, request);
    if (!bridge) {
        job_free(job);
        return;
    }
    job->answered = true;
    settle(bridge, job);
    redis_replies_flush(bridge->redis);
}

/* What the far half has not answered with the load comes by itself. */
static void on_load(bridge_t *bridge, far_request_t *request)
{
    straight_load_t *load = CONTAINER_OF(request, straight_load_t, request);
    for (int i = 0; i < load->count; i++) {
        straight_t *job = load->jobs[i];
        (void)far_link_use(job->request.link);
        job->answered = true;
        if (bridge)
            settle(bridge, job);
        else
            job_free(job);
    }
    if (bridge) redis_replies_flush(bridge->redis);
    mem_free(load);
}

/* ---- near: sending --------------------------------------------------------------------------------------------------- */

static void put_into_load(bridge_t *bridge, straight_t *job)
{
    far_prepare(bridge, &job->request, NULL, on_produced); /* answered, if it comes alone, but never sent */
    if (!bridge->straight_load) bridge->straight_load = mem_zalloc(sizeof(*bridge->straight_load));
    straight_load_t *load = bridge->straight_load;
    load->jobs[load->count++] = job;
    if (load->count == LOAD_COUNT_MAX) straight_send(bridge);
}

void straight_send(bridge_t *bridge)
{
    straight_load_t *load = bridge->straight_load;
    if (!load) return;
    bridge->straight_load = NULL;
    far_send(bridge, &load->request, produce_load, on_load);
}

/* While its topic has yet to be made, nothing of the client may come before it. */
static bool may_go_on(const bridge_t *bridge, const straight_t *job)
{
    return bridge->straight_bytes <= UNDER_WAY_BYTES_MAX &&
           kafka_topic_exists(bridge->catalog, job->copy->record.topic);
}

void straight_produce(bridge_t *bridge, redis_call_t *call, const kafka_produce_t *record)
{
    straight_t *job = mem_zalloc(sizeof(*job));
    job->copy = outbox_record_new(record);
    list_push_back(&bridge->straight, &job->node);
    bridge->straight_bytes += job->copy->bytes;
    job->async = redis_async_in_line(call, may_go_on(bridge, job), job);
    ASSERT(job->async); /* redis_call_may_wait said so */
    put_into_load(bridge, job);
}

void straight_refuse(bridge_t *bridge, redis_call_t *call, const char *problem)
{
    if (!redis_call_is_in_line(call)) {
        redis_reply_error(redis_call_client(call), problem);
        return;
    }
    straight_t *job = mem_zalloc(sizeof(*job));
    job->refusal = mem_strdup(problem);
    job->answered = true;
    list_push_back(&bridge->straight, &job->node);
    job->async = redis_async_in_line(call, true, job);
    settle(bridge, job);
}

/* What is under way comes back to nobody. */
void straight_stop(bridge_t *bridge)
{
    straight_load_t *load = bridge->straight_load;
    LIST_EACH(&bridge->straight, job, straight_t, node) {
        redis_async_drop(job->async);
        job->async = NULL;
        if (!job->refusal) continue;
        list_remove(&job->node); /* nobody else has it */
        job_free(job);
    }
    bridge->straight_load = NULL;
    for (int i = 0; load && i < load->count; i++) {
        (void)far_link_use(load->jobs[i]->request.link);
        list_remove(&load->jobs[i]->node);
        job_free(load->jobs[i]);
    }
    mem_free(load);
}
