/* share_batches.c: see share_batches.h. Headers are read a window at a time: small batches share one read, and of a large batch little
 * more than its header is read. */
#include "kafka/share/share_batches.h"

#include <stdlib.h>

#define WINDOW_BYTES        KIB(16)
#define BATCH_TRANSACTIONAL 16

_Static_assert(WINDOW_BYTES > BATCH_HEADER_BYTES, "a window holds a header");

/* ---- aborted transactions -------------------------------------------------------------------------------------------- */

typedef struct aborted_set {
    log_aborted_t *items; /* by producer, then by where they begin */
    size_t count;
    arena_t *arena;
} aborted_set_t;

static void count_aborted(void *user, const log_aborted_t *aborted UNUSED) { ((aborted_set_t *)user)->count++; }

static void take_aborted(void *user, const log_aborted_t *aborted)
{
    aborted_set_t *set = user;
    set->items[set->count++] = *aborted;
}

static int by_producer(const void *a, const void *b)
{
    const log_aborted_t *x = a, *y = b;
    if (x->producer_id != y->producer_id) return x->producer_id < y->producer_id ? -1 : 1;
    return x->first_offset < y->first_offset ? -1 : x->first_offset > y->first_offset;
}

static kafka_code_t read_aborted(partition_t *partition, const log_slice_t *slice, aborted_set_t *set)
{
    int64_t from = slice->base_offset, to = slice->next_offset;
    kafka_code_t error = partition_aborted(partition, from, to, count_aborted, set);
    if (error || set->count == 0) return error;
    set->items = ARENA_ARRAY(set->arena, log_aborted_t, set->count);
    set->count = 0;
    error = partition_aborted(partition, from, to, take_aborted, set);
    qsort(set->items, set->count, sizeof(set->items[0]), by_producer);
    return error;
}

/* Looks for the last transaction of its producer that begins at or before the batch. */
static bool is_aborted(const aborted_set_t *set, const batch_header_t *batch)
{
    size_t low = 0, high = set->count;
    if (!(batch->attributes & BATCH_TRANSACTIONAL) || (batch->attributes & BATCH_CONTROL)) return false;
    log_aborted_t key = {.producer_id = batch->producer_id, .first_offset = batch->base_offset};
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (by_producer(&set->items[middle], &key) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    const log_aborted_t *found = low ? &set->items[low - 1] : NULL;
    return found && found->producer_id == batch->producer_id && batch_last_offset(batch) <= found->last_offset;
}

/* ---- headers --------------------------------------------------------------------------------------------------------- */

typedef struct walk {
    const log_slice_t *slice;
    uint64_t at, end;    /* in the file */
    uint64_t window_at;  /* likewise */
    size_t window_bytes; /* that are read */
    uint8_t window[WINDOW_BYTES];
} walk_t;

static kafka_code_t read_header(walk_t *walk, batch_header_t *ret_header)
{
    if (walk->at + BATCH_HEADER_BYTES > walk->window_at + walk->window_bytes) {
        size_t bytes = (size_t)MIN((uint64_t)WINDOW_BYTES, walk->end - walk->at);
        if (bytes < BATCH_HEADER_BYTES) return KAFKA_CORRUPT_MESSAGE;
        if (io_file_read(walk->slice->file, walk->at, walk->window, bytes) != (ssize_t)bytes)
            return KAFKA_KAFKA_STORAGE_ERROR;
        walk->window_at = walk->at;
        walk->window_bytes = bytes;
    }
    bytes_t data = bytes_of(walk->window + (walk->at - walk->window_at), BATCH_HEADER_BYTES);
    return batch_header_read(data, ret_header) == 0 ? KAFKA_NONE : KAFKA_CORRUPT_MESSAGE;
}

static void put(share_batches_t *batches, size_t *cap, arena_t *arena, share_batch_t batch, uint64_t position)
{
    if (batches->count + 1 >= *cap) {
        size_t wider = MAX(64, *cap * 2);
        share_batch_t *items = ARENA_ARRAY(arena, share_batch_t, wider);
        uint64_t *positions = ARENA_ARRAY(arena, uint64_t, wider);
        if (batches->count) {
            memcpy(items, batches->items, batches->count * sizeof(items[0]));
            memcpy(positions, batches->positions, batches->count * sizeof(positions[0]));
        }
        *batches = (share_batches_t){items, positions, batches->count};
        *cap = wider;
    }
    batches->items[batches->count] = batch;
    batches->positions[batches->count++] = position;
}

kafka_code_t share_batches_read(partition_t *partition, const log_slice_t *slice, int64_t end, bool read_committed,
                                arena_t *arena, share_batches_t *ret_batches)
{
    walk_t walk = {.slice = slice, .at = slice->position, .end = slice->position + slice->bytes};
    aborted_set_t aborted = {.arena = arena};
    share_batches_t batches = {0};
    size_t cap = 0;
    kafka_code_t error = read_committed ? read_aborted(partition, slice, &aborted) : KAFKA_NONE;
    while (!error && walk.at < walk.end) {
        batch_header_t header;
        error = read_header(&walk, &header);
        if (!error && batch_bytes(&header) > walk.end - walk.at) error = KAFKA_CORRUPT_MESSAGE;
        if (error || (batches.count && header.base_offset >= end)) break;
        put(&batches, &cap, arena,
            (share_batch_t){header.base_offset, batch_last_offset(&header), is_aborted(&aborted, &header)}, walk.at);
        walk.at += batch_bytes(&header);
        batches.positions[batches.count] = walk.at;
    }
    *ret_batches = batches;
    return error;
}

void share_batches_cut(const share_batches_t *batches, int64_t first, int64_t last, log_slice_t *slice)
{
    size_t from = 0, to = batches->count;
    while (from + 1 < to && batches->items[from].last < first) from++;
    while (to > from + 1 && batches->items[to - 1].first > last) to--;
    slice->position = batches->positions[from];
    slice->bytes = (size_t)(batches->positions[to] - batches->positions[from]);
    slice->base_offset = batches->items[from].first;
    slice->next_offset = batches->items[to - 1].last + 1;
}
