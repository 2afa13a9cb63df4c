/* offset.c: the offset of a time, or of an end of the log.
 *
 * The log's indexes tell the batch; the record in it is found by opening the batch, which the opener does when that may take
 * long. A header may promise more than the records hold: then the next batch is looked at. */
#include "kafka/partition/opener.h"
#include "kafka/partition/partition_internal.h"
#include "kafka/record/record.h"

enum { /* ListOffsets' timestamps that are no time */
       TIME_LATEST = -1,
       TIME_EARLIEST = -2,
       TIME_MAX_TIMESTAMP = -3,
       TIME_EARLIEST_LOCAL = -4,
       TIME_LATEST_TIERED = -5,
};

/* A look for a time. */
typedef struct lookup {
    opener_job_t job;
    partition_t *partition; /* NULL once it is gone */
    kafka_code_t error;     /* why it is gone */
    record_search_t search;
    int64_t end;
    batch_header_t batch;
    uint8_t *data; /* the batch, owned */
    size_t bytes;
    partition_offset_cb told;
    void *user;
    list_t node; /* in partition->lookups while the opener has it */
} lookup_t;

static const partition_offset_t nothing = {-1, -1, -1};

static int find_record(opener_job_t *job, size_t bytes_max, size_t *ret_bytes)
{
    lookup_t *l = CONTAINER_OF(job, lookup_t, job);
    int err = record_find(&l->batch, bytes_of(l->data, l->bytes), bytes_max, &l->search);
    *ret_bytes = l->search.opened_bytes;
    return err;
}

static int read_batch(lookup_t *l, const log_slice_t *slice)
{
    l->bytes = slice->bytes;
    l->data = mem_try_alloc(slice->bytes);
    if (!l->data) return ERR_NOMEM;
    return io_file_read(slice->file, slice->position, l->data, slice->bytes) == (ssize_t)slice->bytes ? 0 : ERR_IO;
}

/* The next batch that promises a record, in l->data. */
static int next_batch(lookup_t *l)
{
    log_slice_t slice;
    mem_free(l->data);
    l->data = NULL;
    int err = log_find_timestamp(l->partition->log, l->search.timestamp_ms, l->search.from_offset, &l->batch, &slice);
    if (err) return err;
    err = read_batch(l, &slice);
    log_slice_release(slice.segment);
    return err;
}

/* The answer is told; the lookup goes with its request. */
static void tell(lookup_t *l, kafka_code_t error, partition_offset_t found)
{
    mem_free(l->data);
    l->told(l->user, error, &found);
}

/* What a look into a batch brought; false: on to the next batch. */
static bool end_look(lookup_t *l, int err)
{
    partition_offset_t found = {l->search.found_offset, l->search.found_ms, -1};
    if (err == ERR_NOT_FOUND) {
        l->search.from_offset = batch_last_offset(&l->batch) + 1;
        return false;
    }
    if (err == ERR_NOMEM) {
        tell(l, KAFKA_KAFKA_STORAGE_ERROR, nothing);
        return true;
    }
    /* A batch that cannot be opened here is still the place to start reading. */
    if (err) found = (partition_offset_t){l->batch.base_offset, l->batch.max_timestamp, -1};
    found.leader_epoch = log_epoch_at(l->partition->log, found.offset);
    tell(l, KAFKA_NONE, found.offset < l->end ? found : nothing);
    return true;
}

static void looked(opener_job_t *job, int err);

/* True when the answer was told. */
static bool look(lookup_t *l)
{
    for (;;) {
        int err = next_batch(l);
        if (err && err != ERR_NOT_FOUND && err != ERR_FILES && err != ERR_NOMEM)
            partition__unreadable(l->partition, l->search.from_offset, err);
        if (err) {
            tell(l, err == ERR_NOT_FOUND ? KAFKA_NONE : partition__error(err), nothing);
            return true;
        }
        l->job = (opener_job_t){.run = find_record, .done = looked};
        if (!opener_try(l->partition->topic->kafka->opener, &l->job, l->bytes, &err)) {
            list_push_back(&l->partition->lookups, &l->node);
            opener_start(l->partition->topic->kafka->opener, &l->job);
            return false;
        }
        if (end_look(l, err)) return true;
    }
}

static void looked(opener_job_t *job, int err)
{
    lookup_t *l = CONTAINER_OF(job, lookup_t, job);
    if (l->partition) list_remove(&l->node);
    if (!l->partition)
        tell(l, l->error, nothing);
    else if (err == ERR_CLOSED)
        tell(l, KAFKA_NOT_LEADER_OR_FOLLOWER, nothing);
    else if (!end_look(l, err))
        (void)look(l);
}

static bool find_time(partition_t *partition, int64_t timestamp_ms, int64_t end, arena_t *arena,
                      partition_offset_cb told, void *user)
{
    lookup_t *l = ARENA_NEW(arena, lookup_t);
    *l = (lookup_t){.partition = partition, .end = end, .told = told, .user = user};
    l->search = (record_search_t){.timestamp_ms = timestamp_ms, .from_offset = log_start_offset(partition->log)};
    return look(l);
}

void partition__lookups_end(partition_t *partition, kafka_code_t error)
{
    LIST_EACH(&partition->lookups, l, lookup_t, node) {
        list_remove(&l->node);
        l->partition = NULL;
        l->error = error;
    }
}

/* ---- the ends of the log --------------------------------------------------------------------------------------------- */

bool partition_offset_for(partition_t *partition, int64_t timestamp_ms, bool read_committed, arena_t *arena,
                          partition_offset_cb told, void *user)
{
    int64_t start = log_start_offset(partition->log);
    int64_t end = read_committed ? partition_last_stable_offset(partition) : partition->high_watermark;
    partition_offset_t found = nothing;
    kafka_code_t error = KAFKA_NONE;
    if (timestamp_ms == TIME_LATEST) {
        found = (partition_offset_t){end, -1, partition->leader_epoch};
    } else if (timestamp_ms == TIME_EARLIEST || timestamp_ms == TIME_EARLIEST_LOCAL) {
        found = (partition_offset_t){start, -1, log_epoch_at(partition->log, start)};
    } else if (timestamp_ms == TIME_MAX_TIMESTAMP) {
        int64_t newest_ms, offset;
        int err = log_max_timestamp(partition->log, &newest_ms, &offset);
        if (!err) return find_time(partition, newest_ms, end, arena, told, user);
        if (err != ERR_NOT_FOUND) error = partition__error(err);
    } else if (timestamp_ms >= 0) {
        return find_time(partition, timestamp_ms, end, arena, told, user);
    } else if (timestamp_ms != TIME_LATEST_TIERED) { /* nothing is tiered */
        error = KAFKA_UNSUPPORTED_VERSION;
    }
    told(user, error, &found);
    return true;
}
