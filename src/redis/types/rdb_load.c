/* rdb_load.c: values read; see rdb_value.h. Each function takes what follows the type; on an error it has freed what it made. */
#include "redis/types/hash.h"
#include "redis/types/intset.h"
#include "redis/types/list.h"
#include "redis/types/rdb_value.h"
#include "redis/types/set.h"
#include "redis/types/zset.h"

#include <math.h>
#include <stdlib.h>

#define PAIRWISE_COUNT_MAX 64 /* so many are compared with each other; more go through a table */

void rdb_value_free(rdb_value_t *v)
{
    static const redis_type_ops_t *const ops[TYPE_COUNT] = {[TYPE_LIST] = &list_type_ops,
                                                            [TYPE_SET] = &set_type_ops,
                                                            [TYPE_ZSET] = &zset_type_ops,
                                                            [TYPE_HASH] = &hash_type_ops,
                                                            [TYPE_STREAM] = &stream_type_ops};
    if (ops[v->type] && v->value.ptr) ops[v->type]->free(v->value.ptr, v->value.encoding);
    v->value.ptr = NULL;
}

/* How many elements to make room for: no more than there can be in what is there. */
static size_t hint(const rdb_reader_t *r, uint64_t claimed) { return MIN(claimed, (size_t)(r->end - r->at) + 1); }

/* Frees what was made when there was an error, or nothing in it. */
static int end_of(int err, bool empty, rdb_value_t *v)
{
    if (!err && empty) err = ERR_NOT_FOUND;
    if (err) rdb_value_free(v);
    return err;
}

/* ---- packed: the images of listpacks --------------------------------------------------------------------------------- */

static size_t longest_of(const uint8_t *lp)
{
    size_t longest = 0;
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        lp_value_t v = lp_get(p);
        if (v.ptr) longest = MAX(longest, v.len);
    }
    return longest;
}

/* The first of every `stride` elements are all different. */
static bool distinct(const uint8_t *lp, unsigned stride)
{
    char room[NUM_I64_CHARS_MAX];
    size_t count = lp_count(lp) / stride;
    table_t *seen = count > PAIRWISE_COUNT_MAX ? pstr_table_new(count) : NULL;
    bool ok = true;
    for (const uint8_t *p = lp_first(lp); p && ok;) {
        bytes_t text = lp_text(p, room);
        const uint8_t *next = p;
        for (unsigned i = 0; next && i < stride; i++) next = lp_next(next);
        table_pos_t pos;
        ok = seen ? !pstr_find(seen, text, &pos) : !lp_find(next, text, stride - 1);
        if (seen && ok) {
            table_insert(seen, hash_bytes(text.ptr, text.len), pstr_new(text));
        }
        p = next;
    }
    if (seen) pstr_table_free(seen, pstr_entry_bytes);
    return ok;
}

/* A whole listpack of `stride` elements an item, each item's first unlike the others'. */
static int check_packed(const uint8_t *lp, unsigned stride)
{
    size_t count = lp_count(lp);
    if (count == 0) return ERR_NOT_FOUND;
    return count % stride == 0 && distinct(lp, stride) ? 0 : ERR_CORRUPT;
}

static void unpack_set(uint8_t *lp, const redis_config_t *config, value_t *ret)
{
    char room[NUM_I64_CHARS_MAX];
    *ret = set_new_for(lp_text(lp_first(lp), room), lp_count(lp), config);
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        bool added = set_add(ret, lp_text(p, room), config);
        ASSERT(added);
    }
    lp_free(lp);
}

static int set_of_listpack(uint8_t *lp, const redis_config_t *config, value_t *ret)
{
    int err = check_packed(lp, 1);
    if (err) {
        lp_free(lp);
    } else if (lp_count(lp) > config->set_max_listpack_entries || longest_of(lp) > config->set_max_listpack_value) {
        unpack_set(lp, config, ret);
    } else {
        *ret = (value_t){lp, ENC_LISTPACK};
    }
    return err;
}

static void unpack_hash(uint8_t *lp, const redis_config_t *config, value_t *ret)
{
    char room[NUM_I64_CHARS_MAX], value_room[NUM_I64_CHARS_MAX];
    *ret = hash_new();
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p)) {
        bytes_t field = lp_text(p, room);
        p = lp_next(p);
        hash_set(ret, field, lp_text(p, value_room), config);
    }
    lp_free(lp);
}

static int hash_of_listpack(uint8_t *lp, const redis_config_t *config, value_t *ret)
{
    int err = check_packed(lp, 2);
    if (err) {
        lp_free(lp);
    } else if (lp_count(lp) / 2 > config->hash_max_listpack_entries ||
               longest_of(lp) > config->hash_max_listpack_value) {
        unpack_hash(lp, config, ret);
    } else {
        *ret = (value_t){lp, ENC_LISTPACK};
    }
    return err;
}

/* The score as a number. False: it is none. */
static bool score_of(const uint8_t *p, double *ret)
{
    char text[64], *end;
    lp_value_t v = lp_get(p);
    if (!v.ptr) {
        *ret = (double)v.i64;
        return true;
    }
    if (v.len == 0 || v.len >= sizeof(text)) return false;
    memcpy(text, v.ptr, v.len);
    text[v.len] = '\0';
    *ret = strtod(text, &end);
    return *end == '\0' && !isnan(*ret);
}

/* Members stand in the order of their scores, and of their bytes where those are equal. */
static bool in_order(const uint8_t *lp)
{
    char rooms[2][NUM_I64_CHARS_MAX];
    bytes_t before = BYTES_NULL;
    double score_before = 0;
    bool first = true;
    int i = 0;
    for (const uint8_t *p = lp_first(lp); p; p = lp_next(p), first = false, i ^= 1) {
        double score;
        bytes_t member = lp_text(p, rooms[i]);
        p = lp_next(p);
        if (!score_of(p, &score)) return false;
        if (!first && (score < score_before || (score == score_before && bytes_cmp(before, member) >= 0))) return false;
        before = member;
        score_before = score;
    }
    return true;
}

static int zset_of_listpack(uint8_t *lp, const redis_config_t *config, value_t *ret)
{
    int err = check_packed(lp, 2);
    if (!err && !in_order(lp)) err = ERR_CORRUPT;
    if (err) {
        lp_free(lp);
        return err;
    }
    *ret = (value_t){lp, ENC_LISTPACK};
    if (lp_count(lp) / 2 > config->zset_max_listpack_entries || longest_of(lp) > config->zset_max_listpack_value)
        zset_unpack(ret);
    return 0;
}

typedef enum packing { PACKED_LISTPACK, PACKED_ZIPLIST, PACKED_ZIPMAP } packing_t;

static int get_listpack(rdb_reader_t *r, packing_t packing, uint8_t **ret)
{
    bytes_t image;
    int err = rdb_get_string(r, &image);
    if (err) return err;
    if (packing == PACKED_ZIPLIST) return rdb__listpack_of_ziplist(image, ret);
    if (packing == PACKED_ZIPMAP) return rdb__listpack_of_zipmap(image, ret);
    err = lp_validate(image);
    if (!err) *ret = lp_from_bytes(image);
    return err;
}

static int get_packed(rdb_reader_t *r, packing_t packing, const redis_config_t *config, rdb_value_t *ret)
{
    uint8_t *lp;
    int err = get_listpack(r, packing, &lp);
    if (err) return err;
    if (ret->type == TYPE_SET) return set_of_listpack(lp, config, &ret->value);
    if (ret->type == TYPE_HASH) return hash_of_listpack(lp, config, &ret->value);
    return zset_of_listpack(lp, config, &ret->value);
}

/* ---- one by one ------------------------------------------------------------------------------------------------------ */

static int get_set(rdb_reader_t *r, const redis_config_t *config, rdb_value_t *ret)
{
    uint64_t count;
    int err = rdb_get_length(r, &count);
    for (uint64_t i = 0; i < count && !err; i++) {
        bytes_t member;
        if ((err = rdb_get_string(r, &member))) break;
        if (!ret->value.ptr) ret->value = set_new_for(member, hint(r, count), config);
        if (!set_add(&ret->value, member, config)) err = ERR_CORRUPT;
    }
    return end_of(err, !ret->value.ptr, ret);
}

static int get_intset(rdb_reader_t *r, const redis_config_t *config, rdb_value_t *ret)
{
    bytes_t image;
    int err = rdb_get_string(r, &image);
    if (!err) err = intset_validate(image);
    if (err) return err;
    intset_t *s = intset_from_bytes(image);
    uint32_t count = intset_count(s);
    ret->value = (value_t){s, ENC_INTSET};
    if (count > config->set_max_intset_entries) set_expect(&ret->value, count, config);
    return end_of(0, count == 0, ret);
}

/* What stands behind the field's name. */
static int get_field(rdb_reader_t *r, bytes_t field, bool timed, const redis_config_t *config, value_t *v)
{
    bytes_t text;
    int64_t at_ms = HASH_NO_TIME;
    buf_t copy = BUF_INIT; /* the value must outlive the reading of its time */
    int err = rdb_get_string(r, &text);
    if (!err && timed) {
        buf_reserve(&copy, 1);
        buf_append(&copy, text.ptr, text.len);
        text = buf_bytes(&copy);
        err = rdb_get_i64(r, &at_ms);
    }
    if (!err && at_ms < HASH_NO_TIME) err = ERR_CORRUPT;
    if (!err && !hash_put(v, field, text, at_ms, config)) err = ERR_CORRUPT;
    buf_deinit(&copy);
    return err;
}

static int get_hash(rdb_reader_t *r, bool timed, const redis_config_t *config, rdb_value_t *ret)
{
    uint64_t count;
    buf_t field = BUF_INIT;
    int err = rdb_get_length(r, &count);
    if (!err && count) ret->value = hash_new();
    for (uint64_t i = 0; i < count && !err; i++) {
        bytes_t text;
        if ((err = rdb_get_string(r, &text))) break;
        buf_clear(&field); /* the field must outlive the reading of its value */
        buf_reserve(&field, 1);
        buf_append(&field, text.ptr, text.len);
        err = get_field(r, buf_bytes(&field), timed, config, &ret->value);
    }
    buf_deinit(&field);
    return end_of(err, !ret->value.ptr, ret);
}

static int get_item(rdb_reader_t *r, bool binary, zset_t *z)
{
    bytes_t member;
    double score;
    bool added;
    int err = rdb_get_string(r, &member);
    if (err) return err;
    zitem_t *item = zset_accumulate(z, member, 0, &added);
    err = binary ? rdb_get_double(r, &score) : rdb_get_double_text(r, &score);
    if (!err && (!added || isnan(score))) err = ERR_CORRUPT;
    if (!err) item->score = score;
    return err;
}

static int get_zset(rdb_reader_t *r, bool binary, const redis_config_t *config, rdb_value_t *ret)
{
    uint64_t count;
    int err = rdb_get_length(r, &count);
    if (err || count == 0) return err ? err : ERR_NOT_FOUND;
    zset_t *z = zset_begin();
    for (uint64_t i = 0; i < count && !err; i++) err = get_item(r, binary, z);
    ret->value = zset_finish(z);
    if (!err) zset_compact(&ret->value, config);
    return end_of(err, false, ret);
}

/* ---- lists ----------------------------------------------------------------------------------------------------------- */

static int get_list(rdb_reader_t *r, const redis_config_t *config, rdb_value_t *ret)
{
    uint64_t count;
    int err = rdb_get_length(r, &count);
    if (!err && count) ret->value = rlist_new();
    for (uint64_t i = 0; i < count && !err; i++) {
        bytes_t text;
        if ((err = rdb_get_string(r, &text))) break;
        rlist_expect(&ret->value, &text, 1, config);
        rlist_push(&ret->value, text, false);
    }
    return end_of(err, !ret->value.ptr, ret);
}

/* A node without elements is passed over. */
static int get_node(rdb_reader_t *r, packing_t packing, quicklist_t *ql)
{
    uint64_t container = RDB_NODE_PACKED;
    uint8_t *lp;
    bytes_t text;
    int err = packing == PACKED_LISTPACK ? rdb_get_length(r, &container) : 0;
    if (err) return err;
    if (container == RDB_NODE_PLAIN) {
        if (!(err = rdb_get_string(r, &text))) ql_append_plain(ql, text);
        return err;
    }
    if (container != RDB_NODE_PACKED) return ERR_CORRUPT;
    if ((err = get_listpack(r, packing, &lp))) return err;
    if (lp_first(lp))
        ql_append_listpack(ql, lp);
    else
        lp_free(lp);
    return 0;
}

static int get_nodes(rdb_reader_t *r, packing_t packing, const redis_config_t *config, rdb_value_t *ret)
{
    uint64_t count = 0;
    int err = rdb_get_length(r, &count);
    if (err) return err;
    quicklist_t *ql = rlist_nodes_begin(config);
    ret->value = (value_t){ql, ENC_QUICKLIST};
    for (uint64_t i = 0; i < count && !err; i++) err = get_node(r, packing, ql);
    if (!err && ql->count) rlist_nodes_end(&ret->value, config);
    return end_of(err, !err && rlist_length(ret->value) == 0, ret);
}

/* Stays a quicklist, as in the original. */
static int get_ziplist(rdb_reader_t *r, const redis_config_t *config, rdb_value_t *ret)
{
    quicklist_t *ql = rlist_nodes_begin(config);
    ret->value = (value_t){ql, ENC_QUICKLIST};
    int err = get_node(r, PACKED_ZIPLIST, ql);
    return end_of(err, !err && ql->count == 0, ret);
}

/* ---- all ------------------------------------------------------------------------------------------------------------- */

int rdb_get_value(rdb_reader_t *r, uint8_t rdb_type, const redis_config_t *config, rdb_value_t *ret)
{
    static const uint8_t types[] = {
        [RDB_LIST] = TYPE_LIST,           [RDB_SET] = TYPE_SET,
        [RDB_ZSET] = TYPE_ZSET,           [RDB_HASH] = TYPE_HASH,
        [RDB_ZSET_2] = TYPE_ZSET,         [RDB_HASH_ZIPMAP] = TYPE_HASH,
        [RDB_LIST_ZIPLIST] = TYPE_LIST,   [RDB_SET_INTSET] = TYPE_SET,
        [RDB_ZSET_ZIPLIST] = TYPE_ZSET,   [RDB_HASH_ZIPLIST] = TYPE_HASH,
        [RDB_LIST_QUICKLIST] = TYPE_LIST, [RDB_HASH_LISTPACK] = TYPE_HASH,
        [RDB_ZSET_LISTPACK] = TYPE_ZSET,  [RDB_LIST_QUICKLIST_2] = TYPE_LIST,
        [RDB_SET_LISTPACK] = TYPE_SET,    [RDB_STREAM] = TYPE_STREAM,
        [RDB_STREAM_2] = TYPE_STREAM,     [RDB_STREAM_3] = TYPE_STREAM,
        [RDB_HASH_2] = TYPE_HASH,
    };
    *ret = (rdb_value_t){.type = rdb_type < ARRAY_LEN(types) ? (redis_type_t)types[rdb_type] : TYPE_STRING};
    switch (rdb_type) {
    case RDB_STRING: return rdb_get_string(r, &ret->text);
    case RDB_LIST: return get_list(r, config, ret);
    case RDB_SET: return get_set(r, config, ret);
    case RDB_ZSET:
    case RDB_ZSET_2: return get_zset(r, rdb_type == RDB_ZSET_2, config, ret);
    case RDB_HASH:
    case RDB_HASH_2: return get_hash(r, rdb_type == RDB_HASH_2, config, ret);
    case RDB_HASH_ZIPMAP: return get_packed(r, PACKED_ZIPMAP, config, ret);
    case RDB_LIST_ZIPLIST: return get_ziplist(r, config, ret);
    case RDB_SET_INTSET: return get_intset(r, config, ret);
    case RDB_ZSET_ZIPLIST:
    case RDB_HASH_ZIPLIST: return get_packed(r, PACKED_ZIPLIST, config, ret);
    case RDB_LIST_QUICKLIST: return get_nodes(r, PACKED_ZIPLIST, config, ret);
    case RDB_LIST_QUICKLIST_2: return get_nodes(r, PACKED_LISTPACK, config, ret);
    case RDB_HASH_LISTPACK:
    case RDB_ZSET_LISTPACK:
    case RDB_SET_LISTPACK: return get_packed(r, PACKED_LISTPACK, config, ret);
    case RDB_STREAM:
    case RDB_STREAM_2:
    case RDB_STREAM_3: return end_of(rdb__get_stream(r, rdb_type, &ret->value), false, ret);
    default: return rdb_type == RDB_MODULE || rdb_type == RDB_MODULE_2 ? ERR_UNSUPPORTED : ERR_CORRUPT;
    }
}
