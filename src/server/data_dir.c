/* data_dir.c: makes the data directory and takes its lock, which one server holds at a time. And refuses one in which a
 * ZooKeeper keeps its data, rather than serve an empty tree beside it. */
#include "server/server_internal.h"

#include <stdio.h>

#define LOCK_WAIT_MS  3000
#define LOCK_RETRY_MS 20

typedef struct lock_wait {
    io_timer_t timer;
    server_t *server;
    const char *path;
    uint64_t deadline_ns;
    int err;
} lock_wait_t;

static void try_lock(io_timer_t *timer)
{
    lock_wait_t *wait = CONTAINER_OF(timer, lock_wait_t, timer);
    io_loop_t *loop = wait->server->loop;
    wait->err = io_lock_file(loop, wait->path);
    if (wait->err == ERR_BUSY && io_now_ns(loop) < wait->deadline_ns) return;
    io_timer_stop(timer);
    io_loop_stop(loop);
}

/* A server that was killed holds its lock until the system has taken its memory apart: who starts at once waits for that. */
static int lock_data_dir(server_t *server, const char *path)
{
    lock_wait_t wait = {.server = server, .path = path, .err = io_lock_file(server->loop, path)};
    if (wait.err != ERR_BUSY) return wait.err;
    wait.deadline_ns = io_now_ns(server->loop) + LOCK_WAIT_MS * UINT64_C(1000000);
    io_timer_init(server->loop, &wait.timer, try_lock);
    io_timer_start(&wait.timer, LOCK_RETRY_MS, LOCK_RETRY_MS);
    io_loop_run(server->loop);
    return wait.err;
}

int server__open_data_dir(server_t *server, char *error)
{
    int err = io_mkdir(server->loop, server->data_dir);
    if (err) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX,
                 "cannot make the data directory %.300s: %s; choose another with --data", server->data_dir,
                 err_text(err));
        return err;
    }
    char *lock_path = server__path(server, "trivet.lock");
    err = lock_data_dir(server, lock_path);
    mem_free(lock_path);
    if (err == ERR_BUSY)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "another trivet already runs on the data directory %.300s",
                 server->data_dir);
    else if (err)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot write in the data directory %.300s: %s", server->data_dir,
                 err_text(err));
    return err;
}

static int refuse_zookeeper_in(server_t *server, const char *dir, char *error)
{
    char *path = server__path_in(dir, "version-2");
    bool there = io_exists(server->loop, path);
    mem_free(path);
    if (!there) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX,
             "%.300s/version-2 holds the data of a ZooKeeper, in a form that is not read here: choose another "
             "directory with --data or --zookeeper.dataDir, and copy the znodes over with a client",
             dir);
    return ERR_UNSUPPORTED;
}

int server__refuse_zookeeper(server_t *server, char *error)
{
    int err = refuse_zookeeper_in(server, server->data_dir, error);
    if (!err && server->tree_dir) err = refuse_zookeeper_in(server, server->tree_dir, error);
    if (!err && server->tree_log_dir) err = refuse_zookeeper_in(server, server->tree_log_dir, error);
    return err ? err : refuse_zookeeper_in(server, server->coord_dir, error);
}
