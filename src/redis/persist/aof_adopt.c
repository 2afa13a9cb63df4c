/* aof_adopt.c: the append-only file of a Redis before 7, which was one file beside appendonlydir. As a later Redis does, the
 * start makes it the base of a new list: the manifest names it first, then it moves, so that a start which ends between the two
 * goes on where that one was. */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"

#include "base/slog.h"

#include <stdio.h>

static char *old_path(const aof_t *aof)
{
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/%s", aof->persist->data_dir, aof->persist->config->appendfilename);
    char *text = mem_strndup(buf_bytes(&path));
    buf_deinit(&path);
    return text;
}

bool aof__has_old(const aof_t *aof)
{
    io_file_t *file;
    uint64_t bytes = 0;
    char *path = old_path(aof);
    int err = io_file_open(aof->persist->loop, path, IO_FILE_READ, &file);
    mem_free(path);
    if (err) return false;
    if (io_file_size(file, &bytes) != 0) bytes = 0;
    io_file_close(file);
    return bytes > 0;
}

static bool names_old_alone(const aof_t *aof)
{
    const aof_manifest_t *m = &aof->manifest;
    return m->count == 1 && strcmp(m->parts[0].name, aof->persist->config->appendfilename) == 0;
}

static int move_in(aof_t *aof)
{
    io_loop_t *loop = aof->persist->loop;
    char *from = old_path(aof), *to = aof__path(aof, aof->persist->config->appendfilename);
    int err = io_exists(loop, to) ? 0 : io_rename(loop, from, to);
    if (!err) err = io_sync_dir(loop, aof->dir);
    if (!err) err = io_sync_dir(loop, aof->persist->data_dir);
    if (!err)
        slog(SLOG_INFO, "redis", "the append-only file of an older Redis is the base of the new one", "from=%s to=%s",
             from, to);
    mem_free(from);
    mem_free(to);
    return err;
}

int aof__adopt(aof_t *aof, char *err_out, size_t err_bytes)
{
    int err = 0;
    if (aof->manifest.count == 0 && aof__has_old(aof)) {
        aof__manifest_add_base(aof, aof->persist->config->appendfilename);
        err = aof__manifest_write(aof);
    }
    if (!err && names_old_alone(aof) && aof__has_old(aof)) err = move_in(aof);
    if (err)
        snprintf(err_out, err_bytes, "%s/%s, of a Redis before 7, cannot become the base of %s: %s",
                 aof->persist->data_dir, aof->persist->config->appendfilename, aof->dir, err_text(err));
    return err;
}
