/* deliver.c: from the outbox into the partitions: an idempotent producer without a socket. Runs once a turn, behind the
 * append-only file's hook (rank 10) and before replies leave (90).
 *
 * A record is appended only when redis_is_written says that its entry is in the file. It is forgotten only when its
 * partition is on stable storage, and the ACK that says so travels in the same file: until then it would be given to its
 * partition again after a crash, and the partition takes a number once. */
#include "bridge/bridge_internal.h"

#include "base/slog.h"

#include <stdio.h>

#define HOOK_RANK                  11
#define UNKNOWN_TOPIC_OR_PARTITION 3 /* Kafka's code */
#define HOOK_RANK_UNORDERED        5

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

static void on_id(void *user, int64_t id, int16_t error, const char *message)
{
    bridge_t *bridge = door_link_use(user);
    if (!bridge || bridge->stopped) return;
    bridge->asking_id = false;
    if (error) {
        outbox_error(bridge, NULL, error, message);
        arm_retry(bridge, RETRY_MS);
        return;
    }
    bridge->producer_id = id;
    kafka_producer_keep(bridge->kafka, id);
    journal_state(bridge);
}

static bool has_id(bridge_t *bridge)
{
    if (bridge->producer_id >= 0) return true;
    if (bridge->asking_id) return false;
    bridge->asking_id = true;
    kafka_producer_id_new(bridge->kafka, on_id, door_link_take(bridge));
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
    while ((r = outbox_take_due(bridge, now_ms)) != NULL) {
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

static void placed(bridge_t *bridge, outbox_record_t *r, int64_t offset)
{
    list_remove(&r->queue);
    list_push_back(&bridge->placed, &r->queue);
    r->state = RECORD_PLACED;
    position_untrack(bridge, r);
    bridge->delivered_total++;
    if (bridge->placed_count++ == 0 && !bridge->round.active) io_timer_start(&bridge->sync_timer, SYNC_MS, 0);
    answer(bridge, r, offset);
}

typedef struct topic_request {
    door_link_t *link;
    bytes_t name;
} topic_request_t;

static void on_topic(void *user, int64_t value, int16_t error, const char *message)
{
    topic_request_t *request = user;
    bridge_t *bridge = door_link_use(request->link);
    outbox_topic_t *t = bridge && !bridge->stopped ? map_get(&bridge->topics_by_name, request->name) : NULL;
    if (t) {
        t->creating = false;
        if (error) outbox_error(bridge, LIST_FIRST(&t->records, outbox_record_t, queue), error, message);
        t->retry_at_ms = error ? io_wall_ms(bridge->loop) + RETRY_MS : 0;
        arm_retry(bridge, RETRY_MS);
        io_loop_wake(bridge->loop);
    }
    mem_free((void *)request->name.ptr);
    mem_free(request);
}

static void make_topic(bridge_t *bridge, outbox_topic_t *t)
{
    topic_request_t *request = mem_zalloc(sizeof(*request));
    request->link = door_link_take(bridge);
    request->name = bytes_of(mem_strndup(t->name), t->name.len);
    t->creating = true;
    kafka_topic_ensure(bridge->kafka, t->name, on_topic, request);
}

typedef struct delivery {
    outbox_record_t *records[GATHER_MAX];
    kafka_numbered_t numbered[GATHER_MAX];
    int count;
} delivery_t;

/* The first of the queue, and what comes behind it for the same partition, about as much as a batch takes. Nothing passes a
 * record without a partition, or a position whose topic is yet to be made. */
static void gather(bridge_t *bridge, const outbox_topic_t *t, int32_t partitions_count, int budget, delivery_t *d)
{
    size_t bytes = 0;
    int left = MIN(budget, GATHER_MAX);
    d->count = 0;
    LIST_EACH(&t->records, r, outbox_record_t, queue) {
        bool placeless = r->record.partition < 0 || reroute_is_due(r, partitions_count);
        if (left-- == 0 || placeless || bytes > KAFKA_BATCH_BYTES || position_must_wait(bridge, r)) return;
        if (d->count && r->record.partition != d->records[0]->record.partition) continue;
        d->numbered[d->count] = (kafka_numbered_t){.record = &r->record, .number = r->number};
        d->records[d->count++] = r;
        bytes += r->record.key.len + r->record.value.len;
    }
}

/* Where several together are refused, the first is given alone: it may be another's fault. */
static int16_t append(bridge_t *bridge, delivery_t *d, int *ret_taken, char *message)
{
    int16_t error =
        kafka_produce_numbered(bridge->kafka, d->numbered, d->count, bridge->producer_id, ret_taken, message);
    if (error && d->count > 1)
        error = kafka_produce_numbered(bridge->kafka, d->numbered, 1, bridge->producer_id, ret_taken, message);
    return error;
}

/* The record stays, and is delivered when the disk is well: who waits for it need not wait so long. */
static void answer_refused(outbox_topic_t *t, int16_t error, const char *message)
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

static void refused_by_disk(bridge_t *bridge, outbox_topic_t *t, int16_t error, const char *message)
{
    int64_t now_ms = io_wall_ms(bridge->loop);
    if (t->refused_since_ms == 0) t->refused_since_ms = now_ms;
    if (now_ms - t->refused_since_ms >= REFUSED_MS_MAX) answer_refused(t, error, message);
}

/* The topic's queue waits: behind the record that was refused nothing may pass. */
static void refused(bridge_t *bridge, outbox_topic_t *t, const outbox_record_t *r, int16_t error, const char *message)
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
 * them. A position waits for the topic that it is of. */
static void hold_up(bridge_t *bridge, outbox_topic_t *t, int32_t partitions_count)
{
    const outbox_record_t *first = LIST_FIRST(&t->records, outbox_record_t, queue);
    if (position_must_wait(bridge, first)) {
        t->retry_at_ms = io_wall_ms(bridge->loop) + LOADING_MS;
        arm_retry(bridge, LOADING_MS);
        return;
    }
    if (reroute_topic(bridge, t, partitions_count) != first) return;
    refused(bridge, t, first, UNKNOWN_TOPIC_OR_PARTITION,
            "the topic was made anew with fewer partitions, and this one was asked for: KAFKA.REROUTE");
}

/* Appends what it can of a topic's queue; false when the turn's share is used up. */
static bool deliver_topic(bridge_t *bridge, outbox_topic_t *t, int *budget)
{
    delivery_t d;
    if (t->creating || t->retry_at_ms > io_wall_ms(bridge->loop)) return true;
    int32_t partitions_count = kafka_topic_partitions(bridge->catalog, t->name);
    if (partitions_count < 0) {
        make_topic(bridge, t);
        return true;
    }
    while (!list_empty(&t->records)) {
        char message[KAFKA_MESSAGE_BYTES_MAX] = "";
        int taken = 0;
        if (*budget == 0) return false;
        gather(bridge, t, partitions_count, *budget, &d);
        if (d.count == 0) {
            hold_up(bridge, t, partitions_count);
            return true;
        }
        int16_t error = append(bridge, &d, &taken, message);
        if (error) {
            refused(bridge, t, d.records[0], error, message);
            return true;
        }
        t->refused_since_ms = 0;
        for (int i = 0; i < taken; i++) placed(bridge, d.records[i], d.numbered[i].offset);
        *budget -= taken;
    }
    return true;
}

static void deliver(bridge_t *bridge)
{
    int budget = DELIVER_PER_TURN + (int)((bridge->count - bridge->placed_count) / DELIVER_SHARE);
    LIST_EACH(&bridge->topics, t, outbox_topic_t, node) {
        bool more = !deliver_topic(bridge, t, &budget);
        outbox_topic_release(bridge, t);
        if (!more) continue;
        io_loop_wake(bridge->loop);
        return;
    }
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
    if (bridge->count == 0) return;
    if (!bridge->unordered && !redis_is_written(bridge->redis)) return;
    take_written(bridge);
    if (bridge->delayed_count) take_due(bridge);
    if (list_empty(&bridge->topics)) return;
    if (!kafka_catalog_ready(bridge->catalog)) {
        arm_retry(bridge, LOADING_MS);
        return;
    }
    if (has_id(bridge) && (bridge->unordered || redis_is_written(bridge->redis))) deliver(bridge);
}

/* ---- stable storage: then a record may be forgotten ---- */

static outbox_record_t *syncing_at(bridge_t *bridge, list_t *node)
{
    outbox_record_t *r = node == &bridge->all ? NULL : CONTAINER_OF(node, outbox_record_t, node);
    return r && r->state == RECORD_SYNCING ? r : NULL;
}

/* The record and its neighbours by number, up to what must stay on either side. */
static void forget_run(bridge_t *bridge, outbox_record_t *r, int64_t ret_range[2])
{
    outbox_record_t *near;
    while ((near = syncing_at(bridge, r->node.prev)) != NULL) r = near;
    ret_range[0] = r->number;
    for (; r; r = near) {
        near = syncing_at(bridge, r->node.next);
        ret_range[1] = r->number;
        bridge->placed_count--;
        outbox_forget(bridge, r);
    }
}

static void forget_synced(bridge_t *bridge)
{
    int64_t ranges[2 * ACK_RANGES_MAX];
    int ranges_count = 0;
    while (!list_empty(&bridge->syncing)) {
        forget_run(bridge, LIST_FIRST(&bridge->syncing, outbox_record_t, queue), &ranges[2 * ranges_count]);
        if (++ranges_count < ACK_RANGES_MAX) continue;
        journal_ack(bridge, ranges, ranges_count);
        ranges_count = 0;
    }
    if (ranges_count) journal_ack(bridge, ranges, ranges_count);
}

static void end_round(bridge_t *bridge)
{
    if (bridge->round.failed) {
        LIST_EACH(&bridge->syncing, r, outbox_record_t, queue) r->state = RECORD_PLACED;
        list_splice_back(&bridge->placed, &bridge->syncing);
    } else {
        forget_synced(bridge);
    }
    bridge->round = (sync_round_t){0};
    if (bridge->placed_count) io_timer_start(&bridge->sync_timer, SYNC_MS, 0);
}

static void on_synced(void *user, int64_t value, int16_t error, const char *message)
{
    bridge_t *bridge = door_link_use(user);
    if (!bridge || bridge->stopped) return;
    /* A topic that was deleted took its records with it. */
    if (error && strcmp(kafka_error_name(error), "UNKNOWN_TOPIC_OR_PARTITION") != 0) {
        outbox_error(bridge, NULL, error, message);
        bridge->round.failed = true;
    }
    if (--bridge->round.outstanding == 0) end_round(bridge);
}

static void sync_once(bridge_t *bridge, map_t *seen, const outbox_record_t *r)
{
    buf_t key = BUF_INIT;
    buf_append(&key, r->record.topic.ptr, r->record.topic.len);
    buf_be32(&key, (uint32_t)r->record.partition);
    bool is_new = map_put(seen, buf_bytes(&key), seen) == NULL;
    buf_deinit(&key);
    if (!is_new) return;
    bridge->round.outstanding++;
    kafka_partition_sync(bridge->kafka, r->record.topic, r->record.partition, on_synced, door_link_take(bridge));
}

static void on_sync_timer(io_timer_t *timer)
{
    bridge_t *bridge = CONTAINER_OF(timer, bridge_t, sync_timer);
    map_t seen = MAP_INIT;
    if (bridge->round.active) return; /* its end arms the timer */
    bridge->round = (sync_round_t){.active = true, .outstanding = 1};
    list_splice_back(&bridge->syncing, &bridge->placed);
    LIST_EACH(&bridge->syncing, r, outbox_record_t, queue) {
        r->state = RECORD_SYNCING;
        sync_once(bridge, &seen, r);
    }
    map_deinit(&seen);
    if (--bridge->round.outstanding == 0) end_round(bridge);
}

/* ---- life ---- */

void deliver_start(bridge_t *bridge)
{
    bridge->started = true;
    io_timer_init(bridge->loop, &bridge->retry_timer, wake);
    io_timer_init(bridge->loop, &bridge->due_timer, wake);
    io_timer_init(bridge->loop, &bridge->sync_timer, on_sync_timer);
    if (!bridge->kafka) return;
    /* Without a sync of each entry, a power failure may leave a partition ahead of the file: its numbers are used. */
    if (bridge->producer_id >= 0)
        bridge->next_number =
            MAX(bridge->next_number, kafka_producer_last_number(bridge->kafka, bridge->producer_id) + 1);
    /* Nor is it known what a partition that is offline has; its numbers must not be given again. */
    if (kafka_stats(bridge->kafka).partitions_offline > 0) bridge->next_number += NUMBERS_SKIPPED;
    if (bridge->count)
        slog(SLOG_INFO, "bridge", "outbox read back", "records=%zu next_number=%" PRId64, bridge->count,
             bridge->next_number);
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        outbox_queue(bridge, r);
        position_track(bridge, r);
    }
    arm_due(bridge);
    bridge->hook = (io_hook_t){
        .rank = bridge->unordered ? HOOK_RANK_UNORDERED : HOOK_RANK, .name = "bridge delivery", .run = on_turn};
    io_hook_add(bridge->loop, &bridge->hook);
    io_loop_wake(bridge->loop);
}

void deliver_stop(bridge_t *bridge)
{
    bridge->stopped = true;
    if (bridge->kafka) kafka_positions_hold(bridge->kafka, NULL, NULL);
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
    if (!bridge->link) return;
    bridge->link->bridge = NULL;
    (void)door_link_use(bridge->link);
    bridge->link = NULL;
}
