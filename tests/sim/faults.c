/* faults.c: see faults.h. Each function here stands where the linker finds a call from one file to another of the function that
 * it is named for (--wrap, in meson.build), and passes it on unless the fault that it is for was chosen. */
#include "faults.h"

#include "bridge/far.h"
#include "kafka/coordinator/groups.h"
#include "kafka/coordinator/share/share_state.h"
#include "kafka/coordinator/txn/marker.h"
#include "kafka/coordinator/txn/txns.h"

#include <stdio.h>

typedef enum fault {
    NO_FAULT,
    ORDER,
    LATE_ANNOUNCEMENT,
    OFFSETS_AT_ONCE,
    MEMBER_UNASKED,
    MEMBER_NOT_HELD,
    ANSWER_STAYS,
    UNCHECKED,
    OLD_CATALOG,
    ANSWERS_UNSTORED,
    MARKER_ORDER,
    TOLD_EARLY,
    UNSTABLE,
    NO_ABORTED,
    OFFSETS_OF_ABORTED,
} fault_t;

static const char *const names[] = {
    [ORDER] = "order",                         /* records are delivered before their entry is in the append-only file */
    [LATE_ANNOUNCEMENT] = "late-announcement", /* KAFKA.COMMIT is answered before Kafka's reactor can know of it */
    [OFFSETS_AT_ONCE] = "offsets-at-once",     /* OffsetFetch does not wait for offsets that are under way */
    [MEMBER_UNASKED] = "member-unasked",       /* KAFKA.COMMIT ... MEMBER takes whoever says so for a member */
    [MEMBER_NOT_HELD] =
        "member-not-held",           /* the next generation may read before what was allowed to the last one is there */
    [ANSWER_STAYS] = "answer-stays", /* KAFKA.COMMITTED tells what Kafka had, though more has come since */
    [UNCHECKED] = "unchecked",       /* what Kafka would refuse is taken into the outbox */
    [OLD_CATALOG] = "old-catalog",   /* topics that Kafka has made are not known at once */
    [ANSWERS_UNSTORED] = "answers-unstored",     /* what members of share groups answer is confirmed, and not stored */
    [MARKER_ORDER] = "marker-order",             /* that all markers are there is stored before they are */
    [TOLD_EARLY] = "told-early",                 /* a transaction's state is entered and told before it is stored */
    [UNSTABLE] = "unstable",                     /* readers of committed records get those of open transactions */
    [NO_ABORTED] = "no-aborted",                 /* they are told of no aborted transaction */
    [OFFSETS_OF_ABORTED] = "offsets-of-aborted", /* offsets count whatever the marker says */
};

static fault_t chosen; /* of this process: the functions below get nothing that could hold it */

bool fault_choose(const char *name)
{
    for (size_t i = 1; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) chosen = (fault_t)i;
    return chosen != NO_FAULT;
}

const char *fault_name(void) { return names[chosen]; }
const char *fault_each(size_t index) { return index + 1 < ARRAY_LEN(names) ? names[index + 1] : NULL; }

/* ---- order ---- */

#define EARLY_RANK 5 /* before the append-only file's hook */

void __real_io_hook_add(io_loop_t *loop, io_hook_t *hook);
void __wrap_io_hook_add(io_loop_t *loop, io_hook_t *hook);
void __wrap_io_hook_add(io_loop_t *loop, io_hook_t *hook)
{
    if (chosen == ORDER && strcmp(hook->name, "bridge delivery") == 0) hook->rank = EARLY_RANK;
    __real_io_hook_add(loop, hook);
}

bool __real_redis_is_written(const redis_t *redis);
bool __wrap_redis_is_written(const redis_t *redis);
bool __wrap_redis_is_written(const redis_t *redis) { return chosen == ORDER || __real_redis_is_written(redis); }

typedef void far_run_t(far_request_t *request);
typedef void far_answered_t(bridge_t *bridge, far_request_t *request);

void __real_far_send(bridge_t *bridge, far_request_t *request, far_run_t *run, far_answered_t *answered);
void __wrap_far_send(bridge_t *bridge, far_request_t *request, far_run_t *run, far_answered_t *answered);
void __wrap_far_send(bridge_t *bridge, far_request_t *request, far_run_t *run, far_answered_t *answered)
{
    if (chosen != ORDER) {
        __real_far_send(bridge, request, run, answered);
        return;
    }
    far_prepare(bridge, request, run, answered);
    run(request);
}

/* ---- late-announcement ---- */

#define LATE_MAX    64
#define GROUP_CHARS 32

/* What was announced, until its record is there: then Kafka's reactor counts it, and counts it off. */
static struct {
    far_commits_t *commits;
    char group[GROUP_CHARS];
} late[LATE_MAX];
static int late_count;

void __real_far_commits_announce(far_commits_t *commits, bytes_t group);
void __wrap_far_commits_announce(far_commits_t *commits, bytes_t group);
void __wrap_far_commits_announce(far_commits_t *commits, bytes_t group)
{
    if (chosen != LATE_ANNOUNCEMENT || late_count == LATE_MAX || group.len >= GROUP_CHARS) {
        __real_far_commits_announce(commits, group);
        return;
    }
    late[late_count].commits = commits;
    snprintf(late[late_count++].group, GROUP_CHARS, "%.*s", (int)group.len, (const char *)group.ptr);
}

void __real_far_commits_settle(far_commits_t *commits, const kafka_produce_t *record);
void __wrap_far_commits_settle(far_commits_t *commits, const kafka_produce_t *record);
void __wrap_far_commits_settle(far_commits_t *commits, const kafka_produce_t *record)
{
    for (int i = 0; i < late_count; i++) /* of an earlier life: nobody waits for it */
        if (late[i].commits == commits) __real_far_commits_announce(commits, bytes_str(late[i].group));
    late_count = 0;
    __real_far_commits_settle(commits, record);
}

/* ---- offsets-at-once, member-unasked, member-not-held, answer-stays ---- */

typedef bool group_waits_t(void *user, bytes_t group);

void __real_kafka_commits_hold(kafka_t *kafka, group_waits_t *waits, void *user);
void __wrap_kafka_commits_hold(kafka_t *kafka, group_waits_t *waits, void *user);
void __wrap_kafka_commits_hold(kafka_t *kafka, group_waits_t *waits, void *user)
{
    if (chosen != OFFSETS_AT_ONCE) __real_kafka_commits_hold(kafka, waits, user);
}

static bool member_may_commit; /* the one that question.c has just asked about */

kafka_code_t __real_kafka_member_check(kafka_t *kafka, bytes_t group, const kafka_member_t *member, char *message);
kafka_code_t __wrap_kafka_member_check(kafka_t *kafka, bytes_t group, const kafka_member_t *member, char *message);
kafka_code_t __wrap_kafka_member_check(kafka_t *kafka, bytes_t group, const kafka_member_t *member, char *message)
{
    kafka_code_t error =
        chosen == MEMBER_UNASKED ? KAFKA_NONE : __real_kafka_member_check(kafka, group, member, message);
    member_may_commit = !error;
    return error;
}

/* The hold that question.c takes then, or another one. */
void __real_far_commits_add(far_commits_t *commits, bytes_t group);
void __wrap_far_commits_add(far_commits_t *commits, bytes_t group);
void __wrap_far_commits_add(far_commits_t *commits, bytes_t group)
{
    if (chosen != MEMBER_NOT_HELD || !member_may_commit) __real_far_commits_add(commits, group);
    member_may_commit = false;
}

void __real_far_commits_remove(far_commits_t *commits, bytes_t group);
void __wrap_far_commits_remove(far_commits_t *commits, bytes_t group);
void __wrap_far_commits_remove(far_commits_t *commits, bytes_t group)
{
    if (chosen != MEMBER_NOT_HELD) __real_far_commits_remove(commits, group);
}

bool __real_question_take_hold(redis_question_t *question);
bool __wrap_question_take_hold(redis_question_t *question);
bool __wrap_question_take_hold(redis_question_t *question)
{
    bool held = __real_question_take_hold(question);
    return held && chosen != MEMBER_NOT_HELD;
}

void __real_questions_placed(bridge_t *bridge, const outbox_record_t *record);
void __wrap_questions_placed(bridge_t *bridge, const outbox_record_t *record);
void __wrap_questions_placed(bridge_t *bridge, const outbox_record_t *record)
{
    if (chosen != ANSWER_STAYS) __real_questions_placed(bridge, record);
}

/* ---- unchecked, old-catalog ---- */

kafka_code_t __real_kafka_produce_check(const kafka_catalog_t *catalog, const kafka_produce_t *record, char *message);
kafka_code_t __wrap_kafka_produce_check(const kafka_catalog_t *catalog, const kafka_produce_t *record, char *message);
kafka_code_t __wrap_kafka_produce_check(const kafka_catalog_t *catalog, const kafka_produce_t *record, char *message)
{
    return chosen == UNCHECKED ? KAFKA_NONE : __real_kafka_produce_check(catalog, record, message);
}

kafka_code_t __real_kafka_commit_check(const kafka_catalog_t *catalog, const kafka_commit_t *commit, bool topic_comes,
                                       char *message);
kafka_code_t __wrap_kafka_commit_check(const kafka_catalog_t *catalog, const kafka_commit_t *commit, bool topic_comes,
                                       char *message);
kafka_code_t __wrap_kafka_commit_check(const kafka_catalog_t *catalog, const kafka_commit_t *commit, bool topic_comes,
                                       char *message)
{
    return chosen == UNCHECKED ? KAFKA_NONE : __real_kafka_commit_check(catalog, commit, topic_comes, message);
}

#define UPDATES_LOST 4 /* of so many one counts */

void __real_kafka_catalog_update(kafka_catalog_t *catalog);
void __wrap_kafka_catalog_update(kafka_catalog_t *catalog);
void __wrap_kafka_catalog_update(kafka_catalog_t *catalog)
{
    static unsigned asked;
    if (chosen != OLD_CATALOG || asked++ % UPDATES_LOST == 0) __real_kafka_catalog_update(catalog);
}

/* ---- answers-unstored ---- */

void __real_share_state_write(kafka_t *kafka, const share_state_key_t *key, const share_state_value_t *value,
                              share_state_request_t *request, share_state_done_t done);
void __wrap_share_state_write(kafka_t *kafka, const share_state_key_t *key, const share_state_value_t *value,
                              share_state_request_t *request, share_state_done_t done);
void __wrap_share_state_write(kafka_t *kafka, const share_state_key_t *key, const share_state_value_t *value,
                              share_state_request_t *request, share_state_done_t done)
{
    if (chosen == ANSWERS_UNSTORED)
        done(request, KAFKA_NONE, NULL, NULL);
    else
        __real_share_state_write(kafka, key, value, request, done);
}

/* ---- marker-order, told-early ---- */

#define EARLY_MAX 256 /* under way at a time; the others are in order */

static struct early {
    bool taken;
    txn_marker_write_t marker;
    runtime_write_t state;
} early[EARLY_MAX]; /* those of an earlier life stay taken */

static struct early *take_early(void)
{
    for (int i = 0; i < EARLY_MAX; i++) {
        if (early[i].taken) continue;
        early[i].taken = true;
        return &early[i];
    }
    return NULL;
}

static void on_late_marker(txn_marker_write_t *write, kafka_code_t error)
{
    (void)error;
    CONTAINER_OF(write, struct early, marker)->taken = false;
}

typedef void marked_t(txn_marker_write_t *write, kafka_code_t error);

void __real_txn_marker_write(kafka_t *kafka, bytes_t topic, int32_t partition, const record_marker_t *marker,
                             txn_marker_write_t *write, marked_t *done);
void __wrap_txn_marker_write(kafka_t *kafka, bytes_t topic, int32_t partition, const record_marker_t *marker,
                             txn_marker_write_t *write, marked_t *done);
void __wrap_txn_marker_write(kafka_t *kafka, bytes_t topic, int32_t partition, const record_marker_t *marker,
                             txn_marker_write_t *write, marked_t *done)
{
    struct early *e = chosen == MARKER_ORDER ? take_early() : NULL;
    __real_txn_marker_write(kafka, topic, partition, marker, e ? &e->marker : write, e ? on_late_marker : done);
    if (e) done(write, KAFKA_NONE);
}

static void on_late_state(runtime_write_t *write, kafka_code_t error)
{
    (void)error;
    record_builder_deinit(&write->batch.builder);
    CONTAINER_OF(write, struct early, state)->taken = false;
}

typedef void stored_t(runtime_write_t *write, kafka_code_t error);

void __real_runtime_write(runtime_t *runtime, int32_t partition, runtime_write_t *write, stored_t *done);
void __wrap_runtime_write(runtime_t *runtime, int32_t partition, runtime_write_t *write, stored_t *done);
void __wrap_runtime_write(runtime_t *runtime, int32_t partition, runtime_write_t *write, stored_t *done)
{
    const kafka_topic_t *topic = runtime_topic(runtime);
    bool of_txns = topic && bytes_eq(kafka_topic_name(topic), bytes_str(TXNS_TOPIC));
    struct early *e = chosen == TOLD_EARLY && of_txns ? take_early() : NULL;
    if (!e) {
        __real_runtime_write(runtime, partition, write, done);
        return;
    }
    e->state.batch = write->batch;
    write->batch = runtime_batch(e->state.batch.now_ms);
    __real_runtime_write(runtime, partition, &e->state, on_late_state);
    done(write, KAFKA_NONE);
}

/* ---- unstable, no-aborted, offsets-of-aborted ---- */

int64_t __real_partition_last_stable_offset(const partition_t *partition);
int64_t __wrap_partition_last_stable_offset(const partition_t *partition);
int64_t __wrap_partition_last_stable_offset(const partition_t *partition)
{
    return chosen == UNSTABLE ? partition_high_watermark(partition) : __real_partition_last_stable_offset(partition);
}

typedef void aborted_t(void *user, const log_aborted_t *aborted);

kafka_code_t __real_partition_aborted(partition_t *partition, int64_t from, int64_t to, aborted_t *each, void *user);
kafka_code_t __wrap_partition_aborted(partition_t *partition, int64_t from, int64_t to, aborted_t *each, void *user);
kafka_code_t __wrap_partition_aborted(partition_t *partition, int64_t from, int64_t to, aborted_t *each, void *user)
{
    return chosen == NO_ABORTED ? KAFKA_NONE : __real_partition_aborted(partition, from, to, each, user);
}

void __real_groups_txn_end(kafka_groups_t *groups, int32_t partition, int64_t producer_id, bool commits);
void __wrap_groups_txn_end(kafka_groups_t *groups, int32_t partition, int64_t producer_id, bool commits);
void __wrap_groups_txn_end(kafka_groups_t *groups, int32_t partition, int64_t producer_id, bool commits)
{
    __real_groups_txn_end(groups, partition, producer_id, commits || chosen == OFFSETS_OF_ABORTED);
}
