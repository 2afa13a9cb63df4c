/* groups_type.h: what a protocol brings so that its groups can be coordinated: one row of functions around its state machine.
 * groups_classic.c, groups_consumer.c and groups_share.c have one each. Streams groups are one more row: whoever asks for something that a protocol's members cannot ask gets that protocol's error from its function.
 *
 * Questions change nothing. All else is an input at the time of groups_now: the state machine changes, or wishes to, and what it
 * wants stored leaves with `flush`, which groups__settle calls after each input. */
#ifndef TRIVET_KAFKA_COORDINATOR_GROUPS_TYPE_H
#define TRIVET_KAFKA_COORDINATOR_GROUPS_TYPE_H

#include "kafka/coordinator/groups.h"

typedef struct groups_type {
    const char *name; /* as ListGroups shows it */

    /* questions */
    const char *(*state_text)(const group_entry_t *entry);
    bytes_t (*protocol_type)(const group_entry_t *entry);
    bool (*is_empty)(const group_entry_t *entry);
    bool (*subscribed)(const group_entry_t *entry, bytes_t topic);
    size_t (*kept_bytes)(const group_entry_t *entry);

    /* members that speak the classic protocol; see groups.h */
    void (*join)(group_entry_t *entry, const group_join_t *join);
    void (*sync)(group_entry_t *entry, const group_sync_t *sync);
    kafka_code_t (*heartbeat)(group_entry_t *entry, bytes_t member_id, bytes_t instance_id, int32_t generation);
    kafka_code_t (*leave)(group_entry_t *entry, group_leaver_t *leavers, size_t count);

    /* offsets */
    kafka_code_t (*commit_check)(group_entry_t *entry, const groups_committer_t *committer);
    kafka_code_t (*fetch_check)(group_entry_t *entry, bytes_t member_id, int32_t member_epoch);
    /* Since when an offset counts as unused; false when none of this group's expires now. */
    bool (*unused_since)(const group_entry_t *entry, const group_offset_t *offset, int64_t *ret_ms);
    /* Nothing but offsets is left of it: it goes with the last of them. */
    bool (*may_expire)(const group_entry_t *entry);

    /* what is stored */
    void (*flush)(group_entry_t *entry);
    void (*add_tombstones)(const group_entry_t *entry, runtime_batch_t *batch);

    /* life */
    bool (*is_unused)(const group_entry_t *entry); /* just loaded: there is nothing to it but, maybe, offsets */
    void (*start)(group_entry_t *entry);           /* it is loaded: sessions begin */
    int64_t (*deadline_ms)(const group_entry_t *entry);
    void (*tick)(group_entry_t *entry);
    void (*kill)(group_entry_t *entry, kafka_code_t error); /* answers parked requests */
    void (*free)(group_entry_t *entry);
} groups_type_t;

extern const groups_type_t groups_type_classic;
extern const groups_type_t groups_type_consumer;
extern const groups_type_t groups_type_share;

#endif
