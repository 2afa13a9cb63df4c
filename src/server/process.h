/* process.h: what the originals do with their process: into the background, a log file, a file with the process id, word to
 * systemd. Only for a program that is called by an original's name. */
#ifndef TRIVET_SERVER_PROCESS_H
#define TRIVET_SERVER_PROCESS_H

#include "server/options.h"

/* Before any thread and any file: goes into the background, turns the log to its file. On failure `error` says what. */
int process_begin(const process_options_t *options, char error[OPTIONS_ERROR_CHARS_MAX]) MUST_CHECK;
/* The doors are open: the process id is written, who supervises is told. */
void process_ready(const process_options_t *options);
void process_end(const process_options_t *options);

#endif
