/* hash_expire.c: HEXPIRE, HTTL, HPERSIST and their kin: one answer a field.
 *
 *      -2 the field is not there    -1 it has no time    0 the condition does not hold    1 done    2 its time is over, it is deleted
 *
 * What was done travels as HPEXPIREAT, HPERSIST or HDEL of just the fields it was done to. */
#include "redis/cmd/expire.h"
#include "redis/cmd/hash.h"
#include "redis_commands.h"

#include "base/num.h"

enum { FIELD_ABSENT = -2, FIELD_FOREVER = -1, FIELD_REFUSED = 0, FIELD_DONE = 1, FIELD_DELETED = 2 };

/* ---- where the fields are -------------------------------------------------------------------------------------------- */

bool cmd__hash_find_names(redis_call_t *call, int from, int *ret_at)
{
    for (int i = from; i < call->argc; i++) {
        if (!arg_is(call, i, "FIELDS")) continue;
        *ret_at = i;
        return true;
    }
    reply_error(call->client, HASH_NUMFIELDS_ERROR);
    return false;
}

static bool count_names(redis_call_t *call, int at, int words, const char *mismatch, hash_names_t *ret)
{
    int64_t count;
    int left = call->argc - at - 2;
    if (left >= 0 && !arg_i64(call, at + 1, &count)) return false;
    if (left < 0 || count < 1 || left % words || count != left / words) {
        reply_error(call->client, mismatch);
        return false;
    }
    *ret = (hash_names_t){at + 2, (int)count};
    return true;
}

bool cmd__hash_count_names(redis_call_t *call, int at, int words, hash_names_t *ret)
{
    return count_names(call, at, words, HASH_NUMFIELDS_ERROR, ret);
}

bool cmd__hash_names(redis_call_t *call, const char *mismatch, hash_names_t *ret)
{
    if (arg_is(call, 2, "FIELDS")) return count_names(call, 2, 1, mismatch, ret);
    reply_error_syntax(call->client);
    return false;
}

/* ---- giving times ---------------------------------------------------------------------------------------------------- */

typedef struct expiring {
    unsigned conditions;
    int64_t at_ms;
    bool deletes; /* that is over already */
    hash_names_t names;
} expiring_t;

static bool parse_expiring(redis_call_t *call, expire_form_t form, expiring_t *ret)
{
    int at;
    if (!cmd__hash_find_names(call, 3, &at) || !expire__conditions(call, 3, at, &ret->conditions) ||
        !cmd__hash_count_names(call, at, 1, &ret->names) || !expire__time(call, 2, form, true, &ret->at_ms))
        return false;
    ret->deletes = ret->at_ms <= call->now_ms && !(call->flags & CALL_LOADING);
    return true;
}

static int expire_field(redis_call_t *call, const expiring_t *x, value_t *v, bytes_t field)
{
    hash_item_t item;
    char room[NUM_I64_CHARS_MAX];
    if (!hash_look(*v, field, room, &item) || hash_is_over(item.at_ms, cmd__hash_now(call))) return FIELD_ABSENT;
    if (!expire__allows(x->conditions, item.at_ms, x->at_ms)) return FIELD_REFUSED;
    if (x->deletes)
        hash_delete(v, field);
    else
        hash_set_time(v, field, x->at_ms);
    return x->deletes ? FIELD_DELETED : FIELD_DONE;
}

static void finish_expiring(redis_call_t *call, const expiring_t *x, redis_entry_t *entry, value_t v, hash_draft_t *d)
{
    if (x->deletes) {
        cmd__hash_deleted(call, entry, v, "hexpired");
        cmd__hash_count_expired(call, (size_t)d->argc);
        hash_draft_send(call, d, "HDEL");
    } else {
        cmd__hash_changed(call, entry, v, 0, "hexpire");
        hash_draft_send_time(call, d, x->at_ms);
    }
    call->dirty += (uint64_t)d->argc;
}

static void reply_same(redis_call_t *call, int count, int answer)
{
    reply_array(call->client, (size_t)count);
    while (count-- > 0) reply_int(call->client, answer);
}

static void hexpire(redis_call_t *call, expire_form_t form)
{
    expiring_t x;
    redis_entry_t *entry;
    hash_draft_t d;
    if (!parse_expiring(call, form, &x) || !key_write_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if (!entry) {
        reply_same(call, x.names.count, FIELD_ABSENT);
        return;
    }
    value_t v = value_of(entry);
    hash_draft_init(&d, x.names.count);
    reply_array(call->client, (size_t)x.names.count);
    for (int i = 0; i < x.names.count; i++) {
        bytes_t field = call->argv[x.names.at + i];
        int answer = expire_field(call, &x, &v, field);
        if (answer >= FIELD_DONE) hash_draft_add(&d, field);
        reply_int(call->client, answer);
    }
    if (d.argc) finish_expiring(call, &x, entry, v, &d);
    hash_draft_deinit(&d);
}

void redis_cmd_hexpire(redis_call_t *call) { hexpire(call, (expire_form_t){true, false}); }
void redis_cmd_hpexpire(redis_call_t *call) { hexpire(call, (expire_form_t){false, false}); }
void redis_cmd_hexpireat(redis_call_t *call) { hexpire(call, (expire_form_t){true, true}); }
void redis_cmd_hpexpireat(redis_call_t *call) { hexpire(call, (expire_form_t){false, true}); }

/* ---- taking them away ------------------------------------------------------------------------------------------------ */

static int persist_field(redis_call_t *call, value_t *v, bytes_t field)
{
    hash_item_t item;
    char room[NUM_I64_CHARS_MAX];
    if (!hash_look(*v, field, room, &item) || hash_is_over(item.at_ms, cmd__hash_now(call))) return FIELD_ABSENT;
    if (item.at_ms < 0) return FIELD_FOREVER;
    hash_set_time(v, field, HASH_NO_TIME);
    return FIELD_DONE;
}

void redis_cmd_hpersist(redis_call_t *call)
{
    hash_names_t names;
    redis_entry_t *entry;
    hash_draft_t d;
    if (!cmd__hash_names(call, HASH_NUMFIELDS_ERROR, &names) || !key_write_type(call, call->argv[1], TYPE_HASH, &entry))
        return;
    if (!entry) {
        reply_same(call, names.count, FIELD_ABSENT);
        return;
    }
    value_t v = value_of(entry);
    hash_draft_init(&d, names.count);
    reply_array(call->client, (size_t)names.count);
    for (int i = 0; i < names.count; i++) {
        bytes_t field = call->argv[names.at + i];
        int answer = persist_field(call, &v, field);
        if (answer == FIELD_DONE) hash_draft_add(&d, field);
        reply_int(call->client, answer);
    }
    if (d.argc) {
        cmd__hash_changed(call, entry, v, 0, "hpersist");
        hash_draft_send_fields(call, &d, "HPERSIST", NULL, -1, 1);
        call->dirty += (uint64_t)d.argc;
    }
    hash_draft_deinit(&d);
}

/* ---- telling them ---------------------------------------------------------------------------------------------------- */

static void tell_times(redis_call_t *call, expire_form_t form)
{
    hash_names_t names;
    redis_entry_t *entry;
    if (!cmd__hash_names(call, "ERR syntax error", &names) || !key_read_type(call, call->argv[1], TYPE_HASH, &entry))
        return;
    reply_array(call->client, (size_t)names.count);
    for (int i = 0; i < names.count; i++) {
        hash_item_t item;
        char room[NUM_I64_CHARS_MAX];
        bool there = entry && hash_look(value_of(entry), call->argv[names.at + i], room, &item) &&
                     !hash_is_over(item.at_ms, cmd__hash_now(call));
        int64_t none = there ? FIELD_FOREVER : FIELD_ABSENT;
        reply_int(call->client, there && item.at_ms >= 0 ? expire__shown(call, item.at_ms, form) : none);
    }
}

void redis_cmd_httl(redis_call_t *call) { tell_times(call, (expire_form_t){true, false}); }
void redis_cmd_hpttl(redis_call_t *call) { tell_times(call, (expire_form_t){false, false}); }
void redis_cmd_hexpiretime(redis_call_t *call) { tell_times(call, (expire_form_t){true, true}); }
void redis_cmd_hpexpiretime(redis_call_t *call) { tell_times(call, (expire_form_t){false, true}); }
