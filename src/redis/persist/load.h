/* load.h: what the disk has is read at the start, in steps. */
#ifndef TRIVET_REDIS_LOAD_H
#define TRIVET_REDIS_LOAD_H

#include "base/base.h"

typedef struct persist persist_t;

/* Reads on for some milliseconds; the first call begins. On an error, and when all is done, loading has ended. */
int load__step(persist_t *persist, bool *ret_done, char *err, size_t err_bytes) MUST_CHECK;
void load__abort(persist_t *persist);

#endif
