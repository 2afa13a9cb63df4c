/* set_algebra.c: SINTER, SUNION, SDIFF, replied, counted or stored. */
#include "redis/types/set.h"

#include <stdlib.h>

#include "redis/cmd/collection.h"
#include "redis/types/hll.h"
#include "redis/types/intset.h"
#include "redis/types/listpack.h"
#include "redis_commands.h"

/* The operands; NULL stands for an absent key. */
typedef struct operands {
    redis_entry_t **entries;
    size_t count;
    size_t absent;
} operands_t;

/* Reads the keys from argv[first] on; false after an error. Free `entries`. */
static bool read_operands(redis_call_t *call, int first, size_t count, operands_t *ret)
{
    ret->entries = mem_alloc(count * sizeof(*ret->entries));
    ret->count = count;
    ret->absent = 0;
    for (size_t i = 0; i < count; i++) {
        if (!key_read_type(call, call->argv[first + (int)i], TYPE_SET, &ret->entries[i])) {
            mem_free(ret->entries);
            return false;
        }
        ret->absent += ret->entries[i] == NULL;
    }
    return true;
}

static int by_length(const void *a, const void *b)
{
    size_t x = set_length(value_of(*(redis_entry_t *const *)a)), y = set_length(value_of(*(redis_entry_t *const *)b));
    return (x > y) - (x < y);
}

static int by_length_descending(const void *a, const void *b)
{
    const redis_entry_t *x = *(redis_entry_t *const *)a, *y = *(redis_entry_t *const *)b;
    size_t n = x ? set_length(value_of(x)) : 0, m = y ? set_length(value_of(y)) : 0;
    return (n < m) - (n > m);
}

/* Stores the result under argv[1] (an empty one deletes the key) and replies its length. */
static void store(redis_call_t *call, value_t result, const char *event)
{
    bytes_t key = call->argv[1];
    size_t length = set_length(result);
    if (length > 0) {
        key_set(call, key, TYPE_SET, result.encoding, result.ptr);
        key_changed(call, key, NOTIFY_SET, event);
        call->dirty++;
    } else {
        set_free(result);
        if (key_delete(call, key)) {
            key_changed(call, key, NOTIFY_GENERIC, "del");
            call->dirty++;
        }
    }
    reply_int(call->client, (int64_t)length);
}

/* ---- intersection ------------------------------------------------------------------------ */

typedef struct intersection {
    redis_call_t *call;
    const operands_t *sets;
    size_t found;
    size_t limit; /* stop there; 0 = none */
    enum { GIVE, COUNT, STORE } what;
    value_t result; /* STORE */
    bool all_numbers;
} intersection_t;

static void intersect_member(void *user, bytes_t member)
{
    intersection_t *x = user;
    int64_t number;
    if (x->limit && x->found == x->limit) return;
    for (size_t i = 1; i < x->sets->count; i++) {
        const redis_entry_t *other = x->sets->entries[i];
        if (other != x->sets->entries[0] && !set_has(value_of(other), member)) return;
    }
    x->found++;
    if (x->what == GIVE) reply_bulk(x->call->client, member);
    if (x->what != STORE) return;
    x->all_numbers = x->all_numbers && num_parse_i64(member, &number);
    set_add(&x->result, member, x->call->config);
}

/* Walks the smallest set. Without a limit a set of one operand is its own intersection. */
static void intersect(intersection_t *x)
{
    if (x->sets->absent) return;
    qsort(x->sets->entries, x->sets->count, sizeof(*x->sets->entries), by_length);
    set_each(value_of(x->sets->entries[0]), intersect_member, x);
}

void redis_cmd_sinter(redis_call_t *call)
{
    operands_t sets;
    if (!read_operands(call, 1, (size_t)call->argc - 1, &sets)) return;
    intersection_t x = {.call = call, .sets = &sets, .what = GIVE};
    reply_deferred_t d = reply_deferred_begin(call->client);
    intersect(&x);
    reply_deferred_set(call->client, d, x.found);
    mem_free(sets.entries);
}

void redis_cmd_sinterstore(redis_call_t *call)
{
    operands_t sets;
    if (!read_operands(call, 2, (size_t)call->argc - 2, &sets)) return;
    intersection_t x = {.call = call, .sets = &sets, .what = STORE, .all_numbers = true};
    x.result = (value_t){lp_new(0), ENC_LISTPACK};
    intersect(&x);
    if (x.found && x.all_numbers) set_try_intset(&x.result, call->config);
    store(call, x.result, "sinterstore");
    mem_free(sets.entries);
}

/* Reads `numkeys key [key ...] [APPROX] [LIMIT n]`; `ret_approx` NULL: that word is unknown. False after an error. */
static bool read_counted(redis_call_t *call, operands_t *ret_sets, size_t *ret_limit, bool *ret_approx)
{
    int64_t numkeys, limit = 0;
    if (!arg_i64_in(call, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0", &numkeys)) return false;
    if (numkeys > call->argc - 2) {
        reply_error(call->client, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    for (int i = 2 + (int)numkeys; i < call->argc; i++) {
        if (ret_approx && arg_is(call, i, "APPROX")) {
            *ret_approx = true;
            continue;
        }
        if (!arg_is(call, i, "LIMIT") || i + 1 == call->argc) {
            reply_error_syntax(call->client);
            return false;
        }
        if (!arg_i64_in(call, ++i, 0, INT64_MAX, "ERR LIMIT can't be negative", &limit)) return false;
    }
    *ret_limit = (size_t)limit;
    return read_operands(call, 2, (size_t)numkeys, ret_sets);
}

void redis_cmd_sintercard(redis_call_t *call)
{
    operands_t sets;
    intersection_t x = {.call = call, .sets = &sets, .what = COUNT};
    if (!read_counted(call, &sets, &x.limit, NULL)) return;
    intersect(&x);
    reply_int(call->client, (int64_t)x.found);
    mem_free(sets.entries);
}

/* ---- union and difference ---------------------------------------------------------------- */

typedef struct building {
    value_t result;
    const operands_t *sets;
    const redis_config_t *config;
} building_t;

static void add_member(void *user, bytes_t member)
{
    building_t *b = user;
    set_add(&b->result, member, b->config);
}

static void remove_member(void *user, bytes_t member)
{
    building_t *b = user;
    set_remove(&b->result, member);
}

static void add_unless_elsewhere(void *user, bytes_t member)
{
    building_t *b = user;
    for (size_t i = 1; i < b->sets->count; i++) {
        const redis_entry_t *other = b->sets->entries[i];
        if (other && set_has(value_of(other), member)) return;
    }
    set_add(&b->result, member, b->config);
}

static void unite(building_t *b)
{
    for (size_t i = 0; i < b->sets->count; i++) {
        if (b->sets->entries[i]) set_each(value_of(b->sets->entries[i]), add_member, b);
    }
}

/* Asking every other set for each member costs first * sets; taking the others' members out costs the sum of
 * all. */
static void subtract(building_t *b)
{
    redis_entry_t **entries = b->sets->entries, *first = entries[0];
    size_t count = b->sets->count, asking = 0, taking = 0;
    if (!first) return;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && entries[i] == first) return; /* itself subtracted: nothing is left */
        if (!entries[i]) continue;
        asking += set_length(value_of(first));
        taking += set_length(value_of(entries[i]));
    }
    if (asking / 2 <= taking) {
        if (count > 2) qsort(entries + 1, count - 1, sizeof(*entries), by_length_descending);
        set_each(value_of(first), add_unless_elsewhere, b);
        return;
    }
    set_each(value_of(first), add_member, b);
    for (size_t i = 1; i < count && set_length(b->result) > 0; i++) {
        if (entries[i]) set_each(value_of(entries[i]), remove_member, b);
    }
}

static bool build(redis_call_t *call, int first, void (*combine)(building_t *b), value_t *ret_result)
{
    operands_t sets;
    if (!read_operands(call, first, (size_t)(call->argc - first), &sets)) return false;
    building_t b = {{intset_new(), ENC_INTSET}, &sets, call->config};
    combine(&b);
    mem_free(sets.entries);
    *ret_result = b.result;
    return true;
}

static void give_member(void *user, bytes_t member) { reply_bulk(user, member); }

static void combine_and_reply(redis_call_t *call, void (*combine)(building_t *b))
{
    value_t result;
    if (!build(call, 1, combine, &result)) return;
    reply_set(call->client, set_length(result));
    set_each(result, give_member, call->client);
    set_free(result);
}

static void combine_and_store(redis_call_t *call, void (*combine)(building_t *b), const char *event)
{
    value_t result;
    if (build(call, 2, combine, &result)) store(call, result, event);
}

void redis_cmd_sunion(redis_call_t *call) { combine_and_reply(call, unite); }
void redis_cmd_sdiff(redis_call_t *call) { combine_and_reply(call, subtract); }
void redis_cmd_sunionstore(redis_call_t *call) { combine_and_store(call, unite, "sunionstore"); }
void redis_cmd_sdiffstore(redis_call_t *call) { combine_and_store(call, subtract, "sdiffstore"); }

/* ---- counting -------------------------------------------------------------------------------------------------------- */

typedef struct counting {
    const operands_t *sets;
    const redis_config_t *config;
    size_t found, limit; /* 0: none */
    value_t seen;
    hll_registers_t *registers;
} counting_t;

static bool is_enough(const counting_t *c) { return c->limit && c->found >= c->limit; }

static void count_new_member(void *user, bytes_t member)
{
    counting_t *c = user;
    if (!is_enough(c)) c->found += set_add(&c->seen, member, c->config);
}

static void estimate_member(void *user, bytes_t member)
{
    hll_place_t place = hll_place(member);
    uint8_t *at = &((counting_t *)user)->registers->at[place.index];
    *at = MAX(*at, place.rank);
}

static void count_unless_elsewhere(void *user, bytes_t member)
{
    counting_t *c = user;
    if (is_enough(c)) return;
    for (size_t i = 1; i < c->sets->count; i++) {
        const redis_entry_t *other = c->sets->entries[i];
        if (other && set_has(value_of(other), member)) return;
    }
    c->found++;
}

static void each_operand(counting_t *c, set_each_cb each)
{
    for (size_t i = 0; i < c->sets->count && !is_enough(c); i++) {
        if (c->sets->entries[i]) set_each(value_of(c->sets->entries[i]), each, c);
    }
}

/* Members that were counted are remembered, or with APPROX only their traces in a HyperLogLog's registers. */
static void count_union(counting_t *c, bool approx)
{
    hll_registers_t registers = {0};
    if (approx) {
        c->registers = &registers;
        each_operand(c, estimate_member);
        c->found = hll_estimate_registers(&registers);
        return;
    }
    c->seen = (value_t){intset_new(), ENC_INTSET};
    each_operand(c, count_new_member);
    set_free(c->seen);
}

static void reply_counted(redis_call_t *call, const counting_t *c)
{
    reply_int(call->client, (int64_t)(c->limit ? MIN(c->found, c->limit) : c->found));
    mem_free(c->sets->entries);
}

void redis_cmd_sunioncard(redis_call_t *call)
{
    operands_t sets;
    bool approx = false;
    counting_t c = {.sets = &sets, .config = call->config};
    if (!read_counted(call, &sets, &c.limit, &approx)) return;
    count_union(&c, approx);
    reply_counted(call, &c);
}

void redis_cmd_sdiffcard(redis_call_t *call)
{
    operands_t sets;
    counting_t c = {.sets = &sets};
    if (!read_counted(call, &sets, &c.limit, NULL)) return;
    if (sets.entries[0]) set_each(value_of(sets.entries[0]), count_unless_elsewhere, &c);
    reply_counted(call, &c);
}
