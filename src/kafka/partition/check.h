/* check.h: one client's batch on its way into a partition: append.c, produce.c.
 *
 *   check_begin ──> check_open (any thread, as often as it takes) ──> check_end ──> partition__append_checked */
#ifndef TRIVET_KAFKA_PARTITION_CHECK_H
#define TRIVET_KAFKA_PARTITION_CHECK_H

#include "kafka/partition/partition_internal.h"
#include "kafka/record/record.h"

#define CHECK_PLAIN_BYTES_MAX MIB(2) /* of what is not packed, on the loop: 0.3 ms, or 4 ms when the records are tiny */

typedef struct partition_check {
    partition_t *partition;
    const kafka_topic_config_t *config;
    uint8_t *records;
    size_t bytes;
    arena_t *arena;
    partition_appended_t *out;
    int64_t guard; /* as partition_produce has it */
    batch_header_t batch;
    record_rules_t rules;
    record_facts_t facts;
    bool sums_later; /* the checksum is computed by check_open: the batch is large */
    bool sum_wrong;  /* it was, and is */
    bool repacks;    /* the topic has a codec of its own: `packed` gets the batch under it */
    record_codec_t codec;
    int level, repack_err;
    buf_t packed;
} partition_check_t;

void partition__check_init(partition_check_t *check, partition_t *partition, bytes_t records, arena_t *arena,
                           partition_appended_t *out);
/* The header: sizes, checksum (of a batch that is not large), kind; and what will be asked of the records. A Kafka error code. */
kafka_code_t partition__check_begin(partition_check_t *check) MUST_CHECK;
/* The records. ERR_LIMIT: they take more than that, or should not be packed on the loop; other errors as record_check. */
int partition__check_open(partition_check_t *check, size_t opened_bytes_max) MUST_CHECK;
/* What `err` of check_open and the records found mean. A Kafka error code. */
kafka_code_t partition__check_end(partition_check_t *check, int err) MUST_CHECK;
void partition__check_deinit(partition_check_t *check);

/* Whether the topic's batches get the time of their append. */
bool partition__stamps(const kafka_topic_config_t *config);
/* Appends what passed: sequence, the topic's codec, times, log. A Kafka error code. */
kafka_code_t partition__append_checked(partition_check_t *check, bool checks_sequence) MUST_CHECK;
/* Fills in what every answer tells. */
void partition__tell_log_start(const partition_t *partition, kafka_code_t error, partition_appended_t *appended);

#endif
