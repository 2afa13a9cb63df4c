/* topics.h: topics as the wing's inside changes them: the image of the tree (store.c) and the changes
 * that clients ask for (admin.c). */
#ifndef TRIVET_KAFKA_TOPICS_H
#define TRIVET_KAFKA_TOPICS_H

#include "kafka/kafka_internal.h"
#include "kafka/topics/znodes.h"

/* ---- topics.c ---- */

kafka_topic_t *topic_new(kafka_t *kafka, bytes_t name, kafka_uuid_t id);
/* Frees the memory; partitions must be closed. */
void topic_free(kafka_topic_t *topic);
/* What a partition has in memory beside its log, before the others': freeing thousands takes long. */
void topic_partition_free(kafka_topic_t *topic, int32_t index);
void topic_add_override(kafka_topic_t *topic, const char *name, const char *value);
void topic_clear_overrides(kafka_topic_t *topic);
bool topic_is_internal(bytes_t name);
/* Lets a topic be found, and no longer. */
void topic_index(kafka_topic_t *topic);
void topic_unindex(kafka_topic_t *topic);
/* The name with '_' for each '.': topics whose names fold alike collide. In `out`. */
bytes_t topic_fold(bytes_t name, uint8_t out[KAFKA_TOPIC_NAME_BYTES_MAX]);
/* One whose name differs from `name`, but in '.' and '_' alone; NULL when there is none. */
const kafka_topic_t *topic_colliding(const kafka_t *kafka, bytes_t name);

/* ---- store.c: keeps kafka->topics what the tree says ---- */

/* Reads the whole tree, opens every partition, in slices, and follows changes from now on. `opened` runs once all that the tree had is
 * open (or has failed to). */
int topics_store_open(kafka_t *kafka, void (*opened)(kafka_t *kafka)) MUST_CHECK;
/* Closes every partition; who waits gets an error. */
void topics_store_close(kafka_t *kafka);
/* Gives one topic the settings that the tree says, now. */
void topics_store_configure(kafka_t *kafka, bytes_t name);
/* The same for the settings of brokers, which all topics have at once and their partitions in the turns that follow. */
void topics_store_sync_brokers(kafka_t *kafka);

/* Waits until the topic has at least `partitions_count` open partitions, or, with 0, is gone. */
typedef void (*topic_wait_cb)(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message);
void topics_store_wait(kafka_t *kafka, bytes_t name, int32_t partitions_count, topic_wait_cb done, void *user);

/* ---- admin.c ---- */

/* Whether one request may ask for as much: Kafka's controller writes what a request makes as one batch of so many records. */
#define KAFKA_RECORDS_A_REQUEST_MAX 10000
static inline bool topic_records_fit(int64_t topics, int64_t partitions)
{
    return topics + partitions <= KAFKA_RECORDS_A_REQUEST_MAX;
}
/* Checks what kafka_topic_create would, without doing it: KAFKA_NONE or the error with its words (in the
 * arena). */
kafka_code_t topic_create_check(kafka_t *kafka, const kafka_topic_spec_t *spec, arena_t *arena,
                                const char **ret_message) MUST_CHECK;
/* The words of that check; the last is NULL when so many replicas can be. */
const char *topic_exists_text(bytes_t name, arena_t *arena);
const char *topic_collides_text(bytes_t name, bytes_t other, arena_t *arena);
const char *topic_replication_problem(int16_t replication, arena_t *arena);
/* What is wrong with the replicas a client wants for a partition, or NULL; in the arena. */
const char *topic_assignment_problem(const kafka_t *kafka, const int32_t *ids, int32_t count, arena_t *arena);
/* Deletes through the tree; `done` runs once its partitions are gone. */
void topic_delete(kafka_topic_t *topic, topic_wait_cb done, void *user);
/* Grows to `count` partitions. */
void topic_grow(kafka_topic_t *topic, int32_t count, topic_wait_cb done, void *user);
/* Creates the state of new partitions that have none (a topic made by hand in the tree, or a large one). */
void topic_elect(const kafka_topic_t *topic, const znode_topic_t *node);

#endif
