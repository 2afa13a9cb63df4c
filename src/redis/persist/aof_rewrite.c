/* aof_rewrite.c: BGREWRITEAOF without fork: the data set as it was at one moment, written while commands go
 * on.
 *
 * At the start a new incremental file is opened and each database's epoch bit flips, so that no entry carries
 * the current one. A walk emits the entries, a slice each turn of the loop, and marks them. Whoever is about
 * to change an entry that is not marked has it emitted first (aof__rewrite_emit); new entries are born
 * marked. So the base holds exactly what was there at the start, and the new incremental file exactly what
 * came after.
 *
 *   idle --start--> walking --end of the last database--> syncing --> renamed, in the manifest; old parts
 * removed --> idle |  FLUSHALL, FLUSHDB, SWAPDB: abort, and start again */
#include "redis/exec/script_host.h"
#include "redis/persist/aof_internal.h"

#include "base/slog.h"

#include <stdio.h>
#include <string.h>

#define SLICE_NS           1000000u /* of a turn */
#define UNSYNCED_BYTES_MAX MIB(1)   /* that a rewrite's start may make durable on the loop */

/* ---- one entry ------------------------------------------------------------------------------------------------------- */

void aof__emit_entry(redis_emitter_t *out, int *selected_db, const redis_db_t *db, const redis_entry_t *e)
{
    bytes_t key = entry_key(e);
    if (*selected_db != db->id) {
        emit_command(out, 2);
        emit_str(out, "SELECT");
        emit_i64(out, db->id);
        *selected_db = db->id;
    }
    if (e->type == TYPE_STRING) {
        char scratch[24];
        emit_command(out, 3);
        emit_str(out, "SET");
        emit_bytes(out, key);
        emit_bytes(out, key_string(e, scratch));
    } else {
        type__ops((redis_type_t)e->type)->emit(entry_value(e), (redis_encoding_t)e->encoding, key, out);
    }
    if (entry_expire_ms(e) < 0) return;
    emit_command(out, 3);
    emit_str(out, "PEXPIREAT");
    emit_bytes(out, key);
    emit_i64(out, entry_expire_ms(e));
}

static int write_base(aof_rewrite_t *r)
{
    struct iovec iov = {r->buf.ptr, r->buf.len};
    int err = r->buf.len && !r->write_err ? io_file_write(r->file, r->bytes, &iov, 1) : r->write_err;
    r->bytes += r->buf.len;
    buf_clear(&r->buf);
    if (r->buf.cap > EMIT_SPILL_BYTES * 2) buf_deinit(&r->buf);
    return err;
}

/* Commands may bring more to write than memory has room for: a turn that drives out many keys, one large value. */
static void spill(redis_emitter_t *e)
{
    aof_rewrite_t *r = CONTAINER_OF(e->out, aof_rewrite_t, buf);
    r->write_err = write_base(r);
}

static void mark(redis_db_t *db, redis_entry_t *e) { e->flags = (uint8_t)((e->flags & ~ENTRY_EPOCH) | db->epoch); }

/* An expired key need not be kept, unless somebody has yet to be told that it went. */
bool aof__keeps(const redis_db_t *db, const redis_entry_t *e)
{
    return db->redis->observer != NULL || !entry_is_expired(e, db->redis->now_ms);
}

void aof__rewrite_emit(redis_db_t *db, redis_entry_t *e)
{
    aof_rewrite_t *r = &db->redis->aof->rewrite;
    redis_emitter_t out = {&r->buf, spill};
    if (r->active && aof__keeps(db, e)) aof__emit_entry(&out, &r->selected_db, db, e);
    mark(db, e);
}

static void visit(void *user, void *entry)
{
    redis_db_t *db = user;
    redis_entry_t *e = entry;
    if ((e->flags & ENTRY_EPOCH) != db->epoch) aof__rewrite_emit(db, e);
}

/* ---- start and end --------------------------------------------------------------------------------------------------- */

static void mark_each(void *user, void *entry) { mark(user, entry); }

void aof__rewrite_abort(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    if (!r->active) return;
    r->active = r->syncing = false;
    io_file_close(r->file);
    r->file = NULL;
    if (r->temp_path && io_remove(aof->redis->loop, r->temp_path) != 0)
        slog(SLOG_WARN, "redis", "cannot remove an unfinished rewrite", "file=%s", r->temp_path);
    mem_free(r->temp_path);
    r->temp_path = NULL;
    buf_deinit(&r->buf);
    for (int i = 0; i < aof->redis->db_count; i++) table_each(&aof->redis->dbs[i].keys, mark_each, &aof->redis->dbs[i]);
}

void aof__rewrite_fail(aof_t *aof, const char *step, int err)
{
    aof_rewrite_t *r = &aof->rewrite;
    aof__rewrite_abort(aof);
    r->last_ok = false;
    r->not_before_ms = aof->redis->now_ms + aof__rewrite_wait_ms(++r->failures);
    health_raise(&aof->redis->health, "rewrite", "the append-only file cannot be rewritten and grows on: %s: %s", step,
                 err_text(err));
}

void aof__rewrite_restart(redis_t *redis)
{
    if (!redis->aof->rewrite.active) return;
    aof__rewrite_abort(redis->aof);
    redis->aof->rewrite.scheduled = true;
}

int aof__rewrite(redis_t *redis)
{
    if (redis->aof->rewrite.active) return ERR_BUSY;
    redis->aof->rewrite.scheduled = true;
    io_loop_wake(redis->loop);
    return 0;
}

static void start(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    redis_t *redis = aof->redis;
    r->scheduled = r->prepared = false;
    aof__write(aof, true);
    if (aof->buf.len || (aof->failure[0] && !aof->suspect)) {
        r->last_ok = false;
        return;
    }
    int err = aof__new_increment(aof);
    if (err != 0) {
        aof__rewrite_fail(aof, "new increment", err);
        return;
    }
    r->keep_from = aof->manifest.count - 1;
    r->temp_path = aof__path(aof, "temp-rewriteaof.aof");
    err = io_file_open(redis->loop, r->temp_path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &r->file);
    if (err != 0) {
        mem_free(r->temp_path);
        r->temp_path = NULL;
        aof__rewrite_fail(aof, "open", err);
        return;
    }
    r->active = true;
    scripts__emit_libraries(redis, &r->buf);
    r->bytes = 0;
    r->write_err = 0;
    r->walk_db = 0;
    r->selected_db = -1;
    r->cursor = 0;
    r->started_ms = redis->now_ms;
    for (int i = 0; i < redis->db_count; i++) redis->dbs[i].epoch ^= ENTRY_EPOCH;
    redis_emitter_t base = {&r->buf, spill};
    if (redis->on_rewrite) redis->on_rewrite(redis->on_rewrite_user, &base);
}

static void remove_part(aof_t *aof, const char *name)
{
    char *path = aof__path(aof, name);
    io_remove_later(aof->redis->loop, path);
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
    io_loop_t *loop = aof->redis->loop;
    aof_part_t base = aof__next_part(aof, 'b', "base.aof"); /* its number stays used */
    base.durable_bytes = r->bytes;
    char *path = aof__path(aof, base.name);
    int err = io_rename(loop, r->temp_path, path);
    mem_free(path);
    if (err != 0) {
        mem_free(base.name);
        return err;
    }
    mem_free(r->temp_path);
    r->temp_path = NULL;
    aof_manifest_t old = aof->manifest;
    aof->manifest = replaced_by(&old, base, r->keep_from);
    err = aof__list_increment(aof);
    if (err == 0) err = io_sync_dir(loop, aof->dir);
    if (err == 0) err = aof__manifest_write(aof);
    if (err != 0) {
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
    if (err != 0) {
        aof__rewrite_fail(aof, "put in place", err);
        return;
    }
    io_file_close(r->file);
    r->file = NULL;
    buf_deinit(&r->buf);
    r->active = r->syncing = false;
    r->last_ok = true;
    r->failures = 0;
    r->done_count++;
    aof->unlisted = aof->suspect = false;
    health_clear(&aof->redis->health, "rewrite");
    aof__recovered(aof);
    r->last_seconds = (aof->redis->now_ms - r->started_ms) / 1000;
    aof->base_bytes = r->bytes;
    aof->old_incr_bytes = 0;
    aof->rewritten_bytes = aof->base_bytes + aof->file_bytes;
    aof__sizes_write(aof);
    slog(SLOG_INFO, "redis", "append-only file rewritten", "base_bytes=%" PRIu64, r->bytes);
}

static void on_base_synced(io_sync_t *sync, int err)
{
    aof_t *aof = CONTAINER_OF(sync, aof_t, rewrite.sync);
    if (err != 0)
        aof__rewrite_fail(aof, "sync", err);
    else
        finish(aof);
}

/* ---- the walk -------------------------------------------------------------------------------------------------------- */

static bool walk_slice(aof_t *aof)
{
    aof_rewrite_t *r = &aof->rewrite;
    redis_t *redis = aof->redis;
    uint64_t until = io_hrtime_ns(redis->loop) + SLICE_NS;
    while (r->walk_db < redis->db_count) {
        redis_db_t *db = &redis->dbs[r->walk_db];
        unsigned steps = 0;
        do {
            r->cursor = table_scan(&db->keys, r->cursor, visit, db);
            if (++steps % 32 == 0 && io_hrtime_ns(redis->loop) > until) return false;
        } while (r->cursor);
        r->walk_db++;
    }
    return true;
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
    if (!r->active && aof->redis->exec_depth) return; /* a script has paused halfway */
    if (!r->active && !prepare(aof)) return;
    if (!r->active) start(aof);
    if (!r->active || r->syncing) return;
    bool done = walk_slice(aof);
    int err = done ? write_base(r) : r->write_err;
    if (err != 0) {
        aof__rewrite_fail(aof, "write", err);
    } else if (done) {
        r->syncing = true;
        io_file_sync(r->file, &r->sync, on_base_synced);
    } else {
        io_loop_wake(aof->redis->loop);
    }
}
