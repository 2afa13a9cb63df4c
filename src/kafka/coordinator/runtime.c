/* runtime.c: the runtime's life, its topic, and the partitions of it that this broker leads. See runtime.h. */
#include "kafka/coordinator/runtime_internal.h"

#define NS_PER_MS 1000000

/* A partition that is refused something at each start does not take up every turn. */
#define REREAD_AFTER_MS 10

runtime_now_t runtime_now(const runtime_t *runtime)
{
    io_loop_t *loop = runtime->kafka->loop;
    return (runtime_now_t){.mono_ms = (int64_t)(io_now_ns(loop) / NS_PER_MS), .wall_ms = io_wall_ms(loop)};
}

/* ---- where a key belongs ---- */

const kafka_topic_t *runtime_topic(const runtime_t *runtime) { return runtime->topic; }

int32_t runtime_partitions_count(const runtime_t *runtime) { return runtime->partitions_count; }

kafka_code_t runtime_check(const runtime_t *runtime, bytes_t key, int32_t *ret_partition)
{
    if (!runtime->topic || runtime->stopped) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    *ret_partition = runtime_partition_of(key, runtime->partitions_count);
    return runtime_check_partition(runtime, *ret_partition);
}

kafka_code_t runtime_check_partition(const runtime_t *runtime, int32_t partition)
{
    if (!runtime->topic || runtime->stopped) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    ASSERT(partition >= 0 && partition < runtime->partitions_count);
    switch (runtime->partitions[partition].state) {
    case RUNTIME_ACTIVE: return KAFKA_NONE;
    case RUNTIME_LOADING:
    case RUNTIME_STARTING:
    case RUNTIME_AHEAD: return KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    case RUNTIME_ABSENT:
    case RUNTIME_FAILED: return KAFKA_NOT_COORDINATOR;
    }
    UNREACHABLE();
}

bool runtime_serves(const runtime_t *runtime, int32_t partition)
{
    if (partition < 0 || partition >= runtime->partitions_count) return false;
    int state = runtime->partitions[partition].state;
    return state != RUNTIME_ABSENT && state != RUNTIME_FAILED;
}

/* Java's String.hashCode, over UTF-16 units; keys are UTF-8 on the wire. Malformed bytes hash as themselves. */
static int32_t java_hash(bytes_t text)
{
    uint32_t hash = 0;
    for (size_t i = 0; i < text.len;) {
        uint32_t c = text.ptr[i++];
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc0 ? 1 : 0;
        if (more) c &= 0x3fu >> more;
        for (; more > 0 && i < text.len; more--) c = c << 6 | (text.ptr[i++] & 0x3f);
        if (c >= 0x10000) {
            hash = hash * 31 + (0xd7c0 + (c >> 10));
            c = 0xdc00 + (c & 0x3ff);
        }
        hash = hash * 31 + c;
    }
    return (int32_t)hash;
}

int32_t runtime_partition_of(bytes_t key, int32_t partitions_count)
{
    int32_t hash = java_hash(key);
    return (hash == INT32_MIN ? 0 : hash < 0 ? -hash : hash) % partitions_count;
}

bool runtime_is_loaded(const runtime_t *runtime) { return runtime->partitions_loading == 0; }

/* ---- hand-over ---- */

void runtime_gained(runtime_t *runtime, int32_t index)
{
    ASSERT(index >= 0 && index < runtime->partitions_count);
    runtime_partition_t *p = &runtime->partitions[index];
    ASSERT(p->state == RUNTIME_ABSENT || p->state == RUNTIME_FAILED);
    p->state = RUNTIME_LOADING;
    p->next_offset = 0;
    runtime->partitions_loading++;
    kafka_topic_altered(runtime->topic);
    runtime__load(runtime, index);
}

void runtime_lost(runtime_t *runtime, int32_t index)
{
    ASSERT(index >= 0 && index < runtime->partitions_count);
    runtime_partition_t *p = &runtime->partitions[index];
    if (p->state == RUNTIME_ABSENT) return;
    if (p->state != RUNTIME_ACTIVE && p->state != RUNTIME_FAILED) runtime->partitions_loading--;
    p->state = RUNTIME_ABSENT; /* first: whoever is answered now may ask again at once */
    runtime__load_forget(runtime, index);
    runtime__write_fail(p, KAFKA_NOT_COORDINATOR);
    runtime->machine->unload(runtime->user, index, KAFKA_NOT_COORDINATOR);
    kafka_topic_altered(runtime->topic);
}

void runtime__reread(runtime_t *runtime, int32_t index)
{
    if (index >= runtime->partitions_count) return; /* the topic has gone */
    runtime_partition_t *p = &runtime->partitions[index];
    if (p->state != RUNTIME_ACTIVE && p->state != RUNTIME_STARTING) return;
    partition_t *partition;
    kafka_code_t error = kafka_topic_partition_get(runtime->topic, index, &partition);
    if (error != KAFKA_NONE) return; /* it is offline, and read back when it is online again */
    if (p->state == RUNTIME_ACTIVE) runtime->partitions_loading++;
    p->state = RUNTIME_AHEAD;
    if (runtime->reread_timer.due_ns == 0) io_timer_start(&runtime->reread_timer, REREAD_AFTER_MS, 0);
}

static void on_reread(io_timer_t *timer)
{
    runtime_t *runtime = CONTAINER_OF(timer, runtime_t, reread_timer);
    for (int32_t i = 0; i < runtime->partitions_count; i++) {
        if (runtime->partitions[i].state != RUNTIME_AHEAD) continue;
        runtime_lost(runtime, i);
        runtime_gained(runtime, i);
    }
}

static void lose_all(runtime_t *runtime)
{
    for (int32_t i = 0; i < runtime->partitions_count; i++) runtime_lost(runtime, i);
    mem_free(runtime->partitions);
    runtime->partitions = NULL;
    runtime->topic = NULL;
    runtime->partitions_count = 0;
}

/* ---- the topic ---- */

static void wake_waiters(runtime_t *runtime, kafka_code_t error)
{
    runtime->creating = false;
    while (!list_empty(&runtime->waiters)) {
        runtime_waiter_t *waiter = LIST_FIRST(&runtime->waiters, runtime_waiter_t, node);
        list_remove(&waiter->node);
        waiter->ready(waiter, error);
    }
}

/* The listener tells that the topic is there; another client may have made it meanwhile. */
static void on_topic_asked(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message)
{
    runtime_t *runtime = user;
    bool there = error == KAFKA_NONE || error == KAFKA_TOPIC_ALREADY_EXISTS;
    wake_waiters(runtime, there && runtime->topic ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE);
}

static void create_topic(runtime_t *runtime)
{
    arena_t arena;
    kafka_topic_spec_t spec = {.name = bytes_str(runtime->topic_name)};
    runtime->creating = true;
    arena_init(&arena, 0);
    runtime->machine->describe_topic(runtime->user, &arena, &spec);
    kafka_topic_create(runtime->kafka, &spec, on_topic_asked, runtime);
    arena_deinit(&arena);
}

void runtime_need_topic(runtime_t *runtime, runtime_waiter_t *waiter,
                        void (*ready)(runtime_waiter_t *waiter, kafka_code_t error))
{
    waiter->ready = ready;
    list_init(&waiter->node);
    if (runtime->topic || runtime->stopped) {
        ready(waiter, runtime->topic ? KAFKA_NONE : KAFKA_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    list_push_back(&runtime->waiters, &waiter->node);
    if (!runtime->creating) create_topic(runtime);
}

static runtime_t *of_listener(kafka_topic_listener_t *listener) { return CONTAINER_OF(listener, runtime_t, listener); }

/* Keys stay where they are, should the topic grow: so partitions that it gets later are not listened for. */
static void on_topic_created(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    runtime_t *runtime = of_listener(listener);
    if (!bytes_eq(kafka_topic_name(topic), bytes_str(runtime->topic_name))) return;
    runtime->topic = topic;
    runtime->partitions_count = topic->partitions_count;
    runtime->partitions = mem_zalloc(sizeof(runtime->partitions[0]) * (size_t)topic->partitions_count);
    for (int32_t i = 0; i < runtime->partitions_count; i++) list_init(&runtime->partitions[i].commits);
    for (int32_t i = 0; i < runtime->partitions_count; i++) runtime_gained(runtime, i);
}

/* Its log has failed since, so what is in memory may be ahead of it; or it could not be read. */
static void on_partition_online(kafka_topic_listener_t *listener, kafka_topic_t *topic, int32_t index)
{
    runtime_t *runtime = of_listener(listener);
    if (topic != runtime->topic || index >= runtime->partitions_count) return;
    runtime_lost(runtime, index);
    runtime_gained(runtime, index);
}

static void on_topic_deleted(kafka_topic_listener_t *listener, kafka_topic_t *topic)
{
    runtime_t *runtime = of_listener(listener);
    if (topic == runtime->topic) lose_all(runtime);
}

/* ---- life ---- */

runtime_t *runtime_new(kafka_t *kafka, const char *topic, const runtime_machine_t *machine, void *user,
                       int64_t expire_interval_ms)
{
    runtime_t *runtime = mem_zalloc(sizeof(*runtime));
    runtime->kafka = kafka;
    runtime->topic_name = topic;
    runtime->machine = machine;
    runtime->user = user;
    list_init(&runtime->waiters);
    runtime__load_init(runtime);
    runtime->listener.created = on_topic_created;
    runtime->listener.online = on_partition_online;
    runtime->listener.deleted = on_topic_deleted;
    kafka_topic_listen(kafka, &runtime->listener);
    io_timer_init(kafka->loop, &runtime->reread_timer, on_reread);
    runtime__expiry_start(runtime, expire_interval_ms);
    return runtime;
}

void runtime_stop(runtime_t *runtime)
{
    if (runtime->stopped) return;
    runtime->stopped = true;
    list_remove(&runtime->listener.node);
    runtime__expiry_stop(runtime);
    io_timer_stop(&runtime->reread_timer);
    wake_waiters(runtime, KAFKA_COORDINATOR_NOT_AVAILABLE);
    lose_all(runtime);
}

void runtime_free(runtime_t *runtime)
{
    runtime_stop(runtime);
    runtime__load_deinit(runtime);
    mem_free(runtime);
}
