/* share_state_internal.h: what the files of the share coordinator share: share_state.c (requests), share_state_table.c (the states),
 * share_state_machine.c (the runtime's machine), share_state_tidy.c (what is done from time to time). */
#ifndef TRIVET_KAFKA_COORDINATOR_SHARE_STATE_INTERNAL_H
#define TRIVET_KAFKA_COORDINATOR_SHARE_STATE_INTERNAL_H

#include "kafka/coordinator/share/share_state.h"
#include "kafka/coordinator/share/share_state_records.h"

#define SHARE_STATES_MAX 1000000 /* share partitions; one more hears COORDINATOR_NOT_AVAILABLE */

/* group, ':', the topic's id, ':', partition: as the original spreads them */
#define SHARE_STATE_NAME_BYTES_MAX (INT16_MAX + KAFKA_UUID_CHARS + 16)

/* One share partition. */
typedef struct share_state_entry {
    share_state_key_t key;     /* the group's id is owned */
    bytes_t name;              /* owned: in the table */
    int32_t index;             /* the partition of the topic that has it */
    share_state_value_t value; /* its batches are owned */
    share_snapshot_t snapshot; /* the last one */
    int64_t snapshot_offset;   /* where it is stored; of one without a snapshot, its first record */
    int32_t updates_count;     /* stored since */
    list_t node;               /* among those of `index`, in the order of snapshot_offset */
    list_t all_node;           /* among all, in the order in which they are looked at */
} share_state_entry_t;

typedef struct share_state_partition {
    list_t entries;      /* by the offset of their snapshots: what lies before the first is redundant */
    int32_t count, cold; /* entries; those whose last snapshot was made because nothing had changed for long */
    int64_t offset_seen; /* of the last snapshot or tombstone; -1 */
    int64_t pruned_to;   /* the log's start, as far as we moved it; -1 */
} share_state_partition_t;

struct kafka_share_states {
    kafka_t *kafka;
    runtime_t *runtime;
    map_t entries; /* name -> share_state_entry_t */
    list_t all;
    share_state_partition_t *partitions;
    int32_t partitions_count;
    list_t waiting; /* share_state_request_t: until their partition is read back */
    io_timer_t retry_timer;
    kafka_topic_listener_t listener;
    /* share_state_tidy.c */
    io_timer_t prune_timer, sweep_timer;
    slice_t prune, sweep;
    bool pruning, sweeping;
    int32_t prune_next;
    size_t sweep_left;
    int32_t cold_next;
    bool stopped;
};

/* share_state_table.c */
/* Into `name`, of SHARE_STATE_NAME_BYTES_MAX bytes. */
bytes_t share_state__name(const share_state_key_t *key, char *name);
share_state_entry_t *share_state__entry_new(kafka_share_states_t *states, const share_state_key_t *key, bytes_t name,
                                            int32_t index);
/* NULL: there is none. */
share_state_partition_t *share_state__partition(kafka_share_states_t *states, int32_t index);
void share_state__remove(kafka_share_states_t *states, share_state_entry_t *entry);
/* What a record at this offset says. */
void share_state__take_snapshot(kafka_share_states_t *states, share_state_entry_t *entry,
                                const share_snapshot_t *snapshot, const share_state_value_t *value, int64_t offset);
void share_state__take_update(share_state_entry_t *entry, const share_state_value_t *value);
void share_state__take_tombstone(kafka_share_states_t *states, share_state_entry_t *entry, int64_t offset);

/* share_state_machine.c */
extern const runtime_machine_t share_state__machine;

/* share_state_tidy.c */
void share_state__tidy_start(kafka_share_states_t *states);
void share_state__tidy_stop(kafka_share_states_t *states);
/* The machine's expire: snapshots what has not been written for long. */
bool share_state__expire(void *user, bool begins);

#endif
