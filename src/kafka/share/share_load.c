/* share_load.c: reads what is stored of a share partition, and finds where one begins of which nothing is. */
#include "kafka/share/share_leader_internal.h"

/* ---- where it begins ------------------------------------------------------------------------------------------------- */

typedef struct share_start {
    share_leader_t *leader; /* a reference */
    arena_t arena;
} share_start_t;

static void become_ready(share_leader_t *leader)
{
    leader->ready = true;
    share__news(leader);
}

static void on_start_found(void *user, kafka_code_t error, const partition_offset_t *found)
{
    share_start_t *start = user;
    share_leader_t *leader = start->leader;
    partition_t *partition;
    if (!leader->gone && !error) error = share__partition(leader, &partition);
    if (!leader->gone && error) {
        share__leader_end(leader, error);
    } else if (!leader->gone) {
        /* Nothing is as young as that: it begins at the end. */
        share_partition_init(&leader->records,
                             found->offset >= 0 ? found->offset : partition_high_watermark(partition));
        share__store_start(leader, become_ready);
    }
    arena_deinit(&start->arena);
    mem_free(start);
    share__leader_unref(leader);
}

static void find_start(share_leader_t *leader, partition_t *partition)
{
    share_settings_t settings;
    share_start_t *start = mem_zalloc(sizeof(*start));
    share_settings_read(leader->kafka, leader->group_id, &settings);
    int64_t time_ms = settings.reset;
    if (settings.by_duration) time_ms = MAX(io_wall_ms(leader->kafka->loop) - settings.reset, 0);
    start->leader = leader;
    leader->refs++;
    arena_init(&start->arena, 0);
    (void)partition_offset_for(partition, time_ms, false, &start->arena, on_start_found, start); /* told in any case */
}

/* ---- what is stored -------------------------------------------------------------------------------------------------- */

typedef struct share_read {
    share_state_request_t request;
    share_leader_t *leader; /* a reference */
} share_read_t;

/* A machine that lost its power may have lost the end of the log, of which answers were stored: other records have those offsets now. */
static size_t cut_at(share_stored_t *ranges, size_t count, int64_t log_end)
{
    while (count && ranges[count - 1].first >= log_end) count--;
    if (count) ranges[count - 1].last = MIN(ranges[count - 1].last, log_end - 1);
    return count;
}

static int take_ranges(share_leader_t *leader, const share_state_value_t *value, int64_t log_end)
{
    share_stored_t *ranges = mem_alloc((value->batches_count + 1) * sizeof(*ranges));
    for (size_t i = 0; i < value->batches_count; i++) {
        const share_state_batch_t *b = &value->batches[i];
        ranges[i] = (share_stored_t){b->first_offset, b->last_offset, b->delivery_count, (uint8_t)b->delivery_state};
    }
    size_t count = cut_at(ranges, value->batches_count, log_end);
    int err = share_partition_load(&leader->records, MIN(value->start_offset, log_end), ranges, count);
    mem_free(ranges);
    return err;
}

static void take_state(share_leader_t *leader, const share_state_value_t *value)
{
    partition_t *partition;
    kafka_code_t error = share__partition(leader, &partition);
    if (error) {
        share__leader_end(leader, error);
        return;
    }
    leader->state_epoch = value->state_epoch;
    if (value->start_offset < 0) {
        find_start(leader, partition);
    } else if (take_ranges(leader, value, partition_log_end_offset(partition))) {
        share__refused(leader, KAFKA_UNKNOWN_SERVER_ERROR, "what is stored is corrupt");
    } else {
        become_ready(leader);
    }
}

static void on_read(share_state_request_t *request, kafka_code_t error, const char *message,
                    const share_state_value_t *value)
{
    share_read_t *read = CONTAINER_OF(request, share_read_t, request);
    share_leader_t *leader = read->leader;
    if (!leader->gone && error)
        share__refused(leader, error, message);
    else if (!leader->gone)
        take_state(leader, value);
    mem_free(read);
    share__leader_unref(leader);
}

void share__load(share_leader_t *leader)
{
    share_state_key_t key = share__state_key(leader);
    share_read_t *read = mem_zalloc(sizeof(*read));
    read->leader = leader;
    leader->refs++;
    share_state_read(leader->kafka, &key, leader->leader_epoch, &read->request, on_read);
}
