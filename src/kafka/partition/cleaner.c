/* cleaner.c: the rounds of the log cleaner, in slices.
 *
 *   idle ──timer: something to clean──> clearing ──map is clear──> mapping ──end, or map full──> rewriting
 *   rewriting ──a group of segments is written──> syncing ──swapped──> rewriting
 *   rewriting ──no group is left: checkpoint──> idle, to look again at once
 *
 * Any error ends the round: what was swapped stays, the rest is as it was, and the next round begins at the same place. It is
 * logged once, and tried again ever more rarely. */
#include "kafka/partition/cleaner.h"
#include "kafka/partition/opener.h"
#include "kafka/partition/partition_internal.h"
#include "kafka/record/filter.h"

#include "base/slog.h"

#define CLEANER_SLICE_NS                                                                                               \
    1000000u /* of work, at most (but one batch is not divided: large ones are opened off the loop) */
#define CLEANER_SLICE_BYTES      MIB(8) /* read and written, at most but for one piece */
#define CLEANER_PAUSE_MS         3      /* between slices: others have the loop for three parts in four */
#define CLEANER_BACKOFF_MS_MIN   10
#define CLEANER_RETRY_MS_MAX     600000
#define CLEANER_PIECE_BYTES_MIN  KIB(4)
#define CLEANER_PIECE_BYTES_MAX  MIB(4)
#define CLEANER_BYTES_PER_SECOND 1e12 /* from here on a throttle is none */

typedef enum cleaner_state {
    CLEANER_IDLE,
    CLEANER_NOTING,
    CLEANER_CLEARING,
    CLEANER_MAPPING,
    CLEANER_REWRITING,
    CLEANER_SYNCING
} cleaner_state_t;

/* What is done with batches: on the loop, or by the opener. It is the opener's until that is done, also when the round has
 * come to nothing meanwhile: then it has no cleaner. */
typedef struct cleaner_task {
    opener_job_t job;
    cleaner_t *cleaner;
    record_filter_t filter;
    buf_t in, out; /* a piece as read, and what is left of it */
    size_t in_at;
    /* the batch whose turn it is */
    bytes_t batch;
    record_fate_t fate;
    bool mapping;    /* else it is rewritten */
    int64_t from;    /* mapping */
    bool full;       /* mapping: there was no room for a key */
    bool keep_empty; /* rewriting */
} cleaner_task_t;

struct cleaner {
    kafka_t *kafka;
    partition_store_t *store;
    cleaner_state_t state;
    io_timer_t timer; /* the next look, or the next slice */
    uint8_t hash_key[16];

    cleaner_range_t range; /* of the round */
    cleaner_task_t *task;  /* of the round */
    bool opening;          /* the opener has the task */
    partition_cleaned_waiter_t noting;
    log_walk_t walk;
    ended_t ended; /* of the walk: the mapping's, then the rewriting's */
    log_rewrite_t *rewrite;
    int64_t next_group;
    uint64_t slice_bytes; /* read and written in this slice */
    uint64_t pause_ms;    /* before the next one */
};

static void run(io_timer_t *timer);
static void rewritten(void *user, int err);
static void noted(partition_cleaned_waiter_t *waiter, int err);

cleaner_t *cleaner_new(kafka_t *kafka, partition_store_t *store)
{
    cleaner_t *c = mem_zalloc(sizeof(*c));
    c->kafka = kafka;
    c->store = store;
    c->ended = ENDED_INIT;
    io_random(kafka->loop, c->hash_key, sizeof(c->hash_key));
    c->noting.done = noted;
    list_init(&c->noting.node);
    io_timer_init(kafka->loop, &c->timer, run);
    io_timer_start(&c->timer, (uint64_t)MAX(kafka->config.log_cleaner_backoff_ms, CLEANER_BACKOFF_MS_MIN), 0);
    return c;
}

static void task_free(cleaner_task_t *task)
{
    record_filter_deinit(&task->filter);
    buf_deinit(&task->in);
    buf_deinit(&task->out);
    mem_free(task);
}

static void release(cleaner_t *c)
{
    list_remove(&c->noting.node);
    if (c->rewrite) log_rewrite_abort(c->rewrite);
    c->rewrite = NULL;
    if (c->opening)
        c->task->cleaner = NULL;
    else if (c->task)
        task_free(c->task);
    c->task = NULL;
    c->opening = false;
    ended_deinit(&c->ended);
    c->range = (cleaner_range_t){0};
    c->state = CLEANER_IDLE;
}

void cleaner_free(cleaner_t *cleaner)
{
    ASSERT(cleaner->state == CLEANER_IDLE);
    io_timer_stop(&cleaner->timer);
    mem_free(cleaner);
}

void cleaner_forget(cleaner_t *cleaner, const partition_t *partition)
{
    if (cleaner->range.partition != partition) return;
    release(cleaner);
    io_timer_start(&cleaner->timer, 0, 0);
}

/* ---- rounds ---------------------------------------------------------------------------------------------------------- */

static void rest(cleaner_t *c)
{
    io_timer_start(&c->timer, (uint64_t)MAX(c->kafka->config.log_cleaner_backoff_ms, CLEANER_BACKOFF_MS_MIN), 0);
}

static void fail(cleaner_t *c, int err)
{
    partition_t *p = c->range.partition;
    release(c);
    rest(c);
    if (err == ERR_STATE || err == ERR_AGAIN || err == ERR_CLOSED)
        return; /* the log changed under us (or tells of its failure itself), or the broker stops */
    c->kafka->stats.clean_failures++;
    int64_t retry_ms = MAX(c->kafka->config.log_cleaner_backoff_ms, CLEANER_BACKOFF_MS_MIN);
    for (uint32_t i = 0; i < p->clean_failures && retry_ms < CLEANER_RETRY_MS_MAX; i++) retry_ms *= 2;
    p->clean_not_before = io_now_ns(c->kafka->loop) + (uint64_t)retry_ms * 1000000;
    if (p->clean_failures++ > 0) return;
    slog(SLOG_ERROR, "kafka", "a partition cannot be compacted; it stays as it is and is tried again",
         "partition=%s-%d error=%s", p->topic->name, (int)p->index, err_text(err));
}

static void succeed(cleaner_t *c)
{
    partition_t *p = c->range.partition;
    partition__checkpoint_cleaned(c->store->checkpoints, p, c->task->filter.mapped_end);
    p->clean_failures = 0;
    c->kafka->stats.clean_rounds++;
    c->kafka->stats.clean_dropped_records += c->task->filter.records_seen - c->task->filter.records_kept;
    release(c);
    io_timer_start(&c->timer, c->pause_ms, 0); /* there may be more to do */
}

/* Which transactions were aborted, where the walk will go. */
static void add_aborted(void *user, const log_aborted_t *aborted) { ended_add(user, aborted); }

static int begin_walk(cleaner_t *c, int64_t from)
{
    ended_deinit(&c->ended);
    return log_aborted_find(c->range.partition->log, from, c->range.end, add_aborted, &c->ended);
}

/* From the first segment on: what is left of a transaction tells whether its marker still counts. */
static int begin_rewriting(cleaner_t *c)
{
    c->state = CLEANER_REWRITING;
    return begin_walk(c, log_segment_info(c->range.partition->log, 0).base_offset);
}

/* Before the first gap there is a line that says that there may be gaps, whatever the topic's policy is by then. */
static void begin_clearing(cleaner_t *c)
{
    const partition_t *p = c->range.partition;
    bool there = partition__checkpoint(c->store->checkpoints, p->topic->name, p->index).cleaned >= 0;
    c->state = there ? CLEANER_CLEARING : CLEANER_NOTING;
    if (there)
        io_timer_start(&c->timer, 0, 0);
    else
        partition__checkpoint_cleaned_durably(c->store->checkpoints, p, c->range.dirty, &c->noting);
}

static void noted(partition_cleaned_waiter_t *waiter, int err)
{
    cleaner_t *c = CONTAINER_OF(waiter, cleaner_t, noting);
    if (err) {
        partition__checkpoint_uncleaned(c->store->checkpoints, c->range.partition);
        fail(c, err);
        return;
    }
    begin_clearing(c);
}

static int start_round(cleaner_t *c)
{
    const kafka_broker_config_t *b = &c->kafka->config;
    const kafka_topic_config_t *t = &c->range.partition->topic->config;
    partition_t *p = c->range.partition;
    size_t map_bytes = (size_t)MAX(b->log_cleaner_dedupe_buffer_size, 0);
    double load = MIN(MAX(b->log_cleaner_io_buffer_load_factor, 0.01), 1.0);
    c->task = mem_zalloc(sizeof(*c->task));
    c->task->cleaner = c;
    c->task->in = c->task->out = BUF_INIT;
    c->task->filter = (record_filter_t){
        .mapped_end = c->range.dirty,
        .now_ms = io_wall_ms(c->kafka->loop),
        .delete_retention_ms = t->delete_retention_ms,
        .levels = {[RECORD_GZIP] = (int)t->compression_gzip_level,
                   [RECORD_LZ4] = (int)t->compression_lz4_level,
                   [RECORD_ZSTD] = (int)t->compression_zstd_level},
    };
    c->next_group = 0;
    log_walk_init(&c->walk, p->log, c->range.dirty, c->range.end);
    uint64_t keys_max = (uint64_t)(c->range.end - c->range.dirty);
    int err = offset_map_init(&c->task->filter.newest, keys_max, map_bytes, load, c->hash_key);
    return err ? err : begin_walk(c, c->range.dirty);
}

static void look(cleaner_t *c)
{
    const kafka_broker_config_t *b = &c->kafka->config;
    if (b->log_cleaner_enable && b->log_cleaner_threads > 0) c->range = cleaner_choose(c->store);
    if (!c->range.partition) {
        rest(c);
        return;
    }
    int err = start_round(c);
    if (err)
        fail(c, err);
    else
        begin_clearing(c);
}

/* ---- slices ---------------------------------------------------------------------------------------------------------- */

static size_t piece_bytes(const cleaner_t *c)
{
    int64_t bytes = c->kafka->config.log_cleaner_io_buffer_size / 2; /* one half to read, one to write */
    return (size_t)MIN(MAX(bytes, (int64_t)CLEANER_PIECE_BYTES_MIN), (int64_t)CLEANER_PIECE_BYTES_MAX);
}

/* The next batch of the walk; none (ptr NULL) at its end. */
static int next_batch(cleaner_t *c, batch_header_t *ret_batch, bytes_t *ret_bytes)
{
    *ret_bytes = BYTES_NULL;
    if (c->task->in_at == c->task->in.len) {
        buf_clear(&c->task->in);
        c->task->in_at = 0;
        int err = log_walk_read(&c->walk, piece_bytes(c), &c->task->in);
        if (err || c->task->in.len == 0) return err;
        c->slice_bytes += c->task->in.len;
        c->kafka->stats.clean_read_bytes += c->task->in.len;
    }
    bytes_t left = bytes_of(c->task->in.ptr + c->task->in_at, c->task->in.len - c->task->in_at);
    int err = batch_header_read(left, ret_batch);
    if (err) return err;
    *ret_bytes = bytes_of(left.ptr, batch_bytes(ret_batch));
    c->task->in_at += ret_bytes->len;
    return 0;
}

static int write_out(cleaner_t *c)
{
    int err = log_rewrite_add(c->rewrite, buf_bytes(&c->task->out));
    c->slice_bytes += c->task->out.len;
    c->kafka->stats.clean_written_bytes += c->task->out.len;
    buf_clear(&c->task->out);
    return err;
}

/* ---- one batch ------------------------------------------------------------------------------------------------------- */

/* Runs on any thread, and again with more when `bytes_max` was not enough: nothing is noted or written before it was. */
static int run_batch(opener_job_t *job, size_t bytes_max, size_t *ret_bytes)
{
    cleaner_task_t *task = CONTAINER_OF(job, cleaner_task_t, job);
    *ret_bytes = bytes_max;
    task->filter.opened_bytes_max = bytes_max;
    if (task->mapping) return record_filter_note(&task->filter, task->batch, task->fate, task->from, &task->full);
    return record_filter_batch(&task->filter, task->batch, task->fate, task->keep_empty, &task->out);
}

static int after_batch(cleaner_t *c)
{
    cleaner_task_t *task = c->task;
    if (!task->mapping) return task->in_at == task->in.len || task->out.len >= piece_bytes(c) ? write_out(c) : 0;
    if (!task->full) return 0;
    task->in_at = task->in.len;
    return begin_rewriting(c);
}

static void batch_opened(opener_job_t *job, int err)
{
    cleaner_task_t *task = CONTAINER_OF(job, cleaner_task_t, job);
    cleaner_t *c = task->cleaner;
    if (!c) {
        task_free(task);
        return;
    }
    c->opening = false;
    if (!err) err = after_batch(c);
    if (err)
        fail(c, err);
    else
        io_timer_start(&c->timer, c->pause_ms, 0);
}

/* What is small and plain is walked in no time; the rest goes by the opener's measure. */
static int begin_batch(cleaner_t *c, const batch_header_t *header)
{
    int err;
    size_t bytes;
    cleaner_task_t *task = c->task;
    bool plain = (header->attributes & RECORD_COMPRESSION_MASK) == RECORD_NONE;
    task->job = (opener_job_t){.run = run_batch, .done = batch_opened};
    if (plain && task->batch.len <= OPENER_INLINE_BYTES_MAX)
        err = run_batch(&task->job, OPENER_INLINE_BYTES_MAX, &bytes);
    else
        c->opening = !opener_try(c->kafka->opener, &task->job, task->batch.len, &err);
    if (!c->opening) return err ? err : after_batch(c);
    opener_start(c->kafka->opener, &task->job);
    return 0;
}

static int see_batch(cleaner_t *c, const batch_header_t *batch, const log_aborted_t **ret_aborted)
{
    bool control = batch->attributes & RECORD_CONTROL;
    if (control && !batch_crc_ok(c->task->batch)) return ERR_CORRUPT; /* others are checked where they are opened */
    return ended_see(&c->ended, batch, c->task->batch, &c->task->fate, ret_aborted);
}

static int map_step(cleaner_t *c)
{
    batch_header_t batch;
    const log_aborted_t *aborted;
    int err = next_batch(c, &batch, &c->task->batch);
    if (err) return err;
    if (!c->task->batch.ptr) {
        c->task->filter.mapped_end = c->range.end; /* what may come before it is a gap */
        return begin_rewriting(c);
    }
    c->task->mapping = true;
    c->task->from = c->range.dirty;
    err = see_batch(c, &batch, &aborted);
    return err ? err : begin_batch(c, &batch);
}

/* ---- rewriting ------------------------------------------------------------------------------------------------------- */

/* A batch that tells a producer's last sequence, or its epoch where it has none, or where the round ended, stays as a header
 * when it has no records left. */
static bool counts_empty(const cleaner_t *c, const batch_header_t *batch)
{
    if (batch_last_offset(batch) + 1 == c->range.end) return true;
    if (batch->producer_id < 0) return false;
    const producer_t *p = producers_get(&c->range.partition->producers, batch->producer_id);
    if (!p) return false;
    if (p->batches_count == 0) return batch->attributes & RECORD_CONTROL && batch->producer_epoch == p->epoch;
    return p->batches[p->batches_count - 1].last_offset == batch_last_offset(batch);
}

static int begin_group(cleaner_t *c, bool *ret_through)
{
    int err = log_rewrite_begin(c->range.partition->log, c->next_group, c->task->filter.mapped_end, &c->rewrite);
    *ret_through = !err && !c->rewrite;
    if (!c->rewrite) return err;
    log_walk_init(&c->walk, c->range.partition->log, log_rewrite_base(c->rewrite), log_rewrite_end(c->rewrite));
    return 0;
}

static int end_group(cleaner_t *c)
{
    int err = write_out(c);
    if (err) return err;
    c->next_group = log_rewrite_end(c->rewrite);
    c->state = CLEANER_SYNCING;
    return log_rewrite_finish(c->rewrite, rewritten, c);
}

static int rewrite_step(cleaner_t *c, bool *ret_through)
{
    batch_header_t batch;
    const log_aborted_t *aborted;
    if (!c->rewrite) return begin_group(c, ret_through);
    int err = next_batch(c, &batch, &c->task->batch);
    if (err) return err;
    if (!c->task->batch.ptr) return end_group(c);
    c->task->mapping = false;
    c->task->keep_empty = counts_empty(c, &batch);
    err = see_batch(c, &batch, &aborted);
    if (!err && aborted) err = log_rewrite_add_aborted(c->rewrite, aborted);
    return err ? err : begin_batch(c, &batch);
}

static int step(cleaner_t *c, bool *ret_through)
{
    switch (c->state) {
    case CLEANER_CLEARING:
        if (!offset_map_clear(&c->task->filter.newest)) c->state = CLEANER_MAPPING;
        return 0;
    case CLEANER_MAPPING: return map_step(c);
    case CLEANER_REWRITING: return rewrite_step(c, ret_through);
    case CLEANER_IDLE:
    case CLEANER_NOTING:
    case CLEANER_SYNCING: break;
    }
    UNREACHABLE();
}

static void rewritten(void *user, int err)
{
    cleaner_t *c = user;
    c->rewrite = NULL;
    if (err) {
        fail(c, err);
        return;
    }
    c->state = CLEANER_REWRITING;
    io_timer_start(&c->timer, c->pause_ms, 0);
}

/* log.cleaner.io.max.bytes.per.second: what was read and written is waited for, before more than a tenth of a second's. */
static uint64_t slice_bytes_max(const cleaner_t *c)
{
    double bytes_per_second = c->kafka->config.log_cleaner_io_max_bytes_per_second;
    return (uint64_t)MIN(MAX(bytes_per_second / 10, 1.0), (double)CLEANER_SLICE_BYTES);
}

static uint64_t pause_ms(const cleaner_t *c)
{
    double bytes_per_second = c->kafka->config.log_cleaner_io_max_bytes_per_second;
    if (bytes_per_second >= CLEANER_BYTES_PER_SECOND) return CLEANER_PAUSE_MS;
    double ms = 1000.0 * (double)c->slice_bytes / MAX(bytes_per_second, 1.0);
    return MAX((uint64_t)MIN(ms, 60000.0), CLEANER_PAUSE_MS);
}

static void slice(cleaner_t *c)
{
    io_loop_t *loop = c->kafka->loop;
    uint64_t start_ns = io_hrtime_ns(loop);
    bool through = false;
    int err = 0;
    c->slice_bytes = 0;
    io_turn_note(loop, "kafka: compaction");
    while (!err && !through && !c->opening && c->state != CLEANER_SYNCING && c->slice_bytes < slice_bytes_max(c) &&
           io_hrtime_ns(loop) - start_ns < CLEANER_SLICE_NS) {
        err = step(c, &through);
    }
    c->pause_ms = pause_ms(c);
    if (err)
        fail(c, err);
    else if (through)
        succeed(c);
    else if (c->state != CLEANER_SYNCING && !c->opening)
        io_timer_start(&c->timer, c->pause_ms, 0);
}

static void run(io_timer_t *timer)
{
    cleaner_t *c = CONTAINER_OF(timer, cleaner_t, timer);
    if (c->state == CLEANER_IDLE)
        look(c);
    else
        slice(c);
}
