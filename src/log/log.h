/* log.h: the one segmented, checksummed, append-only log, in Kafka's on-disk format.
 *
 * A log is a directory of segments named by their 20-digit base offset: .log (record batches v2 exactly as on
 * the wire), .index ({relative offset i32, position i32}, an entry about each 4 KiB), .timeindex
 * ({timestamp i64, relative offset i32}) and, where transactions were aborted, .txnindex; beside them leader-epoch-checkpoint (the log's own: recovery and
 * truncation change it) and partition.metadata and .snapshot files (the Kafka wing's).
 *
 * Batches are wire/batch.h's. The log sets their offset and leader epoch, which no checksum covers, and reads their headers alone.
 *
 * Invariants: offsets grow and are never reused; a log ends early only at a torn tail, which is an unfinished or invalid
 * last write with nothing valid behind it, and anything else is damage (log_damage_t); log_start_offset <= offsets kept < log_end_offset; nothing below `durable_offset`
 * is lost by a power failure. */
#ifndef TRIVET_LOG_LOG_H
#define TRIVET_LOG_LOG_H

#include "base/base.h"
#include "base/buf.h"
#include "io/io.h"
#include "wire/batch.h"

typedef struct log log_t;

/* The files that many logs have open, of which only `files_max` are open at once (log_options.files). A read or a sync that
 * finds every place taken gets ERR_FILES, which passes. Freed after the last log that has it, and all of its slices may
 * live longer. */
typedef struct log_files log_files_t;
log_files_t *log_files_new(uint32_t files_max);
void log_files_free(log_files_t *files);
uint32_t log_files_count(const log_files_t *files);
/* Half of the places are taken by slices and syncs: who keeps slices for long copies what they say instead. */
bool log_files_scarce(const log_files_t *files);

typedef struct log_options {
    uint64_t segment_bytes_max;    /* roll above; Kafka's segment.bytes */
    int64_t segment_age_ms_max;    /* roll a segment whose first batch is older; segment.ms */
    uint32_t index_interval_bytes; /* 4096 */
    uint32_t index_bytes_max;      /* segment.index.bytes; roll when full */
    int64_t flush_messages;        /* sync after so many records without one; INT64_MAX = leave it to the page cache */
    int64_t flush_ms;              /* sync at least so often; INT64_MAX = never by time */
    int64_t retention_ms;          /* -1 = unlimited */
    int64_t retention_bytes;       /* -1 = unlimited */
    int64_t file_delete_delay_ms;  /* .deleted files linger so long, for readers */
    /* Grow the active file so far ahead of its end, with zeros, so that most syncs need not write its size; recovery
     * takes zeros behind the last batch for a clean end. 0 = not. */
    uint32_t ahead_bytes;
    log_files_t *files; /* whose places its open files take; NULL = it may have as many as it likes */
} log_options_t;

extern const log_options_t log_options_default;

/* ---- opening ---- */

#define LOG_NAME_CHARS_MAX 96 /* a file's name within the log's directory */

/* What is wrong with a log that may not be opened. Then nothing in its directory was changed but indexes. */
typedef enum log_fault {
    LOG_SOUND,
    LOG_INVALID,   /* no valid batch at `position`, though valid ones lie behind it or it had been durable */
    LOG_MISPLACED, /* a valid batch at `position` whose offset, `found_offset`, does not belong there */
    LOG_GAP,       /* `file` begins at `found_offset`, and what comes before it ends at `offset` */
    LOG_MISSING,   /* `file` is not there, though its index is */
    LOG_SHORT,     /* it ends at `offset`, though all below `found_offset` had been durable */
} log_fault_t;

typedef struct log_damage {
    log_fault_t fault;
    char file[LOG_NAME_CHARS_MAX]; /* "" = there is no .log file at all */
    uint64_t position;             /* in the file */
    int64_t offset;                /* which should be there */
    int64_t found_offset;          /* which is there, or should be */
    uint64_t behind_count;         /* valid batches behind, in this file and those that follow it */
    int64_t behind_offset;         /* of the first of them */
    bool behind_more;              /* the search was given up: there may be others */
    int64_t durable_min;           /* they prove that all below was durable */
} log_damage_t;

/* What opening a log did to it, and what it refused to do. */
typedef struct log_report {
    log_damage_t damage;
    char cut_file[LOG_NAME_CHARS_MAX]; /* "" = nothing was cut */
    uint64_t cut_position, cut_bytes;
    int64_t cut_offset;     /* the log ends there since */
    uint32_t cut_segments;  /* whole ones that were set aside */
    bool epochs_rebuilt;    /* leader-epoch-checkpoint did not fit the batches */
    uint32_t rebuilt_count; /* segments whose indexes did not fit them */
    /* The first control batch of a segment whose .txnindex was emptied: the owner names the aborted transactions that end at
     * or above it again (log_aborted_add). INT64_MAX = there is none. */
    int64_t control_from;
    char copy[LOG_NAME_CHARS_MAX]; /* holds the bytes that were cut; "" = they were not worth keeping, or no room */
} log_report_t;

#define LOG_TEXT_CHARS_MAX 400
/* One sentence each, without the directory's name. */
void log_damage_text(const log_damage_t *damage, char out[LOG_TEXT_CHARS_MAX]);
void log_cut_text(const log_report_t *report, char out[LOG_TEXT_CHARS_MAX]);

/* Opens or creates the log in `dir`, recovering. With `clean` false each segment that holds `recovery_point`
 * or comes after it is read whole: CRCs are checked, a torn tail is cut (a copy of it stays beside the segment, named
 * .log.cut-<position>), indexes and leader epochs are rebuilt. With `clean` true, and below `recovery_point`, only the
 * segments' ends are looked at (and all of the above follows when one does not fit). ERR_DAMAGED: it is more than a torn
 * tail, as `report` says. `each`, when given, sees in order every kept batch that ends at
 * or above `scan_from`, so that the owner can rebuild what it derives from the log (producer state, a tree).
 */
/* Checksums that were checked ahead of log_open (precheck.c). */
typedef struct log_precheck log_precheck_t;

typedef struct log_recovery {
    bool clean;
    int64_t recovery_point; /* what log_durable_offset said since the last open; 0 when unknown */
    bool compacted;         /* it is or was: offsets may be missing */
    /* The machine may have lost power since: what was written at or above recovery_point may have lost single sectors, so
     * that valid batches lie behind invalid ones. They were never acknowledged as durable, and are cut with a copy. */
    bool power_lost;
    bool distrust_cache; /* what is checked is read from the disk: a sync may have failed that nobody told of */
    /* Below which offset all was durable when this batch was written, for logs whose batches say so. Such a batch behind invalid
     * bytes proves that they were durable, and so that no loss of power made them. */
    int64_t (*durable_of)(const batch_header_t *batch);
    int64_t end_min;      /* all below had been durable: a log that ends earlier is damaged; 0 = unknown */
    int64_t start_offset; /* the log's start as advanced earlier; -1 or 0 = the first segment's base */
    int64_t scan_from;    /* INT64_MAX = nothing */
    void (*each)(void *user, const batch_header_t *batch);
    void *user;
    log_report_t *report;           /* filled in when given, also on failure */
    const log_precheck_t *precheck; /* of this log, done; NULL = all is checked now */
} log_recovery_t;

/* Opens what log_open would check by this recovery. NULL: less than `bytes_min`, or nothing that can be known beforehand. Nobody may write
 * to the log until it is opened. */
int log_precheck_new(io_loop_t *loop, const char *dir, const log_recovery_t *recovery, uint64_t bytes_min,
                     log_precheck_t **ret_precheck) MUST_CHECK;
/* Reads all of it; on any thread. */
void log_precheck_run(log_precheck_t *precheck);
/* From any thread: what runs ends soon, and knows less. */
void log_precheck_stop(log_precheck_t *precheck);
void log_precheck_free(log_precheck_t *precheck); /* NULL is harmless */

int log_open(io_loop_t *loop, const char *dir, const log_options_t *options, const log_recovery_t *recovery,
             log_t **ret_log) MUST_CHECK;
/* Syncs what is dirty and closes. The log is freed, whatever is returned. */
int log_close(log_t *log) MUST_CHECK;
/* The same without syncing: who closes many logs makes all of them durable with one io_sync_tree afterwards.
 */
int log_close_unsynced(log_t *log) MUST_CHECK;
void log_set_options(log_t *log, const log_options_t *options);

/* Shows the headers of all batches that end at or above `from`, in order. */
int log_scan(log_t *log, int64_t from, void (*each)(void *user, const batch_header_t *batch), void *user) MUST_CHECK;

int64_t log_start_offset(const log_t *log);
int64_t log_end_offset(const log_t *log);
int64_t log_durable_offset(const log_t *log); /* all below is on stable storage */
int64_t log_active_base(const log_t *log);    /* base offset of the segment being written */
uint64_t log_bytes(const log_t *log);
uint32_t log_segments_count(const log_t *log);
const char *log_dir(const log_t *log);
/* So much came after the durable offset that options.flush_messages asks for a log_commit before
 * acknowledging. */
bool log_flush_due(const log_t *log);
/* Calls `rolled` before a new segment at `base_offset` takes over (the time for snapshots). One listener. */
void log_on_roll(log_t *log, void (*rolled)(void *user, int64_t base_offset), void *user);
/* Calls `rebuilt` when the indexes of a segment turned out to be wrong and were made anew from its batches. */
void log_on_rebuilt(log_t *log, void (*rebuilt)(void *user, int64_t base_offset), void *user);
/* The error after which the log takes nothing more, or 0. `failed` hears of it once, in a turn of its own, and may close the
 * log. */
int log_failed(const log_t *log);
void log_on_failure(log_t *log, void (*failed)(void *user, int err), void *user);

/* Leader epochs (Raft terms): each with the first offset written under it. `log_append` notes new ones by
 * itself; log_epoch_begin notes one that has no record yet. Latest: -1 = none. log_epoch_end: the largest
 * known epoch <= `epoch` and the offset at which it ended (the next one's start, or the log's end); (-1, -1)
 * when there is none. */
int32_t log_epoch_latest(const log_t *log);
void log_epoch_begin(log_t *log, int32_t epoch);
void log_epoch_end(const log_t *log, int32_t epoch, int32_t *ret_epoch, int64_t *ret_end_offset);
/* The epoch under which `offset` was written; -1 when unknown. */
int32_t log_epoch_at(const log_t *log, int64_t offset);

/* Appends one batch. `batch` is written as given, after baseOffset and leader epoch were patched in place
 * (the caller computes the CRC anew when it changes timestamps). On failure nothing was appended (a partial
 * write is cut off). ERR_NOSPACE, ERR_IO; ERR_LIMIT: the batch is larger than a segment may be; after ERR_IO
 * on sync the log is failed and refuses appends (ERR_STATE). The caller has checked the header
 * (batch_header_read) and, for foreign bytes, the CRC. */
int log_append(log_t *log, uint8_t *batch, size_t bytes, int32_t leader_epoch, int64_t *ret_base_offset) MUST_CHECK;
/* As log_append, for a replica: offsets and epoch are already in the batch and must continue the log
 * (ERR_INVALID; a gap is allowed). */
int log_append_at(log_t *log, const uint8_t *batch, size_t bytes) MUST_CHECK;

/* Group commit: `done` runs once all appended before the call, and not truncated since, is durable (0) or the
 * log failed. All waits that pile up during one sync share the next. */
typedef struct log_commit {
    void (*done)(struct log_commit *commit, int err);
    list_t node;
    int64_t offset;
} log_commit_t;
void log_commit(log_t *log, log_commit_t *commit, void (*done)(log_commit_t *commit, int err));
/* The same for the one who appends: begins the sync in this turn rather than the next, so that nobody else's commits of
 * this turn can share it. */
void log_commit_now(log_t *log, log_commit_t *commit, void (*done)(log_commit_t *commit, int err));

/* Finds the bytes of whole batches from the one that contains `offset`, up to `bytes_max` (the first batch
 * even when larger, when `whole_first`) and below `offset_end`, within one segment. A reader that continues
 * where its last find ended costs no look-up. The slice refers to the segment's file, kept alive by a
 * reference: pair with log_slice_release. ERR_OUT_OF_RANGE when offset < start or > end; an empty slice at
 * the end. */
typedef struct log_slice {
    io_file_t *file;
    uint64_t position;
    size_t bytes;
    int64_t base_offset; /* of the first batch */
    int64_t next_offset; /* behind the last batch */
    void *segment;       /* what release gives back; NULL in an empty slice */
} log_slice_t;
int log_find(log_t *log, int64_t offset, int64_t offset_end, size_t bytes_max, bool whole_first,
             log_slice_t *ret_slice) MUST_CHECK;
void log_slice_release(void *segment);

/* The first batch that ends at or above `from_offset` and has a record whose timestamp is >= `timestamp_ms`,
 * found through the time index; opening it to find the record is the caller's business. ERR_NOT_FOUND when
 * there is none. */
int log_find_timestamp(log_t *log, int64_t timestamp_ms, int64_t from_offset, batch_header_t *ret_batch,
                       log_slice_t *ret_slice) MUST_CHECK;
/* The largest timestamp, and the last offset of the first batch that holds it. ERR_NOT_FOUND when the log is
 * empty. */
int log_max_timestamp(log_t *log, int64_t *ret_timestamp_ms, int64_t *ret_offset) MUST_CHECK;

/* Drops everything at or above `offset` (a batch that straddles it goes whole) / everything at all, to go on
 * at `new_start` / everything below `offset` (whole segments go at once, the start offset moves; it may not
 * pass the end: ERR_OUT_OF_RANGE). */
int log_truncate_to(log_t *log, int64_t offset) MUST_CHECK;
int log_truncate_all(log_t *log, int64_t new_start) MUST_CHECK;
int log_advance_start(log_t *log, int64_t offset) MUST_CHECK;
/* Deletes by retention, removes .deleted files that are due, closes files that nobody used since the last
 * call. Call every few seconds to minutes. Segments that reach above `offset_limit` (the high watermark)
 * stay. */
int log_maintain(log_t *log, int64_t wall_ms, int64_t offset_limit, uint32_t *ret_deleted) MUST_CHECK;
/* Seals the active segment when its first batch has been there for options.segment_age_ms_max: for logs that are compacted
 * (a segment must be sealed for that). Elsewhere only an append does it. */
int log_roll_aged(log_t *log) MUST_CHECK;

/* ---- transactions: what the log cannot know of them, and keeps beside the segments for its owner (aborted.c) ---- */

/* One that was aborted: whose it was, its first batch, the marker that ended it, and the last stable offset behind that. */
typedef struct log_aborted {
    int64_t producer_id;
    int64_t first_offset, last_offset;
    int64_t last_stable_offset;
} log_aborted_t;
/* Notes a transaction whose marker, at last_offset, was appended. They come in the order of their markers; one that is there
 * already is passed over. An error fails the log: readers would take its records for committed. */
int log_aborted_add(log_t *log, const log_aborted_t *aborted) MUST_CHECK;
/* Shows those that have records in [from, to), in the order of their markers. */
int log_aborted_find(log_t *log, int64_t from, int64_t to, void (*each)(void *user, const log_aborted_t *aborted),
                     void *user) MUST_CHECK;

/* ---- compaction: one segment in the place of neighbouring sealed ones. What it holds decides the caller, who must keep all
 * that counts; offsets that lose their batch become gaps. ---- */

/* Segments count from 0; the last one is active. One ends where the next begins. */
typedef struct log_segment_info {
    int64_t base_offset, end_offset;
    uint32_t bytes;
} log_segment_info_t;
log_segment_info_t log_segment_info(const log_t *log, uint32_t index);
/* The largest timestamp of its first batch (-1 = none), and of all its records (when it was made, if they have none). May
 * have to be read from its files. */
int log_segment_times(log_t *log, uint32_t index, int64_t *ret_first_ms, int64_t *ret_max_ms) MUST_CHECK;

/* Reads sealed segments from the batch that holds `from` to those below `end`, a segment's base. Appends to `out` whole
 * batches of about `bytes_max` bytes, one at least, and at the end nothing. ERR_STATE: the log was cut meanwhile. */
typedef struct log_walk {
    log_t *log;
    int64_t offset, end;
    int64_t base_offset; /* of the segment that `position` is in; -1 = not looked for yet */
    uint32_t position;
} log_walk_t;
void log_walk_init(log_walk_t *walk, log_t *log, int64_t from, int64_t end);
int log_walk_read(log_walk_t *walk, size_t bytes_max, buf_t *out) MUST_CHECK;

/* Begins to rewrite the sealed segment that holds `from` (or the first one), together with as many that follow it, and
 * begin below `end`, as fit one segment by their present size; NULL when there is none. One rewrite a log at a time; it must
 * be finished or aborted before the log is closed. ERR_AGAIN: not all below `end` is
 * durable yet. */
typedef struct log_rewrite log_rewrite_t;
int log_rewrite_begin(log_t *log, int64_t from, int64_t end, log_rewrite_t **ret_rewrite) MUST_CHECK;
int64_t log_rewrite_base(const log_rewrite_t *rewrite);
int64_t log_rewrite_end(const log_rewrite_t *rewrite); /* where the next rewrite may begin */
/* Adds whole batches, with their offsets. On an error: abort. ERR_STATE: the segments have changed meanwhile. */
int log_rewrite_add(log_rewrite_t *rewrite, bytes_t batches) MUST_CHECK;
/* The same for the aborted transactions of which something is left. */
int log_rewrite_add_aborted(log_rewrite_t *rewrite, const log_aborted_t *aborted) MUST_CHECK;
/* Makes it durable and lets it take over; then `done` runs, and the rewrite is gone (it may not close the log). When it
 * returns an error, or `done` gets one, the log is as it was (or failed, when it was stuck between names). */
int log_rewrite_finish(log_rewrite_t *rewrite, void (*done)(void *user, int err), void *user) MUST_CHECK;
void log_rewrite_abort(log_rewrite_t *rewrite);

/* ---- a log that nobody has open -------------------------------------------------------------------------------------- */

typedef struct log_checked {
    char file[LOG_NAME_CHARS_MAX];
    uint64_t bytes, batches; /* batches: the valid ones, wherever they lie */
    int64_t begin_offset, end_offset;
    log_damage_t damage; /* the first, if any */
    bool torn;           /* and it is a torn tail, which an open cuts */
} log_checked_t;
/* Reads all of it, writes nothing, and shows each segment. */
int log_check(io_loop_t *loop, const char *dir, bool compacted, void (*each)(void *user, const log_checked_t *file),
              void *user) MUST_CHECK;

typedef struct log_mending {
    bool salvage; /* keep what is valid behind damage, else the log ends at the first */
    bool compacted;
    /* Appends batches that take the place of the offsets [from, to). */
    void (*fill)(int64_t from, int64_t to, int32_t epoch, buf_t *out);
    int64_t fill_offsets_max; /* a wider gap ends the log */
} log_mending_t;
typedef struct log_mended {
    uint64_t kept_batches, lost_batches; /* lost: valid, but behind the end or out of their place */
    uint64_t lost_offsets;               /* that were filled */
    int64_t end_offset;
} log_mended_t;
/* Rewrites the directory in place, without its indexes: of a copy. */
int log_mend(io_loop_t *loop, const char *dir, const log_mending_t *how, log_mended_t *ret_mended) MUST_CHECK;
/* A fill: batches without records, as compaction leaves them. */
void log_fill_empty(int64_t from, int64_t to, int32_t epoch, buf_t *out);

/* Deletes the directory: renamed to `<name>.<unique>-delete` first, so that a crash leaves no half of it
 * behind under its own name. The log is closed and freed, whatever is returned; slices stay readable. */
int log_delete(log_t *log) MUST_CHECK;

#endif
