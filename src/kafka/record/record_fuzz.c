/* record_fuzz.c: hostile batches: opened and walked to their end, whatever they hold; compacted, and what is left
 * compacted again; and hostile producer snapshots. */
#include "kafka/partition/producer_state.h"
#include "kafka/record/filter.h"

#include "base/hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a clean leaves is a batch at the same place, and the next clean, which knows no more, leaves it as it is. */
static void compact(const uint8_t *data, size_t size)
{
    static const uint8_t hash_key[16];
    record_filter_t f = {.opened_bytes_max = KIB(64), .now_ms = 1000, .delete_retention_ms = 1000};
    buf_t batch = BUF_INIT, once = BUF_INIT, twice = BUF_INIT;
    bool full;
    batch_header_t before, after;
    buf_append(&batch, data, size);
    batch_set_crc(batch.ptr, size); /* or nothing would get through */
    if (batch_header_read(buf_bytes(&batch), &before) != 0) goto out;
    if (offset_map_init(&f.newest, 1000, KIB(64), 0.9, hash_key) != 0) goto out;
    while (offset_map_clear(&f.newest)) continue;
    if (record_filter_note(&f, buf_bytes(&batch), RECORD_FATE_COUNTS, 0, &full) != 0) goto out;
    if (record_filter_batch(&f, buf_bytes(&batch), RECORD_FATE_COUNTS, true, &once) != 0) goto out;
    ASSERT(batch_header_read(buf_bytes(&once), &after) == 0 && batch_bytes(&after) == once.len);
    ASSERT(after.base_offset == before.base_offset && after.last_offset_delta == before.last_offset_delta);
    ASSERT(batch_crc_ok(buf_bytes(&once)) && after.count <= MAX(before.count, 0));
    ASSERT(record_filter_batch(&f, buf_bytes(&once), RECORD_FATE_COUNTS, true, &twice) == 0);
    ASSERT(bytes_eq(buf_bytes(&once), buf_bytes(&twice)) || (after.attributes & RECORD_DELETE_HORIZON));
out:
    record_filter_deinit(&f);
    buf_deinit(&batch);
    buf_deinit(&once);
    buf_deinit(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    record_iter_t iter;
    if (record_iter_init(&iter, bytes_of(data, size), KIB(64)) == 0) {
        record_t record;
        while (record_iter_next(&iter, &record) == 0) {
            bytes_t key, value;
            while (record_header_next(&record.headers, &key, &value)) ASSERT(key.len + value.len <= KIB(64));
        }
    }
    record_iter_deinit(&iter);
    batch_header_t batch;
    if (batch_header_read(bytes_of(data, size), &batch) == 0 && batch_bytes(&batch) <= size) {
        record_facts_t facts;
        record_rules_t rules = {.opened_bytes_max = KIB(256), .from_ms = 0, .to_ms = INT64_MAX};
        record_search_t search = {.timestamp_ms = batch.base_timestamp, .from_offset = batch.base_offset};
        bytes_t whole = bytes_of(data, batch_bytes(&batch));
        (void)!record_find(&batch, whole, KIB(256), &search);
        if (record_check(&batch, whole, &rules, &facts) == 0)
            ASSERT(facts.keyless >= 0 && facts.keyless <= MAX(batch.count, 0));
        compact(data, batch_bytes(&batch));
    }
    producers_t producers;
    producers_init(&producers);
    (void)!producers_decode(&producers, bytes_of(data, size));
    producers_deinit(&producers);
    return 0;
}
