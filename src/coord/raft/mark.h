/* mark.h: how far the log was durable, in a file of its own beside it, so that entries that vanish are missed.
 *
 *   durable=00000000000000001001 crc=1a2b3c4d\n      the index behind the last durable entry, and the CRC-32C of what precedes
 *
 * It is overwritten in place after each sync of the log and before what that sync made durable is acknowledged, and never
 * synced itself: it survives the death of the process, and after a loss of power it says less than was true. So it may not
 * say more: before the log is cut below it, it is lowered and synced. Without it (an older directory, a damaged file) nothing
 * is known, which is no error. */
#ifndef TRIVET_COORD_MARK_H
#define TRIVET_COORD_MARK_H

#include "io/io.h"

typedef struct mark {
    io_loop_t *loop;
    io_file_t *file; /* NULL = closed */
    uint64_t durable;
} mark_t;

/* 0: nothing is known. ERR_CORRUPT: the file is not a mark. */
int mark_read(io_loop_t *loop, const char *path, uint64_t *ret_durable) MUST_CHECK;
/* Opens or creates the file and notes `durable`; waits for the disk when that is less than `before`, as read. */
int mark_open(io_loop_t *loop, const char *path, uint64_t before, uint64_t durable, mark_t *ret_mark) MUST_CHECK;
void mark_close(mark_t *mark);
/* Notes that all below `durable` is durable. Cannot fail: an older mark only says less. */
void mark_raise(mark_t *mark, uint64_t durable);
/* Before the log is cut at `durable`: waits for the disk. */
int mark_lower(mark_t *mark, uint64_t durable) MUST_CHECK;

#endif
