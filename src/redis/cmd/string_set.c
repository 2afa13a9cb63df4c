/* string_set.c: SET with its options and the commands that are short forms of it, and GETEX. */
#include "redis/cmd/string_set.h"
#include "redis/redis.h"
#include "redis_commands.h"

#include "base/num.h"

static const struct {
    const char *name;
    bool seconds, absolute;
} units[] = {{"EX", true, false}, {"PX", false, false}, {"EXAT", true, true}, {"PXAT", false, true}};

static bool read_unit(const redis_call_t *call, int *i, set_options_t *o)
{
    for (size_t u = 0; u < ARRAY_LEN(units); u++) {
        if (!arg_is(call, *i, units[u].name)) continue;
        if (*i + 1 >= call->argc || o->flags & (SET_EXPIRES | SET_KEEPTTL | SET_PERSIST)) return false;
        o->flags |= SET_EXPIRES;
        o->expire_index = ++*i;
        o->seconds = units[u].seconds;
        o->absolute = units[u].absolute;
        return true;
    }
    return false;
}

static bool read_condition(const redis_call_t *call, int *i, set_options_t *o)
{
    if (o->flags & (SET_NX | SET_XX | SET_IF) || !string_if__read(call, *i, &o->only_if)) return false;
    o->flags |= SET_IF;
    ++*i;
    return true;
}

bool string_set__option(redis_call_t *call, int *i, unsigned allowed, set_options_t *o)
{
    /* What each word excludes. */
    static const struct {
        const char *name;
        unsigned flag, excludes;
    } words[] = {{"NX", SET_NX, SET_XX | SET_IF},
                 {"XX", SET_XX, SET_NX | SET_IF},
                 {"GET", SET_GET, 0},
                 {"KEEPTTL", SET_KEEPTTL, SET_EXPIRES},
                 {"PERSIST", SET_PERSIST, SET_EXPIRES}};
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        if (!(allowed & words[w].flag) || !arg_is(call, *i, words[w].name)) continue;
        o->flags |= words[w].flag;
        return !(o->flags & words[w].excludes);
    }
    return read_unit(call, i, o) || (allowed & SET_IF && read_condition(call, i, o));
}

/* False after the error. */
static bool read_options(redis_call_t *call, int from, unsigned allowed, set_options_t *o)
{
    *o = (set_options_t){0};
    for (int i = from; i < call->argc; i++) {
        if (string_set__option(call, &i, allowed, o)) continue;
        reply_error_syntax(call->client);
        return false;
    }
    return true;
}

static bool refuse_expire(redis_call_t *call)
{
    reply_errorf(call->client, "ERR invalid expire time in '%s' command", call->command->name);
    return false;
}

/* The number of an option as Unix milliseconds. */
static bool expiry_of(redis_call_t *call, int index, bool seconds, bool absolute, int64_t *ret_at)
{
    int64_t v;
    if (!arg_i64(call, index, &v)) return false;
    if (v <= 0 || (seconds && v > INT64_MAX / 1000)) return refuse_expire(call);
    if (seconds) v *= 1000;
    if (!absolute && __builtin_add_overflow(v, call->now_ms, &v)) return refuse_expire(call);
    *ret_at = v;
    return true;
}

bool string_set__expiry(redis_call_t *call, const set_options_t *o, int64_t *ret_at_ms)
{
    *ret_at_ms = -1;
    return !(o->flags & SET_EXPIRES) || expiry_of(call, o->expire_index, o->seconds, o->absolute, ret_at_ms);
}

bool string_set__is_past(const redis_call_t *call, int64_t at_ms)
{
    return at_ms >= 0 && at_ms <= call->now_ms && !(call->flags & CALL_LOADING);
}

static void propagate_expiring(redis_call_t *call, bytes_t key, bytes_t value, int64_t at_ms)
{
    char text[NUM_I64_CHARS_MAX];
    bytes_t argv[5] = {BYTES_LIT("SET"), key, value, BYTES_LIT("PXAT"), bytes_of(text, num_format_i64(text, at_ms))};
    propagate(call, 5, argv);
}

void string_set__propagate(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl)
{
    bytes_t argv[4] = {BYTES_LIT("SET"), key, value, BYTES_LIT("KEEPTTL")};
    propagate(call, keep_ttl ? 4 : 3, argv);
}

void string_set__store(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl, int64_t at_ms)
{
    redis_entry_t *e = key_set_string(call, key, value, keep_ttl);
    if (at_ms >= 0) key_set_expire(call, e, at_ms);
    key_changed(call, key, NOTIFY_STRING, "set");
    if (at_ms >= 0) {
        key_event(call, key, NOTIFY_GENERIC, "expire");
        propagate_expiring(call, key, value, at_ms);
    }
    call->dirty++;
}

static bool reply_old(redis_call_t *call, const redis_entry_t *e)
{
    char scratch[NUM_I64_CHARS_MAX];
    if (e && e->type != TYPE_STRING) {
        reply_error_wrong_type(call->client);
        return false;
    }
    if (e)
        reply_bulk(call->client, string_text(e, scratch));
    else
        reply_null(call->client);
    return true;
}

void string_set__delete(redis_call_t *call, bytes_t key)
{
    if (!key_delete(call, key)) return;
    key_changed(call, key, NOTIFY_EXPIRED, "expired");
    propagate_key(call, "DEL", key);
    call->dirty++;
}

/* False after an error. `ret_holds`: whether NX, XX or IF... let it be set. GET replies what was there. */
static bool judge(redis_call_t *call, const set_options_t *o, bool *ret_holds)
{
    bool get = o->flags & SET_GET, look = o->flags & (SET_NX | SET_XX | SET_IF);
    redis_entry_t *e = get ? key_read(call, call->argv[1]) : look ? key_peek(call, call->argv[1]) : NULL;
    if (!string_if__check(call, &o->only_if)) return false;
    if (get && !reply_old(call, e)) return false;
    if (o->flags & SET_IF && e && e->type != TYPE_STRING) {
        reply_error_wrong_type(call->client);
        return false;
    }
    *ret_holds = !(o->flags & SET_NX && e) && !(o->flags & SET_XX && !e) && string_if__holds(&o->only_if, e);
    return true;
}

static void set_with_options(redis_call_t *call)
{
    set_options_t o;
    int64_t at_ms;
    bool holds;
    bytes_t key = call->argv[1], value = call->argv[2];
    if (!read_options(call, 3, SET_NX | SET_XX | SET_GET | SET_KEEPTTL | SET_IF, &o)) return;
    if (!string_set__expiry(call, &o, &at_ms) || !judge(call, &o, &holds)) return;
    if (!holds) {
        if (!(o.flags & SET_GET)) reply_null(call->client);
        return;
    }
    if (string_set__is_past(call, at_ms))
        string_set__delete(call, key);
    else
        string_set__store(call, key, value, o.flags & SET_KEEPTTL, at_ms);
    if (o.flags & SET_IF && at_ms < 0) string_set__propagate(call, key, value, o.flags & SET_KEEPTTL);
    if (!(o.flags & SET_GET)) reply_ok(call->client);
}

void redis_cmd_set(redis_call_t *call)
{
    if (UNLIKELY(call->argc != 3)) {
        set_with_options(call);
        return;
    }
    key_set_string(call, call->argv[1], call->argv[2], false);
    key_changed(call, call->argv[1], NOTIFY_STRING, "set");
    call->dirty++;
    reply_ok(call->client);
}

static void set_expiring(redis_call_t *call, bool seconds)
{
    int64_t at_ms;
    if (!expiry_of(call, 2, seconds, false, &at_ms)) return;
    string_set__store(call, call->argv[1], call->argv[3], false, at_ms);
    reply_ok(call->client);
}

void redis_cmd_setex(redis_call_t *call) { set_expiring(call, true); }
void redis_cmd_psetex(redis_call_t *call) { set_expiring(call, false); }

void redis_cmd_setnx(redis_call_t *call)
{
    bool absent = key_peek(call, call->argv[1]) == NULL;
    if (absent) string_set__store(call, call->argv[1], call->argv[2], false, -1);
    reply_int(call->client, absent);
}

void redis_cmd_getset(redis_call_t *call)
{
    if (!reply_old(call, key_read(call, call->argv[1]))) return;
    string_set__store(call, call->argv[1], call->argv[2], false, -1);
    string_set__propagate(call, call->argv[1], call->argv[2], false);
}

/* ---- GETEX ----------------------------------------------------------------------------------------------------------- */

static void getex_expire(redis_call_t *call, redis_entry_t *e, int64_t at_ms)
{
    bytes_t key = call->argv[1];
    char text[NUM_I64_CHARS_MAX];
    if (at_ms <= call->now_ms) {
        key_delete(call, key);
        key_changed(call, key, NOTIFY_EXPIRED, "expired");
        propagate_key(call, "DEL", key);
    } else {
        key_set_expire(call, e, at_ms);
        key_changed(call, key, NOTIFY_GENERIC, "expire");
        bytes_t argv[3] = {BYTES_LIT("PEXPIREAT"), key, bytes_of(text, num_format_i64(text, at_ms))};
        propagate(call, 3, argv);
    }
    call->dirty++;
}

void redis_cmd_getex(redis_call_t *call)
{
    set_options_t o;
    redis_entry_t *e;
    int64_t at_ms = -1;
    bytes_t key = call->argv[1];
    if (!read_options(call, 2, SET_PERSIST, &o)) return;
    if (o.flags & SET_EXPIRES && !expiry_of(call, o.expire_index, o.seconds, o.absolute, &at_ms)) return;
    (void)key_look(call, key); /* a read as well */
    if (!key_write_type(call, key, TYPE_STRING, &e)) return;
    reply_old(call, e);
    if (!e) return;
    if (o.flags & SET_EXPIRES) {
        getex_expire(call, e, at_ms);
    } else if (o.flags & SET_PERSIST && entry_expire_ms(e) >= 0) {
        key_set_expire(call, e, -1);
        key_changed(call, key, NOTIFY_GENERIC, "persist");
        propagate_key(call, "PERSIST", key);
        call->dirty++;
    }
}

bool redis_key_exists(redis_call_t *call, bytes_t key) { return key_write(call, key) != NULL; }

void redis_set_until(redis_call_t *call, bytes_t key, bytes_t value, int64_t expire_at_ms)
{
    string_set__store(call, key, value, false, expire_at_ms);
}
