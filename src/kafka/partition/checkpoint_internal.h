/* checkpoint_internal.h: what checkpoint.c (lines: what is known of each partition) and checkpoint_write.c (texts and rounds: how the
 * files are written) share. */
#ifndef TRIVET_KAFKA_PARTITION_CHECKPOINT_INTERNAL_H
#define TRIVET_KAFKA_PARTITION_CHECKPOINT_INTERNAL_H

#include "kafka/partition/partition_internal.h"

#define CHECKPOINT_VOID_NAME ".checkpoint-void"

enum { CHECKPOINT_RECOVERY, CHECKPOINT_STARTS, CHECKPOINT_WATERMARKS, CHECKPOINT_TEXTS };
typedef struct checkpoint_file {
    const char *name;
    size_t member;
} checkpoint_file_t;
extern const checkpoint_file_t checkpoint__files[CHECKPOINT_TEXTS];
extern const checkpoint_file_t checkpoint__cleaned_file;

/* What is known of a partition: one that is open, or as it was when it closed or was read. */
typedef struct checkpoint_line {
    partition_checkpoint_t at;
    const partition_t *partition; /* NULL = not open */
    list_t node;
    list_t cleaned_node; /* when at.cleaned is known */
    size_t key_bytes;
    char key[];
} checkpoint_line_t;

/* A file's text as it grows: room for the head, then the lines. */
typedef struct checkpoint_text {
    buf_t buf;
    uint32_t count;
    uint64_t hash; /* of the lines, whatever their order */
} checkpoint_text_t;

enum { CHECKPOINT_REPLACED_MAX = 6 };

typedef enum checkpoint_write { WRITES_NOTHING, WRITES_ROUND, WRITES_CLEANED, WRITES_VOID } checkpoint_write_t;

struct partition_checkpoints {
    partition_store_t *store;
    map_t lines; /* "topic partition" -> checkpoint_line_t */
    list_t all;  /* in the order in which a round looks at them */
    list_t cleaned;
    map_t dropped, leaving, voided; /* keys -> themselves */
    /* the round */
    slice_t slice;
    bool collecting;
    uint32_t left;
    checkpoint_text_t texts[CHECKPOINT_TEXTS];
    uint64_t written_hash[CHECKPOINT_TEXTS]; /* of what is on disk; 0 = not known */
    partition_sum_t sums[PARTITION_SUMS];
    bool round_wanted;
    /* what is being written */
    checkpoint_write_t writing;
    checkpoint_text_t cleaned_text;
    buf_t sums_text, void_text;
    char paths[CHECKPOINT_REPLACED_MAX][PARTITION_PATH_CHARS_MAX];
    io_replacement_t files[CHECKPOINT_REPLACED_MAX];
    size_t files_count;
    io_replace_t replace;
    bool cleaned_stale, void_stale;         /* on disk they say what is no longer so */
    io_timer_t timer;                       /* looks what is to be written */
    list_t cleaned_waiters, cleaned_served; /* partition_cleaned_waiter_t: for the next write, of the one under way */
};

/* checkpoint.c */
void checkpoint__path(const partition_checkpoints_t *c, const char *name, char out[PARTITION_PATH_CHARS_MAX]);
/* Takes what an open partition knows now. */
void checkpoint__refresh(checkpoint_line_t *line);
void checkpoint__move_keys(map_t *to, map_t *from);

/* checkpoint_write.c */
slice_state_t checkpoint__collect_step(slice_t *slice);
void checkpoint__look(io_timer_t *timer);
/* Says on disk now what is void, waiting for it. */
int checkpoint__void_write(partition_checkpoints_t *c) MUST_CHECK;
/* Waits for what is being written; what it was for is to be done again. */
void checkpoint__interrupt_write(partition_checkpoints_t *c);
/* Lets go of a round under way. */
void checkpoint__interrupt(partition_checkpoints_t *c);

#endif
