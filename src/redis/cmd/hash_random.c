/* hash_random.c: HRANDFIELD. */
#include "redis/cmd/collection.h"
#include "redis/cmd/hash.h"
#include "redis_commands.h"

typedef struct chosen {
    redis_client_t *client;
    value_t v;
    bool with_values;
    bool nested; /* RESP3: [field, value] each */
} chosen_t;

static void give_chosen(void *user, const void *handle)
{
    chosen_t *c = user;
    bytes_t field, text;
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    hash_at(c->v, handle, a, b, &field, &text);
    if (c->nested) reply_array(c->client, 2);
    reply_bulk(c->client, field);
    if (c->with_values) reply_bulk(c->client, text);
}

static size_t chosen_bytes(void *user, const void *handle)
{
    chosen_t *c = user;
    bytes_t field, text;
    char a[NUM_I64_CHARS_MAX], b[NUM_I64_CHARS_MAX];
    hash_at(c->v, handle, a, b, &field, &text);
    return field.len + (c->with_values ? text.len : 0);
}

/* Of a hash with fields whose time is over: all others, to choose among. */
static size_t gather_live(const redis_call_t *call, value_t v, const void **ret_handles)
{
    size_t size = hash_length(v), live = 0;
    sample_all(v, 2, ret_handles);
    for (size_t i = 0; i < size; i++)
        if (!hash_handle_is_over(v, ret_handles[i], cmd__hash_now(call))) ret_handles[live++] = ret_handles[i];
    return live;
}

static void random_live_fields(redis_call_t *call, chosen_t *c, int64_t count)
{
    rng_t rng = collection_rng(call);
    const void **handles = mem_alloc(hash_length(c->v) * sizeof(*handles));
    size_t live = gather_live(call, c->v, handles), n = live ? collection_chosen(live, count) : 0;
    reply_array(call->client, c->with_values && !c->nested ? n * 2 : n);
    if (count > 0) sample_shuffle(handles, live, n, &rng);
    for (size_t i = 0; i < n; i++) give_chosen(c, handles[count > 0 ? i : rng_below(&rng, live)]);
    mem_free(handles);
}

static void random_fields(redis_call_t *call, int64_t count, bool with_values)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if (!entry || count == 0) {
        reply_array(call->client, 0);
        return;
    }
    value_t v = value_of(entry);
    chosen_t c = {call->client, v, with_values, with_values && redis_client_resp(call->client) == 3};
    size_t size = hash_length(v), n = collection_chosen(size, count);
    if (!collection_reply_fits(call, v, 2, size, count, chosen_bytes, &c)) return;
    if (hash_over(v, cmd__hash_now(call))) {
        random_live_fields(call, &c, count);
        return;
    }
    reply_array(call->client, with_values && !c.nested ? n * 2 : n);
    collection_choose(call, v, 2, size, count, give_chosen, &c);
}

#define DRAWS_MAX 32 /* until those that are there are gathered */

/* NULL: the time of all of them is over. */
static const void *one_live_field(redis_call_t *call, value_t v)
{
    rng_t rng = collection_rng(call);
    for (int i = 0; i < DRAWS_MAX; i++) {
        const void *handle = sample_one(v, 2, &rng);
        if (!hash_handle_is_over(v, handle, cmd__hash_now(call))) return handle;
    }
    const void **handles = mem_alloc(hash_length(v) * sizeof(*handles));
    size_t live = gather_live(call, v, handles);
    const void *handle = live ? handles[rng_below(&rng, live)] : NULL;
    mem_free(handles);
    return handle;
}

static void random_field(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    const void *handle = entry ? one_live_field(call, value_of(entry)) : NULL;
    if (!handle) {
        reply_null(call->client);
        return;
    }
    chosen_t c = {call->client, value_of(entry), false, false};
    give_chosen(&c, handle);
}

void redis_cmd_hrandfield(redis_call_t *call)
{
    int64_t count;
    if (call->argc < 3) {
        random_field(call);
        return;
    }
    bool with_values = call->argc == 4 && arg_is(call, 3, "WITHVALUES");
    if (call->argc > 4 || (call->argc == 4 && !with_values)) {
        /* The count is judged first. */
        if (!collection_count(call, 2, false, &count)) return;
        reply_error_syntax(call->client);
        return;
    }
    if (collection_count(call, 2, with_values, &count)) random_fields(call, count, with_values);
}
