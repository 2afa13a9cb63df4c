/* aof_internal.h: what aof.c (feeding, writing), aof_manifest.c, aof_load.c and aof_rewrite.c share. */
#ifndef TRIVET_REDIS_AOF_INTERNAL_H
#define TRIVET_REDIS_AOF_INTERNAL_H

#include "redis/persist/aof.h"
#include "redis/persist/data_file.h"
#include "redis/persist/walk.h"
#include "redis/types/emit.h"

/* One line of the manifest. */
typedef struct aof_part {
    char *name;
    uint64_t seq;
    char type;              /* 'b' base, 'i' incremental, 'h' history: to be deleted */
    uint64_t durable_bytes; /* of it on the disk; 0 = unknown */
} aof_part_t;

typedef struct aof_manifest {
    aof_part_t *parts;
    size_t count;
    uint64_t base_seq, incr_seq; /* the highest in use */
} aof_manifest_t;

typedef struct aof_rewrite {
    bool active, scheduled, syncing;
    bool prepared;   /* most of the growing file is durable: changing files makes nobody wait long */
    data_file_t out; /* the new base, under a temporary name */
    walk_user_t walk;
    size_t keep_from; /* manifest parts from here on stay */
    io_sync_t sync;
    int64_t started_ms, last_seconds;
    bool last_ok;
    uint32_t failures;     /* in a row */
    int64_t not_before_ms; /* the next automatic one */
    uint64_t done_count;
} aof_rewrite_t;

struct aof {
    persist_t *persist;
    db_listener_t listener;
    bool enabled;
    bool once;     /* on for one rewrite, which BGREWRITEAOF asked for while it was off */
    bool unlisted; /* turned on while running: the manifest is written once there is a base */
    char *dir;     /* .../appendonlydir */
    aof_manifest_t manifest;
    io_file_t *file; /* the incremental file that grows */
    uint64_t file_bytes, synced_bytes;
    uint64_t base_bytes, old_incr_bytes; /* sizes of the other parts */
    uint64_t rewritten_bytes;            /* all parts right after the last rewrite (or load) */
    buf_t buf;                           /* not yet written */
    int selected_db;                     /* as a reader of the stream sees it; -1 = says nothing yet */
    buf_t pending;                       /* gathered from the command under way */
    size_t pending_count;
    io_hook_t hook;
    io_sync_t sync;
    bool syncing;
    uint64_t sync_target_bytes;
    int64_t synced_ms;
    uint64_t delayed_syncs;
    uint64_t loaded_commands;
    char failure[128];    /* why writes are refused; "" = they are not */
    bool suspect;         /* a sync failed: a rewrite must replace the file */
    io_reserve_t reserve; /* for when the disk is full */
    size_t early_bytes;   /* a turn that makes more writes before its end; well below the reserve */
    bool early;           /* it did, and the end of the turn must look after it */
    aof_rewrite_t rewrite;
};

#define AOF_KEEP_BUF_BYTES_MAX MIB(1) /* a larger buffer is given back */

char *aof__path(const aof_t *aof, const char *name);
/* In the middle of a turn: so that a full disk is met while what comes next can still be refused. */
void aof__write_early(aof_t *aof);
/* Ends the refusals if all is written and there is room. */
void aof__recovered(aof_t *aof);
void aof__forget_failure(aof_t *aof);
/* Fills the reserve; without it writes are refused. */
void aof__keep_room(aof_t *aof);
void aof__turn(io_hook_t *hook);
/* Makes what is written durable off the loop; nothing when that is under way. */
void aof__sync_later(aof_t *aof);
/* Writes the buffer to the file; with `sync`, makes it durable too. */
void aof__write(aof_t *aof, bool sync);

int aof__manifest_read(aof_t *aof, char *err, size_t err_bytes) MUST_CHECK;
int aof__manifest_write(aof_t *aof) MUST_CHECK;
void aof__manifest_clear(aof_manifest_t *m);
/* The next of its type, not yet in the list; the name is malloc'd. */
aof_part_t aof__next_part(aof_t *aof, char type, const char *suffix);
/* The growing file gets the name that the manifest is about to give it, if it has not. */
int aof__list_increment(aof_t *aof) MUST_CHECK;

/* A base of another's making. */
void aof__manifest_add_base(aof_t *aof, const char *name);
/* aof_adopt.c: takes the one file of a Redis before 7, if there is no list yet. */
int aof__adopt(aof_t *aof, char *err, size_t err_bytes) MUST_CHECK;
bool aof__has_old(const aof_t *aof);

/* Adds a file of ours to the list: the newest base, and increments in their order. */
void aof__manifest_find(aof_t *aof, const char *name);
void aof__sizes_forget(aof_t *aof); /* removes the list */
/* "<appendfilename>.7.incr.aof": 'i', a base: 'b', or 0 when it is not one of ours. */
char aof__kind_of(const aof_t *aof, const char *name, uint64_t *ret_seq);

/* aof_survey.c: looks for data that would be passed over: files of ours that the manifest does not name, and what other servers
 * left. New files get numbers above those of all that are there. */
int aof__survey(aof_t *aof, char *err, size_t err_bytes) MUST_CHECK;
#define AOF_ADVICE "Nothing was changed: `trivet check DIR` tells more, `trivet repair DIR` mends a copy"

/* aof_sizes.c: how large the files are on the disk, in a file beside them, so that bytes which vanish are missed. */
void aof__sizes_write(aof_t *aof);
/* Before a file is cut: waits for the disk. */
int aof__sizes_lower(aof_t *aof, aof_part_t *part, uint64_t bytes) MUST_CHECK;
/* ERR_DAMAGED when a file is shorter than it was. */
int aof__sizes_check(const aof_t *aof, const aof_part_t *part, uint64_t bytes, char *err, size_t err_bytes) MUST_CHECK;
int aof__sizes_read(aof_t *aof) MUST_CHECK;
/* A first, empty base, as the original begins with; the manifest is written with the first increment. */
int aof__new_base(aof_t *aof) MUST_CHECK;
/* Opens a new incremental file and makes it the growing one. */
int aof__new_increment(aof_t *aof) MUST_CHECK;

/* All that the manifest names, at once. */
int aof__load(aof_t *aof, char *err, size_t err_bytes) MUST_CHECK;

void aof__rewrite_turn(aof_t *aof);
void aof__rewrite_abort(aof_t *aof);
void aof__rewrite_fail(aof_t *aof, const char *step, int err);
int64_t aof__rewrite_wait_ms(uint32_t failures);

#endif
