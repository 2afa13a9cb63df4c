/* deliver.c: from the outbox towards the partitions: an idempotent producer without a socket. Runs once a turn, behind the
 * append-only file's hook (rank 10) and before replies leave (90), decides what may go, and takes what came of it
 * (delivery.c carries it).
 *
 * A record is sent only when redis_is_written says that its entry is in the file. It is forgotten only when its
 * partition is on stable storage (sync.c), and the ACK that says so travels in the same file: until then it would be given to its
 * partition again after a crash, and the partition takes a number once. */
#include "bridge/far.h"

#include "base/slog.h"

#include <stdio.h>

#define HOOK_RANK                  11
#define UNKNOWN_TOPIC_OR_PARTITION 3 /* Kafka's code */

static void arm_retry(bridge_t *bridge, uint64_t ms)
{
    if (!bridge->retry_timer.due_ns) io_timer_start(&bridge->retry_timer, ms, 0);
}

static void arm_due(bridge_t *bridge)
{
    if (bridge->delayed_count == 0) return;
    int64_t wait_ms = bridge->delayed[0]->due_ms - io_wall_ms(bridge->loop);
    io_timer_start(&bridge->due_timer, (uint64_t)MIN(MAX(wait_ms, 0), 60000), 0);
}

static void wake(io_timer_t *timer) { io_loop_wake(timer->loop); }

/* ---- the producer id ---- */

static void on_id(bridge_t *bridge, far_request_t *request)
{
    if (bridge) bridge->asking_id = false;
    if (bridge && request->error) {
        outbox_error(bridge, NULL, request->error, request->words);
        arm_retry(bridge, RETRY_MS);
    } else if (bridge) {
        bridge->producer_id = request->value;
        journal_state(bridge);
    }
    mem_free(request);
}

static void id_given(void *user, int64_t id, kafka_code_t error, const char *words)
{
    far_request_t *request = user;
    if (!error) kafka_producer_keep(request->kafka, id);
    far_answer(request, id, error, words);
}

static void new_id(far_request_t *request) { kafka_producer_id_new(request->kafka, id_given, request); }

static bool has_id(bridge_t *bridge)
{
    if (bridge->producer_id >= 0) return true;
    if (bridge->asking_id) return false;
    bridge->asking_id = true;
    far_send(bridge, mem_zalloc(sizeof(far_request_t)), new_id, on_id);
    return false;
}

/* ---- records whose time has come ---- */

/* A new number, so that numbers rise in the order of appending. */
static void renumber(bridge_t *bridge, outbox_record_t *r)
{
    int64_t old_number = r->number;
    list_remove(&r->node);
    bridge->count--;
    bridge->bytes -= r->bytes;
    r->record.timestamp_ms = r->due_ms;
    r->due_ms = 0;
    outbox_add(bridge, r);
    journal_due(bridge, old_number, r->number);
}

static void take_due(bridge_t *bridge)
{
    int64_t now_ms = io_wall_ms(bridge->loop);
    outbox_record_t *r;
    bool any = false;
    while ((r = outbox_take_due(bridge, now_ms))) {
        renumber(bridge, r);
        any = true;
    }
    if (any) arm_due(bridge);
}

/* ---- appending ---- */

static void answer(bridge_t *bridge, outbox_record_t *r, int64_t offset)
{
    if (r->client_id) waiters_placed(bridge, r->client_id);
    if (!r->async) return;
    produce__reply_place(redis_async_client(r->async), r->record.partition, offset);
    redis_async_done(r->async);
    r->async = NULL;
}

void deliver__placed(bridge_t *bridge, outbox_record_t *r, int64_t offset)
{
    list_remove(&r->queue);
    list_push_back(&bridge->placed, &r->queue);
    r->state = RECORD_PLACED;
    if (offset >= 0) questions_placed(bridge, r); /* else it is void, or the group had it before */
    commit_untrack(bridge, r);
    bridge->delivered_total++;
    bridge->placed_count++;
    sync_soon(bridge);
    answer(bridge, r, offset);
}

typedef struct topic_request {
    far_request_t request;
    bytes_t name;
} topic_request_t;

static void on_topic(bridge_t *bridge, far_request_t *request)
{
    topic_request_t *asked = CONTAINER_OF(request, topic_request_t, request);
    outbox_topic_t *t = bridge ? map_get(&bridge->topics_by_name, asked->name) : NULL;
    kafka_code_t error = request->error;
    if (t) {
        t->creating = false;
        if (error) outbox_error(bridge, LIST_FIRST(&t->records, outbox_record_t, queue), error, request->words);
        t->retry_at_ms = error ? io_wall_ms(bridge->loop) + RETRY_MS : 0;
        arm_retry(bridge, RETRY_MS);
        io_loop_wake(bridge->loop);
    }
    mem_free((void *)asked->name.ptr);
    mem_free(asked);
}

static void ensure_topic(far_request_t *request)
{
    topic_request_t *asked = CONTAINER_OF(request, topic_request_t, request);
    kafka_topic_ensure(request->kafka, asked->name, far__answered, request);
}

static void make_topic(bridge_t *bridge, outbox_topic_t *t)
{
    topic_request_t *asked = mem_zalloc(sizeof(*asked));
    asked->name = bytes_of(mem_strndup(t->name), t->name.len);
    t->creating = true;
    far_send(bridge, &asked->request, ensure_topic, on_topic);
}

/* The record stays, and is delivered when the disk is well: who waits for it need not wait so long. */
static void answer_refused(outbox_topic_t *t, kafka_code_t error, const char *message)
{
    char text[PROBLEM_BYTES];
    snprintf(text, sizeof(text),
             "%s %.200s; the record is kept, and is delivered when the partition can be written again",
             kafka_error_name(error), message);
    LIST_EACH(&t->records, r, outbox_record_t, queue) {
        if (!r->async) continue;
        redis_reply_error(redis_async_client(r->async), text);
        redis_async_done(r->async);
        r->async = NULL;
    }
}

static void refused_by_disk(bridge_t *bridge, outbox_topic_t *t, kafka_code_t error, const char *message)
{
    int64_t now_ms = io_wall_ms(bridge->loop);
    if (t->refused_since_ms == 0) t->refused_since_ms = now_ms;
    if (now_ms - t->refused_since_ms >= REFUSED_MS_MAX) answer_refused(t, error, message);
}

/* The topic's queue waits: behind the record that was refused nothing may pass. */
static void refused(bridge_t *bridge, outbox_topic_t *t, const outbox_record_t *r, kafka_code_t error,
                    const char *message)
{
    bool loading = strcmp(kafka_error_name(error), "COORDINATOR_LOAD_IN_PROGRESS") == 0;
    uint64_t wait_ms = loading ? LOADING_MS : RETRY_MS;
    if (!loading) outbox_error(bridge, r, error, message);
    if (strcmp(kafka_error_name(error), "KAFKA_STORAGE_ERROR") == 0) refused_by_disk(bridge, t, error, message);
    t->retry_at_ms = io_wall_ms(bridge->loop) + (int64_t)wait_ms;
    arm_retry(bridge, wait_ms);
}

/* The first of the queue cannot be appended: records of a topic that did not exist have no partition yet, those of one that
 * was made anew perhaps none any more. Which one they get must be in the file before they are there: the next turn appends
 * them. An offset waits for the topic that it is of. */
static void hold_up(bridge_t *bridge, outbox_topic_t *t, int32_t partitions_count)
{
    const outbox_record_t *first = LIST_FIRST(&t->records, outbox_record_t, queue);
    if (commit_must_wait(bridge, first)) {
        t->retry_at_ms = io_wall_ms(bridge->loop) + LOADING_MS;
        arm_retry(bridge, LOADING_MS);
        return;
    }
    if (reroute_topic(bridge, t, partitions_count) != first) return;
    refused(bridge, t, first, UNKNOWN_TOPIC_OR_PARTITION,
            "the topic was made anew with fewer partitions, and this one was asked for: KAFKA.REROUTE");
}

/* Sends what may go of a topic's queue; how many. */
static int deliver_topic(bridge_t *bridge, outbox_topic_t *t, delivery_t **delivery, int budget)
{
    if (t->creating || t->sent || t->retry_at_ms > io_wall_ms(bridge->loop) || list_empty(&t->records)) return 0;
    int32_t partitions_count = kafka_topic_partitions(bridge->catalog, t->name);
    if (partitions_count < 0) {
        make_topic(bridge, t);
        return 0;
    }
    int count = delivery_add(bridge, delivery, t, budget);
    if (count == 0) hold_up(bridge, t, partitions_count);
    return count;
}

void deliver__topic_answered(bridge_t *bridge, outbox_topic_t *t, const outbox_record_t *first, kafka_code_t error,
                             const char *words)
{
    if (first) refused(bridge, t, first, error, words);
    outbox_topic_release(bridge, t);
}

static void deliver(bridge_t *bridge)
{
    int budget = DELIVER_PER_TURN + (int)((bridge->count - bridge->placed_count) / DELIVER_SHARE);
    delivery_t *delivery = NULL;
    LIST_EACH(&bridge->topics, t, outbox_topic_t, node) {
        budget -= deliver_topic(bridge, t, &delivery, budget);
        outbox_topic_release(bridge, t);
        if (budget > 0) continue;
        io_loop_wake(bridge->loop);
        break;
    }
    delivery_send(bridge, delivery);
}

static void take_written(bridge_t *bridge)
{
    size_t delayed = bridge->delayed_count;
    LIST_EACH(&bridge->unwritten, r, outbox_record_t, queue) {
        list_remove(&r->queue);
        outbox_queue(bridge, r);
    }
    if (bridge->delayed_count > delayed) arm_due(bridge);
}

static void on_turn(io_hook_t *hook)
{
    bridge_t *bridge = CONTAINER_OF(hook, bridge_t, hook);
    straight_send(bridge);
    if (bridge->count == 0) return;
    bridge__update(bridge);
    if (!redis_is_written(bridge->redis)) return;
    take_written(bridge);
    if (bridge->delayed_count) take_due(bridge);
    if (list_empty(&bridge->topics)) return;
    if (!kafka_catalog_ready(bridge->catalog)) {
        arm_retry(bridge, LOADING_MS);
        return;
    }
    if (has_id(bridge) && redis_is_written(bridge->redis)) deliver(bridge);
}

/* ---- life ---- */

void deliver_start(bridge_t *bridge, int64_t last_number, bool offline)
{
    bridge->started = true;
    io_timer_init(bridge->loop, &bridge->retry_timer, wake);
    io_timer_init(bridge->loop, &bridge->due_timer, wake);
    sync_init(bridge);
    if (!bridge->kafka) return;
    /* Without a sync of each entry, a power failure may leave a partition ahead of the file: its numbers are used. */
    bridge->next_number = MAX(bridge->next_number, last_number + 1);
    /* Nor is it known what a partition that is offline has; its numbers must not be given again. */
    if (offline) bridge->next_number += NUMBERS_SKIPPED;
    if (bridge->count)
        slog(SLOG_INFO, "bridge", "outbox read back", "records=%zu next_number=%" PRId64, bridge->count,
             bridge->next_number);
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        outbox_queue(bridge, r);
        commit_track(bridge, r);
    }
    arm_due(bridge);
    bridge->hook = (io_hook_t){.rank = HOOK_RANK, .name = "bridge delivery", .run = on_turn};
    io_hook_add(bridge->loop, &bridge->hook);
    io_loop_wake(bridge->loop);
}

void deliver_stop(bridge_t *bridge)
{
    bridge->stopped = true;
    if (bridge->kafka) kafka_commits_hold(bridge->kafka, NULL, NULL);
    io_hook_remove(&bridge->hook);
    if (bridge->started) {
        io_timer_stop(&bridge->retry_timer);
        io_timer_stop(&bridge->due_timer);
        io_timer_stop(&bridge->sync_timer);
    }
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        if (r->async) redis_async_drop(r->async);
        r->async = NULL;
    }
    straight_stop(bridge);
    questions_stop(bridge);
    far_close(bridge);
}
