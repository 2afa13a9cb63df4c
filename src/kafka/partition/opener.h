/* opener.h: who opens clients' compressed batches: the loop, as far as a turn bears it, or threads of the pool.
 *
 * A job is a pure function over bytes that is told how much may be opened and says ERR_LIMIT when that was not enough.
 * It is tried on the loop with little, then off it with more, then with all that is allowed; each try begins anew, so that
 * nothing that was opened is held while a job waits. The pool's other threads stay free for stable storage.
 *
 *   opener_try ──enough──> done        small jobs, one at a time ──ERR_LIMIT──> large jobs, one at a time
 *       └──────ERR_LIMIT, or the turn is spent──────> ^                                  */
#ifndef TRIVET_KAFKA_OPENER_H
#define TRIVET_KAFKA_OPENER_H

#include "base/list.h"
#include "io/io.h"

#define OPENER_INLINE_BYTES_MAX KIB(256) /* of one job on the loop: about 0.2 ms, under gzip 1 ms */
#define OPENER_TURN_BYTES_MAX   MIB(2)   /* of all jobs of a turn of the loop */
#define OPENER_SMALL_BYTES_MAX  MIB(8)
#define OPENER_LARGE_BYTES_MAX  MIB(256) /* no batch may open to more */

typedef struct opener opener_t;

typedef struct opener_job {
    /* Runs on any thread; *ret_bytes is what was opened. */
    int (*run)(struct opener_job *job, size_t bytes_max, size_t *ret_bytes);
    /* Runs on the loop with what `run` returned, or ERR_CLOSED. */
    void (*done)(struct opener_job *job, int err);
    list_t node;
} opener_job_t;

opener_t *opener_new(io_loop_t *loop);
/* Ends all jobs with ERR_CLOSED, and every job that comes later. */
void opener_close(opener_t *opener);
void opener_free(opener_t *opener);
/* True when the job is done with, *ret_err. Else it must be started, with all its bytes where they stay until it is done.
 * `bytes` is what the job begins with. */
bool opener_try(opener_t *opener, opener_job_t *job, size_t bytes, int *ret_err) MUST_CHECK;
void opener_start(opener_t *opener, opener_job_t *job);

#endif
