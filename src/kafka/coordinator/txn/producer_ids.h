/* producer_ids.h: producer ids, unique for the life of the cluster: taken in blocks of 1,000 from the tree's
 * node /latest_producer_id_block, so that a crash wastes at most a block. */
#ifndef TRIVET_KAFKA_COORDINATOR_PRODUCER_IDS_H
#define TRIVET_KAFKA_COORDINATOR_PRODUCER_IDS_H

#include "kafka/kafka_internal.h"

#define PRODUCER_IDS_PATH  "/latest_producer_id_block"
#define PRODUCER_IDS_BLOCK 1000

/* `done` runs once, at once or later, with an id or an error code (COORDINATOR_LOAD_IN_PROGRESS: ask again).
 * The request is the caller's and must live until then. */
typedef struct producer_id_request {
    list_t node;
    void (*done)(struct producer_id_request *request, kafka_code_t error, int64_t producer_id);
} producer_id_request_t;
void producer_ids_next(kafka_t *kafka, producer_id_request_t *request,
                       void (*done)(producer_id_request_t *request, kafka_code_t error, int64_t producer_id));
/* Whoever still waits gets an error. */
void producer_ids_free(kafka_t *kafka);

#endif
