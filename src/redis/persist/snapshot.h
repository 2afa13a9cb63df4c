/* snapshot.h: the snapshot of the data set in `dir`/`dbfilename` (dump.rdb): SAVE, BGSAVE, and when one is due. */
#ifndef TRIVET_REDIS_SNAPSHOT_H
#define TRIVET_REDIS_SNAPSHOT_H

#include "base/base.h"

typedef struct persist persist_t;
typedef struct snapshots snapshots_t;

snapshots_t *snapshot__new(persist_t *persist);
void snapshot__free(snapshots_t *s);
/* The file's path; the caller frees it. */
char *snapshot__path(const persist_t *persist);
/* Writes all to the disk before it returns. ERR_BUSY: one is being written in the background. */
int snapshot__save(persist_t *persist) MUST_CHECK;
/* Begins one in the background; no walk may be active. */
int snapshot__begin(persist_t *persist) MUST_CHECK;
void snapshot__schedule(persist_t *persist); /* begins one as soon as none of that goes on */
bool snapshot__cancel(persist_t *persist);   /* false: there was none */
void snapshot__cron(persist_t *persist);
/* Why writes are refused because of it; NULL = they are not. */
const char *snapshot__failure(const persist_t *persist);
/* DEBUG RELOAD: the data set of the file, in place of what is in memory, or (`merge`) beside it. */
int snapshot__reload(persist_t *persist, bool flush, bool merge, char *err, size_t err_bytes) MUST_CHECK;
/* What is in memory is what the file has: after loading it. */
void snapshot__loaded(persist_t *persist, uint64_t keys, uint64_t expired);

typedef struct snapshot_info {
    int64_t last_save_s; /* Unix time */
    bool last_ok, active, scheduled;
    int64_t last_seconds, current_seconds; /* -1 = none */
    uint64_t changes;                      /* since then */
    uint64_t saves;
    uint64_t loaded_keys, loaded_expired;
} snapshot_info_t;
snapshot_info_t snapshot__info(const persist_t *persist);

#endif
