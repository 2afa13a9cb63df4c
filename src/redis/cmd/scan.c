/* scan.c: SCAN, KEYS, and the options that HSCAN, SSCAN and ZSCAN share with SCAN. */
#include "redis/cmd/scan.h"
#include "redis/db/evict.h"
#include "redis_commands.h"

#include "base/num.h"

#include <stdlib.h>

static bool parse_cursor(bytes_t text, uint64_t *ret)
{
    uint64_t v = 0;
    if (text.len == 0 || text.len > 20) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v)) return false;
    }
    *ret = v;
    return true;
}

static bool is_type_name(bytes_t name)
{
    static const char *const names[] = {"string", "list", "set", "zset", "hash", "stream"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_eq_nocase(name, bytes_str(names[i]))) return true;
    return false;
}

static bool scan_option(redis_call_t *call, int *i, scan_options_t *o)
{
    bool has_value = *i + 1 < call->argc;
    if (arg_is(call, *i, "COUNT") && has_value) {
        if (!arg_i64(call, ++*i, &o->count)) return false;
        if (o->count >= 1) return true;
    } else if (arg_is(call, *i, "MATCH") && has_value) {
        o->match = call->argv[++*i];
        if (bytes_eq(o->match, BYTES_LIT("*"))) o->match = BYTES_NULL;
        return true;
    } else if (arg_is(call, *i, "TYPE") && has_value && call->command->traits & TRAIT_TYPE_OPTION) {
        o->type = call->argv[++*i];
        if (is_type_name(o->type)) return true;
        reply_errorf(call->client, "ERR unknown type name '%.*s'", (int)MIN(o->type.len, (size_t)128),
                     (const char *)o->type.ptr);
        return false;
    } else if ((arg_is(call, *i, "NOVALUES") && call->command->traits & TRAIT_NOVALUES_OPTION) ||
               (arg_is(call, *i, "NOSCORES") && call->command->traits & TRAIT_NOSCORES_OPTION)) {
        o->no_values = true;
        return true;
    } else if (arg_is(call, *i, "NOVALUES") || arg_is(call, *i, "NOSCORES")) {
        bool values = arg_is(call, *i, "NOVALUES");
        reply_errorf(call->client, "ERR %s option can only be used in %s", values ? "NOVALUES" : "NOSCORES",
                     values ? "HSCAN" : "ZSCAN");
        return false;
    }
    reply_error_syntax(call->client);
    return false;
}

bool scan_parse_cursor(redis_call_t *call, int i, scan_options_t *o)
{
    *o = (scan_options_t){.count = 10};
    if (parse_cursor(call->argv[i], &o->cursor)) return true;
    reply_error(call->client, "ERR invalid cursor");
    return false;
}

bool scan_parse_options(redis_call_t *call, int i, scan_options_t *o)
{
    for (; i < call->argc; i++)
        if (!scan_option(call, &i, o)) return false;
    return true;
}

/* ---- SCAN and KEYS --------------------------------------------------------------------------------------------------- */

typedef struct found {
    redis_entry_t **entries;
    size_t count, cap;
} found_t;

static void remember(void *user, void *entry)
{
    found_t *f = user;
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 64;
        f->entries = mem_realloc(f->entries, f->cap * sizeof(*f->entries));
    }
    f->entries[f->count++] = entry;
}

static bool wanted(redis_call_t *call, const scan_options_t *o, redis_entry_t *e)
{
    if (o->type.ptr && !bytes_eq_nocase(o->type, bytes_str(type_name((redis_type_t)e->type)))) return false;
    if (!scan_matches(o, entry_key(e))) return false;
    if (!entry_is_expired(e, call->now_ms)) return true;
    if (!call->db->keyspace->paused) db__delete_expired(call->db, e);
    return false;
}

void redis_cmd_scan(redis_call_t *call)
{
    scan_options_t o;
    found_t f = {0};
    if (!scan_parse_cursor(call, 1, &o) || !scan_parse_options(call, 2, &o)) return;
    uint64_t turns = (uint64_t)o.count * 10;
    do {
        o.cursor = table_scan(&call->db->keys, o.cursor, remember, &f);
    } while (o.cursor && --turns && f.count < (size_t)o.count);
    char text[24];
    reply_array(call->client, 2);
    reply_bulk(call->client, bytes_of(text, num_format_u64(text, o.cursor)));
    reply_deferred_t d = reply_deferred_begin(call->client);
    size_t count = 0;
    for (size_t i = 0; i < f.count; i++) {
        if (!wanted(call, &o, f.entries[i])) continue;
        reply_bulk(call->client, entry_key(f.entries[i]));
        count++;
    }
    reply_deferred_array(call->client, d, count);
    mem_free(f.entries);
}

typedef struct listing {
    redis_call_t *call;
    bytes_t pattern;
    size_t count;
} listing_t;

static void list_key(void *user, void *entry)
{
    listing_t *l = user;
    bytes_t key = entry_key(entry);
    if (entry_is_expired(entry, l->call->now_ms)) return;
    if (l->pattern.ptr && !glob_match(l->pattern, key, false)) return;
    reply_bulk(l->call->client, key);
    l->count++;
}

void redis_cmd_keys(redis_call_t *call)
{
    listing_t l = {call, call->argv[1], 0};
    if (bytes_eq(l.pattern, BYTES_LIT("*"))) l.pattern = BYTES_NULL;
    reply_deferred_t d = reply_deferred_begin(call->client);
    table_each(&call->db->keys, list_key, &l);
    reply_deferred_array(call->client, d, l.count);
}
