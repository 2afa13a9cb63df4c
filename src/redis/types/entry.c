/* entry.c: see entry.h and entry_alloc.h. */
#include "redis/types/entry_alloc.h"

#include "base/num.h"

redis_entry_t *entry__new(bytes_t key, redis_type_t type, redis_encoding_t encoding, uint8_t flags, size_t embedded_len)
{
    redis_entry_t *e = mem_small_alloc(entry__round(entry__bytes(flags, key.len, embedded_len)));
    *e = (redis_entry_t){
        .type = type,
        .encoding = encoding,
        .flags = flags,
        .key_len = (uint8_t)MIN(key.len, (size_t)ENTRY_LONG_KEY),
        .str_len = (uint16_t)embedded_len,
    };
    if (flags & ENTRY_WORD) entry_set_int(e, 0);
    if (flags & ENTRY_EXPIRES) entry__set_expire(e, -1);
    if (UNLIKELY(key.len >= ENTRY_LONG_KEY)) store_le32(e->rest + entry__key_offset(flags), (uint32_t)key.len);
    if (key.len) memcpy((uint8_t *)entry_key(e).ptr, key.ptr, key.len);
    return e;
}

void entry__free_value(redis_entry_t *e)
{
    if (!(e->flags & ENTRY_WORD)) return;
    if (e->type != TYPE_STRING)
        type_ops((redis_type_t)e->type)->free(entry_value(e), (redis_encoding_t)e->encoding);
    else if (e->encoding != ENC_INT)
        mem_free(entry_value(e));
}

void entry__free(redis_entry_t *e)
{
    entry__free_value(e);
    entry__release(e);
}

redis_entry_t *entry__with_expiry_room(redis_entry_t *e)
{
    size_t embedded = e->flags & ENTRY_WORD ? 0 : e->str_len, word = e->flags & ENTRY_WORD;
    size_t bytes = entry__bytes(e->flags, entry_key(e).len, embedded), head = sizeof(*e) + word;
    redis_entry_t *to = mem_small_alloc(entry__round(bytes + 8));
    memcpy(to, e, head);
    to->flags |= ENTRY_EXPIRES;
    entry__set_expire(to, -1);
    memcpy(to->rest + word + 8, e->rest + word, bytes - head);
    entry__release(e);
    return to;
}

bytes_t string_text(const redis_entry_t *e, char *scratch)
{
    if (e->encoding == ENC_INT) return bytes_of(scratch, num_format_i64(scratch, entry_int(e)));
    return entry_string(e);
}

/* ---- names and sizes ------------------------------------------------------------------------------------------------- */

const redis_type_ops_t *type_ops(redis_type_t type)
{
    switch (type) {
    case TYPE_LIST: return &list_type_ops;
    case TYPE_SET: return &set_type_ops;
    case TYPE_ZSET: return &zset_type_ops;
    case TYPE_HASH: return &hash_type_ops;
    case TYPE_STREAM: return &stream_type_ops;
    default: return NULL;
    }
}

const char *type_name(redis_type_t type)
{
    const redis_type_ops_t *ops = type_ops(type);
    return ops ? ops->name : "string";
}

const char *encoding_name(redis_encoding_t encoding)
{
    static const char *const names[ENC_COUNT] = {
        [ENC_RAW] = "raw",
        [ENC_INT] = "int",
        [ENC_EMBSTR] = "embstr",
        [ENC_LISTPACK] = "listpack",
        [ENC_QUICKLIST] = "quicklist",
        [ENC_HASHTABLE] = "hashtable",
        [ENC_INTSET] = "intset",
        [ENC_SKIPLIST] = "skiplist",
        [ENC_STREAM] = "stream",
        [ENC_HASHTABLE_TIMED] = "hashtable",
    };
    return names[encoding];
}

size_t entry_memory_bytes(const redis_entry_t *e, size_t samples)
{
    size_t bytes = entry__size(e);
    if (!(e->flags & ENTRY_WORD)) return bytes;
    if (e->type == TYPE_STRING) return e->encoding == ENC_INT ? bytes : bytes + mem_usable(entry_value(e));
    return bytes +
           type_ops((redis_type_t)e->type)->memory_bytes(entry_value(e), (redis_encoding_t)e->encoding, samples);
}
