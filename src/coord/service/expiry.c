/* expiry.c: the leader's clock: sessions that were not heard from end, containers and TTL nodes that are done go. Both by
 * proposals, so that every server does the same at the same point.
 *
 * A session lies in the slot of the tick at which it ends (a wheel); hearing from it moves it on at most once a tick. */
#include "coord/service/coord_internal.h"

static uint64_t now_ms(const coord_t *coord) { return io_now_ns(coord->loop) / 1000000; }

static uint32_t bucket_at(const coord_t *coord, uint64_t ms)
{
    return (uint32_t)(ms / coord->options.tick_time_ms) + 1;
}

static void put(coord_t *coord, session_t *session, uint64_t timeout_ms)
{
    uint32_t bucket = bucket_at(coord, now_ms(coord) + timeout_ms);
    if (bucket == session->bucket) return;
    session->bucket = bucket;
    list_remove(&session->expiry);
    list_push_back(&coord->expiry.slots[bucket % COORD_EXPIRY_SLOTS], &session->expiry);
}

void coord_session_touch(coord_t *coord, int64_t session_id, int32_t timeout_ms)
{
    session_t *session = sessions_find(&coord->state.sessions, session_id);
    if (session && !session->closing && session->own_server == 0) put(coord, session, (uint64_t)MAX(timeout_ms, 0));
}

void coord__expiry_welcome(coord_t *coord, int64_t session_id)
{
    session_t *session = sessions_find(&coord->state.sessions, session_id);
    if (coord->quorum && quorum_leads(coord->quorum)) coord_session_touch(coord, session_id, session->timeout_ms);
}

static void expire_one(coord_t *coord, session_t *session)
{
    if (!coord__disk_allows_closing(coord)) {
        put(coord, session, coord->options.tick_time_ms); /* and then again */
        return;
    }
    list_remove(&session->expiry);
    session->closing = true;
    zk_command_t command = {ZK_OP_CLOSE_SESSION, session->id, NULL, 0, BYTES_NULL};
    coord__propose(coord, NULL, &command);
}

static void expire(coord_t *coord)
{
    uint32_t now = (uint32_t)(now_ms(coord) / coord->options.tick_time_ms);
    /* After a long sleep each slot needs one look. */
    uint32_t first = now - MIN(now - coord->expiry.bucket, (uint32_t)COORD_EXPIRY_SLOTS - 1);
    for (uint32_t bucket = first; bucket <= now; bucket++) {
        LIST_EACH(&coord->expiry.slots[bucket % COORD_EXPIRY_SLOTS], session, session_t, expiry) {
            if (session->bucket <= now) expire_one(coord, session);
        }
    }
    coord->expiry.bucket = now;
}

/* ---- containers and TTL nodes --------------------------------------------------------------------------------------- */

static void reap_one(coord_t *coord, const znode_t *node)
{
    uint8_t *body = mem_alloc(4 + node->path_bytes);
    jute_put_bytes(body, znode_path(node));
    zk_command_t command = {ZK_OP_DELETE_CONTAINER, 0, NULL, 0, bytes_of(body, 4 + node->path_bytes)};
    coord__propose(coord, NULL, &command);
    mem_free(body);
}

/* A container goes once it has had children and has none; the check when it is applied counts, not this one. */
static void reap(coord_t *coord)
{
    int64_t wall_ms = io_wall_ms(coord->loop);
    int left = COORD_REAPS_MAX;
    if (!coord__disk_allows(coord, ZK_OP_DELETE_CONTAINER)) return;
    LIST_EACH(&coord->state.containers, node, znode_t, owned) {
        if (node->children_count == 0 && node->cversion > 0 && left-- > 0) reap_one(coord, node);
    }
    LIST_EACH(&coord->state.ttls, ttl, znode_t, owned) {
        int64_t age_ms = wall_ms - ttl->mtime_ms;
        if (ttl->children_count == 0 && age_ms > znode_ttl_ms(ttl->owner) && left-- > 0) reap_one(coord, ttl);
    }
}

static void tick(io_timer_t *timer)
{
    coord_t *coord = CONTAINER_OF(timer, coord_t, expiry.timer);
    if (!quorum_leads(coord->quorum)) return;
    expire(coord);
    if (now_ms(coord) < coord->expiry.reap_due_ms) return;
    coord->expiry.reap_due_ms = now_ms(coord) + coord->options.container_check_ms;
    reap(coord);
}

void coord__expiry_init(coord_t *coord)
{
    for (size_t i = 0; i < COORD_EXPIRY_SLOTS; i++) list_init(&coord->expiry.slots[i]);
    io_timer_init(coord->loop, &coord->expiry.timer, tick);
}

void coord__expiry_start(coord_t *coord)
{
    size_t cursor = 0;
    for (session_t *s; (s = sessions_next(&coord->state.sessions, &cursor));) {
        s->closing = false;
        s->bucket = 0;
        if (s->own_server == 0) put(coord, s, (uint64_t)s->timeout_ms);
    }
    coord->expiry.bucket = (uint32_t)(now_ms(coord) / coord->options.tick_time_ms);
    coord->expiry.reap_due_ms = now_ms(coord) + coord->options.container_check_ms;
    uint32_t every_ms = MIN(coord->options.tick_time_ms, coord->options.container_check_ms);
    io_timer_start(&coord->expiry.timer, every_ms, every_ms);
}

void coord__expiry_again(coord_t *coord)
{
    size_t cursor = 0;
    for (session_t *s; (s = sessions_next(&coord->state.sessions, &cursor));) {
        if (!s->closing) continue;
        s->closing = false;
        s->bucket = 0;
        put(coord, s, coord->options.tick_time_ms);
    }
}

void coord__expiry_stop(coord_t *coord)
{
    io_timer_stop(&coord->expiry.timer);
    size_t cursor = 0;
    for (session_t *s; (s = sessions_next(&coord->state.sessions, &cursor));) {
        list_remove(&s->expiry);
        s->bucket = 0;
    }
}
