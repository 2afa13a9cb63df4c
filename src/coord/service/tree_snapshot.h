/* tree_snapshot.h: the tree's part of a snapshot, written in slices while the tree goes on changing, and loaded in slices.
 *
 * Consistency: a snapshot shows the state at the moment of tree_snapshot_begin. A walk in preorder writes the nodes; before a
 * node that the walk has not reached changes or goes, state__touch has it written as it was; nodes born later are
 * marked and skipped. Nodes therefore come in any order. */
#ifndef TRIVET_COORD_TREE_SNAPSHOT_H
#define TRIVET_COORD_TREE_SNAPSHOT_H

#include "coord/raft/snapshot.h"
#include "coord/tree/state.h"

typedef struct tree_snapshot tree_snapshot_t;

tree_snapshot_t *tree_snapshot_begin(state_t *state, snapshot_writer_t *writer);
/* Writes about `bytes` more. 1 when all is written, the tail too; 0 when there is more; or an error. */
int tree_snapshot_step(tree_snapshot_t *snapshot, size_t bytes) MUST_CHECK;
/* Ends it, written or not. NULL is harmless. */
void tree_snapshot_end(tree_snapshot_t *snapshot);

/* ---- loading (tree_loader.c), into an empty state that nobody else uses yet -------------------------------------------- */

typedef struct tree_loader tree_loader_t;

tree_loader_t *tree_loader_new(snapshot_reader_t *reader, state_t *state);
/* Loads about `bytes` more. 1 when all of it is there, 0 when there is more, or an error: the state may only be freed. */
int tree_loader_step(tree_loader_t *loader, size_t bytes) MUST_CHECK;
void tree_loader_free(tree_loader_t *loader);

#endif
