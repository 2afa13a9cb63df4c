/* string_set.c: SET with its options and the commands that are short forms of it, and GETEX. */
#include "redis/redis.h"
#include "redis/state.h"
#include "redis_commands.h"

#include "base/num.h"

enum { SET_NX = 1, SET_XX = 2, SET_GET = 4, SET_KEEPTTL = 8, SET_PERSIST = 16, SET_EXPIRES = 32 };

typedef struct set_options {
    unsigned flags;
    int expire_index; /* of the number in argv */
    bool seconds, absolute;
} set_options_t;

static const struct {
    const char *name;
    bool seconds, absolute;
} units[] = {{"EX", true, false}, {"PX", false, false}, {"EXAT", true, true}, {"PXAT", false, true}};

static bool read_unit(redis_call_t *call, int *i, set_options_t *o)
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

/* Options of SET (from argv[3]) or GETEX (from argv[2]); false after the error. */
static bool read_options(redis_call_t *call, int from, bool is_set, set_options_t *o)
{
    *o = (set_options_t){0};
    for (int i = from; i < call->argc; i++) {
        unsigned f = o->flags;
        if (is_set && arg_is(call, i, "NX") && !(f & SET_XX))
            o->flags |= SET_NX;
        else if (is_set && arg_is(call, i, "XX") && !(f & SET_NX))
            o->flags |= SET_XX;
        else if (is_set && arg_is(call, i, "GET"))
            o->flags |= SET_GET;
        else if (is_set && arg_is(call, i, "KEEPTTL") && !(f & SET_EXPIRES))
            o->flags |= SET_KEEPTTL;
        else if (!is_set && arg_is(call, i, "PERSIST") && !(f & SET_EXPIRES))
            o->flags |= SET_PERSIST;
        else if (!read_unit(call, &i, o)) {
            reply_error_syntax(call->client);
            return false;
        }
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

static void propagate_set(redis_call_t *call, bytes_t key, bytes_t value, int64_t at_ms)
{
    char text[NUM_I64_CHARS_MAX];
    bytes_t argv[5] = {BYTES_LIT("SET"), key, value, BYTES_LIT("PXAT"), bytes_of(text, num_format_i64(text, at_ms))};
    propagate(call, 5, argv);
}

/* Stores, sets the expiry, tells. */
static void store(redis_call_t *call, bytes_t key, bytes_t value, bool keep_ttl, int64_t at_ms)
{
    redis_entry_t *e = key_set_string(call, key, value, keep_ttl);
    if (at_ms >= 0) key_set_expire(call, e, at_ms);
    key_changed(call, key, NOTIFY_STRING, "set");
    if (at_ms >= 0) {
        key_event(call, key, NOTIFY_GENERIC, "expire");
        propagate_set(call, key, value, at_ms);
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
        reply_bulk(call->client, key_string(e, scratch));
    else
        reply_null(call->client);
    return true;
}

/* A key that would be expired at once is not stored: what was there goes. */
static void delete_instead(redis_call_t *call, bytes_t key)
{
    if (!key_delete(call, key)) return;
    key_changed(call, key, NOTIFY_GENERIC, "del");
    propagate_key(call, "DEL", key);
    call->dirty++;
}

static void set_with_options(redis_call_t *call)
{
    set_options_t o;
    int64_t at_ms = -1;
    bytes_t key = call->argv[1];
    if (!read_options(call, 3, true, &o)) return;
    if (o.flags & SET_EXPIRES && !expiry_of(call, o.expire_index, o.seconds, o.absolute, &at_ms)) return;
    bool look = o.flags & (SET_NX | SET_XX | SET_GET);
    redis_entry_t *e = o.flags & SET_GET ? key_read(call, key) : look ? key_peek(call, key) : NULL;
    if (o.flags & SET_GET && !reply_old(call, e)) return;
    if ((o.flags & SET_NX && e) || (o.flags & SET_XX && !e)) {
        if (!(o.flags & SET_GET)) reply_null(call->client);
        return;
    }
    if (at_ms >= 0 && at_ms <= call->now_ms && !(call->flags & CALL_LOADING))
        delete_instead(call, key);
    else
        store(call, key, call->argv[2], o.flags & SET_KEEPTTL, at_ms);
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
    store(call, call->argv[1], call->argv[3], false, at_ms);
    reply_ok(call->client);
}

void redis_cmd_setex(redis_call_t *call) { set_expiring(call, true); }
void redis_cmd_psetex(redis_call_t *call) { set_expiring(call, false); }

void redis_cmd_setnx(redis_call_t *call)
{
    bool absent = key_peek(call, call->argv[1]) == NULL;
    if (absent) store(call, call->argv[1], call->argv[2], false, -1);
    reply_int(call->client, absent);
}

void redis_cmd_getset(redis_call_t *call)
{
    if (!reply_old(call, key_read(call, call->argv[1]))) return;
    store(call, call->argv[1], call->argv[2], false, -1);
    bytes_t argv[3] = {BYTES_LIT("SET"), call->argv[1], call->argv[2]};
    propagate(call, 3, argv);
}

/* ---- GETEX ----------------------------------------------------------------------------------------------------------- */

static void getex_expire(redis_call_t *call, redis_entry_t *e, int64_t at_ms)
{
    bytes_t key = call->argv[1];
    char text[NUM_I64_CHARS_MAX];
    if (at_ms <= call->now_ms) {
        key_delete(call, key);
        key_changed(call, key, NOTIFY_GENERIC, "del");
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
    if (!read_options(call, 2, false, &o)) return;
    (void)key_look(call, key); /* a read as well */
    if (!key_write_type(call, key, TYPE_STRING, &e)) return;
    if (e && o.flags & SET_EXPIRES && !expiry_of(call, o.expire_index, o.seconds, o.absolute, &at_ms)) return;
    reply_old(call, e);
    if (e == NULL) return;
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
    store(call, key, value, false, expire_at_ms);
}
