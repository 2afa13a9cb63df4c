/* store.h: what the partitions of one data directory share: checkpoint files, the mark of a clean
 * stop, and the timers of retention, checkpoints and producer expiry.
 *
 *   recovery-point-offset-checkpoint      all below is on stable storage
 *   log-start-offset-checkpoint           where logs start, when not at a segment's base
 *   replication-offset-checkpoint         high watermarks
 *   .checkpoint-sums                      checksums of the first two
 *   .checkpoint-void                      partitions whose lines in these files count for nothing
 *   cleaner-offset-checkpoint             up to where compacted logs are clean
 *   .kafka_cleanshutdown                  the last stop was orderly: nothing needs to be read again
 *   .boot                                 the machine's run in which they were opened: power was lost when it is another
 *
 * kafka_start makes it before the first partition_open; kafka_stop ends it after the last partition_close. */
#ifndef TRIVET_KAFKA_PARTITION_STORE_H
#define TRIVET_KAFKA_PARTITION_STORE_H

#include "kafka/kafka_internal.h"

typedef struct partition_store partition_store_t;

/* Reads the checkpoints and removes the clean mark; sets kafka->partitions. Removes directories that were
 * being deleted (`-delete`). */
int partition_store_open(kafka_t *kafka) MUST_CHECK;
/* After the partitions that were there have been opened: what the last loss of power left in them is mended. */
void partition_store_opened(kafka_t *kafka);
/* After the last partition_close: writes checkpoints and the clean mark (unless a partition failed), and
 * frees. */
void partition_store_close(kafka_t *kafka);

/* Descriptors that the partitions' logs have now. */
uint32_t partition_store_files_open(const kafka_t *kafka);

#endif
