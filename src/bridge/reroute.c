/* reroute.c: records whose partition is gone. Partitions only go when a topic is deleted and made anew with fewer, while
 * records of the old one still wait. Where the partition was chosen here (by key, or by turns) it is chosen again: all
 * records of a key move together, so their order stays. One that the client named is nobody else's to change: the topic's
 * queue waits for KAFKA.REROUTE, and KAFKA.OUTBOX INFO says so. Nothing is dropped but by KAFKA.REROUTE ... DROP. */
#include "bridge/far.h"

#include "base/slog.h"

static void choose(bridge_t *bridge, outbox_record_t *r)
{
    r->record.partition = -1;
    r->record.partition = kafka_produce_choose(bridge->catalog, &r->record);
    ASSERT(r->record.partition >= 0); /* the topic exists */
    journal_place(bridge, r);
}

static void tell(bridge_t *bridge, const outbox_topic_t *t, int32_t partitions_count, size_t count)
{
    if (count == 0) return;
    bridge->rerouted_total += count;
    slog(SLOG_WARN, "bridge", "records of partitions that are gone go to others",
         "topic=%.*s partitions=%d records=%zu", (int)t->name.len, (const char *)t->name.ptr, (int)partitions_count,
         count);
}

const outbox_record_t *reroute_topic(bridge_t *bridge, outbox_topic_t *t, int32_t partitions_count)
{
    const outbox_record_t *stuck = NULL;
    size_t rerouted = 0;
    int left = DELIVER_PER_TURN;
    LIST_EACH(&t->records, r, outbox_record_t, queue) {
        bool gone = reroute_is_due(r, partitions_count);
        if (left-- == 0) break;
        if (r->record.partition >= 0 && !gone) continue;
        if (r->partition_asked && r->record.partition >= 0) {
            if (!stuck) stuck = r;
            continue;
        }
        rerouted += gone;
        choose(bridge, r);
    }
    tell(bridge, t, partitions_count, rerouted);
    return stuck;
}

/* ---- KAFKA.REROUTE topic [DROP] ---- */

static void drop(bridge_t *bridge, outbox_record_t *r)
{
    int64_t range[2] = {r->number, r->number};
    if (r->async) {
        redis_reply_error(redis_async_client(r->async), "ERR the record was dropped: its partition is gone");
        redis_async_done(r->async);
        r->async = NULL;
    }
    if (r->client_id) waiters_placed(bridge, r->client_id);
    commit_withdraw(bridge, r);
    commit_untrack(bridge, r);
    journal_ack(bridge, range, 1);
    outbox_forget(bridge, r);
    bridge->dropped_total++;
}

static size_t reroute_all(bridge_t *bridge, outbox_topic_t *t, int32_t partitions_count, bool drops)
{
    size_t count = 0;
    LIST_EACH(&t->records, r, outbox_record_t, queue) {
        if (r->state == RECORD_SENT || !reroute_is_due(r, partitions_count)) continue;
        drops ? drop(bridge, r) : choose(bridge, r);
        count++;
    }
    if (!drops) tell(bridge, t, partitions_count, count);
    t->retry_at_ms = 0;
    io_loop_wake(bridge->loop);
    return count;
}

void reroute_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    redis_client_t *client = redis_call_client(call);
    bytes_t name = redis_call_arg(call, 1);
    bridge__update(bridge);
    bool drops = redis_call_argc(call) == 3 && bytes_eq_nocase(redis_call_arg(call, 2), BYTES_LIT("DROP"));
    int32_t partitions_count = bridge->kafka ? kafka_topic_partitions(bridge->catalog, name) : -1;
    outbox_topic_t *t = map_get(&bridge->topics_by_name, name);
    if (redis_call_argc(call) > 2 + drops)
        redis_reply_error(client, "ERR syntax error");
    else if (partitions_count < 0)
        redis_reply_error(client, bridge->kafka ? "ERR the topic does not exist" : "ERR the Kafka wing is off");
    else
        redis_reply_int(client, t ? (int64_t)reroute_all(bridge, t, partitions_count, drops) : 0);
}
