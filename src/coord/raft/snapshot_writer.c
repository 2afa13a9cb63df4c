/* snapshot_writer.c: a machine's records into a snapshot's file. See snapshot.h. Called by quorum_snapshot.c and by the
 * machine that it asks. */
#include "coord/raft/snapshot.h"

#include "base/hash.h"
#include "coord/raft/snapshot_format.h"

#include "zk_records.h"

struct snapshot_writer {
    io_loop_t *loop;
    snapshot_point_t point;
    io_file_t *file; /* NULL once it is durable */
    char *dir, *path, *path_tmp;
    uint64_t offset;
    buf_t block; /* head, then records */
    int err;
    bool head_put, tail_put;
    io_sync_t sync;
    void (*done)(void *user, int err);
    void *user;
};

#define PUT_RECORD(w, tag, type, record)                                                                               \
    do {                                                                                                               \
        size_t size_ = zk_##type##_size(record);                                                                       \
        uint8_t *at_ = buf_reserve(&(w)->block, 1 + size_);                                                            \
        *at_ = (tag);                                                                                                  \
        zk_##type##_put(at_ + 1, record);                                                                              \
        (w)->block.len += 1 + size_;                                                                                   \
    } while (0)

static void block_begin(snapshot_writer_t *w)
{
    buf_reserve(&w->block, SNAPSHOT_BLOCK_HEAD_BYTES);
    w->block.len = SNAPSHOT_BLOCK_HEAD_BYTES;
}

static void block_write(snapshot_writer_t *w)
{
    size_t bytes = w->block.len - SNAPSHOT_BLOCK_HEAD_BYTES;
    if (w->err || bytes == 0) return;
    store_be32(w->block.ptr, (uint32_t)bytes);
    store_be32(w->block.ptr + 4, crc32c(0, w->block.ptr + SNAPSHOT_BLOCK_HEAD_BYTES, bytes));
    struct iovec iov = {w->block.ptr, w->block.len};
    w->err = io_file_write(w->file, w->offset, &iov, 1);
    w->offset += w->block.len;
    block_begin(w);
}

int snapshot_writer_open(io_loop_t *loop, const char *dir, const snapshot_point_t *point,
                         snapshot_writer_t **ret_writer)
{
    snapshot_writer_t *w = mem_zalloc(sizeof(*w));
    buf_t tmp = BUF_INIT;
    w->loop = loop;
    w->point = snapshot_point_copy(point);
    w->dir = mem_strdup(dir);
    w->path = snapshot_path(dir, point->index);
    buf_printf(&tmp, "%s.tmp", w->path);
    buf_u8(&tmp, 0);
    w->path_tmp = (char *)tmp.ptr;
    int err = io_file_open(loop, w->path_tmp, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &w->file);
    if (!err) err = io_file_write(w->file, 0, &(struct iovec){(void *)SNAPSHOT_MAGIC, SNAPSHOT_MAGIC_BYTES}, 1);
    if (err) {
        snapshot_writer_free(w);
        return err;
    }
    w->offset = SNAPSHOT_MAGIC_BYTES;
    block_begin(w);
    *ret_writer = w;
    return 0;
}

void snapshot_writer_head(snapshot_writer_t *w, int64_t revision, int64_t time_ms)
{
    ASSERT(!w->head_put && w->block.len == SNAPSHOT_BLOCK_HEAD_BYTES);
    zk_snapshot_head_t head = {revision,
                               time_ms,
                               (int64_t)w->point.index,
                               (int64_t)w->point.term,
                               (int64_t)w->point.configuration_index,
                               w->point.configuration};
    PUT_RECORD(w, SNAPSHOT_TAG_HEAD, snapshot_head, &head);
    w->head_put = true;
}

buf_t *snapshot_writer_block(snapshot_writer_t *w)
{
    ASSERT(w->head_put && !w->tail_put);
    return &w->block;
}

void snapshot_writer_next(snapshot_writer_t *w)
{
    if (w->block.len < SNAPSHOT_BLOCK_BYTES_AIM) return;
    if (w->err)
        block_begin(w); /* it fails in the end; what comes until then is not gathered */
    else
        block_write(w);
}

int snapshot_writer_tail(snapshot_writer_t *w, uint64_t records)
{
    ASSERT(w->head_put && !w->tail_put);
    zk_snapshot_tail_t tail = {(int64_t)records};
    PUT_RECORD(w, SNAPSHOT_TAG_TAIL, snapshot_tail, &tail);
    w->tail_put = true;
    block_write(w);
    return w->err;
}

int snapshot_writer_err(const snapshot_writer_t *w) { return w->err; }
uint64_t snapshot_writer_bytes(const snapshot_writer_t *w)
{
    return w->offset + w->block.len - SNAPSHOT_BLOCK_HEAD_BYTES;
}

static void synced(io_sync_t *sync, int err)
{
    snapshot_writer_t *w = CONTAINER_OF(sync, snapshot_writer_t, sync);
    io_file_close(w->file);
    w->file = NULL;
    if (!err) err = io_rename(w->loop, w->path_tmp, w->path);
    if (!err) err = io_sync_dir(w->loop, w->dir);
    w->done(w->user, err);
}

void snapshot_writer_commit(snapshot_writer_t *w, void (*done)(void *user, int err), void *user)
{
    ASSERT(w->tail_put && !w->err);
    w->done = done;
    w->user = user;
    io_file_sync(w->file, &w->sync, synced);
}

void snapshot_writer_free(snapshot_writer_t *w)
{
    if (w->file) {
        io_file_close(w->file);
        (void)!io_remove(w->loop, w->path_tmp);
    }
    snapshot_point_deinit(&w->point);
    buf_deinit(&w->block);
    mem_free(w->dir);
    mem_free(w->path);
    mem_free(w->path_tmp);
    mem_free(w);
}
