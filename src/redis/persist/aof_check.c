/* aof_check.c: the append-only file of a directory that nobody has open: what is sound in it, and its mending. Called by
 * src/cli. Commands are parsed, not run. */
#include "base/lines.h"
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"
#include "redis/redis.h"
#include "wire/resp.h"

#include <stdio.h>
#include <string.h>

#define READ_BYTES     MIB(1)
#define LINE_CHARS_MAX 1024

/* What a file's bytes say. */
typedef struct scanned {
    uint64_t bytes, sound_bytes; /* of whole commands, and before a transaction that does not end */
    uint64_t commands;
    bool invalid;                             /* at sound_bytes; else it only ends early */
    char rdb_problem[RDB_SENTENCE_CHARS_MAX]; /* what is wrong with the RDB file that it begins with; "" = nothing */
} scanned_t;

typedef struct scan {
    io_file_t *file, *to; /* to: where what is sound goes when salvaging; NULL = only looked at */
    buf_t buf;
    uint64_t at; /* of buf's front in the file */
    uint64_t multi_at, written, skipped_bytes;
    bool in_multi, salvage;
    resp_resume_t resume;
    bytes_t *argv;
    int argv_max;
    scanned_t *result;
    int err;
} scan_t;

static aof_t *open_closed(io_loop_t *loop, const char *data_dir)
{
    persist_t *persist = mem_zalloc(sizeof(*persist));
    aof_t *aof = mem_zalloc(sizeof(*aof));
    persist->loop = loop;
    persist->config = redis_config_new();
    persist->data_dir = mem_strdup(data_dir);
    persist->aof = aof;
    aof->persist = persist;
    size_t bytes = strlen(data_dir) + strlen(persist->config->appenddirname) + 2;
    aof->dir = mem_alloc(bytes);
    snprintf(aof->dir, bytes, "%s/%s", data_dir, persist->config->appenddirname);
    return aof;
}

static void close_closed(aof_t *aof)
{
    aof__manifest_clear(&aof->manifest);
    redis_config_free(aof->persist->config);
    mem_free(aof->persist->data_dir);
    mem_free(aof->persist);
    mem_free(aof->dir);
    mem_free(aof);
}

/* ---- one file ------------------------------------------------------------------------------------------------------- */

static void note_command(scan_t *s, int argc, uint64_t end)
{
    bool begins = argc == 1 && bytes_eq_nocase(s->argv[0], BYTES_LIT("multi"));
    if (begins) s->multi_at = s->at;
    if (begins) s->in_multi = true;
    if (argc == 1 && bytes_eq_nocase(s->argv[0], BYTES_LIT("exec"))) s->in_multi = false;
    s->result->commands++;
    s->result->sound_bytes = s->in_multi ? s->multi_at : end;
}

/* The size of the command or annotation at the front; 0 = not whole yet, negative = there is none. */
static ssize_t take_one(scan_t *s, size_t offset)
{
    static const resp_limits_t limits = {RESP_ARGC_MAX, INT64_MAX / 2, false};
    uint8_t *data = s->buf.ptr + offset;
    size_t left = s->buf.len - offset;
    if (data[0] == '#') {
        const uint8_t *newline = memchr(data, '\n', left);
        if (newline && !s->in_multi) s->result->sound_bytes = s->at + (uint64_t)(newline - data) + 1;
        return newline ? newline - data + 1 : 0;
    }
    if (data[0] != '*') return ERR_CORRUPT;
    for (;;) {
        resp_request_t q = {.argv = s->argv, .argv_max = s->argv_max};
        resp_result_t result = resp_parse(data, left, &limits, &s->resume, &q);
        if (result == RESP_ROOM) {
            s->argv_max = q.argc;
            s->argv = mem_realloc(s->argv, sizeof(bytes_t) * (size_t)q.argc);
            continue;
        }
        if (result == RESP_MORE) return 0;
        if (result == RESP_BAD || q.argc == 0) return ERR_CORRUPT;
        note_command(s, q.argc, s->at + q.consumed);
        return (ssize_t)q.consumed;
    }
}

static void keep(scan_t *s, const uint8_t *data, size_t bytes)
{
    struct iovec iov = {(void *)data, bytes};
    if (!s->to || s->err) return;
    s->err = io_file_write(s->to, s->written, &iov, 1);
    s->written += bytes;
}

/* Moves to the next place where a command could begin: behind a line's end. */
static size_t skip_bad(scan_t *s, size_t offset)
{
    const uint8_t *data = s->buf.ptr, *end = data + s->buf.len, *at = data + offset + 1;
    resp_resume_deinit(&s->resume);
    s->resume = (resp_resume_t){0};
    while (at < end && !(at[0] == '*' && at[-1] == '\n')) at++;
    return (size_t)(at - data);
}

static int run(scan_t *s, bool at_end)
{
    size_t offset = 0;
    while (offset < s->buf.len && !s->err) {
        ssize_t n = take_one(s, offset);
        if (n == 0 && !(s->salvage && at_end)) break;
        if (n > 0) {
            keep(s, s->buf.ptr + offset, (size_t)n);
            offset += (size_t)n;
            s->at += (uint64_t)n;
            continue;
        }
        s->result->invalid = true;
        if (!s->salvage) return ERR_CORRUPT;
        size_t next = skip_bad(s, offset);
        s->skipped_bytes += next - offset;
        s->at += next - offset;
        offset = next;
    }
    buf_consume(&s->buf, offset);
    return s->err;
}

static int copy_front(scan_t *s, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes && !s->err; at += s->buf.len) {
        buf_clear(&s->buf);
        buf_reserve(&s->buf, READ_BYTES);
        ssize_t n = io_file_read(s->file, at, s->buf.ptr, MIN(bytes - at, READ_BYTES));
        if (n <= 0) return n < 0 ? (int)n : ERR_TRUNCATED;
        s->buf.len = (size_t)n;
        keep(s, s->buf.ptr, s->buf.len);
    }
    buf_clear(&s->buf);
    return s->err;
}

/* The RDB file that it begins with, if it does. Behind it there may be commands. */
static int scan_rdb(aof_t *aof, scan_t *s, const char *name)
{
    uint8_t magic[RDB_MAGIC_BYTES];
    rdb_loaded_t loaded;
    ssize_t n = io_file_read(s->file, 0, magic, sizeof(magic));
    if (n < 0 || !rdb__is_magic(magic, (size_t)n)) return n < 0 ? (int)n : 0;
    char *why = s->result->rdb_problem;
    int err = rdb__load(aof->persist, s->file, name, RDB_LOAD_CHECK, &loaded, why, RDB_SENTENCE_CHARS_MAX);
    if (err == ERR_NOMEM || err == ERR_IO) return err;
    s->result->invalid = err != 0;
    if (err) return ERR_CORRUPT;
    s->at = s->result->sound_bytes = loaded.bytes;
    s->result->commands = loaded.keys;
    return s->to ? copy_front(s, loaded.bytes) : 0;
}

static int scan_file(aof_t *aof, const char *name, io_file_t *to, scanned_t *ret_scanned, uint64_t *ret_skipped)
{
    scan_t s = {.to = to, .salvage = to != NULL, .result = ret_scanned, .argv_max = 64};
    uint64_t read_bytes = 0;
    ssize_t n = 1;
    char *path = aof__path(aof, name);
    *ret_scanned = (scanned_t){0};
    int err = io_file_open(aof->persist->loop, path, IO_FILE_READ, &s.file);
    mem_free(path);
    if (err) return err;
    s.argv = mem_alloc(sizeof(bytes_t) * (size_t)s.argv_max);
    err = io_file_size(s.file, &ret_scanned->bytes);
    if (!err) err = scan_rdb(aof, &s, name);
    read_bytes = s.at;
    while (!err && n > 0) {
        buf_reserve(&s.buf, READ_BYTES);
        n = io_file_read(s.file, read_bytes, s.buf.ptr + s.buf.len, READ_BYTES);
        err = n < 0 ? (int)n : 0;
        if (n > 0) s.buf.len += (size_t)n;
        if (n > 0) read_bytes += (uint64_t)n;
        if (!err) err = run(&s, n == 0);
    }
    if (err == ERR_CORRUPT && ret_scanned->invalid) err = 0;
    *ret_skipped = s.skipped_bytes;
    resp_resume_deinit(&s.resume);
    buf_deinit(&s.buf);
    mem_free(s.argv);
    io_file_close(s.file);
    return err;
}

/* ---- checking ------------------------------------------------------------------------------------------------------- */

/* From the wing's folder on. */
static void shown_name(const aof_t *aof, const char *name, char *out, size_t out_bytes)
{
    bool listed = aof->dir != aof->persist->data_dir;
    snprintf(out, out_bytes, "%.250s%s%.300s", listed ? aof->persist->config->appenddirname : "", listed ? "/" : "",
             name);
}

static int check_part(aof_t *aof, size_t at, redis_check_cb each, void *user)
{
    const aof_part_t *part = &aof->manifest.parts[at];
    char line[LINE_CHARS_MAX], wrong[LINE_CHARS_MAX] = "", name[600];
    scanned_t s;
    uint64_t skipped;
    if (part->type == 'h') return 0;
    shown_name(aof, part->name, name, sizeof(name));
    int err = scan_file(aof, part->name, NULL, &s, &skipped);
    if (err == ERR_NOT_FOUND) {
        each(user, name, "the manifest names it, and it is not there", "");
        return 0;
    }
    if (err) return err;
    bool last = at + 1 == aof->manifest.count;
    snprintf(line, sizeof(line), "%" PRIu64 " keys and commands in %" PRIu64 " bytes", s.commands, s.bytes);
    if (s.rdb_problem[0])
        snprintf(wrong, sizeof(wrong), "%s", s.rdb_problem);
    else if (s.invalid)
        snprintf(wrong, sizeof(wrong), "not a command in append-only format at byte %" PRIu64 " of %" PRIu64,
                 s.sound_bytes, s.bytes);
    else if (s.sound_bytes < s.bytes)
        snprintf(wrong, sizeof(wrong),
                 "ends in the middle of a command or a transaction that begins at byte %" PRIu64 "%s", s.sound_bytes,
                 last ? "; a start cuts it there (aof-load-truncated)" : "");
    else
        (void)!aof__sizes_check(aof, part, s.bytes, wrong, sizeof(wrong));
    each(user, name, wrong[0] ? wrong : NULL, line);
    return 0;
}

static void say_scanned(const char *name, const scanned_t *s, redis_check_cb each, void *user)
{
    char line[LINE_CHARS_MAX];
    snprintf(line, sizeof(line), "%" PRIu64 " keys in %" PRIu64 " bytes", s->commands, s->bytes);
    const char *wrong = s->rdb_problem[0] ? s->rdb_problem : NULL;
    if (!wrong && (s->invalid || s->sound_bytes < s->bytes)) wrong = "not a snapshot, or more than one";
    each(user, name, wrong, line);
}

/* The snapshot beside the append-only file, if there is one. */
static int check_snapshot(aof_t *aof, redis_check_cb each, void *user)
{
    const char *name = aof->persist->config->dbfilename;
    char *folder = aof->dir;
    scanned_t s;
    uint64_t skipped;
    aof->dir = aof->persist->data_dir;
    int err = scan_file(aof, name, NULL, &s, &skipped);
    aof->dir = folder;
    if (err == ERR_NOT_FOUND) return 0;
    if (!err && s.bytes > 0) say_scanned(name, &s, each, user);
    return err;
}

/* One that the next start takes. */
static int check_old(aof_t *aof, redis_check_cb each, void *user)
{
    char *folder = aof->dir;
    if (aof->manifest.count > 0 || !aof__has_old(aof)) return 0;
    aof__manifest_add_base(aof, aof->persist->config->appendfilename);
    aof->dir = aof->persist->data_dir;
    int err = check_part(aof, 0, each, user);
    aof->dir = folder;
    aof__manifest_clear(&aof->manifest);
    return err;
}

static int check_list(aof_t *aof, redis_check_cb each, void *user)
{
    io_loop_t *loop = aof->persist->loop;
    char why[LINE_CHARS_MAX] = "", file[300], name[600];
    snprintf(file, sizeof(file), "%.280s.manifest", aof->persist->config->appendfilename);
    shown_name(aof, file, name, sizeof(name));
    int err = io_exists(loop, aof->dir) ? aof__manifest_read(aof, why, sizeof(why)) : 0;
    if (!err && io_exists(loop, aof->dir) && !aof__has_old(aof)) err = aof__survey(aof, why, sizeof(why));
    if (!err) err = aof__sizes_read(aof);
    if (why[0]) {
        char *advice = strstr(why, ". " AOF_ADVICE); /* for those who start a server */
        if (advice) *advice = '\0';
        each(user, name, why, "");
        return 0;
    }
    if (aof->manifest.count > 0) each(user, name, NULL, "");
    for (size_t i = 0; !err && i < aof->manifest.count; i++) err = check_part(aof, i, each, user);
    return err;
}

int redis_check(io_loop_t *loop, const char *data_dir, redis_check_cb each, void *user)
{
    aof_t *aof = open_closed(loop, data_dir);
    int err = check_list(aof, each, user);
    if (!err) err = check_old(aof, each, user);
    if (!err) err = check_snapshot(aof, each, user);
    close_closed(aof);
    return err;
}

/* ---- mending -------------------------------------------------------------------------------------------------------- */

typedef struct mender {
    aof_t *aof;
    lines_t lines;
} mender_t;

static int truncate_part(const mender_t *m, const aof_part_t *part, uint64_t bytes)
{
    char *path = aof__path(m->aof, part->name);
    io_file_t *file;
    int err = io_file_open(m->aof->persist->loop, path, IO_FILE_WRITE, &file);
    mem_free(path);
    if (err) return err;
    err = io_file_truncate(file, bytes);
    if (!err) err = io_file_sync_now(file);
    io_file_close(file);
    return err;
}

static int salvage_part(const mender_t *m, const aof_part_t *part)
{
    char *path = aof__path(m->aof, part->name), *fresh = aof__path(m->aof, "temp-mending.aof");
    io_file_t *to;
    scanned_t s;
    uint64_t skipped = 0;
    int err = io_file_open(m->aof->persist->loop, fresh, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &to);
    if (!err) {
        err = scan_file(m->aof, part->name, to, &s, &skipped);
        if (!err) err = io_file_sync_now(to);
        io_file_close(to);
    }
    if (!err) err = io_rename(m->aof->persist->loop, fresh, path);
    if (!err)
        lines_say(&m->lines, "redis/%s: %" PRIu64 " bytes that are no commands were left out", part->name, skipped);
    mem_free(path);
    mem_free(fresh);
    return err;
}

/* ERR_NOT_FOUND: it is not kept. *ret_ends: what comes behind this file is not either. */
static int mend_part(const mender_t *m, const aof_part_t *part, bool salvage, bool *ret_ends)
{
    scanned_t s;
    uint64_t skipped;
    if (part->type == 'h') return 0; /* never read, and often gone */
    int err = scan_file(m->aof, part->name, NULL, &s, &skipped);
    if (err == ERR_NOT_FOUND) {
        lines_say(&m->lines, "redis/%s is not there and was taken off the manifest", part->name);
        *ret_ends = !salvage;
        return ERR_NOT_FOUND;
    }
    if (err || (!s.invalid && s.sound_bytes == s.bytes)) return err;
    if (s.rdb_problem[0]) {
        lines_say(&m->lines, "redis/%s: %s; it was left as it is", part->name, s.rdb_problem);
        return 0;
    }
    if (salvage && s.invalid) return salvage_part(m, part);
    lines_say(&m->lines, "redis/%s was cut at byte %" PRIu64 " of %" PRIu64, part->name, s.sound_bytes, s.bytes);
    *ret_ends = !salvage;
    return truncate_part(m, part, s.sound_bytes);
}

static void find_part(void *user, const char *name, bool is_dir)
{
    if (!is_dir) aof__manifest_find(user, name);
}

static int rebuild_manifest(const mender_t *m)
{
    aof__manifest_clear(&m->aof->manifest);
    int err = io_list_dir(m->aof->persist->loop, m->aof->dir, find_part, m->aof);
    if (!err)
        lines_say(
            &m->lines,
            "redis: the manifest was made anew from the %zu files that are there; a file of increments that a rewrite "
            "had replaced would be applied twice",
            m->aof->manifest.count);
    return err;
}

/* Each file of the manifest, which then names those that are kept. */
static int mend_parts(const mender_t *m, bool salvage)
{
    aof_manifest_t *manifest = &m->aof->manifest;
    size_t count = manifest->count, kept = 0;
    bool ends = false;
    int err = 0;
    for (size_t i = 0; i < count; i++) {
        aof_part_t part = manifest->parts[i];
        int gone = err ? 0 : ends ? ERR_NOT_FOUND : mend_part(m, &part, salvage, &ends);
        if (gone == ERR_NOT_FOUND) {
            mem_free(part.name);
            continue;
        }
        if (gone != 0) err = gone;
        manifest->parts[kept++] = part;
    }
    manifest->count = kept;
    return err;
}

int redis_mend(io_loop_t *loop, const char *data_dir, bool salvage, void (*tell)(void *user, const char *line),
               void *user)
{
    aof_t *aof = open_closed(loop, data_dir);
    mender_t m = {aof, {tell, user}};
    char why[LINE_CHARS_MAX];
    int err = 0;
    if (!io_exists(loop, aof->dir)) goto out;
    err = aof__manifest_read(aof, why, sizeof(why));
    if (!err) err = aof__survey(aof, why, sizeof(why));
    if (err == ERR_DAMAGED) err = rebuild_manifest(&m);
    if (!err) err = mend_parts(&m, salvage);
    if (!err) err = aof__manifest_write(aof);
    if (!err) aof__sizes_forget(aof);
out:
    close_closed(aof);
    return err;
}
