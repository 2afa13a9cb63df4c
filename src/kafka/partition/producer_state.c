/* producer_state.c: sequence checks and the last five batches of each producer. */
#include "kafka/partition/producer_state.h"

#include "base/hash.h"
#include "kafka/errors.h"

#include <stdio.h>

#define SNAPSHOT_VERSION      1
#define SNAPSHOT_HEADER_BYTES 10
#define SNAPSHOT_ENTRY_BYTES  46

void producers_clear(producers_t *producers)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&producers->by_id, &cursor));) mem_free(e->value);
    map_deinit(&producers->by_id);
    producers->by_id = MAP_INIT;
}

void producers_deinit(producers_t *producers) { producers_clear(producers); }

producer_t *producers_get(const producers_t *producers, int64_t id)
{
    uint64_t key = (uint64_t)id;
    return map_get(&producers->by_id, map_key_u64(&key));
}

static producer_t *add(producers_t *producers, int64_t id)
{
    uint64_t key = (uint64_t)id;
    producer_t *p = mem_zalloc(sizeof(*p));
    p->id = id;
    p->epoch = -1;
    p->coordinator_epoch = -1;
    p->txn_first_offset = -1;
    map_put(&producers->by_id, map_key_u64(&key), p);
    return p;
}

static int32_t first_sequence(const producer_batch_t *b)
{
    return producer_sequence_sub(b->last_sequence, b->offset_delta);
}

static const producer_batch_t *find_duplicate(const producer_t *p, const batch_header_t *batch)
{
    int32_t last = producer_sequence_add(batch->base_sequence, batch->last_offset_delta);
    for (int i = 0; i < p->batches_count; i++) {
        const producer_batch_t *b = &p->batches[i];
        if (b->last_sequence == last && first_sequence(b) == batch->base_sequence) return b;
    }
    return NULL;
}

kafka_code_t producers_check(const producers_t *producers, const batch_header_t *batch,
                             const producer_batch_t **ret_duplicate, char message[PRODUCER_MESSAGE_BYTES_MAX])
{
    *ret_duplicate = NULL;
    const producer_t *p = producers_get(producers, batch->producer_id);
    if (!p || p->epoch < 0) return KAFKA_NONE; /* unknown, or forgotten: it may go on anywhere */
    if (batch->producer_epoch < p->epoch) {
        snprintf(message, PRODUCER_MESSAGE_BYTES_MAX,
                 "Epoch of producer %" PRId64 " is %d, which is smaller than the last seen epoch %d", p->id,
                 batch->producer_epoch, p->epoch);
        return KAFKA_INVALID_PRODUCER_EPOCH;
    }
    if (batch->producer_epoch > p->epoch) {
        if (batch->base_sequence == 0) return KAFKA_NONE;
        snprintf(message, PRODUCER_MESSAGE_BYTES_MAX,
                 "Invalid sequence number for new epoch of producer %" PRId64 ": %d (request epoch), %d (seq. number), "
                 "%d (current producer epoch)",
                 p->id, batch->producer_epoch, batch->base_sequence, p->epoch);
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    *ret_duplicate = find_duplicate(p, batch);
    if (*ret_duplicate) return KAFKA_NONE;
    int32_t last = p->batches_count ? p->batches[p->batches_count - 1].last_sequence : -1;
    if (batch->base_sequence == producer_sequence_add(last, 1)) return KAFKA_NONE;
    snprintf(message, PRODUCER_MESSAGE_BYTES_MAX,
             "Out of order sequence number for producer %" PRId64 ": %d (incoming seq. number), %d (current end "
             "sequence number)",
             p->id, batch->base_sequence, last);
    return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

void producers_note(producers_t *producers, const batch_header_t *batch)
{
    if (batch->producer_id < 0) return;
    producer_t *p = producers_get(producers, batch->producer_id);
    if (!p) {
        if (producers->by_id.count >= PRODUCERS_MAX) {
            for (int64_t idle_ms = 3600000; producers->by_id.count >= PRODUCERS_MAX && idle_ms >= 0;
                 idle_ms -= 900000) {
                producers_expire(producers, batch->max_timestamp, idle_ms);
            }
            if (producers->by_id.count >= PRODUCERS_MAX) return; /* it may go on anywhere, unprotected */
        }
        p = add(producers, batch->producer_id);
    }
    if (p->epoch != batch->producer_epoch) p->batches_count = 0;
    p->epoch = batch->producer_epoch;
    p->timestamp_ms = batch->max_timestamp;
    if (batch->base_sequence < 0) return; /* a control batch carries no sequence */
    if (p->batches_count == PRODUCER_BATCHES_KEPT) {
        memmove(p->batches, p->batches + 1, (PRODUCER_BATCHES_KEPT - 1) * sizeof(producer_batch_t));
        p->batches_count--;
    }
    p->batches[p->batches_count++] = (producer_batch_t){
        .last_sequence = producer_sequence_add(batch->base_sequence, batch->last_offset_delta),
        .offset_delta = batch->last_offset_delta,
        .last_offset = batch_last_offset(batch),
        .timestamp_ms = batch->max_timestamp,
    };
}

static bool is_idle(const producers_t *producers, const producer_t *p, int64_t now_ms, int64_t idle_ms_max)
{
    if (producers->kept_id == PRODUCERS_KEEP_ALL) return false;
    return p->id != producers->kept_id && p->txn_first_offset < 0 && now_ms - p->timestamp_ms >= idle_ms_max;
}

void producers_expire(producers_t *producers, int64_t now_ms, int64_t idle_ms_max)
{
    map_t kept = MAP_INIT;
    size_t cursor = 0;
    bool any = false;
    for (map_entry_t *e; (e = map_next(&producers->by_id, &cursor)) && !any;) {
        const producer_t *p = e->value;
        any = is_idle(producers, p, now_ms, idle_ms_max);
    }
    if (!any) return; /* the usual case changes nothing */
    cursor = 0;
    for (map_entry_t *e; (e = map_next(&producers->by_id, &cursor));) {
        producer_t *p = e->value;
        if (is_idle(producers, p, now_ms, idle_ms_max))
            mem_free(p);
        else
            map_put(&kept, e->key, p);
    }
    map_deinit(&producers->by_id);
    producers->by_id = kept;
}

void producers_encode(const producers_t *producers, buf_t *out)
{
    size_t start = out->len, cursor = 0;
    buf_be16(out, SNAPSHOT_VERSION);
    buf_be32(out, 0);
    buf_be32(out, (uint32_t)producers->by_id.count);
    for (map_entry_t *e; (e = map_next(&producers->by_id, &cursor));) {
        const producer_t *p = e->value;
        static const producer_batch_t none = {-1, 0, -1, -1};
        const producer_batch_t *b = p->batches_count ? &p->batches[p->batches_count - 1] : &none;
        buf_be64(out, (uint64_t)p->id);
        buf_be16(out, (uint16_t)p->epoch);
        buf_be32(out, (uint32_t)b->last_sequence);
        buf_be64(out, (uint64_t)b->last_offset);
        buf_be32(out, (uint32_t)b->offset_delta);
        buf_be64(out, (uint64_t)p->timestamp_ms);
        buf_be32(out, (uint32_t)p->coordinator_epoch);
        buf_be64(out, (uint64_t)p->txn_first_offset);
    }
    store_be32(out->ptr + start + 2, crc32c(0, out->ptr + start + 6, out->len - start - 6));
}

static void decode_entry(producers_t *producers, const uint8_t *at)
{
    int64_t id = (int64_t)load_be64(at);
    producer_t *p = producers_get(producers, id);
    if (!p) p = add(producers, id);
    p->epoch = (int16_t)load_be16(at + 8);
    producer_batch_t b = {
        .last_sequence = (int32_t)load_be32(at + 10),
        .last_offset = (int64_t)load_be64(at + 14),
        .offset_delta = (int32_t)load_be32(at + 22),
        .timestamp_ms = (int64_t)load_be64(at + 26),
    };
    p->timestamp_ms = b.timestamp_ms;
    p->coordinator_epoch = (int32_t)load_be32(at + 34);
    p->txn_first_offset = (int64_t)load_be64(at + 38);
    p->batches_count = b.last_sequence >= 0 && b.offset_delta >= 0 ? 1 : 0;
    p->batches[0] = b;
}

int producers_decode(producers_t *producers, bytes_t data)
{
    if (data.len < SNAPSHOT_HEADER_BYTES || load_be16(data.ptr) != SNAPSHOT_VERSION) return ERR_CORRUPT;
    if (load_be32(data.ptr + 2) != crc32c(0, data.ptr + 6, data.len - 6)) return ERR_CORRUPT;
    uint32_t count = load_be32(data.ptr + 6);
    if (data.len - SNAPSHOT_HEADER_BYTES != (uint64_t)count * SNAPSHOT_ENTRY_BYTES) return ERR_CORRUPT;
    for (uint32_t i = 0; i < count; i++) {
        decode_entry(producers, data.ptr + SNAPSHOT_HEADER_BYTES + (size_t)i * SNAPSHOT_ENTRY_BYTES);
    }
    return 0;
}
