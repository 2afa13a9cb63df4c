/* txn_offset_commit.c: TxnOffsetCommit: what a group has consumed, as part of a producer's transaction. It is stored at once and
 * counts when the transaction is committed. From version 5 on the group's partition of __consumer_offsets is added to the transaction
 * here (KIP-890); before, AddOffsetsToTxn has done so.
 *
 *      checks -> the coordinator of the transaction is asked -> one batch -> answer
 *
 * The checks, and then the records, are made one partition a step; the group is asked when all are there. */
#include "kafka/api/apis.h"
#include "kafka/api/txn_apis.h"
#include "kafka/coordinator/groups.h"

#define VERSION_WITH_ABORTABLE 4
#define VERSION_THAT_ADDS      5

typedef struct txn_commit {
    txns_request_t add;
    runtime_write_t write;
    kafka_request_t *request;
    kafka_txn_offset_commit_response_t *response;
    group_entry_t *entry;     /* counted, from the write on */
    int32_t topic, partition; /* whose turn it is */
    bool is_asked;            /* the coordinator of the transaction agreed */
} txn_commit_t;

typedef kafka_txn_offset_commit_request_partition_t in_partition_t;
typedef kafka_txn_offset_commit_response_partition_t out_partition_t;

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

static void respond(txn_commit_t *c, kafka_code_t error)
{
    group_entry_t *entry = c->entry;
    for (int32_t t = 0; t < c->response->topics_count; t++) {
        kafka_txn_offset_commit_response_topic_t *out = &c->response->topics[t];
        for (int32_t p = 0; p < out->partitions_count; p++) {
            if (!out->partitions[p].error_code) out->partitions[p].error_code = error;
        }
    }
    record_builder_deinit(&c->write.batch.builder);
    kafka_respond(c->request, c->response); /* `c` is gone with the request's arena */
    if (entry) group_entry_unref(entry);
}

/* Partitions that are not there, and metadata that is too long, are refused alone. */
static kafka_code_t check_partition(const kafka_t *kafka, bytes_t topic_name, const in_partition_t *in)
{
    const kafka_topic_t *topic = kafka_topic_get(kafka, topic_name);
    if (!topic || in->partition_index < 0 || in->partition_index >= topic->partitions_count)
        return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    bool long_metadata = in->committed_metadata.len > (size_t)kafka->config.offset_metadata_max_bytes;
    return long_metadata ? KAFKA_OFFSET_METADATA_TOO_LARGE : KAFKA_NONE;
}

static void begin_topic(txn_commit_t *c, const kafka_txn_offset_commit_request_topic_t *in)
{
    kafka_txn_offset_commit_response_topic_t *out = &c->response->topics[c->response->topics_count++];
    out->name = in->name;
    out->partitions =
        kafka_array_new(&kafka_txn_offset_commit_response_partition_shape, &c->request->arena, in->partitions_count);
}

static void check_next(txn_commit_t *c, const kafka_txn_offset_commit_request_topic_t *in)
{
    kafka_txn_offset_commit_response_topic_t *answers = &c->response->topics[c->topic];
    const in_partition_t *partition = &in->partitions[c->partition];
    out_partition_t *out = &answers->partitions[answers->partitions_count++];
    out->partition_index = partition->partition_index;
    out->error_code = check_partition(c->request->kafka, in->name, partition);
}

/* ---- the write ------------------------------------------------------------------------------------------------------- */

static group_offset_t offset_of(const txn_commit_t *c, const in_partition_t *in)
{
    return (group_offset_t){
        .offset = in->committed_offset,
        .leader_epoch = in->committed_leader_epoch,
        .metadata = in->committed_metadata,
        .commit_ms = c->write.batch.now_ms,
        .expire_ms = -1,
    };
}

static const out_partition_t *answer_of(const txn_commit_t *c, int32_t topic, int32_t partition)
{
    return &c->response->topics[topic].partitions[partition];
}

static void add_record(txn_commit_t *c, const kafka_txn_offset_commit_request_topic_t *in)
{
    const kafka_txn_offset_commit_request_t *body = c->request->body;
    const in_partition_t *partition = &in->partitions[c->partition];
    if (answer_of(c, c->topic, c->partition)->error_code) return;
    group_offset_t offset = offset_of(c, partition);
    group_records_add_offset(&c->write.batch, body->group_id, in->name, partition->partition_index, &offset);
}

static void take_offsets(txn_commit_t *c)
{
    const kafka_txn_offset_commit_request_t *body = c->request->body;
    for (int32_t t = 0; t < body->topics_count; t++) {
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++) {
            const in_partition_t *in = &body->topics[t].partitions[p];
            if (answer_of(c, t, p)->error_code) continue;
            group_offset_t offset = offset_of(c, in);
            groups_offset_put_pending(c->entry, body->producer_id, body->topics[t].name, in->partition_index, &offset);
        }
    }
}

static void on_written(runtime_write_t *write, kafka_code_t error)
{
    txn_commit_t *c = CONTAINER_OF(write, txn_commit_t, write);
    if (!error && !c->entry->removed) take_offsets(c);
    respond(c, error);
}

static kafka_code_t check_group(txn_commit_t *c)
{
    const kafka_txn_offset_commit_request_t *body = c->request->body;
    kafka_groups_t *groups = c->request->kafka->groups;
    group_entry_t *entry = NULL;
    kafka_code_t error = groups_find_settled(groups, body->group_id, &entry);
    if (error) return error;
    if (!entry && body->generation_id >= 0) return KAFKA_ILLEGAL_GENERATION;
    if (!entry) entry = groups_create(groups, body->group_id);
    groups_committer_t by = {
        .member_id = body->member_id,
        .instance_id = body->group_instance_id,
        .generation = body->generation_id,
        .api_version = c->request->header.api_version,
        .transactional = true,
    };
    error = groups_commit_check(entry, &by);
    if (error) return error;
    c->entry = entry;
    group_entry_ref(entry);
    return KAFKA_NONE;
}

static void write_out(txn_commit_t *c)
{
    const kafka_txn_offset_commit_request_t *body = c->request->body;
    kafka_code_t error = check_group(c);
    if (error || c->write.batch.builder.count == 0) {
        respond(c, error);
        return;
    }
    c->write.batch.producer = (record_producer_t){body->producer_id, body->producer_epoch, -1};
    runtime_write(groups_runtime(c->request->kafka->groups), c->entry->partition, &c->write, on_written);
}

/* ---- the transaction ------------------------------------------------------------------------------------------------- */

/* As who commits knows what the coordinator of the transaction says. */
static kafka_code_t commit_code(const kafka_request_t *request, kafka_code_t error)
{
    if (error == KAFKA_PRODUCER_FENCED) return KAFKA_INVALID_PRODUCER_EPOCH;
    if (error == KAFKA_TRANSACTION_ABORTABLE && request->header.api_version < VERSION_WITH_ABORTABLE)
        return KAFKA_INVALID_TXN_STATE;
    return error;
}

static slice_state_t step(slice_t *slice);

static void asked(txn_commit_t *c, kafka_code_t error)
{
    if (error) {
        respond(c, commit_code(c->request, error));
        return;
    }
    c->is_asked = true;
    c->topic = c->partition = 0;
    kafka_request_run(c->request, step, NULL);
}

static void added(txns_request_t *add, kafka_code_t error, txn_producer_t producer)
{
    asked(CONTAINER_OF(add, txn_commit_t, add), error);
}

static void ask(txn_commit_t *c, int32_t partition)
{
    kafka_request_t *request = c->request;
    const kafka_txn_offset_commit_request_t *body = request->body;
    txn_producer_t by = {body->producer_id, body->producer_epoch};
    txn_parts_t parts = {.topics = MAP_INIT};
    if (request->header.api_version < VERSION_THAT_ADDS) {
        asked(c, txns_verify(request->kafka->txns, body->transactional_id, by, BYTES_LIT(GROUPS_TOPIC), partition));
        return;
    }
    txn_parts_add(&parts, BYTES_LIT(GROUPS_TOPIC), partition);
    txns_add(request->kafka->txns, body->transactional_id, by, &parts, &c->add, added);
    txn_parts_clear(&parts);
}

static void all_checked(txn_commit_t *c)
{
    const kafka_txn_offset_commit_request_t *body = c->request->body;
    int32_t partition;
    kafka_code_t error = body->group_id.len == 0 ? KAFKA_INVALID_GROUP_ID : KAFKA_NONE;
    if (!error) error = runtime_check(groups_runtime(c->request->kafka->groups), body->group_id, &partition);
    if (error)
        respond(c, error);
    else
        ask(c, partition);
}

/* Twice through all partitions: they are checked, and then, when the coordinator has agreed, recorded. */
static slice_state_t step(slice_t *slice)
{
    txn_commit_t *c = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    const kafka_txn_offset_commit_request_t *body = c->request->body;
    if (c->topic == body->topics_count) {
        if (c->is_asked)
            write_out(c);
        else
            all_checked(c);
        return SLICE_ENDED;
    }
    const kafka_txn_offset_commit_request_topic_t *in = &body->topics[c->topic];
    if (c->partition == 0 && !c->is_asked) begin_topic(c, in);
    if (c->partition < in->partitions_count) {
        if (c->is_asked)
            add_record(c, in);
        else
            check_next(c, in);
        c->partition++;
    } else {
        c->topic++;
        c->partition = 0;
    }
    return SLICE_MORE;
}

void kafka_handle_txn_offset_commit(kafka_request_t *request)
{
    const kafka_txn_offset_commit_request_t *body = request->body;
    txn_commit_t *c = request->state = ARENA_NEW(&request->arena, txn_commit_t);
    c->request = request;
    c->response = KAFKA_MESSAGE(request, txn_offset_commit_response);
    c->response->topics =
        kafka_array_new(&kafka_txn_offset_commit_response_topic_shape, &request->arena, body->topics_count);
    c->write.batch = runtime_batch(groups_now(request->kafka->groups).wall_ms);
    kafka_request_run(request, step, NULL);
}
