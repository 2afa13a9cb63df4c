/* uv_dir.c: names in the file system: rename, remove, make, list, lock. */
#include "io/uv/uv_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int result(int rc) { return rc < 0 ? err_from_errno(errno) : 0; }

int uv__rename(io_loop_t *loop, const char *from, const char *to) { return result(rename(from, to)); }
int uv__remove(io_loop_t *loop, const char *path) { return result(remove(path)); }

typedef struct removal {
    uv_work_t request;
    io_loop_t *loop;
    char path[];
} removal_t;

static void remove_work(uv_work_t *request)
{
    removal_t *removal = (removal_t *)request;
    io__remove_any(removal->loop, removal->path);
}

static void remove_done(uv_work_t *request, int status) { mem_free(request); }

void uv__remove_later(io_loop_t *loop, const char *path)
{
    size_t bytes = strlen(path) + 1;
    removal_t *removal = mem_alloc(sizeof(*removal) + bytes);
    removal->loop = loop;
    memcpy(removal->path, path, bytes);
    int rc = uv_queue_work(&uv__backend(loop)->uv, &removal->request, remove_work, remove_done);
    ASSERT(!rc);
}

int uv__mkdir(io_loop_t *loop, const char *path) { return result(mkdir(path, 0755)); }

int uv__sync_dir(io_loop_t *loop, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    int err = fsync(fd) < 0 && errno != EINVAL ? err_from_errno(errno) : 0; /* a file system may have no such thing */
    close(fd);
    return err;
}

int uv__sync_fs(io_loop_t *loop, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    int err = syncfs(fd) < 0 ? err_from_errno(errno) : 0;
    close(fd);
    return err;
}

int uv__stat(io_loop_t *loop, const char *path, bool *ret_is_dir)
{
    struct stat st;
    if (stat(path, &st) < 0) return err_from_errno(errno);
    *ret_is_dir = S_ISDIR(st.st_mode);
    return 0;
}

static bool entry_is_dir(DIR *dir, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN) return entry->d_type == DT_DIR;
    return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* Each name carries its kind in front of it: 'd' or '-'. */
static int compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a + 1, *(char *const *)b + 1); }

static char *copy_entry(DIR *dir, const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);
    char *name = mem_alloc(len + 2);
    name[0] = entry_is_dir(dir, entry) ? 'd' : '-';
    memcpy(name + 1, entry->d_name, len + 1);
    return name;
}

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* All names are taken before the first is shown, so that `each` may change the directory. */
int uv__list_dir(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir), void *user)
{
    char **names = NULL;
    size_t count = 0, cap = 0;
    int err = 0;
    DIR *dir = io__open_dir(path);
    if (!dir) return err_from_errno(errno);
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(dir);
        if (!entry) {
            if (errno) err = err_from_errno(errno);
            break;
        }
        if (is_dots(entry->d_name)) continue;
        if (count == cap) {
            cap = cap ? cap * 2 : 64;
            names = mem_realloc(names, cap * sizeof(char *));
        }
        names[count++] = copy_entry(dir, entry);
    }
    closedir(dir);
    if (count) qsort(names, count, sizeof(char *), compare_names);
    for (size_t i = 0; i < count; i++) {
        if (!err) each(user, names[i] + 1, names[i][0] == 'd');
        mem_free(names[i]);
    }
    mem_free(names);
    return err;
}

int uv__lock_file(io_loop_t *loop, const char *path)
{
    uv_backend_t *b = uv__backend(loop);
    if (b->lock_fds_count == UV_LOCK_FILES_MAX) return ERR_LIMIT;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return err_from_errno(errno);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int err = errno == EWOULDBLOCK ? ERR_BUSY : err_from_errno(errno);
        close(fd);
        return err;
    }
    b->lock_fds[b->lock_fds_count++] = fd;
    return 0;
}

int uv__disk_space(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs st;
    if (statvfs(path, &st) < 0) return err_from_errno(errno);
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}

void uv__boot_id(io_loop_t *loop, char out[IO_BOOT_CHARS_MAX])
{
    out[0] = '\0';
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = read(fd, out, IO_BOOT_CHARS_MAX - 1);
    out[MAX(n, 0)] = '\0';
    out[strcspn(out, "\n")] = '\0';
    close(fd);
}
