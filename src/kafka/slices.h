/* slices.h: work that would hold the loop for long goes on in later turns, step by step, so that other connections and the
 * other protocols are served in between.
 *
 * All slices of a turn share a few milliseconds, also with other work of the wing that may wait (slices_spent); who gets none begins
 * in the next turn. In a turn that has been long already there is little left of them. */
#ifndef TRIVET_KAFKA_SLICES_H
#define TRIVET_KAFKA_SLICES_H

#include "base/list.h"
#include "io/io.h"

#define SLICES_TURN_NS_MAX 4000000ull
#define SLICES_LATE_NS     5000000ull /* a turn that has taken so long is long already */
#define SLICES_LATE_NS_MAX 1000000ull /* and has so much for slices, lest they starve */

typedef struct slices {
    io_loop_t *loop;
    list_t waiting; /* slice_t, in order */
    io_timer_t timer;
    uint64_t turn_ns; /* the turn that spent_ns is of */
    uint64_t spent_ns;
    bool closed; /* whatever comes now runs to its end at once */
} slices_t;

typedef enum slice_state {
    SLICE_MORE,  /* there is another step to do */
    SLICE_WAITS, /* somebody will call slice_run again */
    SLICE_ENDED, /* the slice may be gone */
} slice_state_t;

typedef struct slice {
    slice_state_t (*step)(struct slice *slice);
    /* Runs once, when the first pause comes: what is borrowed must be made to last. May be NULL. */
    void (*pause)(struct slice *slice);
    bool paused;
    list_t node;
} slice_t;

void slices_init(slices_t *slices, io_loop_t *loop);
/* Runs what waits to its end. */
void slices_close(slices_t *slices);
/* Runs steps until there are no more, or the turn's time is over: the rest runs in later turns. */
void slice_run(slices_t *slices, slice_t *slice);
/* True when the turn has no time left. The time since *since_ns is charged to the turn first, and *since_ns becomes the present. Nothing is
 * charged when it is 0, or of an earlier turn. */
bool slices_spent(slices_t *slices, uint64_t *since_ns);
/* The work will not go on. */
void slice_stop(slice_t *slice);

#endif
