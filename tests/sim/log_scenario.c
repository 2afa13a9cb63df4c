/* log_scenario.c: one log on a machine that dies again and again.
 *
 * A writer appends batches and asks for commits. After each death the log is opened again and read whole: every batch whose
 * commit was acknowledged is there, offsets are contiguous, every batch is exactly what was appended at its offset, and what
 * was cut is a tail. The model is the list of batches as appended, truncated by what a crash was seen to cut. An append that
 * failed was cut off again, but before a sync a power loss may undo the cut: such ghosts are allowed above what was
 * acknowledged. */
#include "machine.h"

#include "base/buf.h"
#include "base/hash.h"
#include "log/log.h"

#include <stdio.h>

#define DIR                  "/data/topic-0"
#define BOOT                 "/data/boot"
#define LIVES_MAX            6
#define APPENDS_PER_LIFE_MAX 120
#define PAYLOAD_BYTES_MAX    3000
#define STEP_MS_MAX          4

typedef struct model_batch {
    int64_t base_offset;
    int64_t next_offset;
    uint64_t crc; /* of all its bytes as appended */
} model_batch_t;

typedef struct model {
    model_batch_t *batches;
    size_t count, cap;
} model_t;

typedef struct log_world {
    run_t *run;
    machine_t machine;
    log_t *log; /* NULL = not open */
    log_options_t options;
    model_t model;
    model_t ghosts;
    int64_t acknowledged; /* all below was promised */
    int64_t checkpoint;   /* a recovery point as its owner may have saved it */
    io_timer_t writer;
    int appends_left;
    bool truncates;
    list_t commits;
} log_world_t;

typedef struct pending_commit {
    log_commit_t commit;
    log_world_t *world;
    int64_t end_offset;
    list_t node;
} pending_commit_t;

/* ---- writing ---- */

static size_t make_batch(run_t *run, uint8_t *out)
{
    size_t payload = 1 + draw(run, chance(run, 10) ? PAYLOAD_BYTES_MAX : 200);
    /* In some runs batches end where sectors end: then a lost write leaves no trace of itself in its neighbours. */
    if (run->seed % 4 == 0) payload = (1 + payload / 512) * 512 - BATCH_HEADER_BYTES;
    int32_t count = 1 + (int32_t)draw(run, 5);
    size_t bytes = BATCH_HEADER_BYTES + payload;
    memset(out, 0, BATCH_HEADER_BYTES);
    store_be32(out + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    out[16] = 2; /* magic */
    store_be32(out + 23, (uint32_t)count - 1);
    store_be64(out + 27, 1700000000000ull + draw(run, 100000)); /* base and largest timestamp */
    store_be64(out + 35, load_be64(out + 27));
    store_be64(out + 43, UINT64_MAX); /* no producer */
    store_be16(out + 51, UINT16_MAX);
    store_be32(out + 53, UINT32_MAX);
    store_be32(out + 57, (uint32_t)count);
    for (size_t i = 0; i < payload; i++) out[BATCH_HEADER_BYTES + i] = (uint8_t)draw(run, 256);
    store_be32(out + 17, crc32c(0, out + 21, bytes - 21));
    return bytes;
}

static model_batch_t describe(int64_t base_offset, const uint8_t *batch, size_t bytes)
{
    return (model_batch_t){base_offset, base_offset + load_be32(batch + 57), crc32c(0, batch, bytes)};
}

static void model_append(model_t *model, model_batch_t batch)
{
    if (model->count == model->cap) {
        model->cap = model->cap ? model->cap * 2 : 256;
        model->batches = mem_realloc(model->batches, model->cap * sizeof(model_batch_t));
    }
    model->batches[model->count++] = batch;
}

static void on_committed(log_commit_t *commit, int err)
{
    pending_commit_t *p = CONTAINER_OF(commit, pending_commit_t, commit);
    log_world_t *w = p->world;
    if (err == 0 && sim_node_alive(w->machine.node)) {
        w->acknowledged = MAX(w->acknowledged, p->end_offset);
        w->run->acknowledged++;
    }
    if (err) w->machine.failed = true;
    list_remove(&p->node);
    mem_free(p);
}

static void commit(log_world_t *w)
{
    pending_commit_t *p = mem_zalloc(sizeof(*p));
    p->world = w;
    p->end_offset = log_end_offset(w->log);
    list_push_back(&w->commits, &p->node);
    log_commit(w->log, &p->commit, on_committed);
}

/* As a follower does whose leader disagrees. What is cut is gone for good; what was promised of it is off. */
static void truncate(log_world_t *w)
{
    if (w->model.count == 0) return;
    size_t keep = w->model.count - 1 - draw(w->run, MIN(w->model.count, 20ul));
    int64_t end = w->model.batches[keep].base_offset;
    w->acknowledged = MIN(w->acknowledged, end);
    w->checkpoint = MIN(w->checkpoint, end);
    LIST_EACH(&w->commits, p, pending_commit_t, node) p->end_offset = MIN(p->end_offset, end);
    int err = log_truncate_to(w->log, end);
    if (err) {
        w->machine.failed = true; /* it may be cut or not */
        return;
    }
    CHECK(w->run, log_end_offset(w->log) == end, "truncated to %" PRId64 ", the end is %" PRId64, end,
          log_end_offset(w->log));
    w->model.count = keep;
}

static void on_writer(io_timer_t *timer)
{
    static uint8_t batch[BATCH_HEADER_BYTES + PAYLOAD_BYTES_MAX + 512];
    log_world_t *w = CONTAINER_OF(timer, log_world_t, writer);
    for (uint64_t n = 1 + draw(w->run, 4); n > 0 && w->appends_left > 0; n--, w->appends_left--) {
        size_t bytes = make_batch(w->run, batch);
        int64_t end = log_end_offset(w->log), base_offset;
        int err = log_append(w->log, batch, bytes, (int32_t)(w->run->crashes), &base_offset);
        if (err) {
            CHECK(w->run, log_end_offset(w->log) == end, "a failed append moved the end of the log");
            model_append(&w->ghosts, describe(end, batch, bytes));
            continue;
        }
        CHECK(w->run, base_offset == end, "appended at %" PRId64 ", the end was %" PRId64, base_offset, end);
        model_append(&w->model, describe(base_offset, batch, bytes));
    }
    if (w->truncates && chance(w->run, 8)) truncate(w);
    if (w->machine.failed) return;
    if (chance(w->run, 60)) commit(w);
    if (chance(w->run, 20)) w->checkpoint = log_durable_offset(w->log);
    if (w->appends_left > 0) io_timer_start(timer, draw(w->run, STEP_MS_MAX), 0);
}

/* ---- checking ---- */

static bool is_ghost(log_world_t *w, model_batch_t found)
{
    for (size_t i = 0; i < w->ghosts.count && found.base_offset >= w->acknowledged; i++) {
        if (memcmp(&w->ghosts.batches[i], &found, sizeof(found)) == 0) return true;
    }
    return false;
}

static void check_batch(log_world_t *w, size_t index, bytes_t bytes)
{
    run_t *run = w->run;
    model_batch_t found = describe((int64_t)load_be64(bytes.ptr), bytes.ptr, bytes.len);
    int64_t expected = index > 0 ? w->model.batches[index - 1].next_offset : 0;
    CHECK(run, batch_crc_ok(bytes), "batch at %" PRId64 " has a wrong CRC", found.base_offset);
    CHECK(run, found.base_offset == expected, "batch %zu is at %" PRId64 ", not at %" PRId64, index, found.base_offset,
          expected);
    if (index < w->model.count && found.crc == w->model.batches[index].crc) return;
    CHECK(run, is_ghost(w, found), "batch at %" PRId64 " was never appended there", found.base_offset);
    w->model.count = index;
    model_append(&w->model, found);
}

/* Reads one slice and checks each batch in it against the model from `index`; returns the index behind. */
static size_t check_slice(log_world_t *w, const log_slice_t *slice, size_t index)
{
    uint8_t *data = mem_alloc(slice->bytes);
    batch_header_t batch;
    ssize_t n = io_file_read(slice->file, slice->position, data, slice->bytes);
    CHECK(w->run, n == (ssize_t)slice->bytes, "a slice of %zu bytes gave %zd", slice->bytes, n);
    for (size_t at = 0; at < slice->bytes; at += batch_bytes(&batch)) {
        int err = batch_header_read(bytes_of(data + at, slice->bytes - at), &batch);
        CHECK(w->run, err == 0, "a slice holds no whole batch at %zu: %s", at, err_text(err));
        check_batch(w, index++, bytes_of(data + at, batch_bytes(&batch)));
    }
    mem_free(data);
    return index;
}

static void check_whole(log_world_t *w)
{
    int64_t end = log_end_offset(w->log), offset = log_start_offset(w->log);
    size_t index = 0;
    log_slice_t slice;
    CHECK(w->run, offset == 0, "the log starts at %" PRId64, offset);
    CHECK(w->run, end >= w->acknowledged, "acknowledged up to %" PRId64 ", but the log ends at %" PRId64,
          w->acknowledged, end);
    while (offset < end) {
        int err = log_find(w->log, offset, INT64_MAX, 1 + draw(w->run, 20000), true, &slice);
        if (err && !sim_node_alive(w->machine.node)) return; /* a look-up may make an index anew, and die at that */
        CHECK(w->run, err == 0 && slice.bytes > 0, "nothing found at %" PRId64 " of %" PRId64 ": %s", offset, end,
              err_text(err));
        index = check_slice(w, &slice, index);
        offset = w->model.batches[index - 1].next_offset;
        log_slice_release(slice.segment);
    }
    CHECK(w->run, offset == end, "the last batch ends at %" PRId64 ", the log at %" PRId64, offset, end);
    w->model.count = index; /* the crash cut the rest */
}

static void check_random_finds(log_world_t *w)
{
    log_slice_t slice;
    for (int i = 0; i < 5 && w->model.count > 0; i++) {
        size_t index = draw(w->run, w->model.count);
        model_batch_t *m = &w->model.batches[index];
        int64_t offset = m->base_offset + (int64_t)draw(w->run, (uint64_t)(m->next_offset - m->base_offset));
        int err = log_find(w->log, offset, INT64_MAX, 1, true, &slice);
        if (err && !sim_node_alive(w->machine.node)) return;
        CHECK(w->run, err == 0 && slice.bytes > 0, "finding %" PRId64 " gave %zu bytes: %s", offset, slice.bytes,
              err_text(err));
        check_slice(w, &slice, index);
        log_slice_release(slice.segment);
    }
}

/* ---- lives ---- */

static void choose_faults(log_world_t *w)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    if (chance(w->run, 15)) faults.sync_error_ppm = 20000;
    if (chance(w->run, 15)) faults.write_error_ppm = 20000;
    if (chance(w->run, 10)) faults.capacity_bytes = 20000 + draw(w->run, 100000);
    sim_node_set_disk_faults(w->machine.node, &faults);
}

static bool writer_is_through(void *user)
{
    log_world_t *w = user;
    return !machine_runs(&w->machine) || (w->appends_left == 0 && list_empty(&w->commits));
}

static int open_log(log_world_t *w, log_recovery_t *recovery)
{
    io_loop_t *loop = w->machine.loop;
    int err = io_boot_changed(loop, BOOT, &recovery->power_lost);
    if (err == 0) err = log_open(loop, DIR, &w->options, recovery, &w->log);
    if (err == 0) err = io_boot_keep(loop, BOOT);
    return err;
}

static bool start(void *user)
{
    log_world_t *w = user;
    log_recovery_t recovery = {.clean = false, .scan_from = INT64_MAX, .start_offset = -1};
    /* The owner's checkpoint may be old or lost, but is never ahead of what this log called durable. */
    if (chance(w->run, 20)) w->checkpoint = (int64_t)draw(w->run, (uint64_t)w->checkpoint + 1);
    recovery.recovery_point = w->checkpoint;
    scenario_note(w->run, "opening with recovery point %" PRId64, w->checkpoint);
    int err = open_log(w, &recovery);
    CHECK(w->run, err == 0 || !sim_node_alive(w->machine.node), "the log does not open: %s", err_text(err));
    if (err == 0)
        scenario_note(w->run, "open: end %" PRId64 ", durable %" PRId64 ", %u segments", log_end_offset(w->log),
                      log_durable_offset(w->log), log_segments_count(w->log));
    return err == 0;
}

static void check(void *user)
{
    log_world_t *w = user;
    check_whole(w);
    check_random_finds(w);
}

static void work(void *user)
{
    log_world_t *w = user;
    choose_faults(w);
    w->appends_left = 1 + (int)draw(w->run, APPENDS_PER_LIFE_MAX);
    io_timer_init(w->machine.loop, &w->writer, on_writer);
    io_timer_start(&w->writer, 0, 0);
    io_loop_wake(w->machine.loop);
    bool through = sim_run_until(w->run->sim, writer_is_through, w, 60000);
    CHECK(w->run, through, "commits were not answered within a minute");
    io_timer_stop(&w->writer);
    scenario_note(w->run, "end %" PRId64 ", acknowledged %" PRId64, log_end_offset(w->log), w->acknowledged);
}

static void stop(void *user)
{
    log_world_t *w = user;
    if (w->log && log_close(w->log) != 0) w->machine.failed = true;
    w->log = NULL;
}

void scenario_log(run_t *run)
{
    log_world_t w = {.run = run, .options = log_options_default};
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = &w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 70;
    program.crash_operations_max = 400;
    program.orderly_percent = 10;
    machine_init(&w.machine, run, "10.0.0.1");
    w.options.segment_bytes_max = 4096 + draw(run, 60000);
    w.options.index_interval_bytes = 256;
    w.truncates = chance(run, 30);
    list_init(&w.commits);
    machine_lives(&w.machine, &program);
    CHECK(run, !w.machine.failed, "the log does not close at the end");
    mem_free(w.model.batches);
    mem_free(w.ghosts.batches);
}
