/* share_state_records.c: see share_state_records.h. */
#include "kafka/coordinator/share/share_state_records.h"

#include "kafka_schema.h"

enum { SNAPSHOT_KEY_VERSION = 0, UPDATE_KEY_VERSION = 1, VALUE_VERSION = 0 };

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* Keys of both kinds have the same shape. */
static void add_key(kafka_writer_t *out, int16_t version, const share_state_key_t *key)
{
    kafka_write_int16(out, version);
    kafka_share_state_key_encode(
        out, version,
        &(kafka_share_state_key_t){.group_id = key->group_id, .topic_id = key->topic_id, .partition = key->partition});
}

_Static_assert(sizeof(kafka_share_snapshot_value_state_batch_t) == sizeof(kafka_share_update_value_state_batch_t),
               "both kinds of records have the same batches");

static kafka_share_update_value_state_batch_t *wire_batches(const share_state_value_t *value)
{
    kafka_share_update_value_state_batch_t *out = mem_zalloc(sizeof(out[0]) * (value->batches_count + 1));
    for (size_t i = 0; i < value->batches_count; i++) {
        const share_state_batch_t *b = &value->batches[i];
        out[i].first_offset = b->first_offset;
        out[i].last_offset = b->last_offset;
        out[i].delivery_state = b->delivery_state;
        out[i].delivery_count = b->delivery_count;
    }
    return out;
}

static void add(runtime_batch_t *records, kafka_writer_t *key, kafka_writer_t *value)
{
    runtime_batch_add(records, buf_bytes(&key->buf), buf_bytes(&value->buf));
    kafka_writer_deinit(key);
    kafka_writer_deinit(value);
}

void share_state_records_add_snapshot(runtime_batch_t *records, const share_state_key_t *key,
                                      const share_snapshot_t *snapshot, const share_state_value_t *value)
{
    kafka_writer_t k = KAFKA_WRITER_INIT, v = KAFKA_WRITER_INIT;
    kafka_share_update_value_state_batch_t *batches = wire_batches(value);
    add_key(&k, SNAPSHOT_KEY_VERSION, key);
    kafka_write_int16(&v, VALUE_VERSION);
    kafka_share_snapshot_value_encode(&v, VALUE_VERSION,
                                      &(kafka_share_snapshot_value_t){
                                          .snapshot_epoch = snapshot->epoch,
                                          .state_epoch = value->state_epoch,
                                          .leader_epoch = value->leader_epoch,
                                          .start_offset = value->start_offset,
                                          .delivery_complete_count = value->delivery_complete_count,
                                          .create_timestamp = snapshot->created_ms,
                                          .write_timestamp = snapshot->written_ms,
                                          .state_batches = (kafka_share_snapshot_value_state_batch_t *)batches,
                                          .state_batches_count = (int32_t)value->batches_count,
                                      });
    add(records, &k, &v);
    mem_free(batches);
}

void share_state_records_add_update(runtime_batch_t *records, const share_state_key_t *key, int32_t snapshot_epoch,
                                    const share_state_value_t *value)
{
    kafka_writer_t k = KAFKA_WRITER_INIT, v = KAFKA_WRITER_INIT;
    kafka_share_update_value_state_batch_t *batches = wire_batches(value);
    add_key(&k, UPDATE_KEY_VERSION, key);
    kafka_write_int16(&v, VALUE_VERSION);
    kafka_share_update_value_encode(&v, VALUE_VERSION,
                                    &(kafka_share_update_value_t){
                                        .snapshot_epoch = snapshot_epoch,
                                        .leader_epoch = value->leader_epoch,
                                        .start_offset = value->start_offset,
                                        .delivery_complete_count = value->delivery_complete_count,
                                        .state_batches = batches,
                                        .state_batches_count = (int32_t)value->batches_count,
                                    });
    add(records, &k, &v);
    mem_free(batches);
}

void share_state_records_add_tombstone(runtime_batch_t *records, const share_state_key_t *key)
{
    kafka_writer_t k = KAFKA_WRITER_INIT;
    add_key(&k, SNAPSHOT_KEY_VERSION, key);
    runtime_batch_add(records, buf_bytes(&k.buf), BYTES_NULL);
    kafka_writer_deinit(&k);
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool comes_after(const share_state_batch_t *before, const share_state_batch_t *b)
{
    return before->last_offset < b->first_offset;
}

/* Batches as they are stored: in order, and none overlaps another. */
static int read_batches(const kafka_share_update_value_state_batch_t *in, int32_t count, arena_t *arena,
                        share_state_value_t *ret_value)
{
    share_state_batch_t *out = arena_try_alloc(arena, sizeof(out[0]) * ((size_t)count + 1));
    if (!out) return ERR_LIMIT;
    for (int32_t i = 0; i < count; i++) {
        out[i] =
            (share_state_batch_t){in[i].first_offset, in[i].last_offset, in[i].delivery_state, in[i].delivery_count};
        if (!share_state_batch_is_valid(&out[i])) return ERR_INVALID;
        if (i > 0 && !comes_after(&out[i - 1], &out[i])) return ERR_INVALID;
    }
    ret_value->batches = out;
    ret_value->batches_count = (size_t)count;
    return 0;
}

static int read_snapshot(kafka_reader_t *r, arena_t *arena, share_state_record_t *ret_record)
{
    kafka_share_snapshot_value_t v;
    int err = kafka_share_snapshot_value_decode(r, VALUE_VERSION, arena, &v);
    if (err) return err;
    ret_record->snapshot = (share_snapshot_t){v.snapshot_epoch, v.create_timestamp, v.write_timestamp};
    ret_record->value = (share_state_value_t){.state_epoch = v.state_epoch,
                                              .leader_epoch = v.leader_epoch,
                                              .start_offset = v.start_offset,
                                              .delivery_complete_count = v.delivery_complete_count};
    return read_batches((const kafka_share_update_value_state_batch_t *)v.state_batches, v.state_batches_count, arena,
                        &ret_record->value);
}

static int read_update(kafka_reader_t *r, arena_t *arena, share_state_record_t *ret_record)
{
    kafka_share_update_value_t v;
    int err = kafka_share_update_value_decode(r, VALUE_VERSION, arena, &v);
    if (err) return err;
    ret_record->snapshot.epoch = v.snapshot_epoch;
    ret_record->value = (share_state_value_t){.leader_epoch = v.leader_epoch,
                                              .start_offset = v.start_offset,
                                              .delivery_complete_count = v.delivery_complete_count};
    return read_batches(v.state_batches, v.state_batches_count, arena, &ret_record->value);
}

static int read_value(bytes_t value, arena_t *arena, share_state_record_t *ret_record)
{
    kafka_reader_t r = kafka_reader(value);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version != VALUE_VERSION) return ERR_INVALID;
    return ret_record->kind == SHARE_RECORD_SNAPSHOT ? read_snapshot(&r, arena, ret_record)
                                                     : read_update(&r, arena, ret_record);
}

int share_state_record_decode(bytes_t key, bytes_t value, arena_t *arena, share_state_record_t *ret_record)
{
    kafka_share_state_key_t k;
    *ret_record = (share_state_record_t){.tombstone = value.ptr == NULL};
    kafka_reader_t r = kafka_reader(key);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version != SNAPSHOT_KEY_VERSION && version != UPDATE_KEY_VERSION) return 0;
    int err = kafka_share_state_key_decode(&r, version, arena, &k);
    if (err) return err;
    ret_record->kind = version == SNAPSHOT_KEY_VERSION ? SHARE_RECORD_SNAPSHOT : SHARE_RECORD_UPDATE;
    ret_record->key = (share_state_key_t){k.group_id, k.topic_id, k.partition};
    return ret_record->tombstone ? 0 : read_value(value, arena, ret_record);
}
