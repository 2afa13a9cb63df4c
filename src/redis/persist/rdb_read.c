/* rdb_read.c: an RDB file read back, some keys a step. See rdb.h. The file is seen through a window, `buf`, which moves on as
 * the reader asks for more; the checksum follows what the window leaves behind. */
#include "redis/persist/rdb.h"
#include "redis/persist/replay.h"

#include "redis/persist/persist.h"
#include "redis/types/emit.h"
#include "redis/types/hash.h"

#include "base/crc64.h"
#include "base/slog.h"

#include <stdio.h>

#define READ_BYTES       KIB(256)
#define WINDOW_BYTES_MAX MIB(1) /* kept between steps */
#define STEP_ITEMS       256
#define CHECKSUM_SINCE   5 /* the version */
#define NAME_VALKEY      "VALKEY"
#define NAME_REDIS       "REDIS"

struct rdb_loader {
    persist_t *persist;
    replay_t replay; /* the commands that it carries beside the keys */
    redis_db_t *db;
    io_file_t *file;
    const char *name;
    unsigned flags;
    bool begun;
    unsigned version;
    rdb_reader_t reader;
    buf_t buf;             /* the window; the reader points into it */
    uint64_t read_bytes;   /* of the file, into the window */
    const uint8_t *summed; /* the checksum has all before this */
    uint64_t crc;
    /* of the next key */
    int64_t expire_ms, idle_s;
    int freq;
    uint64_t rested_keys, due_ns; /* key-load-delay */
    rdb_loaded_t loaded;
};

/* ---- the window ------------------------------------------------------------------------------------------------------ */

static void sum_up(rdb_loader_t *l)
{
    l->crc = crc64(l->crc, l->summed, (size_t)(l->reader.at - l->summed));
    l->summed = l->reader.at;
}

static int read_some(rdb_loader_t *l, size_t wanted)
{
    /* No more than twice what is there at once: a length that the file does not hold must not cost its memory. */
    size_t step = MAX((size_t)READ_BYTES, MIN(wanted, l->buf.len));
    int err = buf_try_reserve(&l->buf, step);
    if (err) return err;
    ssize_t n = io_file_read(l->file, l->read_bytes, l->buf.ptr + l->buf.len, step);
    if (n <= 0) return n < 0 ? (int)n : ERR_TRUNCATED;
    l->buf.len += (size_t)n;
    l->read_bytes += (uint64_t)n;
    return 0;
}

static int more(rdb_reader_t *r, size_t bytes)
{
    rdb_loader_t *l = CONTAINER_OF(r, rdb_loader_t, reader);
    int err = 0;
    sum_up(l);
    if (l->buf.ptr) buf_consume(&l->buf, (size_t)(r->at - l->buf.ptr));
    if (l->buf.len == 0 && l->buf.cap > WINDOW_BYTES_MAX) buf_deinit(&l->buf);
    while (l->buf.len < bytes && !err) err = read_some(l, bytes - l->buf.len);
    r->at = l->summed = l->buf.ptr;
    r->end = r->at + l->buf.len;
    return err;
}

static uint64_t offset_of(const rdb_loader_t *l) { return l->read_bytes - (uint64_t)(l->reader.end - l->reader.at); }

/* ---- messages -------------------------------------------------------------------------------------------------------- */

static int say(const rdb_loader_t *l, int err, const char *what, char *out, size_t out_bytes)
{
    snprintf(out, out_bytes, "%s at byte %" PRIu64 ": %s", l->name, offset_of(l), what);
    return err;
}

/* ---- the pieces ------------------------------------------------------------------------------------------------------ */

static void forget_key(rdb_loader_t *l)
{
    l->expire_ms = l->idle_s = -1;
    l->freq = -1;
}

bool rdb__is_magic(const uint8_t *data, size_t len)
{
    return (len >= 5 && memcmp(data, NAME_REDIS, 5) == 0) || (len >= 6 && memcmp(data, NAME_VALKEY, 6) == 0);
}

static int read_magic(rdb_loader_t *l)
{
    int err = more(&l->reader, RDB_MAGIC_BYTES);
    if (err) return err;
    const uint8_t *p = l->reader.at;
    if (!rdb__is_magic(p, RDB_MAGIC_BYTES)) return ERR_INVALID;
    for (size_t i = p[0] == 'V' ? 6 : 5; i < RDB_MAGIC_BYTES; i++) {
        if (p[i] < '0' || p[i] > '9') return ERR_INVALID;
        l->version = l->version * 10 + (unsigned)(p[i] - '0');
    }
    l->reader.at += RDB_MAGIC_BYTES;
    return l->version && rdb__version_is_read(l->persist->config, l->version) ? 0 : ERR_UNSUPPORTED;
}

static int read_times(rdb_loader_t *l, uint8_t op)
{
    int32_t seconds;
    int err = op == RDB_OP_EXPIRE_MS ? rdb_get_i64(&l->reader, &l->expire_ms) : rdb_get_i32(&l->reader, &seconds);
    if (!err && op == RDB_OP_EXPIRE_S) l->expire_ms = (int64_t)seconds * 1000;
    return err ? err : l->expire_ms < 0 ? ERR_CORRUPT : 0;
}

static int read_select(rdb_loader_t *l)
{
    uint64_t id;
    int err = rdb_get_length(&l->reader, &id);
    if (err) return err;
    if (l->flags & RDB_LOAD_CHECK) return 0;
    if (id >= (uint64_t)l->persist->keyspace->db_count) return ERR_LIMIT;
    l->db = &l->persist->keyspace->dbs[id];
    return 0;
}

/* Lengths that are only hints. */
static int skip_lengths(rdb_loader_t *l, int count)
{
    uint64_t ignored;
    int err = 0;
    for (int i = 0; i < count && !err; i++) err = rdb_get_length(&l->reader, &ignored);
    return err;
}

/* Runs what of the commands has come whole; they may be cut anywhere. */
static int run_commands(rdb_loader_t *l, bytes_t piece)
{
    bool hungry = false;
    int err = 0;
    if (l->flags & RDB_LOAD_CHECK) return 0;
    buf_append(&l->replay.buf, piece.ptr, piece.len);
    while (!hungry && !err) err = replay__run(&l->replay, STEP_ITEMS, &hungry);
    return err;
}

static int read_function(rdb_loader_t *l)
{
    bytes_t code;
    int err = rdb_get_string(&l->reader, &code);
    if (err) return err;
    buf_t command = BUF_INIT;
    redis_emitter_t e = {&command};
    emit_command(&e, 3);
    emit_str(&e, "FUNCTION");
    emit_str(&e, "LOAD");
    emit_bytes(&e, code);
    err = run_commands(l, buf_bytes(&command));
    buf_deinit(&command);
    return err;
}

/* What the server that wrote it says of itself, and what this one keeps beside the keys. */
static int read_aux(rdb_loader_t *l)
{
    bytes_t text;
    int err = rdb_get_string(&l->reader, &text);
    if (err) return err;
    bool of_key = bytes_eq(text, BYTES_LIT(RDB_AUX_KEY_COMMANDS));
    bool beside = bytes_eq(text, BYTES_LIT(RDB_AUX_COMMANDS)) && !(l->flags & RDB_LOAD_KEYS_ONLY);
    err = rdb_get_string(&l->reader, &text);
    return err || !(of_key || beside) ? err : run_commands(l, text);
}

static void add_key(rdb_loader_t *l, bytes_t key, const rdb_value_t *v)
{
    redis_entry_t *e = rdb__add(l->db, key, v);
    if (l->expire_ms >= 0) e = db__set_expire(l->db, e, l->expire_ms);
    if (l->idle_s >= 0) rdb__set_idle_s(l->persist->keyspace, e, (uint64_t)l->idle_s);
    if (l->freq >= 0) rdb__set_lfu(l->persist->keyspace, e, (uint8_t)l->freq);
    l->loaded.keys++;
}

/* Fields whose time is over are left out, unless commands follow that may speak of them. ERR_NOT_FOUND: no field is left. */
static int drop_fields(const rdb_loader_t *l, rdb_value_t *v)
{
    bytes_t field;
    if (v->type != TYPE_HASH || l->flags & RDB_LOAD_BASE) return 0;
    while (hash_first_over(v->value, l->persist->keyspace->now_ms, &field)) hash_delete(&v->value, field);
    if (hash_length(v->value) == 0) {
        rdb_value_free(v);
        return ERR_NOT_FOUND;
    }
    hash_settle(&v->value);
    return 0;
}

static int read_key(rdb_loader_t *l, uint8_t type)
{
    bytes_t text;
    rdb_value_t v;
    int err = rdb_get_string(&l->reader, &text);
    if (err) return err;
    buf_t key = BUF_INIT; /* it outlives the reading of the value */
    buf_reserve(&key, 1);
    buf_append(&key, text.ptr, text.len);
    err = rdb_get_value(&l->reader, type, l->persist->config, &v);
    if (!err) err = drop_fields(l, &v);
    bool checks = l->flags & RDB_LOAD_CHECK;
    bool over = l->expire_ms >= 0 && l->expire_ms < l->persist->keyspace->now_ms && !(l->flags & RDB_LOAD_BASE);
    if (err == ERR_NOT_FOUND) {
        l->loaded.empty++;
        err = 0;
    } else if (!err && checks) {
        l->loaded.keys++;
        rdb_value_free(&v);
    } else if (!err && over) {
        l->loaded.expired++;
        rdb_value_free(&v);
    } else if (!err && !(l->flags & RDB_LOAD_REPLACE) && db__find(l->db, buf_bytes(&key))) {
        rdb_value_free(&v);
        err = ERR_EXISTS;
    } else if (!err) {
        if (l->flags & RDB_LOAD_REPLACE) db__delete(l->db, buf_bytes(&key));
        add_key(l, buf_bytes(&key), &v);
    }
    buf_deinit(&key);
    forget_key(l);
    return err;
}

/* The checksum, which files before version 5 do not have, and 0 says that nobody made one. */
static int read_end(rdb_loader_t *l)
{
    int64_t stored;
    sum_up(l);
    if (!(l->flags & RDB_LOAD_CHECK) && replay__is_midway(&l->replay)) return ERR_CORRUPT;
    if (l->version < CHECKSUM_SINCE) return 0;
    uint64_t crc = l->crc;
    int err = rdb_get_i64(&l->reader, &stored);
    if (err) return err;
    return stored == 0 || (uint64_t)stored == crc ? 0 : ERR_CORRUPT;
}

static int read_use(rdb_loader_t *l, uint8_t op)
{
    uint64_t idle_s = 0;
    uint8_t freq = 0;
    int err = op == RDB_OP_IDLE ? rdb_get_length(&l->reader, &idle_s) : rdb_get_u8(&l->reader, &freq);
    if (op == RDB_OP_IDLE)
        l->idle_s = (int64_t)MIN(idle_s, (uint64_t)INT64_MAX);
    else
        l->freq = freq;
    return err;
}

static int read_item(rdb_loader_t *l, bool *ret_done)
{
    uint8_t op;
    int err = rdb_get_u8(&l->reader, &op);
    if (err) return err;
    switch (op) {
    case RDB_OP_EXPIRE_MS:
    case RDB_OP_EXPIRE_S: return read_times(l, op);
    case RDB_OP_IDLE:
    case RDB_OP_FREQ: return read_use(l, op);
    case RDB_OP_SELECTDB: return read_select(l);
    case RDB_OP_RESIZEDB: return skip_lengths(l, 2);
    case RDB_OP_SLOT_INFO: return skip_lengths(l, 3);
    case RDB_OP_AUX: return read_aux(l);
    case RDB_OP_FUNCTION: return read_function(l);
    case RDB_OP_MODULE_AUX:
    case RDB_OP_FUNCTION_OLD: return ERR_UNSUPPORTED;
    case RDB_OP_EOF: *ret_done = true; return read_end(l);
    default: return read_key(l, op);
    }
}

static int explain(const rdb_loader_t *l, int err, char *out, size_t out_bytes)
{
    switch (err) {
    case ERR_TRUNCATED: return say(l, err, "the snapshot ends early", out, out_bytes);
    case ERR_CORRUPT: return say(l, err, "the snapshot is damaged", out, out_bytes);
    case ERR_EXISTS: return say(l, ERR_CORRUPT, "a key stands there twice", out, out_bytes);
    case ERR_LIMIT: return say(l, err, "a database of a higher number than 'databases' allows", out, out_bytes);
    case ERR_INVALID: return say(l, err, "this is no snapshot of a Redis or Valkey", out, out_bytes);
    case ERR_UNSUPPORTED:
        return say(l, err, "a snapshot with modules' data, or of a newer format than is known here", out, out_bytes);
    default: return say(l, err, err_text(err), out, out_bytes);
    }
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

rdb_loader_t *rdb__loader_new(persist_t *persist, io_file_t *file, const char *name, unsigned flags)
{
    rdb_loader_t *l = mem_zalloc(sizeof(*l));
    l->persist = persist;
    l->file = file;
    l->name = name;
    l->flags = flags;
    l->reader.more = more;
    forget_key(l);
    if (flags & RDB_LOAD_CHECK) return l;
    replay__init(&l->replay, persist);
    l->db = &persist->keyspace->dbs[0];
    return l;
}

void rdb__loader_free(rdb_loader_t *l)
{
    if (!(l->flags & RDB_LOAD_CHECK)) replay__deinit(&l->replay);
    rdb_reader_deinit(&l->reader);
    buf_deinit(&l->buf);
    mem_free(l);
}

/* key-load-delay: each key takes its time. */
static bool must_rest(rdb_loader_t *l)
{
    int64_t delay_us = l->persist->config->key_load_delay_us;
    if (LIKELY(delay_us <= 0)) return false;
    uint64_t now_ns = io_hrtime_ns(l->persist->loop);
    if (l->loaded.keys != l->rested_keys) l->due_ns = now_ns + (uint64_t)delay_us * 1000;
    l->rested_keys = l->loaded.keys;
    return now_ns < l->due_ns;
}

int rdb__loader_step(rdb_loader_t *l, bool *ret_done, char *err_out, size_t err_bytes)
{
    int err = l->begun ? 0 : read_magic(l);
    l->begun = true;
    *ret_done = false;
    for (int i = 0; i < STEP_ITEMS && !err && !*ret_done && !must_rest(l); i++) err = read_item(l, ret_done);
    l->loaded.bytes = offset_of(l);
    return err ? explain(l, err, err_out, err_bytes) : 0;
}

rdb_loaded_t rdb__loader_result(const rdb_loader_t *l) { return l->loaded; }

int rdb__load(persist_t *persist, io_file_t *file, const char *name, unsigned flags, rdb_loaded_t *ret, char *err_out,
              size_t err_bytes)
{
    rdb_loader_t *l = rdb__loader_new(persist, file, name, flags);
    bool done = false;
    int err = 0;
    while (!err && !done) err = rdb__loader_step(l, &done, err_out, err_bytes);
    *ret = l->loaded;
    rdb__loader_free(l);
    return err;
}
