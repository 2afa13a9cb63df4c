/* data_file.c: see data_file.h. */
#include "redis/persist/data_file.h"
#include "redis/persist/persist.h"
#include "redis/redis.h"
#include "redis/types/emit.h"

#include "base/num.h"
#include "base/slog.h"

/* ---- commands -------------------------------------------------------------------------------------------------------- */

static void write_commands(data_file_t *f)
{
    struct iovec iov = {f->buf.ptr, f->buf.len};
    if (f->buf.len && !f->err) f->err = io_file_write(f->file, f->bytes, &iov, 1);
    f->bytes += f->buf.len;
    buf_clear(&f->buf);
    if (f->buf.cap > EMIT_SPILL_BYTES * 2) buf_deinit(&f->buf);
}

static void spill_commands(redis_emitter_t *e) { write_commands(e->user); }

static redis_emitter_t emitter_of(data_file_t *f)
{
    return (redis_emitter_t){.out = &f->buf, .spill = spill_commands, .user = f};
}

static void emit_value(redis_emitter_t *out, const redis_entry_t *e)
{
    char scratch[NUM_I64_CHARS_MAX];
    bytes_t key = entry_key(e);
    if (e->type != TYPE_STRING) {
        type_ops((redis_type_t)e->type)->emit(entry_value(e), (redis_encoding_t)e->encoding, key, out);
        return;
    }
    emit_command(out, 3);
    emit_str(out, "SET");
    emit_bytes(out, key);
    emit_bytes(out, string_text(e, scratch));
}

void data_file__emit_entry(redis_emitter_t *out, int *selected_db, const redis_db_t *db, const redis_entry_t *e)
{
    if (*selected_db != db->id) {
        emit_command(out, 2);
        emit_str(out, "SELECT");
        emit_i64(out, db->id);
        *selected_db = db->id;
    }
    emit_value(out, e);
    if (entry_expire_ms(e) < 0) return;
    emit_command(out, 3);
    emit_str(out, "PEXPIREAT");
    emit_bytes(out, entry_key(e));
    emit_i64(out, entry_expire_ms(e));
}

/* ---- beside the keys ------------------------------------------------------------------------------------------------- */

void data_file__put_function(redis_base_t *base, bytes_t code)
{
    data_file_t *f = base->user;
    if (f->form != DATA_COMMANDS) {
        rdb__file_put_function(&f->rdb, code);
        return;
    }
    redis_emitter_t out = emitter_of(f);
    emit_command(&out, 3);
    emit_str(&out, "FUNCTION");
    emit_str(&out, "LOAD");
    emit_bytes(&out, code);
}

static void put_piece(redis_emitter_t *e)
{
    data_file_t *f = e->user;
    rdb__file_put_aux(&f->rdb, RDB_AUX_COMMANDS, buf_bytes(e->out));
    buf_clear(e->out);
}

static void put_extras(data_file_t *f)
{
    persist_t *persist = f->persist;
    buf_t piece = BUF_INIT;
    redis_emitter_t into_rdb = {.out = &piece, .spill = put_piece, .user = f}, commands = emitter_of(f);
    redis_base_t *base = f->form == DATA_COMMANDS ? &commands : &into_rdb;
    for (int i = 0; i < persist->beside_count; i++) persist->beside[i].emit(persist->beside[i].user, base);
    if (piece.len) put_piece(&into_rdb);
    buf_deinit(&piece);
}

/* So that whoever reads it makes room at once. */
static void put_sizes(data_file_t *f)
{
    for (int i = 0; i < f->persist->keyspace->db_count; i++)
        if (table_count(&f->persist->keyspace->dbs[i].keys))
            rdb__file_put_sizes(&f->rdb, &f->persist->keyspace->dbs[i]);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

int data_file__open(data_file_t *f, persist_t *persist, char *path, data_form_t form)
{
    *f = (data_file_t){.persist = persist, .form = form, .path = path, .selected_db = -1};
    int err = io_file_open(persist->loop, path, IO_FILE_WRITE | IO_FILE_CREATE | IO_FILE_TRUNCATE, &f->file);
    if (err) {
        mem_free(path);
        *f = (data_file_t){0};
        return err;
    }
    if (form != DATA_COMMANDS) rdb__file_init(&f->rdb, persist->keyspace, f->file, form == DATA_RDB_BASE);
    put_extras(f);
    if (form != DATA_COMMANDS) put_sizes(f);
    return 0;
}

void data_file__put(data_file_t *f, const redis_db_t *db, const redis_entry_t *e)
{
    if (f->form == DATA_COMMANDS) {
        redis_emitter_t out = emitter_of(f);
        data_file__emit_entry(&out, &f->selected_db, db, e);
    } else {
        rdb__file_put_entry(&f->rdb, db, e);
        f->err = f->rdb.err;
    }
}

int data_file__end(data_file_t *f)
{
    if (f->form == DATA_COMMANDS) {
        write_commands(f);
    } else {
        f->err = rdb__file_end(&f->rdb);
        f->bytes = f->rdb.bytes;
    }
    return f->err;
}

void data_file__close(data_file_t *f)
{
    if (!f->file) return;
    io_file_close(f->file);
    if (f->path && io_remove(f->persist->loop, f->path))
        slog(SLOG_WARN, "redis", "cannot remove an unfinished file", "file=%s", f->path);
    mem_free(f->path);
    rdb__file_deinit(&f->rdb);
    buf_deinit(&f->buf);
    *f = (data_file_t){0};
}

size_t data_file__buffer_bytes(const data_file_t *f) { return f->buf.cap + f->rdb.buf.cap; }
