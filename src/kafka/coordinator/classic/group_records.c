/* group_records.c: see group_records.h. Versions written are those of Kafka 4: OffsetCommitKey 1,
 * OffsetCommitValue 3 (1 when it carries an expiry, as OffsetCommit 2 to 4 may ask), GroupMetadataKey 2,
 * GroupMetadataValue 3. */
#include "kafka/coordinator/classic/group_records.h"

#include "kafka_schema.h"

enum {
    OFFSET_KEY_VERSION_MAX = 1,
    GROUP_KEY_VERSION = 2,
    OFFSET_VALUE_VERSION = 3,
    OFFSET_VALUE_VERSION_EXPIRING = 1,
    GROUP_VALUE_VERSION = 3,
    VALUE_VERSION_MAX = 4,
};

/* ---- reading --------------------------------------------------------------------------------------- */

static int read_value_version(kafka_reader_t *r, int16_t *ret_version)
{
    int16_t version = kafka_read_int16(r);
    if (r->err) return r->err;
    if (version < 0 || version > VALUE_VERSION_MAX) return ERR_INVALID;
    *ret_version = version;
    return 0;
}

static int decode_offset(kafka_reader_t *key, int16_t key_version, bytes_t value, arena_t *arena, group_record_t *ret)
{
    kafka_offset_commit_key_t k;
    int err = kafka_offset_commit_key_decode(key, key_version, arena, &k);
    if (err) return err;
    ret->kind = GROUP_RECORD_OFFSET;
    ret->group_id = k.group;
    ret->topic = k.topic;
    ret->partition = k.partition;
    if (ret->tombstone) return 0;
    kafka_reader_t r = kafka_reader(value);
    int16_t version;
    kafka_offset_commit_value_t v;
    if ((err = read_value_version(&r, &version))) return err;
    if ((err = kafka_offset_commit_value_decode(&r, version, arena, &v))) return err;
    ret->offset = (group_offset_t){.offset = v.offset,
                                   .leader_epoch = v.leader_epoch,
                                   .metadata = v.metadata,
                                   .commit_ms = v.commit_timestamp,
                                   .expire_ms = v.expire_timestamp};
    return 0;
}

static int decode_group(kafka_reader_t *key, bytes_t value, arena_t *arena, group_record_t *ret)
{
    kafka_group_metadata_key_t k;
    int err = kafka_group_metadata_key_decode(key, GROUP_KEY_VERSION, arena, &k);
    if (err) return err;
    ret->kind = GROUP_RECORD_GROUP;
    ret->group_id = k.group;
    if (ret->tombstone) return 0;
    kafka_reader_t r = kafka_reader(value);
    int16_t version;
    if ((err = read_value_version(&r, &version))) return err;
    ret->group = arena_try_alloc(arena, sizeof(*ret->group));
    if (!ret->group) return ERR_LIMIT;
    return kafka_group_metadata_value_decode(&r, version, arena, ret->group);
}

int group_record_decode(bytes_t key, bytes_t value, arena_t *arena, group_record_t *ret_record)
{
    *ret_record = (group_record_t){.tombstone = value.ptr == NULL};
    kafka_reader_t r = kafka_reader(key);
    int16_t version = kafka_read_int16(&r);
    if (r.err) return r.err;
    if (version >= 0 && version <= OFFSET_KEY_VERSION_MAX) return decode_offset(&r, version, value, arena, ret_record);
    if (version == GROUP_KEY_VERSION) return decode_group(&r, value, arena, ret_record);
    return 0;
}

int group_record_load(group_t *group, const struct kafka_group_metadata_value *value)
{
    group_load(group, value->generation, value->protocol_type, value->protocol, value->current_state_timestamp);
    for (int32_t i = 0; i < value->members_count; i++) {
        const kafka_group_metadata_value_member_t *m = &value->members[i];
        group_loaded_member_t member = {
            .id = m->member_id,
            .instance_id = m->group_instance_id,
            .client_id = m->client_id,
            .client_host = m->client_host,
            .subscription = m->subscription,
            .assignment = m->assignment,
            .rebalance_timeout_ms = m->rebalance_timeout,
            .session_timeout_ms = m->session_timeout,
        };
        int err = group_load_member(group, &member, bytes_eq(m->member_id, value->leader));
        if (err) return err;
    }
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static void add(runtime_batch_t *records, kafka_writer_t *key, kafka_writer_t *value)
{
    bytes_t value_bytes = value ? buf_bytes(&value->buf) : BYTES_NULL;
    runtime_batch_add(records, buf_bytes(&key->buf), value_bytes);
    kafka_writer_deinit(key);
}

void group_record_encode_key(kafka_writer_t *key, bytes_t group_id, bytes_t topic, int32_t partition)
{
    kafka_offset_commit_key_t k = {.group = group_id, .topic = topic, .partition = partition};
    kafka_write_int16(key, OFFSET_KEY_VERSION_MAX);
    kafka_offset_commit_key_encode(key, OFFSET_KEY_VERSION_MAX, &k);
}

void group_record_encode_offset(kafka_writer_t *value, const group_offset_t *offset)
{
    int16_t version = offset->expire_ms != -1 ? OFFSET_VALUE_VERSION_EXPIRING : OFFSET_VALUE_VERSION;
    kafka_offset_commit_value_t v = {.offset = offset->offset,
                                     .leader_epoch = offset->leader_epoch,
                                     .metadata = offset->metadata,
                                     .commit_timestamp = offset->commit_ms,
                                     .expire_timestamp = offset->expire_ms};
    kafka_write_int16(value, version);
    kafka_offset_commit_value_encode(value, version, &v);
}

void group_records_add_offset(runtime_batch_t *records, bytes_t group_id, bytes_t topic, int32_t partition,
                              const group_offset_t *offset)
{
    kafka_writer_t key = KAFKA_WRITER_INIT, value = KAFKA_WRITER_INIT;
    group_record_encode_key(&key, group_id, topic, partition);
    if (offset) group_record_encode_offset(&value, offset);
    add(records, &key, offset ? &value : NULL);
    kafka_writer_deinit(&value);
}

static void add_group(runtime_batch_t *records, bytes_t group_id, const kafka_group_metadata_value_t *v)
{
    kafka_writer_t key = KAFKA_WRITER_INIT, value = KAFKA_WRITER_INIT;
    kafka_write_int16(&key, GROUP_KEY_VERSION);
    kafka_group_metadata_key_encode(&key, GROUP_KEY_VERSION, &(kafka_group_metadata_key_t){.group = group_id});
    if (v) {
        kafka_write_int16(&value, GROUP_VALUE_VERSION);
        kafka_group_metadata_value_encode(&value, GROUP_VALUE_VERSION, v);
    }
    add(records, &key, v ? &value : NULL);
    kafka_writer_deinit(&value);
}

void group_records_add_group(runtime_batch_t *records, const group_t *g, const group_store_t *store)
{
    kafka_group_metadata_value_t v = {
        .protocol_type = g->protocol_type,
        .generation = g->generation,
        .protocol = g->protocol_name,
        .leader = g->leader ? g->leader->id : BYTES_NULL,
        .current_state_timestamp = g->state_since_ms,
        .members = mem_zalloc(sizeof(v.members[0]) * (g->members_count + 1)),
    };
    LIST_EACH(&g->members, m, group_member_t, node) {
        bytes_t subscription = group_member_metadata(m, g->protocol_name);
        v.members[v.members_count++] = (kafka_group_metadata_value_member_t){
            .member_id = m->id,
            .group_instance_id = m->instance_id,
            .client_id = m->client_id,
            .client_host = m->client_host,
            .rebalance_timeout = m->rebalance_timeout_ms,
            .session_timeout = m->session_timeout_ms,
            .subscription = subscription,
            .assignment = group_member_to_store(m, store),
        };
    }
    add_group(records, g->id, &v);
    mem_free(v.members);
}

void group_records_add_group_tombstone(runtime_batch_t *records, bytes_t group_id)
{
    add_group(records, group_id, NULL);
}

/* ---- where they go --------------------------------------------------------------------------------- */
