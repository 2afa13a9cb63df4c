/* coord_scenario.c: the coordination tree with one voter, on a machine that dies again and again.
 *
 * Each change is one atomic submission: it writes its number into /seq and creates, sets or deletes a few nodes. After each
 * death the tree is opened again: /seq tells how many changes it has; all acknowledged ones are among them, and the
 * tree is exactly what those changes in their order make. */
#include "machine.h"

#include "coord/coord.h"

#include <stdio.h>

#define DIR                  "/data/coord"
#define LIVES_MAX            6
#define CHANGES_PER_LIFE_MAX 80
#define CHANGES_MAX          ((LIVES_MAX + 1) * CHANGES_PER_LIFE_MAX)
#define NODES                12
#define EDITS_MAX            3
#define STEP_MS_MAX          6

typedef struct edit {
    int node;
    uint32_t value; /* 0 = absent */
} edit_t;

typedef struct change {
    int edits_count;
    edit_t edits[EDITS_MAX];
} change_t;

typedef struct coord_world {
    run_t *run;
    machine_t machine;
    coord_t *coord; /* NULL = not open */
    coord_options_t options;
    change_t changes[CHANGES_MAX]; /* in the order of submission */
    int changes_count;
    int acknowledged;    /* so many were promised */
    int64_t zxid;        /* of the last promised one */
    uint32_t tip[NODES]; /* as all changes make it */
    uint32_t values;
    io_timer_t writer;
    int changes_left;
    int outstanding;
} coord_world_t;

typedef struct pending_change {
    coord_request_t request;
    coord_world_t *world;
    int number; /* from 1; 0 = one that must be refused */
} pending_change_t;

static const char *node_path(int node, char out[16])
{
    snprintf(out, 16, "/n%d", node);
    return out;
}

/* ---- writing ---- */

static void on_changed(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    pending_change_t *p = CONTAINER_OF(request, pending_change_t, request);
    coord_world_t *w = p->world;
    w->outstanding--;
    if (machine_runs(&w->machine) && err != ZCONNECTION_LOSS) {
        if (p->number == 0) {
            CHECK(w->run, err == ZNO_NODE && failed_index == 1, "an impossible change gave %d at %d", err,
                  failed_index);
        } else {
            CHECK(w->run, err == ZOK, "change %d gave %d at %d", p->number, err, failed_index);
            CHECK(w->run, p->number == w->acknowledged + 1, "change %d was answered after %d", p->number,
                  w->acknowledged);
            CHECK(w->run, zxid > w->zxid, "zxids do not grow: %" PRId64 " after %" PRId64, zxid, w->zxid);
            w->acknowledged = p->number;
            w->zxid = zxid;
            w->run->acknowledged++;
        }
    }
    mem_free(p);
}

static void submit(coord_world_t *w, const coord_op_t *ops, int count, int number)
{
    pending_change_t *p = mem_zalloc(sizeof(*p));
    p->world = w;
    p->number = number;
    w->outstanding++;
    coord_submit(w->coord, ops, count, &p->request, on_changed);
}

static coord_op_t make_op(coord_world_t *w, const edit_t *edit, const char *path, char data[16])
{
    snprintf(data, 16, "%u", edit->value);
    coord_op_kind_t kind = edit->value == 0 ? COORD_DELETE : w->tip[edit->node] == 0 ? COORD_CREATE : COORD_SET;
    return (coord_op_t){.kind = kind, .path = path, .data = bytes_str(data), .version = -1};
}

static void submit_change(coord_world_t *w)
{
    char paths[EDITS_MAX][16], data[EDITS_MAX + 1][16];
    coord_op_t ops[EDITS_MAX + 1];
    change_t *change = &w->changes[w->changes_count++];
    snprintf(data[EDITS_MAX], 16, "%d", w->changes_count);
    ops[0] = (coord_op_t){.kind = w->changes_count == 1 ? COORD_CREATE : COORD_SET,
                          .path = "/seq",
                          .data = bytes_str(data[EDITS_MAX]),
                          .version = -1};
    change->edits_count = 1 + (int)draw(w->run, EDITS_MAX);
    for (int i = 0; i < change->edits_count; i++) {
        edit_t *edit = &change->edits[i];
        edit->node = (int)draw(w->run, NODES);
        bool remove = w->tip[edit->node] != 0 && chance(w->run, 30);
        edit->value = remove ? 0 : ++w->values;
        ops[i + 1] = make_op(w, edit, node_path(edit->node, paths[i]), data[i]);
        w->tip[edit->node] = edit->value;
    }
    submit(w, ops, change->edits_count + 1, w->changes_count);
}

/* All or nothing: its first half must not be seen. */
static void submit_impossible(coord_world_t *w)
{
    coord_op_t ops[2] = {{.kind = COORD_SET, .path = "/seq", .data = bytes_str("0"), .version = -1},
                         {.kind = COORD_SET, .path = "/missing", .data = bytes_str("x"), .version = -1}};
    if (w->changes_count > 0) submit(w, ops, 2, 0);
}

static void on_writer(io_timer_t *timer)
{
    coord_world_t *w = CONTAINER_OF(timer, coord_world_t, writer);
    for (uint64_t n = 1 + draw(w->run, 5); n > 0 && w->changes_left > 0 && !w->machine.failed; n--, w->changes_left--) {
        if (chance(w->run, 10))
            submit_impossible(w);
        else
            submit_change(w);
    }
    if (w->changes_left > 0) io_timer_start(timer, draw(w->run, STEP_MS_MAX), 0);
}

/* ---- checking ---- */

static uint32_t read_number(coord_world_t *w, const char *path)
{
    bytes_t data;
    coord_stat_t stat;
    char text[16] = "";
    unsigned value = 0;
    coord_zerr_t err = coord_get(w->coord, path, &data, &stat);
    if (err == ZNO_NODE) return 0;
    CHECK(w->run, err == ZOK && data.len < sizeof(text), "reading %s gave %d", path, err);
    memcpy(text, data.ptr, data.len);
    CHECK(w->run, sscanf(text, "%u", &value) == 1, "%s holds \"%s\"", path, text);
    return value;
}

static void check_tree(coord_world_t *w)
{
    char path[16];
    int count = (int)read_number(w, "/seq");
    CHECK(w->run, count >= w->acknowledged, "%d changes were acknowledged, %d are there", w->acknowledged, count);
    CHECK(w->run, count <= w->changes_count, "%d changes are there, %d were submitted", count, w->changes_count);
    CHECK(w->run, coord_last_zxid(w->coord) >= w->zxid, "the last zxid went back");
    memset(w->tip, 0, sizeof(w->tip));
    for (int i = 0; i < count; i++) {
        for (int j = 0; j < w->changes[i].edits_count; j++)
            w->tip[w->changes[i].edits[j].node] = w->changes[i].edits[j].value;
    }
    for (int i = 0; i < NODES; i++) {
        uint32_t found = read_number(w, node_path(i, path));
        CHECK(w->run, found == w->tip[i], "after %d changes %s is %u, not %u", count, path, found, w->tip[i]);
    }
    w->changes_count = w->acknowledged = count; /* what is seen is promised */
}

/* ---- lives ---- */

static void choose_faults(coord_world_t *w)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    if (chance(w->run, 15)) faults.sync_error_ppm = 20000;
    if (chance(w->run, 10)) faults.write_error_ppm = 20000;
    if (chance(w->run, 5)) faults.capacity_bytes = 20000 + draw(w->run, 100000);
    sim_node_set_disk_faults(w->machine.node, &faults);
}

static bool writer_is_through(void *user)
{
    coord_world_t *w = user;
    return !machine_runs(&w->machine) || (w->changes_left == 0 && w->outstanding == 0);
}

static bool start(void *user)
{
    coord_world_t *w = user;
    int err = coord_open(w->machine.loop, &w->options, &w->coord);
    if (err) w->coord = NULL;
    CHECK(w->run, err == 0 || !machine_runs(&w->machine), "the tree does not open: %s", err_text(err));
    return err == 0 && sim_node_alive(w->machine.node);
}

static void check(void *user) { check_tree(user); }

static void work(void *user)
{
    coord_world_t *w = user;
    choose_faults(w);
    w->changes_left = 1 + (int)draw(w->run, CHANGES_PER_LIFE_MAX - 1);
    io_timer_init(w->machine.loop, &w->writer, on_writer);
    io_timer_start(&w->writer, 0, 0);
    io_loop_wake(w->machine.loop);
    bool through = sim_run_until(w->run->sim, writer_is_through, w, 60000);
    CHECK(w->run, through, "changes were not answered within a minute");
    io_timer_stop(&w->writer);
    scenario_note(w->run, "%d changes, %d acknowledged", w->changes_count, w->acknowledged);
}

static void stop(void *user)
{
    coord_world_t *w = user;
    if (w->coord) coord_close(w->coord);
    w->coord = NULL;
}

void scenario_coord(run_t *run)
{
    coord_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 70;
    program.crash_operations_max = 300;
    program.orderly_percent = 10;
    w->run = run;
    machine_init(&w->machine, run, "10.0.0.1");
    w->options = coord_options_default;
    w->options.dir = DIR;
    w->options.snapshot_entries = 5 + (uint32_t)draw(run, 100);
    w->options.fatal = machine_gave_up;
    w->options.fatal_user = &w->machine;
    machine_lives(&w->machine, &program);
    mem_free(w);
}
