/* called_as.h: Trivet called by the name of an original is only that: it takes the original's configuration file and flags
 * and opens one door.
 *
 *   redis-server, valkey-server [FILE] [--DIRECTIVE VALUE...]...   redis.conf, valkey.conf
 *   zkServer [start-foreground] [FILE]                      zoo.cfg
 *   kafka-server-start [FILE] [--override NAME=VALUE]...    server.properties */
#ifndef TRIVET_SERVER_CALLED_AS_H
#define TRIVET_SERVER_CALLED_AS_H

#include "server/options.h"

/* In front of what is wrong with an original's configuration: tools that start one look for these words. */
#define SETTINGS_ERROR "FATAL CONFIG FILE ERROR: "

typedef struct called_as called_as_t;

/* By the last part of the path, a trailing ".sh" aside; NULL for any other name. */
const called_as_t *called_as(const char *argv0);
/* The name of a program of the originals that this is not: `error` says so. */
bool called_as_stranger(const char *argv0, char error[OPTIONS_ERROR_CHARS_MAX]) MUST_CHECK;
/* As options_parse. */
int called_as_parse(const called_as_t *as, int argc, char **argv, options_t *ret_options,
                    char error[OPTIONS_ERROR_CHARS_MAX]) MUST_CHECK;

#endif
