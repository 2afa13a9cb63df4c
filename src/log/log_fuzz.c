/* log_fuzz.c: hostile bytes as a batch header and as the files of a log that crashed. Whatever they hold,
 * opening refuses them as damaged, or ends with a log whose batches all have right checksums, which can be read, appended to
 * and opened again. */
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static io_loop_t *loop;
static char dir[64];

static void start(void)
{
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(dir, sizeof(dir), "%s/trivet-fuzz-XXXXXX", tmp);
    if (!mkdtemp(dir) || io_loop_new_uv(&loop) != 0) abort();
}

static void put(const char *name, const uint8_t *data, size_t size)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(data, 1, size, f) != size) abort();
    fclose(f);
}

static void check(void *user, const batch_header_t *batch)
{
    int64_t *next = user;
    ASSERT(batch->base_offset >= *next);
    *next = batch_last_offset(batch) + 1;
}

static void read_all(log_t *log)
{
    for (int64_t at = log_start_offset(log); at < log_end_offset(log);) {
        log_slice_t slice;
        int err = log_find(log, at, INT64_MAX, 1, true, &slice);
        ASSERT(err == 0);
        if (slice.bytes == 0) break; /* an empty segment's base is behind a gap */
        ASSERT(slice.next_offset > at);
        at = slice.next_offset;
        log_slice_release(slice.segment);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    batch_header_t batch;
    if (batch_header_read(bytes_of(data, size), &batch) == 0) ASSERT(batch_bytes(&batch) >= BATCH_HEADER_BYTES);
    if (size < 4) return 0;
    if (!loop) start();
    if (io_mkdir(loop, dir) != 0) abort();
    uint8_t flags = data[0];
    size_t split = MIN((size_t)load_be16(data + 1), size - 4);
    put("00000000000000000000.log", data + 4 + split, size - 4 - split);
    if (flags & 1) put("00000000000000000000.index", data + 4, split);
    if (flags & 2) put("00000000000000000000.timeindex", data + 4, split);
    if (flags & 4) put("leader-epoch-checkpoint", data + 4, split);
    if (flags & 8) put("00000000000000000007.log", data + 4, split);
    if (flags & 16) put("00000000000000000003.log.swap", data + 4, split);
    if (flags & 32) put("00000000000000000005.log.cleaned", data + 4, split);
    for (int round = 0; round < 2; round++) {
        int64_t next = 0;
        log_recovery_t recovery = {.clean = round > 0, .scan_from = 0, .each = check, .user = &next};
        log_t *log;
        if (flags & 64) recovery.compacted = true;
        if (log_open(loop, dir, &log_options_default, &recovery, &log) != 0) break;
        ASSERT(next <= log_end_offset(log));
        read_all(log);
        if (log_close(log) != 0) abort();
    }
    return io_remove_tree(loop, dir) == 0 ? 0 : (abort(), 0);
}
