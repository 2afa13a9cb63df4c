/* snapshot_reader.c: a snapshot's file back into blocks of a machine's records, each checked. See snapshot.h. The bytes may be
 * another server's, or a disk's that went bad: nothing of them is believed before its sum. */
#include "coord/raft/snapshot.h"

#include "base/hash.h"
#include "coord/raft/snapshot_format.h"

#include "zk_records.h"

struct snapshot_reader {
    io_file_t *file;
    uint64_t file_bytes, offset;
    buf_t block;
    bytes_t records; /* of the first block, which opening reads */
    bool first;      /* they are still to be handed out */
    bool tail_seen;
    snapshot_point_t point;
    int64_t revision, time_ms;
    uint64_t records_count;
};

static int read_exactly(snapshot_reader_t *r, void *out, size_t bytes)
{
    ssize_t n = io_file_read(r->file, r->offset, out, bytes);
    if (n < 0) return (int)n;
    if ((size_t)n < bytes) return ERR_TRUNCATED;
    r->offset += bytes;
    return 0;
}

/* The last block ends with the tail, which is not the machine's. */
static int take_tail(snapshot_reader_t *r, bytes_t *records)
{
    if (r->offset < r->file_bytes) return 0;
    if (records->len < SNAPSHOT_TAIL_BYTES) return ERR_TRUNCATED;
    const uint8_t *tail = records->ptr + records->len - SNAPSHOT_TAIL_BYTES;
    if (tail[0] != SNAPSHOT_TAG_TAIL) return ERR_TRUNCATED;
    r->records_count = load_be64(tail + 1);
    r->tail_seen = true;
    records->len -= SNAPSHOT_TAIL_BYTES;
    return 0;
}

static int read_block(snapshot_reader_t *r, bytes_t *ret_records)
{
    uint8_t head[SNAPSHOT_BLOCK_HEAD_BYTES];
    int err = read_exactly(r, head, sizeof(head));
    if (err) return err;
    size_t bytes = load_be32(head);
    if (bytes == 0 || bytes > SNAPSHOT_BLOCK_BYTES_MAX) return ERR_CORRUPT;
    if (bytes > r->file_bytes - r->offset) return ERR_TRUNCATED;
    buf_clear(&r->block);
    err = read_exactly(r, buf_reserve(&r->block, bytes), bytes);
    if (err) return err;
    if (crc32c(0, r->block.ptr, bytes) != load_be32(head + 4)) return ERR_CORRUPT;
    *ret_records = bytes_of(r->block.ptr, bytes);
    return take_tail(r, ret_records);
}

static int take_head(snapshot_reader_t *r)
{
    zk_snapshot_head_t head;
    if (r->records.len == 0 || r->records.ptr[0] != SNAPSHOT_TAG_HEAD) return ERR_CORRUPT;
    jute_reader_t jute = jute_reader(bytes_of(r->records.ptr + 1, r->records.len - 1), NULL);
    zk_snapshot_head_get(&jute, &head);
    if (jute.bad) return ERR_CORRUPT;
    snapshot_point_t point = {(uint64_t)head.index, (uint64_t)head.term, (uint64_t)head.configuration_index,
                              head.configuration};
    r->point = snapshot_point_copy(&point);
    r->revision = head.revision;
    r->time_ms = head.time_ms;
    size_t left = jute_left(&jute);
    r->records = bytes_of(r->records.ptr + r->records.len - left, left);
    return 0;
}

/* The count is in the last bytes of a whole file, so that tables get their size at once. Not yet checked. */
static int peek_tail(snapshot_reader_t *r)
{
    uint8_t tail[SNAPSHOT_TAIL_BYTES];
    if (r->file_bytes < sizeof(tail)) return 0;
    ssize_t n = io_file_read(r->file, r->file_bytes - sizeof(tail), tail, sizeof(tail));
    if (n < 0) return (int)n;
    if (n == (ssize_t)sizeof(tail) && tail[0] == SNAPSHOT_TAG_TAIL) r->records_count = load_be64(tail + 1);
    return 0;
}

int snapshot_reader_open(io_loop_t *loop, const char *path, uint64_t *ret_bytes, snapshot_reader_t **ret_reader)
{
    snapshot_reader_t *r = mem_zalloc(sizeof(*r));
    uint8_t magic[SNAPSHOT_MAGIC_BYTES];
    int err = io_file_open(loop, path, IO_FILE_READ, &r->file);
    if (!err) err = io_file_size(r->file, &r->file_bytes);
    if (!err) err = peek_tail(r);
    if (!err) err = read_exactly(r, magic, sizeof(magic));
    if (!err && memcmp(magic, SNAPSHOT_MAGIC, sizeof(magic)) != 0) err = ERR_CORRUPT;
    if (!err) err = read_block(r, &r->records);
    if (!err) err = take_head(r);
    if (ret_bytes) *ret_bytes = r->offset;
    if (err) {
        snapshot_reader_free(r);
        return err;
    }
    r->first = true;
    *ret_reader = r;
    return 0;
}

int snapshot_reader_next(snapshot_reader_t *r, bytes_t *ret_records)
{
    if (r->first) {
        r->first = false;
        *ret_records = r->records;
        return 0;
    }
    return r->tail_seen ? 1 : read_block(r, ret_records);
}

const snapshot_point_t *snapshot_reader_point(const snapshot_reader_t *r) { return &r->point; }
int64_t snapshot_reader_revision(const snapshot_reader_t *r) { return r->revision; }
int64_t snapshot_reader_time_ms(const snapshot_reader_t *r) { return r->time_ms; }
uint64_t snapshot_reader_records(const snapshot_reader_t *r) { return r->records_count; }
uint64_t snapshot_reader_bytes(const snapshot_reader_t *r) { return r->file_bytes; }
uint64_t snapshot_reader_offset(const snapshot_reader_t *r) { return r->offset; }

void snapshot_reader_free(snapshot_reader_t *r)
{
    if (r->file) io_file_close(r->file);
    snapshot_point_deinit(&r->point);
    buf_deinit(&r->block);
    mem_free(r);
}
