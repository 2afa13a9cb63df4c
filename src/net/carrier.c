/* carrier.c: a thread that reads and writes for connections whose services run on the owner's, which is a reactor's.
 *
 *   owner's thread (carried.c)                                  carrier's thread (here)
 *   connection ----- order: output, reads allowed, close -----> link ----- readv, writev, sendfile
 *              <---- report: input, output that left, end -----
 *
 * Orders of a turn travel in one message to each carrier, and so do reports of a turn back: the busier both are, the fewer
 * wake-ups they need. A link never reads more blocks than it was allowed to, so that input waits in the kernel while its
 * service does; what was sent goes back to its owner, who made it and alone may free it.
 *
 * Invariant: what is in the `orders` half is touched by the owner's thread only; links and all else by the carrier's. */
#include "net/net_internal.h"

#define HOOK_RANK           90
#define BATCH_PARCELS       32
#define BLOCK_BYTES         KIB(16)
#define BLOCK_LARGE_BYTES   KIB(256) /* for a connection that fills the others */
#define BLOCKS_CACHED_MAX   64
#define BLOCKS_LARGE_CACHED 8
/* Read and not yet given back, of all connections: while their owner is busy, many that fill their blocks take 32 MiB
 * and, like all others, two small blocks each. */
#define BLOCKS_LARGE_OUT_MAX 128

typedef struct net_batch {
    io_message_t message;
    net_carrier_t *carrier;
    size_t count, cap;
    net_parcel_t parcels[];
} net_batch_t;

/* A place in the batch under construction: 0 = none. */
typedef uint32_t slot_t;

typedef struct block_cache {
    net_block_t *first;
    uint32_t count, count_max;
    size_t block_bytes;
} block_cache_t;

struct net_carrier {
    io_loop_t *loop, *owner;
    net_batch_t *orders; /* the owner's: NULL = nothing to tell */
    /* the carrier's own */
    net_batch_t *reports;
    io_hook_t hook;
    list_t links;
    net_chunk_cache_t spent;
    block_cache_t blocks, large_blocks;
    uint32_t large_out; /* of all links */
    tls_workspace_t tls;
};

struct net_link {
    net_carrier_t *carrier;
    net_conn_t *conn;  /* for the reports: the owner's */
    slot_t order_slot; /* the owner's */
    slot_t report_slot;
    io_socket_t *socket; /* until the first order */
    io_stream_t *stream;
    tls_engine_t *tls;     /* NULL = plain text */
    tls_state_t tls_state; /* as it was reported last */
    size_t held_bytes;
    list_t node;
    net_output_t out;
    uint32_t reads; /* blocks it may read */
    bool blocked;   /* the stream took no more; wait until writable */
    int ended;      /* 0, or what the report of it said last */
    bool large;     /* its last read filled its block */
    uint32_t large_out;
};

/* ---- parcels -------------------------------------------------------------------------------------------------------- */

static net_batch_t *batch_grow(net_carrier_t *carrier, net_batch_t *batch, void (*run)(io_message_t *message))
{
    size_t cap = batch ? batch->cap * 2 : BATCH_PARCELS, count = batch ? batch->count : 0;
    batch = mem_realloc(batch, sizeof(*batch) + cap * sizeof(batch->parcels[0]));
    batch->message.run = run;
    batch->carrier = carrier;
    batch->count = count;
    batch->cap = cap;
    return batch;
}

/* The parcel of the link in the batch; a new one when it has none there. */
static net_parcel_t *parcel_of(net_batch_t **batch, slot_t *slot, net_link_t *link, void (*run)(io_message_t *message))
{
    if (*slot) return &(*batch)->parcels[*slot - 1];
    if (!*batch || (*batch)->count == (*batch)->cap) *batch = batch_grow(link->carrier, *batch, run);
    *slot = (slot_t)++(*batch)->count;
    net_parcel_t *parcel = &(*batch)->parcels[*slot - 1];
    *parcel = (net_parcel_t){.link = link, .conn = link->conn, .keepalive_s = -1};
    return parcel;
}

static void on_orders(io_message_t *message);
static void on_reports(io_message_t *message);

net_parcel_t *net__order(net_link_t *link)
{
    return parcel_of(&link->carrier->orders, &link->order_slot, link, on_orders);
}

static net_parcel_t *report_of(net_link_t *link)
{
    return parcel_of(&link->carrier->reports, &link->report_slot, link, on_reports);
}

void net__post_orders(net_carrier_t *carrier)
{
    net_batch_t *batch = carrier->orders;
    if (!batch) return;
    carrier->orders = NULL;
    for (size_t i = 0; i < batch->count; i++) batch->parcels[i].link->order_slot = 0;
    io_post(carrier->loop, &batch->message);
}

/* A link that is closed is known to nobody once its last report is on its way. */
static void post_reports(net_carrier_t *carrier)
{
    net_batch_t *batch = carrier->reports;
    if (!batch) return;
    carrier->reports = NULL;
    for (size_t i = 0; i < batch->count; i++) {
        net_parcel_t *report = &batch->parcels[i];
        if (report->closes)
            mem_free(report->link);
        else
            report->link->report_slot = 0;
    }
    io_post(carrier->owner, &batch->message);
}

static void on_turn_end(io_hook_t *hook) { post_reports(CONTAINER_OF(hook, net_carrier_t, hook)); }

static void on_reports(io_message_t *message)
{
    net_batch_t *batch = CONTAINER_OF(message, net_batch_t, message);
    for (size_t i = 0; i < batch->count; i++) net__on_report(&batch->parcels[i]);
    mem_free(batch);
}

/* ---- blocks --------------------------------------------------------------------------------------------------------- */

static bool is_large(const net_block_t *block) { return block->cap == BLOCK_LARGE_BYTES; }

static net_block_t *block_take(net_carrier_t *carrier, bool large)
{
    block_cache_t *cache = large ? &carrier->large_blocks : &carrier->blocks;
    net_block_t *block = cache->first;
    if (block) {
        cache->first = block->next;
        cache->count--;
    } else {
        block = mem_alloc(sizeof(*block) + cache->block_bytes);
        block->cap = cache->block_bytes;
    }
    block->next = NULL;
    block->len = 0;
    return block;
}

static void block_give(net_carrier_t *carrier, net_block_t *block)
{
    block_cache_t *cache = is_large(block) ? &carrier->large_blocks : &carrier->blocks;
    if (cache->count == cache->count_max) {
        mem_free(block);
        return;
    }
    block->next = cache->first;
    cache->first = block;
    cache->count++;
}

static void block_cache_deinit(block_cache_t *cache)
{
    while (cache->first) {
        net_block_t *next = cache->first->next;
        mem_free(cache->first);
        cache->first = next;
    }
}

/* ---- links ---------------------------------------------------------------------------------------------------------- */

/* A peer that has said all can still fail: only what is sent to it tells then. */
static void link_ended(net_link_t *link, int why)
{
    if (link->ended < 0 || link->ended == why) return;
    link->ended = why;
    report_of(link)->ended = why;
}

static void count_large(net_link_t *link, int change)
{
    link->large_out += (uint32_t)change;
    link->carrier->large_out += (uint32_t)change;
}

static void report_block(net_link_t *link, net_block_t *block)
{
    if (is_large(block)) count_large(link, 1);
    net_parcel_t *report = report_of(link);
    if (report->blocks)
        report->blocks_last->next = block;
    else
        report->blocks = block;
    report->blocks_last = block;
}

static void link_send(net_link_t *link);

/* Tells the owner what has changed, and sends what waited for that. */
static void link_tls_moved(net_link_t *link)
{
    tls_state_t state = tls_engine_state(link->tls);
    size_t held_bytes = tls_engine_held(link->tls);
    bool opened = state != link->tls_state && (state == TLS_OPEN || state == TLS_PLAIN);
    if (state != link->tls_state || held_bytes != link->held_bytes) {
        net_parcel_t *report = report_of(link);
        report->tells_tls = true;
        report->tls = link->tls_state = state;
        report->held_bytes = link->held_bytes = held_bytes;
        if (state == TLS_FAILED) report->why = tls_engine_why(link->tls);
    }
    link->blocked |= tls_engine_unsent(link->tls) > 0;
    if (state == TLS_PLAIN) {
        tls_engine_free(link->tls);
        link->tls = NULL;
    }
    if (opened && link->out.first) link_send(link);
}

/* *ret_more: the stream gave as much as was asked for. */
static ssize_t link_read_block(net_link_t *link, net_block_t *block, bool *ret_more)
{
    ssize_t n;
    if (link->tls) {
        n = tls_engine_read(link->tls, &link->carrier->tls, link->stream, block->data, block->cap, ret_more);
        link_tls_moved(link);
    } else {
        n = io_stream_read(link->stream, block->data, block->cap);
        *ret_more = n == (ssize_t)block->cap;
    }
    return n;
}

static void link_read(net_link_t *link)
{
    while (link->reads > 0 && !link->ended) {
        net_block_t *block = block_take(link->carrier, link->large && link->carrier->large_out < BLOCKS_LARGE_OUT_MAX);
        bool more = false;
        ssize_t n = link_read_block(link, block, &more);
        if (n <= 0) {
            block_give(link->carrier, block);
            if (n != ERR_AGAIN) link_ended(link, n == 0 ? NET_END : (int)n);
            return;
        }
        block->len = (size_t)n;
        link->reads--;
        link->large = more;
        report_block(link, block);
        if (!link->large) return;
    }
}

/* What left is the owner's again: chunks in no order, with their bytes counted. */
static void report_spent(net_link_t *link, size_t bytes, size_t file_bytes)
{
    net_chunk_cache_t *spent = &link->carrier->spent;
    if (!spent->first && !bytes) return;
    net_output_t output = {.first = spent->first, .bytes = bytes, .file_bytes = file_bytes};
    for (net_chunk_t *chunk = spent->first; chunk; chunk = chunk->next) output.last = chunk;
    net__output_take(&report_of(link)->output, &output);
    *spent = (net_chunk_cache_t){.keeps_all = true};
}

static void link_send(net_link_t *link)
{
    uint64_t sent = 0;
    size_t file_bytes = link->out.file_bytes;
    if (!link->stream || link->blocked || link->ended < 0) return;
    net_carrier_t *carrier = link->carrier;
    int err = link->tls ? net__output_send_tls(&link->out, &carrier->spent, (net_tls_t){link->tls, &carrier->tls},
                                               link->stream, &sent)
                        : net__output_send(&link->out, &carrier->spent, link->stream, &sent);
    report_spent(link, (size_t)sent, file_bytes - link->out.file_bytes);
    link->blocked = err == ERR_AGAIN;
    if (err && err != ERR_AGAIN) link_ended(link, err);
}

static void on_link_ready(void *user, unsigned events);

static void link_watch(net_link_t *link)
{
    unsigned events = (link->reads > 0 && !link->ended ? IO_READABLE : 0) | (link->blocked ? IO_WRITABLE : 0);
    if (link->stream) io_stream_watch(link->stream, events, on_link_ready, link);
}

static void on_link_ready(void *user, unsigned events)
{
    net_link_t *link = user;
    if (events & IO_WRITABLE && link->blocked) {
        link->blocked = false;
        link_send(link);
    }
    if (events & IO_READABLE) link_read(link);
    link_watch(link);
}

static void link_open(net_link_t *link)
{
    list_push_back(&link->carrier->links, &link->node);
    int err = io_stream_attach(link->carrier->loop, link->socket, &link->stream);
    link->socket = NULL;
    if (err) link_ended(link, err);
}

/* Freed when its last report leaves. */
static void link_close(net_link_t *link)
{
    size_t sealed = link->tls ? tls_engine_sealed(link->tls) : 0;
    if (link->tls && link->stream) tls_engine_close(link->tls, &link->carrier->tls, link->stream);
    tls_engine_free(link->tls);
    link->tls = NULL;
    if (link->stream) io_stream_close(link->stream);
    link->stream = NULL;
    size_t unsent = link->out.bytes + sealed, file_bytes = link->out.file_bytes;
    net__output_clear(&link->out, &link->carrier->spent);
    report_spent(link, unsent, file_bytes);
    count_large(link, -(int)link->large_out); /* the owner frees them */
    list_remove(&link->node);
    report_of(link)->closes = true;
}

static void take_order(net_parcel_t *order)
{
    net_link_t *link = order->link;
    for (net_block_t *block = order->blocks, *next; block; block = next) {
        next = block->next;
        if (is_large(block)) count_large(link, -1);
        block_give(link->carrier, block);
    }
    if (link->socket) link_open(link);
    if (order->keepalive_s >= 0 && link->stream) io_stream_keepalive(link->stream, (uint32_t)order->keepalive_s);
    if (order->settles && link->tls) {
        tls_engine_settle(link->tls);
        link_tls_moved(link);
    }
    net__output_join(&link->out, &link->carrier->spent, &order->output);
    report_spent(link, 0, 0);
    if (link->out.first) link_send(link);
    if (order->closes) {
        link_close(link);
        return;
    }
    link->reads += order->reads;
    link_watch(link);
}

static void on_orders(io_message_t *message)
{
    net_batch_t *batch = CONTAINER_OF(message, net_batch_t, message);
    for (size_t i = 0; i < batch->count; i++) take_order(&batch->parcels[i]);
    mem_free(batch);
}

/* ---- life ----------------------------------------------------------------------------------------------------------- */

net_carrier_t *net__carrier_new(net_t *net, io_loop_t *loop)
{
    net_carrier_t *carrier = mem_zalloc(sizeof(*carrier));
    carrier->loop = loop;
    carrier->owner = net->loop;
    carrier->spent.keeps_all = true;
    tls_workspace_init(&carrier->tls, loop);
    carrier->blocks = (block_cache_t){.count_max = BLOCKS_CACHED_MAX, .block_bytes = BLOCK_BYTES};
    carrier->large_blocks = (block_cache_t){.count_max = BLOCKS_LARGE_CACHED, .block_bytes = BLOCK_LARGE_BYTES};
    list_init(&carrier->links);
    carrier->hook = (io_hook_t){.rank = HOOK_RANK, .name = "a carrier's reports", .run = on_turn_end};
    io_hook_add(loop, &carrier->hook);
    return carrier;
}

net_link_t *net__link_new(net_carrier_t *carrier, net_conn_t *conn, io_socket_t *socket, tls_engine_t *tls)
{
    net_link_t *link = mem_zalloc(sizeof(*link));
    link->carrier = carrier;
    link->conn = conn;
    link->socket = socket;
    link->tls = tls;
    if (tls) link->tls_state = tls_engine_state(tls);
    return link;
}

net_carrier_t *net__link_carrier(const net_link_t *link) { return link->carrier; }

void net__carrier_settle(net_carrier_t *carrier)
{
    net__post_orders(carrier);
    io_loop_drain(carrier->loop);
    post_reports(carrier);
    io_loop_drain(carrier->owner);
}

void net__carrier_free(net_carrier_t *carrier)
{
    ASSERT(list_empty(&carrier->links) && !carrier->orders && !carrier->reports && !carrier->large_out);
    io_hook_remove(&carrier->hook);
    block_cache_deinit(&carrier->blocks);
    block_cache_deinit(&carrier->large_blocks);
    tls_workspace_deinit(&carrier->tls);
    mem_free(carrier);
}
