/* rot_scenario.c: bits that flip in files at rest. A log, or the tree, is written and its process ends; then a bit of one of its
 * files flips, and it is opened again. It has all that was acknowledged, or refuses. The last write may be taken for a torn
 * one. A refusal leaves the files as they are: with the bit flipped back all is there. */
#include "machine.h"

#include "base/hash.h"
#include "coord/coord.h"
#include "log/log.h"

#include <stdio.h>
#include <string.h>

#define LOG_DIR     "/data/log-0"
#define TREE_DIR    "/data/coord"
#define FLIPS       30
#define FILES_MAX   64
#define BATCHES_MAX 150

typedef struct files {
    io_loop_t *loop;
    const char *dir;
    char names[FILES_MAX][160];
    size_t count;
} files_t;

static void find_file(void *user, const char *name, bool is_dir)
{
    files_t *f = user;
    if (is_dir || f->count == FILES_MAX || strstr(name, ".cut")) return;
    snprintf(f->names[f->count++], sizeof(f->names[0]), "%s/%s", f->dir, name);
}

static void find_files(files_t *f, io_loop_t *loop, const char *dir)
{
    f->dir = dir;
    (void)!io_list_dir(loop, dir, find_file, f);
}

typedef struct flip {
    const char *path;
    uint64_t byte;
    int bit;
} flip_t;

static uint64_t size_of(io_loop_t *loop, const char *path)
{
    io_file_t *file;
    uint64_t bytes = 0;
    if (io_file_open(loop, path, IO_FILE_READ, &file) != 0) return 0;
    if (io_file_size(file, &bytes) != 0) bytes = 0;
    io_file_close(file);
    return bytes;
}

/* False when the file is empty. */
static bool flip_somewhere(run_t *run, sim_node_t *node, const files_t *f, bool derived, flip_t *flip)
{
    flip->path = f->names[draw(run, f->count)];
    if (derived && strcmp(flip->path + strlen(flip->path) - 4, ".log") == 0) return false;
    uint64_t bytes = size_of(sim_node_loop(node), flip->path);
    if (bytes == 0) return false;
    /* The files of a tree grow ahead: most of the flips should meet bytes that say something. */
    flip->byte = draw(run, chance(run, 80) ? MIN(bytes, 20000ul) : bytes);
    flip->bit = (int)draw(run, 8);
    int err = sim_disk_flip_bit(node, flip->path, flip->byte, flip->bit);
    return err == 0;
}

static void flip_back(run_t *run, sim_node_t *node, const flip_t *flip)
{
    int err = sim_disk_flip_bit(node, flip->path, flip->byte, flip->bit);
    CHECK(run, err == 0, "%s is not as it was: %s", flip->path, err_text(err));
}

/* ---- a log ----------------------------------------------------------------------------------------------------------- */

typedef struct log_rot {
    run_t *run;
    sim_node_t *node;
    bool lenient; /* the log is told that power may have cost it anything: what a rule without teeth would do */
    uint32_t crcs[BATCHES_MAX];
    int64_t count, seen;
    log_t *log;
} log_rot_t;

static void see(void *user, const batch_header_t *batch)
{
    log_rot_t *r = user;
    CHECK(r->run, batch->base_offset == r->seen && r->seen < r->count && batch->crc == r->crcs[r->seen],
          "the batch at %" PRId64 " is not the one that was appended as the %" PRId64 "th", batch->base_offset,
          r->seen);
    r->seen++;
}

static int open_log(log_rot_t *r, bool clean, log_report_t *report)
{
    log_options_t options = log_options_default;
    options.segment_bytes_max = 8000;
    options.index_interval_bytes = 256;
    log_recovery_t recovery = {.clean = clean, .start_offset = -1, .each = see, .user = r, .report = report};
    recovery.power_lost = r->lenient;
    if (clean) recovery.recovery_point = r->count;
    r->seen = 0;
    return log_open(sim_node_loop(r->node), LOG_DIR, &options, &recovery, &r->log);
}

static void append(log_rot_t *r)
{
    uint8_t batch[BATCH_HEADER_BYTES + 400];
    size_t bytes = BATCH_HEADER_BYTES + 1 + draw(r->run, 399);
    int64_t offset;
    memset(batch, 0, BATCH_HEADER_BYTES);
    store_be32(batch + 8, (uint32_t)(bytes - BATCH_OVERHEAD_BYTES));
    batch[16] = 2;
    store_be64(batch + 43, UINT64_MAX);
    store_be32(batch + 57, 1);
    for (size_t i = BATCH_HEADER_BYTES; i < bytes; i++) batch[i] = (uint8_t)draw(r->run, 256);
    r->crcs[r->count] = crc32c(0, batch + 21, bytes - 21);
    store_be32(batch + 17, r->crcs[r->count]);
    int err = log_append(r->log, batch, bytes, 0, &offset);
    CHECK(r->run, err == 0 && offset == r->count, "appending gave %s", err_text(err));
    r->count++;
    r->run->acknowledged++;
}

/* Each offset is found in its own batch, whatever the indexes say. */
static void check_finds(log_rot_t *r)
{
    for (int64_t offset = 0; offset < log_end_offset(r->log); offset++) {
        log_slice_t slice;
        uint8_t header[BATCH_HEADER_BYTES];
        int err = log_find(r->log, offset, INT64_MAX, 1, true, &slice);
        CHECK(r->run, err == 0 && slice.bytes > 0, "%" PRId64 " is not found: %s", offset, err_text(err));
        ssize_t n = io_file_read(slice.file, slice.position, header, sizeof(header));
        CHECK(r->run, n == sizeof(header) && (int64_t)load_be64(header) == offset,
              "%" PRId64 " is asked for, %" PRId64 " found", offset, (int64_t)load_be64(header));
        log_slice_release(slice.segment);
    }
}

static void rot_log_once(log_rot_t *r)
{
    files_t files = {0};
    flip_t flip;
    log_report_t report;
    bool clean = chance(r->run, 50);
    find_files(&files, sim_node_loop(r->node), LOG_DIR);
    /* After a clean stop the batches are believed: then only what is made from them may rot. */
    if (!flip_somewhere(r->run, r->node, &files, clean, &flip)) return;
    int err = open_log(r, clean, &report);
    char text[LOG_TEXT_CHARS_MAX];
    log_damage_text(&report.damage, text);
    scenario_note(r->run, "%s byte %" PRIu64 ": %s %s", flip.path, flip.byte, err_text(err), text);
    if (err == ERR_DAMAGED) {
        flip_back(r->run, r->node, &flip);
        err = open_log(r, clean, &report);
        log_damage_text(&report.damage, text);
        CHECK(r->run, err == 0 && log_end_offset(r->log) == r->count, "mended again it is not whole: %s %s",
              err_text(err), text);
    }
    CHECK(r->run, err == 0, "the log does not open: %s", err_text(err));
    int64_t end = log_end_offset(r->log);
    CHECK(r->run, end == r->count || (end == r->count - 1 && report.cut_file[0] && report.copy[0]),
          "%" PRId64 " of %" PRId64 " are left, %s", end, r->count, report.cut_file[0] ? "cut" : "and nobody says so");
    r->count = end;
    if (clean) check_finds(r);
    err = log_close(r->log);
    CHECK(r->run, err == 0, "the log does not close: %s", err_text(err));
}

static void rot_log(run_t *run, bool lenient)
{
    log_rot_t r = {.run = run, .lenient = lenient};
    r.node = sim_node_new(run->sim, "10.0.0.1");
    log_report_t report;
    int err = open_log(&r, true, &report);
    CHECK(run, err == 0, "a new log does not open: %s", err_text(err));
    for (uint64_t n = 2 + draw(run, BATCHES_MAX - 2); n > 0; n--) append(&r);
    err = log_close(r.log);
    CHECK(run, err == 0, "the log does not close: %s", err_text(err));
    for (int i = 0; i < FLIPS; i++) rot_log_once(&r);
}

void scenario_rot_log(run_t *run) { rot_log(run, false); }
void scenario_rot_log_lenient(run_t *run) { rot_log(run, true); }

/* ---- the tree ---------------------------------------------------------------------------------------------------------- */

typedef struct tree_rot {
    run_t *run;
    machine_t machine;
    coord_t *coord;
    coord_options_t options;
    coord_opening_t opening;
    int made; /* /n0 to /n<made - 1> were acknowledged, one by one */
} tree_rot_t;

typedef struct made {
    coord_request_t request;
    bool done;
    coord_zerr_t err;
} made_t;

static void on_made(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    made_t *made = CONTAINER_OF(request, made_t, request);
    made->done = true;
    made->err = err;
}

static bool is_made(void *user) { return ((made_t *)user)->done; }

static void make_node(tree_rot_t *t)
{
    char path[16];
    made_t made = {0};
    snprintf(path, sizeof(path), "/n%d", t->made);
    coord_op_t op = {.kind = COORD_CREATE, .path = path, .data = BYTES_LIT("data that a bit may flip in")};
    coord_submit(t->coord, &op, 1, &made.request, on_made);
    io_loop_wake(t->machine.loop);
    bool through = sim_run_until(t->run->sim, is_made, &made, 60000);
    CHECK(t->run, through && made.err == ZOK, "%s was not made", path);
    t->made++;
    t->run->acknowledged++;
}

static int open_tree(tree_rot_t *t)
{
    t->options.opening = &t->opening;
    return coord_open(t->machine.loop, &t->options, &t->coord);
}

/* Power loss: what the disk has is what was synced. A kill: what was written. */
static void end_tree(tree_rot_t *t)
{
    machine_die(&t->machine, chance(t->run, 50));
    coord_close(t->coord);
    machine_restart(&t->machine);
}

static void check_nodes(tree_rot_t *t)
{
    int there = 0;
    char path[16];
    bytes_t data;
    for (int i = 0; i < t->made; i++) {
        snprintf(path, sizeof(path), "/n%d", i);
        if (coord_get(t->coord, path, &data, NULL) != ZOK) break;
        CHECK(t->run, bytes_eq(data, BYTES_LIT("data that a bit may flip in")), "%s holds something else", path);
        there++;
    }
    CHECK(t->run, there == t->made || (there == t->made - 1 && strstr(t->opening.warning, "was cut at byte")),
          "%d of %d are left; warning: %s", there, t->made, t->opening.warning);
    t->made = there;
}

static void rot_tree_once(tree_rot_t *t)
{
    files_t files = {0};
    flip_t flip;
    io_loop_t *loop = t->machine.loop;
    find_files(&files, loop, TREE_DIR);
    find_files(&files, loop, TREE_DIR "/log");
    bool flipped = flip_somewhere(t->run, t->machine.node, &files, false, &flip);
    int err = open_tree(t);
    scenario_note(t->run, "%s byte %" PRIu64 ": %s %s", flip.path, flip.byte, err_text(err), t->opening.why);
    if (err == ERR_DAMAGED && flipped) {
        CHECK(t->run, t->opening.why[0], "refused without a word");
        flip_back(t->run, t->machine.node, &flip);
        err = open_tree(t);
        CHECK(t->run, err == 0, "mended again it does not open: %s %s", err_text(err), t->opening.why);
    }
    CHECK(t->run, err == 0, "the tree does not open: %s %s", err_text(err), t->opening.why);
    check_nodes(t);
    for (uint64_t n = draw(t->run, 10); n > 0; n--) make_node(t);
    end_tree(t);
}

void scenario_rot_coord(run_t *run)
{
    tree_rot_t t = {.run = run, .options = coord_options_default};
    machine_init(&t.machine, run, "10.0.0.1");
    t.options.dir = TREE_DIR;
    t.options.snapshot_entries = 20 + (uint32_t)draw(run, 100);
    int err = open_tree(&t);
    CHECK(run, err == 0, "a new tree does not open: %s", err_text(err));
    for (uint64_t n = 5 + draw(run, 100); n > 0; n--) make_node(&t);
    end_tree(&t);
    for (int i = 0; i < FLIPS / 2; i++) rot_tree_once(&t);
}
