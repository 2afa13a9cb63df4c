/* log_dir.c: where the log lies: in the tree's directory, or in one of its own, on another disk say (zoo.cfg's dataLogDir). The
 * latter leaves a file behind that names it from the root: a start that looks elsewhere would serve an old snapshot as if nothing had
 * followed. */
#include "coord/service/coord_internal.h"

#include "coord/raft/quorum_opening.h"

#include <stdio.h>

#define NOTE_NAME      COORD_LOG_ELSEWHERE
#define PATH_CHARS_MAX 4096

static char *path_in(const char *dir, const char *name)
{
    char path[PATH_CHARS_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof(path) ? mem_strdup(path) : NULL;
}

int coord__log_dir_noted(io_loop_t *loop, const char *dir, char **ret_log_dir)
{
    char *note = path_in(dir, NOTE_NAME);
    uint8_t *data = NULL;
    size_t bytes;
    int err = note == NULL ? ERR_LIMIT : io_read_whole(loop, note, PATH_CHARS_MAX, &data, &bytes);
    mem_free(note);
    if (err && err != ERR_NOT_FOUND) return err;
    *ret_log_dir = !err ? (char *)data : NULL; /* a NUL is behind it */
    return 0;
}

/* One that an earlier version wrote down may be relative: then it was to where that was started. */
static char *absolute(char *noted)
{
    if (!noted || noted[0] == '/') return noted;
    char *whole = io_absolute(noted);
    mem_free(noted);
    return whole;
}

static int check(const char *noted, const char *wanted, bool log_here, quorum_opening_t *opening)
{
    if (noted && (wanted == NULL || strcmp(noted, wanted) != 0)) {
        quorum_opening_why(opening,
                           "the log is in %.300s: name that place with dataLogDir again, or move the log, durable and "
                           "boot from there and remove the file " NOTE_NAME,
                           noted);
        return ERR_STATE;
    }
    if (!noted && wanted && log_here) {
        quorum_opening_why(
            opening, "its log is here: move the log, durable and boot to %.300s before dataLogDir names it", wanted);
        return ERR_STATE;
    }
    return 0;
}

int coord__log_dir_settle(coord_t *coord, quorum_opening_t *opening)
{
    const char *wanted = coord->log_dir == coord->dir ? NULL : coord->log_dir;
    char *note = path_in(coord->dir, NOTE_NAME), *log = path_in(coord->dir, "log"), *noted = NULL;
    int err = note == NULL || !log ? ERR_LIMIT : coord__log_dir_noted(coord->loop, coord->dir, &noted);
    noted = absolute(noted);
    if (!err) err = check(noted, wanted, io_exists(coord->loop, log), opening);
    if (!err && wanted) err = io_mkdir(coord->loop, wanted);
    if (!err && wanted && !noted) err = io_replace_whole(coord->loop, note, bytes_str(wanted));
    mem_free(noted);
    mem_free(log);
    mem_free(note);
    return err;
}
