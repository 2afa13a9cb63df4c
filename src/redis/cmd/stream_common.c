/* stream_common.c: see stream.h. */
#include "redis/cmd/stream.h"

/* ---- arguments ------------------------------------------------------------------------------------------------------- */

static bool reply_bad_id(redis_call_t *call)
{
    reply_error(call->client, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

bool stream__id(redis_call_t *call, int i, uint64_t missing_seq, stream_id_t *ret_id)
{
    return stream_id_parse(call->argv[i], missing_seq, ret_id) || reply_bad_id(call);
}

static bool parse_end(bytes_t text, stream_id_t *ret_id)
{
    if (text.len != 1 || (text.ptr[0] != '-' && text.ptr[0] != '+')) return false;
    *ret_id = text.ptr[0] == '-' ? STREAM_ID_LEAST : STREAM_ID_GREATEST;
    return true;
}

bool stream__id_or_end(redis_call_t *call, int i, uint64_t missing_seq, stream_id_t *ret_id)
{
    return parse_end(call->argv[i], ret_id) || stream__id(call, i, missing_seq, ret_id);
}

static bool parse_bound(redis_call_t *call, int i, uint64_t missing_seq, bool *ret_exclusive, stream_id_t *ret_id)
{
    bytes_t text = call->argv[i];
    *ret_exclusive = text.len > 1 && text.ptr[0] == '(';
    if (!*ret_exclusive) return stream__id_or_end(call, i, missing_seq, ret_id);
    return stream_id_parse(bytes_of(text.ptr + 1, text.len - 1), missing_seq, ret_id) || reply_bad_id(call);
}

bool stream__start(redis_call_t *call, int i, stream_id_t *ret_id)
{
    bool exclusive;
    if (!parse_bound(call, i, 0, &exclusive, ret_id)) return false;
    if (!exclusive || stream_id_increment(ret_id)) return true;
    reply_error(call->client, "ERR invalid start ID for the interval");
    return false;
}

bool stream__end(redis_call_t *call, int i, stream_id_t *ret_id)
{
    bool exclusive;
    if (!parse_bound(call, i, UINT64_MAX, &exclusive, ret_id)) return false;
    if (!exclusive || stream_id_decrement(ret_id)) return true;
    reply_error(call->client, "ERR invalid end ID for the interval");
    return false;
}

stream_id_t *stream__ids_of(redis_call_t *call, int from, int count)
{
    stream_id_t *ids = mem_alloc((size_t)count * sizeof(*ids));
    for (int i = 0; i < count; i++) {
        if (stream__id(call, from + i, 0, &ids[i])) continue;
        mem_free(ids);
        return NULL;
    }
    return ids;
}

stream_id_t *stream__ids(redis_call_t *call, int from) { return stream__ids_of(call, from, call->argc - from); }

bool stream__refs(const redis_call_t *call, int i, stream_refs_t *ret_refs)
{
    static const struct {
        const char *word;
        stream_refs_t refs;
    } words[] = {{"KEEPREF", STREAM_REFS_KEEP}, {"DELREF", STREAM_REFS_DELETE}, {"ACKED", STREAM_REFS_ACKED}};
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        if (!arg_is(call, i, words[w].word)) continue;
        *ret_refs = words[w].refs;
        return true;
    }
    return false;
}

bool stream__ids_block(redis_call_t *call, int *i, int *ret_first, int *ret_count)
{
    int64_t count;
    if (*i + 1 >= call->argc) {
        reply_error_syntax(call->client);
        return false;
    }
    if (!arg_i64_in(call, *i + 1, 1, INT64_MAX, "ERR Number of IDs must be a positive integer", &count)) return false;
    if (count > call->argc - *i - 2) {
        reply_error(call->client, "ERR The `numids` parameter must match the number of arguments");
        return false;
    }
    *ret_first = *i + 2;
    *ret_count = (int)count;
    *i += 1 + (int)count;
    return true;
}

bool stream__group(redis_call_t *call, stream_t **ret_stream, stream_group_t **ret_group)
{
    redis_entry_t *entry;
    bytes_t key = call->argv[1], name = call->argv[2];
    if (!key_read_type(call, key, TYPE_STREAM, &entry)) return false;
    *ret_stream = entry ? entry_value(key_write(call, key)) : NULL;
    *ret_group = entry ? stream_group_find(*ret_stream, name) : NULL;
    if (*ret_group) return true;
    reply_errorf(call->client, "NOGROUP No such key '%.*s' or consumer group '%.*s'", (int)key.len,
                 (const char *)key.ptr, (int)name.len, (const char *)name.ptr);
    return false;
}

void stream__reply_syntax(redis_call_t *call, const char *container)
{
    reply_errorf(call->client, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                 (int)MIN(call->argv[1].len, (size_t)128), (const char *)call->argv[1].ptr, container);
}

/* ---- replies --------------------------------------------------------------------------------------------------------- */

void stream__reply_id(redis_client_t *c, stream_id_t id)
{
    char text[STREAM_ID_CHARS_MAX];
    reply_bulk(c, bytes_of(text, stream_id_format(text, id)));
}

void stream__reply_entry_parts(redis_client_t *c, const stream_entry_t *e)
{
    char room[NUM_I64_CHARS_MAX];
    stream__reply_id(c, e->id);
    reply_array(c, e->fields_count * 2);
    for (stream_field_t f = stream_fields(e); stream_field_next(&f);) {
        reply_bulk(c, lp_text(f.name, room));
        reply_bulk(c, lp_text(f.value, room));
    }
}

void stream__reply_entry(redis_client_t *c, const stream_entry_t *e)
{
    reply_array(c, 2);
    stream__reply_entry_parts(c, e);
}

/* A consumer of a client's own with an empty name has been delivered what it holds, at some time. */
bool stream__is_nobody(const stream_consumer_t *consumer)
{
    if (consumer->name_len > 0 || consumer->pending.count == 0) return false;
    const stream_pending_t *first = idtree_value(idtree_first(&consumer->pending));
    return first->delivered_ms == 0;
}

int64_t stream__idle_ms(const redis_call_t *call, const stream_pending_t *p)
{
    if (p->delivered_ms == 0 && p->consumer->name_len == 0) return -1;
    return MAX(call->now_ms - p->delivered_ms, (int64_t)0);
}

bool stream__reply_entry_at(redis_client_t *c, const stream_t *s, stream_id_t id)
{
    stream_cursor_t cursor = stream_range(s, id, id, false);
    if (!stream_next(&cursor)) return false;
    stream__reply_entry(c, &cursor.entry);
    return true;
}

void stream__reply_range(redis_client_t *c, stream_cursor_t *cursor, uint64_t count)
{
    uint64_t replied = 0;
    reply_deferred_t d = reply_deferred_begin(c);
    while ((count == 0 || replied < count) && stream_next(cursor)) {
        stream__reply_entry(c, &cursor->entry);
        replied++;
    }
    reply_deferred_array(c, d, replied);
}

/* ---- what travels ---------------------------------------------------------------------------------------------------- */

static bytes_t text_of_id(char room[STREAM_ID_CHARS_MAX], stream_id_t id)
{
    return bytes_of(room, stream_id_format(room, id));
}

static bytes_t text_of_number(char room[NUM_I64_CHARS_MAX], int64_t v)
{
    return bytes_of(room, num_format_i64(room, v));
}

typedef struct claim {
    bytes_t consumer;
    const stream_id_t *ids;
    size_t count;
    int64_t delivered_ms;
    uint64_t deliveries;
} claim_t;

enum { CLAIM_WORDS = 13, CLAIM_IDS_MAX = 64 }; /* without its IDs; a command's IDs at most */

static void propagate_claim(redis_call_t *call, const stream_place_t *at, const claim_t *x)
{
    char ids[CLAIM_IDS_MAX][STREAM_ID_CHARS_MAX], last[STREAM_ID_CHARS_MAX];
    char time[NUM_I64_CHARS_MAX], count[NUM_I64_CHARS_MAX];
    bytes_t argv[CLAIM_WORDS + CLAIM_IDS_MAX] = {BYTES_LIT("XCLAIM"), at->key, at->group, x->consumer, BYTES_LIT("0")};
    int argc = 5;
    ASSERT(x->count <= CLAIM_IDS_MAX);
    for (size_t i = 0; i < x->count; i++) argv[argc++] = text_of_id(ids[i], x->ids[i]);
    argv[argc++] = BYTES_LIT("TIME");
    argv[argc++] = text_of_number(time, x->delivered_ms);
    argv[argc++] = BYTES_LIT("RETRYCOUNT");
    argv[argc++] = text_of_number(count, (int64_t)x->deliveries);
    argv[argc++] = BYTES_LIT("FORCE");
    argv[argc++] = BYTES_LIT("JUSTID");
    argv[argc++] = BYTES_LIT("LASTID");
    argv[argc++] = text_of_id(last, at->in->last_id);
    propagate(call, argc, argv);
}

void stream__propagate_claim(redis_call_t *call, const stream_place_t *at, stream_id_t id, const stream_pending_t *p)
{
    propagate_claim(call, at, &(claim_t){stream_consumer_name(p->consumer), &id, 1, p->delivered_ms, p->deliveries});
}

void stream__propagate_given(redis_call_t *call, const stream_place_t *at, bytes_t consumer, const stream_id_t *ids,
                             size_t count)
{
    for (size_t i = 0; i < count; i += CLAIM_IDS_MAX) {
        size_t n = MIN(count - i, (size_t)CLAIM_IDS_MAX);
        propagate_claim(call, at, &(claim_t){consumer, ids + i, n, call->now_ms, 1});
    }
}

void stream__propagate_group_id(redis_call_t *call, const stream_place_t *at)
{
    char id[STREAM_ID_CHARS_MAX], read[NUM_I64_CHARS_MAX];
    bytes_t argv[] = {BYTES_LIT("XGROUP"),
                      BYTES_LIT("SETID"),
                      at->key,
                      at->group,
                      text_of_id(id, at->in->last_id),
                      BYTES_LIT("ENTRIESREAD"),
                      text_of_number(read, at->in->entries_read)};
    propagate(call, ARRAY_LEN(argv), argv);
}

void stream__propagate_consumer(redis_call_t *call, const stream_place_t *at, bytes_t consumer)
{
    bytes_t argv[] = {BYTES_LIT("XGROUP"), BYTES_LIT("CREATECONSUMER"), at->key, at->group, consumer};
    propagate(call, ARRAY_LEN(argv), argv);
}

stream_consumer_t *stream__consumer(redis_call_t *call, const stream_place_t *at, stream_group_t *g, bytes_t name,
                                    bool *ret_created)
{
    stream_consumer_t *consumer = stream_consumer_find(g, name);
    *ret_created = consumer == NULL;
    if (*ret_created) {
        consumer = stream_consumer_add(g, name, call->now_ms);
        call->dirty++;
        key_event(call, at->key, NOTIFY_STREAM, "xgroup-createconsumer");
    }
    consumer->seen_ms = call->now_ms;
    return consumer;
}
