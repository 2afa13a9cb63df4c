/* data.h: the handlers of the data path, for apis.c. */
#ifndef TRIVET_KAFKA_API_DATA_H
#define TRIVET_KAFKA_API_DATA_H

#include "kafka/kafka_internal.h"

void kafka_handle_produce(kafka_request_t *request);                 /* BORROWS | OVERLAPS */
void kafka_handle_fetch(kafka_request_t *request);
void kafka_handle_list_offsets(kafka_request_t *request);            /* BORROWS */
void kafka_handle_offset_for_leader_epoch(kafka_request_t *request); /* BORROWS */
void kafka_handle_delete_records(kafka_request_t *request);          /* BORROWS */
void kafka_handle_init_producer_id(kafka_request_t *request);

#endif
