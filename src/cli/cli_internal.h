/* cli_internal.h: what the files of src/cli share. */
#ifndef TRIVET_CLI_INTERNAL_H
#define TRIVET_CLI_INTERNAL_H

#include "cli/cli.h"
#include "io/io.h"

#define CLI_PATH_CHARS_MAX 4096

/* A look through a data directory. */
typedef struct cli_survey {
    io_loop_t *loop;
    const char *dir;
    const char *prefix; /* of the names of files being shown */
    uint32_t files, wrong;
} cli_survey_t;

void cli__path(const char *dir, const char *name, char out[CLI_PATH_CHARS_MAX]);
/* The place of a wing's files: `name` below `dir`, or `dir` itself, where an original's configuration put them, which is known by
 * `mark` in it. False: they are not there. */
bool cli__part(io_loop_t *loop, const char *dir, const char *name, const char *mark, char out[CLI_PATH_CHARS_MAX]);
/* Prints a line; `wrong` NULL: the file is sound. */
void cli__show(void *survey, const char *file, const char *wrong, const char *note);
int cli__check(cli_survey_t *survey) MUST_CHECK;
int cli__check_kafka(cli_survey_t *survey) MUST_CHECK;

typedef struct cli_mending {
    io_loop_t *loop;
    const char *dir;
    bool salvage;
} cli_mending_t;
void cli__tell(void *user, const char *line);
int cli__mend_kafka(const cli_mending_t *mending) MUST_CHECK;

#endif
