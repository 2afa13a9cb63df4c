/* sort.c: SORT and SORT_RO. The elements are copied, given their weights (their own text, or a key's value found
 * by BY), sorted, and replied or stored, each as itself or as the values that GET patterns name. */
#include "redis/exec/key.h"
#include "redis/types/hash.h"
#include "redis/types/list.h"
#include "redis/types/sample.h"
#include "redis/types/set.h"
#include "redis/types/zset.h"
#include "redis_commands.h"

#include "base/arena.h"
#include "base/buf.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

typedef struct sort_item {
    bytes_t text;
    bytes_t weight_text; /* ALPHA BY: ptr NULL = the key is absent */
    double weight;
    size_t index; /* where it was: equal items keep their order */
} sort_item_t;

typedef struct sort {
    redis_call_t *call;
    bytes_t by, store_at; /* ptr NULL: not given */
    buf_t gets;           /* int: argv indexes of GET's patterns */
    bool descending, alpha, unsorted;
    int64_t offset, limit; /* limit < 0: none */
    arena_t arena;
    sort_item_t *items;
    size_t count;
    size_t first, end; /* items that are given: [first, end) */
    bool met_over;     /* a hash with fields whose time is over, unseen by the result */
} sort_t;

/* ---- arguments --------------------------------------------------------------------------- */

static bool parse_option(sort_t *s, int *i, bool may_store)
{
    redis_call_t *call = s->call;
    int left = call->argc - *i - 1;
    if (arg_is(call, *i, "ASC") || arg_is(call, *i, "DESC")) {
        s->descending = arg_is(call, *i, "DESC");
    } else if (arg_is(call, *i, "ALPHA")) {
        s->alpha = true;
    } else if (arg_is(call, *i, "LIMIT") && left >= 2) {
        if (!arg_i64(call, *i + 1, &s->offset) || !arg_i64(call, *i + 2, &s->limit)) return false;
        *i += 2;
    } else if (may_store && arg_is(call, *i, "STORE") && left >= 1) {
        s->store_at = call->argv[++*i];
    } else if (arg_is(call, *i, "BY") && left >= 1) {
        s->by = call->argv[++*i];
        s->unsorted = memchr(s->by.ptr, '*', s->by.len) == NULL;
    } else if (arg_is(call, *i, "GET") && left >= 1) {
        ++*i;
        buf_append(&s->gets, i, sizeof(*i));
    } else {
        reply_error_syntax(call->client);
        return false;
    }
    return true;
}

/* ---- elements ---------------------------------------------------------------------------- */

static bytes_t keep(sort_t *s, bytes_t text)
{
    uint8_t *copy = arena_alloc(&s->arena, text.len + 1);
    if (text.len) memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return bytes_of(copy, text.len);
}

static void add_item(sort_t *s, bytes_t text)
{
    s->items[s->count] = (sort_item_t){.text = keep(s, text), .index = s->count};
    s->count++;
}

static void add_set_member(void *user, bytes_t member) { add_item(user, member); }

static void load_list(sort_t *s, value_t v)
{
    char room[NUM_I64_CHARS_MAX];
    for (list_pos_t p = rlist_first(v); p.p; p = rlist_next(v, p)) add_item(s, rlist_text(p, room));
}

static void load_zset(sort_t *s, value_t v)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    for (zset_cursor_t c = zset_at(v, 0); zset_get(&c, room, &member, NULL); zset_next(&c)) add_item(s, member);
}

static void load(sort_t *s, redis_entry_t *e)
{
    value_t v = value_of(e);
    if (e->type == TYPE_ZSET) {
        zset_unpack(&v); /* seen by OBJECT ENCODING in the original */
        value_store(e, v);
    }
    size_t count = e->type == TYPE_LIST ? rlist_length(v) : e->type == TYPE_SET ? set_length(v) : zset_length(v);
    s->items = mem_alloc(count * sizeof(*s->items));
    if (e->type == TYPE_LIST)
        load_list(s, v);
    else if (e->type == TYPE_ZSET)
        load_zset(s, v);
    else
        set_each(v, add_set_member, s);
    ASSERT(s->count == count);
}

/* ---- patterns: "prefix*suffix", "prefix*suffix->field", "#" ------------------------------ */

static const uint8_t *find_arrow(const uint8_t *from, const uint8_t *end)
{
    for (const uint8_t *p = from; p + 2 < end; p++)
        if (p[0] == '-' && p[1] == '>') return p;
    return NULL;
}

/* The value the pattern names for this element, in the arena; ptr NULL when there is none. */
static bytes_t look_up(sort_t *s, bytes_t pattern, bytes_t element)
{
    if (bytes_eq(pattern, BYTES_LIT("#"))) return element;
    const uint8_t *star = pattern.len ? memchr(pattern.ptr, '*', pattern.len) : NULL;
    if (!star) return BYTES_NULL;
    const uint8_t *end = pattern.ptr + pattern.len, *arrow = find_arrow(star + 1, end);
    size_t prefix = (size_t)(star - pattern.ptr), suffix = (size_t)((arrow ? arrow : end) - star) - 1;
    uint8_t *name = arena_alloc(&s->arena, prefix + element.len + suffix + 1);
    if (prefix) memcpy(name, pattern.ptr, prefix);
    if (element.len) memcpy(name + prefix, element.ptr, element.len);
    if (suffix) memcpy(name + prefix + element.len, star + 1, suffix);
    redis_entry_t *e = key_read(s->call, bytes_of(name, prefix + element.len + suffix));
    char room[NUM_I64_CHARS_MAX];
    bytes_t value;
    if (!e || e->type != (arrow ? TYPE_HASH : TYPE_STRING)) return BYTES_NULL;
    if (!arrow) return keep(s, string_text(e, room));
    bytes_t field = bytes_of(arrow + 2, (size_t)(end - arrow) - 2);
    int64_t now_ms = s->call->flags & CALL_LOADING ? HASH_ALL : s->call->now_ms;
    if (hash_over(value_of(e), now_ms)) s->met_over = true;
    return hash_get(value_of(e), field, now_ms, room, &value) ? keep(s, value) : BYTES_NULL;
}

/* ---- order ------------------------------------------------------------------------------- */

/* What is kept ends with a zero byte. */
static bool weigh(sort_item_t *item, bytes_t text)
{
    char *end;
    errno = 0;
    item->weight = strtod((const char *)text.ptr, &end);
    return *end == '\0' && errno != ERANGE && !isnan(item->weight);
}

static bool weigh_all(sort_t *s)
{
    bool ok = true;
    for (size_t i = 0; i < s->count; i++) {
        sort_item_t *item = &s->items[i];
        bytes_t text = s->by.ptr ? look_up(s, s->by, item->text) : item->text;
        if (s->alpha)
            item->weight_text = text;
        else if (text.ptr)
            ok &= weigh(item, text);
    }
    return ok;
}

static int compare_texts(bytes_t a, bytes_t b)
{
    if (!a.ptr || !b.ptr) return (a.ptr != NULL) - (b.ptr != NULL);
    size_t n = MIN(a.len, b.len);
    int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_items(const void *left, const void *right, void *user)
{
    const sort_item_t *a = left, *b = right;
    const sort_t *s = user;
    int order =
        s->alpha ? compare_texts(a->weight_text, b->weight_text) : (a->weight > b->weight) - (a->weight < b->weight);
    if (order == 0 && !s->alpha) order = compare_texts(a->text, b->text);
    if (order == 0) return (a->index > b->index) - (a->index < b->index);
    return s->descending ? -order : order;
}

static void reverse(sort_t *s)
{
    for (size_t i = 0, j = s->count; i + 1 < j; i++) {
        sort_item_t item = s->items[i];
        s->items[i] = s->items[--j];
        s->items[j] = item;
    }
}

static void choose_interval(sort_t *s)
{
    int64_t count = (int64_t)s->count, first = MIN(MAX(s->offset, (int64_t)0), count);
    int64_t limit = s->limit < 0 ? count : MIN(s->limit, count);
    s->first = (size_t)first;
    s->end = (size_t)MIN(first + limit, count);
}

/* ---- results ----------------------------------------------------------------------------- */

typedef void (*give_cb)(sort_t *s, void *user, bytes_t value);

static size_t give_all(sort_t *s, give_cb give, void *user)
{
    size_t gets = s->gets.len / sizeof(int);
    for (size_t i = s->first; i < s->end; i++) {
        bytes_t element = s->items[i].text;
        if (gets == 0) give(s, user, element);
        for (size_t k = 0; k < gets; k++)
            give(s, user, look_up(s, s->call->argv[((const int *)(const void *)s->gets.ptr)[k]], element));
    }
    return (s->end - s->first) * MAX(gets, (size_t)1);
}

static void reply_value(sort_t *s, void *user, bytes_t value)
{
    (void)user;
    if (value.ptr)
        reply_bulk(s->call->client, value);
    else
        reply_null(s->call->client);
}

static void store_value(sort_t *s, void *user, bytes_t value)
{
    value_t *list = user;
    bytes_t text = value.ptr ? value : BYTES_LIT("");
    rlist_expect(list, &text, 1, s->call->config);
    rlist_push(list, text, false);
}

/* A replay, for which no field is over, would find other values: what came out travels. */
static void propagate_value(sort_t *s, void *user, bytes_t value)
{
    bytes_t argv[3] = {BYTES_LIT("RPUSH"), s->store_at, value.ptr ? value : BYTES_LIT("")};
    propagate(s->call, 3, argv);
}

static void propagate_result(sort_t *s)
{
    propagate_key(s->call, "DEL", s->store_at);
    give_all(s, propagate_value, NULL);
}

static void store(sort_t *s)
{
    redis_call_t *call = s->call;
    size_t count = s->end - s->first;
    if (count) {
        value_t list = rlist_new();
        count = give_all(s, store_value, &list);
        key_set(call, s->store_at, TYPE_LIST, list.encoding, list.ptr);
        key_changed(call, s->store_at, NOTIFY_LIST, "sortstore");
        if (s->met_over) propagate_result(s);
        call->dirty += count;
    } else if (key_delete(call, s->store_at)) {
        key_changed(call, s->store_at, NOTIFY_GENERIC, "del");
        call->dirty++;
    }
    reply_int(call->client, (int64_t)count);
}

static void give(sort_t *s)
{
    choose_interval(s);
    if (s->store_at.ptr) {
        store(s);
        return;
    }
    size_t gets = s->gets.len / sizeof(int);
    reply_array(s->call->client, (s->end - s->first) * MAX(gets, (size_t)1));
    give_all(s, reply_value, NULL);
}

static bool put_in_order(sort_t *s, const redis_entry_t *e)
{
    /* What comes out of an unordered set must not depend on chance where it is stored or scripted. */
    bool chance = e && e->type == TYPE_SET && (s->store_at.ptr || s->call->flags & CALL_IN_EXEC);
    if (s->unsorted && chance) {
        s->unsorted = false;
        s->alpha = true;
        s->by = BYTES_NULL;
    }
    if (s->unsorted) {
        if (s->descending) reverse(s);
        return true;
    }
    if (!weigh_all(s)) return false;
    if (s->count) qsort_r(s->items, s->count, sizeof(*s->items), compare_items, s);
    return true;
}

static void sort(redis_call_t *call, bool may_store)
{
    sort_t s = {.call = call, .gets = BUF_INIT, .limit = -1};
    arena_init(&s.arena, 0);
    for (int i = 2; i < call->argc; i++)
        if (!parse_option(&s, &i, may_store)) goto out;
    redis_entry_t *e = key_read(call, call->argv[1]);
    if (e && e->type != TYPE_LIST && e->type != TYPE_SET && e->type != TYPE_ZSET) {
        reply_error_wrong_type(call->client);
        goto out;
    }
    if (e) load(&s, e);
    if (put_in_order(&s, e))
        give(&s);
    else
        reply_error(call->client, "ERR One or more scores can't be converted into double");
out:
    mem_free(s.items);
    buf_deinit(&s.gets);
    arena_deinit(&s.arena);
}

void redis_cmd_sort(redis_call_t *call) { sort(call, true); }
void redis_cmd_sort_ro(redis_call_t *call) { sort(call, false); }
