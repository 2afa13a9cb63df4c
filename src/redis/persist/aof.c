/* aof.c: feeding the append-only file, and its life. See aof.h; aof_write.c writes it.
 *
 *   command --feed--> pending --commit--> buf --hook, rank 10--> file --everysec / always--> disk
 *
 * Invariants: what is in `buf` left the gathering whole (a transaction is never split by a rewrite's change
 * of file); a reply leaves after the bytes of its command were written, and with appendfsync always after
 * they are durable. */
#include "redis/db/evict.h"
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"
#include "redis/redis.h"

#include <stdio.h>
#include <string.h>

#define HOOK_RANK 10

/* ---- feeding --------------------------------------------------------------------------------------------------------- */

static inline void select_db(aof_t *aof, buf_t *to, int id)
{
    if (LIKELY(aof->selected_db == id)) return;
    redis_emitter_t e = {to};
    emit_command(&e, 2);
    emit_str(&e, "SELECT");
    emit_i64(&e, id);
    aof->selected_db = id;
}

void aof__feed_raw(persist_t *persist, const redis_db_t *db, bytes_t raw)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return;
    select_db(aof, &aof->buf, db->id);
    buf_append(&aof->buf, raw.ptr, raw.len);
    if (UNLIKELY(aof->buf.len >= aof->early_bytes)) aof__write_early(aof);
}

void aof__feed(persist_t *persist, const redis_db_t *db, int argc, const bytes_t *argv)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return;
    select_db(aof, &aof->pending, db->id);
    redis_emitter_t e = {&aof->pending};
    emit_command(&e, (size_t)argc);
    for (int i = 0; i < argc; i++) emit_bytes(&e, argv[i]);
    aof->pending_count++;
}

static void on_gone(db_listener_t *self, redis_db_t *db, bytes_t key, db_cause_t cause)
{
    bytes_t argv[2] = {BYTES_LIT("DEL"), key};
    aof__feed(CONTAINER_OF(self, aof_t, listener)->persist, db, 2, argv);
}

static void on_fields_gone(db_listener_t *self, redis_db_t *db, bytes_t key, int count, const bytes_t *fields)
{
    bytes_t argv[2 + DB_FIELDS_MAX] = {BYTES_LIT("HDEL"), key};
    ASSERT(count <= DB_FIELDS_MAX);
    memcpy(argv + 2, fields, sizeof(*fields) * (size_t)count);
    aof__feed(CONTAINER_OF(self, aof_t, listener)->persist, db, 2 + count, argv);
}

bool aof__has_gathered(const persist_t *persist) { return persist->aof->pending_count > 0; }

void aof__commit(persist_t *persist, bool atomic)
{
    aof_t *aof = persist->aof;
    bool wrap = atomic && aof->pending_count > 1;
    if (wrap) buf_append(&aof->buf, "*1\r\n$5\r\nMULTI\r\n", 15);
    buf_append(&aof->buf, aof->pending.ptr, aof->pending.len);
    if (wrap) buf_append(&aof->buf, "*1\r\n$4\r\nEXEC\r\n", 14);
    buf_clear(&aof->pending);
    if (aof->pending.cap > AOF_KEEP_BUF_BYTES_MAX) buf_deinit(&aof->pending);
    aof->pending_count = 0;
    if (UNLIKELY(aof->buf.len >= aof->early_bytes)) aof__write_early(aof);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

char *aof__path(const aof_t *aof, const char *name)
{
    size_t bytes = strlen(aof->dir) + strlen(name) + 2;
    char *path = mem_alloc(bytes);
    snprintf(path, bytes, "%s/%s", aof->dir, name);
    return path;
}

/* What is on its way to the files. */
static size_t buffer_bytes(void *user)
{
    const aof_t *aof = user;
    return aof->buf.cap + aof->pending.cap + data_file__buffer_bytes(&aof->rewrite.out);
}

aof_t *aof__new(persist_t *persist)
{
    aof_t *aof = mem_zalloc(sizeof(*aof));
    aof->persist = persist;
    aof->selected_db = -1;
    aof->early_bytes = AOF_KEEP_BUF_BYTES_MAX;
    size_t bytes = strlen(persist->data_dir) + strlen(persist->config->appenddirname) + 2;
    aof->dir = mem_alloc(bytes);
    snprintf(aof->dir, bytes, "%s/%s", persist->data_dir, persist->config->appenddirname);
    aof->hook = (io_hook_t){.rank = HOOK_RANK, .name = "redis append-only file", .run = aof__turn};
    io_hook_add(persist->loop, &aof->hook);
    aof->listener = (db_listener_t){
        .name = "append-only file", .rank = DB_RANK_PERSIST, .gone = on_gone, .fields_gone = on_fields_gone};
    db_listen(&persist->keyspace->announce, &aof->listener);
    db_want(&persist->keyspace->announce, &aof->listener, DB_GONE | DB_FIELDS_GONE);
    evict__uncounted_add(persist->keyspace, buffer_bytes, aof);
    aof->rewrite.last_ok = true;
    aof->rewrite.last_seconds = -1;
    return aof;
}

void aof__free(aof_t *aof)
{
    aof__rewrite_abort(aof);
    db_unlisten(&aof->persist->keyspace->announce, &aof->listener);
    evict__uncounted_remove(aof->persist->keyspace, aof);
    io_hook_remove(&aof->hook);
    if (aof->file) io_file_close(aof->file);
    aof__manifest_clear(&aof->manifest);
    buf_deinit(&aof->buf);
    buf_deinit(&aof->pending);
    io_reserve_deinit(&aof->reserve);
    mem_free(aof->dir);
    mem_free(aof);
}

int aof__open(persist_t *persist, char *err_text_out, size_t err_bytes)
{
    aof_t *aof = persist->aof;
    int err = io_mkdir(persist->loop, aof->dir);
    if (err) {
        snprintf(err_text_out, err_bytes, "%s: %s", aof->dir, err_text(err));
        return err;
    }
    err = aof__manifest_read(aof, err_text_out, err_bytes);
    if (!err) err = aof__adopt(aof, err_text_out, err_bytes);
    if (!err) err = aof__survey(aof, err_text_out, err_bytes);
    if (!err) err = aof__sizes_read(aof);
    return err;
}

void aof__opened(persist_t *persist)
{
    aof_t *aof = persist->aof;
    aof__sizes_write(aof);
    aof->rewritten_bytes = aof->base_bytes + aof->old_incr_bytes + aof->file_bytes;
    aof->enabled = true;
    aof__keep_room(aof);
}

bool aof__is_new(const persist_t *persist) { return persist->aof->manifest.count == 0; }

int aof__close(persist_t *persist)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return 0;
    aof__rewrite_abort(aof);
    int err = aof__flush(persist);
    aof->enabled = false;
    return err;
}

int aof__reload(persist_t *persist, char *err_out, size_t err_bytes)
{
    aof_t *aof = persist->aof;
    bool was_on = aof->enabled;
    if (!was_on && aof->manifest.count == 0) {
        snprintf(err_out, err_bytes, "the append-only file is off");
        return ERR_STATE;
    }
    aof__rewrite_abort(aof);
    if (was_on) aof__write(aof, false);
    if (aof->file) io_file_close(aof->file);
    aof->file = NULL;
    aof->syncing = aof->enabled = false;
    aof->base_bytes = aof->old_incr_bytes = aof->file_bytes = 0;
    for (int i = 0; i < persist->keyspace->db_count; i++) (void)db__empty(&persist->keyspace->dbs[i], NULL, false);
    int err = aof__load(aof, err_out, err_bytes);
    aof->enabled = was_on && aof->file != NULL;
    aof->selected_db = -1;
    return err;
}

/* Turned on while running: what is in memory becomes the base by a rewrite. Until that is done an incremental
 * file would be a change to something else, so the manifest on disk stays as it was. */
int aof__enable(persist_t *persist)
{
    aof_t *aof = persist->aof;
    aof->once = false;
    if (aof->enabled) return 0;
    int err = io_mkdir(persist->loop, aof->dir);
    if (err) return err;
    char text[256];
    if (aof->manifest.count == 0 && (err = aof__manifest_read(aof, text, sizeof(text)))) return err;
    aof->unlisted = true;
    err = aof__new_increment(aof);
    if (err) return err;
    aof->enabled = true;
    aof->rewrite.scheduled = true;
    aof__keep_room(aof);
    return 0;
}

void aof__disable(persist_t *persist)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return;
    aof__rewrite_abort(aof);
    aof->rewrite.scheduled = false;
    aof__write(aof, true);
    aof->enabled = aof->once = false;
    aof__forget_failure(aof);
}

aof_info_t aof__info(const persist_t *persist)
{
    const aof_t *aof = persist->aof;
    const aof_rewrite_t *r = &aof->rewrite;
    return (aof_info_t){
        .enabled = aof->enabled,
        .rewriting = r->active,
        .scheduled = r->scheduled,
        .last_rewrite_ok = r->last_ok,
        .last_write_ok = aof->failure[0] == '\0',
        .sync_pending = aof->syncing,
        .current_bytes = aof->base_bytes + aof->old_incr_bytes + aof->file_bytes,
        .base_bytes = aof->rewritten_bytes,
        .buffer_bytes = aof->buf.len,
        .rewrites = r->done_count,
        .delayed_syncs = aof->delayed_syncs,
        .last_rewrite_s = r->last_seconds,
        .current_rewrite_s = r->active ? (persist->keyspace->now_ms - r->started_ms) / 1000 : -1,
    };
}

/* ---- what the outside adds ------------------------------------------------------------------------------------------- */

void aof__feed_alone(persist_t *persist, int argc, const bytes_t *argv)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return;
    redis_append_command(&aof->buf, argc, argv); /* beside what a paused script has gathered, which stays whole */
    io_loop_wake(persist->loop);
}

void aof__feed_too(persist_t *persist, int argc, const bytes_t *argv)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return;
    redis_append_command(&aof->pending, argc, argv);
    aof->pending_count++;
}

bool aof__is_written(const persist_t *persist)
{
    const aof_t *aof = persist->aof;
    if (!aof->enabled) return true;
    if (aof->pending_count || aof->buf.len) return false;
    return persist->config->appendfsync != FSYNC_ALWAYS || aof->synced_bytes >= aof->file_bytes;
}

void redis_base_write(redis_base_t *base, int argc, const bytes_t *argv)
{
    emit_command(base, (size_t)argc);
    for (int i = 0; i < argc; i++) emit_bytes(base, argv[i]);
}

void redis_append_command(buf_t *out, int argc, const bytes_t *argv)
{
    redis_emitter_t e = {out};
    redis_base_write(&e, argc, argv);
}
