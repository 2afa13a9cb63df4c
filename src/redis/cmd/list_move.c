/* list_move.c: list commands over several lists: moving, at once or waiting, and popping from the first that has
 * something (pop.c). A blocked command runs again from its start when one of its keys got a list, so each handler
 * here tries first and blocks only when there is nothing. */
#include "redis/cmd/list.h"
#include "redis/cmd/pop.h"

#include "base/buf.h"
#include "redis_commands.h"

bool list__arg_end(redis_call_t *call, int i, bool *ret_at_head)
{
    *ret_at_head = arg_is(call, i, "LEFT");
    if (*ret_at_head || arg_is(call, i, "RIGHT")) return true;
    reply_error_syntax(call->client);
    return false;
}

/* ---- moving ------------------------------------------------------------------------------ */

/* Pushes `text`, which lies outside of the destination, and replies it. */
static void push_moved(redis_call_t *call, bytes_t key, redis_entry_t *entry, value_t v, bytes_t text, bool at_head)
{
    rlist_expect(&v, &text, 1, call->config);
    rlist_push(&v, text, at_head);
    if (entry)
        value_store(entry, v);
    else
        key_add(call, key, TYPE_LIST, v.encoding, v.ptr);
    key_changed(call, key, NOTIFY_LIST, at_head ? "lpush" : "rpush");
    key_grew(call, key, TYPE_LIST);
    reply_bulk(call->client, text);
}

/* Source and destination are one list. */
static void rotate(redis_call_t *call, redis_entry_t *entry, bool from_head, bool to_head)
{
    char room[NUM_I64_CHARS_MAX];
    buf_t copy = BUF_INIT;
    bytes_t key = call->argv[1];
    value_t v = value_of(entry);
    list_pos_t pos = from_head ? rlist_first(v) : rlist_last(v);
    bytes_t text = rlist_text(pos, room);
    buf_append(&copy, text.ptr, text.len);
    text = bytes_of(copy.ptr ? copy.ptr : (const uint8_t *)"", text.len);
    rlist_remove(&v, pos, false);
    push_moved(call, key, entry, v, text, to_head);
    list__popped(call, key, entry, value_of(entry), from_head, 1);
    buf_deinit(&copy);
}

static void move(redis_call_t *call, redis_entry_t *source, bool from_head, bool to_head)
{
    redis_entry_t *target;
    char room[NUM_I64_CHARS_MAX];
    if (!key_write_type(call, call->argv[2], TYPE_LIST, &target)) return;
    if (target == source) {
        rotate(call, source, from_head, to_head);
        return;
    }
    value_t v = value_of(source);
    list_pos_t pos = from_head ? rlist_first(v) : rlist_last(v);
    push_moved(call, call->argv[2], target, target ? value_of(target) : rlist_new(), rlist_text(pos, room), to_head);
    rlist_remove(&v, pos, false);
    list__popped(call, call->argv[1], source, v, from_head, 1);
}

/* Moves if there is something to move; false when the source is absent (nothing was replied then). */
static bool try_move(redis_call_t *call, bool from_head, bool to_head)
{
    redis_entry_t *source;
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &source)) return true;
    if (!source) return false;
    move(call, source, from_head, to_head);
    return true;
}

static void move_blocking(redis_call_t *call, bool from_head, bool to_head, int64_t timeout_ms)
{
    uint64_t before = call->dirty;
    if (!try_move(call, from_head, to_head)) {
        if (!key_block(call, call->argv + 1, 1, TYPE_LIST, timeout_ms, BLOCK_NULL_ARRAY)) reply_null(call->client);
        return;
    }
    if (call->dirty == before) return;
    bytes_t argv[] = {BYTES_LIT("LMOVE"), call->argv[1], call->argv[2],
                      from_head ? BYTES_LIT("LEFT") : BYTES_LIT("RIGHT"),
                      to_head ? BYTES_LIT("LEFT") : BYTES_LIT("RIGHT")};
    propagate(call, 5, argv);
}

void redis_cmd_lmove(redis_call_t *call)
{
    bool from_head, to_head;
    if (!list__arg_end(call, 3, &from_head) || !list__arg_end(call, 4, &to_head)) return;
    if (!try_move(call, from_head, to_head)) reply_null(call->client);
}

void redis_cmd_rpoplpush(redis_call_t *call)
{
    if (!try_move(call, false, true)) reply_null(call->client);
}

void redis_cmd_blmove(redis_call_t *call)
{
    bool from_head, to_head;
    int64_t timeout_ms;
    if (!list__arg_end(call, 3, &from_head) || !list__arg_end(call, 4, &to_head)) return;
    if (!arg_timeout(call, 5, &timeout_ms)) return;
    move_blocking(call, from_head, to_head, timeout_ms);
}

void redis_cmd_brpoplpush(redis_call_t *call)
{
    int64_t timeout_ms;
    if (!arg_timeout(call, 3, &timeout_ms)) return;
    move_blocking(call, false, true, timeout_ms);
}

/* ---- popping from the first of several --------------------------------------------------- */

/* Replies [key, element]. */
static void pop_single(redis_call_t *call, bytes_t key, redis_entry_t *entry, bool at_head)
{
    char room[NUM_I64_CHARS_MAX];
    value_t v = value_of(entry);
    list_pos_t pos = at_head ? rlist_first(v) : rlist_last(v);
    reply_array(call->client, 2);
    reply_bulk(call->client, key);
    reply_bulk(call->client, rlist_text(pos, room));
    rlist_remove(&v, pos, false);
    list__popped(call, key, entry, v, at_head, 1);
    propagate_key(call, at_head ? "LPOP" : "RPOP", key);
}

static const pop_kind_t list_pop = {
    .type = TYPE_LIST,
    .words = {"RIGHT", "LEFT"},
    .one = pop_single,
    .several = list__pop_with_key,
};

void redis_cmd_blpop(redis_call_t *call) { pop_first_blocking(call, &list_pop, true); }
void redis_cmd_brpop(redis_call_t *call) { pop_first_blocking(call, &list_pop, false); }
void redis_cmd_lmpop(redis_call_t *call) { pop_several(call, &list_pop); }
void redis_cmd_blmpop(redis_call_t *call) { pop_several_blocking(call, &list_pop); }
