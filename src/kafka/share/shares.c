/* shares.c: see shares.h: the table of groups, and what is told to all of them. */
#include "kafka/share/shares_internal.h"

#include "kafka/share/share_leader.h"

share_group_t *shares__group(const shares_t *shares, bytes_t id) { return map_get(&shares->groups, id); }

share_group_t *shares__group_new(shares_t *shares, bytes_t id)
{
    share_group_t *group = mem_zalloc(sizeof(*group));
    group->shares = shares;
    group->id = bytes_of(mem_strndup(id), id.len);
    group->leaders = group->sessions = MAP_INIT;
    list_init(&group->living);
    map_put(&shares->groups, group->id, group);
    return group;
}

void shares__group_drop(share_group_t *group)
{
    if (group->leaders.count || group->sessions.count) return;
    map_remove(&group->shares->groups, group->id);
    map_deinit(&group->leaders);
    map_deinit(&group->sessions);
    mem_free((void *)group->id.ptr);
    mem_free(group);
}

/* ---- topics that go -------------------------------------------------------------------------------------------------- */

static void close_topic(share_group_t *group, const kafka_topic_t *topic)
{
    for (int32_t index = 0; index < topic->partitions_count; index++) {
        share_leader_t *leader = share_leader_find(group, topic->id, index);
        if (leader) share__leader_close(leader, KAFKA_UNKNOWN_TOPIC_OR_PARTITION);
    }
}

/* A round through the table, which closing the leaders of a group does not change. */
static void on_deleted(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    const shares_t *shares = CONTAINER_OF(listener, shares_t, listener);
    size_t cursor = 0;
    for (map_entry_t *entry; (entry = map_next(&shares->groups, &cursor));) close_topic(entry->value, topic);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

static void on_news(io_timer_t *timer) { share__tell_news(CONTAINER_OF(timer, shares_t, news_timer)); }

shares_t *kafka_shares_new(kafka_t *kafka)
{
    shares_t *shares = mem_zalloc(sizeof(*shares));
    shares->kafka = kafka;
    shares->groups = MAP_INIT;
    list_init(&shares->news);
    io_timer_init(kafka->loop, &shares->news_timer, on_news);
    shares->listener.deleted = on_deleted;
    kafka_topic_listen(kafka, &shares->listener);
    return shares;
}

void kafka_shares_stop(shares_t *shares)
{
    size_t cursor = 0;
    shares->stopped = true;
    for (map_entry_t *entry; (entry = map_next(&shares->groups, &cursor)); cursor = 0) {
        share_group_t *group = entry->value;
        share__leaders_close(group, KAFKA_NOT_LEADER_OR_FOLLOWER);
        if (group->sessions.count)
            share__sessions_end(group); /* the group goes with the last */
        else
            shares__group_drop(group);
    }
    share__tell_news(shares);
    io_timer_stop(&shares->news_timer);
    list_remove(&shares->listener.node);
}

void kafka_shares_free(shares_t *shares)
{
    ASSERT(shares->groups.count == 0);
    map_deinit(&shares->groups);
    mem_free(shares);
}

uint32_t kafka_shares_sessions(const shares_t *shares) { return shares->sessions_count; }
uint32_t kafka_shares_leaders(const shares_t *shares) { return shares->leaders_count; }
