/* runtime_load.c: the loader: reads partitions back one after the other, and hands their records to the machine, which keeps
 * the last of each key. A step is one record, a part of a compressed batch, or one piece of what the machine starts; as many run in a turn of the loop as
 * slices.h allows, so that everybody else is served meanwhile. */
#include "kafka/coordinator/runtime_internal.h"

#include "base/slog.h"

#define LOAD_PIECE_BYTES     MIB(1)  /* read at once */
#define LOAD_OPEN_BYTES      KIB(64) /* opened of a compressed batch at once */
#define LOAD_BATCH_BYTES_MAX MIB(64) /* of one batch when opened, and of one record's replay */

static runtime_t *of_slice(slice_t *slice) { return CONTAINER_OF(slice, runtime_t, loader.slice); }

/* Empty in a partition that this broker cannot read now: then it says why. */
static kafka_code_t remaining(runtime_t *runtime, int32_t index, partition_t **ret_partition, bool *ret_empty)
{
    runtime_partition_t *p = &runtime->partitions[index];
    kafka_code_t error = kafka_topic_partition_get(runtime->topic, index, ret_partition);
    if (error != KAFKA_NONE) return error;
    p->next_offset = MAX(p->next_offset, partition_log_start_offset(*ret_partition));
    *ret_empty = p->next_offset >= partition_high_watermark(*ret_partition);
    return KAFKA_NONE;
}

static void set_active(runtime_t *runtime, int32_t index)
{
    runtime->partitions[index].state = RUNTIME_ACTIVE;
    runtime->partitions_loading--;
}

/* What of it was replayed is forgotten: a part of the state would be worse than none. */
static void set_failed(runtime_t *runtime, int32_t index, kafka_code_t error)
{
    runtime__load_forget(runtime, index);
    runtime->partitions[index].state = RUNTIME_FAILED;
    runtime->partitions_loading--;
    runtime->machine->unload(runtime->user, index, KAFKA_NOT_COORDINATOR);
    slog(SLOG_ERROR, "kafka", "a partition of a coordinator cannot be loaded", "partition=%s-%d of=\"%s\" error=%s",
         runtime->topic_name, (int)index, runtime->machine->name, kafka_error_name(error));
    kafka_topic_altered(runtime->topic);
}

/* ---- one record after the other ---- */

static int begin_batch(runtime_loader_t *l, bytes_t batch)
{
    bytes_t payload = bytes_of(batch.ptr + BATCH_HEADER_BYTES, batch.len - BATCH_HEADER_BYTES);
    record_codec_t codec = (record_codec_t)(l->batch.attributes & RECORD_COMPRESSION_MASK);
    if (codec != RECORD_NONE) return record_stream_new(codec, payload, LOAD_BATCH_BYTES_MAX, &l->stream);
    record_iter_init_opened(&l->iter, &l->batch, payload);
    l->iterating = true;
    return 0;
}

/* The next batch of the piece. ERR_NOT_FOUND at its end; a batch that is cut off comes whole with the next piece. */
static int next_batch(runtime_loader_t *l)
{
    bytes_t left = bytes_of(l->piece.ptr + l->piece_at, l->piece.len - l->piece_at);
    if (left.len == 0) return ERR_NOT_FOUND;
    int err = batch_header_read(left, &l->batch);
    if (err) return err;
    size_t bytes = batch_bytes(&l->batch);
    if (bytes > left.len) return ERR_NOT_FOUND;
    l->piece_at += bytes;
    return begin_batch(l, bytes_of(left.ptr, bytes));
}

/* Opens some more of a compressed batch; its records come when all of it is open. */
static int open_more(runtime_loader_t *l)
{
    size_t bytes;
    if (l->opened.len > LOAD_BATCH_BYTES_MAX) return ERR_LIMIT;
    int err = buf_try_reserve(&l->opened, LOAD_OPEN_BYTES);
    if (!err) err = record_stream_read(l->stream, l->opened.ptr + l->opened.len, LOAD_OPEN_BYTES, &bytes);
    if (err) return err;
    l->opened.len += bytes;
    if (bytes > 0) return 0;
    record_stream_free(l->stream);
    l->stream = NULL;
    record_iter_init_opened(&l->iter, &l->batch, buf_bytes(&l->opened));
    l->iterating = true;
    return 0;
}

static void close_batch(runtime_loader_t *l)
{
    if (l->stream) record_stream_free(l->stream);
    l->stream = NULL;
    l->iterating = false;
    buf_clear(&l->opened);
}

/* ERR_NOT_FOUND when the piece has been replayed. */
static int replay_next(runtime_t *runtime)
{
    runtime_loader_t *l = &runtime->loader;
    record_t record;
    if (l->stream) return open_more(l);
    if (!l->iterating) return next_batch(l);
    int err = record_iter_next(&l->iter, &record);
    if (err == ERR_NOT_FOUND) {
        close_batch(l);
        return 0;
    }
    arena_reset(&l->arena);
    return err ? err : runtime->machine->replay(runtime->user, l->partition, &l->batch, &record, &l->arena);
}

/* ---- one piece after the other ---- */

static void drop_piece(runtime_loader_t *l)
{
    close_batch(l);
    buf_clear(&l->piece);
    l->piece_at = 0;
    l->partition = -1;
}

static kafka_code_t read_piece(runtime_t *runtime, int32_t index)
{
    runtime_loader_t *l = &runtime->loader;
    runtime_partition_t *p = &runtime->partitions[index];
    partition_t *partition;
    bool empty;
    kafka_code_t error = remaining(runtime, index, &partition, &empty);
    if (error != KAFKA_NONE) return error;
    if (empty) {
        p->state = RUNTIME_STARTING;
        return KAFKA_NONE;
    }
    l->partition = index;
    return partition_read(partition, p->next_offset, LOAD_PIECE_BYTES, &l->piece, &p->next_offset);
}

static void load_step(runtime_t *runtime, int32_t index)
{
    runtime_loader_t *l = &runtime->loader;
    kafka_code_t error = KAFKA_NONE;
    if (l->partition == index) {
        int err = replay_next(runtime);
        if (err == ERR_NOT_FOUND) drop_piece(l);
        if (err && err != ERR_NOT_FOUND) error = KAFKA_CORRUPT_MESSAGE;
    } else {
        error = read_piece(runtime, index);
    }
    if (error != KAFKA_NONE) set_failed(runtime, index, error);
}

/* ---- one partition after the other ---- */

/* The one whose piece is being replayed goes before the others. */
static int32_t next_partition(const runtime_t *runtime)
{
    if (runtime->loader.partition >= 0) return runtime->loader.partition;
    for (int32_t i = 0; i < runtime->partitions_count; i++) {
        int state = runtime->partitions[i].state;
        if (state == RUNTIME_LOADING || state == RUNTIME_STARTING) return i;
    }
    return -1;
}

static slice_state_t step(slice_t *slice)
{
    runtime_t *runtime = of_slice(slice);
    int32_t index = runtime->kafka->slices.closed ? -1 : next_partition(runtime);
    if (index < 0) {
        runtime->loader.running = false;
        buf_deinit(&runtime->loader.piece);
        buf_deinit(&runtime->loader.opened);
        return SLICE_ENDED;
    }
    if (runtime->partitions[index].state == RUNTIME_LOADING)
        load_step(runtime, index);
    else if (!runtime->machine->start(runtime->user, index) && runtime->partitions[index].state == RUNTIME_STARTING)
        set_active(runtime, index); /* else the log has refused what the start wrote */
    return SLICE_MORE;
}

/* A partition without records is active at once: a client that has just had the topic made need not come again. */
static bool is_empty(runtime_t *runtime, int32_t index)
{
    partition_t *partition;
    bool empty;
    return remaining(runtime, index, &partition, &empty) == KAFKA_NONE && empty;
}

void runtime__load(runtime_t *runtime, int32_t index)
{
    runtime_loader_t *l = &runtime->loader;
    if (is_empty(runtime, index)) {
        set_active(runtime, index);
        return;
    }
    if (l->running) return;
    l->running = true;
    l->slice = (slice_t){.step = step};
    slice_run(&runtime->kafka->slices, &l->slice);
}

void runtime__load_forget(runtime_t *runtime, int32_t index)
{
    if (runtime->loader.partition == index) drop_piece(&runtime->loader);
}

void runtime__load_init(runtime_t *runtime)
{
    runtime->loader.partition = -1;
    runtime->loader.piece = runtime->loader.opened = BUF_INIT;
    arena_init(&runtime->loader.arena, LOAD_BATCH_BYTES_MAX);
}

void runtime__load_deinit(runtime_t *runtime)
{
    slice_stop(&runtime->loader.slice);
    drop_piece(&runtime->loader);
    buf_deinit(&runtime->loader.piece);
    buf_deinit(&runtime->loader.opened);
    arena_deinit(&runtime->loader.arena);
}
