/* txn_records.c: see txn_records.h. Written are version 0 of the key and version 1 of the value, as transaction.version 1 and 2
 * have it. */
#include "kafka/coordinator/txn/txn_records.h"

#include "kafka_schema.h"

enum { KEY_VERSION = 0, VALUE_VERSION = 1 };

/* ---- writing --------------------------------------------------------------------------------------------------------- */

static void add_key(kafka_writer_t *key, bytes_t id)
{
    kafka_write_int16(key, KEY_VERSION);
    kafka_transaction_log_key_encode(key, KEY_VERSION, &(kafka_transaction_log_key_t){.transactional_id = id});
}

static bool is_over(txn_state_t state)
{
    return state == TXN_EMPTY || state == TXN_COMPLETE_COMMIT || state == TXN_COMPLETE_ABORT;
}

/* The topics point into `parts`, who must last. */
static void add_topics(kafka_transaction_log_value_t *value, const txn_parts_t *parts)
{
    size_t cursor = 0;
    value->transaction_partitions = mem_zalloc(sizeof(value->transaction_partitions[0]) * (parts->topics.count + 1));
    for (const txn_topic_t *t; (t = txn_parts_next(parts, &cursor));) {
        value->transaction_partitions[value->transaction_partitions_count++] = (kafka_transaction_log_value_topic_t){
            .topic = t->name, .partition_ids = t->indexes, .partition_ids_count = t->count};
    }
}

void txn_records_add(runtime_batch_t *records, bytes_t id, const txn_fields_t *next, const txn_parts_t *parts,
                     const txn_parts_t *adding)
{
    kafka_writer_t key = KAFKA_WRITER_INIT, value = KAFKA_WRITER_INIT;
    txn_parts_t all = {.topics = MAP_INIT};
    kafka_transaction_log_value_t v = {
        .producer_id = next->producer_id,
        .previous_producer_id = next->previous_producer_id,
        .next_producer_id = next->next_producer_id,
        .producer_epoch = next->producer_epoch,
        .transaction_timeout_ms = next->timeout_ms,
        .transaction_status = (int8_t)next->state,
        .transaction_partitions_count = 0,
        .transaction_last_update_timestamp_ms = next->update_ms,
        .transaction_start_timestamp_ms = next->start_ms,
        .client_transaction_version = next->client_version,
    };
    if (!is_over(next->state)) {
        txn_parts_add_all(&all, parts);
        if (adding) txn_parts_add_all(&all, adding);
    }
    add_topics(&v, &all);
    if (next->state == TXN_EMPTY) v.transaction_partitions_count = -1; /* as the original writes it */
    add_key(&key, id);
    kafka_write_int16(&value, VALUE_VERSION);
    kafka_transaction_log_value_encode(&value, VALUE_VERSION, &v);
    runtime_batch_add(records, buf_bytes(&key.buf), buf_bytes(&value.buf));
    mem_free(v.transaction_partitions);
    txn_parts_clear(&all);
    kafka_writer_deinit(&key);
    kafka_writer_deinit(&value);
}

void txn_records_add_tombstone(runtime_batch_t *records, bytes_t id)
{
    kafka_writer_t key = KAFKA_WRITER_INIT;
    add_key(&key, id);
    runtime_batch_add(records, buf_bytes(&key.buf), BYTES_NULL);
    kafka_writer_deinit(&key);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static txn_fields_t fields_of(const kafka_transaction_log_value_t *v)
{
    return (txn_fields_t){
        .state = (txn_state_t)v->transaction_status,
        .producer_id = v->producer_id,
        .previous_producer_id = v->previous_producer_id,
        .next_producer_id = v->next_producer_id,
        .producer_epoch = v->producer_epoch,
        .last_producer_epoch = -1, /* it is not stored */
        .client_version = v->client_transaction_version,
        .timeout_ms = v->transaction_timeout_ms,
        .start_ms = v->transaction_start_timestamp_ms,
        .update_ms = v->transaction_last_update_timestamp_ms,
    };
}

/* States that are entered and stored. */
static bool is_stored(int8_t state) { return state >= TXN_EMPTY && state <= TXN_COMPLETE_ABORT; }

static int decode_value(bytes_t value, arena_t *arena, txn_record_t *ret_record)
{
    kafka_reader_t r = kafka_reader(value);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version < 0 || version > VALUE_VERSION) return ERR_INVALID;
    kafka_transaction_log_value_t *v = arena_try_alloc(arena, sizeof(*v));
    if (!v) return ERR_LIMIT;
    int err = kafka_transaction_log_value_decode(&r, version, arena, v);
    if (err) return err;
    if (!is_stored(v->transaction_status)) return ERR_INVALID;
    ret_record->fields = fields_of(v);
    ret_record->value = v;
    return 0;
}

int txn_record_decode(bytes_t key, bytes_t value, arena_t *arena, txn_record_t *ret_record)
{
    kafka_transaction_log_key_t k;
    *ret_record = (txn_record_t){.tombstone = value.ptr == NULL};
    kafka_reader_t r = kafka_reader(key);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version != KEY_VERSION) return 0;
    int err = kafka_transaction_log_key_decode(&r, KEY_VERSION, arena, &k);
    if (!err && !ret_record->tombstone) err = decode_value(value, arena, ret_record);
    if (!err) ret_record->id = k.transactional_id;
    return err;
}

void txn_record_parts(const txn_record_t *record, txn_parts_t *out)
{
    const kafka_transaction_log_value_t *v = record->value;
    for (int32_t t = 0; t < v->transaction_partitions_count; t++) {
        const kafka_transaction_log_value_topic_t *topic = &v->transaction_partitions[t];
        for (int32_t i = 0; i < topic->partition_ids_count; i++)
            txn_parts_add(out, topic->topic, topic->partition_ids[i]);
    }
}
