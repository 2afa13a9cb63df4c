/* descriptors.c: how the descriptors that the system allows are shared between files and connections. A server that has
 * given all of them to clients can neither roll a log nor rewrite a file, so a part is kept for files: a quarter, and not so
 * many that a system without a limit keeps millions. */
#include "io/io_internal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#define FILES_SHARE         4 /* one descriptor in four */
#define FILES_MIN           32
#define FILES_MAX           16384
#define DESCRIPTORS_LIMIT   (1u << 30) /* what RLIM_INFINITY counts as */
#define DESCRIPTORS_UNKNOWN 1024

uint32_t io_descriptors_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return DESCRIPTORS_UNKNOWN;
    return (uint32_t)MIN(limit.rlim_max, (rlim_t)DESCRIPTORS_LIMIT);
}

uint32_t io_descriptors_for_files(uint32_t descriptors_max)
{
    uint32_t files = MIN(MAX(descriptors_max / FILES_SHARE, FILES_MIN), FILES_MAX);
    uint32_t others = descriptors_max - MIN(descriptors_max, IO_DESCRIPTORS_OWN);
    return MIN(files, MAX(others / 2, 1)); /* with a handful in all, files and connections get half of it each */
}

DIR *io__open_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    DIR *dir = fdopendir(fd);
    if (!dir) close(fd);
    return dir;
}

uint32_t io_descriptors_open(void)
{
    DIR *dir = io__open_dir("/proc/self/fd");
    uint32_t count = 0;
    if (!dir) return io_descriptors_max(); /* no descriptor was left to look with */
    for (const struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count - 1; /* but for the one that looks */
}
