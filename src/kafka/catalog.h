/* catalog.h: what the bridge asks of Kafka's topics before it promises a record, on the reactor of its own.
 *
 *   Kafka's reactor                                               the bridge's reactor
 *   topics, brokers' settings change ─> feed: one piece of news a turn, in order ─> kafka_catalog_update ─> the catalog
 *
 * Whether a record would be taken, which partition it belongs in, whether an offset's topic exists: the bridge asks that in
 * the middle of a command, so nobody may have to wait for it. News leave before the replies of their turn, into a mailbox of the catalog's own: who was
 * answered that a topic was made finds it at the next update, whatever else waits on either loop. What is decided on an old picture
 * is decided again where the partitions are: the record waits in the outbox, and that tells why.
 *
 * Both may live on one loop; the code is the same. */
#ifndef TRIVET_KAFKA_CATALOG_H
#define TRIVET_KAFKA_CATALOG_H

#include "kafka/kafka.h"

typedef struct kafka_catalog kafka_catalog_t;

/* Before kafka_start, while one thread owns both. */
kafka_catalog_t *kafka_catalog_new(kafka_t *kafka);
/* When the threads are joined and kafka_t is still there. NULL is harmless. */
void kafka_catalog_free(kafka_catalog_t *catalog);
/* On Kafka's reactor: what has changed goes now and not at the end of the turn, so that who is answered next finds it. */
void kafka_catalog_flush(kafka_catalog_t *catalog);

/* ---- on the reactor that asks ---------------------------------------------------------------------------------------- */

/* Takes the news. Nothing else changes the catalog: between two updates its answers fit each other. */
void kafka_catalog_update(kafka_catalog_t *catalog);
bool kafka_catalog_ready(const kafka_catalog_t *catalog);
/* Whether the record could be appended now, or after its topic was created: 0, or an error code with its words. */
kafka_code_t kafka_produce_check(const kafka_catalog_t *catalog, const kafka_produce_t *record,
                                 char message[KAFKA_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* The partition it belongs in; without a key, each record in its turn. -1 while the topic does not exist. */
int32_t kafka_produce_choose(kafka_catalog_t *catalog, const kafka_produce_t *record);
/* Whether the offset could be committed now by somebody who is no member: 0, or an error code with its words. `topic_comes`:
 * a record that makes its topic is delivered first. */
kafka_code_t kafka_commit_check(const kafka_catalog_t *catalog, const kafka_commit_t *commit, bool topic_comes,
                                char message[KAFKA_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* -1: there is no such topic. */
int32_t kafka_topic_partitions(const kafka_catalog_t *catalog, bytes_t topic);
static inline bool kafka_topic_exists(const kafka_catalog_t *catalog, bytes_t topic)
{
    return kafka_topic_partitions(catalog, topic) >= 0;
}

#endif
