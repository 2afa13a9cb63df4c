/* reserve.c: a file that holds room on the disk for what must be written when the disk is full. Its bytes are random, so that no
 * file system stores them in less room. It is cut from its end, and filled again when there is room for it twice. */
#include "io/io.h"

#include <stdio.h>

#define FILL_BYTES     KIB(64)
#define ROUND_BYTES    KIB(4)
#define EXTRA_BYTES    KIB(16) /* given beside what is asked: a file system's own blocks for it */
#define SHARE_OF_SPACE 16      /* of what is free when it is made; a small disk keeps a small reserve */

void io_reserve_init(io_reserve_t *reserve, io_loop_t *loop, const char *dir, uint64_t bytes_max)
{
    size_t chars = strlen(dir) + sizeof("/reserve");
    *reserve = (io_reserve_t){.loop = loop, .bytes_max = bytes_max};
    reserve->path = mem_alloc(chars);
    snprintf(reserve->path, chars, "%s/reserve", dir);
    reserve->dir_chars = strlen(dir);
}

void io_reserve_deinit(io_reserve_t *reserve)
{
    mem_free(reserve->path);
    *reserve = (io_reserve_t){0};
}

static int free_space(const io_reserve_t *reserve, uint64_t *ret_free)
{
    uint64_t total;
    char *dir = mem_strndup(bytes_of(reserve->path, reserve->dir_chars));
    int err = io_disk_space(reserve->loop, dir, ret_free, &total);
    mem_free(dir);
    return err;
}

/* What no compression makes smaller. */
static void scramble(uint64_t state[2], uint8_t *out, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        uint64_t a = state[0], b = state[1], sum = a + b;
        b ^= a;
        state[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16);
        state[1] = (b << 37) | (b >> 27);
        memcpy(out + i, &sum, 8);
    }
}

static int write_to(io_reserve_t *reserve, io_file_t *file, uint64_t bytes_wanted)
{
    uint8_t *block = mem_alloc(FILL_BYTES);
    uint64_t seed[2];
    int err = 0;
    io_random(reserve->loop, seed, sizeof(seed));
    seed[0] |= 1;
    while (!err && reserve->bytes < bytes_wanted) {
        struct iovec iov = {block, (size_t)MIN((uint64_t)FILL_BYTES, bytes_wanted - reserve->bytes)};
        scramble(seed, block, FILL_BYTES);
        err = io_file_write(file, reserve->bytes, &iov, 1);
        if (!err) reserve->bytes += iov.iov_len;
    }
    if (err && io_file_truncate(file, reserve->bytes) != 0) err = ERR_IO;
    mem_free(block);
    return err;
}

static int fill(io_reserve_t *reserve, io_file_t *file)
{
    uint64_t there = 0, free_bytes = 0;
    int err = io_file_size(file, &there);
    if (!err) err = free_space(reserve, &free_bytes);
    if (err) return err;
    reserve->bytes = MIN(there, reserve->bytes_max);
    if (reserve->bytes_wanted == 0) /* it is what it was, or what the disk can spare */
        reserve->bytes_wanted = MIN(reserve->bytes_max, MAX(there, free_bytes / SHARE_OF_SPACE));
    if (reserve->bytes >= reserve->bytes_wanted) return reserve->bytes_wanted > 0 ? 0 : ERR_NOSPACE;
    if (free_bytes / 2 < reserve->bytes_wanted - reserve->bytes) return ERR_NOSPACE;
    return write_to(reserve, file, reserve->bytes_wanted);
}

int io_reserve_fill(io_reserve_t *reserve)
{
    io_file_t *file;
    if (reserve->bytes_max == 0) return 0;
    int err = io_file_open(reserve->loop, reserve->path, IO_FILE_WRITE | IO_FILE_CREATE, &file);
    if (err) return err;
    err = fill(reserve, file);
    io_file_close(file);
    reserve->low = err != 0;
    return err;
}

static bool cut(io_reserve_t *reserve, uint64_t bytes)
{
    io_file_t *file;
    uint64_t left = bytes < reserve->bytes ? (reserve->bytes - bytes) / ROUND_BYTES * ROUND_BYTES : 0;
    if (io_file_open(reserve->loop, reserve->path, IO_FILE_WRITE, &file) != 0) return false;
    int err = io_file_truncate(file, left);
    io_file_close(file);
    if (!err) reserve->bytes = left;
    return err == 0;
}

bool io_reserve_give(io_reserve_t *reserve, uint64_t bytes)
{
    reserve->low = reserve->bytes_max > 0;
    return reserve->bytes > 0 && cut(reserve, bytes + EXTRA_BYTES);
}
