/* mark.c: see mark.h. Used by wal.c. */
#include "coord/raft/mark.h"

#include "base/hash.h"

#include <stdio.h>

#define MARK_BYTES          42
#define MARK_FILE_BYTES_MAX 4096 /* of one that is read at all */

static void format(uint64_t durable, char out[MARK_BYTES + 1])
{
    int n = snprintf(out, MARK_BYTES + 1, "durable=%020" PRIu64, durable);
    (void)snprintf(out + n, MARK_BYTES + 1 - (size_t)n, " crc=%08" PRIx32 "\n", crc32c(0, out, (size_t)n));
    ASSERT(strlen(out) == MARK_BYTES);
}

int mark_read(io_loop_t *loop, const char *path, uint64_t *ret_durable)
{
    uint8_t *data;
    size_t bytes;
    char again[MARK_BYTES + 1];
    uint64_t durable = 0;
    *ret_durable = 0;
    int err = io_read_whole(loop, path, MARK_FILE_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND) return 0;
    if (err == ERR_LIMIT) return ERR_CORRUPT;
    if (err) return err;
    bool read = sscanf((const char *)data, "durable=%20" SCNu64, &durable) == 1;
    format(durable, again);
    /* An empty one was made just before power was lost. */
    if (bytes > 0 && !(read && bytes == MARK_BYTES && memcmp(again, data, bytes) == 0)) err = ERR_CORRUPT;
    mem_free(data);
    if (!err) *ret_durable = durable;
    return err;
}

static int put(mark_t *mark, uint64_t durable)
{
    char text[MARK_BYTES + 1];
    format(durable, text);
    struct iovec iov = {text, MARK_BYTES};
    int err = io_file_write(mark->file, 0, &iov, 1);
    if (!err) mark->durable = durable;
    return err;
}

int mark_open(io_loop_t *loop, const char *path, uint64_t before, uint64_t durable, mark_t *ret_mark)
{
    mark_t mark = {.loop = loop};
    int err = io_file_open(loop, path, IO_FILE_WRITE | IO_FILE_CREATE, &mark.file);
    if (err) return err;
    err = put(&mark, durable);
    if (!err) err = io_file_truncate(mark.file, MARK_BYTES);
    if (!err && durable < before) err = io_file_sync_now(mark.file);
    if (err) {
        io_file_close(mark.file);
        return err;
    }
    *ret_mark = mark;
    return 0;
}

void mark_close(mark_t *mark)
{
    if (mark->file) io_file_close(mark->file);
    mark->file = NULL;
}

void mark_raise(mark_t *mark, uint64_t durable)
{
    if (durable > mark->durable) (void)!put(mark, durable);
}

int mark_lower(mark_t *mark, uint64_t durable)
{
    int err = put(mark, durable);
    return err ? err : io_file_sync_now(mark->file);
}
