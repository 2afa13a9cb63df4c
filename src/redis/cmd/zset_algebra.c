/* zset_algebra.c: ZUNION, ZINTER, ZDIFF: replied, counted or stored. Operands are sorted sets or plain
 * sets, whose members count with score 1. */
#include "redis/cmd/zset.h"

#include <math.h>
#include <stdlib.h>

#include "redis/types/set.h"
#include "redis_commands.h"

typedef enum { OP_UNION, OP_INTER, OP_DIFF } operation_t;
typedef enum { SUM, LEAST, MOST, TALLY } aggregate_t;

typedef struct source {
    const redis_entry_t *entry; /* NULL: absent */
    double weight;
} source_t;

typedef struct algebra {
    redis_call_t *call;
    operation_t op;
    bool counting;    /* ZINTERCARD */
    bytes_t store_at; /* ptr NULL: reply */
    int numkeys;      /* argv index */
    source_t *sources;
    size_t count;
    aggregate_t aggregate;
    bool with_scores;
    int64_t limit;
    /* under way */
    zset_t *built;
    const source_t *current;
    size_t found;
} algebra_t;

/* ---- operands ---------------------------------------------------------------------------- */

static size_t source_length(const source_t *s)
{
    if (!s->entry) return 0;
    value_t v = value_of(s->entry);
    return s->entry->type == TYPE_SET ? set_length(v) : zset_length(v);
}

static bool source_score(const source_t *s, bytes_t member, double *ret_score)
{
    if (!s->entry) return false;
    if (s->entry->type == TYPE_ZSET) return zset_score(value_of(s->entry), member, ret_score);
    *ret_score = 1;
    return set_has(value_of(s->entry), member);
}

typedef struct set_walk {
    zset_each_cb each;
    void *user;
} set_walk_t;

static void visit_member(void *user, bytes_t member)
{
    set_walk_t *w = user;
    w->each(w->user, member, 1);
}

static void source_each(const source_t *s, zset_each_cb each, void *user)
{
    set_walk_t w = {each, user};
    if (!s->entry) return;
    if (s->entry->type == TYPE_SET)
        set_each(value_of(s->entry), visit_member, &w);
    else
        zset_each(value_of(s->entry), each, user);
}

static int by_length(const void *a, const void *b)
{
    size_t x = source_length(a), y = source_length(b);
    return (x > y) - (x < y);
}

/* ---- parsing ----------------------------------------------------------------------------- */

/* Reads the keys; `sources` is the caller's to free also after an error. */
static bool read_sources(algebra_t *a)
{
    redis_call_t *call = a->call;
    int64_t count;
    if (!arg_i64(call, a->numkeys, &count)) return false;
    if (count < 1) {
        char name[32];
        bytes_t said = call->argv[0];
        size_t n = MIN(said.len, sizeof(name) - 1);
        for (size_t i = 0; i < n; i++) name[i] = (char)(said.ptr[i] | 0x20);
        name[n] = '\0';
        reply_errorf(call->client, "ERR at least 1 input key is needed for '%s' command", name);
        return false;
    }
    if (count > call->argc - (a->numkeys + 1)) {
        reply_error_syntax(call->client);
        return false;
    }
    a->count = (size_t)count;
    a->sources = mem_zalloc(a->count * sizeof(*a->sources));
    for (size_t i = 0; i < a->count; i++) {
        const redis_entry_t *e = key_read(call, call->argv[a->numkeys + 1 + (int)i]);
        if (e && e->type != TYPE_ZSET && e->type != TYPE_SET) {
            reply_error_wrong_type(call->client);
            return false;
        }
        a->sources[i] = (source_t){e, 1};
    }
    return true;
}

static bool parse_weights(algebra_t *a, int i)
{
    for (size_t n = 0; n < a->count; n++) {
        if (parse_double(a->call->argv[i + (int)n], &a->sources[n].weight)) continue;
        reply_error(a->call->client, "ERR weight value is not a float");
        return false;
    }
    return true;
}

static bool parse_aggregate(algebra_t *a, int i)
{
    bool sum = arg_is(a->call, i, "SUM"), least = arg_is(a->call, i, "MIN"), most = arg_is(a->call, i, "MAX");
    bool tally = arg_is(a->call, i, "COUNT");
    a->aggregate = least ? LEAST : most ? MOST : tally ? TALLY : SUM;
    if (sum || least || most || tally) return true;
    reply_error_syntax(a->call->client);
    return false;
}

static bool parse_options(algebra_t *a)
{
    redis_call_t *call = a->call;
    bool weighs = a->op != OP_DIFF && !a->counting;
    for (int i = a->numkeys + 1 + (int)a->count; i < call->argc; i++) {
        int more = call->argc - 1 - i;
        if (weighs && more >= (int)a->count && arg_is(call, i, "WEIGHTS")) {
            if (!parse_weights(a, i + 1)) return false;
            i += (int)a->count;
        } else if (weighs && more >= 1 && arg_is(call, i, "AGGREGATE")) {
            if (!parse_aggregate(a, ++i)) return false;
        } else if (!a->store_at.ptr && !a->counting && arg_is(call, i, "WITHSCORES")) {
            a->with_scores = true;
        } else if (a->counting && more >= 1 && arg_is(call, i, "LIMIT")) {
            if (!arg_i64_in(call, ++i, 0, INT64_MAX, "ERR LIMIT can't be negative", &a->limit)) return false;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    return true;
}

/* ---- combining --------------------------------------------------------------------------- */

/* What an operand contributes; of a count its weight alone. */
static double weighed(const algebra_t *a, double weight, double score)
{
    double v = a->aggregate == TALLY ? weight : weight * score;
    return isnan(v) ? 0 : v;
}

static double combine(const algebra_t *a, double x, double y)
{
    if (a->aggregate == LEAST) return y < x ? y : x;
    if (a->aggregate == MOST) return y > x ? y : x;
    double sum = x + y; /* infinities of either sign make none */
    return isnan(sum) ? 0 : sum;
}

static void unite_member(void *user, bytes_t member, double score)
{
    algebra_t *a = user;
    bool added;
    double mine = weighed(a, a->current->weight, score);
    zitem_t *item = zset_accumulate(a->built, member, mine, &added);
    if (!added) item->score = combine(a, item->score, mine);
}

static void intersect_member(void *user, bytes_t member, double score)
{
    algebra_t *a = user;
    bool added;
    if (a->limit && a->found == (size_t)a->limit) return;
    double sum = weighed(a, a->sources[0].weight, score);
    for (size_t i = 1; i < a->count; i++) {
        double theirs = score;
        const source_t *s = &a->sources[i];
        if (s->entry != a->sources[0].entry && !source_score(s, member, &theirs)) return;
        sum = combine(a, sum, weighed(a, s->weight, theirs));
    }
    a->found++;
    if (!a->counting) zset_accumulate(a->built, member, sum, &added);
}

static void add_unless_elsewhere(void *user, bytes_t member, double score)
{
    algebra_t *a = user;
    double theirs;
    bool added;
    for (size_t i = 1; i < a->count; i++) {
        if (source_score(&a->sources[i], member, &theirs)) return;
    }
    zset_accumulate(a->built, member, score, &added);
}

static void drop_member(void *user, bytes_t member, double score) { zset_drop(((algebra_t *)user)->built, member); }

static void add_member(void *user, bytes_t member, double score)
{
    bool added;
    zset_accumulate(((algebra_t *)user)->built, member, score, &added);
}

/* Asking every other set for each member costs first * sets; dropping the others' members costs the sum of
 * all. */
static void subtract(algebra_t *a)
{
    size_t asking = 0, dropping = 0;
    for (size_t i = 0; i < a->count; i++) {
        if (i > 0 && a->sources[i].entry == a->sources[0].entry) return; /* itself subtracted: nothing is left */
        asking += a->sources[i].entry ? source_length(&a->sources[0]) : 0;
        dropping += source_length(&a->sources[i]);
    }
    if (asking / 2 <= dropping) {
        source_each(&a->sources[0], add_unless_elsewhere, a);
        return;
    }
    source_each(&a->sources[0], add_member, a);
    for (size_t i = 1; i < a->count; i++) source_each(&a->sources[i], drop_member, a);
}

static void compute(algebra_t *a)
{
    if (a->op == OP_DIFF) {
        subtract(a);
        return;
    }
    qsort(a->sources, a->count, sizeof(*a->sources), by_length);
    if (a->op == OP_INTER) {
        source_each(&a->sources[0], intersect_member, a);
        return;
    }
    for (size_t i = 0; i < a->count; i++) {
        a->current = &a->sources[i];
        source_each(a->current, unite_member, a);
    }
}

static void give_member(void *user, bytes_t member, double score)
{
    const algebra_t *a = user;
    zset__reply_member(a->call, member, score, a->with_scores);
}

static void finish(algebra_t *a)
{
    static const char *const events[] = {"zunionstore", "zinterstore", "zdiffstore"};
    if (a->counting) {
        reply_int(a->call->client, (int64_t)a->found);
    } else if (a->store_at.ptr) {
        zset__store(a->call, a->store_at, a->built, events[a->op]);
    } else {
        value_t v = zset_finish(a->built);
        zset__reply_header(a->call, zset_length(v), a->with_scores);
        zset_each(v, give_member, a);
        zset_free(v);
    }
}

static void run(algebra_t a)
{
    a.aggregate = SUM;
    if (read_sources(&a) && parse_options(&a)) {
        if (!a.counting) a.built = zset_begin();
        compute(&a);
        finish(&a);
    }
    mem_free(a.sources);
}

void redis_cmd_zunion(redis_call_t *call) { run((algebra_t){.call = call, .op = OP_UNION, .numkeys = 1}); }
void redis_cmd_zinter(redis_call_t *call) { run((algebra_t){.call = call, .op = OP_INTER, .numkeys = 1}); }
void redis_cmd_zdiff(redis_call_t *call) { run((algebra_t){.call = call, .op = OP_DIFF, .numkeys = 1}); }
void redis_cmd_zintercard(redis_call_t *call)
{
    run((algebra_t){.call = call, .op = OP_INTER, .counting = true, .numkeys = 1});
}
void redis_cmd_zunionstore(redis_call_t *call)
{
    run((algebra_t){.call = call, .op = OP_UNION, .store_at = call->argv[1], .numkeys = 2});
}
void redis_cmd_zinterstore(redis_call_t *call)
{
    run((algebra_t){.call = call, .op = OP_INTER, .store_at = call->argv[1], .numkeys = 2});
}
void redis_cmd_zdiffstore(redis_call_t *call)
{
    run((algebra_t){.call = call, .op = OP_DIFF, .store_at = call->argv[1], .numkeys = 2});
}
