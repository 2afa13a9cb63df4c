/* share_fetch_answer.c: the answer to a ShareFetch: what was acquired of each partition, and what became of the answers that the request
 * brought. A partition of which both are told has one row. */
#include "kafka/api/apis.h"
#include "kafka/api/share_fetch_internal.h"

#include <stdlib.h>

void share_fetch__begin_rows(share_fetch_t *fetch, size_t parts)
{
    fetch->rows_max = parts + fetch->acks.count;
    fetch->rows = ARENA_ARRAY(&fetch->request->arena, share_fetch_row_t, fetch->rows_max);
}

share_fetch_row_t *share_fetch__row(share_fetch_t *fetch, kafka_uuid_t topic_id, int32_t index)
{
    ASSERT(fetch->rows_count < fetch->rows_max);
    share_fetch_row_t *row = &fetch->rows[fetch->rows_count++];
    kafka_share_fetch_response_partition_init(&row->out);
    row->topic_id = topic_id;
    row->out.partition_index = index;
    row->out.records.bytes = bytes_of("", 0); /* never null: there are just none */
    return row;
}

void share_fetch__put_taken(share_fetch_t *fetch, share_fetch_row_t *row, share_taken_t *taken, bool scarce)
{
    kafka_share_fetch_response_acquired_record_t *out =
        kafka_share_fetch_response_acquired_record_array(&fetch->request->arena, (int32_t)taken->count);
    kafka_code_t error = fetch_records_take(&fetch->sent, fetch->request, &taken->slice, scarce, &row->out.records);
    row->out.error_code = error;
    if (error) return;
    for (size_t i = 0; i < taken->count; i++) {
        const share_acquired_t *range = &taken->acquired[i];
        out[i] = (kafka_share_fetch_response_acquired_record_t){range->first, range->last, range->deliveries};
    }
    row->out.acquired_records = out;
    row->out.acquired_records_count = (int32_t)taken->count;
}

static int by_partition(const void *a, const void *b)
{
    const share_fetch_row_t *x = a, *y = b;
    int order = memcmp(x->topic_id.bytes, y->topic_id.bytes, sizeof(x->topic_id.bytes));
    if (order) return order;
    return x->out.partition_index < y->out.partition_index ? -1 : x->out.partition_index > y->out.partition_index;
}

static share_fetch_row_t *find_row(const share_fetch_t *fetch, size_t count, const share_acks_part_t *part)
{
    share_fetch_row_t key = {.topic_id = part->topic_id, .out.partition_index = part->index};
    return bsearch(&key, fetch->rows, count, sizeof(key), by_partition);
}

/* The rows are sorted then. */
static void put_acks(share_fetch_t *fetch)
{
    size_t count = fetch->rows_count;
    qsort(fetch->rows, count, sizeof(fetch->rows[0]), by_partition);
    for (size_t i = 0; i < fetch->acks.count; i++) {
        const share_acks_part_t *part = &fetch->acks.parts[i];
        if (part->count == 0 && !part->error) continue; /* it brought none */
        share_fetch_row_t *row = find_row(fetch, count, part);
        if (!row) row = share_fetch__row(fetch, part->topic_id, part->index);
        row->out.acknowledge_error_code = part->error;
    }
    qsort(fetch->rows, fetch->rows_count, sizeof(fetch->rows[0]), by_partition);
}

static void put_topics(const share_fetch_t *fetch, kafka_share_fetch_response_t *response)
{
    arena_t *arena = &fetch->request->arena;
    kafka_share_fetch_response_partition_t *out =
        kafka_share_fetch_response_partition_array(arena, (int32_t)fetch->rows_count);
    response->responses = kafka_share_fetch_response_topic_array(arena, (int32_t)fetch->rows_count);
    for (size_t i = 0; i < fetch->rows_count; i++) {
        const share_fetch_row_t *row = &fetch->rows[i];
        bool same = i > 0 && kafka_uuid_eq(row->topic_id, fetch->rows[i - 1].topic_id);
        kafka_share_fetch_response_topic_t *topic = &response->responses[response->responses_count - same];
        if (!same) {
            topic->topic_id = row->topic_id;
            topic->partitions = &out[i];
            response->responses_count++;
        }
        out[i] = row->out;
        topic->partitions_count++;
    }
}

void share_fetch__respond(share_fetch_t *fetch)
{
    kafka_share_fetch_response_t *response = KAFKA_MESSAGE(fetch->request, share_fetch_response);
    response->acquisition_lock_timeout_ms = (int32_t)fetch->settings.limits.lock_ms;
    put_acks(fetch);
    put_topics(fetch, response);
    kafka_respond(fetch->request, response);
}
