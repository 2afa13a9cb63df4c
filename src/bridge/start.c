/* start.c: the bridge starts when both of its wings have recovered. What only Kafka's reactor knows is asked there: which numbers of the
 * bridge its partitions have; and it is told which groups have offsets under way. */
#include "bridge/far.h"

typedef struct start {
    far_request_t request;
    far_commits_t *commits; /* the far half's */
    int64_t producer_id;
    buf_t groups; /* {u32 length, name} of each offset in the outbox */
    bool offline; /* the answer's, with the last number */
    void (*started)(void *user);
    void *user;
} start_t;

static void start_far(far_request_t *request)
{
    start_t *start = CONTAINER_OF(request, start_t, request);
    int64_t last = -1;
    kafka_producer_keep(request->kafka, start->producer_id);
    if (start->producer_id >= 0) last = kafka_producer_last_number(request->kafka, start->producer_id);
    start->offline = kafka_stats(request->kafka).partitions_offline > 0;
    for (size_t at = 0; at < start->groups.len;) {
        uint32_t bytes = load_be32(start->groups.ptr + at);
        far_commits_add(start->commits, bytes_of(start->groups.ptr + at + 4, bytes));
        at += 4 + bytes;
    }
    far_answer(request, last, 0, NULL);
}

static void begin(bridge_t *bridge, int64_t last_number, bool offline)
{
    deliver_start(bridge, last_number, offline);
    map_deinit(&bridge->by_number);
    bridge->by_number = MAP_INIT;
}

static void start_answered(bridge_t *bridge, far_request_t *request)
{
    start_t *start = CONTAINER_OF(request, start_t, request);
    if (bridge) {
        begin(bridge, request->value, start->offline);
        start->started(start->user);
    }
    buf_deinit(&start->groups);
    mem_free(start);
}

static void put_groups(const bridge_t *bridge, buf_t *out)
{
    kafka_commit_t commit;
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        if (kafka_commit_of(&r->record, &commit) != 0) continue;
        buf_be32(out, (uint32_t)commit.group.len);
        buf_append(out, commit.group.ptr, commit.group.len);
    }
}

int bridge_start(bridge_t *bridge, void (*started)(void *user), void *user)
{
    if (bridge->unreadable) return ERR_CORRUPT;
    if (!bridge->kafka) {
        begin(bridge, -1, false);
        started(user);
        return 0;
    }
    start_t *start = mem_zalloc(sizeof(*start));
    start->commits = bridge->far_commits;
    start->producer_id = bridge->producer_id;
    start->groups = BUF_INIT;
    start->started = started;
    start->user = user;
    put_groups(bridge, &start->groups);
    far_send(bridge, &start->request, start_far, start_answered);
    return 0;
}
