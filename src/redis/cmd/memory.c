/* memory.c: MEMORY: what a key takes, what all of it is used for, and what the allocator tells. */
#include "redis/cmd/memory.h"
#include "redis/exec/scripts.h"
#include "redis/exec/state.h"
#include "redis/persist/aof.h"
#include "redis_commands.h"

#include <stdio.h>

/* ---- figures --------------------------------------------------------------------------------------------------------- */

memory_figures_t memory__measure(redis_t *redis)
{
    memory_figures_t f = {.allocator = mem_totals(), .resident_bytes = io_resident_bytes()};
    scripts_info_t s = scripts__info(redis);
    redis->keyspace.evict.peak_bytes = MAX(redis->keyspace.evict.peak_bytes, f.allocator.used_bytes);
    f.peak_bytes = redis->keyspace.evict.peak_bytes;
    f.startup_bytes = redis->keyspace.evict.startup_bytes;
    f.clients_bytes = client_memory__total(&redis->clients);
    f.file_bytes = aof__info(&redis->persist).buffer_bytes;
    f.scripts_bytes = s.vm_bytes + s.cache_bytes;
    for (int i = 0; i < redis->keyspace.db_count; i++) {
        f.keys += table_count(&redis->keyspace.dbs[i].keys);
        f.tables_bytes +=
            table_memory_bytes(&redis->keyspace.dbs[i].keys) + table_memory_bytes(&redis->keyspace.dbs[i].expires);
    }
    return f;
}

size_t memory__overhead_bytes(const memory_figures_t *f)
{
    return f->startup_bytes + f->clients_bytes + f->file_bytes + f->scripts_bytes + f->tables_bytes;
}

static size_t dataset(const memory_figures_t *f)
{
    return f->allocator.used_bytes - MIN(memory__overhead_bytes(f), f->allocator.used_bytes);
}

static double ratio(size_t a, size_t b) { return b ? (double)a / (double)b : 0; }

/* ---- STATS ----------------------------------------------------------------------------------------------------------- */

typedef struct stats_reply {
    redis_client_t *c;
    size_t count;
} stats_reply_t;

static void put(stats_reply_t *r, const char *name, size_t value)
{
    reply_bulk_str(r->c, name);
    reply_int(r->c, (int64_t)value);
    r->count++;
}

static void put_ratio(stats_reply_t *r, const char *name, double value)
{
    reply_bulk_str(r->c, name);
    reply_double(r->c, value);
    r->count++;
}

static void put_databases(stats_reply_t *r, const redis_t *redis)
{
    char name[32];
    for (int i = 0; i < redis->keyspace.db_count; i++) {
        const redis_db_t *db = &redis->keyspace.dbs[i];
        if (table_count(&db->keys) == 0) continue;
        snprintf(name, sizeof(name), "db.%d", i);
        reply_bulk_str(r->c, name);
        reply_map(r->c, 2);
        reply_bulk_str(r->c, "overhead.hashtable.main");
        reply_int(r->c, (int64_t)table_memory_bytes(&db->keys));
        reply_bulk_str(r->c, "overhead.hashtable.expires");
        reply_int(r->c, (int64_t)table_memory_bytes(&db->expires));
        r->count++;
    }
}

static void put_allocator(stats_reply_t *r, const memory_figures_t *f)
{
    const mem_totals_t *a = &f->allocator;
    put(r, "allocator.allocated", a->used_bytes);
    put(r, "allocator.active", a->active_bytes);
    put(r, "allocator.resident", a->resident_bytes);
    put_ratio(r, "allocator-fragmentation.ratio", ratio(a->active_bytes, a->used_bytes));
    put(r, "allocator-fragmentation.bytes", a->active_bytes - MIN(a->used_bytes, a->active_bytes));
    put_ratio(r, "allocator-rss.ratio", ratio(a->resident_bytes, a->active_bytes));
    put(r, "allocator-rss.bytes", a->resident_bytes - MIN(a->active_bytes, a->resident_bytes));
    put_ratio(r, "rss-overhead.ratio", ratio(f->resident_bytes, a->resident_bytes));
    put(r, "rss-overhead.bytes", f->resident_bytes - a->resident_bytes); /* may be below zero */
    put_ratio(r, "fragmentation", ratio(f->resident_bytes, a->used_bytes));
    put(r, "fragmentation.bytes", f->resident_bytes - a->used_bytes);
}

void redis_cmd_memory_stats(redis_call_t *call)
{
    memory_figures_t f = memory__measure(call->redis);
    reply_deferred_t d = reply_deferred_begin(call->client);
    stats_reply_t r = {.c = call->client};
    size_t used = f.allocator.used_bytes, grown = used - MIN(f.startup_bytes, used);
    put(&r, "peak.allocated", f.peak_bytes);
    put(&r, "total.allocated", used);
    put(&r, "startup.allocated", f.startup_bytes);
    put(&r, "replication.backlog", 0);
    put(&r, "clients.slaves", 0);
    put(&r, "clients.normal", f.clients_bytes);
    put(&r, "cluster.links", 0);
    put(&r, "aof.buffer", f.file_bytes);
    put(&r, "lua.caches", f.scripts_bytes);
    put(&r, "functions.caches", 0);
    put_databases(&r, call->redis);
    put(&r, "overhead.db.hashtable.lut", f.tables_bytes);
    put(&r, "overhead.total", memory__overhead_bytes(&f));
    put(&r, "keys.count", f.keys);
    put(&r, "keys.bytes-per-key", f.keys ? grown / f.keys : 0);
    put(&r, "dataset.bytes", dataset(&f));
    put_ratio(&r, "dataset.percentage", 100 * ratio(dataset(&f), grown));
    put_ratio(&r, "peak.percentage", 100 * ratio(used, f.peak_bytes));
    put_allocator(&r, &f);
    reply_deferred_map(call->client, d, r.count);
}

/* ---- DOCTOR ---------------------------------------------------------------------------------------------------------- */

#define DOCTOR_BYTES_MIN        MIB(5)
#define DOCTOR_CLIENT_BYTES_MAX KIB(200)

static void diagnose(const redis_t *redis, const memory_figures_t *f, buf_t *out)
{
    const mem_totals_t *a = &f->allocator;
    if (a->used_bytes < DOCTOR_BYTES_MIN) {
        buf_printf(out, "There is so little in memory that it cannot be judged.\n");
        return;
    }
    if (ratio(f->peak_bytes, a->used_bytes) > 1.5)
        buf_printf(out,
                   " * Peak: memory was once more than one and a half times of what is in use now. The allocator may "
                   "keep what was freed for a while; MEMORY PURGE asks it to give pages back.\n");
    if (ratio(a->active_bytes, a->used_bytes) > 1.1 && a->active_bytes - a->used_bytes > MIB(10))
        buf_printf(out,
                   " * Fragmentation: more than a tenth of the allocator's pages is not in use, since values of many "
                   "sizes came and went. A restart packs them.\n");
    if (ratio(a->resident_bytes, a->active_bytes) > 1.1 && a->resident_bytes - a->active_bytes > MIB(10))
        buf_printf(out,
                   " * Kept pages: the allocator holds more than a tenth of pages without anything in them. MEMORY "
                   "PURGE gives them back.\n");
    if (redis->clients.count && f->clients_bytes / redis->clients.count > DOCTOR_CLIENT_BYTES_MAX)
        buf_printf(out,
                   " * Clients: they use more than 200 KB each on average. CLIENT LIST shows who does not read its "
                   "replies (omem) or sends requests that never end (qbuf).\n");
    if (out->len == 0) buf_printf(out, "There is nothing to complain of.\n");
}

void redis_cmd_memory_doctor(redis_call_t *call)
{
    buf_t text = BUF_INIT;
    memory_figures_t f = memory__measure(call->redis);
    diagnose(call->redis, &f, &text);
    reply_verbatim(call->client, "txt", buf_bytes(&text));
    buf_deinit(&text);
}

/* ---- the allocator ----------------------------------------------------------------------------------------------------- */

void redis_cmd_memory_purge(redis_call_t *call)
{
    mem_purge();
    reply_ok(call->client);
}

static void add_piece(void *user, const char *text) { buf_append(user, text, strlen(text)); }

void redis_cmd_memory_malloc_stats(redis_call_t *call)
{
    buf_t text = BUF_INIT;
    if (mem_describe(add_piece, &text))
        reply_verbatim(call->client, "txt", buf_bytes(&text));
    else
        reply_bulk_str(call->client, "Stats not supported for the current allocator");
    buf_deinit(&text);
}

/* ---- USAGE ----------------------------------------------------------------------------------------------------------- */

void redis_cmd_memory_usage(redis_call_t *call)
{
    int64_t samples = 5;
    for (int i = 3; i < call->argc; i++) {
        if (!arg_is(call, i, "SAMPLES") || i + 1 >= call->argc) {
            reply_error_syntax(call->client);
            return;
        }
        if (!arg_i64(call, ++i, &samples)) return;
        if (samples < 0) {
            reply_error_syntax(call->client);
            return;
        }
    }
    redis_entry_t *e = key_peek(call, call->argv[2]);
    if (!e)
        reply_null(call->client);
    else
        reply_int(call->client, (int64_t)(entry_memory_bytes(e, (size_t)samples) + sizeof(void *) + 1));
}
