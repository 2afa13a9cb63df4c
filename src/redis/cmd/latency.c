/* latency.c: LATENCY: what the monitor has kept of slow events, and the histograms of latency-tracking. */
#include "redis/exec/state.h"
#include "redis/histogram.h"
#include "redis_commands.h"

#include <stdio.h>

/* ---- events ---------------------------------------------------------------------------------------------------------- */

void redis_cmd_latency_latest(redis_call_t *call)
{
    const latency_t *l = &call->redis->latency;
    reply_array(call->client, l->count);
    for (size_t i = 0; i < l->count; i++) {
        const latency_series_t *s = l->series[i];
        const latency_sample_t *last = latency_at(s, s->count - 1);
        reply_array(call->client, 4);
        reply_bulk_str(call->client, s->event);
        reply_int(call->client, last->at_s);
        reply_int(call->client, last->ms);
        reply_int(call->client, s->worst_ms);
    }
}

void redis_cmd_latency_history(redis_call_t *call)
{
    const latency_series_t *s = latency_find(&call->redis->latency, call->argv[2]);
    reply_array(call->client, s ? s->count : 0);
    for (size_t i = 0; s && i < s->count; i++) {
        reply_array(call->client, 2);
        reply_int(call->client, latency_at(s, i)->at_s);
        reply_int(call->client, latency_at(s, i)->ms);
    }
}

void redis_cmd_latency_reset(redis_call_t *call)
{
    size_t count = call->argc == 2 ? latency_reset(&call->redis->latency, BYTES_NULL) : 0;
    for (int i = 2; i < call->argc; i++) count += latency_reset(&call->redis->latency, call->argv[i]);
    reply_int(call->client, (int64_t)count);
}

/* ---- GRAPH: a column a sample, its age written downwards below it ------------------------------------------------------ */

enum { GRAPH_COLUMNS = 80, GRAPH_ROWS = 4, GRAPH_LABEL_CHARS = 24 };

typedef struct graph {
    const latency_series_t *series;
    int64_t now_s;
    latency_summary_t summary;
    size_t from, count; /* the samples of this part */
} graph_t;

static int graph_label(const graph_t *g, size_t i, char out[GRAPH_LABEL_CHARS])
{
    int64_t age = g->now_s - latency_at(g->series, g->from + i)->at_s;
    if (age < 60) return snprintf(out, GRAPH_LABEL_CHARS, "%" PRId64 "s", age);
    if (age < 3600) return snprintf(out, GRAPH_LABEL_CHARS, "%" PRId64 "m", age / 60);
    if (age < 86400) return snprintf(out, GRAPH_LABEL_CHARS, "%" PRId64 "h", age / 3600);
    return snprintf(out, GRAPH_LABEL_CHARS, "%" PRId64 "d", age / 86400);
}

/* Three heights within a row, and the column below its top. */
static char graph_char(const graph_t *g, size_t i, int row)
{
    static const char heights[] = "_o#";
    enum { HEIGHTS = sizeof(heights) - 1 };
    uint32_t ms = latency_at(g->series, g->from + i)->ms, range = g->summary.most_ms - g->summary.least_ms;
    double share = range ? (double)(ms - g->summary.least_ms) / range : 1;
    int step = MIN((int)(share * HEIGHTS * GRAPH_ROWS), HEIGHTS * GRAPH_ROWS - 1);
    int above = step - (GRAPH_ROWS - 1 - row) * HEIGHTS;
    return above < 0 ? ' ' : above < HEIGHTS ? heights[above] : '|';
}

static void put_graph_labels(const graph_t *g, buf_t *out)
{
    char label[GRAPH_LABEL_CHARS];
    for (int row = 0;; row++) {
        size_t before = out->len;
        bool any = false;
        for (size_t i = 0; i < g->count; i++) {
            bool has = row < graph_label(g, i, label);
            buf_u8(out, has ? (uint8_t)label[row] : ' ');
            any |= has;
        }
        if (!any) {
            out->len = before;
            return;
        }
        buf_u8(out, '\n');
    }
}

static void put_graph_part(const graph_t *g, buf_t *out)
{
    for (int row = 0; row < GRAPH_ROWS; row++) {
        for (size_t i = 0; i < g->count; i++) buf_u8(out, (uint8_t)graph_char(g, i, row));
        buf_u8(out, '\n');
    }
    buf_u8(out, '\n');
    put_graph_labels(g, out);
}

void redis_cmd_latency_graph(redis_call_t *call)
{
    bytes_t name = call->argv[2];
    graph_t g = {.series = latency_find(&call->redis->latency, name), .now_s = call->now_ms / 1000};
    if (!g.series) {
        reply_errorf(call->client, "ERR No samples available for event '%.*s'", (int)MIN(name.len, (size_t)128),
                     name.ptr);
        return;
    }
    buf_t text = BUF_INIT;
    g.summary = latency_summarize(g.series, g.now_s);
    buf_printf(&text, "%s - high %u ms, low %u ms (all time high %u ms)\n", g.series->event, g.summary.most_ms,
               g.summary.least_ms, g.series->worst_ms);
    for (int i = 0; i < GRAPH_COLUMNS; i++) buf_u8(&text, '-');
    buf_u8(&text, '\n');
    for (; g.from < g.series->count; g.from += g.count) {
        g.count = MIN(g.series->count - g.from, (size_t)GRAPH_COLUMNS);
        put_graph_part(&g, &text);
    }
    reply_verbatim(call->client, "txt", buf_bytes(&text));
    buf_deinit(&text);
}

/* ---- DOCTOR ---------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *event, *advice;
} advices[] = {
    {"command", "See in SLOWLOG GET which commands took long, and split what they do: ranges in place of whole "
                "collections, SCAN in place of KEYS."},
    {"fast-command", "Commands that cost nothing took long: the machine did not give this process its processor. Look "
                     "at its load and at its neighbours."},
    {"expire-cycle", "Many keys expire at the same time, or large ones do. Spread their times, or raise hz so that "
                     "each turn has less to do."},
    {"eviction-cycle", "Much has to be driven out at once. Raise maxmemory, or lower maxmemory-eviction-tenacity so "
                       "that one command drives out less."},
    {"aof-write",
     "The disk takes the append-only file's bytes slowly. Use a local disk, and see who else writes to it."},
    {"aof-fsync-always", "With appendfsync always each turn waits for the disk. A faster disk helps, or everysec if a "
                         "second's writes may be lost with the machine."},
};

static void put_advice(const latency_series_t *s, buf_t *out)
{
    for (size_t i = 0; i < ARRAY_LEN(advices); i++)
        if (strcmp(advices[i].event, s->event) == 0) buf_printf(out, "   %s\n", advices[i].advice);
}

static void put_report(const latency_t *l, int64_t now_s, buf_t *out)
{
    for (size_t i = 0; i < l->count; i++) {
        const latency_series_t *s = l->series[i];
        latency_summary_t r = latency_summarize(s, now_s);
        buf_printf(out,
                   "%zu. %s: %zu latency spikes (average %ums, mean deviation %ums, period %.2f sec). Worst all time "
                   "event %ums.\n",
                   i + 1, s->event, s->count, r.mean_ms, r.deviation_ms, (double)r.period_s / (double)s->count,
                   s->worst_ms);
        put_advice(s, out);
    }
}

void redis_cmd_latency_doctor(redis_call_t *call)
{
    const latency_t *l = &call->redis->latency;
    buf_t text = BUF_INIT;
    if (l->count)
        put_report(l, call->now_ms / 1000, &text);
    else if (call->config->latency_monitor_threshold == 0)
        buf_printf(&text, "Latency monitoring is disabled. CONFIG SET latency-monitor-threshold <milliseconds> enables "
                          "it.\n");
    else
        buf_printf(&text, "No latency spike was observed.\n");
    reply_verbatim(call->client, "txt", buf_bytes(&text));
    buf_deinit(&text);
}

/* ---- HISTOGRAM ------------------------------------------------------------------------------------------------------- */

/* Cumulative, by powers of two from a microsecond to a second; powers that add nothing are left out. */
static void reply_histogram(redis_client_t *c, const histogram_t *h)
{
    enum { NS_MIN = 1024 };
    uint64_t seen = 0;
    size_t pairs = 0;
    reply_map(c, 2);
    reply_bulk_str(c, "calls");
    reply_int(c, (int64_t)h->total);
    reply_bulk_str(c, "histogram_usec");
    reply_deferred_t d = reply_deferred_begin(c);
    for (uint64_t ns = NS_MIN; seen < h->total; ns *= 2) {
        uint64_t sum = histogram_up_to(h, ns);
        if (sum == seen) continue;
        reply_int(c, (int64_t)(histogram_top(ns) / 1000));
        reply_int(c, (int64_t)sum);
        seen = sum;
        pairs++;
    }
    reply_deferred_map(c, d, pairs);
}

/* A command's own and its subcommands' histograms; how many there are. */
static size_t reply_command(redis_call_t *call, const redis_command_t *command)
{
    const histogram_t *h = call->redis->command_stats[command->id].durations;
    size_t count = 0;
    if (h) {
        reply_bulk_str(call->client, command->full_name);
        reply_histogram(call->client, h);
        count++;
    }
    for (unsigned i = 0; i < command->subcommand_count; i++) count += reply_command(call, &command->subcommands[i]);
    return count;
}

static const redis_command_t *subcommand_named(redis_t *redis, bytes_t name)
{
    const uint8_t *bar = name.len ? memchr(name.ptr, '|', name.len) : NULL;
    if (!bar) return command__lookup(redis, name);
    bytes_t words[2] = {bytes_of(name.ptr, (size_t)(bar - name.ptr)),
                        bytes_of(bar + 1, (size_t)(bytes_end(name) - bar - 1))};
    const redis_command_t *command = command__lookup(redis, words[0]);
    return command && command->subcommand_count ? command__resolve(command, 2, words) : NULL;
}

void redis_cmd_latency_histogram(redis_call_t *call)
{
    size_t count = 0;
    reply_deferred_t d = reply_deferred_begin(call->client);
    for (unsigned i = 0; call->argc == 2 && i < redis_command_count; i++)
        count += reply_command(call, &redis_commands[i]);
    for (int i = 2; i < call->argc; i++) {
        const redis_command_t *command = subcommand_named(call->redis, call->argv[i]);
        if (command) count += reply_command(call, command);
    }
    reply_deferred_map(call->client, d, count);
}
