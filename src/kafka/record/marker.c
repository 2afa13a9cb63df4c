/* marker.c: the control batch that ends a transaction (KIP-98), of one record:
 *
 *      key     | version i16 0 | type i16: 0 abort, 1 commit |
 *      value   | version i16 0 | coordinator epoch i32 |
 *
 * Later versions may be longer; what is known of them stands in front. */
#include "kafka/record/record.h"

enum { KEY_BYTES = 4, VALUE_BYTES = 6, TYPE_ABORT = 0, TYPE_COMMIT = 1, MARKER_BYTES_MAX = KIB(64) };

uint8_t *record_marker_build(record_builder_t *builder, const record_marker_t *marker, int64_t timestamp_ms,
                             size_t *ret_bytes)
{
    uint8_t key[KEY_BYTES] = {0}, value[VALUE_BYTES] = {0};
    record_producer_t producer = {marker->producer_id, marker->producer_epoch, -1};
    ASSERT(builder->count == 0);
    store_be16(key + 2, marker->commits ? TYPE_COMMIT : TYPE_ABORT);
    store_be32(value + 2, (uint32_t)marker->coordinator_epoch);
    record_builder_add(builder, timestamp_ms, bytes_of(key, KEY_BYTES), bytes_of(value, VALUE_BYTES), NULL, 0);
    return record_builder_finish(builder, RECORD_TRANSACTIONAL | RECORD_CONTROL, producer, ret_bytes);
}

int record_marker_of(const batch_header_t *batch, const record_t *record, record_marker_t *ret_marker)
{
    if (record->key.len < KEY_BYTES) return ERR_CORRUPT;
    int type = load_be16(record->key.ptr + 2);
    if (type != TYPE_ABORT && type != TYPE_COMMIT) return ERR_NOT_FOUND;
    if (record->value.len < VALUE_BYTES) return ERR_CORRUPT;
    *ret_marker = (record_marker_t){
        .producer_id = batch->producer_id,
        .producer_epoch = batch->producer_epoch,
        .coordinator_epoch = (int32_t)load_be32(record->value.ptr + 2),
        .commits = type == TYPE_COMMIT,
    };
    return 0;
}

int record_marker_read(bytes_t batch, record_marker_t *ret_marker)
{
    record_iter_t iter;
    record_t record;
    int err = record_iter_init(&iter, batch, MARKER_BYTES_MAX);
    if (!err) err = record_iter_next(&iter, &record);
    if (!err) err = record_marker_of(&iter.batch, &record, ret_marker);
    record_iter_deinit(&iter);
    return err;
}
