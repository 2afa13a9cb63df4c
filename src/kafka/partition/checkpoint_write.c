/* checkpoint_write.c: how checkpoint files are written: a round collects the lines of all partitions, some at a time, and hands the texts
 * to the pool. One write is under way at a time: a round's, the cleaner's, or of what is void. */
#include "kafka/partition/checkpoint_internal.h"

#include "base/hash.h"
#include "base/num.h"

#include <stdio.h>

#define HEAD_CHARS_MAX 24 /* "0", a number of lines, and what ends them */
#define LINES_A_STEP   32

/* ---- texts ----------------------------------------------------------------------------------------------------------- */

static void text_begin(checkpoint_text_t *text)
{
    buf_clear(&text->buf);
    (void)buf_reserve(&text->buf, HEAD_CHARS_MAX);
    text->buf.len = HEAD_CHARS_MAX;
    text->count = 0;
    text->hash = 1;
}

static void text_add(checkpoint_text_t *text, const checkpoint_line_t *line, int64_t offset)
{
    if (offset < 0) return;
    size_t from = text->buf.len;
    char *out = (char *)buf_reserve(&text->buf, line->key_bytes + NUM_I64_CHARS_MAX + 2);
    memcpy(out, line->key, line->key_bytes);
    out[line->key_bytes] = ' ';
    size_t n = line->key_bytes + 1;
    n += num_format_i64(out + n, offset);
    out[n++] = '\n';
    text->buf.len = from + n;
    text->count++;
    text->hash += hash_bytes(out, n);
}

static bytes_t text_end(checkpoint_text_t *text)
{
    char head[HEAD_CHARS_MAX + 1];
    int n = snprintf(head, sizeof(head), "0\n%" PRIu32 "\n", text->count);
    uint8_t *from = text->buf.ptr + HEAD_CHARS_MAX - n;
    memcpy(from, head, (size_t)n);
    return bytes_of(from, text->buf.len - HEAD_CHARS_MAX + (size_t)n);
}

static void add_file(partition_checkpoints_t *c, const char *name, bytes_t data)
{
    ASSERT(c->files_count < CHECKPOINT_REPLACED_MAX);
    char *path = c->paths[c->files_count];
    checkpoint__path(c, name, path);
    c->files[c->files_count++] = (io_replacement_t){path, data};
}

/* Of the compacted partitions alone. */
static void add_cleaned(partition_checkpoints_t *c)
{
    text_begin(&c->cleaned_text);
    LIST_EACH(&c->cleaned, line, checkpoint_line_t, cleaned_node) text_add(&c->cleaned_text, line, line->at.cleaned);
    add_file(c, checkpoint__cleaned_file.name, text_end(&c->cleaned_text));
    c->cleaned_stale = false;
    list_splice_back(&c->cleaned_served, &c->cleaned_waiters);
}

static bytes_t void_text(partition_checkpoints_t *c)
{
    size_t cursor = 0;
    buf_clear(&c->void_text);
    for (map_entry_t *e; (e = map_next(&c->voided, &cursor));)
        buf_printf(&c->void_text, "%.*s\n", (int)e->key.len, (const char *)e->key.ptr);
    return buf_bytes(&c->void_text);
}

int checkpoint__void_write(partition_checkpoints_t *c)
{
    char path[PARTITION_PATH_CHARS_MAX];
    checkpoint__path(c, CHECKPOINT_VOID_NAME, path);
    int err = io_replace_whole(c->store->kafka->loop, path, void_text(c));
    c->void_stale = err != 0;
    return err;
}

/* The sums come first: see sums.c. Then the starts: what a recovery point promises below a log's start is not asked for. With one replica the high watermarks are for others to read: the log's end
 * is the truth. */
static void add_round(partition_checkpoints_t *c)
{
    bytes_t data[CHECKPOINT_TEXTS];
    bool changed[CHECKPOINT_TEXTS];
    for (size_t i = 0; i < CHECKPOINT_TEXTS; i++) {
        data[i] = text_end(&c->texts[i]);
        changed[i] = c->texts[i].hash != c->written_hash[i];
    }
    if (changed[CHECKPOINT_RECOVERY] || changed[CHECKPOINT_STARTS]) {
        partition__sums_next(c->store, data[CHECKPOINT_RECOVERY], data[CHECKPOINT_STARTS], c->sums, &c->sums_text);
        add_file(c, PARTITION_SUMS_NAME, buf_bytes(&c->sums_text));
        add_file(c, checkpoint__files[CHECKPOINT_STARTS].name, data[CHECKPOINT_STARTS]);
        add_file(c, checkpoint__files[CHECKPOINT_RECOVERY].name, data[CHECKPOINT_RECOVERY]);
    }
    if (changed[CHECKPOINT_WATERMARKS])
        add_file(c, checkpoint__files[CHECKPOINT_WATERMARKS].name, data[CHECKPOINT_WATERMARKS]);
    if (c->cleaned_stale) add_cleaned(c);
}

/* ---- the round ------------------------------------------------------------------------------------------------------- */

static void forget_left(partition_checkpoints_t *c)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&c->leaving, &cursor));)
        if (map_remove(&c->voided, e->key)) c->void_stale = true;
    map_deinit(&c->leaving);
    c->leaving = MAP_INIT;
}

static void round_ended(partition_checkpoints_t *c, int err)
{
    for (size_t i = 0; i < CHECKPOINT_TEXTS; i++) {
        if (!err) c->written_hash[i] = c->texts[i].hash;
        buf_deinit(&c->texts[i].buf);
        c->texts[i].buf = BUF_INIT;
    }
    if (err) {
        checkpoint__move_keys(&c->dropped, &c->leaving);
    } else {
        if (c->files_count > 0 && c->files[0].data.ptr == c->sums_text.ptr) partition__sums_keep(c->store, c->sums);
        forget_left(c);
    }
}

static void serve_cleaned(partition_checkpoints_t *c, int err)
{
    partition_cleaned_waiter_t *waiter;
    if (err) c->cleaned_stale = true;
    while ((waiter = LIST_FIRST(&c->cleaned_served, partition_cleaned_waiter_t, node))) {
        list_remove(&waiter->node);
        waiter->done(waiter, err);
    }
}

static void write_ended(partition_checkpoints_t *c, int err)
{
    checkpoint_write_t wrote = c->writing;
    c->writing = WRITES_NOTHING;
    if (wrote == WRITES_ROUND) round_ended(c, err);
    if (wrote == WRITES_VOID) c->void_stale = err != 0;
    serve_cleaned(c, err);
    if (!list_empty(&c->cleaned_waiters) || c->round_wanted || (c->void_stale && !err)) io_timer_start(&c->timer, 0, 0);
}

static void on_replaced(io_replace_t *replace, int err)
{
    partition_checkpoints_t *c = CONTAINER_OF(replace, partition_checkpoints_t, replace);
    write_ended(c, err);
    partition__checkpoints_told(c->store, err);
}

static void write_files(partition_checkpoints_t *c, checkpoint_write_t kind)
{
    c->writing = kind;
    if (c->files_count == 0)
        write_ended(c, 0);
    else
        io_replace_start(c->store->kafka->loop, &c->replace, c->files, c->files_count, on_replaced);
}

static void write_round(partition_checkpoints_t *c)
{
    c->files_count = 0;
    add_round(c);
    write_files(c, WRITES_ROUND);
}

/* Each line goes to the end of the list, so that those that come or go meanwhile do no harm. */
static bool collect_line(partition_checkpoints_t *c)
{
    checkpoint_line_t *line = LIST_FIRST(&c->all, checkpoint_line_t, node);
    if (!line || c->left == 0) return false;
    c->left--;
    list_remove(&line->node);
    list_push_back(&c->all, &line->node);
    checkpoint__refresh(line);
    for (size_t i = 0; i < CHECKPOINT_TEXTS; i++)
        text_add(&c->texts[i], line,
                 *(const int64_t *)(const void *)((const char *)&line->at + checkpoint__files[i].member));
    return true;
}

slice_state_t checkpoint__collect_step(slice_t *slice)
{
    partition_checkpoints_t *c = CONTAINER_OF(slice, partition_checkpoints_t, slice);
    for (int i = 0; i < LINES_A_STEP; i++) {
        if (collect_line(c)) continue;
        c->collecting = false;
        write_round(c);
        return SLICE_ENDED;
    }
    return SLICE_MORE;
}

static void round_begin(partition_checkpoints_t *c)
{
    c->round_wanted = false;
    checkpoint__move_keys(&c->leaving, &c->dropped);
    for (size_t i = 0; i < CHECKPOINT_TEXTS; i++) text_begin(&c->texts[i]);
    c->left = (uint32_t)c->lines.count;
    c->collecting = true;
}

void checkpoint__look(io_timer_t *timer)
{
    partition_checkpoints_t *c = CONTAINER_OF(timer, partition_checkpoints_t, timer);
    if (c->writing || c->collecting) return; /* who ends it looks again */
    c->files_count = 0;
    if (c->round_wanted) {
        round_begin(c);
        slice_run(&c->store->kafka->slices, &c->slice);
    } else if (c->cleaned_stale) {
        add_cleaned(c);
        write_files(c, WRITES_CLEANED);
    } else if (c->void_stale) {
        add_file(c, CHECKPOINT_VOID_NAME, void_text(c));
        write_files(c, WRITES_VOID);
    }
}

void partition__checkpoints_run(partition_checkpoints_t *c)
{
    c->round_wanted = true;
    checkpoint__look(&c->timer);
}

void checkpoint__interrupt_write(partition_checkpoints_t *c)
{
    if (!c->writing) return;
    io_replace_cancel(&c->replace);
    c->round_wanted |= c->writing == WRITES_ROUND;
    write_ended(c, ERR_CLOSED);
}

void checkpoint__interrupt(partition_checkpoints_t *c)
{
    checkpoint__interrupt_write(c);
    if (!c->collecting) return;
    slice_stop(&c->slice);
    c->collecting = false;
    round_ended(c, ERR_CLOSED);
}

int partition__checkpoints_write_now(partition_checkpoints_t *c)
{
    checkpoint__interrupt(c);
    round_begin(c);
    while (collect_line(c)) continue;
    c->files_count = 0;
    c->writing = WRITES_ROUND;
    add_round(c);
    int err = io_replace_files(c->store->kafka->loop, c->files, c->files_count);
    write_ended(c, err);
    return !err && c->void_stale ? checkpoint__void_write(c) : err;
}
