/* aof_load.c: the append-only file read back, some commands a step, so that whoever asks meanwhile is told that the data set is
 * being loaded. A file that ends in the middle of a command or of a transaction is cut there (aof-load-truncated), if it is the
 * last one. A base may be an RDB file, and commands may follow in it.
 *
 *   next part --> [RDB file] --> commands --> end of the file: cut, sizes checked --> next part ... --> done */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"
#include "redis/persist/rdb.h"
#include "redis/persist/replay.h"

#include "base/slog.h"

#include <stdio.h>
#include <string.h>

#define READ_BYTES    MIB(1)
#define STEP_NS       5000000u /* a step goes on for so long */
#define STEP_COMMANDS 256

struct aof_loader {
    aof_t *aof;
    size_t part; /* of the manifest */
    /* of the file that is open */
    io_file_t *file;
    bool begun, ended;
    rdb_loader_t *rdb; /* what the file begins with */
    replay_t replay;
    uint64_t read_bytes; /* of it, into the replay */
    uint64_t cut_bytes;  /* an unfinished command that was dropped */
    uint64_t commands;   /* of all files */
    char *err;
    size_t err_bytes;
};

static aof_part_t *part_of(const aof_loader_t *l) { return &l->aof->manifest.parts[l->part]; }
static bool is_last(const aof_loader_t *l) { return l->part + 1 == l->aof->manifest.count; }

static int refuse(aof_loader_t *l, int err, const char *what)
{
    snprintf(l->err, l->err_bytes, "%s/%s at byte %" PRIu64 ": %s", l->aof->dir, part_of(l)->name, l->replay.done_bytes,
             what);
    return err;
}

/* ---- the end of a file ----------------------------------------------------------------------------------------------- */

/* What is cut stays beside the file; on a full disk half a command is not worth that nothing starts. */
static int keep_copy(aof_loader_t *l, uint64_t from)
{
    char name[300];
    snprintf(name, sizeof(name), "%s.cut-%" PRIu64, part_of(l)->name, from);
    char *path = aof__path(l->aof, name);
    int err = io_copy_tail(l->aof->persist->loop, l->file, from, l->read_bytes, path);
    mem_free(path);
    return err == ERR_NOSPACE ? 0 : err;
}

/* The file ended inside a command or a transaction. */
static int cut_tail(aof_loader_t *l)
{
    replay_t *r = &l->replay;
    const char *name = part_of(l)->name;
    uint64_t keep = replay__is_queueing(r) ? r->multi_at : r->done_bytes;
    replay__discard(r);
    if (!is_last(l))
        return refuse(l, ERR_TRUNCATED, "the file ends in the middle of a command, and another follows it");
    if (!l->aof->persist->config->aof_load_truncated)
        return refuse(l, ERR_TRUNCATED,
                      "the file ends in the middle of a command (aof-load-truncated yes would cut it)");
    int err = keep_copy(l, keep);
    if (!err) err = aof__sizes_lower(l->aof, part_of(l), keep);
    if (!err) err = io_file_truncate(l->file, keep);
    slog(SLOG_WARN, "redis", "append-only file ended in the middle of a command: cut",
         "file=%s bytes=%" PRIu64 " cut=%" PRIu64 " copy=%s.cut-%" PRIu64, name, keep, l->read_bytes - keep, name,
         keep);
    l->cut_bytes = l->read_bytes - keep;
    r->done_bytes = keep;
    return err ? refuse(l, err, err_text(err)) : 0;
}

static int check_end(aof_loader_t *l)
{
    int err = replay__is_midway(&l->replay) ? cut_tail(l) : 0;
    if (err || l->cut_bytes) return err;
    return aof__sizes_check(l->aof, part_of(l), l->replay.done_bytes, l->err, l->err_bytes);
}

static void close_part(aof_loader_t *l)
{
    if (l->rdb) rdb__loader_free(l->rdb);
    if (l->file) {
        l->commands += l->replay.commands;
        replay__deinit(&l->replay);
        io_file_close(l->file);
    }
    l->file = NULL;
    l->rdb = NULL;
}

/* The last increment is the one that grows: the append-only file takes it. */
static void end_part(aof_loader_t *l)
{
    aof_t *aof = l->aof;
    char type = part_of(l)->type;
    uint64_t bytes = l->replay.done_bytes;
    if (type == 'b') aof->base_bytes = bytes;
    if (type == 'i' && is_last(l)) {
        aof->file = l->file;
        aof->file_bytes = aof->synced_bytes = bytes;
        l->commands += l->replay.commands;
        replay__deinit(&l->replay);
        l->file = NULL;
    } else if (type == 'i') {
        aof->old_incr_bytes += bytes;
    }
    close_part(l);
    l->part++;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static int open_part(aof_loader_t *l)
{
    aof_t *aof = l->aof;
    char *path = aof__path(aof, part_of(l)->name);
    int err = io_file_open(aof->persist->loop, path, IO_FILE_WRITE, &l->file);
    mem_free(path);
    l->begun = l->ended = false;
    l->read_bytes = l->cut_bytes = 0;
    if (err == ERR_NOT_FOUND) {
        snprintf(l->err, l->err_bytes, "%s/%s is not there, though %s.manifest names it. " AOF_ADVICE, aof->dir,
                 part_of(l)->name, aof->persist->config->appendfilename);
        return ERR_DAMAGED;
    }
    l->replay.done_bytes = 0;
    if (err) return refuse(l, err, err_text(err));
    replay__init(&l->replay, aof->persist);
    return 0;
}

static int read_more(aof_loader_t *l)
{
    buf_t *buf = &l->replay.buf;
    buf_reserve(buf, READ_BYTES);
    ssize_t n = io_file_read(l->file, l->read_bytes, buf->ptr + buf->len, READ_BYTES);
    if (n < 0) return refuse(l, (int)n, err_text((int)n));
    buf->len += (size_t)n;
    l->read_bytes += (uint64_t)n;
    l->ended = n == 0;
    return 0;
}

/* What the file begins with says what it is. */
static int begin(aof_loader_t *l)
{
    int err = read_more(l);
    if (err) return err;
    l->begun = true;
    if (!rdb__is_magic(l->replay.buf.ptr, l->replay.buf.len)) return 0;
    buf_clear(&l->replay.buf);
    l->rdb = rdb__loader_new(l->aof->persist, l->file, part_of(l)->name, RDB_LOAD_BASE);
    return 0;
}

static int step_rdb(aof_loader_t *l)
{
    bool done;
    char why[RDB_SENTENCE_CHARS_MAX];
    int err = rdb__loader_step(l->rdb, &done, why, sizeof(why));
    if (err) {
        snprintf(l->err, l->err_bytes, "%s/%s. " AOF_ADVICE, l->aof->dir, why);
        return err == ERR_NOMEM ? err : ERR_DAMAGED;
    }
    if (!done) return 0;
    l->replay.done_bytes = l->read_bytes = rdb__loader_result(l->rdb).bytes;
    rdb__loader_free(l->rdb);
    l->rdb = NULL;
    return 0;
}

static int step_commands(aof_loader_t *l)
{
    bool hungry;
    int err = replay__run(&l->replay, STEP_COMMANDS, &hungry);
    if (err) return refuse(l, err, l->replay.problem);
    if (hungry) err = read_more(l);
    if (err || !l->ended) return err;
    err = check_end(l);
    if (!err) end_part(l);
    return err;
}

static int step(aof_loader_t *l)
{
    if (!l->file && part_of(l)->type == 'h') {
        l->part++;
        return 0;
    }
    if (!l->file) return open_part(l);
    if (!l->begun) return begin(l);
    return l->rdb ? step_rdb(l) : step_commands(l);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

aof_loader_t *aof__loader_new(aof_t *aof)
{
    aof_loader_t *l = mem_zalloc(sizeof(*l));
    l->aof = aof;
    return l;
}

void aof__loader_free(aof_loader_t *l)
{
    close_part(l);
    mem_free(l);
}

/* All is read: the file to write to, which may be the first one. */
static int finish(aof_loader_t *l)
{
    aof_t *aof = l->aof;
    size_t count = aof->manifest.count;
    int err = 0;
    aof->loaded_commands += l->commands;
    if (count)
        slog(SLOG_INFO, "redis", "append-only file read", "dir=%s files=%zu bytes=%" PRIu64 " commands=%" PRIu64,
             aof->dir, count, aof->base_bytes + aof->old_incr_bytes + aof->file_bytes, l->commands);
    if (!aof->file && count == 0) err = aof__new_base(aof);
    if (!aof->file && !err) err = aof__new_increment(aof);
    if (err) snprintf(l->err, l->err_bytes, "%s: %s", aof->dir, err_text(err));
    return err;
}

int aof__loader_step(aof_loader_t *l, bool *ret_done, char *err_out, size_t err_bytes)
{
    persist_t *persist = l->aof->persist;
    uint64_t until = io_hrtime_ns(persist->loop) + STEP_NS;
    int err = 0;
    l->err = err_out;
    l->err_bytes = err_bytes;
    while (!err && l->part < l->aof->manifest.count && io_hrtime_ns(persist->loop) < until) err = step(l);
    *ret_done = !err && l->part == l->aof->manifest.count;
    return *ret_done ? finish(l) : err;
}

int aof__load(aof_t *aof, char *err_out, size_t err_bytes)
{
    aof_loader_t *l = aof__loader_new(aof);
    bool done = false;
    int err = 0;
    aof->persist->keyspace->loading = true;
    while (!err && !done) err = aof__loader_step(l, &done, err_out, err_bytes);
    aof->persist->keyspace->loading = false;
    aof__loader_free(l);
    return err;
}
