/* list_movem.c: LMOVEM and BLMOVEM: several elements from one list to another, in the order in which single moves would leave
 * them (OBO) or in the one that they had (BULK). */
#include "redis/cmd/list.h"

#include "base/buf.h"
#include "base/num.h"
#include "redis_commands.h"

typedef struct movem {
    bool from_head, to_head;
    bool exactly; /* that many or none */
    bool reversed;
    int64_t count;
} movem_t;

/* `[COUNT n | EXACTLY n  OBO | BULK]` at argv[i]; false after an error. */
static bool read_how_many(redis_call_t *call, int i, movem_t *m)
{
    m->count = 1;
    if (call->argc == i) return true;
    m->exactly = arg_is(call, i, "EXACTLY");
    bool whole = call->argc == i + 3, bulk = whole && arg_is(call, i + 2, "BULK");
    if (!whole || !(m->exactly || arg_is(call, i, "COUNT")) || !(bulk || arg_is(call, i + 2, "OBO"))) {
        reply_error_syntax(call->client);
        return false;
    }
    m->reversed = !bulk && m->from_head == m->to_head;
    return arg_i64_in(call, i + 1, 1, INT64_MAX, "ERR count should be greater than 0", &m->count);
}

static bool read_ends(redis_call_t *call, movem_t *m)
{
    *m = (movem_t){0};
    return list__arg_end(call, 3, &m->from_head) && list__arg_end(call, 4, &m->to_head);
}

/* ---- moving ------------------------------------------------------------------------------ */

/* Copies of elements: their texts one after the other, and where each ends. */
typedef struct copies {
    buf_t texts, ends;
    size_t count;
} copies_t;

static bytes_t copy_at(const copies_t *c, size_t i)
{
    size_t begin = i ? ((const size_t *)c->ends.ptr)[i - 1] : 0, end = ((const size_t *)c->ends.ptr)[i];
    return bytes_of(c->texts.ptr ? c->texts.ptr + begin : (const uint8_t *)"", end - begin);
}

/* `n` elements from the end that is moved from, in the order of the list. */
static void copy_elements(value_t v, const movem_t *m, size_t n, copies_t *c)
{
    char room[NUM_I64_CHARS_MAX];
    size_t length = rlist_length(v);
    list_pos_t pos = rlist_seek(v, m->from_head ? 0 : (int64_t)(length - n));
    for (c->count = 0; c->count < n; c->count++) {
        if (c->count) pos = rlist_next(v, pos);
        bytes_t text = rlist_text(pos, room);
        buf_append(&c->texts, text.ptr, text.len);
        buf_append(&c->ends, &c->texts.len, sizeof(c->texts.len));
    }
}

/* The i-th from the destination's front, among those that are moved. */
static bytes_t moved_at(const copies_t *c, const movem_t *m, size_t i)
{
    return copy_at(c, m->reversed ? c->count - 1 - i : i);
}

static void push_copies(redis_call_t *call, value_t *v, const movem_t *m, const copies_t *c)
{
    bytes_t *texts = mem_alloc(c->count * sizeof(*texts));
    for (size_t i = 0; i < c->count; i++) texts[i] = moved_at(c, m, i);
    rlist_expect(v, texts, c->count, call->config);
    for (size_t i = 0; i < c->count; i++) rlist_push(v, texts[m->to_head ? c->count - 1 - i : i], m->to_head);
    mem_free(texts);
}

static void pushed(redis_call_t *call, redis_entry_t *target, value_t v, const movem_t *m)
{
    bytes_t key = call->argv[2];
    if (target)
        value_store(target, v);
    else
        key_add(call, key, TYPE_LIST, v.encoding, v.ptr);
    key_changed(call, key, NOTIFY_LIST, m->to_head ? "lpush" : "rpush");
    key_grew(call, key, TYPE_LIST);
}

/* Travels as what it did, for an element that came later must not be moved with them. */
static void propagate_move(redis_call_t *call, const movem_t *m, size_t n)
{
    char text[NUM_I64_CHARS_MAX];
    bytes_t ends[] = {BYTES_LIT("RIGHT"), BYTES_LIT("LEFT")};
    bytes_t argv[] = {BYTES_LIT("LMOVEM"),
                      call->argv[1],
                      call->argv[2],
                      ends[m->from_head],
                      ends[m->to_head],
                      BYTES_LIT("COUNT"),
                      bytes_of(text, num_format_u64(text, n)),
                      m->reversed ? BYTES_LIT("OBO") : BYTES_LIT("BULK")};
    propagate(call, ARRAY_LEN(argv), argv);
}

static void move_copies(redis_call_t *call, redis_entry_t *source, redis_entry_t *target, const movem_t *m,
                        const copies_t *c)
{
    bool same = source == target; /* then they are taken out first, and the list is never empty in between */
    value_t from = value_of(source), to = target ? value_of(target) : rlist_new();
    size_t start = m->from_head ? 0 : rlist_length(from) - c->count;
    if (same) {
        rlist_delete_range(&from, start, c->count);
        push_copies(call, &from, m, c);
        pushed(call, source, from, m);
    } else {
        push_copies(call, &to, m, c);
        pushed(call, target, to, m);
        rlist_delete_range(&from, start, c->count);
    }
    list__popped(call, call->argv[1], source, from, m->from_head, c->count);
}

static void move_elements(redis_call_t *call, redis_entry_t *source, redis_entry_t *target, const movem_t *m, size_t n)
{
    copies_t c = {.texts = BUF_INIT, .ends = BUF_INIT};
    copy_elements(value_of(source), m, n, &c);
    reply_array(call->client, n);
    for (size_t i = 0; i < n; i++) reply_bulk(call->client, moved_at(&c, m, i));
    move_copies(call, source, target, m, &c);
    propagate_move(call, m, n);
    buf_deinit(&c.texts);
    buf_deinit(&c.ends);
}

/* False when there is not enough (nothing was replied then). */
static bool try_move(redis_call_t *call, const movem_t *m)
{
    redis_entry_t *source, *target;
    if (!key_write_type(call, call->argv[1], TYPE_LIST, &source)) return true;
    size_t length = source ? rlist_length(value_of(source)) : 0;
    if (length == 0 || (m->exactly && length < (size_t)m->count)) return false;
    if (!key_write_type(call, call->argv[2], TYPE_LIST, &target)) return true;
    move_elements(call, source, target, m, MIN(length, (size_t)m->count));
    return true;
}

void redis_cmd_lmovem(redis_call_t *call)
{
    movem_t m;
    if (!read_ends(call, &m) || !read_how_many(call, 5, &m)) return;
    if (!try_move(call, &m)) reply_null_array(call->client);
}

void redis_cmd_blmovem(redis_call_t *call)
{
    movem_t m;
    int64_t timeout_ms;
    if (!read_ends(call, &m) || !arg_timeout(call, 5, &timeout_ms) || !read_how_many(call, 6, &m)) return;
    if (try_move(call, &m)) return;
    if (!key_block(call, call->argv + 1, 1, TYPE_LIST, timeout_ms, BLOCK_NULL_ARRAY)) reply_null_array(call->client);
}
