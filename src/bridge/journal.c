/* journal.c: the outbox in the append-only file. One command, KAFKA.JOURNAL, stands in the file wherever the outbox
 * changed; ADD stands in the same MULTI/EXEC block as the keys that changed with it.
 *
 *   STATE producer next-number       ADD number due timestamp topic partition shape key value [header value ...]
 *   PLACE number partition           the partition of a record whose topic had to be made first
 *   DUE old new                      a delayed record's time has come: it takes its place in the order
 *   ACK from to [from to ...]        these are on stable storage in Kafka, as far as they are known here
 *
 * An ADD's shape is K (with a key) or - (without one), and behind it T says that the value is null, P that the client
 * named the partition.
 *
 * Read back, commands mend the outbox in the order in which they changed it. Once the bridge has started, memory is the
 * truth: DEBUG LOADAOF changes nothing here. */
#include "bridge/bridge_internal.h"

#include "base/num.h"

#define ADD_WORDS      10
#define WORDS_MAX      (ADD_WORDS + 2 * HEADERS_COUNT_MAX)
#define NUMBERS_IN_ADD 4

typedef struct words {
    bytes_t argv[WORDS_MAX];
    int argc;
    char digits[2 * ACK_RANGES_MAX][NUM_I64_CHARS_MAX];
    int numbers;
} words_t;

static void put(words_t *w, bytes_t word)
{
    ASSERT(w->argc < WORDS_MAX);
    w->argv[w->argc++] = word;
}

static void put_number(words_t *w, int64_t v)
{
    char *digits = w->digits[w->numbers++];
    put(w, bytes_of(digits, num_format_i64(digits, v)));
}

static void begin(words_t *w, const char *what)
{
    w->argc = w->numbers = 0;
    put(w, BYTES_LIT("KAFKA.JOURNAL"));
    put(w, bytes_str(what));
}

static bytes_t shape_of(const outbox_record_t *r)
{
    static const char *const shapes[] = {"-", "K", "-T", "KT", "-P", "KP", "-TP", "KTP"};
    const kafka_produce_t *k = &r->record;
    return bytes_str(shapes[(k->key.ptr != NULL) + 2 * (k->value.ptr == NULL) + 4 * r->partition_asked]);
}

static bool shape_has(bytes_t shape, char letter) { return shape.len && memchr(shape.ptr, letter, shape.len); }

static void words_of_add(words_t *w, const outbox_record_t *r)
{
    const kafka_produce_t *k = &r->record;
    begin(w, "ADD");
    put_number(w, r->number);
    put_number(w, r->due_ms);
    put_number(w, k->timestamp_ms);
    put(w, k->topic);
    put_number(w, k->partition);
    put(w, shape_of(r));
    put(w, k->key.ptr ? k->key : BYTES_LIT(""));
    put(w, k->value);
    for (int32_t i = 0; i < k->headers_count; i++) {
        put(w, k->headers[i].key);
        put(w, k->headers[i].value);
    }
}

void journal_add(bridge_t *bridge, redis_call_t *call, const outbox_record_t *record)
{
    words_t w;
    words_of_add(&w, record);
    redis_propagate(call, w.argc, w.argv);
}

void journal_add_too(bridge_t *bridge, const outbox_record_t *record)
{
    words_t w;
    words_of_add(&w, record);
    redis_propagate_too(bridge->redis, w.argc, w.argv);
}

static void words_of_state(words_t *w, const bridge_t *bridge)
{
    begin(w, "STATE");
    put_number(w, bridge->producer_id);
    put_number(w, bridge->next_number);
}

void journal_state(bridge_t *bridge)
{
    words_t w;
    words_of_state(&w, bridge);
    redis_feed(bridge->redis, w.argc, w.argv);
}

static void feed_two(bridge_t *bridge, const char *what, int64_t a, int64_t b)
{
    words_t w;
    begin(&w, what);
    put_number(&w, a);
    put_number(&w, b);
    redis_feed(bridge->redis, w.argc, w.argv);
}

void journal_place(bridge_t *bridge, const outbox_record_t *r)
{
    feed_two(bridge, "PLACE", r->number, r->record.partition);
}

void journal_due(bridge_t *bridge, int64_t old_number, int64_t new_number)
{
    feed_two(bridge, "DUE", old_number, new_number);
}

void journal_ack(bridge_t *bridge, const int64_t *ranges, int ranges_count)
{
    words_t w;
    begin(&w, "ACK");
    for (int i = 0; i < 2 * ranges_count; i++) put_number(&w, ranges[i]);
    redis_feed(bridge->redis, w.argc, w.argv);
}

void journal_emit(void *user, redis_base_t *base)
{
    bridge_t *bridge = user;
    words_t w;
    if (bridge->producer_id < 0 && bridge->count == 0) return;
    words_of_state(&w, bridge);
    redis_base_write(base, w.argc, w.argv);
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        words_of_add(&w, r);
        redis_base_write(base, w.argc, w.argv);
    }
}

/* ---- reading back ---- */

static bool number_at(redis_call_t *call, int i, int64_t *ret)
{
    return i < redis_call_argc(call) && num_parse_i64(redis_call_arg(call, i), ret);
}

static outbox_record_t *find(bridge_t *bridge, int64_t number)
{
    uint64_t key = (uint64_t)number;
    return map_get(&bridge->by_number, map_key_u64(&key));
}

static void forget(bridge_t *bridge, outbox_record_t *r)
{
    uint64_t key = (uint64_t)r->number;
    map_remove(&bridge->by_number, map_key_u64(&key));
    outbox_forget(bridge, r);
}

static void keep(bridge_t *bridge, outbox_record_t *r)
{
    uint64_t key = (uint64_t)r->number;
    map_put(&bridge->by_number, map_key_u64(&key), r);
    outbox_restore(bridge, r);
}

static bool load_add(bridge_t *bridge, redis_call_t *call)
{
    int64_t number, due_ms, timestamp_ms, partition;
    int argc = redis_call_argc(call), headers_count = (argc - ADD_WORDS) / 2;
    kafka_header_t headers[HEADERS_COUNT_MAX];
    if (argc < ADD_WORDS || (argc - ADD_WORDS) % 2 || headers_count > HEADERS_COUNT_MAX) return false;
    if (!number_at(call, 2, &number) || !number_at(call, 3, &due_ms) || !number_at(call, 4, &timestamp_ms) ||
        !number_at(call, 6, &partition) || number < 0 || number > KAFKA_NUMBER_MAX || partition > INT32_MAX)
        return false;
    for (int i = 0; i < headers_count; i++)
        headers[i] =
            (kafka_header_t){redis_call_arg(call, ADD_WORDS + 2 * i), redis_call_arg(call, ADD_WORDS + 2 * i + 1)};
    bytes_t shape = redis_call_arg(call, 7);
    bool has_key = shape_has(shape, 'K'), is_null = shape_has(shape, 'T');
    kafka_produce_t record = {
        .topic = redis_call_arg(call, 5),
        .partition = (int32_t)partition,
        .key = has_key ? redis_call_arg(call, 8) : BYTES_NULL,
        .value = is_null ? BYTES_NULL : redis_call_arg(call, 9),
        .headers = headers,
        .headers_count = headers_count,
        .timestamp_ms = timestamp_ms,
    };
    kafka_commit_t commit;
    if (find(bridge, number)) return true;
    if (kafka_commit_of(&record, &commit) == ERR_INVALID) return false;
    outbox_record_t *r = outbox_record_new(&record);
    r->number = number;
    r->partition_asked = shape_has(shape, 'P');
    r->due_ms = due_ms;
    r->added_ms = timestamp_ms;
    keep(bridge, r);
    return true;
}

static bool load_state(bridge_t *bridge, int64_t producer_id, int64_t next_number)
{
    bridge->producer_id = producer_id;
    bridge->next_number = MAX(bridge->next_number, next_number);
    return true;
}

static bool load_place(bridge_t *bridge, int64_t number, int64_t partition)
{
    outbox_record_t *r = find(bridge, number);
    if (r) r->record.partition = (int32_t)partition;
    return partition >= 0 && partition <= INT32_MAX;
}

static bool load_due(bridge_t *bridge, int64_t old_number, int64_t new_number)
{
    outbox_record_t *old = find(bridge, old_number);
    if (!old || new_number > KAFKA_NUMBER_MAX) return new_number <= KAFKA_NUMBER_MAX;
    outbox_record_t *r = outbox_record_new(&old->record);
    r->number = new_number;
    r->partition_asked = old->partition_asked;
    r->added_ms = old->added_ms;
    r->record.timestamp_ms = old->due_ms;
    forget(bridge, old);
    keep(bridge, r);
    return true;
}

/* By number or along the list, whichever is shorter: many may wait in front of those that were delivered. */
static void forget_range(bridge_t *bridge, int64_t from, int64_t to)
{
    if ((uint64_t)to - (uint64_t)from < bridge->count) {
        for (int64_t number = from; number <= to; number++) {
            outbox_record_t *r = find(bridge, number);
            if (r) forget(bridge, r);
        }
        return;
    }
    LIST_EACH(&bridge->all, r, outbox_record_t, node) {
        if (r->number > to) break;
        if (r->number >= from) forget(bridge, r);
    }
}

static bool load_ack(bridge_t *bridge, redis_call_t *call)
{
    int64_t from, to;
    for (int i = 2; i < redis_call_argc(call); i += 2) {
        if (!number_at(call, i, &from) || !number_at(call, i + 1, &to)) return false;
        if (from > to || to > KAFKA_NUMBER_MAX) return false;
        bridge->next_number = MAX(bridge->next_number, to + 1);
        forget_range(bridge, from, to);
    }
    return true;
}

static bool load(bridge_t *bridge, redis_call_t *call)
{
    bytes_t what = redis_call_arg(call, 1);
    int64_t a, b;
    if (bytes_eq(what, BYTES_LIT("ADD"))) return load_add(bridge, call);
    if (bytes_eq(what, BYTES_LIT("ACK"))) return load_ack(bridge, call);
    if (!number_at(call, 2, &a) || !number_at(call, 3, &b)) return false;
    if (bytes_eq(what, BYTES_LIT("STATE"))) return load_state(bridge, a, b);
    if (bytes_eq(what, BYTES_LIT("PLACE"))) return load_place(bridge, a, b);
    return bytes_eq(what, BYTES_LIT("DUE")) && load_due(bridge, a, b);
}

void journal_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    redis_client_t *client = redis_call_client(call);
    if (!redis_call_is_loading(call))
        redis_reply_error(client, "ERR KAFKA.JOURNAL is for the append-only file alone: use KAFKA.PRODUCE");
    else if (bridge->started || load(bridge, call))
        redis_reply_status(client, "OK");
    else
        bridge->unreadable = true;
}
