/* wal.c: see wal.h. Used by quorum.c alone. */
#include "coord/raft/wal.h"
#include "coord/raft/path.h"

#include <stdio.h>

#define CONTROL_BIT       0x20
#define RAFT_COMMAND_TYPE 1 /* enum raft_entry_type's RAFT_COMMAND */
#define RAFT_BARRIER_TYPE 2 /* and RAFT_BARRIER, which changes nothing */
#define SEGMENT_BYTES_MAX MIB(64)
#define AHEAD_BYTES       KIB(256) /* a commit of one small entry then seldom writes more than the page it is in */
#define SET_ASIDE_MAX     1000     /* logs that were, by the same index */

static int open_log(io_loop_t *loop, const char *dir, const log_recovery_t *recovery, log_t **ret_log)
{
    char path[PATH_CHARS_MAX];
    log_options_t options = log_options_default;
    options.segment_bytes_max = SEGMENT_BYTES_MAX;
    options.segment_age_ms_max = INT64_MAX;
    options.file_delete_delay_ms = 0;
    options.ahead_bytes = AHEAD_BYTES;
    path_in(dir, "log", path);
    return log_open(loop, path, &options, recovery, ret_log);
}

static int64_t durable_of(const batch_header_t *batch) { return batch->producer_id; }

/* Opens the log as it is. `durable`: the mark's. One entry less may be there, for a disk that lied about its last write. */
static int recover(io_loop_t *loop, const char *dir, const wal_need_t *need, uint64_t durable,
                   quorum_opening_t *opening, log_t **ret_log)
{
    char boot[PATH_CHARS_MAX], text[LOG_TEXT_CHARS_MAX];
    log_report_t report;
    log_recovery_t recovery = {.start_offset = -1, .scan_from = INT64_MAX, .durable_of = durable_of, .report = &report};
    if (durable > need->first + 1) recovery.end_min = (int64_t)durable - 1;
    path_in(dir, "boot", boot);
    int err = io_boot_changed(loop, boot, &recovery.power_lost);
    if (!err) err = open_log(loop, dir, &recovery, ret_log);
    if (err == ERR_DAMAGED) {
        log_damage_text(&report.damage, text);
        quorum_opening_why(opening, "in its directory log: %s", text);
    }
    if (err) return err;
    if (report.cut_file[0]) {
        log_cut_text(&report, text);
        quorum_opening_warn(opening, "log/%s", text);
    }
    return io_boot_keep(loop, boot);
}

static int refuse_gap(const wal_t *wal, const wal_need_t *need, quorum_opening_t *opening)
{
    uint64_t first = wal_first(wal);
    if (need->first == 1)
        quorum_opening_why(
            opening, "the log begins with entry %" PRIu64 ", and there is no snapshot of what came before", first);
    else
        quorum_opening_why(opening,
                           "the log begins with entry %" PRIu64 ", and the snapshot ends with entry %" PRIu64
                           ": the entries between are missing",
                           first, need->first - 1);
    return ERR_DAMAGED;
}

/* A server alone takes a snapshot only of entries that its log has on the disk. */
static int refuse_short(const wal_t *wal, const wal_need_t *need, quorum_opening_t *opening)
{
    quorum_opening_why(opening,
                       "the log ends with entry %" PRIu64 ", and the snapshot is of entry %" PRIu64
                       ": log files are missing, or the snapshot is another server's",
                       wal_end(wal) - 1, need->first - 1);
    return ERR_DAMAGED;
}

/* Does the log join on to what was read from a snapshot? */
static int fit(wal_t *wal, const wal_need_t *need, uint64_t durable, quorum_opening_t *opening)
{
    uint64_t first = wal_first(wal), end = wal_end(wal);
    bool holds = log_bytes(wal->log) > 0;
    if (end < need->end) {
        quorum_opening_why(opening, "the log ends with entry %" PRIu64 ", before that", end - 1);
        return ERR_DAMAGED;
    }
    if (first > need->first) return refuse_gap(wal, need, opening);
    if (end >= need->first) return 0;
    bool new = need->first == 1 && !holds;
    if (!new && need->alone && (holds || durable == 0 || durable > need->first))
        return refuse_short(wal, need, opening);
    return holds ? wal_set_aside(wal, need->first) : log_truncate_all(wal->log, (int64_t)need->first);
}

static int open_mark(wal_t *wal, const char *path, uint64_t durable, quorum_opening_t *opening)
{
    uint64_t end = wal_end(wal);
    if (durable > end)
        quorum_opening_warn(opening, "entry %" PRIu64 " had been acknowledged, and is the write that was torn", end);
    /* What a killed process left in the page cache is not durable yet: the first sync will say so. */
    return mark_open(wal->loop, path, durable, wal->sync ? MIN(durable, end) : 0, &wal->mark);
}

int wal_open(io_loop_t *loop, const char *dir, const wal_need_t *need, quorum_opening_t *opening, wal_t *ret_wal)
{
    char mark[PATH_CHARS_MAX];
    uint64_t durable;
    wal_t wal = {.loop = loop, .sync = need->sync, .window = BUF_INIT, .dir = mem_strdup(dir)};
    path_in(dir, "durable", mark);
    int err = mark_read(loop, mark, &durable);
    if (err == ERR_CORRUPT) {
        quorum_opening_warn(opening, "the file durable is damaged and was made anew");
        err = 0;
    }
    if (!err) err = recover(loop, dir, need, durable, opening, &wal.log);
    if (!err) err = fit(&wal, need, durable, opening);
    if (!err) err = open_mark(&wal, mark, durable, opening);
    if (err) {
        (void)!wal_close(&wal);
        return err;
    }
    *ret_wal = wal;
    return 0;
}

int wal_close(wal_t *wal)
{
    uint64_t end = wal->log != NULL ? wal_end(wal) : 0;
    int err = wal->log != NULL ? log_close(wal->log) : ERR_STATE;
    if (!err && wal->mark.file && wal->sync) err = mark_lower(&wal->mark, end);
    buf_deinit(&wal->window);
    mark_close(&wal->mark);
    mem_free(wal->dir);
    return err;
}

uint64_t wal_first(const wal_t *wal) { return (uint64_t)log_start_offset(wal->log); }
uint64_t wal_end(const wal_t *wal) { return (uint64_t)log_end_offset(wal->log); }

/* ---- one entry as a batch ------------------------------------------------------------------------------------------ */

static size_t varint_put(uint8_t *out, int64_t v)
{
    uint64_t zigzag = ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
    size_t n = 0;
    for (; zigzag >= 0x80; zigzag >>= 7) out[n++] = (uint8_t)(zigzag | 0x80);
    out[n++] = (uint8_t)zigzag;
    return n;
}

static bool varint_get(const uint8_t **at, const uint8_t *end, int64_t *ret_v)
{
    uint64_t v = 0;
    for (int shift = 0; *at < end && shift < 64; shift += 7) {
        uint8_t byte = *(*at)++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret_v = (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
            return true;
        }
    }
    return false;
}

/* Writes the record's head so that it ends where the payload begins; returns its size. */
static size_t put_record_head(uint8_t *payload, uint8_t type, size_t payload_bytes)
{
    uint8_t inner[24];
    size_t n = 0;
    inner[n++] = 0;                 /* attributes */
    inner[n++] = 0;                 /* timestamp delta */
    inner[n++] = 0;                 /* offset delta */
    n += varint_put(inner + n, -1); /* key: null */
    n += varint_put(inner + n, (int64_t)payload_bytes + 1);
    inner[n++] = type;
    uint8_t length[10];
    size_t m = varint_put(length, (int64_t)(n + payload_bytes + WAL_TAIL_BYTES));
    memcpy(payload - n, inner, n);
    memcpy(payload - n - m, length, m);
    return n + m;
}

static void put_batch_head(uint8_t *batch, size_t bytes, uint64_t index, uint64_t term, uint8_t type, int64_t wall_ms,
                           int64_t durable)
{
    batch_header_t header = BATCH_HEADER_NONE;
    header.base_offset = (int64_t)index;
    header.leader_epoch = (int32_t)term;
    header.attributes = type == RAFT_COMMAND_TYPE ? 0 : CONTROL_BIT;
    header.base_timestamp = header.max_timestamp = wall_ms;
    header.producer_id = durable; /* durable_of */
    header.count = 1;
    batch_header_write(batch, &header);
    batch_seal(batch, bytes);
}

static int append(wal_t *wal, uint8_t *batch, size_t bytes, uint64_t term)
{
    int64_t base;
    int err = log_append(wal->log, batch, bytes, (int32_t)term, &base);
    if (err != ERR_NOSPACE || !wal->reserve) return err;
    if (io_reserve_give(wal->reserve, bytes)) err = log_append(wal->log, batch, bytes, (int32_t)term, &base);
    if (err == ERR_NOSPACE && io_reserve_give(wal->reserve, wal->reserve->bytes))
        err = log_append(wal->log, batch, bytes, (int32_t)term, &base);
    return err;
}

int wal_append(wal_t *wal, uint64_t index, uint64_t term, uint8_t type, uint8_t *buf, size_t payload_bytes)
{
    ASSERT(index == wal_end(wal) && term <= INT32_MAX);
    uint8_t *payload = buf + WAL_HEADROOM_BYTES;
    payload[payload_bytes] = 0; /* no headers */
    size_t head = put_record_head(payload, type, payload_bytes);
    uint8_t *batch = payload - head - BATCH_HEADER_BYTES;
    ASSERT(batch >= buf);
    size_t bytes = BATCH_HEADER_BYTES + head + payload_bytes + WAL_TAIL_BYTES;
    put_batch_head(batch, bytes, index, term, type, io_wall_ms(wal->loop), log_durable_offset(wal->log));
    return append(wal, batch, bytes, term);
}

void wal_fill(int64_t from, int64_t to, int32_t term, buf_t *out)
{
    for (int64_t index = from; index < to; index++) {
        uint8_t buf[WAL_HEADROOM_BYTES + WAL_TAIL_BYTES], *payload = buf + WAL_HEADROOM_BYTES;
        payload[0] = 0; /* no headers */
        size_t head = put_record_head(payload, RAFT_BARRIER_TYPE, 0);
        size_t bytes = BATCH_HEADER_BYTES + head + WAL_TAIL_BYTES;
        uint8_t *batch = payload - head - BATCH_HEADER_BYTES;
        put_batch_head(batch, bytes, (uint64_t)index, (uint64_t)term, RAFT_BARRIER_TYPE, 0, 0);
        buf_append(out, batch, bytes);
    }
}

/* The value of the batch's one record. */
static int parse_entry(bytes_t batch, const batch_header_t *head, wal_entry_t *ret_entry)
{
    const uint8_t *at = batch.ptr + BATCH_HEADER_BYTES, *end = batch.ptr + batch.len;
    int64_t length, ts, delta, key, value;
    if (!varint_get(&at, end, &length) || at == end) return ERR_CORRUPT;
    at++; /* attributes */
    if (!varint_get(&at, end, &ts) || !varint_get(&at, end, &delta) || !varint_get(&at, end, &key)) return ERR_CORRUPT;
    if (key != -1 || !varint_get(&at, end, &value) || value < 1 || value > end - at) return ERR_CORRUPT;
    *ret_entry = (wal_entry_t){(uint64_t)head->base_offset, (uint64_t)head->leader_epoch, at[0],
                               bytes_of(at + 1, (size_t)value - 1)};
    return 0;
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int load_window(wal_t *wal, uint64_t index, size_t bytes_max)
{
    log_slice_t slice;
    int err = log_find(wal->log, (int64_t)index, log_end_offset(wal->log), bytes_max, true, &slice);
    if (err) return err;
    buf_clear(&wal->window);
    if (!slice.segment) return 0;
    ssize_t n = io_file_read(slice.file, slice.position, buf_reserve(&wal->window, slice.bytes), slice.bytes);
    log_slice_release(slice.segment);
    if (n < 0) return (int)n;
    if ((size_t)n < slice.bytes) return ERR_TRUNCATED;
    wal->window.len = slice.bytes;
    return 0;
}

int wal_read(wal_t *wal, uint64_t index, uint64_t last, size_t bytes_max,
             int (*each)(void *user, const wal_entry_t *entry), void *user, uint64_t *ret_next)
{
    int err = load_window(wal, index, bytes_max);
    if (err) return err;
    bytes_t left = buf_bytes(&wal->window);
    uint64_t next = index;
    while (left.len > 0 && next <= last) {
        batch_header_t head;
        wal_entry_t entry;
        err = batch_header_read(left, &head);
        if (err) return err;
        size_t bytes = batch_bytes(&head);
        if (bytes > left.len || (uint64_t)head.base_offset != next) return ERR_CORRUPT;
        err = parse_entry(bytes_of(left.ptr, bytes), &head, &entry);
        if (!err) err = each(user, &entry);
        if (err) return err;
        left = bytes_of(left.ptr + bytes, left.len - bytes);
        next++;
    }
    *ret_next = next;
    return next == index ? ERR_NOT_FOUND : 0;
}

static int lower_mark(wal_t *wal, uint64_t index)
{
    return wal->mark.file != NULL && wal->mark.durable > index ? mark_lower(&wal->mark, index) : 0;
}

int wal_truncate(wal_t *wal, uint64_t index)
{
    int err = lower_mark(wal, index);
    return err ? err : log_truncate_to(wal->log, (int64_t)index);
}

int wal_restart(wal_t *wal, uint64_t index)
{
    int err = lower_mark(wal, index);
    return err ? err : log_truncate_all(wal->log, (int64_t)index);
}

static int rename_log(const wal_t *wal, uint64_t index)
{
    char from[PATH_CHARS_MAX], to[PATH_CHARS_MAX];
    int err = ERR_NOT_EMPTY;
    path_in(wal->dir, "log", from);
    for (int n = 1; n <= SET_ASIDE_MAX && (err == ERR_NOT_EMPTY || err == ERR_EXISTS); n++) {
        int chars = snprintf(to, sizeof(to), "%s.cut-%" PRIu64 "-%d", from, index, n);
        ASSERT(chars > 0 && chars < PATH_CHARS_MAX);
        err = io_exists(wal->loop, to) ? ERR_EXISTS : io_rename(wal->loop, from, to);
    }
    return err ? err : io_sync_dir(wal->loop, wal->dir);
}

int wal_set_aside(wal_t *wal, uint64_t index)
{
    log_recovery_t recovery = {.start_offset = -1, .scan_from = INT64_MAX};
    int err = lower_mark(wal, index);
    if (err) return err;
    err = log_close(wal->log);
    wal->log = NULL;
    if (!err) err = rename_log(wal, index);
    if (!err) err = open_log(wal->loop, wal->dir, &recovery, &wal->log);
    return err ? err : log_truncate_all(wal->log, (int64_t)index);
}

void wal_synced(wal_t *wal)
{
    if (wal->sync) mark_raise(&wal->mark, (uint64_t)log_durable_offset(wal->log));
}

int wal_trim(wal_t *wal, uint64_t index)
{
    if ((int64_t)index <= log_start_offset(wal->log)) return 0;
    uint32_t deleted;
    int err = log_advance_start(wal->log, (int64_t)index);
    if (err) return err;
    return log_maintain(wal->log, io_wall_ms(wal->loop), (int64_t)index, &deleted);
}
