/* txns.c: the table of transactional ids, and the requests of producers. See txns.h. */
#include "kafka/coordinator/txn/txns_internal.h"

#include "kafka/coordinator/txn/txn_records.h"

runtime_t *txns_runtime(const kafka_txns_t *txns) { return txns->runtime; }
bool txns_loaded(const kafka_txns_t *txns) { return runtime_is_loaded(txns->runtime); }
uint32_t kafka_txns_count(const kafka_txns_t *txns) { return (uint32_t)txns->entries.count; }
int64_t txns_now_ms(const kafka_txns_t *txns) { return io_wall_ms(txns->kafka->loop); }

/* ---- entries --------------------------------------------------------------------------------------------------------- */

/* As many as the topic has: another topic of that name may come once the first is gone, with all that it held. */
static txns_partition_t *partition_for(kafka_txns_t *txns, int32_t index)
{
    int32_t count = runtime_partitions_count(txns->runtime);
    if (txns->partitions_count != count) {
        ASSERT(txns->entries.count == 0);
        txns->partitions = mem_realloc(txns->partitions, sizeof(txns->partitions[0]) * (size_t)count);
        txns->partitions_count = count;
        for (int32_t i = 0; i < count; i++) {
            list_init(&txns->partitions[i].loaded);
            list_init(&txns->partitions[i].living);
        }
    }
    return &txns->partitions[index];
}

txns_partition_t *txns__partition(const kafka_txns_t *txns, int32_t index)
{
    return index < txns->partitions_count ? &txns->partitions[index] : NULL;
}

txns_entry_t *txns__entry_new(kafka_txns_t *txns, bytes_t id, int32_t partition, bool loaded)
{
    txns_partition_t *p = partition_for(txns, partition);
    txns_entry_t *entry = mem_zalloc(sizeof(*entry));
    entry->txns = txns;
    entry->id = bytes_of(mem_strndup(id), id.len);
    entry->partition = partition;
    entry->refs = 1;
    entry->write.batch = runtime_batch(0);
    entry->adding = (txn_parts_t){.topics = MAP_INIT};
    list_init(&entry->ongoing_node);
    list_push_back(loaded ? &p->loaded : &p->living, &entry->node);
    list_push_back(&txns->all, &entry->all_node);
    void *previous = map_put(&txns->entries, entry->id, entry);
    ASSERT(!previous);
    return entry;
}

void txns__entry_ref(txns_entry_t *entry) { entry->refs++; }

void txns__entry_unref(txns_entry_t *entry)
{
    if (--entry->refs > 0) return;
    ASSERT(entry->removed);
    record_builder_deinit(&entry->write.batch.builder);
    txn_parts_clear(&entry->adding);
    txn_deinit(&entry->txn);
    mem_free(entry->marks);
    mem_free((void *)entry->id.ptr);
    mem_free(entry);
}

void txns__remove(txns_entry_t *entry)
{
    map_remove(&entry->txns->entries, entry->id);
    list_remove(&entry->node);
    list_remove(&entry->all_node);
    list_remove(&entry->ongoing_node);
    entry->removed = true;
    txns__markers_stop(entry);
    txns__entry_unref(entry);
}

static kafka_code_t find_entry(const kafka_txns_t *txns, bytes_t id, txns_entry_t **ret_entry, int32_t *ret_partition)
{
    kafka_code_t error = runtime_check(txns->runtime, id, ret_partition);
    if (!error) *ret_entry = map_get(&txns->entries, id);
    return error;
}

kafka_code_t txns_find(const kafka_txns_t *txns, bytes_t id, const txn_t **ret_txn)
{
    txns_entry_t *entry;
    int32_t partition;
    kafka_code_t error = find_entry(txns, id, &entry, &partition);
    if (!error) *ret_txn = entry ? &entry->txn : NULL;
    return error;
}

bool txns_each_of(const kafka_txns_t *txns, int32_t partition, void (*each)(void *user, bytes_t id, const txn_t *txn),
                  void *user)
{
    const txns_partition_t *p = txns__partition(txns, partition);
    if (!p) return false;
    LIST_EACH(&p->living, entry, txns_entry_t, node) each(user, entry->id, &entry->txn);
    return true;
}

/* ---- a step ---------------------------------------------------------------------------------------------------------- */

static void tell(txns_entry_t *entry, kafka_code_t error)
{
    txns_request_t *request = entry->request;
    txn_producer_t producer = TXN_NO_PRODUCER;
    entry->request = NULL;
    if (!request) return;
    if (!error) producer = (txn_producer_t){entry->txn.now.producer_id, entry->txn.now.producer_epoch};
    /* Where the epochs were used up the producer goes on with the next id. */
    if (!error && entry->txn.now.next_producer_id != -1)
        producer = (txn_producer_t){entry->txn.now.next_producer_id, 0};
    request->done(request, error, producer);
}

void txns__entered(txns_entry_t *entry)
{
    bool ongoing = entry->txn.now.state == TXN_ONGOING;
    bool listed = list_linked(&entry->ongoing_node);
    if (ongoing && !listed) list_push_back(&entry->txns->ongoing, &entry->ongoing_node);
    if (!ongoing && listed) list_remove(&entry->ongoing_node);
}

static void on_written(runtime_write_t *write, kafka_code_t error)
{
    txns_entry_t *entry = CONTAINER_OF(write, txns_entry_t, write);
    record_builder_deinit(&write->batch.builder);
    if (error || entry->removed)
        entry->txn.pending = false;
    else
        txn_enter(&entry->txn, &entry->next, &entry->adding);
    txn_parts_clear(&entry->adding);
    if (entry->removed && !error) error = KAFKA_NOT_COORDINATOR;
    if (!error) txns__entered(entry);
    entry->stored(entry, error);
    txns__entry_unref(entry);
}

void txns__store(txns_entry_t *entry, void (*stored)(txns_entry_t *entry, kafka_code_t error))
{
    entry->stored = stored;
    entry->txn.pending = true;
    entry->write.batch = runtime_batch(txns_now_ms(entry->txns));
    txn_records_add(&entry->write.batch, entry->id, &entry->next, &entry->txn.parts, &entry->adding);
    txns__entry_ref(entry);
    runtime_write(entry->txns->runtime, entry->partition, &entry->write, on_written);
}

/* The decision is stored, and so is told before its markers are there. */
static void on_prepared(txns_entry_t *entry, kafka_code_t error)
{
    tell(entry, error);
    if (!error && !entry->removed) txns__write_markers(entry);
}

static void on_stored(txns_entry_t *entry, kafka_code_t error) { tell(entry, error); }

static void refuse(txns_request_t *request, kafka_code_t error) { request->done(request, error, TXN_NO_PRODUCER); }

/* ---- a producer begins ----------------------------------------------------------------------------------------------- */

/* Its producer must come again when what was there has ended. */
static void on_fenced(txns_entry_t *entry, kafka_code_t error)
{
    tell(entry, error ? error : KAFKA_CONCURRENT_TRANSACTIONS);
    if (!error && !entry->removed) txns__write_markers(entry);
}

static void begin_fresh(producer_id_request_t *fresh, kafka_code_t error, int64_t producer_id);

static void begin_with(txns_request_t *request, txns_entry_t *entry)
{
    bool needs_id;
    kafka_code_t error = txn_begin(&entry->txn, &request->in.begin, txns_now_ms(entry->txns), &entry->next, &needs_id);
    if (error) {
        refuse(request, error);
    } else if (needs_id) {
        producer_ids_next(entry->txns->kafka, &request->fresh, begin_fresh);
    } else {
        entry->request = request;
        txns__store(entry, entry->next.state == TXN_PREPARE_ABORT ? on_fenced : on_stored);
    }
}

static void begin(txns_request_t *request)
{
    kafka_txns_t *txns = request->txns;
    txns_entry_t *entry;
    int32_t partition;
    kafka_code_t error = find_entry(txns, request->id, &entry, &partition);
    if (!error && !entry && txns->entries.count >= TXNS_MAX) error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (error) {
        refuse(request, error);
        return;
    }
    if (!entry && request->in.begin.fresh_id == -1) {
        producer_ids_next(txns->kafka, &request->fresh, begin_fresh);
        return;
    }
    if (!entry) {
        entry = txns__entry_new(txns, request->id, partition, false);
        txn_init(&entry->txn, request->in.begin.fresh_id, request->in.begin.timeout_ms, txns_now_ms(txns));
    }
    begin_with(request, entry);
}

static void begin_fresh(producer_id_request_t *fresh, kafka_code_t error, int64_t producer_id)
{
    txns_request_t *request = CONTAINER_OF(fresh, txns_request_t, fresh);
    request->in.begin.fresh_id = producer_id;
    if (error)
        refuse(request, error);
    else
        begin(request);
}

void txns_begin(kafka_txns_t *txns, bytes_t id, int32_t timeout_ms, txn_producer_t expected, txns_request_t *request,
                void (*done)(txns_request_t *request, kafka_code_t error, txn_producer_t producer))
{
    *request = (txns_request_t){.done = done, .txns = txns, .id = id};
    request->in.begin = (txn_begin_t){expected, timeout_ms, -1};
    if (id.len == 0)
        refuse(request, KAFKA_INVALID_REQUEST);
    else if (timeout_ms <= 0 || timeout_ms > txns->kafka->config.transaction_max_timeout_ms)
        refuse(request, KAFKA_INVALID_TRANSACTION_TIMEOUT);
    else
        begin(request);
}

/* ---- partitions ------------------------------------------------------------------------------------------------------ */

static kafka_code_t find_used(const kafka_txns_t *txns, bytes_t id, txns_entry_t **ret_entry)
{
    int32_t partition;
    if (id.len == 0) return KAFKA_INVALID_REQUEST;
    kafka_code_t error = find_entry(txns, id, ret_entry, &partition);
    if (error) return error;
    return *ret_entry ? KAFKA_NONE : KAFKA_INVALID_PRODUCER_ID_MAPPING;
}

void txns_add(kafka_txns_t *txns, bytes_t id, txn_producer_t by, const txn_parts_t *adding, txns_request_t *request,
              void (*done)(txns_request_t *request, kafka_code_t error, txn_producer_t producer))
{
    txns_entry_t *entry;
    bool there = false;
    *request = (txns_request_t){.done = done, .txns = txns, .id = id};
    kafka_code_t error = find_used(txns, id, &entry);
    if (!error) error = txn_add(&entry->txn, by, adding, txns_now_ms(txns), &entry->next, &there);
    if (error || there) {
        refuse(request, error);
        return;
    }
    entry->request = request;
    txn_parts_add_all(&entry->adding, adding);
    txns__store(entry, on_stored);
}

kafka_code_t txns_verify(const kafka_txns_t *txns, bytes_t id, txn_producer_t by, bytes_t topic, int32_t index)
{
    txns_entry_t *entry;
    kafka_code_t error = find_used(txns, id, &entry);
    return error ? error : txn_verify(&entry->txn, by, topic, index);
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void end_fresh(producer_id_request_t *fresh, kafka_code_t error, int64_t producer_id);

static void end(txns_request_t *request)
{
    kafka_txns_t *txns = request->txns;
    txns_entry_t *entry;
    bool done = false, needs_id = false;
    kafka_code_t error = find_used(txns, request->id, &entry);
    if (!error) error = txn_end(&entry->txn, &request->in.end, txns_now_ms(txns), &entry->next, &done, &needs_id);
    if (error) {
        refuse(request, error);
    } else if (needs_id) {
        producer_ids_next(txns->kafka, &request->fresh, end_fresh);
    } else if (done) {
        request->done(request, KAFKA_NONE, (txn_producer_t){entry->txn.now.producer_id, entry->txn.now.producer_epoch});
    } else {
        entry->request = request;
        txns__store(entry, on_prepared);
    }
}

static void end_fresh(producer_id_request_t *fresh, kafka_code_t error, int64_t producer_id)
{
    txns_request_t *request = CONTAINER_OF(fresh, txns_request_t, fresh);
    request->in.end.fresh_id = producer_id;
    if (error)
        refuse(request, error);
    else
        end(request);
}

void txns_end(kafka_txns_t *txns, bytes_t id, txn_producer_t by, bool commits, int16_t client_version,
              txns_request_t *request,
              void (*done)(txns_request_t *request, kafka_code_t error, txn_producer_t producer))
{
    *request = (txns_request_t){.done = done, .txns = txns, .id = id};
    request->in.end = (txn_end_t){by, commits, client_version, -1};
    end(request);
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

kafka_txns_t *kafka_txns_new(kafka_t *kafka)
{
    kafka_txns_t *txns = mem_zalloc(sizeof(*txns));
    txns->kafka = kafka;
    list_init(&txns->all);
    list_init(&txns->ongoing);
    txns->runtime = runtime_new(kafka, TXNS_TOPIC, &txns__machine, txns,
                                kafka->config.transaction_remove_expired_transaction_cleanup_interval_ms);
    txns__timers_start(txns);
    return txns;
}

void kafka_txns_stop(kafka_txns_t *txns)
{
    if (txns->stopped) return;
    txns->stopped = true;
    txns__timers_stop(txns);
    runtime_stop(txns->runtime);
}

void kafka_txns_free(kafka_txns_t *txns)
{
    kafka_txns_stop(txns);
    runtime_free(txns->runtime);
    map_deinit(&txns->entries);
    mem_free(txns->partitions);
    mem_free(txns);
}
