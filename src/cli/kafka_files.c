/* kafka_files.c: the partitions of a data directory, which are plain logs with a few text files beside them: checked and mended
 * without the Kafka wing. */
#include "cli/cli_internal.h"
#include "log/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_BYTES_MAX MIB(64)

typedef struct partitions {
    cli_survey_t *survey;         /* checking */
    const cli_mending_t *mending; /* mending */
    io_loop_t *loop;
    char dir[CLI_PATH_CHARS_MAX];
    char *cleaned; /* cleaner-offset-checkpoint: these logs may have gaps */
    char name[256];
    int err;
} partitions_t;

/* "<topic>-<number>", and not a leftover. */
static bool is_partition(const char *name)
{
    const char *dash = strrchr(name, '-');
    return dash && dash > name && dash[1] && strspn(dash + 1, "0123456789") == strlen(dash + 1) && strlen(name) < 256;
}

static char *read_text(io_loop_t *loop, const char *dir, const char *name)
{
    char path[CLI_PATH_CHARS_MAX];
    uint8_t *data;
    size_t bytes;
    cli__path(dir, name, path);
    return io_read_whole(loop, path, TEXT_BYTES_MAX, &data, &bytes) == 0 ? (char *)data : NULL;
}

/* "topic number offset" is a line of the cleaner's checkpoint. */
static bool compacted(const partitions_t *p)
{
    char line[300];
    const char *dash = strrchr(p->name, '-');
    snprintf(line, sizeof(line), "\n%.*s %s ", (int)(dash - p->name), p->name, dash + 1);
    return p->cleaned && strstr(p->cleaned, line);
}

/* ---- checking ------------------------------------------------------------------------------------------------------- */

static void show_segment(void *user, const log_checked_t *c)
{
    partitions_t *p = user;
    char text[LOG_TEXT_CHARS_MAX], file[LOG_NAME_CHARS_MAX + 256];
    bool sound = c->damage.fault == LOG_SOUND;
    snprintf(file, sizeof(file), "%s/%s", p->name, c->file);
    if (sound && c->batches == 0)
        snprintf(text, sizeof(text), "empty, at offset %" PRId64, c->begin_offset);
    else if (sound)
        snprintf(text, sizeof(text), "%" PRIu64 " %s, offsets %" PRId64 " to %" PRId64, c->batches,
                 c->batches == 1 ? "batch" : "batches", c->begin_offset, c->end_offset - 1);
    else
        log_damage_text(&c->damage, text);
    cli__show(p->survey, file, sound ? NULL : text, text);
}

static void check_metadata(partitions_t *p, const char *dir)
{
    char file[300];
    snprintf(file, sizeof(file), "%s/partition.metadata", p->name);
    char *text = read_text(p->loop, dir, "partition.metadata");
    bool sound = text && strncmp(text, "version: 0\ntopic_id: ", 21) == 0 && strlen(text) >= 21 + 22;
    if (text && !sound) cli__show(p->survey, file, "is not 'version: 0' and a topic_id", "");
    mem_free(text);
}

static void check_partition(void *user, const char *name, bool is_dir)
{
    partitions_t *p = user;
    char dir[CLI_PATH_CHARS_MAX];
    if (p->err || !is_dir || !is_partition(name)) return;
    snprintf(p->name, sizeof(p->name), "%s", name);
    cli__path(p->dir, name, dir);
    check_metadata(p, dir);
    p->err = log_check(p->loop, dir, compacted(p), show_segment, p);
}

/* A checkpoint: version 0, the number of lines, "topic number offset" lines. */
static void check_checkpoint(partitions_t *p, const char *name)
{
    char *text = read_text(p->loop, p->dir, name), *at = text;
    if (!text) return;
    long version = strtol(at, &at, 10), count = strtol(at, &at, 10), lines = 0;
    for (char *line = *at == '\n' ? at + 1 : at, *end; *line && (end = strchr(line, '\n')); line = end + 1) {
        char topic[256];
        long number;
        long long offset;
        *end = '\0';
        if (sscanf(line, "%255s %ld %lld", topic, &number, &offset) == 3 && number >= 0 && offset >= 0) lines++;
    }
    bool sound = text[0] && version == 0 && count == lines;
    cli__show(p->survey, name, sound ? NULL : "is not a checkpoint: version 0, a count, and as many lines", "");
    mem_free(text);
}

static void check_meta_properties(partitions_t *p)
{
    char *text = read_text(p->loop, p->dir, "meta.properties");
    if (!text) return;
    bool known = strstr(text, "version=0\n") || strstr(text, "version=1\n");
    bool whole = strstr(text, "cluster.id=") && (strstr(text, "broker.id=") || strstr(text, "node.id="));
    cli__show(p->survey, "meta.properties",
              known && whole ? NULL : "has not version 0 or 1, a cluster.id and a broker.id", "");
    mem_free(text);
}

int cli__check_kafka(cli_survey_t *survey)
{
    static const char *const checkpoints[] = {"recovery-point-offset-checkpoint", "log-start-offset-checkpoint",
                                              "replication-offset-checkpoint", "cleaner-offset-checkpoint"};
    partitions_t p = {.survey = survey, .loop = survey->loop};
    survey->prefix = "kafka/";
    if (!cli__part(p.loop, survey->dir, "kafka", "meta.properties", p.dir)) return 0;
    check_meta_properties(&p);
    for (size_t i = 0; i < ARRAY_LEN(checkpoints); i++) check_checkpoint(&p, checkpoints[i]);
    p.cleaned = read_text(p.loop, p.dir, "cleaner-offset-checkpoint");
    int err = io_list_dir(p.loop, p.dir, check_partition, &p);
    mem_free(p.cleaned);
    return err ? err : p.err;
}

/* ---- mending -------------------------------------------------------------------------------------------------------- */

static void count_wrong(void *user, const log_checked_t *c)
{
    if (c->damage.fault != LOG_SOUND) *(bool *)user = true;
}

static void mend_partition(void *user, const char *name, bool is_dir)
{
    partitions_t *p = user;
    char dir[CLI_PATH_CHARS_MAX], line[600];
    bool wrong = false;
    log_mended_t mended;
    if (p->err || !is_dir || !is_partition(name)) return;
    snprintf(p->name, sizeof(p->name), "%s", name);
    cli__path(p->dir, name, dir);
    p->err = log_check(p->loop, dir, compacted(p), count_wrong, &wrong);
    if (p->err || !wrong) return;
    log_mending_t how = {p->mending->salvage, compacted(p), log_fill_empty, INT32_MAX};
    p->err = log_mend(p->loop, dir, &how, &mended);
    snprintf(line, sizeof(line),
             "kafka/%s: %" PRIu64 " batches kept, %" PRIu64 " valid ones dropped, %" PRIu64
             " lost offsets left empty; it ends at offset %" PRId64,
             name, mended.kept_batches, mended.lost_batches, mended.lost_offsets, mended.end_offset);
    cli__tell(NULL, line);
}

int cli__mend_kafka(const cli_mending_t *mending)
{
    partitions_t p = {.mending = mending, .loop = mending->loop};
    char path[CLI_PATH_CHARS_MAX];
    if (!cli__part(p.loop, mending->dir, "kafka", "meta.properties", p.dir)) return 0;
    /* The next start reads all of it, and holds it to no end that it had. */
    static const char *const forget[] = {".kafka_cleanshutdown", "recovery-point-offset-checkpoint",
                                         "replication-offset-checkpoint"};
    for (size_t i = 0; i < ARRAY_LEN(forget); i++) {
        cli__path(p.dir, forget[i], path);
        int err = io_remove(p.loop, path);
        if (err && err != ERR_NOT_FOUND) return err;
    }
    p.cleaned = read_text(p.loop, p.dir, "cleaner-offset-checkpoint");
    int err = io_list_dir(p.loop, p.dir, mend_partition, &p);
    mem_free(p.cleaned);
    return err ? err : p.err;
}
