/* sim_file.c: open files and names as io.h has them, over a node's disk, with the faults that were ordered. */
#include "base/hash.h"
#include "io/sim/sim_internal.h"

#include <stdio.h>

typedef struct sim_file {
    io_file_t base;
    sim_loop_t *loop;
    sim_inode_t *inode;
    bool writable;
    char *path;
    list_t syncs; /* sim_sync_t */
    list_t node;
} sim_file_t;

typedef struct sim_sync {
    io_sync_t *sync;
    sim_file_t *file;
    uint64_t change_last; /* what was written before the call */
    int err;
    io_timer_t event; /* the disk is done */
    sim_item_t item;  /* and the loop hears of it */
    list_t node;
} sim_sync_t;

typedef struct sim_lock {
    char *path;
    list_t node;
} sim_lock_t;

static sim_file_t *file_of(io_file_t *file) { return CONTAINER_OF(file, sim_file_t, base); }
static sim_rng_t *rng_of(sim_node_t *node) { return &node->sim->rng; }

/* ---- data ---- */

static void account(sim_node_t *node, uint64_t before, uint64_t after)
{
    uint64_t used = node->disk.used_bytes + after;
    node->disk.used_bytes = used > before ? used - before : 0;
}

static uint32_t files_open(const sim_node_t *node)
{
    uint32_t count = 0;
    LIST_EACH(&node->loops, loop, sim_loop_t, in_node) count += loop->base.files_open;
    return count;
}

int sim__file_open(io_loop_t *base, const char *path, int flags, io_file_t **ret_file)
{
    sim_loop_t *loop = sim__loop(base);
    sim_node_t *node = loop->node;
    sim_inode_t *inode;
    if (loop->base.halted) return ERR_IO;
    if (node->faults.files_max > 0 && files_open(node) >= node->faults.files_max) return ERR_FILES;
    int err = sim__find(&node->disk, path, &inode);
    if (!err && inode->is_dir) return ERR_IO; /* EISDIR */
    if (!err && (flags & IO_FILE_CREATE) && (flags & IO_FILE_EXCLUSIVE)) return ERR_EXISTS;
    if (err == ERR_NOT_FOUND && (flags & IO_FILE_CREATE)) {
        err = sim__operation(node);
        if (!err) err = sim__link(&node->disk, path, false, &inode);
    } else if (!err && (flags & IO_FILE_TRUNCATE)) {
        err = sim__operation(node);
        if (!err) account(node, inode->data.len, 0);
        if (!err) sim__inode_truncate(inode, 0);
    }
    if (err) return err;
    sim_file_t *file = mem_zalloc(sizeof(*file));
    file->base.ops = &sim__ops;
    file->loop = loop;
    file->inode = inode;
    file->writable = flags & IO_FILE_WRITE;
    file->path = mem_strdup(path);
    list_init(&file->syncs);
    list_push_back(&loop->files, &file->node);
    loop->base.files_open++;
    *ret_file = &file->base;
    return 0;
}

static size_t iov_gather(const struct iovec *iov, int iov_count, buf_t *all)
{
    for (int i = 0; i < iov_count; i++) buf_append(all, iov[i].iov_base, iov[i].iov_len);
    return all->len;
}

/* How much of a write the disk takes, and what it says. */
static int admit(sim_node_t *node, const sim_inode_t *inode, uint64_t offset, size_t *bytes)
{
    uint64_t end = offset + *bytes;
    uint64_t grows = end > inode->data.len ? end - inode->data.len : 0;
    if (node->disk.used_bytes + grows > node->faults.capacity_bytes) {
        uint64_t over = node->disk.used_bytes + grows - node->faults.capacity_bytes;
        *bytes = over < *bytes ? *bytes - (size_t)over : 0;
        return ERR_NOSPACE;
    }
    if (!sim__chance(rng_of(node), node->faults.write_error_ppm)) return 0;
    *bytes = (size_t)sim__below(rng_of(node), *bytes + 1);
    return ERR_IO;
}

int sim__file_write(io_file_t *base, uint64_t offset, const struct iovec *iov, int iov_count)
{
    sim_file_t *file = file_of(base);
    sim_node_t *node = file->loop->node;
    buf_t all = BUF_INIT;
    if (file->loop->base.halted) return ERR_IO;
    ASSERT(file->writable);
    size_t bytes = iov_gather(iov, iov_count, &all);
    int err = admit(node, file->inode, offset, &bytes);
    uint64_t before = file->inode->data.len;
    sim__inode_write(file->inode, offset, all.ptr, bytes);
    account(node, before, file->inode->data.len);
    sim__trace(node->sim, SIM_FILE_WRITE, offset, (uint64_t)bytes << 32 | crc32c(0, all.ptr, bytes));
    buf_deinit(&all);
    /* A crash that strikes here finds the write in the page cache: so it may be torn. */
    int crashed = sim__operation(node);
    return crashed ? crashed : err;
}

ssize_t sim__file_read(io_file_t *base, uint64_t offset, void *out, size_t bytes)
{
    sim_file_t *file = file_of(base);
    if (file->loop->base.halted) return ERR_IO;
    if (sim__chance(rng_of(file->loop->node), file->loop->node->faults.read_error_ppm)) return ERR_IO;
    const buf_t *data = &file->inode->data;
    if (offset >= data->len) return 0;
    size_t n = MIN(bytes, data->len - (size_t)offset);
    memcpy(out, data->ptr + offset, n);
    return (ssize_t)n;
}

int sim__file_size(io_file_t *base, uint64_t *ret_bytes)
{
    if (file_of(base)->loop->base.halted) return ERR_IO;
    *ret_bytes = file_of(base)->inode->data.len;
    return 0;
}

int sim__file_truncate(io_file_t *base, uint64_t bytes)
{
    sim_file_t *file = file_of(base);
    sim_node_t *node = file->loop->node;
    if (file->loop->base.halted) return ERR_IO;
    if (sim__chance(rng_of(node), node->faults.write_error_ppm)) return ERR_IO;
    uint64_t grows = bytes > file->inode->data.len ? bytes - file->inode->data.len : 0;
    if (grows > 0 && node->disk.used_bytes + grows > node->faults.capacity_bytes) return ERR_NOSPACE;
    account(node, file->inode->data.len, bytes);
    sim__inode_truncate(file->inode, bytes);
    sim__trace(node->sim, SIM_TRUNCATE, bytes, 0);
    return sim__operation(node);
}

/* ---- sync ---- */

static bool may_fail(const sim_node_t *node, const char *path)
{
    const char *below = node->faults.sync_error_below;
    return !below || strncmp(path, below, strlen(below)) == 0;
}

static int settle(sim_file_t *file, uint64_t change_last)
{
    sim_node_t *node = file->loop->node;
    if (may_fail(node, file->path) && sim__chance(rng_of(node), node->faults.sync_error_ppm)) {
        sim__inode_lose(file->inode, change_last, node->faults.ordered, rng_of(node));
        return ERR_IO;
    }
    sim__inode_flush(file->inode, change_last);
    return 0;
}

static void sync_free(sim_sync_t *s)
{
    io_timer_stop(&s->event);
    if (list_linked(&s->item.node)) list_remove(&s->item.node);
    list_remove(&s->node);
    mem_free(s);
}

static void sync_heard(sim_item_t *item)
{
    sim_sync_t *s = CONTAINER_OF(item, sim_sync_t, item);
    io_sync_t *sync = s->sync;
    int err = s->err;
    sync_free(s);
    sync->done(sync, err);
}

static void sync_settles(io_timer_t *event)
{
    sim_sync_t *s = CONTAINER_OF(event, sim_sync_t, event);
    s->err = settle(s->file, s->change_last);
    sim__trace(s->file->loop->node->sim, SIM_SYNCED, s->change_last, (uint64_t)-s->err);
    sim__ready(s->file->loop, &s->item);
}

void sim__file_sync(io_file_t *base, io_sync_t *sync)
{
    sim_file_t *file = file_of(base);
    sim_node_t *node = file->loop->node;
    if (file->loop->base.halted || sim__operation(node) < 0) return;
    sim_sync_t *s = mem_zalloc(sizeof(*s));
    s->sync = sync;
    s->file = file;
    s->change_last = file->inode->changes_count;
    s->item.run = sync_heard;
    list_push_back(&file->syncs, &s->node);
    sim__trace(node->sim, SIM_SYNC, s->change_last, 0);
    io_timer_init(&node->sim->world, &s->event, sync_settles);
    sim__after_us(&s->event, node->faults.sync_us_min, node->faults.sync_us_max);
}

int sim__file_sync_now(io_file_t *base)
{
    sim_file_t *file = file_of(base);
    sim_node_t *node = file->loop->node;
    if (file->loop->base.halted) return ERR_IO;
    int err = sim__operation(node);
    if (err) return err;
    sim__trace(node->sim, SIM_SYNC, file->inode->changes_count, 1);
    node->sim->world.now_ns += 1000 * sim__between(rng_of(node), node->faults.sync_us_min, node->faults.sync_us_max);
    return settle(file, file->inode->changes_count);
}

void sim__file_close(io_file_t *base)
{
    sim_file_t *file = file_of(base);
    LIST_EACH(&file->syncs, s, sim_sync_t, node) {
        if (!file->loop->base.halted && s->event.due_ns != 0) settle(file, s->change_last);
        sync_free(s);
    }
    list_remove(&file->node);
    file->loop->base.files_open--;
    mem_free(file->path);
    mem_free(file);
}

void sim__file_drop_cache(io_file_t *base)
{
    sim_file_t *file = file_of(base);
    sim_node_t *node = file->loop->node;
    if (file->loop->base.halted) return;
    uint64_t before = file->inode->data.len;
    sim__inode_drop_cache(file->inode);
    account(node, before, file->inode->data.len);
}

/* What the disk had not finished is as if never asked; the inode may be gone from now on. */
void sim__files_die(sim_loop_t *loop)
{
    LIST_EACH(&loop->files, file, sim_file_t, node) {
        LIST_EACH(&file->syncs, s, sim_sync_t, node) sync_free(s);
        file->inode = NULL;
    }
}

void sim__files_free(sim_loop_t *loop)
{
    LIST_EACH(&loop->files, file, sim_file_t, node) sim__file_close(&file->base);
}

/* ---- names ---- */

static int begin_name_operation(io_loop_t *base, sim_node_t **ret_node)
{
    sim_loop_t *loop = sim__loop(base);
    if (loop->base.halted) return ERR_IO;
    *ret_node = loop->node;
    return 0;
}

/* The crash may strike after the change as well as before: either is one of the outcomes the journal draws. */
static int end_name_operation(sim_node_t *node, int err)
{
    sim__trace(node->sim, SIM_NAME, node->index, (uint64_t)-err);
    return err ? err : sim__operation(node);
}

int sim__op_rename(io_loop_t *loop, const char *from, const char *to)
{
    sim_node_t *node;
    int err = begin_name_operation(loop, &node);
    return err ? err : end_name_operation(node, sim__rename(&node->disk, from, to));
}

int sim__op_remove(io_loop_t *loop, const char *path)
{
    sim_node_t *node;
    int err = begin_name_operation(loop, &node);
    return err ? err : end_name_operation(node, sim__unlink(&node->disk, path));
}

int sim__op_mkdir(io_loop_t *loop, const char *path)
{
    sim_node_t *node;
    sim_inode_t *inode;
    int err = begin_name_operation(loop, &node);
    return err ? err : end_name_operation(node, sim__link(&node->disk, path, true, &inode));
}

int sim__op_sync_dir(io_loop_t *loop, const char *path)
{
    sim_node_t *node;
    sim_inode_t *dir;
    int err = begin_name_operation(loop, &node);
    if (!err) err = sim__operation(node);
    if (!err) err = sim__find(&node->disk, path, &dir);
    if (err) return err;
    if (!dir->is_dir) return ERR_IO;
    if (!node->faults.sync_error_below && sim__chance(rng_of(node), node->faults.sync_error_ppm)) return ERR_IO;
    sim__sync_names(&node->disk, dir);
    sim__trace(node->sim, SIM_SYNC_DIR, node->index, 0);
    return 0;
}

int sim__op_stat(io_loop_t *loop, const char *path, bool *ret_is_dir)
{
    sim_node_t *node;
    sim_inode_t *inode;
    int err = begin_name_operation(loop, &node);
    if (!err) err = sim__find(&node->disk, path, &inode);
    if (!err) *ret_is_dir = inode->is_dir;
    return err;
}

int sim__op_list_dir(io_loop_t *loop, const char *path, void (*each)(void *user, const char *name, bool is_dir),
                     void *user)
{
    sim_node_t *node;
    sim_inode_t *dir;
    int err = begin_name_operation(loop, &node);
    if (!err) err = sim__find(&node->disk, path, &dir);
    if (err) return err;
    if (!dir->is_dir) return ERR_IO;
    /* `each` may change the directory: show a copy. */
    size_t count = dir->names.count;
    sim_entry_t *copy = mem_zalloc((count + 1) * sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = (sim_entry_t){mem_strdup(dir->names.entries[i].name), dir->names.entries[i].inode};
    for (size_t i = 0; i < count; i++) {
        bool is_dir = !loop->halted && copy[i].inode->is_dir;
        if (!loop->halted) each(user, copy[i].name, is_dir);
        mem_free(copy[i].name);
    }
    mem_free(copy);
    return loop->halted ? ERR_IO : 0;
}

int sim__op_lock_file(io_loop_t *loop, const char *path)
{
    sim_node_t *node = sim__loop(loop)->node;
    io_file_t *file;
    LIST_EACH(&node->locks, lock, sim_lock_t, node) {
        if (strcmp(lock->path, path) == 0) return ERR_BUSY;
    }
    int err = sim__file_open(loop, path, IO_FILE_WRITE | IO_FILE_CREATE, &file);
    if (err) return err;
    sim__file_close(file);
    sim_lock_t *lock = mem_zalloc(sizeof(*lock));
    lock->path = mem_strdup(path);
    list_push_back(&node->locks, &lock->node);
    return 0;
}

void sim__locks_free(sim_node_t *node)
{
    LIST_EACH(&node->locks, lock, sim_lock_t, node) {
        list_remove(&lock->node);
        mem_free(lock->path);
        mem_free(lock);
    }
}

int sim__op_disk_space(io_loop_t *loop, const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    sim_node_t *node;
    int err = begin_name_operation(loop, &node);
    if (err) return err;
    uint64_t used = node->disk.used_bytes, total = node->faults.capacity_bytes;
    *ret_total = total;
    *ret_free = used < total ? total - used : 0;
    return 0;
}

void sim__op_boot_id(io_loop_t *loop, char out[IO_BOOT_CHARS_MAX])
{
    snprintf(out, IO_BOOT_CHARS_MAX, "sim-%u", sim__loop(loop)->node->boots);
}
