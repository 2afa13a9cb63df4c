/* feed_show.c: KAFKA.OUTBOX FEEDS, and the bridge's figures for /metrics. */
#include "bridge/feed.h"

static void text(redis_client_t *client, const char *name, const char *value)
{
    redis_reply_bulk(client, bytes_str(name));
    redis_reply_bulk(client, bytes_str(value));
}

static void number(redis_client_t *client, const char *name, uint64_t value)
{
    redis_reply_bulk(client, bytes_str(name));
    redis_reply_int(client, (int64_t)value);
}

void feed__show(const bridge_feeds_t *feeds, redis_client_t *client)
{
    redis_reply_array(client, feeds ? (size_t)feeds->count : 0);
    for (int i = 0; feeds && i < feeds->count; i++) {
        const feed_t *feed = feeds->at[i];
        redis_reply_array(client, 14);
        text(client, "name", feed->name);
        text(client, "topic", feed->topic);
        text(client, "databases", feed->databases ? feed->databases : "*");
        text(client, "patterns", feed->patterns);
        text(client, "format", feed->format == FEED_VALUE ? "value" : "command");
        number(client, "records", feed->records);
        number(client, "cut", feed->cut);
    }
}

void feed__metrics(const bridge_feeds_t *feeds, buf_t *out)
{
    static const char *const names[] = {"records", "cut"};
    for (size_t n = 0; feeds && feeds->count && n < ARRAY_LEN(names); n++) {
        buf_printf(out, "# TYPE trivet_changefeed_%s_total counter\n", names[n]);
        for (int i = 0; i < feeds->count; i++)
            buf_printf(out, "trivet_changefeed_%s_total{feed=\"%s\"} %" PRIu64 "\n", names[n], feeds->at[i]->name,
                       n == 0 ? feeds->at[i]->records : feeds->at[i]->cut);
    }
}

void bridge_metrics(const bridge_t *bridge, buf_t *out)
{
    buf_printf(out, "# TYPE trivet_outbox_depth gauge\ntrivet_outbox_depth %zu\n",
               bridge->count - bridge->placed_count);
    buf_printf(out, "# TYPE trivet_outbox_bytes gauge\ntrivet_outbox_bytes %zu\n", bridge->bytes);
    buf_printf(out, "# TYPE trivet_outbox_delivered_total counter\ntrivet_outbox_delivered_total %" PRIu64 "\n",
               bridge->delivered_total);
    feed__metrics(bridge->feeds, out);
}
