/* aof_rewrite.c: BGREWRITEAOF without fork: the data set as it was at one moment (walk.h), written while commands go on. A new
 * incremental file is opened when the walk begins: so the base holds exactly what was there then, and the new incremental file
 * exactly what came after.
 *
 *   idle --start--> walking --end of the walk--> syncing --> renamed, in the manifest; old parts removed --> idle
 *                      |  FLUSHALL, FLUSHDB, SWAPDB: given up, and begun again */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"

#include "base/slog.h"

#include <stdio.h>
#include <string.h>

#define UNSYNCED_BYTES_MAX MIB(1) /* that a rewrite's start may make durable on the loop */

/* ---- the end --------------------------------------------------------------------------------------------------------- */

void aof__rewrite_abort(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    if (!r->active) return;
    r->active = r->syncing = false;
    walk__stop(aof->persist, &r->walk);
    data_file__close(&r->out);
}

void aof__rewrite_fail(aof_t *aof, const char *step, int err)
{
    aof_rewrite_t *r = &aof->rewrite;
    aof__rewrite_abort(aof);
    r->last_ok = false;
    r->not_before_ms = aof->persist->keyspace->now_ms + aof__rewrite_wait_ms(++r->failures);
    health_raise(aof->persist->health, "rewrite", "the append-only file cannot be rewritten and grows on: %s: %s", step,
                 err_text(err));
    if (aof->once) aof__disable(aof->persist);
}

static void remove_part(aof_t *aof, const char *name)
{
    char *path = aof__path(aof, name);
    io_remove_later(aof->persist->loop, path);
    mem_free(path);
}

/* The new list: the base, and what came since the rewrite began. Names are shared with the old list. */
static aof_manifest_t replaced_by(const aof_manifest_t *old, aof_part_t base, size_t keep_from)
{
    aof_manifest_t m = {.base_seq = base.seq, .incr_seq = old->incr_seq};
    m.parts = mem_alloc((old->count - keep_from + 1) * sizeof(*m.parts));
    m.parts[m.count++] = base;
    for (size_t i = keep_from; i < old->count; i++) m.parts[m.count++] = old->parts[i];
    return m;
}

/* A manifest that could not be written may be on the disk all the same. Both lists make the same data as long as all
 * their files are there; so the new base goes only when the old list is certainly the one on the disk. */
static void back_to_old_list(aof_t *aof, const char *base_name)
{
    if (!aof->unlisted && aof__manifest_write(aof) == 0) remove_part(aof, base_name);
}

/* The new base is durable: puts it in place of all that came before. The manifest decides; files that it does
 * not name are rubbish, so the order is: name, manifest, removal. */
static int put_in_place(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    io_loop_t *loop = aof->persist->loop;
    aof_part_t base =
        aof__next_part(aof, 'b', r->out.form == DATA_COMMANDS ? "base.aof" : "base.rdb"); /* its number stays used */
    base.durable_bytes = r->out.bytes;
    char *path = aof__path(aof, base.name);
    int err = io_rename(loop, r->out.path, path);
    mem_free(path);
    if (err) {
        mem_free(base.name);
        return err;
    }
    mem_free(r->out.path);
    r->out.path = NULL;
    aof_manifest_t old = aof->manifest;
    aof->manifest = replaced_by(&old, base, r->keep_from);
    err = aof__list_increment(aof);
    if (!err) err = io_sync_dir(loop, aof->dir);
    if (!err) err = aof__manifest_write(aof);
    if (err) {
        mem_free(aof->manifest.parts);
        aof->manifest = old;
        back_to_old_list(aof, base.name);
        mem_free(base.name);
        return err;
    }
    for (size_t i = 0; i < r->keep_from; i++) {
        remove_part(aof, old.parts[i].name);
        mem_free(old.parts[i].name);
    }
    mem_free(old.parts);
    return 0;
}

static void finish(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    int err = put_in_place(aof);
    if (err) {
        aof__rewrite_fail(aof, "put in place", err);
        return;
    }
    uint64_t bytes = r->out.bytes;
    data_file__close(&r->out);
    r->active = r->syncing = false;
    r->last_ok = true;
    r->failures = 0;
    r->done_count++;
    aof->unlisted = aof->suspect = false;
    health_clear(aof->persist->health, "rewrite");
    aof__recovered(aof);
    r->last_seconds = (aof->persist->keyspace->now_ms - r->started_ms) / 1000;
    aof->base_bytes = bytes;
    aof->old_incr_bytes = 0;
    aof->rewritten_bytes = aof->base_bytes + aof->file_bytes;
    aof__sizes_write(aof);
    slog(SLOG_INFO, "redis", "append-only file rewritten", "base_bytes=%" PRIu64, bytes);
    if (aof->once) aof__disable(aof->persist);
}

static void on_base_synced(io_sync_t *sync, int err)
{
    aof_t *aof = CONTAINER_OF(sync, aof_t, rewrite.sync);
    if (err)
        aof__rewrite_fail(aof, "sync", err);
    else
        finish(aof);
}

/* ---- the walk's calls ------------------------------------------------------------------------------------------------ */

static aof_t *of_walk(walk_user_t *u) { return CONTAINER_OF(u, aof_t, rewrite.walk); }

static void put(walk_user_t *u, const redis_db_t *db, const redis_entry_t *e)
{
    data_file__put(&of_walk(u)->rewrite.out, db, e);
}

static void stepped(walk_user_t *u)
{
    aof_t *aof = of_walk(u);
    if (aof->rewrite.out.err) aof__rewrite_fail(aof, "write", aof->rewrite.out.err);
}

static void ended(walk_user_t *u)
{
    aof_rewrite_t *r = &of_walk(u)->rewrite;
    int err = data_file__end(&r->out);
    if (err) {
        aof__rewrite_fail(of_walk(u), "write", err);
        return;
    }
    r->syncing = true;
    io_file_sync(r->out.file, &r->sync, on_base_synced);
}

static void interrupted(walk_user_t *u)
{
    aof__rewrite_abort(of_walk(u));
    of_walk(u)->rewrite.scheduled = true;
}

/* ---- the start ------------------------------------------------------------------------------------------------------- */

int aof__rewrite(persist_t *persist)
{
    aof_t *aof = persist->aof;
    if (aof->rewrite.active) return ERR_BUSY;
    if (!aof->enabled) {
        int err = aof__enable(persist);
        if (err) return err;
        aof->once = true;
    }
    aof->rewrite.scheduled = true;
    io_loop_wake(persist->loop);
    return 0;
}

static void start(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    persist_t *persist = aof->persist;
    r->scheduled = r->prepared = false;
    aof__write(aof, true);
    if (aof->buf.len || (aof->failure[0] && !aof->suspect)) {
        r->last_ok = false;
        return;
    }
    int err = aof__new_increment(aof);
    if (err) {
        aof__rewrite_fail(aof, "new increment", err);
        return;
    }
    r->keep_from = aof->manifest.count - 1;
    data_form_t form = persist->config->aof_use_rdb_preamble ? DATA_RDB_BASE : DATA_COMMANDS;
    err = data_file__open(&r->out, persist, aof__path(aof, "temp-rewriteaof.aof"), form);
    if (err) {
        aof__rewrite_fail(aof, "open", err);
        return;
    }
    r->active = true;
    r->started_ms = persist->keyspace->now_ms;
    r->walk = (walk_user_t){put, stepped, ended, interrupted};
    walk__start(persist, &r->walk);
}

/* The growing file must be durable before the next one begins, or power loss could take a piece from the middle.
 * Most of it is synced off the loop first, so that start() has little left to wait for. */
static bool prepare(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    if (aof->syncing) return false; /* its error must not be lost with the file */
    if (r->prepared || aof->suspect || aof->file_bytes - aof->synced_bytes < UNSYNCED_BYTES_MAX) return true;
    aof__sync_later(aof);
    return false;
}

void aof__rewrite_turn(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    bool may_start = r->scheduled && !r->active && !walk__is_active(aof->persist);
    if (!may_start || aof->persist->host->is_midway(aof->persist)) return;
    if (prepare(aof)) start(aof);
}
