/* cli_fuzz.c: hostile files before `trivet check` and `trivet repair`. Input: a byte that chooses how is mended, then files of {name
 * u8, length u16, bytes}; with the name's highest bit set the checksums in the file are made right, or nothing would get past
 * them. Checking ends and crashes on nothing, and what was sound needs no mending. */
#include "cli/cli.h"

#include "base/hash.h"
#include "io/io.h"
#include "wire/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MENDED           0x80
#define BLOCK_HEAD_BYTES 8
#define SNAPSHOT_MAGIC   8
#define PATH_CHARS_MAX   256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const folders[] = {"redis", "redis/appendonlydir", "coord", "coord/log", "kafka", "kafka/t-0"};
static const char *const files[] = {
    "redis/appendonlydir/appendonly.aof.manifest",
    "redis/appendonlydir/appendonly.aof.2.base.aof",
    "redis/appendonlydir/appendonly.aof.2.incr.aof",
    "redis/appendonlydir/appendonly.aof.3.incr.aof",
    "redis/appendonlydir/appendonly.aof.sizes",
    "coord/snapshot.00000000000000000021",
    "coord/durable",
    "coord/log/leader-epoch-checkpoint",
    "coord/log/00000000000000000001.log",
    "coord/log/00000000000000000001.index",
    "coord/log/00000000000000000003.log",
    "kafka/meta.properties",
    "kafka/cleaner-offset-checkpoint",
    "kafka/recovery-point-offset-checkpoint",
    "kafka/t-0/partition.metadata",
    "kafka/t-0/leader-epoch-checkpoint",
    "kafka/t-0/00000000000000000000.log",
    "kafka/t-0/00000000000000000000.index",
    "kafka/t-0/00000000000000000000.timeindex",
    "kafka/t-0/00000000000000000003.log",
};
#define SNAPSHOT 5

static char dir[64], repaired[80];
static io_loop_t *loop;

static void start(void)
{
    const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(dir, sizeof(dir), "%s/trivet-fuzz-XXXXXX", tmp);
    if (!mkdtemp(dir) || io_loop_new_uv(&loop) != 0) abort();
    snprintf(repaired, sizeof(repaired), "%s.repaired", dir);
}

static void mend_batches(uint8_t *data, size_t size)
{
    while (size >= BATCH_HEADER_BYTES) {
        size_t bytes = (size_t)(uint32_t)batch_peek_length(bytes_of(data, size)) + BATCH_OVERHEAD_BYTES;
        if (bytes < BATCH_HEADER_BYTES || bytes > size) return;
        batch_set_crc(data, bytes);
        data += bytes;
        size -= bytes;
    }
}

static void mend_blocks(uint8_t *data, size_t size)
{
    for (size_t at = SNAPSHOT_MAGIC; at + BLOCK_HEAD_BYTES <= size;) {
        size_t bytes = load_be32(data + at);
        if (bytes > size - at - BLOCK_HEAD_BYTES) return;
        store_be32(data + at + 4, crc32c(0, data + at + BLOCK_HEAD_BYTES, bytes));
        at += BLOCK_HEAD_BYTES + bytes;
    }
}

static void put(uint8_t name, bytes_t content)
{
    char path[PATH_CHARS_MAX];
    size_t index = (name & ~MENDED) % ARRAY_LEN(files);
    uint8_t *copy = mem_alloc(content.len + 1);
    memcpy(copy, content.ptr, content.len);
    if (name & MENDED && index == SNAPSHOT)
        mend_blocks(copy, content.len);
    else if (name & MENDED)
        mend_batches(copy, content.len);
    snprintf(path, sizeof(path), "%s/%s", dir, files[index]);
    FILE *f = fopen(path, "w");
    if (!f || fwrite(copy, 1, content.len, f) != content.len) abort();
    fclose(f);
    mem_free(copy);
}

static void put_all(bytes_t input)
{
    char path[PATH_CHARS_MAX];
    if (io_mkdir(loop, dir) != 0) abort();
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, folders[i]);
        if (io_mkdir_unsynced(loop, path) != 0) abort();
    }
    while (input.len >= 3) {
        size_t bytes = MIN((size_t)load_be16(input.ptr + 1), input.len - 3);
        put(input.ptr[0], bytes_of(input.ptr + 3, bytes));
        input = bytes_of(input.ptr + 3 + bytes, input.len - 3 - bytes);
    }
}

/* What it prints is for people; a sanitizer writes past these. */
static int run(char *command, char *how)
{
    char program[] = "trivet";
    char *argv[] = {program, command, dir, how, NULL};
    FILE *out = stdout, *err = stderr, *nowhere = fopen("/dev/null", "w");
    int status;
    if (!nowhere) abort();
    stdout = stderr = nowhere;
    bool known = cli_run(how ? 4 : 3, argv, &status);
    stdout = out;
    stderr = err;
    fclose(nowhere);
    if (!known || status == CLI_USAGE) abort();
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char check[] = "check", repair[] = "repair", cut[] = "--cut", salvage[] = "--salvage";
    if (size == 0) return 0;
    if (!loop) start();
    put_all(bytes_of(data + 1, size - 1));
    int found = run(check, NULL), mended = run(repair, data[0] & 1 ? cut : salvage);
    ASSERT(found != CLI_SOUND || mended == CLI_SOUND);
    ASSERT(run(check, NULL) == found); /* repair works on a copy */
    if (io_exists(loop, repaired) && io_remove_tree(loop, repaired) != 0) abort();
    if (io_remove_tree(loop, dir) != 0) abort();
    return 0;
}
