/* process.h: what the originals do with their process, and the directives of redis.conf that say so (daemonize, pidfile, logfile,
 * supervised, syslog-*): into the background, a log file, the system's log, a file with the process id, word to systemd. */
#ifndef TRIVET_SERVER_PROCESS_H
#define TRIVET_SERVER_PROCESS_H

#include "server/options.h"

/* Before any thread and any file: goes into the background, turns the log to its file. On failure `error` says what. */
int process_begin(const options_t *options, char error[OPTIONS_ERROR_CHARS_MAX]) MUST_CHECK;
/* The doors are open: the process id is written, who supervises is told. */
void process_ready(const options_t *options);
void process_end(const options_t *options);
/* Who supervises: "systemd", "upstart" or "no". */
const char *process_supervisor(const options_t *options);

#endif
