/* share_partition.c: see share_partition.h. A change is one pass over the runs, which are built anew: as many answers as a request may
 * hold cost no more than one. */
#include "kafka/share/share_internal.h"

/* ---- runs ---- */

static bool has_same_fate(const share_run_t *a, const share_run_t *b)
{
    return a->state == b->state && a->deliveries == b->deliveries && a->write == b->write && a->answer == b->answer &&
           a->member == b->member && a->due_ms == b->due_ms;
}

static void put(share_runs_t *runs, share_run_t run)
{
    if (run.first > run.last) return;
    share_run_t *before = runs->count ? &runs->items[runs->count - 1] : NULL;
    if (before && has_same_fate(before, &run)) {
        before->last = run.last;
        return;
    }
    if (runs->count == runs->cap) {
        runs->cap = MAX(16, runs->cap * 2);
        runs->items = mem_realloc(runs->items, runs->cap * sizeof(runs->items[0]));
    }
    runs->items[runs->count++] = run;
}

/* Settled records at the start are forgotten. */
static void put_in(share_partition_t *p, share_run_t run)
{
    if (run.first <= run.last && p->spare.count == 0 && share__is_settled(&run)) {
        p->start = run.last + 1;
        return;
    }
    put(&p->spare, run);
}

static share_run_t part_of(const share_run_t *run, int64_t first, int64_t last)
{
    share_run_t part = *run;
    part.first = first;
    part.last = last;
    return part;
}

/* Shows one run's parts to the change; `*at` is the first edit that may still meet runs to come. */
static void change_run(share_partition_t *p, share_change_t *change, size_t *at, const share_run_t *run)
{
    int64_t from = run->first;
    while (*at < change->count && change->edits[*at].first <= run->last) {
        const share_ack_t *edit = &change->edits[*at];
        int64_t first = MAX(from, edit->first), last = MIN(run->last, edit->last);
        if (first <= last) {
            put_in(p, part_of(run, from, first - 1));
            share_run_t piece = part_of(run, first, last);
            change->on_piece(change, &piece, edit);
            put_in(p, piece);
            put_in(p, part_of(run, piece.last + 1, last));
            from = last + 1;
        }
        if (edit->last > run->last) break; /* it goes on in the next run */
        (*at)++;
    }
    put_in(p, part_of(run, from, run->last));
}

void share__change(share_partition_t *p, share_change_t *change)
{
    size_t at = 0;
    p->spare.count = 0;
    for (size_t i = 0; i < p->runs.count; i++) change_run(p, change, &at, &p->runs.items[i]);
    share_runs_t before = p->runs;
    p->runs = p->spare;
    p->spare = before;
}

void share__collector_init(share_collector_t *collector, const share_partition_t *p, size_t edits, arena_t *arena)
{
    collector->max = p->runs.count + 2 * edits + 1;
    collector->list = (share_stored_list_t){ARENA_ARRAY(arena, share_stored_t, collector->max), 0};
}

void share__collect(share_collector_t *collector, const share_run_t *piece, uint8_t state)
{
    share_stored_list_t *list = &collector->list;
    share_stored_t *before = list->count ? &list->items[list->count - 1] : NULL;
    if (before && before->last + 1 == piece->first && before->deliveries == piece->deliveries &&
        before->state == state) {
        before->last = piece->last;
        return;
    }
    ASSERT(list->count < collector->max);
    list->items[list->count++] = (share_stored_t){piece->first, piece->last, piece->deliveries, state};
}

/* ---- life ---- */

void share_partition_init(share_partition_t *p, int64_t start)
{
    *p = (share_partition_t){.start = start, .end = start};
}

void share_partition_deinit(share_partition_t *p)
{
    mem_free(p->runs.items);
    mem_free(p->spare.items);
    *p = (share_partition_t){0};
}

static bool is_stored_state(uint8_t state)
{
    return state == SHARE_AVAILABLE || state == SHARE_ACKNOWLEDGED || state == SHARE_ARCHIVED;
}

static bool is_sound(const share_partition_t *p, const share_stored_t *range)
{
    return range->first >= p->end && range->first <= range->last && range->last < INT64_MAX && range->deliveries >= 0 &&
           is_stored_state(range->state);
}

void share__extend(share_partition_t *p, share_run_t run)
{
    bool settled = p->runs.count == 0 && run.first <= run.last && share__is_settled(&run);
    if (settled) {
        p->start = run.last + 1;
    } else {
        put(&p->runs, run);
    }
    p->end = MAX(p->end, run.last + 1);
}

int share_partition_load(share_partition_t *p, int64_t start, const share_stored_t *ranges, size_t count)
{
    share_partition_init(p, start);
    for (size_t i = 0; i < count; i++) {
        const share_stored_t *range = &ranges[i];
        if (!is_sound(p, range)) {
            share_partition_deinit(p);
            return ERR_CORRUPT;
        }
        share__extend(p, (share_run_t){.first = p->end, .last = range->first - 1});
        share__extend(
            p, (share_run_t){
                   .first = range->first, .last = range->last, .deliveries = range->deliveries, .state = range->state});
    }
    return 0;
}

/* ---- acquiring ---- */

static bool is_available(const share_run_t *run) { return run->state == SHARE_AVAILABLE && run->write == 0; }

int64_t share_partition_next(const share_partition_t *p)
{
    for (size_t i = 0; i < p->runs.count; i++)
        if (is_available(&p->runs.items[i])) return p->runs.items[i].first;
    return p->end;
}

bool share_partition_has_room(const share_partition_t *p, const share_limits_t *limits)
{
    return share_partition_next(p) < p->end || p->end - p->start < limits->in_flight_max;
}

int64_t share_partition_settled(const share_partition_t *p)
{
    int64_t records = 0;
    for (size_t i = 0; i < p->runs.count; i++) {
        const share_run_t *run = &p->runs.items[i];
        uint8_t state = run->write ? run->answer : run->state;
        if (state == SHARE_ACKNOWLEDGED || state == SHARE_ARCHIVED) records += run->last - run->first + 1;
    }
    return records;
}

typedef struct share_acquiring {
    share_change_t change;
    const share_acquire_t *in;
    int64_t due_ms;
    int64_t taken;
    const share_ack_t *batch; /* the one that was begun last */
    share_acquired_t *acquired;
    size_t count, max;
    int64_t end; /* behind the last batch of which something was taken, or that is passed over */
    int64_t records_max;
    bool strictly;
    /* Suspects are acquired apart from others: no record behind `last` is taken, and with `closed` none at all. */
    int16_t suspect_from; /* deliveries */
    bool suspects;
    bool closed;
    int64_t last;
} share_acquiring_t;

/* A record that was delivered half as often as allowed, and is not answered yet, may be what ends its consumers: the fewer others it is
 * delivered with, the fewer it takes along. With each delivery more half as many are acquired together, and the last is alone. */
static void set_apart(share_acquiring_t *a, const share_partition_t *p, const share_limits_t *limits)
{
    a->suspect_from = (int16_t)MAX(2, (limits->deliveries_max + 1) / 2);
    a->last = INT64_MAX;
    a->records_max = a->in->records_max;
    a->strictly = a->in->strictly;
    for (size_t i = 0; i < p->runs.count; i++) {
        const share_run_t *run = &p->runs.items[i];
        if (!is_available(run)) continue;
        if (run->deliveries < a->suspect_from) return;
        bool last_time = limits->deliveries_max > 2 && run->deliveries >= limits->deliveries_max - 1;
        int64_t together = last_time ? 1 : (run->last - run->first + 1) >> (run->deliveries - a->suspect_from + 1);
        a->suspects = a->strictly = true;
        a->records_max = MIN(a->records_max, MAX(together, 1));
        a->last = run->last;
        return;
    }
}

static bool may_have(share_acquiring_t *a, const share_run_t *piece)
{
    if (piece->first > a->last || (!a->suspects && piece->deliveries >= a->suspect_from)) a->closed = true;
    return !a->closed;
}

/* How many of so many records it may take. */
static int64_t may_take(const share_acquiring_t *a, const share_ack_t *batch, int64_t records)
{
    int64_t left = a->records_max - a->taken;
    if (left <= 0) return a->batch == batch && !a->strictly ? records : 0;
    return a->strictly ? MIN(left, records) : records;
}

/* The piece begins a batch, and the range is long enough. */
static bool ends_range(const share_acquiring_t *a, const share_acquired_t *range, const share_run_t *piece)
{
    return piece->first == a->batch->first && piece->first - range->first >= a->in->range_records;
}

static void note_acquired(share_acquiring_t *a, const share_run_t *piece)
{
    share_acquired_t *before = a->count ? &a->acquired[a->count - 1] : NULL;
    if (before && before->last + 1 == piece->first && before->deliveries == piece->deliveries &&
        !ends_range(a, before, piece)) {
        before->last = piece->last;
        return;
    }
    ASSERT(a->count < a->max);
    a->acquired[a->count++] = (share_acquired_t){piece->first, piece->last, piece->deliveries};
}

enum { TAKE, SKIP }; /* an edit's type: records, or what nobody gets */

static void acquire_piece(share_change_t *change, share_run_t *piece, const share_ack_t *edit)
{
    share_acquiring_t *a = CONTAINER_OF(change, share_acquiring_t, change);
    int64_t records = may_take(a, edit, piece->last - piece->first + 1);
    if (!is_available(piece) || records == 0 || !may_have(a, piece)) return;
    if (edit->type == SKIP) {
        piece->state = SHARE_ARCHIVED;
    } else {
        piece->last = piece->first + records - 1;
        piece->state = SHARE_ACQUIRED;
        piece->member = a->in->member;
        piece->due_ms = a->due_ms;
        piece->deliveries++;
        a->batch = edit;
        a->taken += records;
        note_acquired(a, piece);
    }
    a->end = MAX(a->end, edit->last + 1); /* what is left of a batch that was begun is under way, too */
}

/* The batches, with the gaps before them, as edits, as far as there is room; *ret_end is behind the last of them. */
static share_ack_t *edits_of(const share_partition_t *p, const share_acquire_t *in, int64_t in_flight_max,
                             arena_t *arena, size_t *ret_count, int64_t *ret_end)
{
    share_ack_t *edits = ARENA_ARRAY(arena, share_ack_t, 2 * in->batches_count + 1);
    int64_t from = share_partition_next(p);
    *ret_count = 0;
    for (size_t i = 0; i < in->batches_count; i++) {
        const share_batch_t *batch = &in->batches[i];
        if (batch->first >= p->end && from - p->start >= in_flight_max) break;
        if (batch->first > from) edits[(*ret_count)++] = (share_ack_t){from, batch->first - 1, SKIP};
        edits[(*ret_count)++] = (share_ack_t){MAX(from, batch->first), batch->last, batch->aborted ? SKIP : TAKE};
        from = batch->last + 1;
    }
    *ret_end = from;
    return edits;
}

/* What was added for the batches and is not taken was never looked at. */
static void cut_end(share_partition_t *p, int64_t end)
{
    p->end = MAX(end, p->start);
    while (p->runs.count && p->runs.items[p->runs.count - 1].first >= p->end) p->runs.count--;
    if (p->runs.count) p->runs.items[p->runs.count - 1].last = p->end - 1;
}

int64_t share_partition_acquire(share_partition_t *p, const share_acquire_t *in, const share_limits_t *limits,
                                arena_t *arena, share_acquired_t **ret_acquired, size_t *ret_count)
{
    ASSERT(in->records_max > 0);
    int64_t end_before = p->end, end;
    share_acquiring_t a = {.in = in, .due_ms = in->now_ms + limits->lock_ms, .end = end_before};
    set_apart(&a, p, limits);
    a.change.on_piece = acquire_piece;
    a.change.edits = edits_of(p, in, limits->in_flight_max, arena, &a.change.count, &end);
    a.max = p->runs.count + 2 * a.change.count + 1;
    a.acquired = ARENA_ARRAY(arena, share_acquired_t, a.max);
    if (end > p->end) share__extend(p, (share_run_t){.first = p->end, .last = end - 1});
    share__change(p, &a.change);
    cut_end(p, a.end);
    *ret_acquired = a.acquired;
    *ret_count = a.count;
    return a.taken;
}
