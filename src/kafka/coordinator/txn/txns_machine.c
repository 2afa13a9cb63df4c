/* txns_machine.c: transactional ids as a machine of the runtime over __transaction_state: how they are played back and go on, which
 * transactions have taken too long, and which ids nobody uses any more. */
#include "kafka/coordinator/txn/txns_internal.h"

#include "base/num.h"
#include "base/slog.h"
#include "kafka/coordinator/txn/txn_records.h"

static void describe_topic(void *user, arena_t *arena, kafka_topic_spec_t *ret_spec)
{
    const kafka_txns_t *txns = user;
    const kafka_broker_config_t *config = &txns->kafka->config;
    char *segment_bytes = arena_alloc(arena, NUM_I64_CHARS_MAX);
    size_t segment_chars = num_format_i64(segment_bytes, config->transaction_state_log_segment_bytes);
    kafka_setting_t *settings = ARENA_ARRAY(arena, kafka_setting_t, 4);
    settings[0] = (kafka_setting_t){BYTES_LIT("cleanup.policy"), BYTES_LIT("compact")};
    settings[1] = (kafka_setting_t){BYTES_LIT("compression.type"), BYTES_LIT("uncompressed")};
    settings[2] = (kafka_setting_t){BYTES_LIT("unclean.leader.election.enable"), BYTES_LIT("false")};
    settings[3] = (kafka_setting_t){BYTES_LIT("segment.bytes"), bytes_of(segment_bytes, segment_chars)};
    ret_spec->partitions_count = (int32_t)config->transaction_state_log_num_partitions;
    ret_spec->replication_factor = 1; /* transaction.state.log.replication.factor asks for 3, and there is one broker */
    ret_spec->overrides = settings;
    ret_spec->overrides_count = 4;
}

/* ---- playing back ---------------------------------------------------------------------------------------------------- */

static int replay(void *user, int32_t partition, const batch_header_t *batch, const record_t *stored, arena_t *arena)
{
    kafka_txns_t *txns = user;
    txn_record_t record;
    if (batch->attributes & RECORD_CONTROL) return 0;
    int err = txn_record_decode(stored->key, stored->value, arena, &record);
    if (err || !record.id.ptr) return err;
    txns_entry_t *entry = map_get(&txns->entries, record.id);
    if (entry) txns__remove(entry); /* the last record of an id counts, as a whole */
    if (record.tombstone) return 0;
    entry = txns__entry_new(txns, record.id, partition, true);
    txn_init(&entry->txn, record.fields.producer_id, record.fields.timeout_ms, 0);
    entry->txn.now = record.fields;
    txn_record_parts(&record, &entry->txn.parts);
    return 0;
}

/* One id: what was decided before the crash goes on. */
static bool start(void *user, int32_t index)
{
    txns_partition_t *partition = txns__partition(user, index);
    txns_entry_t *entry = partition ? LIST_FIRST(&partition->loaded, txns_entry_t, node) : NULL;
    if (!entry) return false;
    list_remove(&entry->node);
    list_push_back(&partition->living, &entry->node);
    txns__entered(entry);
    if (txn_is_prepared(&entry->txn)) txns__write_markers(entry);
    return true;
}

static void forget(list_t *entries)
{
    txns_entry_t *entry;
    while ((entry = LIST_FIRST(entries, txns_entry_t, node))) txns__remove(entry);
}

static void unload(void *user, int32_t index, kafka_code_t error)
{
    txns_partition_t *partition = txns__partition(user, index);
    if (!partition) return;
    forget(&partition->loaded);
    forget(&partition->living);
}

/* ---- ids that nobody uses -------------------------------------------------------------------------------------------- */

static void on_tombstone(runtime_write_t *write, kafka_code_t error)
{
    txns_entry_t *entry = CONTAINER_OF(write, txns_entry_t, write);
    record_builder_deinit(&write->batch.builder);
    entry->txn.pending = false;
    if (!error && !entry->removed) txns__remove(entry);
    txns__entry_unref(entry);
}

static void expire_entry(txns_entry_t *entry)
{
    entry->txn.pending = true;
    entry->write.batch = runtime_batch(txns_now_ms(entry->txns));
    txn_records_add_tombstone(&entry->write.batch, entry->id);
    txns__entry_ref(entry);
    runtime_write(entry->txns->runtime, entry->partition, &entry->write, on_tombstone);
}

/* Each goes to the end of the list, so that those that come or go meanwhile do no harm. */
static bool expire(void *user, bool begins)
{
    kafka_txns_t *txns = user;
    txns_entry_t *entry = LIST_FIRST(&txns->all, txns_entry_t, all_node);
    if (begins) txns->expire_left = (uint32_t)txns->entries.count;
    if (!entry || txns->expire_left == 0) return false;
    txns->expire_left--;
    list_remove(&entry->all_node);
    list_push_back(&txns->all, &entry->all_node);
    if (txn_is_old(&entry->txn, txns_now_ms(txns), txns->kafka->config.transactional_id_expiration_ms))
        expire_entry(entry);
    return true;
}

const runtime_machine_t txns__machine = {
    .name = "transactions",
    .describe_topic = describe_topic,
    .replay = replay,
    .start = start,
    .unload = unload,
    .expire = expire,
};

/* ---- transactions that take too long --------------------------------------------------------------------------------- */

#define LATE_A_TURN 64
#define SOON_MS     1

static void on_aborted(txns_entry_t *entry, kafka_code_t error)
{
    if (error || entry->removed) return; /* the next round tries again */
    slog(SLOG_INFO, "kafka", "a transaction took too long and is aborted",
         "transactional_id=%.*s producer_id=%" PRId64 " timeout_ms=%" PRId32, (int)MIN(entry->id.len, (size_t)100),
         (const char *)entry->id.ptr, entry->txn.now.producer_id, entry->txn.now.timeout_ms);
    txns__write_markers(entry);
}

static uint32_t interval_ms(const kafka_txns_t *txns)
{
    int64_t every_ms = txns->kafka->config.transaction_abort_timed_out_transaction_cleanup_interval_ms;
    return (uint32_t)MIN(MAX(every_ms, 1), INT32_MAX);
}

static void abort_late(io_timer_t *timer)
{
    kafka_txns_t *txns = CONTAINER_OF(timer, kafka_txns_t, abort_timer);
    int64_t now_ms = txns_now_ms(txns);
    int left = LATE_A_TURN;
    LIST_EACH(&txns->ongoing, entry, txns_entry_t, ongoing_node) {
        if (!txn_is_late(&entry->txn, now_ms)) continue;
        if (left-- == 0) {
            io_timer_start(timer, SOON_MS, interval_ms(txns));
            return;
        }
        txn_fence(&entry->txn, now_ms, &entry->next);
        txns__store(entry, on_aborted);
    }
}

void txns__timers_start(kafka_txns_t *txns)
{
    io_timer_init(txns->kafka->loop, &txns->abort_timer, abort_late);
    io_timer_start(&txns->abort_timer, interval_ms(txns), interval_ms(txns));
}

void txns__timers_stop(kafka_txns_t *txns) { io_timer_stop(&txns->abort_timer); }
