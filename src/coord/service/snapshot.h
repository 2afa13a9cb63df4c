/* snapshot.h: the whole state as a file, written in pieces while the tree goes on changing.
 *
 *   file:   8 bytes "TRVSNAP1", then blocks {u32 length, u32 crc32c of what follows, records}
 *   record: 1 byte tag, then the Jute record of schema/zookeeper/records.schema: head, session…, acl…, node…, tail
 *
 * Consistency: a snapshot shows the state at the moment of snapshot_begin. A walk in preorder writes the nodes; before a
 * node that the walk has not reached changes or goes, state__touch has it written as it was; nodes born later are
 * marked and skipped. Nodes therefore come in any order. A file without its tail is not a snapshot. */
#ifndef TRIVET_COORD_SNAPSHOT_H
#define TRIVET_COORD_SNAPSHOT_H

#include "base/buf.h"
#include "coord/tree/state.h"
#include "io/io.h"

typedef struct snapshot_point { /* where in the raft log it stands */
    uint64_t index, term;
    uint64_t configuration_index;
    bytes_t configuration; /* libraft's encoding */
} snapshot_point_t;

typedef struct snapshot_writer snapshot_writer_t;

/* Starts a snapshot `dir`/snapshot.<index>. */
int snapshot_begin(io_loop_t *loop, const char *dir, state_t *state, const snapshot_point_t *point,
                   snapshot_writer_t **ret_writer) MUST_CHECK;
/* Writes about `bytes` more. 1 when all is written, 0 when there is more, or an error. */
int snapshot_step(snapshot_writer_t *writer, size_t bytes) MUST_CHECK;
/* After snapshot_step said 1: syncs, gives it its name and calls `done`. */
void snapshot_finish(snapshot_writer_t *writer, void (*done)(void *user, int err), void *user);
uint64_t snapshot_bytes(const snapshot_writer_t *writer);
/* Ends it, finished or not (an unfinished one leaves no file). */
void snapshot_end(snapshot_writer_t *writer);

/* ---- loading: a slice at a time, into an empty state that nobody else uses yet --------------------------------------- */

typedef struct snapshot_loader snapshot_loader_t;
int snapshot_loader_open(io_loop_t *loop, const char *path, state_t *state, snapshot_loader_t **ret_loader) MUST_CHECK;
/* Loads about `bytes` more. 1 when all of it is there, 0 when there is more, or an error: the state may only be freed. */
int snapshot_loader_step(snapshot_loader_t *loader, size_t bytes) MUST_CHECK;
uint64_t snapshot_loader_bytes(const snapshot_loader_t *loader); /* of the file */
void snapshot_loader_free(snapshot_loader_t *loader);

/* Loads that of `index` at once, into an empty state. The configuration is malloc'd. When the file is not that snapshot
 * (ERR_CORRUPT, ERR_TRUNCATED), *ret_bytes says how far it could be read, and the state may only be freed. */
int snapshot_load(io_loop_t *loop, const char *dir, uint64_t index, state_t *state, snapshot_point_t *ret_point,
                  uint64_t *ret_bytes) MUST_CHECK;
/* A snapshot's point without the rest (the configuration is malloc'd). */
int snapshot_peek(io_file_t *file, snapshot_point_t *ret_point) MUST_CHECK;

/* ---- files by name -------------------------------------------------------------------------------------------------- */

char *snapshot_path(const char *dir, uint64_t index);
/* The newest one below `end` (UINT64_MAX = of all); ERR_NOT_FOUND when there is none. */
int snapshot_newest(io_loop_t *loop, const char *dir, uint64_t end, uint64_t *ret_index) MUST_CHECK;
/* Removes all snapshots and leftovers but that of `index`. */
void snapshot_prune(io_loop_t *loop, const char *dir, uint64_t index);

#endif
