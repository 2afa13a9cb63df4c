/* log_internal.h: what the files of src/log share. Nobody else includes it.
 *
 *   log_t ── segments[] ── log_segment_t ── offsets, times (log_index_t)
 *     │                        └── file, refs (slices and syncs hold it beyond its removal from the log)
 *     └── epochs, hints, waiters of group commit, removed segments whose files linger
 *
 * All but the last segment are sealed: nothing is appended to them. Files are opened at first use and closed
 * by log_maintain once idle, so that thousands of quiet logs cost neither descriptors nor buffers. */
#ifndef TRIVET_LOG_INTERNAL_H
#define TRIVET_LOG_INTERNAL_H

#include "log/log.h"

#define LOG_PATH_CHARS_MAX        4096
#define LOG_NAME_DIGITS           20 /* of a segment's base offset */
#define LOG_OFFSET_ENTRY_BYTES    8
#define LOG_TIME_ENTRY_BYTES      12
#define LOG_ABORTED_ENTRY_BYTES   34
#define LOG_ENTRY_BYTES_MAX       LOG_ABORTED_ENTRY_BYTES
#define LOG_INDEX_PENDING_MAX     64        /* entries kept in memory before they are written together */
#define LOG_HINTS_MAX             8         /* readers whose place is remembered */
#define LOG_EPOCHS_MAX            65536     /* lines read from a leader-epoch-checkpoint */
#define LOG_SEGMENT_BYTES_LIMIT   INT32_MAX /* positions in an index are i32 */
#define LOG_SCAN_WINDOW_BYTES     4096      /* a look-up's reads */
#define LOG_RECOVER_WINDOW_BYTES  KIB(256)  /* recovery's reads */
#define LOG_PRECHECK_SEGMENTS_MAX 64        /* files that one log's precheck holds open */
#define LOG_TIMESTAMP_NONE        (-1)
#define LOG_TIMESTAMP_UNREAD      INT64_MIN /* sealed segment whose time index was not looked at yet */

/* A file that is open now and then: files.c. */
typedef struct log_open {
    io_file_t *file;    /* NULL = closed */
    log_files_t *files; /* who counts it; NULL = nobody */
    list_t node;        /* in files->idle while nobody has pinned it */
    uint32_t pins;
} log_open_t;

/* One index file: fixed-size entries in ascending order, the newest still in memory. */
typedef struct log_index {
    log_open_t open;
    uint8_t *pending; /* LOG_INDEX_PENDING_MAX entries, made at the first append */
    uint32_t count;   /* entries in the file */
    uint8_t pending_count;
    uint8_t entry_bytes;
    bool loaded;  /* count is right */
    bool present; /* the file exists */
    bool dirty;   /* written since the last sync */
    bool syncing;
    io_sync_t sync;
} log_index_t;

/* The index of aborted transactions, which few segments have: aborted.c. */
typedef struct log_aborted_index {
    log_index_t index;
    struct log_segment *segment;
} log_aborted_index_t;

typedef struct log_segment {
    log_t *log;  /* NULL once the log is closed */
    list_t node; /* in log->removed */
    int64_t base_offset;
    int64_t max_timestamp;        /* LOG_TIMESTAMP_NONE = no batch */
    int64_t max_timestamp_offset; /* last offset of the first batch that has it */
    int64_t first_timestamp;      /* largest timestamp of the first batch; LOG_TIMESTAMP_NONE = unknown */
    int64_t created_ms;
    int64_t remove_ms; /* when in log->removed */
    uint32_t bytes;
    uint32_t file_bytes; /* of the file, when it was grown ahead of `bytes`; else 0 */
    uint32_t bytes_durable;
    uint32_t bytes_syncing; /* what the sync under way covers */
    uint32_t bytes_since_index;
    uint32_t refs;
    const char *suffix; /* of its files' names: "", ".cleaned" while it is written, ".deleted" once it left the log */
    bool touched;       /* used since the last log_maintain */
    bool syncing;
    log_open_t open; /* the .log */
    io_sync_t sync;
    log_index_t offsets;
    log_index_t times;
    log_aborted_index_t *aborted; /* NULL = it has none */
} log_segment_t;

typedef struct log_epoch {
    int32_t epoch;
    int64_t start_offset;
} log_epoch_t;

typedef struct log_hint { /* a batch begins at `position` and is the first that reaches `offset` */
    const log_segment_t *segment;
    int64_t offset;
    uint32_t position;
} log_hint_t;

struct log {
    io_loop_t *loop;
    char *dir;
    log_options_t options;
    log_segment_t **segments;
    uint32_t segments_count, segments_cap;
    int64_t start_offset, end_offset, durable_offset;
    int failed;       /* the error of a failed sync: nothing may be appended after it */
    bool names_dirty; /* files were created that a power loss may forget */
    bool parent_dirty;
    bool epochs_dirty;
    log_epoch_t *epochs;
    uint32_t epochs_count, epochs_cap;
    uint32_t hint_next;
    log_hint_t hints[LOG_HINTS_MAX];
    list_t removed;
    log_rewrite_t *rewrite; /* under way, or NULL */

    list_t waiters; /* log_commit_t, by offset */
    uint32_t syncs; /* files of the round under way */
    int round_err;
    int64_t round_offset;
    bool commit_soon; /* commit_timer will start a round or complete waiters */
    io_timer_t commit_timer;
    io_timer_t flush_timer;
    io_timer_t fail_timer;

    void (*rolled)(void *user, int64_t base_offset);
    void *rolled_user;
    void (*on_rebuilt)(void *user, int64_t base_offset);
    void *rebuilt_user;
    uint32_t rebuilt_count;
    void (*on_failure)(void *user, int err);
    void *failure_user;
};

static inline log_segment_t *log__active(const log_t *log) { return log->segments[log->segments_count - 1]; }

/* files.c */
/* Opens it; it must be closed. ERR_FILES: every place is taken by what must stay open. */
int log__open(log_t *log, log_open_t *open, const char *path, int flags) MUST_CHECK;
void log__open_close(log_open_t *open);
/* A sync may begin: it leaves places for those who append. */
bool log__files_for_sync(const log_files_t *files);
/* It is used now. */
void log__open_touch(log_open_t *open);
/* Keeps it open, however long it is not used. */
void log__open_pin(log_open_t *open);
void log__open_unpin(log_open_t *open);
/* Gives up its place, open or not: its log is closing. */
void log__open_forget(log_open_t *open);

/* segment.c */
log_segment_t *log__segment_new(log_t *log, int64_t base_offset);
void log__segment_unref(log_segment_t *segment);
/* Its log is closing; only those who refer to it keep it. */
void log__segment_forget(log_segment_t *segment);
/* For a slice, until log_slice_release: its file stays open. */
void log__segment_lend(log_segment_t *segment);
/* The path of one of the segment's files: ".log", ".index", ".timeindex", ".txnindex". */
void log__segment_path(const log_segment_t *segment, const char *kind, char out[LOG_PATH_CHARS_MAX]);
void log__segment_name(char out[LOG_NAME_CHARS_MAX], int64_t base_offset, const char *kind);
/* Gives all its files another suffix: the .log first, but last when they leave the log. It fails when some have the new
 * name and some the old. */
int log__segment_rename(log_segment_t *segment, const char *suffix) MUST_CHECK;
int log__segment_file(log_segment_t *segment, bool create, io_file_t **ret_file) MUST_CHECK;
void log__segment_close_files(log_segment_t *segment);
/* Counts a batch that was put at `position`: timestamps, and an index entry when one is due. */
void log__segment_note(log_segment_t *segment, const batch_header_t *batch, uint32_t position);
/* Writes what the indexes hold in memory; for a segment that is done (`seal`) with its largest timestamp as
 * last entry. */
void log__segment_flush_indexes(log_segment_t *segment, bool seal);
/* The largest timestamp as the time index's last entry. */
void log__segment_seal_times(log_segment_t *segment);
int log__segment_load_times(log_segment_t *segment) MUST_CHECK;
int log__segment_load_first_time(log_segment_t *segment) MUST_CHECK;
int log__segment_remove_files(log_segment_t *segment) MUST_CHECK;
/* Its .deleted files, off the loop: nobody looks for them by name. */
void log__segment_drop_deleted(log_segment_t *segment);
/* Makes the file reach options.ahead_bytes beyond `end` / takes back what lies behind `bytes`. Neither can fail: without
 * room a sync costs more, and zeros left behind are cut by recovery. */
void log__segment_reach(log_segment_t *segment, io_file_t *file, uint64_t end);
void log__segment_trim(log_segment_t *segment);
/* Offset behind the segment: the next one's base, or the log's end. */
int64_t log__segment_end(const log_segment_t *segment, uint32_t at);
/* What the last entry of the offset index says: where a batch begins, and its last offset. Position 0: it has none. */
int log__segment_last_indexed(log_segment_t *segment, uint32_t *ret_position, int64_t *ret_last_offset) MUST_CHECK;
/* Position of the first batch that ends at or above `offset`, and its header; ERR_NOT_FOUND when none does.
 */
int log__segment_seek(log_segment_t *segment, int64_t offset, uint32_t *ret_position,
                      batch_header_t *ret_batch) MUST_CHECK;

/* precheck.c: so many bytes from its start are sound; `precheck` may be NULL */
uint64_t log__precheck_sound(const log_precheck_t *precheck, const log_segment_t *segment);

/* index.c: `segment` names the file */
typedef int64_t (*log_index_key_t)(const uint8_t *entry);
int64_t log__key_offset(const uint8_t *entry);
int64_t log__key_position(const uint8_t *entry);
int64_t log__key_timestamp(const uint8_t *entry);
int64_t log__key_time_offset(const uint8_t *entry);
/* Opens the file, unless it is open; `flags` besides IO_FILE_WRITE. */
int log__index_open(log_segment_t *segment, log_index_t *index, int flags) MUST_CHECK;
/* Reads entries from `i` on, as many as there are up to `max`, into `out`. */
int log__index_get_some(log_segment_t *segment, log_index_t *index, uint32_t i, uint32_t max, uint8_t *out,
                        uint32_t *ret_count) MUST_CHECK;
/* How many entries have a key <= `key`. */
int log__index_rank(log_segment_t *segment, log_index_t *index, log_index_key_t key_of, int64_t key,
                    uint32_t *ret_rank) MUST_CHECK;
/* Opens and counts, unless done. ERR_NOT_FOUND: no file. ERR_CORRUPT: it does not fit a log of `log_bytes`.
 */
int log__index_load(log_segment_t *segment, log_index_t *index) MUST_CHECK;
/* An entry says that a batch that ends with `last_offset` begins where a peek ended with `err` or found `batch`. */
static inline bool log__index_lied(int err, const batch_header_t *batch, int64_t last_offset)
{
    if (err) return err == ERR_CORRUPT || err == ERR_TRUNCATED || err == ERR_UNSUPPORTED || err == ERR_NOT_FOUND;
    return batch_last_offset(batch) != last_offset;
}
uint32_t log__index_count(const log_index_t *index);
int log__index_get(log_segment_t *segment, log_index_t *index, uint32_t i, uint8_t *ret_entry) MUST_CHECK;
/* It has entries that a power loss would take. */
static inline bool log__index_unsynced(const log_index_t *index) { return index->dirty || index->pending_count > 0; }
/* The last entry whose key is <= `key`: 0, or ERR_NOT_FOUND. */
int log__index_floor(log_segment_t *segment, log_index_t *index, log_index_key_t key_of, int64_t key,
                     uint8_t *ret_entry) MUST_CHECK;
/* Never fails: an entry that cannot be kept takes the place of the one before, which only makes look-ups scan further. */
void log__index_append(log_segment_t *segment, log_index_t *index, const uint8_t *entry);
int log__index_flush(log_segment_t *segment, log_index_t *index) MUST_CHECK;
/* Keeps the entries whose key is < `key`. */
int log__index_cut(log_segment_t *segment, log_index_t *index, log_index_key_t key_of, int64_t key) MUST_CHECK;
/* Creates the empty file. */
int log__index_create(log_segment_t *segment, log_index_t *index) MUST_CHECK;
/* Empties the index, and its file if there is one. */
int log__index_reset(log_segment_t *segment, log_index_t *index) MUST_CHECK;
void log__index_close(log_index_t *index);

/* aborted.c */
void log__aborted_new(log_segment_t *segment, bool present);
void log__aborted_free(log_segment_t *segment); /* its file is closed */
/* A file whose entries cannot be the segment's: ERR_CORRUPT. */
int log__aborted_check(log_segment_t *segment, int64_t end_offset) MUST_CHECK;
/* Empties it: what it says is said again. */
int log__aborted_reset(log_segment_t *segment) MUST_CHECK;
/* Forgets those whose marker is at or above `offset`. */
int log__aborted_cut(log_segment_t *segment, int64_t offset) MUST_CHECK;
int log__aborted_flush(log_segment_t *segment) MUST_CHECK;
/* It has entries that a power loss would take. */
static inline bool log__aborted_unsynced(const log_segment_t *segment)
{
    return segment->aborted && log__index_unsynced(&segment->aborted->index);
}
/* Adds to a segment that is being written by compaction. */
int log__aborted_put(log_segment_t *segment, const log_aborted_t *aborted) MUST_CHECK;

/* find.c */
/* The segment that holds `offset`: the last one whose base is not above it, or the first. */
uint32_t log__segment_at(const log_t *log, int64_t offset);

/* scan.c: walks the batch headers of one file */
typedef struct log_scan {
    io_file_t *file;
    uint64_t position; /* of the next batch */
    uint64_t end;
    uint8_t *window;
    size_t window_cap, window_len;
    uint64_t window_at;
} log_scan_t;
void log__scan_init(log_scan_t *scan, io_file_t *file, uint64_t from, uint64_t end, uint8_t *window, size_t window_cap);
/* The header at scan->position; does not move. ERR_NOT_FOUND: exactly at the end; ERR_TRUNCATED, ERR_CORRUPT
 * &c. */
int log__scan_peek(log_scan_t *scan, batch_header_t *ret_batch) MUST_CHECK;
void log__scan_skip(log_scan_t *scan, const batch_header_t *batch);
/* Makes at least `need` bytes at `at` present, when the file has them; how many are there, or an error. */
ssize_t log__scan_fill(log_scan_t *scan, uint64_t at, size_t need) MUST_CHECK;
/* Whether the batch at scan->position has the CRC it says: 0, ERR_CORRUPT or a read error. */
int log__scan_verify(log_scan_t *scan, const batch_header_t *batch) MUST_CHECK;

/* Shows the headers of a segment's batches that end at or above `from`. */
int log__show_segment(log_segment_t *segment, int64_t from, void (*each)(void *user, const batch_header_t *batch),
                      void *user) MUST_CHECK;

/* recover_names.c */
/* Ends what a crash left in the middle: removals, and segments that were taking the place of others. */
int log__recover_names(log_t *log, log_report_t *report) MUST_CHECK;
bool log__parse_base(const char *name, int64_t *ret_base);
bool log__is_temporary(const char *name);

/* recover.c */
typedef struct log_recover {
    log_t *log;
    const log_recovery_t *how;
    log_report_t *report;
    int64_t next_offset;   /* behind what was found sound so far */
    bool cut;              /* the log ends there */
    uint64_t behind_count; /* valid batches that the cut takes */
} log_recover_t;
int log__recover(log_t *log, const log_recovery_t *recovery, log_report_t *report) MUST_CHECK;

/* recover_segment.c: both move r->next_offset to the segment's end. */
/* Reads a segment whole; cuts a torn tail. */
int log__verify_segment(log_recover_t *r, uint32_t at) MUST_CHECK;
/* Looks at the end of one that needs no check, and verifies it when that is not as it should be. */
int log__open_segment_kept(log_recover_t *r, uint32_t at) MUST_CHECK;
int log__rebuild_indexes(log_segment_t *segment) MUST_CHECK;

/* recover_cut.c */
/* The log's sound part ends where `damage` says, in segment `at`. Looks for what lies behind: 0 when the log may be cut there
 * (r->cut), ERR_DAMAGED with the report filled in when it may not. */
int log__recover_judge(log_recover_t *r, uint32_t at, log_damage_t *damage) MUST_CHECK;
/* Cuts a segment, durably, and keeps a copy of what is no zeros. */
int log__recover_cut(log_recover_t *r, log_segment_t *segment, uint64_t position) MUST_CHECK;
/* Takes the segments from `keep` on out of the log; those that hold something stay as .log.cut. */
int log__set_aside_after(log_recover_t *r, uint32_t keep) MUST_CHECK;
int64_t log__recover_end_min(const log_recovery_t *how);
/* Nothing but zeros from there on, as a log that grows its files ahead leaves them. */
int log__only_zeros(const log_segment_t *segment, io_file_t *file, uint64_t from, bool *ret_zeros) MUST_CHECK;

/* damage.c */
typedef void (*log_found_cb)(void *user, uint64_t position, const batch_header_t *batch);
/* Shows the valid batches in [from, end) of a segment's file. ERR_LIMIT: the search was given up. */
int log__each_valid(io_file_t *file, int64_t base_offset, uint64_t from, uint64_t end, log_found_cb found,
                    void *user) MUST_CHECK;
/* Counts the valid batches from `from` on. */
int log__look_behind(log_segment_t *segment, const log_recovery_t *how, uint64_t from, log_damage_t *damage) MUST_CHECK;

/* epochs.c */
int log__epochs_load(log_t *log) MUST_CHECK;
void log__epochs_note(log_t *log, int32_t epoch, int64_t start_offset);
void log__epochs_cut_from(log_t *log, int64_t offset);  /* truncation */
void log__epochs_cut_below(log_t *log, int64_t offset); /* the log's start moved */
int log__epochs_save(log_t *log, bool sync) MUST_CHECK;
/* What is noted is held against the batches, and made anew from them where it does not fit. */
int log__epochs_check(log_t *log, bool *ret_rebuilt) MUST_CHECK;

/* log.c */
void log__push_segment(log_segment_t *segment);
/* Creates the next segment; it takes over at once. */
int log__add_segment(log_t *log, int64_t base_offset) MUST_CHECK;
void log__forget_hints(log_t *log);

/* commit.c */
void log__commit_init(log_t *log);
void log__commit_deinit(log_t *log); /* fails the waiters */
void log__commit_appended(log_t *log);
int log__sync_now(log_t *log) MUST_CHECK;
/* Nothing may be appended any more: what the disk holds is not known. */
void log__fail(log_t *log, int err);

/* compact.c */
/* Segments whose base is below `below` change or go: the rewrite under way, if it is of those, will come to nothing. */
void log__rewrite_spoil(log_t *log, int64_t below);

/* retain.c */
/* Their files are named .deleted already, or gone: they linger for readers. */
void log__let_go(log_segment_t *segment, int64_t remove_ms);
int log__remove_first(log_t *log, uint32_t count) MUST_CHECK;
int log__remove_after(log_t *log, uint32_t keep) MUST_CHECK;

#endif
