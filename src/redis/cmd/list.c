/* list.c: the list commands that work on one list: pushing, popping, reading, editing. */
#include "redis/cmd/list.h"

#include "base/buf.h"
#include "redis_commands.h"

/* ---- pushing ----------------------------------------------------------------------------- */

static void push(redis_call_t *call, bool at_head, bool only_existing)
{
    redis_entry_t *entry;
    bytes_t key = call->argv[1];
    if (!key_write_type(call, key, TYPE_LIST, &entry)) return;
    if (!entry && only_existing) {
        reply_int(call->client, 0);
        return;
    }
    value_t v = entry ? value_of(entry) : rlist_new();
    rlist_expect(&v, call->argv + 2, (size_t)call->argc - 2, call->config);
    for (int i = 2; i < call->argc; i++) rlist_push(&v, call->argv[i], at_head);
    if (entry)
        value_store(entry, v);
    else
        key_add(call, key, TYPE_LIST, v.encoding, v.ptr);
    call->dirty += (uint64_t)call->argc - 2;
    reply_int(call->client, (int64_t)rlist_length(v));
    key_changed(call, key, NOTIFY_LIST, at_head ? "lpush" : "rpush");
    key_grew(call, key, TYPE_LIST);
}

void redis_cmd_lpush(redis_call_t *call) { push(call, true, false); }
void redis_cmd_rpush(redis_call_t *call) { push(call, false, false); }
void redis_cmd_lpushx(redis_call_t *call) { push(call, true, true); }
void redis_cmd_rpushx(redis_call_t *call) { push(call, false, true); }

/* ---- popping ----------------------------------------------------------------------------- */

void list__popped(redis_call_t *call, bytes_t key, redis_entry_t *entry, value_t v, bool at_head, size_t count)
{
    bool empty = rlist_length(v) == 0;
    if (!empty) rlist_shrunk(&v, call->config);
    value_store(entry, v);
    call->dirty += count;
    key_changed(call, key, NOTIFY_LIST, at_head ? "lpop" : "rpop");
    if (empty) {
        key_delete(call, key);
        key_event(call, key, NOTIFY_GENERIC, "del");
    }
}

void list__reply_range(redis_call_t *call, value_t v, int64_t from, size_t count, bool backwards)
{
    char room[NUM_I64_CHARS_MAX];
    redis_client_t *c = call->client;
    reply_array(c, count);
    list_pos_t pos = rlist_seek(v, from);
    while (count-- > 0) {
        reply_bulk(c, rlist_text(pos, room));
        if (count) pos = backwards ? rlist_prev(v, pos) : rlist_next(v, pos);
    }
}

/* Replies an array of up to `count` elements from an end, and pops them. */
static size_t pop_range(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool at_head, int64_t count)
{
    value_t v = value_of(entry);
    size_t length = rlist_length(v), n = MIN((size_t)count, length);
    list__reply_range(call, v, at_head ? 0 : -1, n, !at_head);
    rlist_delete_range(&v, at_head ? 0 : length - n, n);
    list__popped(call, key, entry, v, at_head, n);
    return n;
}

void list__pop_with_key(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool at_head, int64_t count)
{
    char number[NUM_I64_CHARS_MAX];
    reply_array(call->client, 2);
    reply_bulk(call->client, key);
    size_t popped = pop_range(call, key, entry, at_head, count);
    bytes_t argv[] = {at_head ? BYTES_LIT("LPOP") : BYTES_LIT("RPOP"), key,
                      bytes_of(number, num_format_u64(number, popped))};
    propagate(call, 3, argv);
}

static void pop_one(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool at_head)
{
    char room[NUM_I64_CHARS_MAX];
    value_t v = value_of(entry);
    list_pos_t pos = at_head ? rlist_first(v) : rlist_last(v);
    reply_bulk(call->client, rlist_text(pos, room));
    rlist_remove(&v, pos, false);
    list__popped(call, key, entry, v, at_head, 1);
}

static void pop(redis_call_t *call, bool at_head)
{
    redis_entry_t *entry;
    bool counted = call->argc == 3;
    int64_t count = 0;
    if (call->argc > 3) {
        reply_errorf(call->client, "ERR wrong number of arguments for '%s' command", at_head ? "lpop" : "rpop");
        return;
    }
    if (counted && !arg_i64_in(call, 2, 0, INT64_MAX, "ERR value is out of range, must be positive", &count)) return;
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (!entry) {
        if (counted)
            reply_null_array(call->client);
        else
            reply_null(call->client);
    } else if (!counted) {
        pop_one(call, call->argv[1], entry, at_head);
    } else if (count == 0) {
        reply_array(call->client, 0);
    } else {
        pop_range(call, call->argv[1], entry, at_head, count);
    }
}

void redis_cmd_lpop(redis_call_t *call) { pop(call, true); }
void redis_cmd_rpop(redis_call_t *call) { pop(call, false); }

/* ---- reading ----------------------------------------------------------------------------- */

void redis_cmd_llen(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    reply_int(call->client, entry ? (int64_t)rlist_length(value_of(entry)) : 0);
}

void redis_cmd_lindex(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t index;
    char room[NUM_I64_CHARS_MAX];
    if (!key_read_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (!entry) {
        reply_null(call->client);
        return;
    }
    if (!arg_i64(call, 2, &index)) return;
    list_pos_t pos = rlist_seek(value_of(entry), index);
    if (pos.p)
        reply_bulk(call->client, rlist_text(pos, room));
    else
        reply_null(call->client);
}

/* Clamps start and end, either counted from the end when negative; false when nothing is between. */
static bool clamp_range(int64_t *start, int64_t *end, int64_t length)
{
    if (*start < 0) *start += length;
    if (*end < 0) *end += length;
    if (*start < 0) *start = 0;
    if (*start > *end || *start >= length) return false;
    if (*end >= length) *end = length - 1;
    return true;
}

void redis_cmd_lrange(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t start, end;
    if (!arg_i64(call, 2, &start) || !arg_i64(call, 3, &end)) return;
    if (!key_read_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (!entry || !clamp_range(&start, &end, (int64_t)rlist_length(value_of(entry)))) {
        reply_array(call->client, 0);
        return;
    }
    list__reply_range(call, value_of(entry), start, (size_t)(end - start) + 1, false);
}

typedef struct lpos_options {
    int64_t rank;
    int64_t count; /* -1: not given */
    int64_t maxlen;
} lpos_options_t;

static bool lpos_parse(redis_call_t *call, lpos_options_t *o)
{
    for (int i = 3; i < call->argc; i++) {
        bool more = i + 1 < call->argc;
        if (more && arg_is(call, i, "RANK")) {
            if (!arg_i64_in(call, ++i, -INT64_MAX, INT64_MAX, NULL, &o->rank)) return false;
            if (o->rank == 0) {
                reply_error(call->client, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                                          "second ... or use negative to start from the end of the list");
                return false;
            }
        } else if (more && arg_is(call, i, "COUNT")) {
            if (!arg_i64_in(call, ++i, 0, INT64_MAX, "ERR COUNT can't be negative", &o->count)) return false;
        } else if (more && arg_is(call, i, "MAXLEN")) {
            if (!arg_i64_in(call, ++i, 0, INT64_MAX, "ERR MAXLEN can't be negative", &o->maxlen)) return false;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    return true;
}

/* Replies the indexes found and returns their number. Without COUNT the first alone is wanted. */
static size_t lpos_search(redis_call_t *call, value_t v, const lpos_options_t *o)
{
    char room[NUM_I64_CHARS_MAX];
    bool backwards = o->rank < 0;
    int64_t skip = (backwards ? -o->rank : o->rank) - 1, length = (int64_t)rlist_length(v);
    size_t found = 0, wanted = o->count < 0 ? 1 : o->count == 0 ? SIZE_MAX : (size_t)o->count;
    list_pos_t pos = backwards ? rlist_last(v) : rlist_first(v);
    for (int64_t i = 0; pos.p && (o->maxlen == 0 || i < o->maxlen); i++) {
        if (bytes_eq(rlist_text(pos, room), call->argv[2]) && skip-- <= 0) {
            reply_int(call->client, backwards ? length - 1 - i : i);
            if (++found == wanted) break;
        }
        pos = backwards ? rlist_prev(v, pos) : rlist_next(v, pos);
    }
    return found;
}

void redis_cmd_lpos(redis_call_t *call)
{
    lpos_options_t o = {.rank = 1, .count = -1, .maxlen = 0};
    redis_entry_t *entry;
    if (!lpos_parse(call, &o) || !key_read_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (o.count >= 0) {
        reply_deferred_t d = reply_deferred_begin(call->client);
        size_t found = entry ? lpos_search(call, value_of(entry), &o) : 0;
        reply_deferred_array(call->client, d, found);
    } else if (!entry || lpos_search(call, value_of(entry), &o) == 0) {
        reply_null(call->client);
    }
}

/* ---- editing ----------------------------------------------------------------------------- */

void redis_cmd_linsert(redis_call_t *call)
{
    redis_entry_t *entry;
    char room[NUM_I64_CHARS_MAX];
    bool after = arg_is(call, 2, "AFTER");
    if (!after && !arg_is(call, 2, "BEFORE")) {
        reply_error_syntax(call->client);
        return;
    }
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (!entry) {
        reply_int(call->client, 0);
        return;
    }
    value_t v = value_of(entry);
    rlist_expect(&v, call->argv + 4, 1, call->config);
    list_pos_t pos = rlist_first(v);
    while (pos.p && !bytes_eq(rlist_text(pos, room), call->argv[3])) pos = rlist_next(v, pos);
    if (pos.p) rlist_insert(&v, pos, call->argv[4], after);
    value_store(entry, v);
    if (!pos.p) {
        reply_int(call->client, -1);
        return;
    }
    call->dirty++;
    key_changed(call, call->argv[1], NOTIFY_LIST, "linsert");
    reply_int(call->client, (int64_t)rlist_length(v));
}

void redis_cmd_lset(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t index;
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (!entry) {
        reply_error_no_such_key(call->client);
        return;
    }
    if (!arg_i64(call, 2, &index)) return;
    value_t v = value_of(entry);
    rlist_expect(&v, call->argv + 3, 1, call->config);
    list_pos_t pos = rlist_seek(v, index);
    if (pos.p) {
        rlist_replace(&v, pos, call->argv[3]);
        rlist_shrunk(&v, call->config);
    }
    value_store(entry, v);
    if (!pos.p) {
        reply_error_out_of_range(call->client);
        return;
    }
    reply_ok(call->client);
    call->dirty++;
    key_changed(call, call->argv[1], NOTIFY_LIST, "lset");
}

/* After elements were taken from anywhere: stores the list or deletes the key. */
static void finish_removal(redis_call_t *call, redis_entry_t *entry, value_t v, const char *event)
{
    bytes_t key = call->argv[1];
    bool empty = rlist_length(v) == 0;
    if (!empty) rlist_shrunk(&v, call->config);
    value_store(entry, v);
    key_changed(call, key, NOTIFY_LIST, event);
    if (empty) {
        key_delete(call, key);
        key_event(call, key, NOTIFY_GENERIC, "del");
    }
}

void redis_cmd_lrem(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t count, removed = 0;
    char room[NUM_I64_CHARS_MAX];
    if (!arg_i64_in(call, 2, -INT64_MAX, INT64_MAX, NULL, &count)) return;
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (!entry) {
        reply_int(call->client, 0);
        return;
    }
    bool backwards = count < 0;
    int64_t wanted = backwards ? -count : count;
    value_t v = value_of(entry);
    list_pos_t pos = backwards ? rlist_last(v) : rlist_first(v);
    while (pos.p && (wanted == 0 || removed < wanted)) {
        if (bytes_eq(rlist_text(pos, room), call->argv[3])) {
            pos = rlist_remove(&v, pos, backwards);
            removed++;
        } else {
            pos = backwards ? rlist_prev(v, pos) : rlist_next(v, pos);
        }
    }
    if (removed) finish_removal(call, entry, v, "lrem");
    call->dirty += (uint64_t)removed;
    reply_int(call->client, removed);
}

void redis_cmd_ltrim(redis_call_t *call)
{
    redis_entry_t *entry;
    int64_t start, end;
    if (!arg_i64(call, 2, &start) || !arg_i64(call, 3, &end)) return;
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &entry)) return;
    if (entry) {
        value_t v = value_of(entry);
        size_t length = rlist_length(v);
        if (clamp_range(&start, &end, (int64_t)length)) {
            rlist_delete_range(&v, (size_t)end + 1, length - (size_t)end - 1);
            rlist_delete_range(&v, 0, (size_t)start);
        } else {
            rlist_delete_range(&v, 0, length);
        }
        call->dirty += length - rlist_length(v);
        finish_removal(call, entry, v, "ltrim");
    }
    reply_ok(call->client);
}
