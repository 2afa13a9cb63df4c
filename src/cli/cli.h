/* cli.h: what the binary does besides serving: `trivet check DIR`, `trivet repair DIR`. */
#ifndef TRIVET_CLI_CLI_H
#define TRIVET_CLI_CLI_H

#include "base/base.h"

/* The commands' exit statuses. */
enum { CLI_SOUND = 0, CLI_DAMAGED = 1, CLI_USAGE = 2, CLI_UNREADABLE = 3 };

/* Whether argv[1] names a command; *ret_status is then its exit status. */
bool cli_run(int argc, char **argv, int *ret_status);
/* A few lines for the program's own help. */
extern const char cli_help[];

#endif
