/* expire.c: EXPIRE and its kin. All travel as PEXPIREAT, so that a replay means the same moment. */
#include "redis/cmd/expire.h"
#include "redis/exec/key.h"
#include "redis_commands.h"

#include "base/num.h"

enum { IF_NONE = 1, IF_SOME = 2, IF_LATER = 4, IF_EARLIER = 8 };

bool expire__conditions(redis_call_t *call, int from, int to, unsigned *ret)
{
    static const struct {
        const char *name;
        unsigned bit;
    } words[] = {{"NX", IF_NONE}, {"XX", IF_SOME}, {"GT", IF_LATER}, {"LT", IF_EARLIER}};
    *ret = 0;
    for (int i = from; i < to; i++) {
        unsigned bit = 0;
        for (size_t w = 0; w < ARRAY_LEN(words); w++)
            if (arg_is(call, i, words[w].name)) bit = words[w].bit;
        if (bit == 0) {
            reply_errorf(call->client, "ERR Unsupported option %.*s", (int)MIN(call->argv[i].len, (size_t)128),
                         (const char *)call->argv[i].ptr);
            return false;
        }
        *ret |= bit;
    }
    if (*ret & IF_NONE && *ret & (IF_SOME | IF_LATER | IF_EARLIER)) {
        reply_error(call->client, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if (*ret & IF_LATER && *ret & IF_EARLIER) {
        reply_error(call->client, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

bool expire__allows(unsigned conditions, int64_t now_at, int64_t new_at)
{
    if (conditions & IF_NONE && now_at >= 0) return false;
    if (conditions & IF_SOME && now_at < 0) return false;
    if (conditions & IF_LATER && (now_at < 0 || new_at <= now_at)) return false;
    if (conditions & IF_EARLIER && now_at >= 0 && new_at >= now_at) return false;
    return true;
}

bool expire__time(redis_call_t *call, int i, expire_form_t form, bool positive, int64_t *ret_at)
{
    int64_t v;
    if (!arg_i64(call, i, &v)) return false;
    bool overflow = form.seconds && (v > INT64_MAX / 1000 || v < INT64_MIN / 1000);
    if (positive && v < 0) overflow = true;
    if (!overflow && form.seconds) v *= 1000;
    if (!overflow && !form.absolute) overflow = __builtin_add_overflow(v, call->now_ms, &v);
    if (overflow) {
        reply_errorf(call->client, "ERR invalid expire time in '%s' command", call->command->name);
        return false;
    }
    *ret_at = v;
    return true;
}

static void expire(redis_call_t *call, expire_form_t form)
{
    unsigned conditions;
    int64_t at_ms;
    char text[NUM_I64_CHARS_MAX];
    bytes_t key = call->argv[1];
    if (!expire__conditions(call, 3, call->argc, &conditions) || !expire__time(call, 2, form, false, &at_ms)) return;
    redis_entry_t *e = key_write(call, key);
    if (!e || !expire__allows(conditions, entry_expire_ms(e), at_ms)) {
        reply_int(call->client, 0);
        return;
    }
    if (at_ms <= call->now_ms && !(call->flags & CALL_LOADING)) {
        key_delete(call, key);
        key_changed(call, key, NOTIFY_EXPIRED, "expired");
        propagate_key(call, "DEL", key);
    } else {
        key_set_expire(call, e, MAX(at_ms, 0));
        key_changed(call, key, NOTIFY_GENERIC, "expire");
        bytes_t argv[3] = {BYTES_LIT("PEXPIREAT"), key, bytes_of(text, num_format_i64(text, at_ms))};
        propagate(call, 3, argv);
    }
    call->dirty++;
    reply_int(call->client, 1);
}

void redis_cmd_expire(redis_call_t *call) { expire(call, (expire_form_t){true, false}); }
void redis_cmd_pexpire(redis_call_t *call) { expire(call, (expire_form_t){false, false}); }
void redis_cmd_expireat(redis_call_t *call) { expire(call, (expire_form_t){true, true}); }
void redis_cmd_pexpireat(redis_call_t *call) { expire(call, (expire_form_t){false, true}); }

int64_t expire__shown(const redis_call_t *call, int64_t at_ms, expire_form_t form)
{
    int64_t v = form.absolute ? at_ms : MAX(at_ms - call->now_ms, 0);
    return form.seconds ? v / 1000 + (v % 1000 >= 500) : v;
}

static void tell_time(redis_call_t *call, expire_form_t form)
{
    redis_entry_t *e = key_look(call, call->argv[1]);
    int64_t at_ms = e ? entry_expire_ms(e) : -1;
    if (at_ms < 0) {
        reply_int(call->client, e ? -1 : -2);
        return;
    }
    reply_int(call->client, expire__shown(call, at_ms, form));
}

void redis_cmd_ttl(redis_call_t *call) { tell_time(call, (expire_form_t){true, false}); }
void redis_cmd_pttl(redis_call_t *call) { tell_time(call, (expire_form_t){false, false}); }
void redis_cmd_expiretime(redis_call_t *call) { tell_time(call, (expire_form_t){true, true}); }
void redis_cmd_pexpiretime(redis_call_t *call) { tell_time(call, (expire_form_t){false, true}); }

void redis_cmd_persist(redis_call_t *call)
{
    redis_entry_t *e = key_write(call, call->argv[1]);
    if (!e || entry_expire_ms(e) < 0) {
        reply_int(call->client, 0);
        return;
    }
    key_set_expire(call, e, -1);
    key_changed(call, call->argv[1], NOTIFY_GENERIC, "persist");
    call->dirty++;
    reply_int(call->client, 1);
}
