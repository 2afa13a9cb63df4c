/* client_filter.c: see client_filter.h. A client passes when it is all that was asked for and nothing that it must not be. */
#include "redis/cmd/client_filter.h"
#include "redis/cmd/client.h"

#include "redis/conn/clients.h"

#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const names[FILTER_COUNT] = {
    [FILTER_ID] = "ID",           [FILTER_TYPE] = "TYPE", [FILTER_USER] = "USER",   [FILTER_ADDR] = "ADDR",
    [FILTER_LADDR] = "LADDR",     [FILTER_IP] = "IP",     [FILTER_NAME] = "NAME",   [FILTER_LIB_NAME] = "LIB-NAME",
    [FILTER_LIB_VER] = "LIB-VER", [FILTER_DB] = "DB",     [FILTER_FLAGS] = "FLAGS", [FILTER_CAPA] = "CAPA",
};

/* ---- reading --------------------------------------------------------------------------------------------------------- */

enum { KIND_NORMAL, KIND_PRIMARY, KIND_REPLICA, KIND_PUBSUB };

static bool read_kind(redis_call_t *call, int i, client_criterion_t *criterion)
{
    static const struct {
        const char *name;
        int kind;
    } kinds[] = {{"NORMAL", KIND_NORMAL},   {"MASTER", KIND_PRIMARY}, {"PRIMARY", KIND_PRIMARY},
                 {"REPLICA", KIND_REPLICA}, {"SLAVE", KIND_REPLICA},  {"PUBSUB", KIND_PUBSUB}};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        if (!arg_is(call, i, kinds[k].name)) continue;
        criterion->number = kinds[k].kind;
        return true;
    }
    bytes_t said = call->argv[i];
    reply_errorf(call->client, "ERR Unknown client type '%.*s'", (int)MIN(said.len, (size_t)128), said.ptr);
    return false;
}

static bool read_user(redis_call_t *call, int i)
{
    bytes_t said = call->argv[i];
    if (bytes_eq(said, BYTES_LIT("default"))) return true;
    reply_errorf(call->client, "ERR No such user '%.*s'", (int)MIN(said.len, (size_t)128), said.ptr);
    return false;
}

static bool read_database(redis_call_t *call, int i, bool negated, client_criterion_t *criterion)
{
    char error[64];
    snprintf(error, sizeof(error), "ERR %s is not an integer or out of range", negated ? "NOT-DB" : "DB");
    if (!arg_i64_in(call, i, INT64_MIN, INT64_MAX, error, &criterion->number)) return false;
    int last = call->db->keyspace->db_count - 1;
    if (criterion->number >= 0 && criterion->number <= last) return true;
    reply_errorf(call->client, "ERR %s number should be between 0 and %d", negated ? "NOT-DB" : "DB", last);
    return false;
}

/* Only letters that say something in CLIENT LIST. */
static bool check_letters(redis_call_t *call, int i, const char *what, const char *filter, const char *known)
{
    bytes_t said = call->argv[i];
    for (size_t k = 0; k < said.len; k++) {
        if (said.ptr[k] && strchr(known, said.ptr[k])) continue;
        reply_errorf(call->client, "ERR Unknown %s found in the %s filter: %.*s", what, filter,
                     (int)MIN(said.len, (size_t)128), said.ptr);
        return false;
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* All numbers from argv[*i] on; moves to the last of them. */
static bool read_ids(redis_call_t *call, int *i, client_criterion_t *criterion)
{
    int64_t id;
    int from = *i;
    mem_free(criterion->ids);
    criterion->ids = mem_alloc(sizeof(id) * (size_t)(call->argc - from));
    criterion->id_count = 0;
    for (; *i < call->argc && num_parse_i64(call->argv[*i], &id); ++*i) {
        if (id < 1) {
            reply_error(call->client, "ERR client-id should be greater than 0");
            return false;
        }
        criterion->ids[criterion->id_count++] = id;
    }
    if (*i == from) {
        reply_error_syntax(call->client);
        return false;
    }
    --*i;
    qsort(criterion->ids, criterion->id_count, sizeof(id), compare_ids);
    return true;
}

static bool read_criterion(redis_call_t *call, int what, bool negated, int *i, client_criterion_t *criterion)
{
    criterion->given = true;
    criterion->text = call->argv[*i];
    switch (what) {
    case FILTER_ID: return read_ids(call, i, criterion);
    case FILTER_TYPE: return read_kind(call, *i, criterion);
    case FILTER_USER: return read_user(call, *i);
    case FILTER_DB: return read_database(call, *i, negated, criterion);
    case FILTER_FLAGS:
        return check_letters(call, *i, "flags", negated ? "NOT-FLAGS" : "provided", "bcdeirtuxABEIMNOPRSTU");
    case FILTER_CAPA: return check_letters(call, *i, "capa", negated ? "NOT-CAPA" : "provided", "r");
    default: return true;
    }
}

static bool read_seconds(redis_call_t *call, int i, const char *what, int64_t *ret_s)
{
    char error[64];
    snprintf(error, sizeof(error), "ERR %s is not an integer or out of range", what);
    if (!arg_i64_in(call, i, INT64_MIN, INT64_MAX, error, ret_s)) return false;
    if (*ret_s > 0) return true;
    reply_errorf(call->client, "ERR %s should be greater than 0", what);
    return false;
}

/* The option at argv[i], with its place: FILTER_COUNT when it is none of these. */
static int option_at(const redis_call_t *call, int i, bool *ret_negated)
{
    bytes_t said = call->argv[i];
    *ret_negated = said.len > 4 && bytes_eq_nocase(bytes_of(said.ptr, 4), BYTES_LIT("NOT-"));
    if (*ret_negated) said = bytes_of(said.ptr + 4, said.len - 4);
    int what = 0;
    while (what < FILTER_COUNT && !bytes_eq_nocase(said, bytes_str(names[what]))) what++;
    return what;
}

static bool read_option(redis_call_t *call, int *i, client_filter_t *f)
{
    bool negated;
    int what = option_at(call, *i, &negated), name = *i;
    if (++*i >= call->argc) {
        reply_error_syntax(call->client);
        return false;
    }
    if (what < FILTER_COUNT) return read_criterion(call, what, negated, i, negated ? &f->is_not[what] : &f->is[what]);
    if (arg_is(call, name, "MAXAGE")) return read_seconds(call, *i, "maxage", &f->age_s_min);
    if (arg_is(call, name, "IDLE")) return read_seconds(call, *i, "idle", &f->idle_s_min);
    if (arg_is(call, name, "SKIPME") && (arg_is(call, *i, "YES") || arg_is(call, *i, "NO"))) {
        f->skip_me = arg_is(call, *i, "YES");
        return true;
    }
    reply_error_syntax(call->client);
    return false;
}

bool client_filter__read(redis_call_t *call, int i, client_filter_t *f)
{
    for (; i < call->argc; i++) {
        if (!read_option(call, &i, f)) return false;
    }
    return true;
}

void client_filter__deinit(client_filter_t *f)
{
    mem_free(f->is[FILTER_ID].ids);
    mem_free(f->is_not[FILTER_ID].ids);
}

/* ---- judging --------------------------------------------------------------------------------------------------------- */

static bool is_text(const char *have, bytes_t wanted)
{
    return bytes_eq(have ? bytes_str(have) : BYTES_LIT(""), wanted);
}

/* The peer's address ends with a colon and its port. */
static bool has_ip(const redis_client_t *c, bytes_t ip)
{
    const char *peer = net_conn_peer(c->conn), *colon = strrchr(peer, ':');
    return bytes_eq(bytes_of(peer, colon ? (size_t)(colon - peer) : strlen(peer)), ip);
}

static bool has_flags(const redis_client_t *c, bytes_t wanted)
{
    buf_t letters = BUF_INIT;
    bool all = true;
    client__put_flags(c, &letters);
    for (size_t i = 0; i < wanted.len && all; i++) all = memchr(letters.ptr, wanted.ptr[i], letters.len) != NULL;
    buf_deinit(&letters);
    return all;
}

/* There are no replicas and no other users here, and one capability. */
static bool is_such(const redis_client_t *c, int what, const client_criterion_t *criterion)
{
    int64_t id = (int64_t)c->id;
    switch (what) {
    case FILTER_ID: return bsearch(&id, criterion->ids, criterion->id_count, sizeof(id), compare_ids) != NULL;
    case FILTER_TYPE: return criterion->number == (c->flags & CLIENT_PUBSUB ? KIND_PUBSUB : KIND_NORMAL);
    case FILTER_USER: return true;
    case FILTER_ADDR: return is_text(net_conn_peer(c->conn), criterion->text);
    case FILTER_LADDR: return is_text(net_conn_local(c->conn), criterion->text);
    case FILTER_IP: return has_ip(c, criterion->text);
    case FILTER_NAME: return is_text(c->name, criterion->text);
    case FILTER_LIB_NAME: return is_text(c->lib_name, criterion->text);
    case FILTER_LIB_VER: return is_text(c->lib_version, criterion->text);
    case FILTER_DB: return c->db->id == criterion->number;
    case FILTER_FLAGS: return has_flags(c, criterion->text);
    case FILTER_CAPA: return criterion->text.len == 0 || c->flags & CLIENT_REDIRECTS;
    default: UNREACHABLE();
    }
}

bool client_filter__matches(const client_filter_t *f, const redis_call_t *call, const redis_client_t *c)
{
    int64_t now_ms = c->clients->keyspace->now_ms;
    if (f->skip_me && c == call->client) return false;
    if (f->age_s_min && (now_ms - c->created_ms) / 1000 < f->age_s_min) return false;
    if (f->idle_s_min && (now_ms - c->active_ms) / 1000 < f->idle_s_min) return false;
    for (int what = 0; what < FILTER_COUNT; what++) {
        if (f->is[what].given && !is_such(c, what, &f->is[what])) return false;
        if (f->is_not[what].given && is_such(c, what, &f->is_not[what])) return false;
    }
    return true;
}
