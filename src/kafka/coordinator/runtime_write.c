/* runtime_write.c: the writer: a machine's records become one batch of its partition. A write ends once its batch counts as
 * written, as acks=all would have it: at once, or when flush.messages has had it brought to stable storage. */
#include "kafka/coordinator/runtime_internal.h"

/* A write that waits for stable storage. It lives as long as the log's commit does, the write only until it has ended. */
typedef struct runtime_commit {
    partition_commit_t commit;
    list_t node;
    runtime_write_t *write; /* NULL: it has ended, because the partition was lost */
} runtime_commit_t;

/* As the original tells clients of a coordinator that an append has failed. */
static kafka_code_t client_error(kafka_code_t error)
{
    static const struct {
        kafka_code_t of_append, of_coordinator;
    } codes[] = {
        {KAFKA_UNKNOWN_TOPIC_OR_PARTITION, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_NOT_ENOUGH_REPLICAS, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_REQUEST_TIMED_OUT, KAFKA_COORDINATOR_NOT_AVAILABLE},
        {KAFKA_NOT_LEADER_OR_FOLLOWER, KAFKA_NOT_COORDINATOR},
        {KAFKA_KAFKA_STORAGE_ERROR, KAFKA_NOT_COORDINATOR},
        {KAFKA_MESSAGE_TOO_LARGE, KAFKA_UNKNOWN_SERVER_ERROR},
        {KAFKA_RECORD_LIST_TOO_LARGE, KAFKA_UNKNOWN_SERVER_ERROR},
        {KAFKA_INVALID_FETCH_SIZE, KAFKA_UNKNOWN_SERVER_ERROR},
    };
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        if (codes[i].of_append == error) return codes[i].of_coordinator;
    }
    return error;
}

static void end(runtime_write_t *write, kafka_code_t error) { write->done(write, client_error(error)); }

static void on_committed(partition_commit_t *commit, kafka_code_t error)
{
    runtime_commit_t *c = CONTAINER_OF(commit, runtime_commit_t, commit);
    runtime_write_t *write = c->write;
    if (write) list_remove(&c->node);
    mem_free(c);
    if (write) end(write, error);
}

static void commit(runtime_partition_t *p, partition_t *partition, runtime_write_t *write)
{
    runtime_commit_t *c = mem_zalloc(sizeof(*c));
    c->write = write;
    list_push_back(&p->commits, &c->node);
    partition_commit(partition, &c->commit, on_committed);
}

void runtime__write_fail(runtime_partition_t *p, kafka_code_t error)
{
    runtime_commit_t *c;
    while ((c = LIST_FIRST(&p->commits, runtime_commit_t, node))) {
        runtime_write_t *write = c->write;
        list_remove(&c->node);
        c->write = NULL;
        end(write, error);
    }
}

size_t runtime_batch_bytes_max(const runtime_t *runtime)
{
    return runtime->topic ? (size_t)MAX(runtime->topic->config.max_message_bytes, 0) : SIZE_MAX;
}

int64_t runtime_next_offset(const runtime_t *runtime, int32_t index)
{
    partition_t *partition;
    kafka_code_t error = kafka_topic_partition_get(runtime->topic, index, &partition);
    return error ? -1 : partition_log_end_offset(partition);
}

static kafka_code_t append(runtime_t *runtime, int32_t index, runtime_batch_t *batch, partition_t **ret_partition)
{
    if (!runtime->topic) return KAFKA_COORDINATOR_NOT_AVAILABLE;
    ASSERT(index >= 0 && index < runtime->partitions_count);
    int state = runtime->partitions[index].state;
    if (state != RUNTIME_ACTIVE && state != RUNTIME_STARTING) return KAFKA_NOT_COORDINATOR;
    kafka_code_t error = kafka_topic_partition_get(runtime->topic, index, ret_partition);
    if (error != KAFKA_NONE) return error;
    size_t bytes;
    int16_t attributes = batch->producer.id >= 0 ? RECORD_TRANSACTIONAL : 0;
    uint8_t *finished = record_builder_finish(&batch->builder, attributes, batch->producer, &bytes);
    if (bytes > runtime_batch_bytes_max(runtime)) return KAFKA_MESSAGE_TOO_LARGE;
    arena_t arena;
    arena_init(&arena, 0);
    partition_appended_t appended;
    error = partition_append(*ret_partition, finished, bytes, PARTITION_COORDINATOR, &arena, &appended);
    arena_deinit(&arena);
    return error;
}

static void end_or_wait(runtime_t *runtime, int32_t index, partition_t *partition, runtime_write_t *write,
                        kafka_code_t error)
{
    if (error == KAFKA_NONE && partition_needs_commit(partition)) {
        commit(&runtime->partitions[index], partition, write);
    } else {
        end(write, error);
    }
}

void runtime_write(runtime_t *runtime, int32_t index, runtime_write_t *write,
                   void (*done)(runtime_write_t *write, kafka_code_t error))
{
    partition_t *partition = NULL;
    write->done = done;
    kafka_code_t error = append(runtime, index, &write->batch, &partition);
    end_or_wait(runtime, index, partition, write, error);
}

void runtime_write_ahead(runtime_t *runtime, int32_t index, runtime_write_t *write,
                         void (*done)(runtime_write_t *write, kafka_code_t error))
{
    partition_t *partition = NULL;
    write->done = done;
    kafka_code_t error = append(runtime, index, &write->batch, &partition);
    if (error != KAFKA_NONE) runtime__reread(runtime, index); /* before anybody hears of the refusal and asks again */
    end_or_wait(runtime, index, partition, write, error);
}

void runtime_write_appended(runtime_t *runtime, int32_t index, runtime_write_t *write,
                            void (*done)(runtime_write_t *write, kafka_code_t error))
{
    partition_t *partition = NULL;
    write->done = done;
    ASSERT(runtime_serves(runtime, index));
    kafka_code_t error = kafka_topic_partition_get(runtime->topic, index, &partition);
    end_or_wait(runtime, index, partition, write, error);
}

bool runtime_write_is_stable(const runtime_t *runtime, int32_t index)
{
    partition_t *partition;
    kafka_code_t error = kafka_topic_partition_get(runtime->topic, index, &partition);
    return error == KAFKA_NONE && !partition_needs_commit(partition);
}

/* ---- writes that nobody waits for ---- */

runtime_write_t *runtime_write_new(const runtime_t *runtime)
{
    runtime_write_t *write = mem_zalloc(sizeof(*write));
    write->batch = runtime_batch(runtime_now(runtime).wall_ms);
    return write;
}

void runtime_write_drop(runtime_write_t *write)
{
    record_builder_deinit(&write->batch.builder);
    mem_free(write);
}

static void on_unheard(runtime_write_t *write, kafka_code_t error) { runtime_write_drop(write); }

void runtime_write_unheard(runtime_t *runtime, int32_t index, runtime_write_t *write)
{
    runtime_write_ahead(runtime, index, write, on_unheard);
}
