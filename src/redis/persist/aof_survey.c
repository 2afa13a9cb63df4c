/* aof_survey.c: before the append-only file is read: is there data that it does not name? The manifest decides what is read, so
 * without it, or with one that says less than there is, a start would serve less and write over the rest.
 *
 *   redis/appendonlydir/appendonly.aof.7.incr.aof     no manifest, or one that ends at 6: refused
 *   redis/appendonlydir/appendonly.aof.2.base.aof     a rewrite that was cut short just before its manifest: passed over
 *   redis/appendonly.aof, or in the data directory    another server's, older than the manifest: refused when there is nothing of
 *   appendonlydir/ in the data directory              ours
 *
 * Empty files say nothing and are passed over. */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"

#include "base/num.h"
#include "base/slog.h"

#include <stdio.h>
#include <string.h>

typedef struct survey {
    aof_t *aof;
    uint64_t base_seq, incr_seq; /* the highest of files that hold something */
    char data_file[300];         /* one that holds something and is not named */
    char later_file[300];        /* and whose number says that it came after all that are */
    uint32_t passed_over;
} survey_t;

static bool named(const aof_manifest_t *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->parts[i].name, name) == 0) return true;
    return false;
}

char aof__kind_of(const aof_t *aof, const char *name, uint64_t *ret_seq)
{
    const char *prefix = aof->persist->config->appendfilename;
    size_t n = strlen(prefix);
    int64_t seq;
    if (strncmp(name, prefix, n) != 0 || name[n] != '.') return 0;
    const char *digits = name + n + 1, *dot = strchr(digits, '.');
    if (!dot || !num_parse_i64(bytes_of(digits, (size_t)(dot - digits)), &seq) || seq <= 0) return 0;
    *ret_seq = (uint64_t)seq;
    if (strcmp(dot, ".incr.aof") == 0) return 'i';
    return strcmp(dot, ".base.aof") == 0 || strcmp(dot, ".base.rdb") == 0 ? 'b' : 0;
}

static uint64_t bytes_of_file(aof_t *aof, const char *path)
{
    io_file_t *file;
    uint64_t bytes = 0;
    if (io_file_open(aof->persist->loop, path, IO_FILE_READ, &file) != 0) return 0;
    if (io_file_size(file, &bytes) != 0) bytes = 0;
    io_file_close(file);
    return bytes;
}

static void look_at(void *user, const char *name, bool is_dir)
{
    survey_t *s = user;
    uint64_t seq;
    char kind = is_dir ? 0 : aof__kind_of(s->aof, name, &seq);
    if (kind == 0) return;
    if (kind == 'b') s->base_seq = MAX(s->base_seq, seq);
    if (kind == 'i') s->incr_seq = MAX(s->incr_seq, seq);
    if (named(&s->aof->manifest, name)) return;
    char *path = aof__path(s->aof, name);
    bool holds = bytes_of_file(s->aof, path) > 0;
    mem_free(path);
    if (!holds) return;
    s->passed_over++;
    snprintf(s->data_file, sizeof(s->data_file), "%s", name);
    if (kind == 'i' && seq > s->aof->manifest.incr_seq) snprintf(s->later_file, sizeof(s->later_file), "%s", name);
}

static int refuse_passed_over(const survey_t *s, char *err_out, size_t err_bytes)
{
    const aof_t *aof = s->aof;
    const char *base = aof->persist->config->appendfilename;
    if (s->aof->manifest.count == 0 && s->passed_over > 0) {
        snprintf(
            err_out, err_bytes,
            "%s holds data (%u files, %s among them), but %s.manifest, which says what of it counts, is missing or "
            "names nothing. " AOF_ADVICE,
            aof->dir, s->passed_over, s->data_file, base);
        return ERR_DAMAGED;
    }
    if (s->later_file[0]) {
        snprintf(err_out, err_bytes,
                 "%s/%s holds data, but %s.manifest does not name it: it may be an older manifest. " AOF_ADVICE,
                 aof->dir, s->later_file, base);
        return ERR_DAMAGED;
    }
    return 0;
}

/* ---- of other servers ----------------------------------------------------------------------------------------------- */

static int refuse_file(aof_t *aof, const char *dir, const char *name, const char *what, char *err_out, size_t err_bytes)
{
    char path[4096];
    snprintf(path, sizeof(path), "%.3500s/%.500s", dir, name);
    if (bytes_of_file(aof, path) == 0) return 0;
    snprintf(err_out, err_bytes, "%s is %s", path, what);
    return ERR_UNSUPPORTED;
}

static int refuse_old_aof(aof_t *aof, const char *dir, char *err_out, size_t err_bytes)
{
    return refuse_file(aof, dir, aof->persist->config->appendfilename,
                       "the append-only file of a Redis before 7, and is looked for one folder further in, in redis: "
                       "move it there, or "
                       "away to begin empty",
                       err_out, err_bytes);
}

static int refuse_foreign_dir(aof_t *aof, const char *above, char *err_out, size_t err_bytes)
{
    char path[4096];
    const redis_config_t *c = aof->persist->config;
    snprintf(path, sizeof(path), "%.3000s/%.500s/%.500s.manifest", above, c->appenddirname, c->appendfilename);
    if (!io_exists(aof->persist->loop, path)) return 0;
    snprintf(err_out, err_bytes,
             "%s/%s is the append-only file of a Redis, and is looked for in %s: move it there, or away to begin empty",
             above, c->appenddirname, aof->dir);
    return ERR_UNSUPPORTED;
}

static int refuse_foreign(aof_t *aof, char *err_out, size_t err_bytes)
{
    char above[4096];
    snprintf(above, sizeof(above), "%.4000s/..", aof->persist->data_dir);
    int err = refuse_old_aof(aof, above, err_out, err_bytes);
    return err ? err : refuse_foreign_dir(aof, above, err_out, err_bytes);
}

int aof__survey(aof_t *aof, char *err_out, size_t err_bytes)
{
    survey_t s = {.aof = aof};
    int err = io_list_dir(aof->persist->loop, aof->dir, look_at, &s);
    if (err) {
        snprintf(err_out, err_bytes, "%s: %s", aof->dir, err_text(err));
        return err;
    }
    err = refuse_passed_over(&s, err_out, err_bytes);
    if (!err && aof->manifest.count == 0) err = refuse_foreign(aof, err_out, err_bytes);
    if (err) return err;
    if (s.passed_over > 0)
        slog(SLOG_WARN, "redis", "files beside the append-only file are not read", "dir=%s files=%u one=%s", aof->dir,
             s.passed_over, s.data_file);
    aof->manifest.base_seq = MAX(aof->manifest.base_seq, s.base_seq);
    aof->manifest.incr_seq = MAX(aof->manifest.incr_seq, s.incr_seq);
    return 0;
}
