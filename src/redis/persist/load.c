/* load.c: what the disk has, read at start in steps: the append-only file, or with it off the snapshot. An append-only file that is
 * new begins with the snapshot that lies there: whoever brings a dump.rdb, or turns the file on, keeps his data. */
#include "redis/persist/aof.h"
#include "redis/persist/rdb.h"
#include "redis/persist/snapshot.h"
#include "redis/redis.h"
#include "redis/state.h"

#include "base/slog.h"

#include <stdio.h>

struct redis_loading {
    aof_loader_t *aof;
    rdb_loader_t *rdb;
    io_file_t *file; /* the snapshot */
    char *path;
};

static void loading_free(redis_t *redis)
{
    redis_loading_t *l = redis->loading_state;
    if (l->aof) aof__loader_free(l->aof);
    if (l->rdb) rdb__loader_free(l->rdb);
    if (l->file) io_file_close(l->file);
    mem_free(l->path);
    mem_free(l);
    redis->loading_state = NULL;
    redis->keyspace.loading = false;
}

void load__abort(redis_t *redis)
{
    if (redis->loading_state) loading_free(redis);
}

/* ---- the snapshot ---------------------------------------------------------------------------------------------------- */

static int open_file(redis_loading_t *l, redis_t *redis, char *path)
{
    mem_free(l->path);
    l->path = path;
    return io_file_open(redis->loop, path, IO_FILE_READ, &l->file);
}

/* In the wing's folder, or where somebody put it: in the data directory itself. */
static int open_snapshot(redis_loading_t *l, redis_t *redis, char *err_out, size_t err_bytes)
{
    const char *name = redis->config->dbfilename;
    size_t bytes = strlen(redis->data_dir) + strlen(name) + 5;
    char *above = mem_alloc(bytes);
    snprintf(above, bytes, "%s/../%s", redis->data_dir, name);
    int err = open_file(l, redis, snapshot__path(redis));
    if (err == ERR_NOT_FOUND)
        err = open_file(l, redis, above);
    else
        mem_free(above);
    if (err == ERR_NOT_FOUND || err == ERR_NOT_DIR) return 0;
    if (err) {
        snprintf(err_out, err_bytes, "%s: %s", l->path, err_text(err));
        return err;
    }
    uint64_t size;
    if (io_file_size(l->file, &size) == 0 && size > 0) l->rdb = rdb__loader_new(redis, l->file, l->path, 0);
    return 0;
}

static void snapshot_read(redis_t *redis)
{
    redis_loading_t *l = redis->loading_state;
    rdb_loaded_t loaded = rdb__loader_result(l->rdb);
    rdb__loader_free(l->rdb);
    l->rdb = NULL;
    snapshot__loaded(redis, loaded.keys, loaded.expired);
    slog(SLOG_INFO, "redis", "snapshot read", "file=%s keys=%" PRIu64 " expired=%" PRIu64 " empty=%" PRIu64, l->path,
         loaded.keys, loaded.expired, loaded.empty);
}

/* ---- all ------------------------------------------------------------------------------------------------------------- */

static int begin(redis_t *redis, char *err_out, size_t err_bytes)
{
    redis_loading_t *l = mem_zalloc(sizeof(*l));
    redis->loading_state = l;
    redis->keyspace.loading = true;
    exec__update_gate(redis);
    int err = io_mkdir(redis->loop, redis->data_dir);
    if (err) {
        snprintf(err_out, err_bytes, "%s: %s", redis->data_dir, err_text(err));
        return err;
    }
    if (redis->config->appendonly) err = aof__open(redis, err_out, err_bytes);
    if (err) return err;
    if (!redis->config->appendonly || aof__is_new(redis)) err = open_snapshot(l, redis, err_out, err_bytes);
    return err;
}

/* Once the snapshot, if there was one to read, is in memory. */
static int step_aof(redis_t *redis, bool *ret_done, char *err_out, size_t err_bytes)
{
    redis_loading_t *l = redis->loading_state;
    if (!l->aof && l->file) {
        int err = aof__begin_with(redis, l->file);
        if (err) {
            snprintf(err_out, err_bytes, "%s cannot become the append-only file's base: %s", l->path, err_text(err));
            return err;
        }
        aof__opened(redis);
        *ret_done = true;
        return 0;
    }
    if (!l->aof) l->aof = aof__loader_new(redis->aof);
    int err = aof__loader_step(l->aof, ret_done, err_out, err_bytes);
    if (!err && *ret_done) aof__opened(redis);
    return err;
}

static int step(redis_t *redis, bool *ret_done, char *err_out, size_t err_bytes)
{
    redis_loading_t *l = redis->loading_state;
    bool read = false;
    if (l->rdb) {
        char why[RDB_SENTENCE_CHARS_MAX];
        int err = rdb__loader_step(l->rdb, &read, why, sizeof(why));
        if (err) snprintf(err_out, err_bytes, "%s. Mend it, or move it away to begin without it", why);
        if (!err && read) snapshot_read(redis);
        return err;
    }
    if (redis->config->appendonly) return step_aof(redis, ret_done, err_out, err_bytes);
    *ret_done = true;
    return 0;
}

int redis_load_step(redis_t *redis, bool *ret_done, char *err_out, size_t err_bytes)
{
    *ret_done = false;
    redis->keyspace.now_ms = io_wall_ms(redis->loop);
    int err = redis->loading_state ? step(redis, ret_done, err_out, err_bytes) : begin(redis, err_out, err_bytes);
    if (err || *ret_done) {
        loading_free(redis);
        exec__update_gate(redis);
    }
    return err;
}

int redis_load(redis_t *redis, char *err_out, size_t err_bytes)
{
    bool done = false;
    int err = 0;
    while (!err && !done) err = redis_load_step(redis, &done, err_out, err_bytes);
    return err;
}
