/* commit_far.c: offsets of consumer groups on their way, as Kafka's reactor knows them. Kafka's clients are told to come again
 * while one is promised (its command was answered) and not delivered.
 *
 *   KAFKA.COMMIT ──> far_commits_announce: into the mailbox ─ ─ ─> counted by whoever looks for offsets or counts one off
 *        └─────────> its reply, at the end of the turn
 *        └─────────> delivery, in this turn or later ────────────> appended: counted off
 *
 * An announcement is not a message of the loop, which could wait there behind a request of Kafka's. It lies in a mailbox of its own
 * before the reply leaves, and whoever looks for offsets takes first what lies there. So from the reply on no OffsetFetch misses the
 * offset: the group has it, or its clients wait. The reply itself waits for nobody. Offsets that are read back at the start are counted
 * before anybody asks. */
#include "bridge/far.h"

#include <stdatomic.h>

typedef struct under_way {
    int64_t count;
} under_way_t;

/* Of one offset. */
typedef struct announcement {
    struct announcement *next;
    size_t group_bytes;
    uint8_t group[];
} announcement_t;

struct far_commits {
    map_t groups;                      /* id -> under_way_t; none is of 0 */
    _Atomic(announcement_t *) mailbox; /* filled by the near half, in no order that matters */
};

far_commits_t *far_commits_new(void) { return mem_zalloc(sizeof(far_commits_t)); }

void far_commits_add(far_commits_t *commits, bytes_t group)
{
    under_way_t *u = map_get(&commits->groups, group);
    if (!u) {
        u = mem_zalloc(sizeof(*u));
        map_put(&commits->groups, group, u);
    }
    u->count++;
}

static void take_announcements(far_commits_t *commits)
{
    if (!atomic_load_explicit(&commits->mailbox, memory_order_relaxed)) return;
    announcement_t *a = atomic_exchange_explicit(&commits->mailbox, NULL, memory_order_acquire);
    while (a) {
        announcement_t *next = a->next;
        far_commits_add(commits, bytes_of(a->group, a->group_bytes));
        mem_free(a);
        a = next;
    }
}

void far_commits_free(far_commits_t *commits)
{
    size_t cursor = 0;
    take_announcements(commits);
    for (map_entry_t *e; (e = map_next(&commits->groups, &cursor));) mem_free(e->value);
    map_deinit(&commits->groups);
    mem_free(commits);
}

bool far_commits_wait(void *user, bytes_t group)
{
    far_commits_t *commits = user;
    take_announcements(commits);
    return map_get(&commits->groups, group) != NULL;
}

void far_commits_remove(far_commits_t *commits, bytes_t group)
{
    take_announcements(commits);
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

void far_commits_announce(far_commits_t *commits, bytes_t group)
{
    announcement_t *a = mem_alloc(sizeof(*a) + group.len);
    a->group_bytes = group.len;
    memcpy(a->group, group.ptr, group.len);
    a->next = atomic_load_explicit(&commits->mailbox, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&commits->mailbox, &a->next, a, memory_order_release,
                                                  memory_order_relaxed))
        continue;
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
