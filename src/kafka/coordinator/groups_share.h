/* groups_share.h: share groups (KIP-932) at the group coordinator: what the APIs of their members and administrators ask. */
#ifndef TRIVET_KAFKA_COORDINATOR_GROUPS_SHARE_H
#define TRIVET_KAFKA_COORDINATOR_GROUPS_SHARE_H

#include "kafka/coordinator/groups.h"
#include "kafka/coordinator/share/share_group.h"
#include "kafka/coordinator/share/share_jobs.h"

/* NULL when the group is of another type. */
share_group_t *groups_share(const group_entry_t *entry);
/* Who asks for a group. */
typedef enum groups_share_asker {
    GROUPS_SHARE_MAKES, /* a member that joins, an administrator who sets offsets: makes one unless it is there */
    GROUPS_SHARE_STAYS, /* a member */
    GROUPS_SHARE_ASKS,
} groups_share_asker_t;
/* The share group to talk to. An error's words are in `message`, or the code's own will do. */
kafka_code_t groups_find_share(kafka_groups_t *groups, bytes_t group_id, groups_share_asker_t asker,
                               group_entry_t **ret_entry, char message[CONSUMER_MESSAGE_BYTES]) MUST_CHECK;

/* A heartbeat on its way: a member of what the API keeps of it, alive until `done` has run. */
typedef struct groups_share_beat {
    /* It was accepted: the reply, which is valid during the call only. `done` follows. */
    void (*accepted)(struct groups_share_beat *beat, const group_entry_t *entry, const share_reply_t *reply);
    /* What it changed is stored; or an error, with its words or NULL. */
    void (*done)(struct groups_share_beat *beat, kafka_code_t error, const char *message);
    runtime_write_t write; /* the coordinator's, as what follows */
    group_entry_t *entry;
} groups_share_beat_t;
void groups_share_heartbeat(group_entry_t *entry, const share_heartbeat_t *in, groups_share_beat_t *beat);

/* ---- administration; the group has no members ---- */

/* Removes its states, then the group. */
void groups_share_delete(group_entry_t *entry, void (*done)(void *user, kafka_code_t error), void *user);
/* Gives partitions of existing topics a new start: `job` initializes them with the group's epoch, which has grown since leaders heard
 * of theirs: the members have left. What came of each is
 * in the items when the job's `done` runs, before which the group knows of it. */
void groups_share_alter(group_entry_t *entry, share_job_t *job);
/* Removes the states of topics that the group has some of: `job` deletes them. As above. */
void groups_share_forget(group_entry_t *entry, share_job_t *job);

#endif
