/* Anybody with a ZooKeeper client can write what these read. */
#include "kafka/topics/topics.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *user, const char *name, const char *value) {}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    arena_t arena;
    znode_topic_t topic;
    znode_state_t state;
    arena_init(&arena, 0);
    if (znode_parse_topic(bytes_of(data, size), &arena, &topic) == 0) {
        topic.has_id = true;
        ASSERT(znode_parse_topic(znode_format_topic(&topic, &arena), &arena, &topic) == 0);
    }
    if (znode_parse_state(bytes_of(data, size), &arena, &state) == 0)
        ASSERT(znode_parse_state(znode_format_state(&state, &arena), &arena, &state) == 0);
    (void)!znode_parse_config(bytes_of(data, size), ignore, NULL);
    arena_deinit(&arena);
    return 0;
}
