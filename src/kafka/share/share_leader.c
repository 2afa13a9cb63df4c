/* share_leader.c: see share_leader.h: life, news and time of a share partition. share_load.c reads what is stored, share_take.c
 * acquires, share_store.c stores answers. */
#include "kafka/share/share_leader_internal.h"

#include "base/slog.h"

/* ---- finding --------------------------------------------------------------------------------------------------------- */

share_leader_t *share_leader_find(const struct share_group *group, kafka_uuid_t topic_id, int32_t index)
{
    uint8_t key[SHARE_KEY_BYTES];
    return map_get(&group->leaders, share__key(key, topic_id, index));
}

kafka_code_t share__partition(const share_leader_t *leader, partition_t **ret_partition)
{
    const kafka_topic_t *topic = kafka_topic_by_id(leader->kafka, leader->topic_id);
    if (!topic) return KAFKA_UNKNOWN_TOPIC_ID;
    return kafka_topic_partition_get(topic, leader->index, ret_partition);
}

static void timer_fires(io_timer_t *timer);
static void log_has_grown(partition_waiter_t *waiter, kafka_code_t error);

static share_leader_t *leader_new(share_group_t *group, kafka_uuid_t topic_id, int32_t index, int32_t leader_epoch)
{
    uint8_t key[SHARE_KEY_BYTES];
    share_leader_t *leader = mem_zalloc(sizeof(*leader));
    leader->kafka = group->shares->kafka;
    leader->group = group;
    leader->group_id = bytes_of(mem_strndup(group->id), group->id.len);
    leader->topic_id = topic_id;
    leader->index = index;
    leader->leader_epoch = leader_epoch;
    leader->refs = 1; /* the group's */
    leader->due_ms = SHARE_NEVER_MS;
    list_init(&leader->waiters);
    list_init(&leader->news_node);
    list_init(&leader->growth.node);
    leader->growth.wake = log_has_grown;
    io_timer_init(leader->kafka->loop, &leader->timer, timer_fires);
    map_put(&group->leaders, share__key(key, topic_id, index), leader);
    list_push_back(&group->living, &leader->node);
    group->shares->leaders_count++;
    return leader;
}

kafka_code_t share_leader_get(struct share_group *group, kafka_uuid_t topic_id, int32_t index,
                              share_leader_t **ret_leader)
{
    partition_t *partition;
    const kafka_topic_t *topic = kafka_topic_by_id(group->shares->kafka, topic_id);
    if (!topic) return KAFKA_UNKNOWN_TOPIC_ID;
    kafka_code_t error = kafka_topic_partition_get(topic, index, &partition);
    if (error) return error;
    share_leader_t *leader = share_leader_find(group, topic_id, index);
    if (leader && leader->leader_epoch != partition_leader_epoch(partition)) {
        share__leader_close(leader, KAFKA_NOT_LEADER_OR_FOLLOWER);
        leader = NULL;
    }
    if (leader) {
        *ret_leader = leader;
        return KAFKA_NONE;
    }
    leader = leader_new(group, topic_id, index, partition_leader_epoch(partition));
    leader->refs++;
    share__load(leader);
    error = leader->gone;
    share__leader_unref(leader);
    if (!error) *ret_leader = leader;
    return error;
}

void share__leader_unref(share_leader_t *leader)
{
    ASSERT(leader->refs > 0);
    if (--leader->refs > 0) return;
    share_partition_deinit(&leader->records);
    mem_free((void *)leader->group_id.ptr);
    mem_free(leader);
}

void share__leader_close(share_leader_t *leader, kafka_code_t error)
{
    uint8_t key[SHARE_KEY_BYTES];
    share_group_t *group = leader->group;
    ASSERT(!leader->gone && error);
    share__news(leader); /* so that whoever waits is told, in a later turn */
    leader->gone = error;
    leader->group = NULL;
    map_remove(&group->leaders, share__key(key, leader->topic_id, leader->index));
    list_remove(&leader->node);
    group->shares->leaders_count--;
    io_timer_stop(&leader->timer);
    list_remove(&leader->growth.node);
    share__leader_unref(leader);
}

void share__leader_end(share_leader_t *leader, kafka_code_t error)
{
    share_group_t *group = leader->group;
    share__leader_close(leader, error);
    shares__group_drop(group);
}

static bool is_idle(const share_leader_t *leader) { return leader->writes == 0 && leader->group->sessions.count == 0; }

void share__leader_maybe_drop(share_leader_t *leader)
{
    if (!leader->gone && is_idle(leader)) share__leader_end(leader, KAFKA_SHARE_SESSION_NOT_FOUND); /* nobody waits */
}

void share__leaders_drop(share_group_t *group)
{
    LIST_EACH(&group->living, leader, share_leader_t, node)
        if (is_idle(leader)) share__leader_close(leader, KAFKA_SHARE_SESSION_NOT_FOUND);
}

void share__leaders_close(share_group_t *group, kafka_code_t error)
{
    LIST_EACH(&group->living, leader, share_leader_t, node) share__leader_close(leader, error);
}

/* ---- news ------------------------------------------------------------------------------------------------------------ */

void share__news(share_leader_t *leader)
{
    shares_t *shares = leader->group->shares;
    if (list_empty(&leader->waiters) || list_linked(&leader->news_node)) return;
    if (list_empty(&shares->news)) io_timer_start(&shares->news_timer, 0, 0);
    list_push_back(&shares->news, &leader->news_node);
    leader->refs++; /* the list's */
}

/* One after the other, until one leaves nothing; who got too little waits again, behind the others. */
static void wake_waiters(share_leader_t *leader)
{
    list_t woken;
    list_init(&woken);
    list_splice_back(&woken, &leader->waiters);
    share_waiter_t *waiter;
    while ((waiter = LIST_FIRST(&woken, share_waiter_t, node)) && (leader->gone || share__may_have_some(leader))) {
        list_remove(&waiter->node);
        waiter->wake(waiter, leader->gone);
    }
    list_splice_back(&woken, &leader->waiters);
    list_splice_back(&leader->waiters, &woken);
    if (!leader->gone && !list_empty(&leader->waiters)) share__follow_log(leader);
}

void share__tell_news(shares_t *shares)
{
    list_t told;
    list_init(&told);
    list_splice_back(&told, &shares->news);
    share_leader_t *leader;
    while ((leader = LIST_FIRST(&told, share_leader_t, news_node))) {
        list_remove(&leader->news_node);
        wake_waiters(leader);
        share__leader_unref(leader);
    }
}

void share__follow_log(share_leader_t *leader)
{
    partition_t *partition;
    if (list_linked(&leader->growth.node) || share__partition(leader, &partition)) return;
    partition_wait(partition, &leader->growth);
}

static void log_has_grown(partition_waiter_t *waiter, kafka_code_t error)
{
    share_leader_t *leader = CONTAINER_OF(waiter, share_leader_t, growth);
    if (error)
        share__leader_end(leader, error);
    else
        share__news(leader);
}

void share_leader_wait(share_leader_t *leader, share_waiter_t *waiter)
{
    ASSERT(!leader->gone);
    list_push_back(&leader->waiters, &waiter->node);
    share__follow_log(leader);
}

void share_leader_wake(share_leader_t *leader)
{
    if (share__may_have_some(leader)) share__news(leader);
}

/* ---- time ------------------------------------------------------------------------------------------------------------ */

int64_t share__now_ms(const share_leader_t *leader) { return (int64_t)(io_now_ns(leader->kafka->loop) / 1000000); }

void share__set_timer(share_leader_t *leader)
{
    int64_t due_ms = share_partition_due_ms(&leader->records);
    if (due_ms == leader->due_ms) return;
    leader->due_ms = due_ms;
    if (due_ms == SHARE_NEVER_MS) {
        io_timer_stop(&leader->timer);
        return;
    }
    io_timer_start(&leader->timer, (uint64_t)MAX(due_ms - share__now_ms(leader), 0), 0);
}

static void timer_fires(io_timer_t *timer)
{
    share_leader_t *leader = CONTAINER_OF(timer, share_leader_t, timer);
    share_settings_t settings;
    share_stored_list_t stored;
    arena_t arena;
    arena_init(&arena, 0);
    share_settings_read(leader->kafka, leader->group_id, &settings);
    leader->due_ms = SHARE_NEVER_MS;
    share_partition_tick(&leader->records, share__now_ms(leader), &settings.limits, &arena, &stored);
    share__taken_back(leader, &stored);
    arena_deinit(&arena);
}
