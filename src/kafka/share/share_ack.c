/* share_ack.c: how acquired records are given back or answered; see share_partition.h. */
#include "kafka/share/share_internal.h"

/* ---- a member's answers ---- */

typedef struct share_answering {
    share_change_t change;
    uint64_t member;
    const share_limits_t *limits;
    int64_t renewed_ms;
    uint32_t write;
    share_collector_t collector;
} share_answering_t;

static bool is_the_members(const share_run_t *run, uint64_t member)
{
    return run->state == SHARE_ACQUIRED && run->member == member && run->write == 0;
}

/* `*at` is the first run that may meet the answers to come. */
static kafka_code_t check_ack(const share_partition_t *p, uint64_t member, const share_ack_t *ack, size_t *at)
{
    int64_t first = MAX(ack->first, p->start);
    if (ack->last < p->start) return KAFKA_NONE;
    if (p->runs.count == 0) return KAFKA_INVALID_RECORD_STATE;
    if (ack->last >= p->end) return KAFKA_INVALID_REQUEST;
    while (p->runs.items[*at].last < first) (*at)++;
    for (size_t i = *at; i < p->runs.count && p->runs.items[i].first <= ack->last; i++)
        if (!is_the_members(&p->runs.items[i], member)) return KAFKA_INVALID_RECORD_STATE;
    return KAFKA_NONE;
}

static uint8_t answer_of(const share_answering_t *a, const share_run_t *piece, uint8_t type)
{
    if (type == SHARE_ACCEPT) return SHARE_ACKNOWLEDGED;
    if (type == SHARE_RELEASE) return share__given_back(piece->deliveries, a->limits);
    return SHARE_ARCHIVED;
}

static void answer_piece(share_change_t *change, share_run_t *piece, const share_ack_t *ack)
{
    share_answering_t *a = CONTAINER_OF(change, share_answering_t, change);
    if (ack->type == SHARE_RENEW) {
        piece->due_ms = a->renewed_ms;
        return;
    }
    piece->write = a->write;
    piece->answer = answer_of(a, piece, ack->type);
    share__collect(&a->collector, piece, piece->answer);
}

static uint32_t next_write(share_partition_t *p)
{
    if (++p->last_write == 0) p->last_write = 1;
    return p->last_write;
}

kafka_code_t share_partition_acknowledge(share_partition_t *p, uint64_t member, const share_ack_t *acks, size_t count,
                                         int64_t now_ms, const share_limits_t *limits, arena_t *arena,
                                         uint32_t *ret_write, share_stored_list_t *ret_stored)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        ASSERT(acks[i].first <= acks[i].last && (i == 0 || acks[i].first > acks[i - 1].last));
        kafka_code_t error = check_ack(p, member, &acks[i], &at);
        if (error) return error;
    }
    share_answering_t a = {{acks, count, answer_piece}, member,        limits,
                           now_ms + limits->lock_ms,    next_write(p), {{0}, 0}};
    share__collector_init(&a.collector, p, count, arena);
    share__change(p, &a.change);
    *ret_write = a.write;
    *ret_stored = a.collector.list;
    return KAFKA_NONE;
}

typedef struct share_settling {
    share_change_t change;
    uint32_t write;
    bool stored;
} share_settling_t;

static void settle_piece(share_change_t *change, share_run_t *piece, const share_ack_t *edit UNUSED)
{
    const share_settling_t *s = CONTAINER_OF(change, share_settling_t, change);
    if (piece->write != s->write) return;
    if (s->stored) {
        piece->state = piece->answer;
        piece->member = 0;
        piece->due_ms = 0;
    }
    piece->write = 0;
    piece->answer = 0;
}

void share_partition_written(share_partition_t *p, uint32_t write, bool stored)
{
    share_ack_t all = share__all(p);
    share_settling_t s = {{&all, 1, settle_piece}, write, stored};
    ASSERT(write != 0);
    share__change(p, &s.change);
}

/* ---- taken back ---- */

typedef struct share_taking_back {
    share_change_t change;
    const share_limits_t *limits;
    share_collector_t collector;
    uint64_t member; /* whose session has ended; or 0 and */
    int64_t now_ms;
} share_taking_back_t;

static void take_back(share_taking_back_t *t, share_run_t *piece)
{
    piece->state = share__given_back(piece->deliveries, t->limits);
    piece->member = 0;
    piece->due_ms = 0;
    share__collect(&t->collector, piece, piece->state);
}

static void release_piece(share_change_t *change, share_run_t *piece, const share_ack_t *edit UNUSED)
{
    share_taking_back_t *t = CONTAINER_OF(change, share_taking_back_t, change);
    if (is_the_members(piece, t->member)) take_back(t, piece);
}

static void tick_piece(share_change_t *change, share_run_t *piece, const share_ack_t *edit UNUSED)
{
    share_taking_back_t *t = CONTAINER_OF(change, share_taking_back_t, change);
    if (piece->state == SHARE_ACQUIRED && piece->write == 0 && piece->due_ms <= t->now_ms) take_back(t, piece);
}

static void change_all(share_partition_t *p, share_taking_back_t *t, arena_t *arena, share_stored_list_t *ret_stored)
{
    share_ack_t all = share__all(p);
    t->change.edits = &all;
    t->change.count = 1;
    share__collector_init(&t->collector, p, 1, arena);
    share__change(p, &t->change);
    *ret_stored = t->collector.list;
}

void share_partition_release(share_partition_t *p, uint64_t member, const share_limits_t *limits, arena_t *arena,
                             share_stored_list_t *ret_stored)
{
    share_taking_back_t t = {.change.on_piece = release_piece, .limits = limits, .member = member};
    change_all(p, &t, arena, ret_stored);
}

void share_partition_tick(share_partition_t *p, int64_t now_ms, const share_limits_t *limits, arena_t *arena,
                          share_stored_list_t *ret_stored)
{
    share_taking_back_t t = {.change.on_piece = tick_piece, .limits = limits, .now_ms = now_ms};
    change_all(p, &t, arena, ret_stored);
}

int64_t share_partition_due_ms(const share_partition_t *p)
{
    int64_t due_ms = SHARE_NEVER_MS;
    for (size_t i = 0; i < p->runs.count; i++) {
        const share_run_t *run = &p->runs.items[i];
        if (run->state == SHARE_ACQUIRED && run->write == 0) due_ms = MIN(due_ms, run->due_ms);
    }
    return due_ms;
}

/* What settles is left: its answer is stored, and then it is below the start. */
static void trim_piece(share_change_t *change UNUSED, share_run_t *piece, const share_ack_t *edit UNUSED)
{
    if (piece->write) return;
    piece->state = SHARE_ARCHIVED;
    piece->member = 0;
    piece->due_ms = 0;
}

void share_partition_trim(share_partition_t *p, int64_t log_start)
{
    share_ack_t below = {p->start, log_start - 1, 0};
    if (log_start <= p->start) return;
    share_change_t change = {&below, 1, trim_piece};
    share__change(p, &change);
    share__extend(p, (share_run_t){.first = p->end, .last = log_start - 1, .state = SHARE_ARCHIVED});
}
