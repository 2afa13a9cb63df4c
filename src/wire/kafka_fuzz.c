/* Feeds hostile bytes to every message's decoder; what decodes must encode and decode again to the same
 * bytes. */
#include "kafka_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const kafka_message_t *m = &kafka_messages[data[0] % KAFKA_MESSAGES_COUNT];
    int16_t version = (int16_t)(m->version_min + data[1] % (m->version_max - m->version_min + 1));
    arena_t arena;
    arena_init(&arena, MIB(16));
    void *message = arena_alloc(&arena, m->shape->bytes);
    kafka_reader_t r = kafka_reader(bytes_of(data + 2, size - 2));
    if (kafka_decode(&r, m->shape, version, &arena, message) == 0) {
        kafka_writer_t once = KAFKA_WRITER_INIT, twice = KAFKA_WRITER_INIT;
        kafka_encode(&once, m->shape, version, message);
        kafka_reader_t again = kafka_reader(buf_bytes(&once.buf));
        void *copy = arena_alloc(&arena, m->shape->bytes);
        int err = kafka_decode(&again, m->shape, version, &arena, copy);
        ASSERT(err == 0 || err == ERR_LIMIT);
        if (err == 0) {
            ASSERT(kafka_reader_left(&again) == 0);
            kafka_encode(&twice, m->shape, version, copy);
            ASSERT(bytes_eq(buf_bytes(&once.buf), buf_bytes(&twice.buf)));
        }
        kafka_writer_deinit(&once);
        kafka_writer_deinit(&twice);
    }
    arena_deinit(&arena);
    return 0;
}
