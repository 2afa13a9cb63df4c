/* sweeper.h: the housekeeper's work: emails whose retry is due go back to a topic. */
#pragma once

#include "config.h"

#define RETRIES_KEY "email:retries" /* a sorted set of records by the time they are due */

/* The thread of a worker that takes part in the election, and sweeps while it leads. Ends when stopping(). */
void *sweeper_run(void *config);
