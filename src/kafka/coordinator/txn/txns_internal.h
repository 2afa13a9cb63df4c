/* txns_internal.h: what the coordinator's files share: txns.c (requests), txns_machine.c (the runtime's machine, timeouts, expiry),
 * txns_markers.c (the second phase). */
#ifndef TRIVET_KAFKA_COORDINATOR_TXNS_INTERNAL_H
#define TRIVET_KAFKA_COORDINATOR_TXNS_INTERNAL_H

#include "kafka/coordinator/txn/marker.h"
#include "kafka/coordinator/txn/txns.h"

typedef struct txns_entry txns_entry_t;

/* One partition's marker on its way. */
typedef struct txns_mark {
    txn_marker_write_t write;
    txns_entry_t *entry;
    bytes_t topic; /* of the entry's partitions */
    int32_t index;
    bool written;
} txns_mark_t;

/* One transactional id. Reference counted: the table holds one, each write under way another. */
struct txns_entry {
    kafka_txns_t *txns;
    bytes_t id; /* owned */
    int32_t partition;
    uint32_t refs;
    bool removed; /* from the table */
    txn_t txn;
    list_t node;     /* among those of its partition */
    list_t all_node; /* in txns->all */
    list_t ongoing_node;
    /* the step that is being stored */
    runtime_write_t write;
    txn_fields_t next;
    txn_parts_t adding;
    txns_request_t *request; /* who is told; NULL = nobody */
    void (*stored)(txns_entry_t *entry, kafka_code_t error);
    /* the markers that are being written */
    slice_t slice;
    bool marking;
    txns_mark_t *marks;
    int32_t marks_count, marks_next, marks_left;
    io_timer_t retry_timer;
};

typedef struct txns_partition {
    list_t loaded, living; /* txns_entry_t: not started yet, and started */
} txns_partition_t;

struct kafka_txns {
    kafka_t *kafka;
    runtime_t *runtime;
    map_t entries; /* id -> txns_entry_t */
    txns_partition_t *partitions;
    int32_t partitions_count;
    list_t all;     /* in the order in which expiry looks at them */
    list_t ongoing; /* by the time at which they began, or near enough */
    uint32_t expire_left;
    io_timer_t abort_timer;
    bool stopped;
};

/* txns.c */
txns_entry_t *txns__entry_new(kafka_txns_t *txns, bytes_t id, int32_t partition, bool loaded);
void txns__entry_ref(txns_entry_t *entry);
void txns__entry_unref(txns_entry_t *entry);
void txns__remove(txns_entry_t *entry);
txns_partition_t *txns__partition(const kafka_txns_t *txns, int32_t index);
/* Stores the next state, in entry->next and ->adding, and enters it; then `stored` runs, unless the entry is gone. */
void txns__store(txns_entry_t *entry, void (*stored)(txns_entry_t *entry, kafka_code_t error));
/* What follows from the state that the entry is in now. */
void txns__entered(txns_entry_t *entry);

/* txns_machine.c */
extern const runtime_machine_t txns__machine;
void txns__timers_start(kafka_txns_t *txns);
void txns__timers_stop(kafka_txns_t *txns);

/* txns_markers.c: the second phase, of a transaction that is prepared. */
void txns__write_markers(txns_entry_t *entry);
void txns__markers_stop(txns_entry_t *entry);

#endif
