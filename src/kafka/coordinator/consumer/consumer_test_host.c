/* consumer_test_host.c: see consumer_test_host.h. */
#include "kafka/coordinator/consumer/consumer_test_host.h"

static int index_of(bytes_t name)
{
    int index = name.len == 2 && name.ptr[0] == 't' ? name.ptr[1] - '0' : -1;
    return index < TOPICS ? index : -1;
}

kafka_uuid_t world_topic_id(int index) { return (kafka_uuid_t){{(uint8_t)(index + 1)}}; }

static bool find_topic(void *user, bytes_t name, kafka_uuid_t *ret_id, int32_t *ret_count)
{
    const world_t *w = user;
    int index = index_of(name);
    if (index < 0 || w->partitions[index] == 0) return false;
    *ret_id = world_topic_id(index);
    *ret_count = w->partitions[index];
    return true;
}

static uint64_t version_of(void *user) { return ((const world_t *)user)->version; }

static void each_topic(void *user, void (*each)(void *arg, bytes_t name), void *arg)
{
    static const char *const names[TOPICS] = {"t0", "t1", "t2"};
    for (int i = 0; i < TOPICS; i++) {
        if (((const world_t *)user)->partitions[i]) each(arg, bytes_str(names[i]));
    }
}

static bool topic_exists(void *user, bytes_t name)
{
    int index = index_of(name);
    return index >= 0 && ((const world_t *)user)->partitions[index] > 0;
}

static void scan_wanted(void *user) { UNREACHABLE(); /* so few topics are matched at once */ }

int world_setup(void **state)
{
    world_t *w = mem_zalloc(sizeof(*w));
    w->config = (consumer_config_t){45000, 5000, 100};
    w->patterns_host = (topic_patterns_host_t){each_topic, topic_exists, scan_wanted};
    w->host = (consumer_host_t){topic_patterns_new(&w->patterns_host, w), find_topic, version_of};
    w->now = (runtime_now_t){1, 1};
    w->version = 1;
    w->partitions[0] = 6;
    w->group = consumer_group_new(BYTES_LIT("g"), &w->config, &w->host, w);
    *state = w;
    return 0;
}

int world_teardown(void **state)
{
    world_t *w = *state;
    consumer_group_free(w->group);
    topic_patterns_free(w->host.patterns);
    mem_free(w);
    return 0;
}

uint32_t world_pick(world_t *w, uint32_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(w->random >> 33) % below;
}
