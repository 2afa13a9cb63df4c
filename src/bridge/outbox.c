/* outbox.c: the records that are not yet safe in Kafka: all of them by number, those that wait for the append-only file,
 * one queue a topic, and a heap of those whose time has not come. */
#include "bridge/bridge_internal.h"

#include <stdio.h>

void outbox_init(bridge_t *bridge)
{
    list_init(&bridge->all);
    list_init(&bridge->unwritten);
    list_init(&bridge->placed);
    list_init(&bridge->syncing);
    list_init(&bridge->topics);
    list_init(&bridge->straight);
    list_init(&bridge->questions);
    bridge->topics_by_name = bridge->by_number = MAP_INIT;
    bridge->next_number = 1;
    bridge->producer_id = -1;
    bridge->bytes_max = OUTBOX_BYTES_MAX;
}

size_t outbox_waiting_bytes(void *user)
{
    const bridge_t *bridge = user;
    return bridge->memory_bytes + bridge->delayed_cap * sizeof(*bridge->delayed);
}

void outbox_deinit(bridge_t *bridge)
{
    LIST_EACH(&bridge->all, r, outbox_record_t, node) mem_free(r);
    LIST_EACH(&bridge->topics, t, outbox_topic_t, node) {
        mem_free((void *)t->name.ptr);
        mem_free(t);
    }
    map_deinit(&bridge->topics_by_name);
    map_deinit(&bridge->by_number);
    mem_free(bridge->delayed);
}

/* ---- the heap ---- */

static void heap_swap(bridge_t *b, size_t i, size_t j)
{
    outbox_record_t *r = b->delayed[i];
    b->delayed[i] = b->delayed[j];
    b->delayed[j] = r;
}

/* Of the same moment, the older number first. */
static bool is_before(const outbox_record_t *a, const outbox_record_t *b)
{
    return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->number < b->number;
}

static void heap_push(bridge_t *b, outbox_record_t *r)
{
    if (b->delayed_count == b->delayed_cap) {
        b->delayed_cap = b->delayed_cap ? b->delayed_cap * 2 : 16;
        b->delayed = mem_realloc(b->delayed, b->delayed_cap * sizeof(*b->delayed));
    }
    size_t i = b->delayed_count++;
    b->delayed[i] = r;
    for (; i > 0 && is_before(b->delayed[i], b->delayed[(i - 1) / 2]); i = (i - 1) / 2) heap_swap(b, i, (i - 1) / 2);
}

static void heap_pop(bridge_t *b)
{
    b->delayed[0] = b->delayed[--b->delayed_count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < b->delayed_count; child++)
            if (is_before(b->delayed[child], b->delayed[least])) least = child;
        if (least == i) return;
        heap_swap(b, i, least);
        i = least;
    }
}

outbox_record_t *outbox_take_due(bridge_t *bridge, int64_t now_ms)
{
    outbox_record_t *r = bridge->delayed_count ? bridge->delayed[0] : NULL;
    if (!r || r->due_ms > now_ms) return NULL;
    heap_pop(bridge);
    return r;
}

/* ---- topics ---- */

static outbox_topic_t *topic_of(bridge_t *bridge, bytes_t name)
{
    outbox_topic_t *t = map_get(&bridge->topics_by_name, name);
    if (t) return t;
    t = mem_zalloc(sizeof(*t));
    t->name = bytes_of(mem_strndup(name), name.len);
    list_init(&t->records);
    list_push_back(&bridge->topics, &t->node);
    map_put(&bridge->topics_by_name, t->name, t);
    return t;
}

void outbox_topic_release(bridge_t *bridge, outbox_topic_t *t)
{
    if (!list_empty(&t->records) || t->creating || t->sent) return;
    map_remove(&bridge->topics_by_name, t->name);
    list_remove(&t->node);
    mem_free((void *)t->name.ptr);
    mem_free(t);
}

/* ---- records ---- */

void outbox_queue(bridge_t *bridge, outbox_record_t *r)
{
    if (r->due_ms) {
        r->state = RECORD_DELAYED;
        heap_push(bridge, r);
    } else {
        r->state = RECORD_QUEUED;
        list_push_back(&topic_of(bridge, r->record.topic)->records, &r->queue);
    }
}

void outbox_restore(bridge_t *bridge, outbox_record_t *r)
{
    bridge->next_number = MAX(bridge->next_number, r->number + 1);
    list_push_back(&bridge->all, &r->node);
    bridge->count++;
    bridge->bytes += r->bytes;
    bridge->memory_bytes += mem_usable(r);
}

void outbox_add(bridge_t *bridge, outbox_record_t *r)
{
    r->number = bridge->next_number;
    r->state = RECORD_UNWRITTEN;
    outbox_restore(bridge, r);
    list_push_back(&bridge->unwritten, &r->queue);
    io_loop_wake(bridge->loop); /* input may come behind this turn's hooks */
}

void outbox_forget(bridge_t *bridge, outbox_record_t *r)
{
    list_remove(&r->node);
    list_remove(&r->queue);
    bridge->count--;
    bridge->bytes -= r->bytes;
    bridge->memory_bytes -= mem_usable(r);
    mem_free(r);
}

void outbox_error(bridge_t *bridge, const outbox_record_t *r, kafka_code_t error, const char *message)
{
    snprintf(bridge->last_error, sizeof(bridge->last_error), "record %" PRId64 " for %.*s: %s %s", r ? r->number : 0,
             r ? (int)MIN(r->record.topic.len, (size_t)64) : 0, r ? (const char *)r->record.topic.ptr : "",
             kafka_error_name(error), message ? message : "");
}
