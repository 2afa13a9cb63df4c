/* ended.c: see ended.h. */
#include "kafka/record/ended.h"

#include <stdlib.h>

void ended_deinit(ended_t *ended)
{
    mem_free(ended->aborted);
    map_deinit(&ended->open_aborted);
    map_deinit(&ended->seen);
    *ended = ENDED_INIT;
}

void ended_add(ended_t *ended, const log_aborted_t *aborted)
{
    ASSERT(!ended->begun);
    if (ended->count == ended->cap) {
        ended->cap = MAX(ended->cap * 2, 16);
        ended->aborted = mem_realloc(ended->aborted, ended->cap * sizeof(*ended->aborted));
    }
    ended->aborted[ended->count++] = *aborted;
}

static int compare_first(const void *a, const void *b)
{
    int64_t x = ((const log_aborted_t *)a)->first_offset, y = ((const log_aborted_t *)b)->first_offset;
    return (x > y) - (x < y);
}

/* The walk reaches `offset`: transactions that began up to there are being walked through. */
static void open_up_to(ended_t *ended, int64_t offset)
{
    if (!ended->begun && ended->count > 0) qsort(ended->aborted, ended->count, sizeof(*ended->aborted), compare_first);
    ended->begun = true;
    for (; ended->next < ended->count && ended->aborted[ended->next].first_offset <= offset; ended->next++) {
        log_aborted_t *aborted = &ended->aborted[ended->next];
        uint64_t key = (uint64_t)aborted->producer_id;
        if (!map_get(&ended->open_aborted, map_key_u64(&key)))
            map_put(&ended->open_aborted, map_key_u64(&key), aborted);
    }
}

static record_fate_t see_records(ended_t *ended, const batch_header_t *batch)
{
    uint64_t key = (uint64_t)batch->producer_id;
    if (!(batch->attributes & RECORD_TRANSACTIONAL)) return RECORD_FATE_COUNTS;
    map_put(&ended->seen, map_key_u64(&key), ended);
    return map_get(&ended->open_aborted, map_key_u64(&key)) ? RECORD_FATE_ABORTED : RECORD_FATE_COUNTS;
}

static record_fate_t see_marker(ended_t *ended, const record_marker_t *marker, const log_aborted_t **ret_aborted)
{
    uint64_t key = (uint64_t)marker->producer_id;
    bool seen = map_remove(&ended->seen, map_key_u64(&key)) != NULL;
    const log_aborted_t *aborted = NULL;
    if (!marker->commits) aborted = map_remove(&ended->open_aborted, map_key_u64(&key));
    if (seen) *ret_aborted = aborted;
    return seen && (marker->commits || aborted) ? RECORD_FATE_MARKER : RECORD_FATE_MARKER_SPENT;
}

int ended_see(ended_t *ended, const batch_header_t *batch, bytes_t bytes, record_fate_t *ret_fate,
              const log_aborted_t **ret_aborted)
{
    record_marker_t marker;
    *ret_aborted = NULL;
    open_up_to(ended, batch_last_offset(batch));
    if (!(batch->attributes & RECORD_CONTROL)) {
        *ret_fate = see_records(ended, batch);
        return 0;
    }
    int err = record_marker_read(bytes, &marker);
    if (!err)
        *ret_fate = see_marker(ended, &marker, ret_aborted);
    else if (err == ERR_NOT_FOUND) /* emptied already, or no end of a transaction */
        *ret_fate = batch->count == 0 ? RECORD_FATE_MARKER_SPENT : RECORD_FATE_MARKER;
    return err == ERR_NOT_FOUND ? 0 : err;
}
