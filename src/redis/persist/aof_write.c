/* aof_write.c: the append-only file's way to the disk, and what happens while the disk does not take it.
 *
 *   well --a write finds the disk full--> low      the reserve made room for it
 *        --a write fails all the same---> stuck    what was to be written stays in the buffer
 *        --a sync fails-----------------> suspect  nobody knows what the file holds: a rewrite from memory replaces it
 *
 * In each of them commands that write are refused before they run, reads go on, and each turn of the cron tries whether all is
 * well again. With appendfsync always stuck and suspect end the server: memory holds what must never be acknowledged. */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"
#include "redis/redis.h"

#include "base/slog.h"

#include <stdio.h>

#define REWRITE_FAILURES_FREE    3 /* after more of them in a row, automatic ones wait longer and longer */
#define REWRITE_WAIT_MINUTES_MAX 60

#define EARLY_SHARE     4 /* of the reserve: one more command must fit beside it */
#define EARLY_BYTES_MIN KIB(16)
#define EARLY_BYTES_MAX MIB(1)

/* ---- failure --------------------------------------------------------------------------------------------------------- */

static void fail(aof_t *aof, const char *step, int err)
{
    const char *text = err == ERR_NOSPACE ? "No space left on device" : err_text(err);
    snprintf(aof->failure, sizeof(aof->failure), "%s", text);
    health_raise(aof->persist->health, "aof", "cannot %s the append-only file: %s; commands that write are refused",
                 step, text);
    aof->persist->host->gate(aof->persist);
}

void aof__forget_failure(aof_t *aof)
{
    aof->failure[0] = '\0';
    aof->suspect = false;
    health_clear(aof->persist->health, "aof");
    aof->persist->host->gate(aof->persist);
}

void aof__recovered(aof_t *aof)
{
    if (aof->failure[0] && !aof->suspect && !aof->reserve.low && aof->buf.len == 0) aof__forget_failure(aof);
}

const char *aof__failure(const persist_t *persist)
{
    const aof_t *aof = persist->aof;
    return aof && aof->enabled && aof->failure[0] ? aof->failure : NULL;
}

/* With appendfsync always a command that cannot be made durable must never be acknowledged, and memory
 * already holds it: as the original does, the server ends. No reply of this turn has left. */
static void give_up(aof_t *aof)
{
    if (aof->persist->config->appendfsync != FSYNC_ALWAYS) return;
    aof->persist->host->give_up(aof->persist, aof->failure);
}

/* After an error a sync that succeeds says nothing of what was to be written before. */
static void suspect(aof_t *aof, int err)
{
    aof->suspect = true;
    fail(aof, "sync", err);
    give_up(aof);
}

void aof__keep_room_of(persist_t *persist, uint64_t bytes)
{
    io_reserve_deinit(&persist->aof->reserve); /* who says it again means this */
    io_reserve_init(&persist->aof->reserve, persist->loop, persist->data_dir, bytes);
}

void aof__keep_room(aof_t *aof)
{
    int err = io_reserve_fill(&aof->reserve);
    if (aof->reserve.bytes_wanted)
        aof->early_bytes = MAX(EARLY_BYTES_MIN, MIN((size_t)aof->reserve.bytes_wanted / EARLY_SHARE, EARLY_BYTES_MAX));
    if (aof->reserve.low) fail(aof, "keep room for", err);
    if (err && err != ERR_NOSPACE)
        slog(SLOG_WARN, "redis", "no room is kept for a full disk", "file=%s error=\"%s\"", aof->reserve.path,
             err_text(err));
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static int write_once(aof_t *aof)
{
    struct iovec iov = {aof->buf.ptr, aof->buf.len};
    int err = io_file_write(aof->file, aof->file_bytes, &iov, 1);
    if (err && io_file_truncate(aof->file, aof->file_bytes) != 0) fail(aof, "truncate", ERR_IO);
    return err;
}

/* A command so large that the reserve might not take it asks the disk before it runs. */
bool aof__has_room(persist_t *persist, size_t bytes)
{
    aof_t *aof = persist->aof;
    uint64_t free_bytes, total_bytes, wanted = bytes + bytes / 4;
    if (!aof->enabled || wanted < aof->reserve.bytes || aof->reserve.bytes_max == 0) return true;
    if (io_disk_space(persist->loop, aof->dir, &free_bytes, &total_bytes) != 0) return true; /* the write will tell */
    if (free_bytes + aof->reserve.bytes > wanted) return true;
    aof->reserve.low = true;
    fail(aof, "write", ERR_NOSPACE);
    return false;
}

/* A rewrite that filled the disk makes room first, then the reserve. */
static int write_somehow(aof_t *aof)
{
    int err = write_once(aof);
    if (err == ERR_NOSPACE && aof->rewrite.active) {
        aof__rewrite_fail(aof, "write", err);
        err = write_once(aof);
    }
    if (err == ERR_NOSPACE && io_reserve_give(&aof->reserve, aof->buf.len)) err = write_once(aof);
    if (err == ERR_NOSPACE && io_reserve_give(&aof->reserve, aof->reserve.bytes)) err = write_once(aof);
    return err;
}

/* For the latency monitor; 0 while nobody asks for it. */
static uint64_t watched_from_ns(const aof_t *aof)
{
    return aof->persist->config->latency_monitor_threshold > 0 ? io_hrtime_ns(aof->persist->loop) : 0;
}

static void note_latency(aof_t *aof, const char *event, uint64_t from_ns)
{
    if (from_ns)
        keyspace__note_latency(aof->persist->keyspace, event, (io_hrtime_ns(aof->persist->loop) - from_ns) / 1000);
}

static bool write_buf(aof_t *aof)
{
    if (aof->buf.len == 0) return true;
    uint64_t from_ns = watched_from_ns(aof);
    int err = write_somehow(aof);
    note_latency(aof, "aof-write", from_ns);
    if (err || aof->reserve.low) fail(aof, "write", err ? err : ERR_NOSPACE);
    if (err) return false;
    aof->file_bytes += aof->buf.len;
    buf_clear(&aof->buf);
    if (aof->buf.cap > AOF_KEEP_BUF_BYTES_MAX) buf_deinit(&aof->buf);
    return true;
}

/* The turn's end syncs it, or tries again, and then ends the server where it must. */
void aof__write_early(aof_t *aof)
{
    (void)write_buf(aof);
    aof->early = true;
}

void aof__write(aof_t *aof, bool sync)
{
    aof->early = false;
    if (!write_buf(aof)) {
        give_up(aof);
        return;
    }
    if (sync && aof->synced_bytes < aof->file_bytes && !aof->suspect) {
        uint64_t from_ns = watched_from_ns(aof);
        int err = io_file_sync_now(aof->file);
        note_latency(aof, "aof-fsync-always", from_ns);
        if (err) {
            suspect(aof, err);
            return;
        }
        aof->synced_bytes = aof->file_bytes;
        aof__sizes_write(aof);
    }
    aof__recovered(aof);
}

int aof__flush(persist_t *persist)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return 0;
    aof__write(aof, true);
    return aof->buf.len == 0 && aof->synced_bytes >= aof->file_bytes ? 0 : ERR_IO;
}

static void on_synced(io_sync_t *sync, int err)
{
    aof_t *aof = CONTAINER_OF(sync, aof_t, sync);
    aof->syncing = false;
    aof->rewrite.prepared = aof->rewrite.scheduled;
    if (aof->rewrite.scheduled) io_loop_wake(aof->persist->loop);
    if (err) {
        suspect(aof, err);
        return;
    }
    if (aof->suspect) return;
    aof->synced_bytes = MAX(aof->synced_bytes, aof->sync_target_bytes);
    aof__sizes_write(aof);
    aof__recovered(aof);
}

void aof__sync_later(aof_t *aof)
{
    if (aof->syncing) return;
    aof->syncing = true;
    aof->sync_target_bytes = aof->file_bytes;
    io_file_sync(aof->file, &aof->sync, on_synced);
}

/* ---- when ------------------------------------------------------------------------------------------------------------ */

void aof__turn(io_hook_t *hook)
{
    aof_t *aof = CONTAINER_OF(hook, aof_t, hook);
    if (!aof->enabled) return;
    if (aof->buf.len || aof->early) aof__write(aof, aof->persist->config->appendfsync == FSYNC_ALWAYS);
    /* A paused script has gathered half of what it does: its changes belong to one file. */
    if (aof->pending_count == 0 && aof->rewrite.scheduled) aof__rewrite_turn(aof);
}

static void sync_each_second(aof_t *aof)
{
    persist_t *persist = aof->persist;
    bool quiet = persist->config->no_appendfsync_on_rewrite && aof->rewrite.active;
    if (persist->config->appendfsync != FSYNC_EVERYSEC || quiet || aof->synced_bytes >= aof->file_bytes) return;
    if (persist->keyspace->now_ms - aof->synced_ms < 1000) return;
    aof->synced_ms = persist->keyspace->now_ms;
    if (aof->syncing) {
        aof->delayed_syncs++;
        return;
    }
    aof__sync_later(aof);
}

static void try_again(aof_t *aof)
{
    bool full = aof->reserve.low && io_reserve_fill(&aof->reserve) != 0;
    if (aof->suspect && !full && !aof->rewrite.active) aof->rewrite.scheduled = true;
    if (!full || aof->buf.len) aof__write(aof, true);
}

static bool rewrite_due(const aof_t *aof)
{
    const redis_config_t *config = aof->persist->config;
    const aof_rewrite_t *r = &aof->rewrite;
    uint64_t now = aof->base_bytes + aof->old_incr_bytes + aof->file_bytes, base = MAX(aof->rewritten_bytes, 1u);
    if (config->auto_aof_rewrite_percentage == 0 || r->active || r->scheduled) return false;
    if (now < config->auto_aof_rewrite_min_size || aof->persist->keyspace->now_ms < r->not_before_ms || aof->failure[0])
        return false;
    return (double)(now - MIN(base, now)) * 100 / (double)base >= (double)config->auto_aof_rewrite_percentage;
}

/* As the original does: the first ones come at once again, later ones after 1, 2, 4 ... minutes. */
int64_t aof__rewrite_wait_ms(uint32_t failures)
{
    if (failures < REWRITE_FAILURES_FREE) return 0;
    uint32_t doublings = MIN(failures - REWRITE_FAILURES_FREE, 16u);
    return MIN((int64_t)1 << doublings, (int64_t)REWRITE_WAIT_MINUTES_MAX) * 60000;
}

void aof__cron(persist_t *persist)
{
    aof_t *aof = persist->aof;
    if (!aof->enabled) return;
    if (aof->failure[0]) try_again(aof);
    sync_each_second(aof);
    if (rewrite_due(aof)) aof->rewrite.scheduled = true;
}
