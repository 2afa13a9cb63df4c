/* snapshot.c: see snapshot.h. A snapshot is written under another name, made durable, and then takes its place: whenever the machine
 * stops, the file is a whole one, the old or the new. */
#include "redis/persist/snapshot.h"
#include "redis/persist/aof.h"
#include "redis/persist/data_file.h"
#include "redis/persist/persist.h"
#include "redis/persist/walk.h"

#include "base/slog.h"

#include <stdio.h>

#define RETRY_MS 5000 /* after one that failed */

struct snapshots {
    persist_t *persist;
    snapshot_info_t info;
    uint64_t dirty_at_save; /* persist->dirty when the last one was begun that was written */
    int64_t tried_ms;
    /* in the background */
    bool active, scheduled;
    data_file_t out;
    walk_user_t walk;
    io_sync_t sync;
    int64_t started_ms;
    uint64_t dirty_at_start;
};

snapshots_t *snapshot__new(persist_t *persist)
{
    snapshots_t *s = mem_zalloc(sizeof(*s));
    s->persist = persist;
    s->info = (snapshot_info_t){.last_save_s = persist->keyspace->now_ms / 1000, .last_ok = true, .last_seconds = -1};
    return s;
}

static char *path_of(const persist_t *persist, const char *name)
{
    size_t bytes = strlen(persist->config->dir) + strlen(name) + 2;
    char *path = mem_alloc(bytes);
    snprintf(path, bytes, "%s/%s", persist->config->dir, name);
    return path;
}

char *snapshot__path(const persist_t *persist) { return path_of(persist, persist->config->dbfilename); }

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static int put_in_place(persist_t *persist, data_file_t *f)
{
    char *path = snapshot__path(persist);
    int err = io_rename(persist->loop, f->path, path);
    mem_free(path);
    if (err) return err;
    mem_free(f->path);
    f->path = NULL;
    return io_sync_dir(persist->loop, persist->config->dir);
}

static void saved(snapshots_t *s, uint64_t dirty, int err)
{
    persist_t *persist = s->persist;
    s->info.last_ok = !err;
    s->tried_ms = persist->keyspace->now_ms;
    persist->host->gate(persist);
    if (err) {
        health_raise(persist->health, "snapshot", "the snapshot %s cannot be written: %s", persist->config->dbfilename,
                     err_text(err));
        return;
    }
    health_clear(persist->health, "snapshot");
    s->info.last_save_s = persist->keyspace->now_ms / 1000;
    s->info.saves++;
    s->dirty_at_save = dirty;
    slog(SLOG_INFO, "redis", "snapshot written", "file=%s", persist->config->dbfilename);
}

static int open_file(persist_t *persist, const char *temp, data_file_t *f)
{
    int err = io_mkdir(persist->loop, persist->config->dir);
    return err ? err : data_file__open(f, persist, path_of(persist, temp), DATA_RDB);
}

/* ---- at once --------------------------------------------------------------------------------------------------------- */

typedef struct writing {
    data_file_t *file;
    redis_db_t *db;
} writing_t;

static void put_entry(void *user, void *entry)
{
    writing_t *w = user;
    if (!entry_is_expired(entry, w->db->keyspace->now_ms)) data_file__put(w->file, w->db, entry);
}

static int write_all(persist_t *persist)
{
    data_file_t f;
    int err = open_file(persist, "temp-save.rdb", &f);
    if (err) return err;
    for (int i = 0; i < persist->keyspace->db_count; i++) {
        writing_t w = {&f, &persist->keyspace->dbs[i]};
        table_each(&w.db->keys, put_entry, &w);
    }
    err = data_file__end(&f);
    if (!err) err = io_file_sync_now(f.file);
    if (!err) err = put_in_place(persist, &f);
    data_file__close(&f);
    return err;
}

int snapshot__save(persist_t *persist)
{
    snapshots_t *s = persist->snapshots;
    if (s->active) return ERR_BUSY;
    uint64_t dirty = persist->dirty;
    int err = write_all(persist);
    saved(s, dirty, err);
    return err;
}

/* ---- in the background ----------------------------------------------------------------------------------------------- */

static snapshots_t *of_walk(walk_user_t *u) { return CONTAINER_OF(u, snapshots_t, walk); }

static void stop(snapshots_t *s)
{
    walk__stop(s->persist, &s->walk);
    data_file__close(&s->out);
    s->active = false;
}

void snapshot__free(snapshots_t *s)
{
    stop(s);
    mem_free(s);
}

static void finish(snapshots_t *s, int err)
{
    stop(s);
    s->info.last_seconds = (s->persist->keyspace->now_ms - s->started_ms) / 1000;
    saved(s, s->dirty_at_start, err);
}

static void put(walk_user_t *u, const redis_db_t *db, const redis_entry_t *e)
{
    data_file__put(&of_walk(u)->out, db, e);
}

static void stepped(walk_user_t *u)
{
    if (of_walk(u)->out.err) finish(of_walk(u), of_walk(u)->out.err);
}

static void on_synced(io_sync_t *sync, int err)
{
    snapshots_t *s = CONTAINER_OF(sync, snapshots_t, sync);
    finish(s, err ? err : put_in_place(s->persist, &s->out));
}

static void ended(walk_user_t *u)
{
    snapshots_t *s = of_walk(u);
    int err = data_file__end(&s->out);
    if (err)
        finish(s, err);
    else
        io_file_sync(s->out.file, &s->sync, on_synced);
}

static void interrupted(walk_user_t *u)
{
    stop(of_walk(u));
    of_walk(u)->scheduled = true;
}

int snapshot__begin(persist_t *persist)
{
    snapshots_t *s = persist->snapshots;
    ASSERT(!s->active && !walk__is_active(persist));
    s->scheduled = false;
    s->started_ms = persist->keyspace->now_ms;
    s->dirty_at_start = persist->dirty;
    int err = open_file(persist, "temp-bgsave.rdb", &s->out);
    if (err) {
        saved(s, persist->dirty, err);
        return err;
    }
    s->active = true;
    s->walk = (walk_user_t){put, stepped, ended, interrupted};
    walk__start(persist, &s->walk);
    return 0;
}

void snapshot__schedule(persist_t *persist) { persist->snapshots->scheduled = true; }

bool snapshot__cancel(persist_t *persist)
{
    snapshots_t *s = persist->snapshots;
    bool was = s->active || s->scheduled;
    s->scheduled = false;
    if (s->active) {
        stop(s);
        slog(SLOG_INFO, "redis", "snapshot cancelled", "file=%s", persist->config->dbfilename);
    }
    return was;
}

/* ---- when it is due -------------------------------------------------------------------------------------------------- */

static bool is_due(const snapshots_t *s)
{
    const redis_save_points_t *points = &s->persist->config->save;
    uint64_t changes = s->persist->dirty - s->dirty_at_save;
    int64_t age_s = s->persist->keyspace->now_ms / 1000 - s->info.last_save_s;
    if (!s->info.last_ok && s->persist->keyspace->now_ms - s->tried_ms < RETRY_MS) return false;
    for (size_t i = 0; i < points->count; i++)
        if (changes >= MAX(points->at[i].changes, (uint64_t)1) && age_s > (int64_t)points->at[i].seconds) return true;
    return false;
}

void snapshot__cron(persist_t *persist)
{
    snapshots_t *s = persist->snapshots;
    if (persist->keyspace->loading || s->active || walk__is_active(persist) || persist->host->is_midway(persist))
        return;
    if ((s->scheduled || is_due(s)) && snapshot__begin(persist))
        slog(SLOG_WARN, "redis", "the snapshot that is due could not be begun", "file=%s", persist->config->dbfilename);
}

const char *snapshot__failure(const persist_t *persist)
{
    const redis_config_t *c = persist->config;
    bool refuses = c->stop_writes_on_bgsave_error && c->save.count > 0 && !persist->snapshots->info.last_ok;
    return refuses
               ? "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. "
                 "Commands that may modify the data set are disabled, because this instance is configured to report "
                 "errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check "
                 "the Redis logs for details about the RDB error."
               : NULL;
}

int snapshot__reload(persist_t *persist, bool flush, bool merge, char *err_out, size_t err_bytes)
{
    io_file_t *file;
    rdb_loaded_t loaded;
    char *path = snapshot__path(persist);
    int err = io_file_open(persist->loop, path, IO_FILE_READ, &file);
    if (err) {
        snprintf(err_out, err_bytes, "%s: %s", path, err_text(err));
    } else {
        for (int i = 0; flush && i < persist->keyspace->db_count; i++)
            (void)db__empty(&persist->keyspace->dbs[i], NULL, false);
        persist->keyspace->loading = true;
        unsigned flags = RDB_LOAD_KEYS_ONLY | RDB_LOAD_BASE | (merge ? RDB_LOAD_REPLACE : 0);
        err = rdb__load(persist, file, path, flags, &loaded, err_out, err_bytes);
        persist->keyspace->loading = false;
        io_file_close(file);
    }
    mem_free(path);
    return err;
}

void snapshot__loaded(persist_t *persist, uint64_t keys, uint64_t expired)
{
    persist->snapshots->info.loaded_keys = keys;
    persist->snapshots->info.loaded_expired = expired;
    persist->snapshots->dirty_at_save = persist->dirty;
}

snapshot_info_t snapshot__info(const persist_t *persist)
{
    snapshot_info_t info = persist->snapshots->info;
    const snapshots_t *s = persist->snapshots;
    info.changes = persist->dirty - s->dirty_at_save;
    info.active = s->active;
    info.scheduled = s->scheduled;
    info.current_seconds = s->active ? (persist->keyspace->now_ms - s->started_ms) / 1000 : -1;
    return info;
}
