/* reserve_test.c: room on a full disk is there when it is asked for, and comes back. */
#include "io/io.h"
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define DISK_BYTES MIB(2)

typedef struct disk {
    sim_t *sim;
    sim_node_t *node;
    io_loop_t *loop;
    io_file_t *file;
    uint64_t end;
} disk_t;

static void resize(disk_t *d, uint64_t bytes)
{
    sim_disk_faults_t faults = sim_disk_faults_default;
    faults.capacity_bytes = bytes;
    sim_node_set_disk_faults(d->node, &faults);
}

static disk_t disk_new(void)
{
    disk_t d = {.sim = sim_new(1)};
    d.node = sim_node_new(d.sim, "10.0.0.1");
    d.loop = sim_node_loop(d.node);
    resize(&d, DISK_BYTES);
    assert_int_equal(io_file_open(d.loop, "/data/file", IO_FILE_WRITE | IO_FILE_CREATE, &d.file), 0);
    return d;
}

static void disk_free(disk_t *d)
{
    io_file_close(d->file);
    sim_free(d->sim);
}

static int grow(disk_t *d, size_t bytes)
{
    uint8_t *zeros = calloc(1, bytes);
    struct iovec iov = {zeros, bytes};
    int err = io_file_write(d->file, d->end, &iov, 1);
    if (err == 0) d->end += bytes;
    if (err != 0) assert_int_equal(io_file_truncate(d->file, d->end), 0);
    free(zeros);
    return err;
}

static void fill_disk(disk_t *d)
{
    for (size_t bytes = KIB(64); bytes > 0; bytes /= 2)
        while (grow(d, bytes) == 0) {
        }
}

static void it_gives_what_was_asked_and_is_whole_again_when_there_is_room(void **state)
{
    disk_t d = disk_new();
    io_reserve_t reserve;
    io_reserve_init(&reserve, d.loop, "/data", KIB(100));
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_false(reserve.low);
    assert_int_equal(reserve.bytes, KIB(100));
    fill_disk(&d);
    assert_int_equal(grow(&d, KIB(10)), ERR_NOSPACE);
    assert_true(io_reserve_give(&reserve, KIB(10)));
    assert_int_equal(grow(&d, KIB(10)), 0);
    assert_true(reserve.low);
    assert_in_range(reserve.bytes, KIB(64), KIB(90));
    assert_int_equal(io_reserve_fill(&reserve), ERR_NOSPACE);
    assert_true(io_reserve_give(&reserve, reserve.bytes));
    assert_int_equal(reserve.bytes, 0);
    assert_false(io_reserve_give(&reserve, 1));
    resize(&d, DISK_BYTES * 2);
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_false(reserve.low);
    io_reserve_deinit(&reserve);
    disk_free(&d);
}

static void a_small_disk_keeps_a_small_one_and_a_full_one_what_it_had(void **state)
{
    disk_t d = disk_new();
    io_reserve_t reserve;
    io_reserve_init(&reserve, d.loop, "/data", MIB(4));
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_in_range(reserve.bytes, KIB(64), DISK_BYTES / 8);
    uint64_t kept = reserve.bytes;
    io_reserve_deinit(&reserve);
    fill_disk(&d);
    io_reserve_init(&reserve, d.loop, "/data", MIB(4)); /* the next life of the process */
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_int_equal(reserve.bytes, kept);
    assert_false(reserve.low);
    io_reserve_deinit(&reserve);
    disk_free(&d);
}

/* Another error must not pass for a reserve that is whole. */
static void it_stays_low_while_it_cannot_be_opened(void **state)
{
    disk_t d = disk_new();
    io_reserve_t reserve;
    sim_disk_faults_t faults = sim_disk_faults_default;
    io_reserve_init(&reserve, d.loop, "/data", KIB(100));
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_true(io_reserve_give(&reserve, KIB(10)));
    faults.files_max = 1;
    sim_node_set_disk_faults(d.node, &faults);
    assert_int_equal(io_reserve_fill(&reserve), ERR_FILES);
    assert_true(reserve.low);
    sim_node_set_disk_faults(d.node, &sim_disk_faults_default);
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_false(reserve.low);
    io_reserve_deinit(&reserve);
    disk_free(&d);
}

static void without_a_size_there_is_none(void **state)
{
    disk_t d = disk_new();
    io_reserve_t reserve;
    io_reserve_init(&reserve, d.loop, "/data", 0);
    assert_int_equal(io_reserve_fill(&reserve), 0);
    assert_false(io_reserve_give(&reserve, 1));
    assert_false(reserve.low);
    assert_false(io_exists(d.loop, "/data/reserve"));
    io_reserve_deinit(&reserve);
    disk_free(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_what_was_asked_and_is_whole_again_when_there_is_room),
        cmocka_unit_test(a_small_disk_keeps_a_small_one_and_a_full_one_what_it_had),
        cmocka_unit_test(it_stays_low_while_it_cannot_be_opened),
        cmocka_unit_test(without_a_size_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
