/* nearest.h: which of many names somebody meant who wrote one that does not exist. Offer all names, then ask. */
#ifndef TRIVET_BASE_NEAREST_H
#define TRIVET_BASE_NEAREST_H

#include "base/base.h"

#define NEAREST_CHARS_MAX 64 /* of names that are compared; longer ones are near nothing */

typedef struct nearest {
    const char *wanted, *name;
    size_t distance;
} nearest_t;

/* `wanted` must live as long as the search. */
nearest_t nearest_to(const char *wanted);
/* `name` must live as long as the answer is used. Of equally near names the first offered wins. */
void nearest_offer(nearest_t *nearest, const char *name);
/* ` (did you mean 'NAME'?)`, or "" when no name is near enough to be what was meant. */
const char *nearest_hint(const nearest_t *nearest, char *out, size_t out_bytes);

#endif
