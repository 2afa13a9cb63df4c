/* commit_far.c: offsets of consumer groups on their way, as Kafka's reactor knows them. Kafka's clients are told to come again
 * while one is promised (its command was answered) and not delivered.
 *
 *   KAFKA.COMMIT ──> its client's replies are held ──> commit_announce, with others of the turn ──> counted here
 *                    released <──────────────────────────────────────────────────────────────────── answered
 *                                                      delivery, in this turn or later ──────────────> appended: counted off
 *
 * So from the reply on no OffsetFetch misses the offset: the group has it, or its clients wait. A record is announced before it is
 * delivered, as messages of one sender come in order; those that are read back at the start are counted before anybody asks. */
#include "bridge/far.h"

typedef struct under_way {
    int64_t count;
} under_way_t;

struct far_commits {
    map_t groups; /* id -> under_way_t; none is of 0 */
};

far_commits_t *far_commits_new(void) { return mem_zalloc(sizeof(far_commits_t)); }

void far_commits_free(far_commits_t *commits)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&commits->groups, &cursor));) mem_free(e->value);
    map_deinit(&commits->groups);
    mem_free(commits);
}

bool far_commits_wait(void *user, bytes_t group)
{
    const far_commits_t *commits = user;
    return map_get(&commits->groups, group) != NULL;
}

void far_commits_add(far_commits_t *commits, bytes_t group, uint32_t count)
{
    under_way_t *u = map_get(&commits->groups, group);
    if (!u) {
        u = mem_zalloc(sizeof(*u));
        map_put(&commits->groups, group, u);
    }
    u->count += count;
}

void far_commits_remove(far_commits_t *commits, bytes_t group)
{
    under_way_t *u = map_get(&commits->groups, group);
    ASSERT(u && u->count > 0); /* it was announced, or held for a member */
    if (--u->count > 0) return;
    map_remove(&commits->groups, group);
    mem_free(u);
}

void far_commits_settle(far_commits_t *commits, const kafka_produce_t *record)
{
    kafka_commit_t commit;
    if (kafka_commit_of(record, &commit) == 0) far_commits_remove(commits, commit.group);
}

/* ---- announcing ------------------------------------------------------------------------------------------------------ */

/* Of one group, and so often; its id follows. */
typedef struct news {
    uint32_t count, group_bytes;
} news_t;

struct announcement {
    far_request_t request;
    far_commits_t *commits; /* the far half's */
    buf_t groups;           /* each a news_t and an id */
    size_t last_at;         /* of the last of them */
    buf_t clients;          /* ids whose replies are held */
};

static void count_in(far_request_t *request)
{
    const announcement_t *a = CONTAINER_OF(request, announcement_t, request);
    for (size_t at = 0; at < a->groups.len;) {
        news_t news;
        memcpy(&news, a->groups.ptr + at, sizeof(news));
        far_commits_add(a->commits, bytes_of(a->groups.ptr + at + sizeof(news), news.group_bytes), news.count);
        at += sizeof(news) + news.group_bytes;
    }
    far_answer(request, 0, 0, NULL);
}

static void on_counted(bridge_t *bridge, far_request_t *request)
{
    announcement_t *a = CONTAINER_OF(request, announcement_t, request);
    for (size_t at = 0; bridge && at < a->clients.len; at += sizeof(uint64_t)) {
        uint64_t client_id;
        memcpy(&client_id, a->clients.ptr + at, sizeof(client_id));
        redis_replies_release(bridge->redis, client_id);
    }
    buf_deinit(&a->groups);
    buf_deinit(&a->clients);
    mem_free(a);
}

/* Pipelines repeat themselves: then one more is counted, and nothing is written. */
static bool count_more(announcement_t *a, bytes_t group)
{
    news_t news;
    if (a->groups.len == 0) return false;
    uint8_t *last = a->groups.ptr + a->last_at;
    memcpy(&news, last, sizeof(news));
    if (!bytes_eq(bytes_of(last + sizeof(news), news.group_bytes), group)) return false;
    news.count++;
    memcpy(last, &news, sizeof(news));
    return true;
}

static void add_group(announcement_t *a, bytes_t group)
{
    news_t news = {1, (uint32_t)group.len};
    if (count_more(a, group)) return;
    a->last_at = a->groups.len;
    buf_append(&a->groups, &news, sizeof(news));
    buf_append(&a->groups, group.ptr, group.len);
}

/* Its replies are held once until this announcement was answered, or, if others came between, more often. */
static void add_client(bridge_t *bridge, announcement_t *a, uint64_t client_id)
{
    uint64_t last = 0;
    if (a->clients.len) memcpy(&last, a->clients.ptr + a->clients.len - sizeof(last), sizeof(last));
    if (client_id == 0 || client_id == last) return;
    redis_replies_hold(bridge->redis, client_id);
    buf_append(&a->clients, &client_id, sizeof(client_id));
}

void commit_announce(bridge_t *bridge, bytes_t group, uint64_t client_id)
{
    if (!bridge->announcement) {
        bridge->announcement = mem_zalloc(sizeof(*bridge->announcement));
        bridge->announcement->groups = bridge->announcement->clients = BUF_INIT;
    }
    add_group(bridge->announcement, group);
    add_client(bridge, bridge->announcement, client_id);
}

void commit_announce_send(bridge_t *bridge)
{
    announcement_t *a = bridge->announcement;
    if (!a) return;
    a->commits = bridge->far_commits;
    bridge->announcement = NULL;
    (bridge->unordered ? far_send_early : far_send)(bridge, &a->request, count_in, on_counted);
}

void commit_announce_drop(bridge_t *bridge)
{
    announcement_t *a = bridge->announcement;
    if (!a) return;
    buf_deinit(&a->groups);
    buf_deinit(&a->clients);
    mem_free(a);
    bridge->announcement = NULL;
}

/* ---- one that is dropped: KAFKA.REROUTE ... DROP --------------------------------------------------------------------- */

typedef struct withdrawal {
    far_request_t request;
    far_commits_t *commits;
    outbox_record_t *copy;
} withdrawal_t;

static void count_off(far_request_t *request)
{
    const withdrawal_t *w = CONTAINER_OF(request, withdrawal_t, request);
    far_commits_settle(w->commits, &w->copy->record);
    far_answer(request, 0, 0, NULL);
}

static void on_withdrawn(bridge_t *bridge, far_request_t *request)
{
    withdrawal_t *w = CONTAINER_OF(request, withdrawal_t, request);
    mem_free(w->copy);
    mem_free(w);
}

void commit_withdraw(bridge_t *bridge, const outbox_record_t *record)
{
    if (!record->group) return;
    withdrawal_t *w = mem_zalloc(sizeof(*w));
    w->commits = bridge->far_commits;
    w->copy = outbox_record_new(&record->record);
    far_send(bridge, &w->request, count_off, on_withdrawn);
}
