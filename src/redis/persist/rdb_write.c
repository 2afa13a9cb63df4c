/* rdb_write.c: a data set written as an RDB file, entry by entry. See rdb.h. */
#include "redis/db/evict.h"
#include "redis/persist/rdb.h"
#include "redis/redis.h"
#include "redis/types/emit.h"
#include "redis/types/stream_idmp.h"

#include "base/crc64.h"

#include <stdio.h>

/* What is in the buffer goes to the file. */
static void spill(rdb_writer_t *w)
{
    rdb_file_t *f = CONTAINER_OF(w, rdb_file_t, writer);
    struct iovec iov = {f->buf.ptr, f->buf.len};
    f->crc = crc64(f->crc, f->buf.ptr, f->buf.len);
    if (f->buf.len && !f->err) f->err = io_file_write(f->file, f->bytes, &iov, 1);
    f->bytes += f->buf.len;
    buf_clear(&f->buf);
    if (f->buf.cap > RDB_SPILL_BYTES * 2) buf_deinit(&f->buf);
}

void rdb__file_put_aux(rdb_file_t *f, const char *name, bytes_t value)
{
    rdb_put_u8(&f->writer, RDB_OP_AUX);
    rdb_put_string(&f->writer, bytes_str(name));
    rdb_put_string(&f->writer, value);
}

static void put_aux_number(rdb_file_t *f, const char *name, int64_t v)
{
    rdb_put_u8(&f->writer, RDB_OP_AUX);
    rdb_put_string(&f->writer, bytes_str(name));
    rdb_put_integer(&f->writer, v);
}

/* What is written is what there is now. */
static bool has_timed_fields(const keyspace_t *keyspace)
{
    for (int i = 0; i < keyspace->db_count; i++)
        if (keyspace->dbs[i].clocks.count) return true;
    return false;
}

void rdb__file_init(rdb_file_t *f, keyspace_t *keyspace, io_file_t *file, bool is_base)
{
    *f = (rdb_file_t){.keyspace = keyspace, .file = file, .selected_db = -1};
    f->writer = (rdb_writer_t){.out = &f->buf, .compress = keyspace->config->rdbcompression, .spill = spill};
    f->timed_fields = has_timed_fields(keyspace);
    if (f->timed_fields)
        buf_printf(&f->buf, "VALKEY%03d", RDB_VERSION_VALKEY);
    else
        buf_printf(&f->buf, "REDIS%04d", RDB_VERSION);
    rdb__file_put_aux(f, "redis-ver", BYTES_LIT(REDIS_VERSION));
    put_aux_number(f, "redis-bits", 64);
    put_aux_number(f, "ctime", keyspace->now_ms / 1000);
    put_aux_number(f, "aof-base", is_base);
    /* No used-mem: nobody needs it, and a simulated run must write the same bytes when it is replayed. */
}

void rdb__file_deinit(rdb_file_t *f) { buf_deinit(&f->buf); }

void rdb__file_put_function(rdb_file_t *f, bytes_t code)
{
    rdb_put_u8(&f->writer, RDB_OP_FUNCTION);
    rdb_put_string(&f->writer, code);
}

static void select_db(rdb_file_t *f, int id)
{
    if (f->selected_db == id) return;
    rdb_put_u8(&f->writer, RDB_OP_SELECTDB);
    rdb_put_length(&f->writer, (uint64_t)id);
    f->selected_db = id;
}

void rdb__file_put_sizes(rdb_file_t *f, const redis_db_t *db)
{
    select_db(f, db->id);
    rdb_put_u8(&f->writer, RDB_OP_RESIZEDB);
    rdb_put_length(&f->writer, table_count(&db->keys));
    rdb_put_length(&f->writer, table_count(&db->expires));
}

static void put_use(rdb_file_t *f, const redis_entry_t *e)
{
    if (evict__is_lru(f->keyspace)) {
        rdb_put_u8(&f->writer, RDB_OP_IDLE);
        rdb_put_length(&f->writer, evict__idle_s(f->keyspace, e));
    } else if (evict__is_lfu(f->keyspace)) {
        rdb_put_u8(&f->writer, RDB_OP_FREQ);
        rdb_put_u8(&f->writer, evict__lfu(f->keyspace, e));
    }
}

/* What RDB's streams have no place for follows the key, as commands. */
static void put_messages(rdb_file_t *f, const redis_db_t *db, const redis_entry_t *e)
{
    const stream_t *s = entry_value(e);
    buf_t commands = BUF_INIT;
    redis_emitter_t out = {.out = &commands};
    if (!s->idmp) return;
    emit_command(&out, 2);
    emit_str(&out, "SELECT");
    emit_i64(&out, db->id);
    stream_idmp_emit(s, entry_key(e), &out);
    rdb__file_put_aux(f, RDB_AUX_KEY_COMMANDS, buf_bytes(&commands));
    buf_deinit(&commands);
}

void rdb__file_put_entry(rdb_file_t *f, const redis_db_t *db, const redis_entry_t *e)
{
    select_db(f, db->id);
    int64_t at_ms = entry_expire_ms(e);
    if (at_ms >= 0) {
        rdb_put_u8(&f->writer, RDB_OP_EXPIRE_MS);
        rdb_put_i64(&f->writer, at_ms);
    }
    put_use(f, e);
    ASSERT(f->timed_fields || rdb__entry_type(e) != RDB_HASH_2);
    rdb_put_u8(&f->writer, rdb__entry_type(e));
    rdb_put_string(&f->writer, entry_key(e));
    rdb__put_entry_value(&f->writer, e);
    if (e->type == TYPE_STREAM) put_messages(f, db, e);
    if (f->buf.len >= RDB_SPILL_BYTES) spill(&f->writer);
}

int rdb__file_end(rdb_file_t *f)
{
    rdb_put_u8(&f->writer, RDB_OP_EOF);
    spill(&f->writer);
    rdb_put_i64(&f->writer, f->keyspace->config->rdbchecksum ? (int64_t)f->crc : 0);
    spill(&f->writer);
    return f->err;
}
