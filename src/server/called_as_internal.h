/* called_as_internal.h: what the readers of the originals' configuration files share; see called_as.c. */
#ifndef TRIVET_SERVER_CALLED_AS_INTERNAL_H
#define TRIVET_SERVER_CALLED_AS_INTERNAL_H

#include "server/called_as.h"

typedef struct reader {
    const called_as_t *as;
    options_t *options;
    char *error;
    int depth;           /* of include */
    char *appendonly_no; /* where redis.conf says so last; NULL = it does not */
    bool save_given;     /* when snapshots are due */
} reader_t;

struct called_as {
    const char *name, *section, *usage;
    const char *const (*presets)[3]; /* section, name, value; ends with NULL */
    int (*read_line)(reader_t *reader, char *line, const char *origin);
    int (*read_args)(reader_t *reader, int argc, char **argv);
    /* Takes what speaks of the process rather than of the wing: ERR_NOT_FOUND = it is the wing's. May be
     * NULL: all is. */
    int (*take_own)(reader_t *reader, const char *name, const char *value, const char *origin);
    /* What a directive means beside what the wing makes of it; may be NULL. */
    void (*also)(reader_t *reader, const char *name, const char *value, const char *origin);
    /* When everything has been read; may be NULL. */
    void (*finish)(reader_t *reader);
};

int called_as__fail(reader_t *reader, const char *origin, const char *text, const char *name);
int called_as__take(reader_t *reader, const char *name, const char *value, const char *origin);
int called_as__read_file(reader_t *reader, const char *path);

extern const called_as_t called_as__redis, called_as__valkey;

#endif
