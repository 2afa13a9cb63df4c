/* rdb_save.c: values written; see rdb_value.h. */
#include "redis/types/hash.h"
#include "redis/types/intset.h"
#include "redis/types/list.h"
#include "redis/types/rdb_value.h"
#include "redis/types/set.h"
#include "redis/types/zset.h"

rdb_type_t rdb_type_of(redis_type_t type, redis_encoding_t encoding)
{
    bool packed = encoding == ENC_LISTPACK;
    switch (type) {
    case TYPE_LIST: return RDB_LIST_QUICKLIST_2;
    case TYPE_SET: return encoding == ENC_INTSET ? RDB_SET_INTSET : packed ? RDB_SET_LISTPACK : RDB_SET;
    case TYPE_ZSET: return packed ? RDB_ZSET_LISTPACK : RDB_ZSET_2;
    case TYPE_HASH:
        if (encoding == ENC_HASHTABLE_TIMED) return RDB_HASH_2;
        return packed ? RDB_HASH_LISTPACK : RDB_HASH;
    case TYPE_STREAM: return RDB_STREAM_3;
    default: ASSERT(type == TYPE_STRING); return RDB_STRING;
    }
}

static bytes_t lp_image(const uint8_t *lp) { return bytes_of(lp, lp_bytes(lp)); }

static void put_node(rdb_writer_t *w, bool plain, bytes_t image)
{
    rdb_put_length(w, plain ? RDB_NODE_PLAIN : RDB_NODE_PACKED);
    rdb_put_string(w, image);
}

static void put_list(rdb_writer_t *w, value_t v)
{
    if (v.encoding == ENC_LISTPACK) {
        rdb_put_length(w, 1);
        put_node(w, false, lp_image(v.ptr));
        return;
    }
    const quicklist_t *ql = v.ptr;
    buf_t scratch = BUF_INIT;
    rdb_put_length(w, ql->nodes_count);
    for (const ql_node_t *node = ql->head; node; node = node->next)
        put_node(w, node->plain, ql_node_image(node, &scratch));
    buf_deinit(&scratch);
}

static void put_member(void *writer, bytes_t member) { rdb_put_string(writer, member); }

static void put_set(rdb_writer_t *w, value_t v)
{
    rdb_put_length(w, set_length(v));
    set_each(v, put_member, w);
}

/* From the greatest score to the least: whoever reads it inserts each at the front of what there is. */
static void put_zset(rdb_writer_t *w, value_t v)
{
    char room[NUM_I64_CHARS_MAX];
    bytes_t member;
    double score;
    size_t count = zset_length(v);
    rdb_put_length(w, count);
    zset_cursor_t at = zset_at(v, count - 1);
    for (; zset_get(&at, room, &member, &score); zset_prev(&at)) {
        rdb_put_string(w, member);
        rdb_put_double(w, score);
    }
}

typedef struct field_writer {
    rdb_writer_t *w;
    bool timed;
} field_writer_t;

static void put_field(void *user, const hash_item_t *item)
{
    const field_writer_t *f = user;
    rdb_put_string(f->w, item->field);
    rdb_put_string(f->w, item->text);
    if (f->timed) rdb_put_i64(f->w, item->at_ms);
}

static void put_hash(rdb_writer_t *w, value_t v)
{
    rdb_put_length(w, hash_length(v));
    hash_each_item(v, put_field, &(field_writer_t){w, v.encoding == ENC_HASHTABLE_TIMED});
}

void rdb_put_value(rdb_writer_t *w, redis_type_t type, value_t v)
{
    if (type == TYPE_LIST) {
        put_list(w, v);
    } else if (type == TYPE_STREAM) {
        rdb__put_stream(w, v.ptr);
    } else if (v.encoding == ENC_LISTPACK) {
        rdb_put_string(w, lp_image(v.ptr));
    } else if (v.encoding == ENC_INTSET) {
        rdb_put_string(w, intset_bytes(v.ptr));
    } else if (type == TYPE_SET) {
        put_set(w, v);
    } else if (type == TYPE_ZSET) {
        put_zset(w, v);
    } else {
        ASSERT(type == TYPE_HASH);
        put_hash(w, v);
    }
}
