/* producer_state.c: sequence checks, the last five batches and the open transaction of each producer. */
#include "kafka/partition/producer_state.h"

#include "base/hash.h"
#include "kafka/errors.h"

#include <stdio.h>
#include <stdlib.h>

#define SNAPSHOT_VERSION      1
#define SNAPSHOT_HEADER_BYTES 10
#define SNAPSHOT_ENTRY_BYTES  46

void producers_init(producers_t *producers)
{
    *producers = (producers_t){.by_id = MAP_INIT, .kept_id = -1};
    list_init(&producers->open);
}

void producers_clear(producers_t *producers)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&producers->by_id, &cursor));) mem_free(e->value);
    map_deinit(&producers->by_id);
    producers->by_id = MAP_INIT;
    list_init(&producers->open);
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
    list_init(&p->open_node);
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

static kafka_code_t check_epoch(const producer_t *p, int16_t epoch, char message[PRODUCER_MESSAGE_BYTES_MAX])
{
    if (epoch >= p->epoch) return KAFKA_NONE;
    snprintf(message, PRODUCER_MESSAGE_BYTES_MAX,
             "Epoch of producer %" PRId64 " is %d, which is smaller than the last seen epoch %d", p->id, epoch,
             p->epoch);
    return KAFKA_INVALID_PRODUCER_EPOCH;
}

/* While its transaction is open a producer writes nothing beside it. */
static kafka_code_t check_open(const producer_t *p, const batch_header_t *batch,
                               char message[PRODUCER_MESSAGE_BYTES_MAX])
{
    if (p->txn_first_offset < 0 || batch->attributes & RECORD_TRANSACTIONAL) return KAFKA_NONE;
    snprintf(message, PRODUCER_MESSAGE_BYTES_MAX, "Expected transactional write from producer %" PRId64, p->id);
    return KAFKA_INVALID_TXN_STATE;
}

kafka_code_t producers_check_epoch(const producers_t *producers, const batch_header_t *batch,
                                   char message[PRODUCER_MESSAGE_BYTES_MAX])
{
    const producer_t *p = producers_get(producers, batch->producer_id);
    if (!p) return KAFKA_NONE;
    kafka_code_t error = check_epoch(p, batch->producer_epoch, message);
    return error ? error : check_open(p, batch, message);
}

static kafka_code_t check_sequence(const producer_t *p, const batch_header_t *batch,
                                   char message[PRODUCER_MESSAGE_BYTES_MAX])
{
    if (batch->producer_epoch > p->epoch) {
        if (batch->base_sequence == 0) return KAFKA_NONE;
        snprintf(message, PRODUCER_MESSAGE_BYTES_MAX,
                 "Invalid sequence number for new epoch of producer %" PRId64 ": %d (request epoch), %d (seq. number), "
                 "%d (current producer epoch)",
                 p->id, batch->producer_epoch, batch->base_sequence, p->epoch);
        return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
    }
    int32_t last = p->batches_count ? p->batches[p->batches_count - 1].last_sequence : -1;
    if (batch->base_sequence == producer_sequence_add(last, 1)) return KAFKA_NONE;
    snprintf(message, PRODUCER_MESSAGE_BYTES_MAX,
             "Out of order sequence number for producer %" PRId64 ": %d (incoming seq. number), %d (current end "
             "sequence number)",
             p->id, batch->base_sequence, last);
    return KAFKA_OUT_OF_ORDER_SEQUENCE_NUMBER;
}

kafka_code_t producers_check(const producers_t *producers, const batch_header_t *batch,
                             const producer_batch_t **ret_duplicate, char message[PRODUCER_MESSAGE_BYTES_MAX])
{
    *ret_duplicate = NULL;
    const producer_t *p = producers_get(producers, batch->producer_id);
    if (!p || p->epoch < 0) return KAFKA_NONE; /* unknown, or forgotten: it may go on anywhere */
    kafka_code_t error = check_epoch(p, batch->producer_epoch, message);
    if (error) return error;
    *ret_duplicate = batch->producer_epoch == p->epoch ? find_duplicate(p, batch) : NULL;
    if (*ret_duplicate) return KAFKA_NONE;
    error = check_sequence(p, batch, message);
    return error ? error : check_open(p, batch, message);
}

/* Makes room for another producer; false when all are too young to be forgotten. */
static bool make_room(producers_t *producers, int64_t now_ms)
{
    for (int64_t idle_ms = 3600000; producers->by_id.count >= PRODUCERS_MAX && idle_ms >= 0; idle_ms -= 900000)
        producers_expire(producers, now_ms, idle_ms);
    return producers->by_id.count < PRODUCERS_MAX;
}

/* NULL: it may go on anywhere, unprotected. A transaction that would not be remembered would be read before it is decided. */
static producer_t *get_or_add(producers_t *producers, int64_t id, int64_t now_ms, bool must)
{
    producer_t *p = producers_get(producers, id);
    if (p) return p;
    return make_room(producers, now_ms) || must ? add(producers, id) : NULL;
}

static void set_epoch(producer_t *p, int16_t epoch, int64_t timestamp_ms)
{
    if (p->epoch != epoch) p->batches_count = 0;
    p->epoch = epoch;
    p->timestamp_ms = timestamp_ms;
}

static void open_transaction(producers_t *producers, producer_t *p, int64_t first_offset)
{
    p->txn_first_offset = first_offset;
    list_push_back(&producers->open, &p->open_node);
}

void producers_note(producers_t *producers, const batch_header_t *batch)
{
    if (batch->producer_id < 0) return;
    bool transactional = batch->attributes & RECORD_TRANSACTIONAL;
    producer_t *p = get_or_add(producers, batch->producer_id, batch->max_timestamp, transactional);
    if (!p) return;
    set_epoch(p, batch->producer_epoch, batch->max_timestamp);
    if (transactional && p->txn_first_offset < 0) open_transaction(producers, p, batch->base_offset);
    if (batch->base_sequence < 0) return; /* a coordinator's, which has none */
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

/* ---- transactions ---------------------------------------------------------------------------------------------------- */

int64_t producers_open_offset(const producers_t *producers)
{
    const producer_t *first = LIST_FIRST(&producers->open, producer_t, open_node);
    return first ? first->txn_first_offset : INT64_MAX;
}

bool producers_is_open(const producers_t *producers, int64_t producer_id, int16_t epoch)
{
    const producer_t *p = producers_get(producers, producer_id);
    return p && p->txn_first_offset >= 0 && p->epoch == epoch;
}

uint32_t producers_guard(const producers_t *producers, int64_t producer_id)
{
    const producer_t *p = producers_get(producers, producer_id);
    return p ? p->ended : 0;
}

kafka_code_t producers_check_marker(const producers_t *producers, const record_marker_t *marker)
{
    const producer_t *p = producers_get(producers, marker->producer_id);
    if (!p) return KAFKA_NONE;
    if (marker->producer_epoch < p->epoch) return KAFKA_INVALID_PRODUCER_EPOCH;
    return marker->coordinator_epoch < p->coordinator_epoch ? KAFKA_TRANSACTION_COORDINATOR_FENCED : KAFKA_NONE;
}

bool producers_note_marker(producers_t *producers, const record_marker_t *marker, int64_t offset, int64_t timestamp_ms,
                           log_aborted_t *ret_ended)
{
    producer_t *p = get_or_add(producers, marker->producer_id, timestamp_ms, true);
    set_epoch(p, marker->producer_epoch, timestamp_ms);
    p->coordinator_epoch = marker->coordinator_epoch;
    p->ended++;
    if (p->txn_first_offset < 0) return false;
    list_remove(&p->open_node);
    *ret_ended = (log_aborted_t){
        .producer_id = p->id,
        .first_offset = p->txn_first_offset,
        .last_offset = offset,
        .last_stable_offset = MIN(producers_open_offset(producers), offset + 1),
    };
    p->txn_first_offset = -1;
    return true;
}

/* ---- expiry ---------------------------------------------------------------------------------------------------------- */

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

/* ---- snapshots ------------------------------------------------------------------------------------------------------- */

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

static int compare_open(const void *a, const void *b)
{
    int64_t x = (*(producer_t *const *)a)->txn_first_offset, y = (*(producer_t *const *)b)->txn_first_offset;
    return (x > y) - (x < y);
}

/* What was decoded, in the order in which it was opened. */
static void list_open(producers_t *producers)
{
    producer_t **all = mem_alloc(sizeof(*all) * (producers->by_id.count + 1));
    size_t cursor = 0, count = 0;
    list_init(&producers->open);
    for (map_entry_t *e; (e = map_next(&producers->by_id, &cursor));) {
        producer_t *p = e->value;
        if (p->txn_first_offset >= 0) all[count++] = p;
    }
    qsort(all, count, sizeof(*all), compare_open);
    for (size_t i = 0; i < count; i++) list_push_back(&producers->open, &all[i]->open_node);
    mem_free(all);
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
    list_open(producers);
    return 0;
}
