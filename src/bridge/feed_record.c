/* feed_record.c: a change as a record. Key: the Redis key. Value: commands in RESP, a string's own bytes, or null when the
 * key is gone. Headers, of which all but the first three are there only when they say something:
 *
 *   feed, db, command    whose record this is, which database, what changed the key
 *   cause                "expired" or "evicted": nobody's command
 *   type, expires        of a value: "hash"; Unix milliseconds
 *   value-bytes          the value was left out, for it has so many and the topic's records may not
 *   key-bytes            the key was cut: it has so many
 */
#include "bridge/feed.h"

#include "base/num.h"

typedef struct draft {
    kafka_produce_t record;
    kafka_header_t headers[FEED_HEADERS_MAX];
    char digits[FEED_HEADERS_MAX][NUM_I64_CHARS_MAX];
} draft_t;

static void put_header(draft_t *d, const char *name, bytes_t value)
{
    ASSERT(d->record.headers_count < FEED_HEADERS_MAX);
    d->headers[d->record.headers_count++] = (kafka_header_t){bytes_str(name), value};
}

static void put_number(draft_t *d, const char *name, int64_t v)
{
    char *digits = d->digits[d->record.headers_count];
    put_header(d, name, bytes_of(digits, num_format_i64(digits, v)));
}

static void begin(draft_t *d, const feed_t *feed, int db, bytes_t key, const char *command, const char *cause,
                  int64_t now_ms)
{
    d->record = (kafka_produce_t){
        .topic = bytes_str(feed->topic), .partition = -1, .key = key, .headers = d->headers, .timestamp_ms = now_ms};
    put_header(d, "feed", bytes_str(feed->name));
    put_number(d, "db", db);
    put_header(d, "command", bytes_str(command));
    if (cause) put_header(d, "cause", bytes_str(cause));
}

static bool fits(bridge_t *bridge, const draft_t *d)
{
    char message[KAFKA_MESSAGE_BYTES_MAX];
    kafka_code_t error = kafka_produce_check(bridge->catalog, &d->record, message);
    return error == 0 ||
           strcmp(kafka_error_name(error), "MESSAGE_TOO_LARGE") != 0; /* else the outbox waits and tells */
}

/* The change has happened: what does not fit is left out and said to be, never the record. */
static void make_fit(bridge_t *bridge, feed_t *feed, draft_t *d)
{
    if (fits(bridge, d)) return;
    feed->cut++;
    if (d->record.value.len) {
        put_number(d, "value-bytes", (int64_t)d->record.value.len);
        d->record.value = BYTES_LIT("");
    }
    if (fits(bridge, d)) return;
    put_number(d, "key-bytes", (int64_t)d->record.key.len);
    d->record.key.len = MIN(d->record.key.len, (size_t)FEED_KEY_CUT_BYTES);
}

static void add(bridge_feeds_t *feeds, feed_t *feed, draft_t *d)
{
    bridge_t *bridge = feeds->bridge;
    make_fit(bridge, feed, d);
    d->record.partition = kafka_produce_choose(bridge->catalog, &d->record);
    outbox_record_t *r = outbox_record_new(&d->record);
    r->added_ms = d->record.timestamp_ms;
    outbox_add(bridge, r);
    journal_add_too(bridge, r);
    feed->records++;
    if (bridge->bytes >= bridge->bytes_max) redis_hold_writes(bridge->redis, true);
}

/* One key's state: deleted first, so that whatever was there before is not mixed with it. */
static void append_state(bridge_t *bridge, int db, bytes_t key, buf_t *out)
{
    bytes_t argv[2] = {BYTES_LIT("DEL"), key};
    redis_append_command(out, 2, argv);
    redis_append_value(bridge->redis, db, key, out);
}

void feed__add_command(bridge_feeds_t *feeds, feed_t *feed, const redis_change_t *change)
{
    draft_t d;
    begin(&d, feed, change->db, change->key, change->command, change->cause, change->now_ms);
    if (!change->gone) {
        buf_clear(&feeds->scratch);
        if (change->argc)
            redis_append_command(&feeds->scratch, change->argc, change->argv);
        else
            append_state(feeds->bridge, change->db, change->key, &feeds->scratch);
        d.record.value = buf_bytes(&feeds->scratch);
    }
    add(feeds, feed, &d);
}

void feed__add_value(bridge_feeds_t *feeds, feed_t *feed, const feed_touch_t *touch)
{
    draft_t d;
    redis_value_t value;
    redis_t *redis = feeds->bridge->redis;
    begin(&d, feed, touch->db, touch->key, touch->command, touch->cause, touch->now_ms);
    if (redis_value(redis, touch->db, touch->key, &value)) {
        put_header(&d, "type", bytes_str(value.type));
        if (value.expire_ms >= 0) put_number(&d, "expires", value.expire_ms);
        buf_clear(&feeds->scratch);
        if (!value.string.ptr) redis_append_value(redis, touch->db, touch->key, &feeds->scratch);
        d.record.value = value.string.ptr ? value.string : buf_bytes(&feeds->scratch);
    }
    add(feeds, feed, &d);
}
