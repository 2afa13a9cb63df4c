/* load.c: what the disk has, read at start in steps: the append-only file, or with it off the snapshot. An append-only file that is
 * new begins with the snapshot that lies there: whoever brings a dump.rdb, or turns the file on, keeps his data. */
#include "redis/persist/load.h"
#include "redis/persist/aof.h"
#include "redis/persist/persist.h"
#include "redis/persist/rdb.h"
#include "redis/persist/snapshot.h"

#include "base/slog.h"

#include <stdio.h>

struct loading {
    aof_loader_t *aof;
    rdb_loader_t *rdb;
    io_file_t *file; /* the snapshot */
    char *path;
};

static void loading_free(persist_t *persist)
{
    loading_t *l = persist->loading;
    if (l->aof) aof__loader_free(l->aof);
    if (l->rdb) rdb__loader_free(l->rdb);
    if (l->file) io_file_close(l->file);
    mem_free(l->path);
    mem_free(l);
    persist->loading = NULL;
    persist->keyspace->loading = false;
}

void load__abort(persist_t *persist)
{
    if (persist->loading) loading_free(persist);
}

/* ---- the snapshot ---------------------------------------------------------------------------------------------------- */

static int open_file(loading_t *l, persist_t *persist, char *path)
{
    mem_free(l->path);
    l->path = path;
    return io_file_open(persist->loop, path, IO_FILE_READ, &l->file);
}

/* In the wing's folder, or where somebody put it: in the data directory itself. */
static int open_snapshot(loading_t *l, persist_t *persist, char *err_out, size_t err_bytes)
{
    const char *name = persist->config->dbfilename;
    size_t bytes = strlen(persist->data_dir) + strlen(name) + 5;
    char *above = mem_alloc(bytes);
    snprintf(above, bytes, "%s/../%s", persist->data_dir, name);
    int err = open_file(l, persist, snapshot__path(persist));
    if (err == ERR_NOT_FOUND)
        err = open_file(l, persist, above);
    else
        mem_free(above);
    if (err == ERR_NOT_FOUND || err == ERR_NOT_DIR) return 0;
    if (err) {
        snprintf(err_out, err_bytes, "%s: %s", l->path, err_text(err));
        return err;
    }
    uint64_t size;
    if (io_file_size(l->file, &size) == 0 && size > 0) l->rdb = rdb__loader_new(persist, l->file, l->path, 0);
    return 0;
}

static void snapshot_read(persist_t *persist)
{
    loading_t *l = persist->loading;
    rdb_loaded_t loaded = rdb__loader_result(l->rdb);
    rdb__loader_free(l->rdb);
    l->rdb = NULL;
    snapshot__loaded(persist, loaded.keys, loaded.expired);
    slog(SLOG_INFO, "redis", "snapshot read", "file=%s keys=%" PRIu64 " expired=%" PRIu64 " empty=%" PRIu64, l->path,
         loaded.keys, loaded.expired, loaded.empty);
}

/* ---- all ------------------------------------------------------------------------------------------------------------- */

static int begin(persist_t *persist, char *err_out, size_t err_bytes)
{
    loading_t *l = mem_zalloc(sizeof(*l));
    persist->loading = l;
    persist->keyspace->loading = true;
    persist->host->gate(persist);
    int err = io_mkdir(persist->loop, persist->data_dir);
    if (err) {
        snprintf(err_out, err_bytes, "%s: %s", persist->data_dir, err_text(err));
        return err;
    }
    if (persist->config->appendonly) err = aof__open(persist, err_out, err_bytes);
    if (err) return err;
    if (!persist->config->appendonly || aof__is_new(persist)) err = open_snapshot(l, persist, err_out, err_bytes);
    return err;
}

/* Once the snapshot, if there was one to read, is in memory. */
static int step_aof(persist_t *persist, bool *ret_done, char *err_out, size_t err_bytes)
{
    loading_t *l = persist->loading;
    if (!l->aof && l->file) {
        int err = aof__begin_with(persist, l->file);
        if (err) {
            snprintf(err_out, err_bytes, "%s cannot become the append-only file's base: %s", l->path, err_text(err));
            return err;
        }
        aof__opened(persist);
        *ret_done = true;
        return 0;
    }
    if (!l->aof) l->aof = aof__loader_new(persist->aof);
    int err = aof__loader_step(l->aof, ret_done, err_out, err_bytes);
    if (!err && *ret_done) aof__opened(persist);
    return err;
}

static int step(persist_t *persist, bool *ret_done, char *err_out, size_t err_bytes)
{
    loading_t *l = persist->loading;
    bool read = false;
    if (l->rdb) {
        char why[RDB_SENTENCE_CHARS_MAX];
        int err = rdb__loader_step(l->rdb, &read, why, sizeof(why));
        if (err) snprintf(err_out, err_bytes, "%s. Mend it, or move it away to begin without it", why);
        if (!err && read) snapshot_read(persist);
        return err;
    }
    if (persist->config->appendonly) return step_aof(persist, ret_done, err_out, err_bytes);
    *ret_done = true;
    return 0;
}

int load__step(persist_t *persist, bool *ret_done, char *err_out, size_t err_bytes)
{
    *ret_done = false;
    persist->keyspace->now_ms = io_wall_ms(persist->loop);
    int err = persist->loading ? step(persist, ret_done, err_out, err_bytes) : begin(persist, err_out, err_bytes);
    if (err || *ret_done) {
        loading_free(persist);
        persist->host->gate(persist);
    }
    return err;
}
