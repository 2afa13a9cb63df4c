/* produce_record.h: what the two ways of the bridge's door share: produce_record.c (a record at once) and
 * produce_numbered.c (a record that may come again). */
#ifndef TRIVET_KAFKA_PRODUCE_RECORD_H
#define TRIVET_KAFKA_PRODUCE_RECORD_H

#include "kafka/kafka_internal.h"
#include "kafka/record.h"

int32_t produce__choose_partition(kafka_topic_t *topic, const kafka_produce_t *record);
/* A batch of one, in the builder's bytes. */
uint8_t *produce__build(io_loop_t *loop, const kafka_produce_t *record, record_producer_t producer, arena_t *arena,
                        record_builder_t *builder, size_t *ret_bytes);

#endif
