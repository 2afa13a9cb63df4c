/* share_store.c: answers, and what was taken back from members, on their way into __share_group_state. */
#include "base/slog.h"
#include "kafka/share/share_leader_internal.h"

typedef struct share_write {
    share_state_request_t request;
    share_leader_t *leader;                 /* a reference */
    uint32_t number;                        /* of the answers that settle; 0 = none */
    share_answer_t *answer;                 /* NULL = nobody waits */
    void (*stored)(share_leader_t *leader); /* NULL = nothing follows */
    share_state_batch_t batches[];
} share_write_t;

share_state_key_t share__state_key(const share_leader_t *leader)
{
    return (share_state_key_t){leader->group_id, leader->topic_id, leader->index};
}

/* Members know these: they look for the leader anew and come again. */
kafka_code_t share__code_of(kafka_code_t error)
{
    switch (error) {
    case KAFKA_NONE:
    case KAFKA_GROUP_ID_NOT_FOUND:
    case KAFKA_UNKNOWN_TOPIC_OR_PARTITION: return error;
    case KAFKA_NOT_COORDINATOR:
    case KAFKA_COORDINATOR_NOT_AVAILABLE:
    case KAFKA_COORDINATOR_LOAD_IN_PROGRESS:
    case KAFKA_FENCED_LEADER_EPOCH:
    case KAFKA_FENCED_STATE_EPOCH: return KAFKA_NOT_LEADER_OR_FOLLOWER;
    default: return KAFKA_UNKNOWN_SERVER_ERROR;
    }
}

void share__refused(share_leader_t *leader, kafka_code_t error, const char *message)
{
    slog(SLOG_WARN, "kafka", "the state of a share partition is refused: it is read anew",
         "group=\"%.*s\" partition=%d error=%s message=\"%s\"", (int)leader->group_id.len,
         (const char *)leader->group_id.ptr, leader->index, kafka_error_name(error), message ? message : "");
    share__leader_end(leader, share__code_of(error));
}

static void settle(share_leader_t *leader, const share_write_t *write, bool stored)
{
    if (write->number == 0) return;
    share_partition_written(&leader->records, write->number, stored);
    share__set_timer(leader);
    share__news(leader);
}

static void on_written(share_state_request_t *request, kafka_code_t error, const char *message,
                       const share_state_value_t *value UNUSED)
{
    share_write_t *write = CONTAINER_OF(request, share_write_t, request);
    share_leader_t *leader = write->leader;
    leader->writes--;
    if (!leader->gone) settle(leader, write, !error);
    if (!leader->gone && !error && write->stored) write->stored(leader);
    if (!leader->gone && error) share__refused(leader, error, message);
    if (write->answer) write->answer->done(write->answer, share__code_of(error));
    mem_free(write);
    share__leader_maybe_drop(leader);
    share__leader_unref(leader);
}

static share_write_t *write_new(share_leader_t *leader, const share_stored_list_t *stored)
{
    share_write_t *write = mem_zalloc(sizeof(*write) + stored->count * sizeof(write->batches[0]));
    for (size_t i = 0; i < stored->count; i++) {
        const share_stored_t *range = &stored->items[i];
        write->batches[i] = (share_state_batch_t){range->first, range->last, (int8_t)range->state, range->deliveries};
    }
    write->leader = leader;
    leader->refs++;
    leader->writes++;
    return write;
}

static void send(share_write_t *write, size_t count)
{
    share_leader_t *leader = write->leader;
    share_state_key_t key = share__state_key(leader);
    share_state_value_t value = {
        .state_epoch = leader->state_epoch,
        .leader_epoch = leader->leader_epoch,
        .start_offset = leader->records.start,
        .delivery_complete_count = (int32_t)share_partition_settled(&leader->records),
        .batches = write->batches,
        .batches_count = count,
    };
    share_state_write(leader->kafka, &key, &value, &write->request, on_written);
}

void share__store_start(share_leader_t *leader, void (*stored)(share_leader_t *leader))
{
    share_write_t *write = write_new(leader, &(share_stored_list_t){0});
    write->stored = stored;
    send(write, 0);
}

void share__taken_back(share_leader_t *leader, const share_stored_list_t *stored)
{
    share__set_timer(leader);
    if (stored->count == 0) return;
    share__news(leader);
    send(write_new(leader, stored), stored->count);
}

/* The machine knows nothing of groups that may not renew. */
static bool are_allowed(const share_settings_t *settings, const share_ack_t *acks, size_t count)
{
    for (size_t i = 0; i < count && !settings->renews; i++)
        if (acks[i].type == SHARE_RENEW) return false;
    return true;
}

void share_leader_acknowledge(share_leader_t *leader, const share_settings_t *settings, uint64_t member,
                              const share_ack_t *acks, size_t count, arena_t *arena, share_answer_t *answer)
{
    uint32_t number;
    share_stored_list_t stored;
    kafka_code_t error = KAFKA_INVALID_RECORD_STATE;
    if (leader->ready && are_allowed(settings, acks, count))
        error = share_partition_acknowledge(&leader->records, member, acks, count, share__now_ms(leader),
                                            &settings->limits, arena, &number, &stored);
    if (!error) share__set_timer(leader);
    if (error || stored.count == 0) {
        answer->done(answer, error);
        return;
    }
    share_write_t *write = write_new(leader, &stored);
    write->number = number;
    write->answer = answer;
    send(write, stored.count);
}

void share_leader_release(share_leader_t *leader, const share_settings_t *settings, uint64_t member)
{
    share_stored_list_t stored;
    arena_t arena;
    if (!leader->ready) return;
    arena_init(&arena, 0);
    share_partition_release(&leader->records, member, &settings->limits, &arena, &stored);
    share__taken_back(leader, &stored);
    arena_deinit(&arena);
}
