/* produce_record.h: what the two ways of the bridge's door share: produce_record.c (a record at once) and
 * produce_numbered.c (a record that may come again). */
#ifndef TRIVET_KAFKA_PRODUCE_RECORD_H
#define TRIVET_KAFKA_PRODUCE_RECORD_H

#include "kafka/kafka_internal.h"
#include "kafka/record/record.h"

int32_t produce__choose_partition(kafka_topic_t *topic, const kafka_produce_t *record);
/* The record, behind those that the builder has. */
void produce__add(kafka_t *kafka, const kafka_produce_t *record, record_builder_t *builder);
/* The batch as the topic keeps it: under its own codec, else under the bridge's. In the builder's bytes or in `packed`. */
int16_t produce__finish(const kafka_t *kafka, const kafka_topic_config_t *config, record_producer_t producer,
                        record_builder_t *builder, buf_t *packed, uint8_t **ret_batch, size_t *ret_bytes);

#endif
