/* rdb_entry.c: one key's value. See rdb.h.
 *
 *     DUMP's payload   | type u8 | value | version u16 | CRC-64 of all before |      little-endian */
#include "redis/db/evict.h"
#include "redis/persist/rdb.h"

#include "base/crc64.h"
#include "base/hash.h"

#define DUMP_FOOT_BYTES 10

uint8_t rdb__entry_type(const redis_entry_t *e)
{
    return (uint8_t)rdb_type_of((redis_type_t)e->type, (redis_encoding_t)e->encoding);
}

void rdb__put_entry_value(rdb_writer_t *w, const redis_entry_t *e)
{
    if (e->type != TYPE_STRING)
        rdb_put_value(w, (redis_type_t)e->type, value_of(e));
    else if (e->encoding == ENC_INT)
        rdb_put_integer(w, entry_int(e));
    else
        rdb_put_string(w, entry_string(e));
}

void rdb__dump(const redis_entry_t *e, buf_t *out)
{
    rdb_writer_t w = {.out = out, .compress = true};
    rdb_put_u8(&w, rdb__entry_type(e));
    rdb__put_entry_value(&w, e);
    rdb__seal_as(out, rdb__entry_type(e) == RDB_HASH_2 ? RDB_VERSION_VALKEY : RDB_VERSION);
}

void rdb__seal(buf_t *payload) { rdb__seal_as(payload, RDB_VERSION); }

void rdb__seal_as(buf_t *payload, unsigned version)
{
    rdb_writer_t w = {.out = payload};
    store_le16(buf_reserve(payload, DUMP_FOOT_BYTES), (uint16_t)version);
    payload->len += 2;
    rdb_put_i64(&w, (int64_t)crc64(0, payload->ptr, payload->len));
}

bool rdb__version_is_read(const redis_config_t *config, unsigned version)
{
    return version <= RDB_VERSION_MAX || version == RDB_VERSION_VALKEY || config->rdb_version_relaxed;
}

int rdb__check_dump(const redis_config_t *config, bytes_t payload, bytes_t *ret_body)
{
    if (payload.len < DUMP_FOOT_BYTES) return ERR_CORRUPT;
    const uint8_t *foot = payload.ptr + payload.len - DUMP_FOOT_BYTES;
    if (!rdb__version_is_read(config, load_le16(foot))) return ERR_CORRUPT;
    if (!config->checksums_skipped && crc64(0, payload.ptr, payload.len - 8) != load_le64(foot + 2)) return ERR_CORRUPT;
    *ret_body = bytes_of(payload.ptr, payload.len - DUMP_FOOT_BYTES);
    return 0;
}

redis_entry_t *rdb__add(redis_db_t *db, bytes_t key, const rdb_value_t *v)
{
    uint64_t hash = hash_bytes(key.ptr, key.len);
    if (v->type == TYPE_STRING) return db__add_string(db, key, hash, v->text, STRING_BEST);
    return db__add(db, key, hash, v->type, v->value.encoding, v->value.ptr);
}

void rdb__set_lfu(keyspace_t *k, redis_entry_t *e, uint8_t counter)
{
    if (evict__is_lfu(k)) evict__set_lfu(k, e, counter);
}

void rdb__set_idle_s(keyspace_t *k, redis_entry_t *e, uint64_t idle_s)
{
    if (evict__is_lfu(k)) return;
    e->access = (k->lru_clock - (uint32_t)MIN(idle_s, (uint64_t)ENTRY_ACCESS_MAX)) & ENTRY_ACCESS_MAX;
}
