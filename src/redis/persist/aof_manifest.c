/* aof_manifest.c: which files make up the append-only file. The manifest is Redis's own:
 *
 *      file appendonly.aof.2.base.aof seq 2 type b
 *      file appendonly.aof.3.incr.aof seq 3 type i
 *
 * It is replaced atomically, so a crash leaves the old list or the new one. */
#include "redis/persist/aof_internal.h"
#include "redis/persist/persist.h"
#include "wire/resp.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

#define MANIFEST_BYTES_MAX MIB(1)
#define LINE_BYTES_MAX     1024 /* with its newline: the original's limit */
#define WORDS_MAX          16
#define BAD_FORMAT         "Invalid AOF manifest file format"

static char *manifest_path(const aof_t *aof)
{
    char name[300];
    snprintf(name, sizeof(name), "%s.manifest", aof->persist->config->appendfilename);
    return aof__path(aof, name);
}

void aof__manifest_clear(aof_manifest_t *m)
{
    for (size_t i = 0; i < m->count; i++) mem_free(m->parts[i].name);
    mem_free(m->parts);
    *m = (aof_manifest_t){0};
}

/* The base first, whatever its line: files are read in this order. */
static void add_part(aof_manifest_t *m, bytes_t name, uint64_t seq, char type)
{
    m->parts = mem_realloc(m->parts, (m->count + 1) * sizeof(*m->parts));
    size_t at = type == 'b' ? 0 : m->count;
    memmove(m->parts + at + 1, m->parts + at, (m->count - at) * sizeof(*m->parts));
    m->parts[at] = (aof_part_t){mem_strndup(name), seq, type};
    m->count++;
    if (type == 'b') m->base_seq = MAX(m->base_seq, seq);
    if (type == 'i') m->incr_seq = MAX(m->incr_seq, seq);
}

static bool has_base(const aof_manifest_t *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->parts[i].type == 'b') return true;
    return false;
}

/* What is wrong with a file of the list, in the original's words; NULL = nothing. */
static const char *check_part(const aof_manifest_t *m, bytes_t name, int64_t seq, char type)
{
    if (name.len == 0 || seq <= 0 || type == 0) return BAD_FORMAT;
    if (type != 'b' && type != 'i' && type != 'h') return "Unknown AOF file type";
    if (type == 'b' && has_base(m)) return "Found duplicate base file information";
    if (type == 'i' && (uint64_t)seq <= m->incr_seq) return "Found a non-monotonic sequence number";
    return NULL;
}

/* "file NAME seq N type T"; unknown keys are skipped, as the original does. NULL, or what is wrong with the line. */
static const char *parse_line(aof_manifest_t *m, uint8_t *line, size_t len)
{
    bytes_t words[WORDS_MAX], name = BYTES_NULL;
    int64_t seq = 0;
    char type = 0;
    int count = resp_split_line(line, len, words, ARRAY_LEN(words));
    if (count < 6 || count % 2) return BAD_FORMAT;
    for (int i = 0; i < count; i += 2) {
        if (bytes_eq_nocase(words[i], BYTES_LIT("file")))
            name = words[i + 1];
        else if (bytes_eq_nocase(words[i], BYTES_LIT("seq")) && !num_parse_i64(words[i + 1], &seq))
            return BAD_FORMAT;
        else if (bytes_eq_nocase(words[i], BYTES_LIT("type")) && words[i + 1].len > 0)
            type = (char)words[i + 1].ptr[0];
    }
    if (name.len && (memchr(name.ptr, '/', name.len) || memchr(name.ptr, 0, name.len)))
        return "File can't be a path, just a filename";
    const char *wrong = check_part(m, name, seq, type);
    if (!wrong) add_part(m, name, (uint64_t)seq, type);
    return wrong;
}

static size_t trimmed(const uint8_t *line, size_t len)
{
    while (len > 0 && strchr(" \t\r", line[len - 1])) len--;
    return len;
}

/* As strict as the original, which would rather not start than serve less than there is. */
static const char *parse(aof_manifest_t *m, uint8_t *data, size_t bytes, int *ret_line)
{
    *ret_line = 0;
    if (bytes == 0) return "Found an empty AOF manifest";
    for (uint8_t *line = data, *end = data + bytes; line < end;) {
        uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
        (*ret_line)++;
        if (!newline || newline - line >= LINE_BYTES_MAX) return "The AOF manifest file contains too long line";
        size_t len = trimmed(line, (size_t)(newline - line));
        const char *wrong = line[0] == '#' ? NULL : len == 0 ? BAD_FORMAT : parse_line(m, line, len);
        if (wrong) return wrong;
        line = newline + 1;
    }
    return NULL;
}

int aof__manifest_read(aof_t *aof, char *err_out, size_t err_bytes)
{
    char *path = manifest_path(aof);
    uint8_t *data = NULL;
    size_t bytes = 0;
    int line;
    int err = io_read_whole(aof->persist->loop, path, MANIFEST_BYTES_MAX, &data, &bytes);
    if (!err) {
        const char *wrong = parse(&aof->manifest, data, bytes, &line);
        if (wrong) snprintf(err_out, err_bytes, "%s, at line %d: %s. " AOF_ADVICE, path, line, wrong);
        if (wrong) err = ERR_DAMAGED;
    } else if (err != ERR_NOT_FOUND) {
        snprintf(err_out, err_bytes, "%s: %s", path, err_text(err));
    }
    mem_free(data);
    mem_free(path);
    return err == ERR_NOT_FOUND ? 0 : err;
}

void aof__manifest_find(aof_t *aof, const char *name)
{
    aof_manifest_t *m = &aof->manifest;
    uint64_t seq;
    char kind = aof__kind_of(aof, name, &seq);
    if (kind == 0) return;
    size_t at = kind == 'b' && has_base(m) ? 0 : m->count;
    if (at < m->count && m->parts[0].seq > seq) return;
    if (at < m->count) {
        mem_free(m->parts[0].name);
        m->parts[0] = (aof_part_t){mem_strdup(name), seq, 'b', 0};
        return;
    }
    add_part(m, bytes_str(name), seq, kind);
    for (at = m->count - 1; kind == 'i' && at > 0 && m->parts[at - 1].type == 'i' && m->parts[at - 1].seq > seq; at--) {
        aof_part_t later = m->parts[at - 1];
        m->parts[at - 1] = m->parts[at];
        m->parts[at] = later;
    }
}

int aof__manifest_write(aof_t *aof)
{
    buf_t text = BUF_INIT;
    for (size_t i = 0; i < aof->manifest.count; i++) {
        const aof_part_t *p = &aof->manifest.parts[i];
        buf_printf(&text, "file %s seq %" PRIu64 " type %c\n", p->name, p->seq, p->type);
    }
    char *path = manifest_path(aof);
    int err = 0;
    if (text.len > 0)
        err = io_replace_whole(aof->persist->loop, path, buf_bytes(&text));
    else if (io_exists(aof->persist->loop, path)) /* one that names nothing is refused */
        err = io_remove(aof->persist->loop, path);
    mem_free(path);
    buf_deinit(&text);
    return err;
}

aof_part_t aof__next_part(aof_t *aof, char type, const char *suffix)
{
    char name[300];
    uint64_t seq = type == 'b' ? ++aof->manifest.base_seq : ++aof->manifest.incr_seq;
    snprintf(name, sizeof(name), "%s.%" PRIu64 ".%s", aof->persist->config->appendfilename, seq, suffix);
    return (aof_part_t){mem_strdup(name), seq, type};
}

void aof__manifest_add_base(aof_t *aof, const char *name)
{
    add_part(&aof->manifest, bytes_str(name), aof->manifest.base_seq + 1, 'b');
}

static const char *add_next(aof_t *aof, char type, const char *suffix)
{
    aof_part_t part = aof__next_part(aof, type, suffix);
    add_part(&aof->manifest, bytes_str(part.name), part.seq, type);
    mem_free(part.name);
    return aof->manifest.parts[type == 'b' ? 0 : aof->manifest.count - 1].name;
}

static void drop_part(aof_manifest_t *m, char type)
{
    size_t at = type == 'b' ? 0 : m->count - 1;
    mem_free(m->parts[at].name);
    m->count--;
    memmove(m->parts + at, m->parts + at + 1, (m->count - at) * sizeof(*m->parts));
    if (type == 'i')
        m->incr_seq--;
    else
        m->base_seq--;
}

int aof__new_base(aof_t *aof)
{
    ASSERT(aof->manifest.count == 0);
    char *path = aof__path(aof, add_next(aof, 'b', "base.aof"));
    io_file_t *file = NULL;
    int err = io_file_open(aof->persist->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    mem_free(path);
    if (!err)
        io_file_close(file);
    else
        drop_part(&aof->manifest, 'b');
    return err;
}

int aof__begin_with(persist_t *persist, io_file_t *snapshot)
{
    aof_t *aof = persist->aof;
    ASSERT(aof->manifest.count == 0);
    char *path = aof__path(aof, add_next(aof, 'b', "base.rdb"));
    int err = io_file_size(snapshot, &aof->base_bytes);
    if (!err) err = io_copy_tail(persist->loop, snapshot, 0, aof->base_bytes, path);
    mem_free(path);
    if (err)
        drop_part(&aof->manifest, 'b');
    else
        err = aof__new_increment(aof);
    return err;
}

/* A file that no manifest on the disk may name yet has another name, so that it is never taken for one that was forgotten. */
static char *unlisted_path(const aof_t *aof)
{
    char name[300];
    snprintf(name, sizeof(name), "temp-%s.incr", aof->persist->config->appendfilename);
    return aof__path(aof, name);
}

int aof__list_increment(aof_t *aof)
{
    if (!aof->unlisted) return 0;
    char *from = unlisted_path(aof), *to = aof__path(aof, aof->manifest.parts[aof->manifest.count - 1].name);
    int err = io_rename(aof->persist->loop, from, to);
    mem_free(from);
    mem_free(to);
    return err;
}

int aof__new_increment(aof_t *aof)
{
    const char *name = add_next(aof, 'i', "incr.aof");
    char *path = aof->unlisted ? unlisted_path(aof) : aof__path(aof, name);
    io_file_t *file = NULL;
    int err = io_file_open(aof->persist->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &file);
    mem_free(path);
    if (!err && !aof->unlisted) err = aof__manifest_write(aof);
    if (err) {
        if (file) io_file_close(file);
        drop_part(&aof->manifest, 'i');
        return err;
    }
    if (aof->manifest.count > 1 && aof->manifest.parts[aof->manifest.count - 2].type == 'i')
        aof->manifest.parts[aof->manifest.count - 2].durable_bytes = aof->synced_bytes;
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
