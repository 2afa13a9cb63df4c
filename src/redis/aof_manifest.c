/* aof_manifest.c: which files make up the append-only file. The manifest is Redis's own:
 *
 *      file appendonly.aof.2.base.aof seq 2 type b
 *      file appendonly.aof.3.incr.aof seq 3 type i
 *
 * It is replaced atomically, so a crash leaves the old list or the new one. */
#include "redis/aof_internal.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define MANIFEST_BYTES_MAX MIB(1)

static char *manifest_path(const aof_t *aof)
{
    char name[300];
    snprintf(name, sizeof(name), "%s.manifest", aof->redis->config->appendfilename);
    return aof__path(aof, name);
}

void aof__manifest_clear(aof_manifest_t *m)
{
    for (size_t i = 0; i < m->count; i++) mem_free(m->parts[i].name);
    mem_free(m->parts);
    *m = (aof_manifest_t){0};
}

static void add_part(aof_manifest_t *m, bytes_t name, uint64_t seq, char type)
{
    m->parts = mem_realloc(m->parts, (m->count + 1) * sizeof(*m->parts));
    m->parts[m->count++] = (aof_part_t){mem_strndup(name), seq, type};
    if (type == 'b') m->base_seq = MAX(m->base_seq, seq);
    if (type == 'i') m->incr_seq = MAX(m->incr_seq, seq);
}

/* "file NAME seq N type T"; unknown keys are skipped, as the original does. */
static bool parse_line(aof_manifest_t *m, uint8_t *line, size_t len)
{
    bytes_t words[16], name = BYTES_NULL;
    int64_t seq = 0;
    char type = 0;
    int count = resp_split_line(line, len, words, ARRAY_LEN(words));
    if (count < 6 || count % 2) return false;
    for (int i = 0; i < count; i += 2) {
        if (bytes_eq(words[i], BYTES_LIT("file")))
            name = words[i + 1];
        else if (bytes_eq(words[i], BYTES_LIT("seq")) && !num_parse_i64(words[i + 1], &seq))
            return false;
        else if (bytes_eq(words[i], BYTES_LIT("type")) && words[i + 1].len == 1)
            type = (char)words[i + 1].ptr[0];
    }
    bool path = name.len && memchr(name.ptr, '/', name.len);
    if (name.len == 0 || path || seq <= 0 || (type != 'b' && type != 'i' && type != 'h')) return false;
    add_part(m, name, (uint64_t)seq, type);
    return true;
}

int aof__manifest_read(aof_t *aof, char *err_out, size_t err_bytes)
{
    char *path = manifest_path(aof);
    uint8_t *data = NULL;
    size_t bytes = 0;
    int err = io_read_whole(aof->redis->loop, path, MANIFEST_BYTES_MAX, &data, &bytes);
    if (err == ERR_NOT_FOUND) {
        err = 0;
        goto out;
    }
    if (err != 0) {
        snprintf(err_out, err_bytes, "%s: %s", path, err_text(err));
        goto out;
    }
    int number = 0;
    for (uint8_t *line = data, *end = data + bytes; line < end; number++) {
        uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((newline ? newline : end) - line);
        if (len && line[0] != '#' && !parse_line(&aof->manifest, line, len)) {
            snprintf(err_out, err_bytes, "%s: line %d is not 'file NAME seq N type b|i|h'", path, number + 1);
            err = ERR_CORRUPT;
            break;
        }
        line += len + 1;
    }
out:
    mem_free(data);
    mem_free(path);
    return err;
}

int aof__manifest_write(aof_t *aof)
{
    buf_t text = BUF_INIT;
    for (size_t i = 0; i < aof->manifest.count; i++) {
        const aof_part_t *p = &aof->manifest.parts[i];
        buf_printf(&text, "file %s seq %" PRIu64 " type %c\n", p->name, p->seq, p->type);
    }
    char *path = manifest_path(aof);
    int err = io_replace_whole(aof->redis->loop, path, buf_bytes(&text));
    mem_free(path);
    buf_deinit(&text);
    return err;
}

const char *aof__manifest_add(aof_t *aof, char type, const char *suffix)
{
    char name[300];
    uint64_t seq = (type == 'b' ? aof->manifest.base_seq : aof->manifest.incr_seq) + 1;
    snprintf(name, sizeof(name), "%s.%" PRIu64 ".%s", aof->redis->config->appendfilename, seq, suffix);
    add_part(&aof->manifest, bytes_str(name), seq, type);
    return aof->manifest.parts[aof->manifest.count - 1].name;
}

static void drop_last(aof_manifest_t *m)
{
    aof_part_t *last = &m->parts[--m->count];
    mem_free(last->name);
    if (last->type == 'i')
        m->incr_seq--;
    else
        m->base_seq--;
}

int aof__new_base(aof_t *aof)
{
    ASSERT(aof->manifest.count == 0);
    char *path = aof__path(aof, aof__manifest_add(aof, 'b', "base.aof"));
    io_file_t *file = NULL;
    int err = io_file_open(aof->redis->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    mem_free(path);
    if (err == 0)
        io_file_close(file);
    else
        drop_last(&aof->manifest);
    return err;
}

int aof__new_increment(aof_t *aof)
{
    char *path = aof__path(aof, aof__manifest_add(aof, 'i', "incr.aof"));
    io_file_t *file = NULL;
    int err = io_file_open(aof->redis->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    mem_free(path);
    if (err == 0 && !aof->unlisted) err = aof__manifest_write(aof);
    if (err != 0) {
        if (file) io_file_close(file);
        drop_last(&aof->manifest);
        return err;
    }
    if (aof->file) {
        aof->old_incr_bytes += aof->file_bytes;
        io_file_close(aof->file);
        aof->syncing = false; /* closing waited for it */
    }
    aof->file = file;
    aof->file_bytes = aof->synced_bytes = 0;
    aof->selected_db = -1;
    return 0;
}
