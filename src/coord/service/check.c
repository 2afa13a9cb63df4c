/* check.c: a tree's directory as nobody has it open: what is sound in it, and its mending. Called by src/cli. */
#include "base/lines.h"
#include "coord/raft/mark.h"
#include "coord/raft/path.h"
#include "coord/raft/wal.h"
#include "coord/service/coord_internal.h"

#include <stdio.h>

#define LINE_CHARS_MAX   1024
#define FILL_ENTRIES_MAX 1000000

typedef struct survey {
    coord_check_cb each;
    void *user;
    uint64_t snapshot; /* the newest sound one; 0 = none */
    uint64_t first, end;
    bool log_sound, log_there;
} survey_t;

static int load_all(snapshot_reader_t *reader, uint64_t *ret_bytes, uint64_t *ret_znodes)
{
    state_t state;
    state_init(&state);
    tree_loader_t *loader = tree_loader_new(reader, &state);
    int done;
    do done = tree_loader_step(loader, SIZE_MAX);
    while (done == 0);
    *ret_bytes = snapshot_reader_offset(reader);
    *ret_znodes = state.tree.count;
    tree_loader_free(loader);
    state_deinit(&state);
    return done == 1 ? 0 : done;
}

static int check_snapshot(io_loop_t *loop, const char *dir, uint64_t index, uint64_t *ret_bytes, uint64_t *ret_znodes)
{
    snapshot_reader_t *reader;
    char *path = snapshot_path(dir, index);
    int err = snapshot_reader_open(loop, path, ret_bytes, &reader);
    mem_free(path);
    if (err) return err;
    err = load_all(reader, ret_bytes, ret_znodes);
    if (!err && snapshot_reader_point(reader)->index != index) err = ERR_CORRUPT; /* another by this one's name */
    snapshot_reader_free(reader);
    return err;
}

static int check_snapshots(io_loop_t *loop, const char *dir, survey_t *s)
{
    uint64_t index = UINT64_MAX, bytes, znodes;
    int err;
    while ((err = snapshot_newest(loop, dir, index, &index)) == 0) {
        char file[LOG_NAME_CHARS_MAX], line[LINE_CHARS_MAX];
        snprintf(file, sizeof(file), "snapshot.%020" PRIu64, index);
        err = check_snapshot(loop, dir, index, &bytes, &znodes);
        if (err && err != ERR_CORRUPT && err != ERR_TRUNCATED) return err;
        if (!err)
            snprintf(line, sizeof(line), "%" PRIu64 " znodes", znodes);
        else
            snprintf(line, sizeof(line), "damaged behind byte %" PRIu64 ": %s", bytes, err_text(err));
        s->each(s->user, file, err == 0 ? NULL : line, line);
        if (!err) s->snapshot = MAX(s->snapshot, index);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

static void check_segment(void *user, const log_checked_t *c)
{
    survey_t *s = user;
    char file[LOG_NAME_CHARS_MAX + 8], line[LOG_TEXT_CHARS_MAX];
    bool sound = c->damage.fault == LOG_SOUND;
    snprintf(file, sizeof(file), "log/%s", c->file);
    if (sound)
        snprintf(line, sizeof(line), "%" PRIu64 " entries, %" PRId64 " to %" PRId64, c->batches, c->begin_offset,
                 c->end_offset - 1);
    else
        log_damage_text(&c->damage, line);
    s->each(s->user, file, sound ? NULL : line, line);
    if (!s->log_there) s->first = (uint64_t)c->begin_offset;
    s->log_there = true;
    s->log_sound = s->log_sound && sound;
    s->end = (uint64_t)c->end_offset;
}

/* Do snapshot, log and mark fit together? */
static void check_join(survey_t *s, uint64_t durable)
{
    char line[LINE_CHARS_MAX];
    if (!s->log_there && s->snapshot == 0 && durable <= 1) return;
    if (!s->log_there)
        s->each(s->user, "log", "no .log file is there, though a snapshot or the mark speaks of entries", "");
    else if (s->first > s->snapshot + 1) {
        snprintf(line, sizeof(line),
                 "the log begins with entry %" PRIu64 ", and what came before is in no snapshot that can be read",
                 s->first);
        s->each(s->user, "log", line, "");
    } else if (s->end <= s->snapshot) {
        snprintf(line, sizeof(line), "the log ends with entry %" PRIu64 ", before the snapshot of %" PRIu64, s->end - 1,
                 s->snapshot);
        s->each(s->user, "log", line, "");
    }
    if (s->log_there && s->log_sound && durable > s->end + 1) {
        snprintf(line, sizeof(line),
                 "says that all below entry %" PRIu64 " was on the disk, and the log ends at %" PRIu64, durable,
                 s->end);
        s->each(s->user, "durable", line, "");
    }
}

/* `log_dir` holds the log and its mark. */
static int survey(io_loop_t *loop, const char *dir, const char *log_dir, survey_t *s)
{
    char path[PATH_CHARS_MAX];
    uint64_t durable = 0;
    int err = check_snapshots(loop, dir, s);
    path_in(log_dir, "log", path);
    if (!err && io_exists(loop, path)) err = log_check(loop, path, false, check_segment, s);
    path_in(log_dir, "durable", path);
    if (!err) err = mark_read(loop, path, &durable);
    if (err == ERR_CORRUPT) {
        s->each(s->user, "durable", "damaged; it is made anew", "");
        err = 0;
    }
    if (!err) check_join(s, durable);
    return err;
}

static int survey_elsewhere(io_loop_t *loop, const char *dir, const char *log_dir, survey_t *s)
{
    char line[LINE_CHARS_MAX];
    bool there = io_exists(loop, log_dir);
    snprintf(line, sizeof(line), there ? "the log is in %.300s" : "the log is in %.300s, which is not there", log_dir);
    s->each(s->user, COORD_LOG_ELSEWHERE, there ? NULL : line, line);
    return there ? survey(loop, dir, log_dir, s) : check_snapshots(loop, dir, s);
}

int coord_check(io_loop_t *loop, const char *dir, coord_check_cb each, void *user)
{
    survey_t s = {.each = each, .user = user, .log_sound = true};
    char *log_dir;
    int err = coord__log_dir_noted(loop, dir, &log_dir);
    if (!err) err = log_dir ? survey_elsewhere(loop, dir, log_dir, &s) : survey(loop, dir, dir, &s);
    if (!err) mem_free(log_dir);
    return err;
}

/* ---- mending -------------------------------------------------------------------------------------------------------- */

typedef struct mender {
    io_loop_t *loop;
    const char *dir;
    lines_t lines;
} mender_t;

static void nothing(void *user, const char *file, const char *wrong, const char *note) {}

static int drop_bad_snapshots(const mender_t *m)
{
    uint64_t index = UINT64_MAX, bytes, znodes;
    int err;
    while ((err = snapshot_newest(m->loop, m->dir, index, &index)) == 0) {
        err = check_snapshot(m->loop, m->dir, index, &bytes, &znodes);
        if (!err) continue;
        if (err != ERR_CORRUPT && err != ERR_TRUNCATED) return err;
        char name[LOG_NAME_CHARS_MAX], to[PATH_CHARS_MAX];
        snprintf(name, sizeof(name), "damaged-snapshot.%020" PRIu64, index);
        path_in(m->dir, name, to);
        char *from = snapshot_path(m->dir, index);
        err = io_rename(m->loop, from, to);
        mem_free(from);
        if (err) return err;
        lines_say(&m->lines, "coord/snapshot.%020" PRIu64 " cannot be read and was renamed %s", index, name);
    }
    return err == ERR_NOT_FOUND ? 0 : err;
}

static void count_wrong(void *user, const log_checked_t *c)
{
    if (c->damage.fault != LOG_SOUND) *(bool *)user = true;
}

static int mend_log(const mender_t *m, bool salvage)
{
    bool wrong = false;
    char path[PATH_CHARS_MAX];
    log_mended_t mended;
    log_mending_t how = {.salvage = salvage, .fill = wal_fill, .fill_offsets_max = FILL_ENTRIES_MAX};
    path_in(m->dir, "log", path);
    if (!io_exists(m->loop, path)) return 0;
    int err = log_check(m->loop, path, false, count_wrong, &wrong);
    if (err || !wrong) return err;
    err = log_mend(m->loop, path, &how, &mended);
    if (err) return err;
    lines_say(&m->lines,
              "coord/log: %" PRIu64 " entries kept, %" PRIu64 " valid ones behind the damage dropped, %" PRIu64
              " lost ones replaced by entries that change nothing; it ends at entry %" PRId64,
              mended.kept_batches, mended.lost_batches, mended.lost_offsets, mended.end_offset - 1);
    return 0;
}

/* A log that does not join on to the snapshot cannot be used with it. */
static int join_up(const mender_t *m, survey_t *s)
{
    char from[PATH_CHARS_MAX], to[PATH_CHARS_MAX];
    bool fits = s->log_there && s->first <= s->snapshot + 1 && s->end > s->snapshot;
    if (fits || (!s->log_there && s->snapshot == 0)) return 0;
    path_in(m->dir, "log", from);
    path_in(m->dir, "log.unused", to);
    if (s->log_there) {
        int err = io_rename(m->loop, from, to);
        if (err) return err;
    }
    lines_say(&m->lines,
              "coord: the log does not join on to the snapshot of entry %" PRIu64
              "; the tree is what that says, and the log is in log.unused",
              s->snapshot);
    s->end = s->snapshot + 1;
    return 0;
}

/* A copy of the snapshots alone would go on with the log of the tree that it was copied from. */
static int refuse_elsewhere(const mender_t *m)
{
    char *log_dir;
    int err = coord__log_dir_noted(m->loop, m->dir, &log_dir);
    if (err || !log_dir) return err;
    lines_say(
        &m->lines,
        "coord: nothing, because the log is in %.300s: move log, durable and boot from there to the snapshots, remove "
        "the file " COORD_LOG_ELSEWHERE ", and repair then",
        log_dir);
    mem_free(log_dir);
    return ERR_UNSUPPORTED;
}

int coord_mend(io_loop_t *loop, const char *dir, bool salvage, void (*tell)(void *user, const char *line), void *user)
{
    mender_t m = {loop, dir, {tell, user}};
    survey_t s = {.each = nothing, .log_sound = true};
    char path[PATH_CHARS_MAX];
    mark_t mark;
    int err = refuse_elsewhere(&m);
    if (!err) err = drop_bad_snapshots(&m);
    if (!err) err = mend_log(&m, salvage);
    if (!err) err = survey(loop, dir, dir, &s);
    if (!err) err = join_up(&m, &s);
    path_in(dir, "durable", path);
    if (!err) err = mark_open(loop, path, UINT64_MAX, MAX(s.end, UINT64_C(1)), &mark);
    if (err) return err;
    mark_close(&mark);
    return 0;
}
