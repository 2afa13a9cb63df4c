/* aof_sizes.c: how large the append-only files are on the disk, in <appendfilename>.sizes beside the manifest:
 *
 *   sizes 90 1a2b3c4d                               bytes of what follows, and its CRC-32C
 *   00000000000000000000 appendonly.aof.1.base.aof
 *   00000000000000012345 appendonly.aof.1.incr.aof
 *
 * The format of the files has neither sums nor an end, so that one which was emptied, or cut between two commands, looks whole.
 * The list is written after each sync, never synced itself, and so never says more than was durable; before a file is
 * cut, it is lowered and synced. Who deletes it, or another server, which does not know it, does no harm. */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"

#include "base/hash.h"

#include <stdio.h>
#include <string.h>

#define SIZES_BYTES_MAX KIB(64)

static char *sizes_path(const aof_t *aof)
{
    char name[300];
    snprintf(name, sizeof(name), "%s.sizes", aof->persist->config->appendfilename);
    return aof__path(aof, name);
}

static void put_text(const aof_t *aof, buf_t *out)
{
    const aof_manifest_t *m = &aof->manifest;
    buf_t list = BUF_INIT;
    for (size_t i = 0; i < m->count; i++)
        buf_printf(&list, "%020" PRIu64 " %s\n", m->parts[i].durable_bytes, m->parts[i].name);
    buf_printf(out, "sizes %zu %08" PRIx32 "\n", list.len, crc32c(0, list.ptr, list.len));
    buf_append(out, list.ptr, list.len);
    buf_deinit(&list);
}

static int write_text(const aof_t *aof, bytes_t text, bool sync)
{
    char *path = sizes_path(aof);
    io_file_t *file;
    struct iovec iov = {(void *)text.ptr, text.len};
    int err = io_file_open(aof->persist->loop, path, IO_FILE_WRITE | IO_FILE_CREATE, &file);
    mem_free(path);
    if (err) return err;
    err = io_file_write(file, 0, &iov, 1); /* what a longer list left behind it is not read */
    if (!err && sync) err = io_file_sync_now(file);
    io_file_close(file);
    return err;
}

/* An older list only says less, so what fails here is not told. */
void aof__sizes_write(aof_t *aof)
{
    buf_t text = BUF_INIT;
    aof_manifest_t *m = &aof->manifest;
    if (aof->unlisted || m->count == 0) return;
    aof_part_t *growing = &m->parts[m->count - 1];
    if (growing->type == 'i') growing->durable_bytes = aof->synced_bytes;
    put_text(aof, &text);
    (void)!write_text(aof, buf_bytes(&text), false);
    buf_deinit(&text);
}

int aof__sizes_lower(aof_t *aof, aof_part_t *part, uint64_t bytes)
{
    buf_t text = BUF_INIT;
    if (part->durable_bytes <= bytes) return 0;
    part->durable_bytes = bytes;
    put_text(aof, &text);
    int err = write_text(aof, buf_bytes(&text), true);
    buf_deinit(&text);
    return err;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

static void note(aof_manifest_t *m, uint64_t bytes, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->parts[i].name, name) == 0) m->parts[i].durable_bytes = bytes;
}

static void parse(aof_manifest_t *m, char *text, size_t bytes)
{
    size_t list_bytes;
    uint32_t crc;
    char *list = memchr(text, '\n', bytes), *rest;
    if (!list || sscanf(text, "sizes %zu %8" SCNx32, &list_bytes, &crc) != 2) return;
    list++;
    if (list_bytes > bytes - (size_t)(list - text) || crc32c(0, list, list_bytes) != crc) return;
    list[list_bytes] = '\0';
    for (char *line = strtok_r(list, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        uint64_t size;
        char name[256];
        if (sscanf(line, "%20" SCNu64 " %255s", &size, name) == 2) note(m, size, name);
    }
}

int aof__sizes_read(aof_t *aof)
{
    char *path = sizes_path(aof);
    uint8_t *data;
    size_t bytes;
    int err = io_read_whole(aof->persist->loop, path, SIZES_BYTES_MAX, &data, &bytes);
    mem_free(path);
    if (err == ERR_NOT_FOUND || err == ERR_LIMIT) return 0;
    if (err) return err;
    parse(&aof->manifest, (char *)data, bytes);
    mem_free(data);
    return 0;
}

int aof__sizes_check(const aof_t *aof, const aof_part_t *part, uint64_t bytes, char *err_out, size_t err_bytes)
{
    bool grew = bytes > part->durable_bytes && part->type == 'b' && part->durable_bytes > 0; /* nobody adds to a base */
    if (bytes >= part->durable_bytes && !grew) return 0;
    snprintf(err_out, err_bytes, "%s/%s has %" PRIu64 " bytes, though %" PRIu64 " were on the disk. " AOF_ADVICE,
             aof->dir, part->name, bytes, part->durable_bytes);
    return ERR_DAMAGED;
}

void aof__sizes_forget(aof_t *aof)
{
    char *path = sizes_path(aof);
    (void)!io_remove(aof->persist->loop, path);
    mem_free(path);
}
