/* produce_record.h: what the two ways of the bridge's door share: produce_record.c (a record at once) and
 * produce_numbered.c (a record that may come again). */
#ifndef TRIVET_KAFKA_PRODUCE_RECORD_H
#define TRIVET_KAFKA_PRODUCE_RECORD_H

#include "kafka/kafka_internal.h"
#include "kafka/record/record.h"

/* The default partitioner of Kafka's clients; without a key, each record in its turn, which `next` counts. */
int32_t produce__choose_partition(const kafka_produce_t *record, int32_t partitions_count, uint32_t *next);
/* What a batch of this one record may take at most, before it is compressed. */
size_t produce__bytes_at_most(const kafka_produce_t *record);
/* The record, behind those that the builder has; `now_ms` is its time if it has none of its own. */
void produce__add(const kafka_produce_t *record, int64_t now_ms, record_builder_t *builder);
/* How a topic keeps batches of the bridge's: under its own codec, else under the bridge's. */
typedef struct produce_packing {
    record_codec_t codec;
    int level;
} produce_packing_t;
produce_packing_t produce__packing(const kafka_t *kafka, const kafka_topic_config_t *config);
/* The batch, packed so: in the builder's bytes or in `packed`. */
kafka_code_t produce__finish(produce_packing_t packing, record_producer_t producer, record_builder_t *builder,
                             buf_t *packed, uint8_t **ret_batch, size_t *ret_bytes) MUST_CHECK;

#endif
