/* show.c: KAFKA.OUTBOX INFO, FEEDS and LIST [count]. */
#include "bridge/feed.h"

#include "base/num.h"

#define LIST_DEFAULT 10
#define LIST_MAX     10000

static const char *state_name(const outbox_record_t *r)
{
    switch (r->state) {
    case RECORD_UNWRITTEN: return "unwritten";
    case RECORD_DELAYED: return "delayed";
    case RECORD_QUEUED:
    case RECORD_SENT: return "queued";
    default: return "placed"; /* in its partition, which is not yet on stable storage */
    }
}

static bool is_owed(const outbox_record_t *r) { return r->state < RECORD_PLACED; }

static void field(redis_client_t *client, const char *name, int64_t v)
{
    redis_reply_bulk(client, bytes_str(name));
    redis_reply_int(client, v);
}

/* Without the delayed ones. */
static const outbox_record_t *oldest_owed(const bridge_t *bridge)
{
    const outbox_record_t *oldest = LIST_FIRST(&bridge->unwritten, outbox_record_t, queue);
    LIST_EACH(&bridge->topics, t, outbox_topic_t, node) {
        const outbox_record_t *r = LIST_FIRST(&t->records, outbox_record_t, queue);
        if (r && (!oldest || r->number < oldest->number)) oldest = r;
    }
    return oldest;
}

static void info(bridge_t *bridge, redis_client_t *client)
{
    const outbox_record_t *oldest = oldest_owed(bridge);
    int64_t oldest_ms = oldest ? MAX(io_wall_ms(bridge->loop) - oldest->added_ms, 0) : 0;
    redis_reply_array(client, 24);
    field(client, "depth", (int64_t)(bridge->count - bridge->placed_count));
    field(client, "oldest-age-ms", oldest_ms);
    field(client, "delayed", (int64_t)bridge->delayed_count);
    field(client, "positions", (int64_t)bridge->commits_count); /* of `depth` */
    field(client, "unsynced", (int64_t)bridge->placed_count);
    field(client, "bytes", (int64_t)bridge->bytes);
    field(client, "delivered", (int64_t)bridge->delivered_total);
    field(client, "rerouted", (int64_t)bridge->rerouted_total);
    field(client, "dropped", (int64_t)bridge->dropped_total);
    field(client, "next-number", bridge->next_number);
    field(client, "producer-id", bridge->producer_id);
    redis_reply_bulk(client, BYTES_LIT("last-error"));
    redis_reply_bulk(client, bytes_str(bridge->last_error));
}

/* An offset as KAFKA.COMMIT's words in place of its key, which is Kafka's encoding of some of them. */
static bool list_commit(redis_client_t *client, const outbox_record_t *r)
{
    kafka_commit_t p;
    buf_t text = BUF_INIT;
    if (kafka_commit_of(&r->record, &p)) return false;
    buf_printf(&text, "%.*s %.*s %" PRId32 " %" PRId64, (int)p.group.len, (const char *)p.group.ptr, (int)p.topic.len,
               (const char *)p.topic.ptr, p.partition, p.offset);
    redis_reply_bulk(client, buf_bytes(&text));
    buf_deinit(&text);
    return true;
}

/* [number, topic, partition or nil, key or nil, state, due in Unix ms or nil] */
static void list_one(redis_client_t *client, const outbox_record_t *r)
{
    redis_reply_array(client, 6);
    redis_reply_int(client, r->number);
    redis_reply_bulk(client, r->record.topic);
    if (r->record.partition >= 0)
        redis_reply_int(client, r->record.partition);
    else
        redis_reply_null(client);
    if (!list_commit(client, r)) {
        if (r->record.key.ptr)
            redis_reply_bulk(client, r->record.key);
        else
            redis_reply_null(client);
    }
    redis_reply_bulk(client, bytes_str(state_name(r)));
    if (r->due_ms)
        redis_reply_int(client, r->due_ms);
    else
        redis_reply_null(client);
}

static void list(bridge_t *bridge, redis_client_t *client, int64_t most)
{
    int64_t n = 0, left;
    LIST_EACH(&bridge->all, r, outbox_record_t, node)
        if (is_owed(r) && ++n == most) break;
    redis_reply_array(client, (size_t)n);
    left = n;
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        if (left == 0) break;
        if (!is_owed(r)) continue;
        list_one(client, r);
        left--;
    }
}

void show_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    redis_client_t *client = redis_call_client(call);
    bytes_t what = redis_call_arg(call, 1);
    int argc = redis_call_argc(call);
    int64_t most = LIST_DEFAULT;
    if (bytes_eq_nocase(what, BYTES_LIT("INFO")) && argc == 2) {
        info(bridge, client);
    } else if (bytes_eq_nocase(what, BYTES_LIT("FEEDS")) && argc == 2) {
        feed__show(bridge->feeds, client);
    } else if (bytes_eq_nocase(what, BYTES_LIT("LIST")) && argc <= 3) {
        bool fits = argc == 2 || (num_parse_i64(redis_call_arg(call, 2), &most) && most > 0);
        if (fits)
            list(bridge, client, MIN(most, LIST_MAX));
        else
            redis_reply_error(client, "ERR count is not a positive integer");
    } else {
        redis_reply_error(client, "ERR unknown subcommand or wrong number of arguments. Try KAFKA.OUTBOX INFO, "
                                  "KAFKA.OUTBOX FEEDS or KAFKA.OUTBOX LIST [count].");
    }
}
