/* quorum_opening.h: what opening a group found on the disk, in words for a person: server/ shows them. */
#ifndef TRIVET_COORD_QUORUM_OPENING_H
#define TRIVET_COORD_QUORUM_OPENING_H

#include "base/base.h"

#define QUORUM_TEXT_CHARS_MAX 800

/* Files are named below the group's directory. */
typedef struct quorum_opening {
    char why[QUORUM_TEXT_CHARS_MAX];     /* a refusal; "" = the error's own text says all */
    char warning[QUORUM_TEXT_CHARS_MAX]; /* what was cut, set aside or passed over; "" = nothing */
    uint64_t snapshot_index; /* the state was read from the snapshot of that entry; 0 = from the log alone */
    uint64_t entries;        /* that the log has behind it */
    bool fresh;              /* there was nothing: a new group */
} quorum_opening_t;

void quorum_opening_why(quorum_opening_t *opening, const char *format, ...) PRINTF_LIKE(2, 3);
/* Further warnings follow the first behind a semicolon. */
void quorum_opening_warn(quorum_opening_t *opening, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
