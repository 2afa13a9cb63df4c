/* path.h: names of files in a folder of ours. */
#ifndef TRIVET_COORD_RAFT_PATH_H
#define TRIVET_COORD_RAFT_PATH_H

#include "base/base.h"

#include <stdio.h>

#define PATH_CHARS_MAX 4096

/* The folder was opened: its name is short enough. */
static inline void path_in(const char *dir, const char *name, char out[PATH_CHARS_MAX])
{
    int n = snprintf(out, PATH_CHARS_MAX, "%s/%s", dir, name);
    ASSERT(n > 0 && n < PATH_CHARS_MAX);
}

#endif
