/* replay.c: see replay.h. */
#include "redis/persist/replay.h"
#include "redis/persist/persist.h"

#include <stdio.h>

#define ARGV_MAX_FIRST 64

void replay__init(replay_t *r, persist_t *persist)
{
    *r = (replay_t){.persist = persist, .client = persist->host->client_new(persist), .argv_max = ARGV_MAX_FIRST};
    r->argv = mem_alloc(sizeof(*r->argv) * ARGV_MAX_FIRST);
}

void replay__deinit(replay_t *r)
{
    r->persist->host->client_free(r->client);
    resp_resume_deinit(&r->resume);
    buf_deinit(&r->buf);
    mem_free(r->argv);
}

static int refuse(replay_t *r, const char *what)
{
    snprintf(r->problem, sizeof(r->problem), "%s", what);
    return ERR_CORRUPT;
}

static int run_command(replay_t *r, int argc)
{
    const persist_host_t *host = r->persist->host;
    bool queued = host->is_queueing(r->client);
    if (host->replay(r->client, argc, r->argv)) {
        snprintf(r->problem, sizeof(r->problem), "unknown command '%.*s'", (int)MIN(r->argv[0].len, (size_t)64),
                 (const char *)r->argv[0].ptr);
        return ERR_CORRUPT;
    }
    if (!queued && host->is_queueing(r->client)) r->multi_at = r->done_bytes;
    r->commands++;
    return 0;
}

/* "#TS:1700000000\r\n": an annotation between commands. 0 = incomplete. */
static size_t annotation_bytes(const uint8_t *data, size_t len)
{
    const uint8_t *newline = memchr(data, '\n', len);
    return newline ? (size_t)(newline - data) + 1 : 0;
}

/* Runs what stands at data[0..len), if it is whole; 0 bytes if not. */
static int run_one(replay_t *r, uint8_t *data, size_t len, size_t *ret_bytes)
{
    static const resp_limits_t limits = {RESP_ARGC_MAX, INT64_MAX / 2, false};
    *ret_bytes = 0;
    if (data[0] == '#') {
        *ret_bytes = annotation_bytes(data, len);
        return 0;
    }
    if (data[0] != '*') return refuse(r, "not a command in append-only format");
    resp_request_t q = {.argv = r->argv, .argv_max = r->argv_max};
    resp_result_t result = resp_parse(data, len, &limits, &r->resume, &q);
    if (result == RESP_ROOM) {
        r->argv_max = q.argc;
        r->argv = mem_realloc(r->argv, sizeof(bytes_t) * (size_t)q.argc);
        return run_one(r, data, len, ret_bytes);
    }
    if (result == RESP_MORE) return 0;
    if (result == RESP_BAD || q.argc == 0) return refuse(r, "not a command in append-only format");
    int err = run_command(r, q.argc);
    if (!err) *ret_bytes = q.consumed;
    return err;
}

int replay__run(replay_t *r, unsigned commands_max, bool *ret_hungry)
{
    size_t bytes = 1;
    int err = 0;
    for (unsigned i = 0; i < commands_max && r->at < r->buf.len && bytes && !err; i++) {
        err = run_one(r, r->buf.ptr + r->at, r->buf.len - r->at, &bytes);
        r->at += bytes;
        r->done_bytes += bytes;
    }
    *ret_hungry = r->at == r->buf.len || bytes == 0;
    if (*ret_hungry) {
        buf_consume(&r->buf, r->at);
        r->at = 0;
    }
    return err;
}

bool replay__is_queueing(const replay_t *r) { return r->persist->host->is_queueing(r->client); }
void replay__discard(replay_t *r) { r->persist->host->discard(r->client); }
bool replay__is_midway(const replay_t *r) { return r->buf.len || replay__is_queueing(r); }
