/* opening.h: what opening the tree found on the disk, in words for a person: server/ shows them. */
#ifndef TRIVET_COORD_OPENING_H
#define TRIVET_COORD_OPENING_H

#include "base/base.h"

#define COORD_TEXT_CHARS_MAX 800

/* Files are named below the tree's directory. */
typedef struct coord_opening {
    char why[COORD_TEXT_CHARS_MAX];     /* a refusal; "" = the error's own text says all */
    char warning[COORD_TEXT_CHARS_MAX]; /* what was cut, set aside or passed over; "" = nothing */
    uint64_t snapshot_index;            /* the state was read from the snapshot of that entry; 0 = from the log alone */
    uint64_t entries;                   /* that the log has behind it */
    bool fresh;                         /* there was nothing: a new tree */
} coord_opening_t;

void coord_opening_why(coord_opening_t *opening, const char *format, ...) PRINTF_LIKE(2, 3);
/* Further warnings follow the first behind a semicolon. */
void coord_opening_warn(coord_opening_t *opening, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
