/* faults.h: deliberate faults: a promise of the server's that is broken on purpose, so that the check that holds it to the promise
 * must notice. The server knows nothing of them: the linker puts the functions of faults.c between its files. */
#ifndef TRIVET_TESTS_SIM_FAULTS_H
#define TRIVET_TESTS_SIM_FAULTS_H

#include "base/base.h"

/* False when there is no such fault. */
bool fault_choose(const char *name) MUST_CHECK;
/* The chosen one, NULL = none. */
const char *fault_name(void);
/* The names of all, one after the other. */
const char *fault_each(size_t index);

#endif
