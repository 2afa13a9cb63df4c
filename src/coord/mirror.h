/* mirror.h: a wing's own copy of the parts of the tree that it reads, on the wing's reactor.
 *
 *   the tree's reactor                                     the wing's reactor
 *   apply ─> feed: one message a turn, in commit order ──> its nodes change, its subscribers hear of each
 *   coord_submit <──────────────── the operations ──────── mirror_submit
 *           done ─> what was applied so far, then ───────> done
 *
 * So a wing sees in its mirror what it wrote before its answer comes, and reads without asking anybody. It may lag behind
 * the tree by the messages that are on their way: what must not be decided on an old picture is written with a version. A stat
 * has no cversion and no pzxid, which children change.
 *
 * Both may live on one loop; the code is the same. */
#ifndef TRIVET_COORD_MIRROR_H
#define TRIVET_COORD_MIRROR_H

#include "coord/coord.h"

typedef struct mirror mirror_t;

#define MIRROR_PREFIXES_MAX 16

/* On the tree's reactor: copies all that stands at and below each of the `prefixes` (which live as long as the mirror) to
 * `loop`, and goes on with each change. */
mirror_t *mirror_new(coord_t *coord, io_loop_t *coord_loop, io_loop_t *loop, const char *const *prefixes, int count);
/* On the tree's reactor, before the tree is closed: nothing more is followed, what is under way is still answered. */
void mirror_detach(mirror_t *mirror);
/* When the tree is closed and what either loop was sent has run (io_loop_drain). NULL is harmless. */
void mirror_free(mirror_t *mirror);

/* ---- for the wing, on its reactor ------------------------------------------------------------------------------------ */

/* The first picture is here. */
bool mirror_ready(const mirror_t *mirror);
/* As coord_get &c. Borrowed bytes are valid until control returns to the loop. */
coord_zerr_t mirror_get(const mirror_t *mirror, const char *path, bytes_t *ret_data, coord_stat_t *ret_stat);
bool mirror_exists(const mirror_t *mirror, const char *path);
coord_zerr_t mirror_children(const mirror_t *mirror, const char *path, void (*each)(void *user, const char *name),
                             void *user);
/* As coord_submit. Each request is answered once: ZCONNECTION_LOSS when the tree closes. */
void mirror_submit(mirror_t *mirror, const coord_op_t *ops, int ops_count, coord_request_t *request,
                   void (*done)(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid));
/* The wing stops: what is still to be answered is answered ZCONNECTION_LOSS, whatever becomes of it, and nobody is told of
 * changes. */
void mirror_close(mirror_t *mirror);
/* As coord_subscribe, of what the mirror holds. */
void mirror_subscribe(mirror_t *mirror, coord_subscription_t *subscription);
void mirror_unsubscribe(coord_subscription_t *subscription);

#endif
