/* dump.c: DUMP and RESTORE. A payload comes from whoever has a connection: types/rdb_load.c checks it all through. */
#include "redis/exec/key.h"
#include "redis/persist/rdb.h"
#include "redis_commands.h"

#include "base/num.h"

void redis_cmd_dump(redis_call_t *call)
{
    redis_entry_t *e = key_read(call, call->argv[1]);
    if (!e) {
        reply_null(call->client);
        return;
    }
    buf_t payload = BUF_INIT;
    rdb__dump(e, &payload);
    reply_bulk(call->client, buf_bytes(&payload));
    buf_deinit(&payload);
}

typedef struct restore {
    bool replace, absolute;
    int64_t idle_s, freq; /* -1 = not said */
    int64_t at_ms;        /* when it expires; 0 = never */
} restore_t;

/* An option with a number. False after the error. */
static bool take_number(redis_call_t *call, int i, int64_t max, const char *error, int64_t *ret)
{
    if (!arg_i64(call, i, ret)) return false;
    if (*ret >= 0 && *ret <= max) return true;
    reply_error(call->client, error);
    return false;
}

static bool parse(redis_call_t *call, restore_t *ret)
{
    *ret = (restore_t){.idle_s = -1, .freq = -1};
    for (int i = 4; i < call->argc; i++) {
        bool more = i + 1 < call->argc;
        if (arg_is(call, i, "REPLACE")) {
            ret->replace = true;
        } else if (arg_is(call, i, "ABSTTL")) {
            ret->absolute = true;
        } else if (arg_is(call, i, "IDLETIME") && more && ret->freq == -1) {
            if (!take_number(call, ++i, INT64_MAX, "ERR Invalid IDLETIME value, must be >= 0", &ret->idle_s))
                return false;
        } else if (arg_is(call, i, "FREQ") && more && ret->idle_s == -1) {
            if (!take_number(call, ++i, 255, "ERR Invalid FREQ value, must be >= 0 and <= 255", &ret->freq))
                return false;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    return true;
}

static bool parse_ttl(redis_call_t *call, restore_t *r)
{
    if (!arg_i64(call, 2, &r->at_ms)) return false;
    bool ok = r->at_ms >= 0;
    if (ok && r->at_ms && !r->absolute) ok = !__builtin_add_overflow(r->at_ms, call->now_ms, &r->at_ms);
    if (!ok) reply_error(call->client, "ERR Invalid TTL value, must be >= 0");
    return ok;
}

/* Reads the payload to its end. False after the error. */
static bool read_payload(redis_call_t *call, rdb_reader_t *r, rdb_value_t *ret)
{
    bytes_t body;
    uint8_t type;
    if (rdb__check_dump(call->config, call->argv[3], &body)) {
        reply_error(call->client, "ERR DUMP payload version or checksum are wrong");
        return false;
    }
    call->db->keyspace->stats.checked_payloads++;
    *r = rdb_reader_of(body);
    int err = rdb_get_u8(r, &type);
    if (!err) err = rdb_get_value(r, type, call->config, ret);
    if (!err && r->at != r->end) {
        rdb_value_free(ret);
        err = ERR_CORRUPT;
    }
    if (!err) return true;
    rdb_reader_deinit(r);
    reply_error(call->client, "ERR Bad data format");
    return false;
}

static void remember_use(redis_call_t *call, redis_entry_t *e, const restore_t *r)
{
    if (r->freq >= 0) rdb__set_lfu(call->db->keyspace, e, (uint8_t)r->freq);
    if (r->idle_s >= 0) rdb__set_idle_s(call->db->keyspace, e, (uint64_t)r->idle_s);
}

/* Travels with the time at which it expires. */
static void propagate_restore(redis_call_t *call, const restore_t *r)
{
    char at[NUM_I64_CHARS_MAX];
    if (!r->at_ms || r->absolute) return;
    bytes_t argv[8] = {call->argv[0], call->argv[1], bytes_of(at, num_format_i64(at, r->at_ms)), call->argv[3],
                       BYTES_LIT("ABSTTL")};
    int argc = 5;
    if (r->replace) argv[argc++] = BYTES_LIT("REPLACE");
    propagate(call, argc, argv);
}

/* What is over already takes the place of what was there, and goes. */
static void restore_expired(redis_call_t *call, bool deleted)
{
    if (deleted) {
        propagate_key(call, "DEL", call->argv[1]);
        key_changed(call, call->argv[1], NOTIFY_GENERIC, "del");
        call->dirty++;
    }
    reply_ok(call->client);
}

void redis_cmd_restore(redis_call_t *call)
{
    restore_t r;
    rdb_reader_t reader;
    rdb_value_t v;
    bytes_t key = call->argv[1];
    if (!parse(call, &r)) return;
    if (!r.replace && key_peek(call, key)) {
        reply_error(call->client, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!parse_ttl(call, &r) || !read_payload(call, &reader, &v)) return;
    bool deleted = r.replace && key_delete(call, key);
    if (r.replace && r.at_ms && r.at_ms <= call->now_ms && !(call->flags & CALL_LOADING)) {
        restore_expired(call, deleted);
        rdb_value_free(&v);
    } else {
        redis_entry_t *e = rdb__add(call->db, key, &v);
        if (r.at_ms) e = key_set_expire(call, e, r.at_ms);
        remember_use(call, e, &r);
        propagate_restore(call, &r);
        key_changed(call, key, NOTIFY_GENERIC, "restore");
        call->dirty++;
        reply_ok(call->client);
    }
    rdb_reader_deinit(&reader);
}
