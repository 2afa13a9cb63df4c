/* io.c: the public functions: each passes its call to the loop's backend. Here too is what both backends share: hooks,
 * the walk over a directory tree, and whole small files. */
#include "io/io_internal.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define NAME_CHARS_MAX   4096
#define COPY_PIECE_BYTES KIB(64)

/* ---- loop ---- */

void io__loop_init(io_loop_t *loop, const io_ops_t *ops)
{
    *loop = (io_loop_t){.ops = ops};
    list_init(&loop->hooks);
    loop->hook_next = &loop->hooks;
}

void io__loop_deinit(io_loop_t *loop)
{
    mem_free(loop->timers.items);
    loop->timers = (io_timer_heap_t){0};
}

void io_loop_free(io_loop_t *loop)
{
    if (loop) loop->ops->loop_free(loop);
}

void io_loop_run(io_loop_t *loop) { loop->ops->loop_run(loop); }
void io_loop_stop(io_loop_t *loop) { loop->ops->loop_stop(loop); }
void io_loop_wake(io_loop_t *loop) { loop->ops->loop_wake(loop); }
int io_loop_spawn(io_loop_t *loop, const char *name) { return loop->ops->loop_spawn(loop, name); }
void io_loop_join(io_loop_t *loop) { loop->ops->loop_join(loop); }
void io_loop_drain(io_loop_t *loop) { loop->ops->loop_drain(loop); }
uint64_t io_now_ns(const io_loop_t *loop) { return loop->now_ns; }
int64_t io_wall_ms(const io_loop_t *loop) { return loop->wall_ms; }
void io_loop_update_time(io_loop_t *loop) { loop->ops->update_time(loop); }
uint64_t io_hrtime_ns(io_loop_t *loop) { return loop->ops->hrtime_ns(loop); }
int64_t io_wall_us(io_loop_t *loop) { return loop->ops->wall_us(loop); }
void io_random(io_loop_t *loop, void *out, size_t bytes) { loop->ops->random(loop, out, bytes); }

/* ---- hooks ---- */

void io_hook_add(io_loop_t *loop, io_hook_t *hook)
{
    list_t *at = loop->hooks.prev;
    while (at != &loop->hooks && CONTAINER_OF(at, io_hook_t, node)->rank > hook->rank) at = at->prev;
    hook->loop = loop;
    list_insert_after(at, &hook->node);
}

void io_hook_remove(io_hook_t *hook)
{
    if (!list_linked(&hook->node)) return;
    if (hook->loop->hook_next == &hook->node) hook->loop->hook_next = hook->node.next;
    list_remove(&hook->node);
}

void io__hooks_run(io_loop_t *loop)
{
    loop->hook_next = loop->hooks.next;
    while (loop->hook_next != &loop->hooks && !loop->halted) {
        io_hook_t *hook = CONTAINER_OF(loop->hook_next, io_hook_t, node);
        loop->hook_next = hook->node.next;
        io_turn_note(loop, hook->name ? hook->name : "a hook");
        hook->run(hook);
    }
}

/* ---- TCP ---- */

int io_listen(io_loop_t *loop, const char *host, uint16_t port, int backlog, io_accept_cb accept, void *user,
              io_listener_t **ret_listener)
{
    return loop->ops->listen(loop, host, port, backlog, accept, user, ret_listener);
}

int io_listen_path(io_loop_t *loop, const char *path, unsigned mode, const char *group, int backlog,
                   io_accept_cb accept, void *user, io_listener_t **ret_listener)
{
    if (strlen(path) > IO_PATH_CHARS_MAX) return ERR_LIMIT;
    return loop->ops->listen_path(loop, path, mode, group, backlog, accept, user, ret_listener);
}

int io_listener_tune(io_listener_t *listener, int backlog, uint32_t accepts_max)
{
    return listener->loop->ops->listener_tune(listener, backlog, accepts_max);
}

uint16_t io_listener_port(const io_listener_t *listener) { return listener->loop->ops->listener_port(listener); }

void io_listener_close(io_listener_t *listener)
{
    if (listener) listener->loop->ops->listener_close(listener);
}

int io_connect(io_loop_t *loop, const char *host, uint16_t port, io_stream_t **ret_stream)
{
    return loop->ops->connect(loop, host, port, ret_stream);
}

void io_stream_watch(io_stream_t *stream, unsigned events, io_ready_cb ready, void *user)
{
    stream->ops->stream_watch(stream, events, ready, user);
}

ssize_t io_stream_read(io_stream_t *stream, void *out, size_t bytes)
{
    return stream->ops->stream_read(stream, out, bytes);
}

ssize_t io_stream_writev(io_stream_t *stream, const struct iovec *iov, int iov_count)
{
    return stream->ops->stream_writev(stream, iov, iov_count);
}

ssize_t io_stream_sendfile(io_stream_t *stream, io_file_t *file, uint64_t offset, size_t bytes)
{
    return stream->ops->stream_sendfile(stream, file, offset, bytes);
}

void io_stream_close(io_stream_t *stream)
{
    if (stream) stream->ops->stream_close(stream);
}

io_socket_t *io_stream_detach(io_stream_t *stream) { return stream->ops->stream_detach(stream); }

int io_stream_attach(io_loop_t *loop, io_socket_t *socket, io_stream_t **ret_stream)
{
    return loop->ops->stream_attach(loop, socket, ret_stream);
}

void io_stream_keepalive(io_stream_t *stream, uint32_t seconds) { stream->ops->stream_keepalive(stream, seconds); }
void io_stream_peer(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]) { stream->ops->stream_peer(stream, out); }
void io_stream_local(const io_stream_t *stream, char out[IO_ADDR_CHARS_MAX]) { stream->ops->stream_local(stream, out); }

int io_on_terminate(io_loop_t *loop, void (*stop)(void *user, bool interrupt), void *user)
{
    return loop->ops->on_terminate(loop, stop, user);
}

int io_on_hangup(io_loop_t *loop, void (*told)(void *user), void *user)
{
    return loop->ops->on_hangup(loop, told, user);
}

/* ---- files ---- */

int io_file_open(io_loop_t *loop, const char *path, int flags, io_file_t **ret_file)
{
    return loop->ops->file_open(loop, path, flags, ret_file);
}

void io_file_close(io_file_t *file)
{
    if (file) file->ops->file_close(file);
}

int io_file_write(io_file_t *file, uint64_t offset, const struct iovec *iov, int iov_count)
{
    return file->ops->file_write(file, offset, iov, iov_count);
}

ssize_t io_file_read(io_file_t *file, uint64_t offset, void *out, size_t bytes)
{
    return file->ops->file_read(file, offset, out, bytes);
}

int io_file_size(io_file_t *file, uint64_t *ret_bytes) { return file->ops->file_size(file, ret_bytes); }
int io_file_truncate(io_file_t *file, uint64_t bytes) { return file->ops->file_truncate(file, bytes); }

void io_file_sync(io_file_t *file, io_sync_t *sync, void (*done)(io_sync_t *sync, int err))
{
    sync->done = done;
    sync->file = file;
    file->ops->file_sync(file, sync);
}

int io_file_sync_now(io_file_t *file) { return file->ops->file_sync_now(file); }
void io_file_drop_cache(io_file_t *file) { file->ops->file_drop_cache(file); }
uint32_t io_files_open(const io_loop_t *loop) { return loop->files_open; }
int io_rename(io_loop_t *loop, const char *from, const char *to) { return loop->ops->rename(loop, from, to); }
int io_remove(io_loop_t *loop, const char *path) { return loop->ops->remove(loop, path); }
int io_sync_dir(io_loop_t *loop, const char *path) { return loop->ops->sync_dir(loop, path); }

bool io_exists(io_loop_t *loop, const char *path)
{
    bool is_dir;
    return loop->ops->stat(loop, path, &is_dir) == 0;
}

int io_list_dir(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir), void *user)
{
    return loop->ops->list_dir(loop, path, each, user);
}

int io_lock_file(io_loop_t *loop, const char *path) { return loop->ops->lock_file(loop, path); }

int io_disk_space(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    return loop->ops->disk_space(loop, path, ret_free, ret_total);
}

static void parent_of(const char *path, char out[NAME_CHARS_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(out, NAME_CHARS_MAX, "%.*s", slash > path ? (int)(slash - path) : 1, slash ? path : ".");
}

static int make_dir(io_loop_t *loop, const char *path, bool last)
{
    char parent[NAME_CHARS_MAX];
    bool is_dir = false;
    int err = loop->ops->mkdir(loop, path);
    if (err == ERR_EXISTS) {
        int stat_err = loop->ops->stat(loop, path, &is_dir);
        if (stat_err || !is_dir) return stat_err ? stat_err : ERR_NOT_DIR;
        if (!last) return 0;
    } else if (err) {
        return err;
    }
    parent_of(path, parent);
    err = io_sync_dir(loop, parent);
    return err == ERR_ACCESS || err == ERR_READONLY ? 0 : err; /* a parent that is not ours to change */
}

int io_mkdir_unsynced(io_loop_t *loop, const char *path) { return loop->ops->mkdir(loop, path); }

/* One level after the other, each made durable: a directory that a power loss forgets takes with it all that was synced
 * below it. The last one is synced even when it is there: who made it may have died before he could. */
int io_mkdir(io_loop_t *loop, const char *path)
{
    char prefix[NAME_CHARS_MAX];
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    if (len == 0 || len >= sizeof(prefix)) return ERR_INVALID;
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '/') continue;
        memcpy(prefix, path, i);
        prefix[i] = '\0';
        if (prefix[i - 1] == '/') continue; /* a doubled slash, or the root */
        int err = make_dir(loop, prefix, i == len);
        if (err) return err;
    }
    return 0;
}

typedef struct tree_walk {
    io_loop_t *loop;
    const char *path;
    int err;
} tree_walk_t;

static void remove_entry(void *user, const char *name, bool is_dir)
{
    tree_walk_t *removal = user;
    if (removal->err) return;
    char path[NAME_CHARS_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s", removal->path, name);
    if (n < 0 || (size_t)n >= sizeof(path))
        removal->err = ERR_LIMIT;
    else
        removal->err = is_dir ? io_remove_tree(removal->loop, path) : io_remove(removal->loop, path);
}

int io_remove_tree(io_loop_t *loop, const char *path)
{
    tree_walk_t removal = {loop, path, 0};
    int err = io_list_dir(loop, path, remove_entry, &removal);
    if (err) return err;
    return removal.err ? removal.err : io_remove(loop, path);
}

static void sync_entry(void *user, const char *name, bool is_dir)
{
    tree_walk_t *walk = user;
    char path[NAME_CHARS_MAX];
    io_file_t *file;
    if (walk->err) return;
    int n = snprintf(path, sizeof(path), "%s/%s", walk->path, name);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        walk->err = ERR_LIMIT;
    } else if (is_dir) {
        walk->err = io_sync_tree(walk->loop, path);
    } else {
        walk->err = io_file_open(walk->loop, path, IO_FILE_WRITE, &file);
        if (walk->err) return;
        walk->err = io_file_sync_now(file);
        io_file_close(file);
    }
}

int io_sync_tree(io_loop_t *loop, const char *dir)
{
    if (loop->ops->sync_fs) return loop->ops->sync_fs(loop, dir);
    tree_walk_t walk = {loop, dir, 0};
    int err = io_list_dir(loop, dir, sync_entry, &walk);
    if (err) return err;
    return walk.err ? walk.err : io_sync_dir(loop, dir);
}

void io__remove_any(io_loop_t *loop, const char *path)
{
    if (io_remove(loop, path) == ERR_NOT_EMPTY) (void)!io_remove_tree(loop, path);
}

void io_remove_later(io_loop_t *loop, const char *path)
{
    if (loop->ops->remove_later)
        loop->ops->remove_later(loop, path);
    else
        io__remove_any(loop, path);
}

int io_read_whole(io_loop_t *loop, const char *path, size_t bytes_max, uint8_t **ret_data, size_t *ret_bytes)
{
    io_file_t *file = NULL;
    uint8_t *data = NULL;
    uint64_t size;
    ssize_t n;
    int err = io_file_open(loop, path, IO_FILE_READ, &file);
    if (err) return err;
    err = io_file_size(file, &size);
    if (!err && size > bytes_max) err = ERR_LIMIT;
    if (err) goto out;
    data = mem_try_alloc(size + 1);
    if (!data) {
        err = ERR_NOMEM;
        goto out;
    }
    n = io_file_read(file, 0, data, size);
    if (n < 0) {
        err = (int)n;
        goto out;
    }
    data[n] = '\0';
    *ret_data = data;
    *ret_bytes = (size_t)n;
    data = NULL;
out:
    mem_free(data);
    io_file_close(file);
    return err;
}

static int write_whole(io_loop_t *loop, const char *path, bytes_t data, bool sync)
{
    io_file_t *file;
    if (loop->ops->write_whole) return loop->ops->write_whole(loop, path, data, sync);
    int err = io_file_open(loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    if (err) return err;
    struct iovec iov = {(void *)data.ptr, data.len};
    if (data.len) err = io_file_write(file, 0, &iov, 1);
    if (!err && sync) err = io_file_sync_now(file);
    io_file_close(file);
    return err;
}

int io_write_whole(io_loop_t *loop, const char *path, bytes_t data) { return write_whole(loop, path, data, false); }

int io_replace_whole(io_loop_t *loop, const char *path, bytes_t data)
{
    char temporary[NAME_CHARS_MAX], dir[NAME_CHARS_MAX];
    int n = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(temporary)) return ERR_LIMIT;
    parent_of(path, dir);
    int err = write_whole(loop, temporary, data, true);
    if (!err) err = io_rename(loop, temporary, path);
    if (!err) return io_sync_dir(loop, dir);
    (void)!io_remove(loop, temporary); /* on a full disk it takes room that others need */
    return err;
}

static int copy_bytes(io_file_t *from, uint64_t at, uint64_t end, io_file_t *to)
{
    uint8_t *piece = mem_alloc(COPY_PIECE_BYTES);
    int err = 0;
    for (uint64_t done = 0; !err && at + done < end;) {
        ssize_t n = io_file_read(from, at + done, piece, (size_t)MIN(COPY_PIECE_BYTES, end - at - done));
        struct iovec iov = {piece, (size_t)MAX(n, 0)};
        err = n < 0 ? (int)n : n == 0 ? ERR_TRUNCATED : io_file_write(to, done, &iov, 1);
        done += (uint64_t)MAX(n, 0);
    }
    mem_free(piece);
    return err ? err : io_file_sync_now(to);
}

int io_copy_tail(io_loop_t *loop, io_file_t *file, uint64_t from, uint64_t end, const char *path)
{
    char dir[NAME_CHARS_MAX];
    io_file_t *copy;
    int err = io_file_open(loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &copy);
    if (err) return err;
    err = copy_bytes(file, from, end, copy);
    io_file_close(copy);
    parent_of(path, dir);
    if (!err) err = io_sync_dir(loop, dir);
    if (err) (void)!io_remove(loop, path);
    return err;
}

/* ---- the machine's run ---- */

int io_boot_changed(io_loop_t *loop, const char *path, bool *ret_changed)
{
    char now[IO_BOOT_CHARS_MAX];
    uint8_t *kept;
    size_t bytes;
    loop->ops->boot_id(loop, now);
    int err = io_read_whole(loop, path, IO_BOOT_CHARS_MAX, &kept, &bytes);
    *ret_changed = false;
    if (err == ERR_NOT_FOUND || err == ERR_LIMIT) return 0;
    if (err) return err;
    *ret_changed = bytes > 1 && now[0] != '\0' && strncmp((const char *)kept, now, strlen(now)) != 0;
    mem_free(kept);
    return 0;
}

int io_boot_keep(io_loop_t *loop, const char *path)
{
    char now[IO_BOOT_CHARS_MAX];
    uint8_t *kept;
    size_t bytes;
    loop->ops->boot_id(loop, now);
    size_t n = strlen(now);
    now[n++] = '\n';
    bool same = false;
    if (io_read_whole(loop, path, IO_BOOT_CHARS_MAX, &kept, &bytes) == 0) {
        same = bytes == n && memcmp(kept, now, n) == 0;
        mem_free(kept);
    }
    return same ? 0 : io_replace_whole(loop, path, bytes_of(now, n));
}

/* ---- other threads ---- */

void io_post(io_loop_t *to, io_message_t *message) { to->ops->post(to, message); }

void io_work_start(io_loop_t *loop, io_work_t *work)
{
    work->loop = loop;
    loop->ops->work_start(loop, work);
}

void io_work_cancel(io_work_t *work)
{
    if (work->backend) work->loop->ops->work_cancel(work);
}

int io_replace_files(io_loop_t *loop, const io_replacement_t *files, size_t count)
{
    int err = 0;
    for (size_t i = 0; i < count && !err; i++) err = io_replace_whole(loop, files[i].path, files[i].data);
    return err;
}

static void replace_work(io_work_t *work)
{
    io_replace_t *replace = CONTAINER_OF(work, io_replace_t, work);
    replace->err = io_replace_files(work->loop, replace->files, replace->count);
}

static void replace_done(io_work_t *work)
{
    io_replace_t *replace = CONTAINER_OF(work, io_replace_t, work);
    replace->done(replace, replace->err);
}

void io_replace_start(io_loop_t *loop, io_replace_t *replace, const io_replacement_t *files, size_t count,
                      void (*done)(io_replace_t *replace, int err))
{
    *replace = (io_replace_t){
        .work = {.work = replace_work, .done = replace_done}, .files = files, .count = count, .done = done};
    io_work_start(loop, &replace->work);
}

void io_replace_cancel(io_replace_t *replace) { io_work_cancel(&replace->work); }

char *io_absolute(const char *path)
{
    char here[PATH_MAX];
    if (path[0] == '/') return mem_strdup(path);
    while (path[0] == '.' && path[1] == '/') path += 2;
    if (strcmp(path, ".") == 0) path = "";
    if (!getcwd(here, sizeof(here))) return mem_strdup(path);
    size_t chars = strlen(here) + strlen(path) + 2;
    char *whole = mem_alloc(chars);
    snprintf(whole, chars, "%s%s%s", here, *path && strcmp(here, "/") != 0 ? "/" : "", path);
    return whole;
}
