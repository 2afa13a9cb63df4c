/* uv_file.c: open files: plain positioned reads and writes into the page cache, and fdatasync on a pool thread.
 *
 * A sync's request outlives its file: closing a file waits until no pool thread uses the descriptor, and disowns the requests;
 * libuv still hands each back later, when only its memory is left to free. */
#include "io/uv/uv_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct uv_disk_file {
    io_file_t base;
    int fd;
    int syncs_running; /* guarded by the backend's sync_lock */
    uv_backend_t *backend;
    list_t syncs; /* uv_sync_t */
    list_t node;
} uv_disk_file_t;

typedef struct uv_sync {
    uv_work_t work;
    io_sync_t *sync;      /* NULL = the file was closed */
    uv_disk_file_t *file; /* valid on the pool thread: close waits for it */
    uv_backend_t *backend;
    int err;
    list_t node;
} uv_sync_t;

static uv_disk_file_t *file_of(io_file_t *file) { return CONTAINER_OF(file, uv_disk_file_t, base); }

int uv__file_fd(const io_file_t *file) { return CONTAINER_OF(file, uv_disk_file_t, base)->fd; }

int uv__file_open(io_loop_t *loop, const char *path, int flags, io_file_t **ret_file)
{
    int mode = O_CLOEXEC | (flags & IO_FILE_WRITE ? O_RDWR : O_RDONLY);
    if (flags & IO_FILE_CREATE) mode |= O_CREAT;
    if (flags & IO_FILE_EXCLUSIVE) mode |= O_EXCL;
    if (flags & IO_FILE_TRUNCATE) mode |= O_TRUNC;
    int fd = open(path, mode, 0644);
    if (fd < 0) return err_from_errno(errno);
    uv_disk_file_t *file = mem_zalloc(sizeof(*file));
    file->base.ops = &uv__ops;
    file->fd = fd;
    file->backend = uv__backend(loop);
    list_init(&file->syncs);
    list_push_back(&file->backend->files, &file->node);
    loop->files_open++;
    *ret_file = &file->base;
    return 0;
}

static void wait_for_syncs(uv_disk_file_t *file)
{
    uv_backend_t *b = file->backend;
    LIST_EACH(&file->syncs, request, uv_sync_t, node) {
        request->sync = NULL;
        list_remove(&request->node);
    }
    pthread_mutex_lock(&b->sync_lock);
    while (file->syncs_running > 0) pthread_cond_wait(&b->sync_ended, &b->sync_lock);
    pthread_mutex_unlock(&b->sync_lock);
}

void uv__file_close(io_file_t *base)
{
    uv_disk_file_t *file = file_of(base);
    wait_for_syncs(file);
    list_remove(&file->node);
    file->backend->base.files_open--;
    close(file->fd);
    mem_free(file);
}

void uv__files_close_all(uv_backend_t *b)
{
    LIST_EACH(&b->files, file, uv_disk_file_t, node) uv__file_close(&file->base);
}

static int write_fd(int fd, uint64_t offset, const struct iovec *iov, int iov_count)
{
    size_t skip = 0; /* bytes of the first vector that are written */
    while (iov_count > 0) {
        ssize_t n;
        if (skip > 0)
            n = pwrite(fd, (const char *)iov->iov_base + skip, iov->iov_len - skip, (off_t)offset);
        else
            n = pwritev(fd, iov, MIN(iov_count, IOV_MAX), (off_t)offset);
        if (n < 0) {
            if (errno == EINTR) continue;
            return errno == EFBIG ? ERR_NOSPACE : err_from_errno(errno);
        }
        offset += (uint64_t)n;
        skip += (size_t)n;
        while (iov_count > 0 && skip >= iov->iov_len) {
            skip -= iov->iov_len;
            iov++;
            iov_count--;
        }
    }
    return 0;
}

int uv__file_write(io_file_t *base, uint64_t offset, const struct iovec *iov, int iov_count)
{
    return write_fd(file_of(base)->fd, offset, iov, iov_count);
}

ssize_t uv__file_read(io_file_t *base, uint64_t offset, void *out, size_t bytes)
{
    int fd = file_of(base)->fd;
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = pread(fd, (char *)out + done, bytes - done, (off_t)(offset + done));
        if (n == 0) break;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_from_errno(errno);
        done += (size_t)n;
    }
    return (ssize_t)done;
}

int uv__file_size(io_file_t *base, uint64_t *ret_bytes)
{
    struct stat st;
    if (fstat(file_of(base)->fd, &st) < 0) return err_from_errno(errno);
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

int uv__file_truncate(io_file_t *base, uint64_t bytes)
{
    return ftruncate(file_of(base)->fd, (off_t)bytes) < 0 ? err_from_errno(errno) : 0;
}

static int sync_fd(int fd)
{
    int rc;
    do rc = fdatasync(fd);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? err_from_errno(errno) : 0;
}

int uv__write_whole(io_loop_t *loop, const char *path, bytes_t data, bool sync)
{
    struct iovec iov = {(void *)data.ptr, data.len};
    int fd = open(path, O_CLOEXEC | O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (fd < 0) return err_from_errno(errno);
    int err = write_fd(fd, 0, &iov, data.len > 0);
    if (!err && sync) err = sync_fd(fd);
    close(fd);
    return err;
}

static void sync_work(uv_work_t *work)
{
    uv_sync_t *request = CONTAINER_OF(work, uv_sync_t, work);
    uv_backend_t *b = request->backend;
    request->err = sync_fd(request->file->fd);
    pthread_mutex_lock(&b->sync_lock);
    request->file->syncs_running--;
    pthread_cond_broadcast(&b->sync_ended);
    pthread_mutex_unlock(&b->sync_lock);
}

static void sync_done(uv_work_t *work, int status)
{
    uv_sync_t *request = CONTAINER_OF(work, uv_sync_t, work);
    io_sync_t *sync = request->sync;
    int err = request->err;
    uv__turn(request->backend);
    if (sync) list_remove(&request->node);
    mem_free(request);
    if (sync) sync->done(sync, err);
}

void uv__file_sync(io_file_t *base, io_sync_t *sync)
{
    uv_disk_file_t *file = file_of(base);
    uv_backend_t *b = file->backend;
    uv_sync_t *request = mem_alloc(sizeof(*request));
    request->sync = sync;
    request->file = file;
    request->backend = b;
    list_push_back(&file->syncs, &request->node);
    pthread_mutex_lock(&b->sync_lock);
    file->syncs_running++;
    pthread_mutex_unlock(&b->sync_lock);
    int rc = uv_queue_work(&b->uv, &request->work, sync_work, sync_done);
    ASSERT(!rc);
}

int uv__file_sync_now(io_file_t *base) { return sync_fd(file_of(base)->fd); }

void uv__file_drop_cache(io_file_t *base) { (void)posix_fadvise(file_of(base)->fd, 0, 0, POSIX_FADV_DONTNEED); }
