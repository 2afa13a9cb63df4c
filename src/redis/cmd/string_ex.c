/* string_ex.c: MSETEX and INCREX: several strings, or a counter, with conditions and an expiry in one step. */
#include "redis/cmd/string_set.h"
#include "redis_commands.h"

#include "base/num.h"

#include <limits.h>
#include <math.h>

/* ---- MSETEX ---------------------------------------------------------------------------------------------------------- */

typedef struct msetex {
    int first, count; /* pairs, argv[first] is the first key */
    set_options_t options;
    int64_t at_ms; /* -1: none */
} msetex_t;

static bool msetex_read(redis_call_t *call, msetex_t *m)
{
    static const char error[] = "ERR invalid numkeys value or out of range";
    int64_t count;
    *m = (msetex_t){.first = 2};
    if (!arg_i64_in(call, 1, 1, INT_MAX, error, &count)) return false;
    if (count > (call->argc - m->first) / 2) {
        reply_error_syntax(call->client);
        return false;
    }
    m->count = (int)count;
    for (int i = m->first + m->count * 2; i < call->argc; i++) {
        if (string_set__option(call, &i, SET_NX | SET_XX | SET_KEEPTTL, &m->options)) continue;
        reply_error_syntax(call->client);
        return false;
    }
    return string_set__expiry(call, &m->options, &m->at_ms);
}

/* Whether all keys are there (XX), or none is (NX). */
static bool msetex_holds(redis_call_t *call, const msetex_t *m)
{
    if (!(m->options.flags & (SET_NX | SET_XX))) return true;
    for (int i = 0; i < m->count; i++) {
        bool there = key_peek(call, call->argv[m->first + i * 2]) != NULL;
        if (there == ((m->options.flags & SET_NX) != 0)) return false;
    }
    return true;
}

/* Travels as SETs without conditions and with the moment of the expiry. */
static void msetex_set(redis_call_t *call, const msetex_t *m)
{
    bool keep_ttl = m->options.flags & SET_KEEPTTL;
    for (int i = 0; i < m->count; i++) {
        bytes_t key = call->argv[m->first + i * 2], value = call->argv[m->first + i * 2 + 1];
        if (string_set__is_past(call, m->at_ms)) {
            string_set__delete(call, key);
            continue;
        }
        string_set__store(call, key, value, keep_ttl, m->at_ms);
        if (m->at_ms < 0) string_set__propagate(call, key, value, keep_ttl);
    }
}

void redis_cmd_msetex(redis_call_t *call)
{
    msetex_t m;
    if (!msetex_read(call, &m)) return;
    key_prefetch_all(call, m.first, 2);
    bool holds = msetex_holds(call, &m);
    if (holds) msetex_set(call, &m);
    reply_int(call->client, holds);
}

/* ---- INCREX ---------------------------------------------------------------------------------------------------------- */

typedef struct increx {
    bool by_float, saturate, only_new_expiry;
    int by, lower, upper; /* argv index; 0: not given */
    set_options_t options;
    int64_t at_ms;
} increx_t;

static bool increx_word(redis_call_t *call, int *i, increx_t *x)
{
    bool more = *i + 1 < call->argc, float_said = arg_is(call, *i, "BYFLOAT");
    if (arg_is(call, *i, "SATURATE")) {
        x->saturate = true;
    } else if (arg_is(call, *i, "ENX")) {
        x->only_new_expiry = true;
    } else if (more && !x->by && (float_said || arg_is(call, *i, "BYINT"))) {
        x->by_float = float_said;
        x->by = ++*i;
    } else if (more && !x->lower && arg_is(call, *i, "LBOUND")) {
        x->lower = ++*i;
    } else if (more && !x->upper && arg_is(call, *i, "UBOUND")) {
        x->upper = ++*i;
    } else {
        return string_set__option(call, i, SET_PERSIST, &x->options);
    }
    return true;
}

static bool increx_read(redis_call_t *call, increx_t *x)
{
    *x = (increx_t){0};
    bool ok = true;
    for (int i = 2; i < call->argc && ok; i++) ok = increx_word(call, &i, x);
    if (!ok || (x->only_new_expiry && !(x->options.flags & SET_EXPIRES))) {
        reply_error_syntax(call->client);
        return false;
    }
    return string_set__expiry(call, &x->options, &x->at_ms);
}

static bool refuse_bounds(redis_call_t *call)
{
    reply_error(call->client, "ERR LBOUND is greater than UBOUND");
    return false;
}

/* The counter is changed: the expiry, the events and what travels. `value` is its text. */
static void increx_finish(redis_call_t *call, const increx_t *x, bytes_t value, const char *event)
{
    bytes_t key = call->argv[1];
    redis_entry_t *e = key_peek(call, key);
    bool has_expiry = entry_expire_ms(e) >= 0, persist = x->options.flags & SET_PERSIST && has_expiry;
    bool expire = x->at_ms >= 0 && !(x->only_new_expiry && has_expiry);
    key_changed(call, key, NOTIFY_STRING, event);
    call->dirty++;
    if (expire && string_set__is_past(call, x->at_ms)) {
        string_set__delete(call, key);
    } else if (expire) {
        char text[NUM_I64_CHARS_MAX];
        key_set_expire(call, e, x->at_ms);
        key_event(call, key, NOTIFY_GENERIC, "expire");
        bytes_t moment = bytes_of(text, num_format_i64(text, x->at_ms));
        propagate(call, 5, (bytes_t[]){BYTES_LIT("SET"), key, value, BYTES_LIT("PXAT"), moment});
    } else {
        if (persist) {
            key_set_expire(call, e, -1);
            key_event(call, key, NOTIFY_GENERIC, "persist");
        }
        string_set__propagate(call, key, value, !persist);
    }
}

typedef struct whole {
    int64_t old, by, lower, upper;
} whole_t;

static bool whole_read(redis_call_t *call, const increx_t *x, const redis_entry_t *e, whole_t *w)
{
    char scratch[NUM_I64_CHARS_MAX];
    *w = (whole_t){0, 1, INT64_MIN, INT64_MAX};
    if (x->by && !arg_i64(call, x->by, &w->by)) return false;
    if (x->lower && !arg_i64(call, x->lower, &w->lower)) return false;
    if (x->upper && !arg_i64(call, x->upper, &w->upper)) return false;
    if (w->lower > w->upper) return refuse_bounds(call);
    if (!e || num_parse_i64(string_text(e, scratch), &w->old)) return true;
    reply_error_not_integer(call->client);
    return false;
}

static int64_t saturating_difference(int64_t a, int64_t b)
{
    int64_t d;
    return __builtin_sub_overflow(a, b, &d) ? (a < b ? INT64_MIN : INT64_MAX) : d;
}

static void reply_two(redis_call_t *call, int64_t value, int64_t applied)
{
    reply_array(call->client, 2);
    reply_int(call->client, value);
    reply_int(call->client, applied);
}

static void increment_whole(redis_call_t *call, const increx_t *x, const redis_entry_t *e)
{
    whole_t w;
    int64_t sum;
    char text[NUM_I64_CHARS_MAX];
    if (!whole_read(call, x, e, &w)) return;
    bool over = __builtin_add_overflow(w.old, w.by, &sum);
    if (over) sum = w.by < 0 ? INT64_MIN : INT64_MAX;
    if ((over || sum < w.lower || sum > w.upper) && !x->saturate) {
        reply_two(call, w.old, 0);
        return;
    }
    sum = MIN(MAX(sum, w.lower), w.upper);
    key_set_integer(call, call->argv[1], sum);
    increx_finish(call, x, bytes_of(text, num_format_i64(text, sum)), "incrby");
    reply_two(call, sum, saturating_difference(sum, w.old));
}

typedef struct real {
    long double old, by, lower, upper;
} real_t;

static bool real_read(redis_call_t *call, const increx_t *x, const redis_entry_t *e, real_t *r)
{
    char scratch[NUM_I64_CHARS_MAX];
    *r = (real_t){0, 0, -(long double)INFINITY, (long double)INFINITY};
    bool ok = parse_long_double(call->argv[x->by], &r->by) &&
              (!x->lower || parse_long_double(call->argv[x->lower], &r->lower)) &&
              (!x->upper || parse_long_double(call->argv[x->upper], &r->upper)) &&
              (!e || parse_long_double(string_text(e, scratch), &r->old));
    if (!ok) {
        reply_error_not_float(call->client);
        return false;
    }
    return r->lower <= r->upper || refuse_bounds(call);
}

static void reply_two_reals(redis_call_t *call, long double value, long double applied)
{
    char text[LONG_DOUBLE_CHARS_MAX];
    reply_array(call->client, 2);
    reply_decimal(call->client, bytes_of(text, format_long_double(text, value)));
    reply_decimal(call->client, bytes_of(text, format_long_double(text, applied)));
}

/* Beyond what is a number only a bound helps. */
static void increment_real(redis_call_t *call, const increx_t *x, const redis_entry_t *e)
{
    real_t r;
    char text[LONG_DOUBLE_CHARS_MAX];
    if (!real_read(call, x, e, &r)) return;
    long double sum = r.old + r.by, kept = isnan(sum) ? sum : fminl(fmaxl(sum, r.lower), r.upper);
    if ((kept != sum && !x->saturate) || !isfinite(kept)) {
        reply_two_reals(call, r.old, 0);
        return;
    }
    bytes_t value = bytes_of(text, format_long_double(text, kept));
    key_set_text(call, call->argv[1], value);
    increx_finish(call, x, value, "incrbyfloat");
    reply_two_reals(call, kept, kept - r.old);
}

void redis_cmd_increx(redis_call_t *call)
{
    increx_t x;
    redis_entry_t *e;
    if (!increx_read(call, &x) || !key_write_type(call, call->argv[1], TYPE_STRING, &e)) return;
    if (x.by_float)
        increment_real(call, &x, e);
    else
        increment_whole(call, &x, e);
}
