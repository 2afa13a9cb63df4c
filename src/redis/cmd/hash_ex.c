/* hash_ex.c: HGETEX, HSETEX, HGETDEL: reading or writing fields and their times in one step. */
#include "redis/cmd/expire.h"
#include "redis/cmd/hash.h"
#include "redis_commands.h"

/* ---- options --------------------------------------------------------------------------------------------------------- */

enum { KEY_NX = 1, KEY_XX = 2, FIELDS_NX = 4, FIELDS_XX = 8 };

typedef struct ex_options {
    unsigned conditions;
    bool keep, persist;
    int time_at; /* where in argv the time is; 0 = none is given */
    expire_form_t form;
    hash_names_t names;
} ex_options_t;

static bool read_condition(redis_call_t *call, int i, ex_options_t *o)
{
    static const struct {
        const char *name;
        unsigned bit, contrary;
    } words[] = {
        {"NX", KEY_NX, KEY_XX}, {"XX", KEY_XX, KEY_NX}, {"FNX", FIELDS_NX, FIELDS_XX}, {"FXX", FIELDS_XX, FIELDS_NX}};
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        if (!arg_is(call, i, words[w].name)) continue;
        o->conditions |= words[w].bit;
        return !(o->conditions & words[w].contrary);
    }
    return false;
}

static bool read_time_option(redis_call_t *call, int *i, int end, ex_options_t *o)
{
    static const struct {
        const char *name;
        expire_form_t form;
    } words[] = {{"EX", {true, false}}, {"PX", {false, false}}, {"EXAT", {true, true}}, {"PXAT", {false, true}}};
    for (size_t w = 0; w < ARRAY_LEN(words); w++) {
        if (!arg_is(call, *i, words[w].name)) continue;
        if (o->time_at || o->keep || o->persist || *i + 1 >= end) return false;
        o->form = words[w].form;
        o->time_at = ++*i;
        return true;
    }
    return false;
}

static bool read_option(redis_call_t *call, int *i, int end, bool writes, ex_options_t *o)
{
    if (read_time_option(call, i, end, o)) return true;
    if (writes && arg_is(call, *i, "KEEPTTL")) {
        o->keep = true;
        return !o->time_at;
    }
    if (!writes && arg_is(call, *i, "PERSIST")) {
        o->persist = true;
        return !o->time_at;
    }
    return writes && read_condition(call, *i, o);
}

/* False after the error. */
static bool parse(redis_call_t *call, bool writes, ex_options_t *ret)
{
    int at;
    *ret = (ex_options_t){0};
    if (!cmd__hash_find_names(call, 2, &at)) return false;
    for (int i = 2; i < at; i++) {
        if (read_option(call, &i, at, writes, ret)) continue;
        reply_error_syntax(call->client);
        return false;
    }
    return cmd__hash_count_names(call, at, writes ? 2 : 1, &ret->names);
}

/* HASH_NO_TIME when none is given. `ret_over`: what was given is over. */
static bool read_time(redis_call_t *call, const ex_options_t *o, int64_t *ret_at, bool *ret_over)
{
    *ret_at = HASH_NO_TIME;
    *ret_over = false;
    if (!o->time_at) return true;
    if (!expire__time(call, o->time_at, o->form, true, ret_at)) return false;
    *ret_over = *ret_at <= call->now_ms && !(call->flags & CALL_LOADING);
    return true;
}

/* ---- HGETEX ---------------------------------------------------------------------------------------------------------- */

typedef struct getting {
    int64_t at_ms;
    bool persists, deletes;
    value_t v;
    hash_draft_t changed;
} getting_t;

static bool change_field(getting_t *g, bytes_t field, int64_t had_ms)
{
    if (g->deletes) return hash_delete(&g->v, field);
    if (g->persists ? had_ms < 0 : g->at_ms < 0) return false;
    hash_set_time(&g->v, field, g->at_ms);
    return true;
}

static void get_field(redis_call_t *call, getting_t *g, bytes_t field)
{
    hash_item_t item;
    char room[NUM_I64_CHARS_MAX];
    if (!hash_look(g->v, field, room, &item) || hash_is_over(item.at_ms, cmd__hash_now(call))) {
        reply_null(call->client);
        return;
    }
    reply_bulk(call->client, item.text);
    if (change_field(g, field, item.at_ms)) hash_draft_add(&g->changed, field);
}

static void finish_getting(redis_call_t *call, getting_t *g, redis_entry_t *entry)
{
    size_t count = (size_t)g->changed.argc;
    if (g->deletes) {
        cmd__hash_deleted(call, entry, g->v, "hexpired");
        cmd__hash_count_expired(call, count);
        hash_draft_send(call, &g->changed, "HDEL");
    } else if (g->persists) {
        cmd__hash_changed(call, entry, g->v, 0, "hpersist");
        hash_draft_send_fields(call, &g->changed, "HPERSIST", NULL, -1, 1);
    } else {
        cmd__hash_changed(call, entry, g->v, 0, "hexpire");
        hash_draft_send_time(call, &g->changed, g->at_ms);
    }
    call->dirty += count;
}

void redis_cmd_hgetex(redis_call_t *call)
{
    ex_options_t o;
    redis_entry_t *entry;
    getting_t g;
    if (!parse(call, false, &o) || !key_write_type(call, call->argv[1], TYPE_HASH, &entry) ||
        !read_time(call, &o, &g.at_ms, &g.deletes))
        return;
    reply_array(call->client, (size_t)o.names.count);
    if (!entry) {
        for (int i = 0; i < o.names.count; i++) reply_null(call->client);
        return;
    }
    g.persists = o.persist;
    g.v = value_of(entry);
    hash_draft_init(&g.changed, o.names.count);
    for (int i = 0; i < o.names.count; i++) get_field(call, &g, call->argv[o.names.at + i]);
    if (g.changed.argc) finish_getting(call, &g, entry);
    hash_draft_deinit(&g.changed);
}

/* ---- HGETDEL --------------------------------------------------------------------------------------------------------- */

void redis_cmd_hgetdel(redis_call_t *call)
{
    hash_names_t names;
    redis_entry_t *entry;
    getting_t g = {.deletes = true};
    if (!cmd__hash_names(call, HASH_NUMFIELDS_ERROR, &names) || !key_write_type(call, call->argv[1], TYPE_HASH, &entry))
        return;
    g.v = entry ? value_of(entry) : (value_t){NULL, ENC_LISTPACK};
    hash_draft_init(&g.changed, names.count);
    reply_array(call->client, (size_t)names.count);
    for (int i = 0; i < names.count; i++) {
        if (entry)
            get_field(call, &g, call->argv[names.at + i]);
        else
            reply_null(call->client);
    }
    if (g.changed.argc) {
        cmd__hash_deleted(call, entry, g.v, "hdel");
        hash_draft_send(call, &g.changed, "HDEL");
        call->dirty += (uint64_t)g.changed.argc;
    }
    hash_draft_deinit(&g.changed);
}

/* ---- HSETEX ---------------------------------------------------------------------------------------------------------- */

static bytes_t name_of(const redis_call_t *call, const ex_options_t *o, int i)
{
    return call->argv[o->names.at + 2 * i];
}

/* All of the fields must be there, or none. */
static bool fields_allow(const redis_call_t *call, const ex_options_t *o, const redis_entry_t *entry)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t text;
    bool wanted = o->conditions & FIELDS_XX;
    if (!(o->conditions & (FIELDS_NX | FIELDS_XX))) return true;
    for (int i = 0; i < o->names.count; i++) {
        bool there = entry && hash_get(value_of(entry), name_of(call, o, i), cmd__hash_now(call), room, &text);
        if (there != wanted) return false;
    }
    return true;
}

/* What is set is over at once: the fields that are there go. Listeners hear of all that happened in between. */
static void set_over(redis_call_t *call, const ex_options_t *o, redis_entry_t *entry)
{
    bytes_t key = call->argv[1];
    hash_draft_t deleted;
    value_t v = entry ? value_of(entry) : (value_t){NULL, ENC_LISTPACK};
    hash_draft_init(&deleted, o->names.count);
    for (int i = 0; i < o->names.count && entry; i++)
        if (hash_delete(&v, name_of(call, o, i))) hash_draft_add(&deleted, name_of(call, o, i));
    key_event(call, key, NOTIFY_HASH, "hset");
    key_event(call, key, NOTIFY_HASH, "hexpire");
    if (deleted.argc) {
        cmd__hash_deleted(call, entry, v, "hexpired");
        hash_draft_send(call, &deleted, "HDEL");
        call->dirty += (uint64_t)deleted.argc;
    } else {
        key_event(call, key, NOTIFY_HASH, "hexpired");
        if (!entry) key_event(call, key, NOTIFY_GENERIC, "del");
    }
    cmd__hash_count_expired(call, (size_t)o->names.count);
    hash_draft_deinit(&deleted);
}

/* KEEPTTL leaves a time alone that is over, where commands are replayed: it is taken away first. */
static void propagate_revived(redis_call_t *call, const ex_options_t *o, const bool *over)
{
    hash_draft_t d;
    hash_draft_init(&d, o->names.count);
    for (int i = 0; i < o->names.count; i++)
        if (over[i]) hash_draft_add(&d, name_of(call, o, i));
    hash_draft_send_fields(call, &d, "HPERSIST", NULL, -1, 1);
    hash_draft_deinit(&d);
}

/* Without conditions, with the time itself; as it came when that is how it came. */
static void propagate_setting(redis_call_t *call, const ex_options_t *o, int64_t at_ms)
{
    hash_draft_t d;
    bool exact = !o->time_at || (o->form.absolute && !o->form.seconds);
    if (exact && !o->conditions && !call->propagation_set) return;
    hash_draft_init(&d, 2 * o->names.count);
    for (int i = 0; i < 2 * o->names.count; i++) hash_draft_add(&d, call->argv[o->names.at + i]);
    const char *option = o->keep ? "KEEPTTL" : o->time_at ? "PXAT" : NULL;
    hash_draft_send_fields(call, &d, "HSETEX", option, at_ms, 2);
    hash_draft_deinit(&d);
}

static void set(redis_call_t *call, const ex_options_t *o, redis_entry_t *entry, int64_t at_ms)
{
    size_t over = 0;
    value_t v = entry ? value_of(entry) : hash_new();
    bool *was_over = mem_zalloc(sizeof(*was_over) * (size_t)o->names.count);
    for (int i = 0; i < o->names.count; i++) {
        bytes_t field = name_of(call, o, i);
        was_over[i] = cmd__hash_is_over(call, v, field);
        over += was_over[i];
        int64_t time_ms = o->keep && !was_over[i] ? HASH_KEEP_TIME : at_ms;
        hash_put(&v, field, call->argv[o->names.at + 2 * i + 1], time_ms, call->config);
    }
    cmd__hash_changed(call, entry, v, over, "hset");
    if (o->time_at) key_event(call, call->argv[1], NOTIFY_HASH, "hexpire");
    if (over && o->keep) propagate_revived(call, o, was_over);
    propagate_setting(call, o, at_ms);
    call->dirty += (uint64_t)o->names.count;
    mem_free(was_over);
}

void redis_cmd_hsetex(redis_call_t *call)
{
    ex_options_t o;
    redis_entry_t *entry;
    int64_t at_ms;
    bool is_over;
    if (!parse(call, true, &o) || !key_write_type(call, call->argv[1], TYPE_HASH, &entry)) return;
    if ((o.conditions & KEY_NX && entry) || (o.conditions & KEY_XX && !entry)) {
        reply_int(call->client, 0);
        return;
    }
    if (!read_time(call, &o, &at_ms, &is_over)) return;
    bool allowed = fields_allow(call, &o, entry);
    if (allowed && is_over)
        set_over(call, &o, entry);
    else if (allowed)
        set(call, &o, entry, at_ms);
    reply_int(call->client, allowed);
}
