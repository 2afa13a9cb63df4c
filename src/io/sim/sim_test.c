/* sim_test.c: what sim.h promises about seeds, power loss, partitions and clocks. */
#include "io/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SEEDS = 200 };

static io_file_t *open_new(io_loop_t *loop, const char *path)
{
    io_file_t *file;
    assert_int_equal(io_file_open(loop, path, IO_FILE_WRITE | IO_FILE_CREATE, &file), 0);
    return file;
}

static int write_at(io_file_t *file, uint64_t offset, const void *data, size_t bytes)
{
    struct iovec iov = {(void *)data, bytes};
    return io_file_write(file, offset, &iov, 1);
}

/* ---- determinism ---- */

typedef struct chatter {
    io_stream_t *stream;
    io_loop_t *loop;
    io_file_t *file;
    uint64_t bytes;
} chatter_t;

static void chat(void *user, unsigned events)
{
    chatter_t *c = user;
    uint8_t in[300];
    struct iovec iov = {in, 1 + c->bytes % sizeof(in)};
    memset(in, (int)c->bytes, sizeof(in));
    if (events & IO_WRITABLE) (void)io_stream_writev(c->stream, &iov, 1);
    ssize_t n = io_stream_read(c->stream, in, sizeof(in));
    if (n > 0) c->bytes += (uint64_t)n;
    if (n > 0 && c->file) (void)!write_at(c->file, c->bytes, in, (size_t)n);
}

static void chat_accept(void *user, io_stream_t *stream)
{
    chatter_t *c = user;
    c->stream = stream;
    io_stream_watch(stream, IO_READABLE | IO_WRITABLE, chat, c);
}

static uint64_t run_chat(uint64_t seed)
{
    sim_t *sim = sim_new(seed);
    sim_node_t *a = sim_node_new(sim, "10.0.0.1"), *b = sim_node_new(sim, "10.0.0.2");
    chatter_t server = {.loop = sim_node_loop(a)}, client = {.loop = sim_node_loop(b)};
    io_listener_t *listener;
    server.file = open_new(server.loop, "/data/chat");
    assert_int_equal(io_listen(server.loop, "10.0.0.1", 7, 8, chat_accept, &server, &listener), 0);
    assert_int_equal(io_connect(client.loop, "10.0.0.1", 7, &client.stream), 0);
    io_stream_watch(client.stream, IO_READABLE | IO_WRITABLE, chat, &client);
    sim_run_for(sim, 20 + sim_random(sim, 20));
    assert_true(server.bytes > 0 && client.bytes > 0);
    sim_node_crash(a);
    sim_run_for(sim, 20);
    uint64_t hash = sim_trace_hash(sim);
    sim_free(sim);
    return hash;
}

static void the_same_seed_gives_the_same_run(void **state)
{
    for (uint64_t seed = 0; seed < 5; seed++) {
        assert_true(run_chat(seed) == run_chat(seed));
        assert_true(run_chat(seed) != run_chat(seed + 1));
    }
}

/* ---- power loss ---- */

static io_loop_t *crash_and_start(sim_node_t *node)
{
    sim_node_crash(node);
    return sim_node_start(node);
}

static void what_was_synced_survives_and_what_was_not_is_kept_lost_or_torn(void **state)
{
    int kept = 0, lost = 0, torn = 0, shorter = 0;
    uint8_t first[2048], second[2048], found[4097];
    memset(first, 1, sizeof(first));
    memset(second, 2, sizeof(second));
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        io_file_t *file = open_new(loop, "/data/f");
        assert_int_equal(write_at(file, 0, first, sizeof(first)), 0);
        assert_int_equal(io_file_sync_now(file), 0);
        assert_int_equal(io_sync_dir(loop, "/data"), 0);
        assert_int_equal(write_at(file, sizeof(first), second, sizeof(second)), 0);
        loop = crash_and_start(node);
        assert_int_equal(io_file_open(loop, "/data/f", IO_FILE_READ, &file), 0);
        ssize_t n = io_file_read(file, 0, found, sizeof(found));
        assert_in_range(n, sizeof(first), sizeof(first) + sizeof(second));
        assert_memory_equal(found, first, sizeof(first));
        size_t twos = 0;
        for (ssize_t i = sizeof(first); i < n; i++) twos += found[i] == 2;
        kept += twos == sizeof(second);
        lost += twos == 0;
        torn += twos % sizeof(second) != 0;
        assert_int_equal(twos % SIM_SECTOR_BYTES, 0);
        shorter += (size_t)n < sizeof(first) + sizeof(second);
        sim_free(sim);
    }
    assert_true(kept > 10 && lost > 10 && torn > 10 && shorter > 10);
}

static void what_a_synced_tree_held_survives_a_crash(void **state)
{
    static const uint8_t data[] = "below";
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint8_t found[sizeof(data)];
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        assert_int_equal(io_mkdir(loop, "/data/a/b"), 0);
        io_file_t *file = open_new(loop, "/data/a/b/f");
        assert_int_equal(write_at(file, 0, data, sizeof(data)), 0);
        assert_int_equal(io_sync_tree(loop, "/data"), 0);
        loop = crash_and_start(node);
        assert_int_equal(io_file_open(loop, "/data/a/b/f", IO_FILE_READ, &file), 0);
        assert_int_equal(io_file_read(file, 0, found, sizeof(found)), sizeof(data));
        assert_memory_equal(found, data, sizeof(data));
        sim_free(sim);
    }
}

static void a_name_that_was_not_synced_may_vanish(void **state)
{
    int there = 0, gone = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_file_t *file = open_new(sim_node_loop(node), "/data/f");
        assert_int_equal(write_at(file, 0, "x", 1), 0);
        assert_int_equal(io_file_sync_now(file), 0);
        bool found = io_exists(crash_and_start(node), "/data/f");
        there += found;
        gone += !found;
        sim_free(sim);
    }
    assert_true(there > 10 && gone > 10);
}

static void a_rename_is_atomic_and_durable_once_its_directory_is_synced(void **state)
{
    int olds = 0, news = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        bool synced = seed % 2;
        uint8_t *data;
        size_t bytes;
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        assert_int_equal(io_replace_whole(loop, "/data/f", bytes_str("old")), 0);
        assert_int_equal(io_mkdir(loop, "/data/elsewhere"), 0);
        assert_int_equal(io_sync_dir(loop, "/data"), 0);
        io_file_t *file = open_new(loop, "/data/elsewhere/new");
        assert_int_equal(write_at(file, 0, "newer", 5), 0);
        assert_int_equal(io_file_sync_now(file), 0);
        assert_int_equal(io_rename(loop, "/data/elsewhere/new", "/data/f"), 0);
        if (synced) assert_int_equal(io_sync_dir(loop, "/data"), 0);
        loop = crash_and_start(node);
        assert_int_equal(io_read_whole(loop, "/data/f", 100, &data, &bytes), 0);
        bool is_new = strcmp((char *)data, "newer") == 0;
        assert_true(is_new || strcmp((char *)data, "old") == 0);
        assert_true(is_new || !synced);
        if (is_new) assert_false(io_exists(loop, "/data/elsewhere/new"));
        news += is_new && !synced;
        olds += !is_new;
        mem_free(data);
        sim_free(sim);
    }
    assert_true(olds > 10 && news > 10);
}

static void replacing_a_whole_file_survives_a_crash_at_any_operation(void **state)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        uint8_t *data;
        size_t bytes;
        int acknowledged = 0;
        assert_int_equal(io_replace_whole(loop, "/data/f", bytes_str("0")), 0);
        sim_node_crash_after(node, 1 + sim_random(sim, 40));
        for (int i = 1; i < 10; i++) {
            char text[2] = {(char)('0' + i), 0};
            if (io_replace_whole(loop, "/data/f", bytes_str(text)) == 0) acknowledged = i;
        }
        loop = crash_and_start(node);
        assert_int_equal(io_read_whole(loop, "/data/f", 100, &data, &bytes), 0);
        assert_in_range(data[0] - '0', acknowledged, acknowledged + 1);
        mem_free(data);
        sim_free(sim);
    }
}

static void a_killed_process_leaves_what_it_wrote(void **state)
{
    sim_t *sim = sim_new(1);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1");
    uint8_t *data;
    size_t bytes;
    io_file_t *file = open_new(sim_node_loop(node), "/data/f");
    assert_int_equal(write_at(file, 0, "kept", 4), 0);
    sim_node_kill(node);
    assert_int_equal(write_at(file, 4, "more", 4), ERR_IO);
    io_file_close(file);
    assert_int_equal(io_read_whole(sim_node_start(node), "/data/f", 100, &data, &bytes), 0);
    assert_string_equal((char *)data, "kept");
    mem_free(data);
    sim_free(sim);
}

/* ---- disk faults ---- */

static void a_full_disk_takes_what_fits_and_says_so(void **state)
{
    sim_t *sim = sim_new(1);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1");
    io_loop_t *loop = sim_node_loop(node);
    sim_disk_faults_t faults = sim_disk_faults_default;
    uint64_t size, left, total;
    faults.capacity_bytes = 10;
    sim_node_set_disk_faults(node, &faults);
    io_file_t *file = open_new(loop, "/data/f");
    assert_int_equal(write_at(file, 0, "12345678", 8), 0);
    assert_int_equal(write_at(file, 0, "abcdefgh", 8), 0);
    assert_int_equal(write_at(file, 8, "12345678", 8), ERR_NOSPACE);
    assert_int_equal(io_file_size(file, &size), 0);
    assert_int_equal(size, 10);
    assert_int_equal(io_disk_space(loop, "/data", &left, &total), 0);
    assert_int_equal(left, 0);
    assert_int_equal(io_file_truncate(file, 8), 0);
    assert_int_equal(write_at(file, 8, "12", 2), 0);
    io_file_close(file);
    assert_int_equal(io_remove(loop, "/data/f"), 0);
    assert_int_equal(io_disk_space(loop, "/data", &left, &total), 0);
    assert_int_equal(left, 10);
    sim_free(sim);
}

static void after_a_failed_sync_another_sync_saves_nothing(void **state)
{
    int lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        io_loop_t *loop = sim_node_loop(node);
        sim_disk_faults_t faults = sim_disk_faults_default;
        io_file_t *file = open_new(loop, "/data/f");
        uint8_t *data;
        size_t bytes;
        assert_int_equal(io_sync_dir(loop, "/data"), 0);
        assert_int_equal(write_at(file, 0, "x", 1), 0);
        faults.sync_error_ppm = SIM_PPM;
        sim_node_set_disk_faults(node, &faults);
        assert_int_equal(io_file_sync_now(file), ERR_IO);
        sim_node_set_disk_faults(node, &sim_disk_faults_default);
        assert_int_equal(io_file_sync_now(file), 0);
        loop = crash_and_start(node);
        assert_int_equal(io_read_whole(loop, "/data/f", 100, &data, &bytes), 0);
        lost += bytes == 0;
        mem_free(data);
        sim_free(sim);
    }
    assert_true(lost > 10);
}

/* ---- network and clocks ---- */

typedef struct link_test {
    sim_t *sim;
    sim_node_t *a, *b;
    io_listener_t *listener;
    io_stream_t *client, *server;
    char got[8];
    ssize_t last;
} link_test_t;

static void take(void *user, unsigned events)
{
    link_test_t *t = user;
    char in[8] = "";
    t->last = io_stream_read(t->server, in, sizeof(in) - 1);
    if (t->last > 0) strcat(t->got, in);
    if (t->last <= 0) io_stream_watch(t->server, 0, NULL, NULL);
}

static void link_accept(void *user, io_stream_t *stream)
{
    link_test_t *t = user;
    t->server = stream;
    io_stream_watch(stream, IO_READABLE, take, t);
}

static void link_open(link_test_t *t, uint64_t seed)
{
    t->sim = sim_new(seed);
    t->a = sim_node_new(t->sim, "10.0.0.1");
    t->b = sim_node_new(t->sim, "10.0.0.2");
    assert_int_equal(io_listen(sim_node_loop(t->b), "", 9, 8, link_accept, t, &t->listener), 0);
    assert_int_equal(io_connect(sim_node_loop(t->a), "10.0.0.2", 9, &t->client), 0);
    assert_int_equal(io_stream_writev(t->client, NULL, 0), ERR_AGAIN);
    sim_run_for(t->sim, 10);
    assert_int_equal(io_stream_writev(t->client, NULL, 0), 0);
}

static void link_send(link_test_t *t, const char *text)
{
    struct iovec iov = {(void *)text, 1};
    assert_int_equal(io_stream_writev(t->client, &iov, 1), 1);
}

static void a_read_behind_a_dropped_cache_shows_what_a_power_loss_would_leave(void **state)
{
    int lost = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        sim_t *sim = sim_new(seed);
        sim_node_t *node = sim_node_new(sim, "10.0.0.1");
        sim_disk_faults_t faults = sim_disk_faults_default;
        io_file_t *file = open_new(sim_node_loop(node), "/data/f");
        char text[3] = "";
        assert_int_equal(write_at(file, 0, "x", 1), 0);
        faults.sync_error_ppm = SIM_PPM;
        sim_node_set_disk_faults(node, &faults);
        assert_int_equal(io_file_sync_now(file), ERR_IO);
        assert_int_equal(io_file_read(file, 0, text, 2), 1); /* the cache goes on to show it */
        io_file_drop_cache(file);
        ssize_t kept = io_file_read(file, 0, text, 2);
        lost += kept == 0;
        assert_int_equal(write_at(file, (uint64_t)kept, "y", 1), 0);
        io_file_drop_cache(file); /* what is yet to be written stays */
        assert_int_equal(io_file_read(file, (uint64_t)kept, text, 2), 1);
        sim_free(sim);
    }
    assert_true(lost > 10);
}

static void more_files_than_the_system_allows_are_refused_by_name(void **state)
{
    sim_t *sim = sim_new(1);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1");
    io_loop_t *loop = sim_node_loop(node);
    sim_disk_faults_t faults = sim_disk_faults_default;
    io_file_t *first = open_new(loop, "/data/f"), *second;
    faults.files_max = 1;
    sim_node_set_disk_faults(node, &faults);
    assert_int_equal(io_file_open(loop, "/data/f", IO_FILE_READ, &second), ERR_FILES);
    io_file_close(first);
    assert_int_equal(io_file_open(loop, "/data/f", IO_FILE_READ, &second), 0);
    assert_int_equal(io_files_open(loop), 1);
    io_file_close(second);
    sim_free(sim);
}

static void a_partition_holds_messages_until_it_heals(void **state)
{
    link_test_t t = {0};
    link_open(&t, 1);
    link_send(&t, "1");
    sim_run_for(t.sim, 10);
    assert_string_equal(t.got, "1");
    sim_partition(t.sim, 1);
    link_send(&t, "2");
    link_send(&t, "3");
    sim_run_for(t.sim, 5000);
    assert_string_equal(t.got, "1");
    io_stream_t *other;
    assert_int_equal(io_connect(sim_node_loop(t.a), "10.0.0.2", 9, &other), 0);
    sim_run_for(t.sim, 20000);
    assert_int_equal(io_stream_writev(other, NULL, 0), ERR_TIMEDOUT);
    sim_partition(t.sim, 0);
    sim_run_for(t.sim, 2000);
    assert_string_equal(t.got, "123");
    sim_free(t.sim);
}

static void the_peers_of_a_crashed_node_see_a_reset(void **state)
{
    link_test_t t = {0};
    link_open(&t, 2);
    sim_node_crash(t.a);
    sim_run_for(t.sim, 10);
    assert_int_equal(t.last, ERR_CLOSED);
    io_loop_t *loop = sim_node_start(t.a);
    assert_int_equal(io_connect(loop, "10.0.0.2", 9, &t.client), 0);
    sim_run_for(t.sim, 10);
    link_send(&t, "1");
    io_stream_close(t.client);
    sim_run_for(t.sim, 10);
    assert_string_equal(t.got, "1");
    assert_int_equal(t.last, 0);
    sim_free(t.sim);
}

static void wall_clocks_jump_and_monotonic_ones_do_not(void **state)
{
    sim_t *sim = sim_new(1);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1"), *other = sim_node_new(sim, "10.0.0.2");
    int64_t wall_ms = io_wall_us(sim_node_loop(node)) / 1000;
    sim_node_jump_wall(node, -3600000);
    io_loop_update_time(sim_node_loop(node));
    io_loop_update_time(sim_node_loop(other));
    assert_in_range(wall_ms - io_wall_ms(sim_node_loop(node)), 3599000, 3600000);
    assert_int_equal(io_wall_ms(sim_node_loop(other)), wall_ms);
    assert_int_equal(io_now_ns(sim_node_loop(node)), io_now_ns(sim_node_loop(other)));
    sim_free(sim);
}

static void a_loss_of_power_is_known_afterwards_and_the_death_of_a_process_is_not_one(void **state)
{
    sim_t *sim = sim_new(3);
    sim_node_t *node = sim_node_new(sim, "10.0.0.1");
    bool changed = true;
    assert_int_equal(io_boot_changed(sim_node_loop(node), "/data/boot", &changed), 0);
    assert_false(changed);
    assert_int_equal(io_boot_keep(sim_node_loop(node), "/data/boot"), 0);
    sim_node_kill(node);
    assert_int_equal(io_boot_changed(sim_node_start(node), "/data/boot", &changed), 0);
    assert_false(changed);
    sim_node_crash(node);
    assert_int_equal(io_boot_changed(sim_node_start(node), "/data/boot", &changed), 0);
    assert_true(changed);
    assert_int_equal(io_boot_keep(sim_node_loop(node), "/data/boot"), 0);
    assert_int_equal(io_boot_changed(sim_node_loop(node), "/data/boot", &changed), 0);
    assert_false(changed);
    sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_run),
        cmocka_unit_test(what_was_synced_survives_and_what_was_not_is_kept_lost_or_torn),
        cmocka_unit_test(what_a_synced_tree_held_survives_a_crash),
        cmocka_unit_test(a_name_that_was_not_synced_may_vanish),
        cmocka_unit_test(a_rename_is_atomic_and_durable_once_its_directory_is_synced),
        cmocka_unit_test(replacing_a_whole_file_survives_a_crash_at_any_operation),
        cmocka_unit_test(a_killed_process_leaves_what_it_wrote),
        cmocka_unit_test(a_loss_of_power_is_known_afterwards_and_the_death_of_a_process_is_not_one),
        cmocka_unit_test(a_full_disk_takes_what_fits_and_says_so),
        cmocka_unit_test(after_a_failed_sync_another_sync_saves_nothing),
        cmocka_unit_test(a_read_behind_a_dropped_cache_shows_what_a_power_loss_would_leave),
        cmocka_unit_test(more_files_than_the_system_allows_are_refused_by_name),
        cmocka_unit_test(a_partition_holds_messages_until_it_heals),
        cmocka_unit_test(the_peers_of_a_crashed_node_see_a_reset),
        cmocka_unit_test(wall_clocks_jump_and_monotonic_ones_do_not),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
