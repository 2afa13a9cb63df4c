/* record_fuzz.c: hostile batches: opened and walked to their end, whatever they hold; and hostile producer
 * snapshots. */
#include "kafka/producer_state.h"
#include "kafka/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    log_batch_t batch;
    if (log_batch_parse(bytes_of(data, size), &batch) == 0 && log_batch_bytes(&batch) <= size) {
        record_facts_t facts;
        if (record_check(&batch, bytes_of(data, log_batch_bytes(&batch)), KIB(64), &facts) == 0)
            ASSERT(facts.keyless >= 0 && facts.keyless <= MAX(batch.count, 0));
    }
    producers_t producers = PRODUCERS_INIT;
    (void)!producers_decode(&producers, bytes_of(data, size));
    producers_deinit(&producers);
    return 0;
}
