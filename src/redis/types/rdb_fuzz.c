/* rdb_fuzz.c: any bytes are a value or an error. A value that was read has as many elements as it says, and what it is written
 * as reads back. The input is the value with its type in front. */
#include "redis/redis.h"
#include "redis/types/rdb_value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const redis_type_ops_t *ops_of(redis_type_t type)
{
    return type == TYPE_LIST     ? &list_type_ops
           : type == TYPE_SET    ? &set_type_ops
           : type == TYPE_ZSET   ? &zset_type_ops
           : type == TYPE_STREAM ? &stream_type_ops
                                 : &hash_type_ops;
}

static size_t length_of(const rdb_value_t *v) { return ops_of(v->type)->length(v->value.ptr, v->value.encoding); }

static void write_and_read(const rdb_value_t *v, const redis_config_t *config)
{
    buf_t out = BUF_INIT;
    rdb_writer_t w = {.out = &out, .compress = true};
    rdb_put_value(&w, v->type, v->value);
    rdb_reader_t r = rdb_reader_of(buf_bytes(&out));
    rdb_value_t back;
    int err = rdb_get_value(&r, (uint8_t)rdb_type_of(v->type, v->value.encoding), config, &back);
    ASSERT(!err && r.at == r.end && back.type == v->type && length_of(&back) == length_of(v));
    rdb_value_free(&back);
    rdb_reader_deinit(&r);
    buf_deinit(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static redis_config_t *config;
    rdb_value_t v;
    if (!config) config = redis_config_new();
    if (size == 0) return 0;
    rdb_reader_t r = rdb_reader_of(bytes_of(data + 1, size - 1));
    if (!rdb_get_value(&r, data[0], config, &v) && v.type != TYPE_STRING) {
        ASSERT(length_of(&v) > 0 || v.type == TYPE_STREAM);
        write_and_read(&v, config);
        rdb_value_free(&v);
    }
    rdb_reader_deinit(&r);
    return 0;
}
