/* aof_load.c: the append-only file read back. Commands run as they did, without expiry and without a client.
 * A file that ends in the middle of a command or of a transaction is cut there (aof-load-truncated), if it is
 * the last one. */
#include "redis/persist/aof_internal.h"
#include "redis_commands.h"

#include "base/slog.h"

#include <stdio.h>
#include <string.h>

#define READ_BYTES MIB(1)

typedef struct reader {
    aof_t *aof;
    redis_client_t *client;
    io_file_t *file;
    const char *name;
    aof_part_t *part;    /* of the manifest; NULL = memory */
    uint64_t cut_bytes;  /* an unfinished command that was dropped */
    buf_t buf;           /* unread bytes */
    uint64_t read_bytes; /* of the file, into buf */
    uint64_t done_bytes; /* of the file, run */
    uint64_t multi_at;   /* where the open transaction began */
    bytes_t *argv;
    int argv_max;
    resp_resume_t resume;
    uint64_t commands;
    char *err;
    size_t err_bytes;
} reader_t;

static int refuse(reader_t *r, int err, const char *what)
{
    snprintf(r->err, r->err_bytes, "%s/%s at byte %" PRIu64 ": %s", r->aof->dir, r->name, r->done_bytes, what);
    return err;
}

static int run_command(reader_t *r, int argc)
{
    redis_t *redis = r->aof->redis;
    redis_client_t *c = r->client;
    const redis_command_t *command = command__lookup(redis, r->argv[0]);
    if (command) command = command__resolve(command, argc, r->argv);
    if (command == NULL || !command__arity_fits(command, argc)) {
        char text[200];
        snprintf(text, sizeof(text), "unknown command '%.*s'", (int)MIN(r->argv[0].len, (size_t)64),
                 (const char *)r->argv[0].ptr);
        return refuse(r, ERR_CORRUPT, text);
    }
    if (command->handler == redis_cmd_multi) r->multi_at = r->done_bytes;
    if (c->flags & CLIENT_MULTI && command->handler != redis_cmd_exec)
        multi__queue(c, command, argc, r->argv);
    else
        exec__run(c, command, argc, r->argv, BYTES_NULL, NULL, 0, CALL_LOADING);
    client__flush(c);
    r->commands++;
    return 0;
}

static int read_more(reader_t *r, bool *ret_end)
{
    buf_reserve(&r->buf, READ_BYTES);
    ssize_t n = io_file_read(r->file, r->read_bytes, r->buf.ptr + r->buf.len, READ_BYTES);
    if (n < 0) return refuse(r, (int)n, err_text((int)n));
    r->buf.len += (size_t)n;
    r->read_bytes += (uint64_t)n;
    *ret_end = n == 0;
    return 0;
}

/* "#TS:1700000000\r\n": an annotation between commands. 0 = incomplete. */
static size_t annotation_bytes(const uint8_t *data, size_t len)
{
    const uint8_t *newline = memchr(data, '\n', len);
    return newline ? (size_t)(newline - data) + 1 : 0;
}

/* Runs what is whole in the buffer. */
static int run_buffered(reader_t *r)
{
    static const resp_limits_t limits = {RESP_ARGC_MAX, INT64_MAX / 2, false};
    size_t at = 0;
    int err = 0;
    while (at < r->buf.len && err == 0) {
        uint8_t *data = r->buf.ptr + at;
        size_t left = r->buf.len - at;
        if (data[0] == '#') {
            size_t n = annotation_bytes(data, left);
            if (n == 0) break;
            at += n;
            r->done_bytes += n;
            continue;
        }
        if (data[0] != '*')
            return refuse(r, ERR_CORRUPT,
                          left >= 5 && memcmp(data, "REDIS", 5) == 0 ? "an RDB file, which this version does not read"
                                                                     : "not a command in append-only format");
        resp_request_t q = {.argv = r->argv, .argv_max = r->argv_max};
        resp_result_t result = resp_parse(data, left, &limits, &r->resume, &q);
        if (result == RESP_ROOM) {
            r->argv_max = q.argc;
            r->argv = mem_realloc(r->argv, sizeof(bytes_t) * (size_t)q.argc);
            continue;
        }
        if (result == RESP_MORE) break;
        if (result == RESP_BAD || q.argc == 0) return refuse(r, ERR_CORRUPT, "not a command in append-only format");
        err = run_command(r, q.argc);
        at += q.consumed;
        if (err == 0) r->done_bytes += q.consumed;
    }
    buf_consume(&r->buf, at);
    return err;
}

/* What is cut stays beside the file; on a full disk half a command is not worth that nothing starts. */
static int keep_copy(reader_t *r, uint64_t from)
{
    char name[300];
    snprintf(name, sizeof(name), "%s.cut-%" PRIu64, r->name, from);
    char *path = aof__path(r->aof, name);
    int err = io_copy_tail(r->aof->redis->loop, r->file, from, r->read_bytes, path);
    mem_free(path);
    return err == ERR_NOSPACE ? 0 : err;
}

/* The file ended inside a command or a transaction. */
static int cut_tail(reader_t *r, bool is_last)
{
    uint64_t keep = r->client->flags & CLIENT_MULTI ? r->multi_at : r->done_bytes;
    multi__discard(r->client);
    if (!is_last || !r->aof->redis->config->aof_load_truncated)
        return refuse(r, ERR_TRUNCATED,
                      "the file ends in the middle of a command (aof-load-truncated yes would cut it)");
    int err = keep_copy(r, keep);
    if (err == 0) err = aof__sizes_lower(r->aof, r->part, keep);
    if (err == 0) err = io_file_truncate(r->file, keep);
    slog(SLOG_WARN, "redis", "append-only file ended in the middle of a command: cut",
         "file=%s bytes=%" PRIu64 " cut=%" PRIu64 " copy=%s.cut-%" PRIu64, r->name, keep, r->read_bytes - keep, r->name,
         keep);
    r->done_bytes = keep;
    r->cut_bytes = r->read_bytes - keep;
    return err == 0 ? 0 : refuse(r, err, err_text(err));
}

static int load_file(reader_t *r, bool is_last)
{
    bool end = false;
    int err;
    while ((err = read_more(r, &end)) == 0 && !end)
        if ((err = run_buffered(r)) != 0) break;
    if (err == 0 && (r->buf.len || r->client->flags & CLIENT_MULTI)) err = cut_tail(r, is_last);
    return err;
}

static int load_part(aof_t *aof, redis_client_t *client, aof_part_t *part, bool is_last, char *err_out,
                     size_t err_bytes, io_file_t **ret_file, uint64_t *ret_bytes)
{
    reader_t r = {
        .aof = aof, .client = client, .name = part->name, .part = part, .err = err_out, .err_bytes = err_bytes};
    char *path = aof__path(aof, part->name);
    int err = io_file_open(aof->redis->loop, path, IO_FILE_WRITE, &r.file);
    mem_free(path);
    if (err == ERR_NOT_FOUND) {
        snprintf(err_out, err_bytes, "%s/%s is not there, though %s.manifest names it. " AOF_ADVICE, aof->dir,
                 part->name, aof->redis->config->appendfilename);
        return ERR_DAMAGED;
    }
    if (err != 0) return refuse(&r, err, err_text(err));
    r.argv_max = 64;
    r.argv = mem_alloc(sizeof(bytes_t) * (size_t)r.argv_max);
    client->db = &aof->redis->dbs[0];
    err = load_file(&r, is_last);
    if (err == 0 && r.cut_bytes == 0) err = aof__sizes_check(aof, part, r.done_bytes, err_out, err_bytes);
    aof->loaded_commands += r.commands;
    resp_resume_deinit(&r.resume);
    buf_deinit(&r.buf);
    mem_free(r.argv);
    *ret_file = r.file;
    *ret_bytes = r.done_bytes;
    return err;
}

int aof__load_bytes(aof_t *aof, buf_t *data, char *err_out, size_t err_bytes)
{
    redis_t *redis = aof->redis;
    redis_client_t *client = client__new_internal(redis, NULL);
    reader_t r = {.aof = aof, .client = client, .name = "memory", .err = err_out, .err_bytes = err_bytes, .buf = *data};
    r.argv_max = 64;
    r.argv = mem_alloc(sizeof(bytes_t) * (size_t)r.argv_max);
    redis->loading = true;
    int err = run_buffered(&r);
    redis->loading = false;
    *data = r.buf;
    resp_resume_deinit(&r.resume);
    mem_free(r.argv);
    client__free(client);
    return err;
}

int aof__load(aof_t *aof, char *err_out, size_t err_bytes)
{
    redis_t *redis = aof->redis;
    aof_manifest_t *m = &aof->manifest;
    size_t count = m->count;
    redis_client_t *client = client__new_internal(redis, NULL);
    redis->loading = true;
    int err = 0;
    for (size_t i = 0; i < count && err == 0; i++) {
        io_file_t *file = NULL;
        uint64_t bytes = 0;
        if (m->parts[i].type == 'h') continue;
        bool is_last = i + 1 == count;
        err = load_part(aof, client, &m->parts[i], is_last, err_out, err_bytes, &file, &bytes);
        if (m->parts[i].type == 'b') aof->base_bytes = bytes;
        bool grows = err == 0 && is_last && m->parts[i].type == 'i';
        if (grows) {
            aof->file = file;
            aof->file_bytes = aof->synced_bytes = bytes;
        } else {
            if (m->parts[i].type == 'i') aof->old_incr_bytes += bytes;
            if (file) io_file_close(file);
        }
    }
    client__free(client);
    redis->loading = false;
    if (err == 0 && count > 0)
        slog(SLOG_INFO, "redis", "append-only file read", "dir=%s files=%zu bytes=%" PRIu64 " commands=%" PRIu64,
             aof->dir, count, aof->base_bytes + aof->old_incr_bytes + aof->file_bytes, aof->loaded_commands);
    if (err == 0 && aof->file == NULL) {
        if (count == 0) err = aof__new_base(aof);
        if (err == 0) err = aof__new_increment(aof);
        if (err != 0) snprintf(err_out, err_bytes, "%s: %s", aof->dir, err_text(err));
    }
    return err;
}
