/* sync.c: from its place in a partition to stable storage: then a record may be forgotten. Twice a second the partitions that got
 * records are synced, by one request to Kafka's reactor, and what they had by then is struck off. */
#include "bridge/far.h"

#include <stdio.h>

#define SYNC_MS                    500 /* from an append to the sync that lets it be forgotten */
#define UNKNOWN_TOPIC_OR_PARTITION 3   /* Kafka's code */

typedef struct place {
    bytes_t topic; /* a record's that is kept until the answer */
    int32_t partition;
} place_t;

typedef struct sync_request {
    far_request_t request;
    place_t *places;
    int count, cap;
    /* the far half's */
    int outstanding;
    kafka_code_t error;
    char why[KAFKA_MESSAGE_BYTES_MAX];
} sync_request_t;

/* ---- near: forgetting ------------------------------------------------------------------------------------------------ */

static outbox_record_t *syncing_at(bridge_t *bridge, list_t *node)
{
    outbox_record_t *r = node == &bridge->all ? NULL : CONTAINER_OF(node, outbox_record_t, node);
    return r && r->state == RECORD_SYNCING ? r : NULL;
}

/* The record and its neighbours by number, up to what must stay on either side. */
static void forget_run(bridge_t *bridge, outbox_record_t *r, int64_t ret_range[2])
{
    outbox_record_t *near;
    while ((near = syncing_at(bridge, r->node.prev))) r = near;
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

static void end_round(bridge_t *bridge, bool failed)
{
    if (failed) {
        LIST_EACH(&bridge->syncing, r, outbox_record_t, queue) r->state = RECORD_PLACED;
        list_splice_back(&bridge->placed, &bridge->syncing);
    } else {
        forget_synced(bridge);
    }
    bridge->syncs = false;
    if (bridge->placed_count) io_timer_start(&bridge->sync_timer, SYNC_MS, 0);
}

static void on_answered(bridge_t *bridge, far_request_t *request)
{
    sync_request_t *s = CONTAINER_OF(request, sync_request_t, request);
    if (bridge && request->error) outbox_error(bridge, NULL, request->error, request->words);
    if (bridge) end_round(bridge, request->error != 0);
    mem_free(s->places);
    mem_free(s);
}

/* ---- far: syncing ---------------------------------------------------------------------------------------------------- */

static void settle(sync_request_t *s)
{
    if (--s->outstanding == 0) far_answer(&s->request, 0, s->error, s->why);
}

/* A topic that was deleted took its records with it. */
static void on_synced(void *user, int64_t value, kafka_code_t error, const char *words)
{
    sync_request_t *s = user;
    if (error && error != UNKNOWN_TOPIC_OR_PARTITION) {
        s->error = error;
        snprintf(s->why, sizeof(s->why), "%s", words ? words : "");
    }
    settle(s);
}

static void sync_places(far_request_t *request)
{
    sync_request_t *s = CONTAINER_OF(request, sync_request_t, request);
    s->outstanding = 1 + s->count;
    for (int i = 0; i < s->count; i++)
        kafka_partition_sync(request->kafka, s->places[i].topic, s->places[i].partition, on_synced, s);
    settle(s);
}

/* ---- near: asking ---------------------------------------------------------------------------------------------------- */

static void add_place(sync_request_t *s, map_t *seen, const outbox_record_t *r)
{
    buf_t key = BUF_INIT;
    buf_append(&key, r->record.topic.ptr, r->record.topic.len);
    buf_be32(&key, (uint32_t)r->record.partition);
    bool is_new = map_put(seen, buf_bytes(&key), s) == NULL;
    buf_deinit(&key);
    if (!is_new) return;
    if (s->count == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 16;
        s->places = mem_realloc(s->places, sizeof(*s->places) * (size_t)s->cap);
    }
    s->places[s->count++] = (place_t){r->record.topic, r->record.partition};
}

static void on_timer(io_timer_t *timer)
{
    bridge_t *bridge = CONTAINER_OF(timer, bridge_t, sync_timer);
    map_t seen = MAP_INIT;
    if (bridge->syncs) return; /* its end arms the timer */
    sync_request_t *s = mem_zalloc(sizeof(*s));
    bridge->syncs = true;
    list_splice_back(&bridge->syncing, &bridge->placed);
    LIST_EACH(&bridge->syncing, r, outbox_record_t, queue) {
        r->state = RECORD_SYNCING;
        add_place(s, &seen, r);
    }
    map_deinit(&seen);
    far_send(bridge, &s->request, sync_places, on_answered);
}

void sync_init(bridge_t *bridge) { io_timer_init(bridge->loop, &bridge->sync_timer, on_timer); }

void sync_soon(bridge_t *bridge)
{
    if (!bridge->syncs && !bridge->sync_timer.due_ns) io_timer_start(&bridge->sync_timer, SYNC_MS, 0);
}
