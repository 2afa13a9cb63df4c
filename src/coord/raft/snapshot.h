/* snapshot.h: a state machine's whole state at one entry of the log, as a file. What the state is made of only the machine
 * knows: this writes and reads the file around it.
 *
 *   file: 8 bytes "TRVSNAP1", then blocks {u32 length, u32 crc32c of what follows, bytes}
 *
 *     head | the machine's records ... | tail       cut into blocks between any two of them
 *
 *   head: 1 byte 1, then the Jute record SnapshotHead; tail: 1 byte 5, then SnapshotTail. A file without its tail is no snapshot. */
#ifndef TRIVET_COORD_SNAPSHOT_H
#define TRIVET_COORD_SNAPSHOT_H

#include "base/buf.h"
#include "io/io.h"

#define SNAPSHOT_NAME_CHARS_MAX  32
#define SNAPSHOT_BLOCK_BYTES_AIM KIB(128) /* a block is closed above */
#define SNAPSHOT_BLOCK_BYTES_MAX MIB(64)  /* one record may be large, as large as an entry of the log */

typedef struct snapshot_point { /* where in the log it stands */
    uint64_t index, term;
    uint64_t configuration_index;
    bytes_t configuration; /* libraft's encoding */
} snapshot_point_t;

/* The configuration is copied (malloc'd). */
snapshot_point_t snapshot_point_copy(const snapshot_point_t *point);
void snapshot_point_deinit(snapshot_point_t *point);

/* ---- writing (snapshot_writer.c) ------------------------------------------------------------------------------------ */

typedef struct snapshot_writer snapshot_writer_t;

/* Starts `dir`/snapshot.<index>, by another name until it is whole. */
int snapshot_writer_open(io_loop_t *loop, const char *dir, const snapshot_point_t *point,
                         snapshot_writer_t **ret_writer) MUST_CHECK;
/* Comes first. `revision` and `time_ms` are the machine's: what it counts its changes by, and its clock. */
void snapshot_writer_head(snapshot_writer_t *writer, int64_t revision, int64_t time_ms);
/* Records are appended here, each followed by snapshot_writer_next. */
buf_t *snapshot_writer_block(snapshot_writer_t *writer);
void snapshot_writer_next(snapshot_writer_t *writer);
/* Comes last: `records` is what the machine counts of them. */
int snapshot_writer_tail(snapshot_writer_t *writer, uint64_t records) MUST_CHECK;
int snapshot_writer_err(const snapshot_writer_t *writer); /* the first write that failed; nothing was written since */
uint64_t snapshot_writer_bytes(const snapshot_writer_t *writer);
/* After the tail: syncs, gives it its name and calls `done`. */
void snapshot_writer_commit(snapshot_writer_t *writer, void (*done)(void *user, int err), void *user);
/* An uncommitted one leaves no file. */
void snapshot_writer_free(snapshot_writer_t *writer);

/* ---- reading (snapshot_reader.c) ------------------------------------------------------------------------------------ */

typedef struct snapshot_reader snapshot_reader_t;

/* ERR_CORRUPT, ERR_TRUNCATED: this is no snapshot; *ret_bytes (if it is not NULL) says how far it could be read. */
int snapshot_reader_open(io_loop_t *loop, const char *path, uint64_t *ret_bytes,
                         snapshot_reader_t **ret_reader) MUST_CHECK;
/* The next block's records, valid until the next call: 0; or 1 at the end, with the tail seen; or an error. */
int snapshot_reader_next(snapshot_reader_t *reader, bytes_t *ret_records) MUST_CHECK;
const snapshot_point_t *snapshot_reader_point(const snapshot_reader_t *reader);
int64_t snapshot_reader_revision(const snapshot_reader_t *reader);
int64_t snapshot_reader_time_ms(const snapshot_reader_t *reader);
/* What the tail says; before that was read it is a hint and may be nonsense. */
uint64_t snapshot_reader_records(const snapshot_reader_t *reader);
uint64_t snapshot_reader_bytes(const snapshot_reader_t *reader);  /* of the file */
uint64_t snapshot_reader_offset(const snapshot_reader_t *reader); /* read so far */
void snapshot_reader_free(snapshot_reader_t *reader);

/* ---- files by name (snapshot.c) --------------------------------------------------------------------------------------- */

void snapshot_name(uint64_t index, char out[SNAPSHOT_NAME_CHARS_MAX]);
char *snapshot_path(const char *dir, uint64_t index); /* malloc'd */
/* The newest one below `end` (UINT64_MAX = of all); ERR_NOT_FOUND when there is none. */
int snapshot_newest(io_loop_t *loop, const char *dir, uint64_t end, uint64_t *ret_index) MUST_CHECK;
/* Removes all snapshots and leftovers but that of `index`. */
void snapshot_prune(io_loop_t *loop, const char *dir, uint64_t index);

#endif
