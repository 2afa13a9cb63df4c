/* entry.c: see entry.h and entry_alloc.h. */
#include "redis/types/entry_alloc.h"

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
    static const redis_type_ops_t *const ops[TYPE_COUNT] = {[TYPE_LIST] = &list_type_ops,
                                                            [TYPE_SET] = &set_type_ops,
                                                            [TYPE_ZSET] = &zset_type_ops,
                                                            [TYPE_HASH] = &hash_type_ops,
                                                            [TYPE_STREAM] = &stream_type_ops};
    if (!(e->flags & ENTRY_WORD)) return;
    if (e->type != TYPE_STRING)
        ops[e->type]->free(entry_value(e), (redis_encoding_t)e->encoding);
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
