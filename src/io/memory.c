/* memory.c: how much memory the process may use. The kernel's limits are those of its control group and of each group
 * above it (v2: memory.max below /sys/fs/cgroup; v1: memory.limit_in_bytes below /sys/fs/cgroup/memory), of its address space
 * (RLIMIT_AS), and what the machine has. libuv's own answer knows version 1 alone in the releases that Debian 12 has. */
#include "io/io.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATH_CHARS_MAX   4096
#define HEAP_AHEAD_BYTES MIB(4) /* a thread's heap grows in pieces of 2 MiB, of small blocks and of others */

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* The number in a limit's file; UINT64_MAX when it says "max", or is not there. */
static uint64_t read_limit(const char *path)
{
    char text[32] = "", *end;
    FILE *file = fopen(path, "re");
    if (!file) return UINT64_MAX;
    bool got = fgets(text, sizeof(text), file) != NULL;
    fclose(file);
    uint64_t limit = strtoull(text, &end, 10);
    return got && end != text ? limit : UINT64_MAX;
}

/* Of the group at `path` below `mount` and of all above it. In a container the path may be the host's and lead nowhere;
 * the mount itself is the container's group then. */
static uint64_t group_limit(const char *mount, const char *path, const char *name)
{
    char group[PATH_CHARS_MAX], file[2 * PATH_CHARS_MAX];
    uint64_t limit = UINT64_MAX;
    snprintf(group, sizeof(group), "%s", path);
    for (char *slash = group + strlen(group); slash; slash = strrchr(group, '/')) {
        *slash = '\0';
        snprintf(file, sizeof(file), "%s%s/%s", mount, group, name);
        limit = least(limit, read_limit(file));
    }
    return limit;
}

/* A line of /proc/self/cgroup is "hierarchy:controllers:path"; version 2 has "0::path". */
static uint64_t line_limit(char *line)
{
    char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) return UINT64_MAX;
    *controllers++ = '\0';
    *path++ = '\0';
    path[strcspn(path, "\n")] = '\0';
    if (!controllers[0]) return group_limit("/sys/fs/cgroup", path, "memory.max");
    for (char *name; (name = strsep(&controllers, ","));)
        if (strcmp(name, "memory") == 0) return group_limit("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes");
    return UINT64_MAX;
}

static uint64_t cgroup_limit(void)
{
    char line[PATH_CHARS_MAX];
    uint64_t limit = UINT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return UINT64_MAX;
    while (fgets(line, sizeof(line), file)) limit = least(limit, line_limit(line));
    fclose(file);
    return limit;
}

static uint64_t machine_bytes(void) { return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE); }

static uint64_t address_space_limit(void)
{
    struct rlimit space;
    bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
    return limited ? space.rlim_cur : UINT64_MAX;
}

/* What libraries, stacks and the allocator take of the address space already. */
static uint64_t address_space_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%llu", &pages) != 1) pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t io_memory_bytes(void) { return least(machine_bytes(), least(address_space_limit(), cgroup_limit())); }

/* Of the address space a thread takes its whole stack at once. */
static uint64_t thread_bytes(void)
{
    pthread_attr_t attr;
    size_t stack_bytes = 0;
    if (pthread_attr_init(&attr) != 0) return 0;
    (void)pthread_attr_getstacksize(&attr, &stack_bytes);
    pthread_attr_destroy(&attr);
    return stack_bytes + HEAP_AHEAD_BYTES;
}

static uint64_t address_space_left(unsigned threads_to_come)
{
    uint64_t limit = address_space_limit(), taken = address_space_bytes() + threads_to_come * thread_bytes();
    return limit == UINT64_MAX ? limit : limit - least(limit, taken);
}

/* A quarter is for what the allocator cannot use, and what one turn takes and gives back. */
static uint64_t heap_share(uint64_t bytes) { return bytes / 4 * 3; }

uint64_t io_memory_heap_bytes(unsigned threads_to_come)
{
    uint64_t group = cgroup_limit(), space = address_space_limit();
    if (group >= machine_bytes() && space >= machine_bytes()) return 0;
    return heap_share(least(group, address_space_left(threads_to_come)));
}

#define OOM_SCORE_FILE "/proc/self/oom_score_adj"

int io_oom_score(int *ret_score)
{
    FILE *file = fopen(OOM_SCORE_FILE, "re");
    if (!file) return err_from_errno(errno);
    int read = fscanf(file, "%d", ret_score);
    fclose(file);
    return read == 1 ? 0 : ERR_IO;
}

int io_set_oom_score(int score)
{
    FILE *file = fopen(OOM_SCORE_FILE, "we");
    if (!file) return err_from_errno(errno);
    bool put = fprintf(file, "%d", score) > 0;
    if (fclose(file) != 0 || !put) return err_from_errno(errno);
    return 0;
}
