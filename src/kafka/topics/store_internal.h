/* store_internal.h: what the files share that keep the broker's topics what the tree says: store.c, which reads the tree and
 * decides, and store_partitions.c, which opens and removes partitions. */
#ifndef TRIVET_KAFKA_STORE_INTERNAL_H
#define TRIVET_KAFKA_STORE_INTERNAL_H

#include "kafka/topics/topics.h"

#define PATH_CHARS_MAX 400

typedef struct topics_store topics_store_t;

struct topics_store {
    kafka_t *kafka;
    coord_subscription_t topics, configs, deletions;
    io_timer_t work;
    map_t dirty; /* topic name -> the store */
    size_t dirty_cursor;
    bool stopped;          /* the last opening of partitions went no further: no time, or checksums are read before */
    uint32_t opened_count; /* partitions looked at: whether a turn got anything done */
    bool opening;          /* the first look at the tree is not over */
    void (*opened)(kafka_t *kafka); /* when it is */
    bool closing;                   /* what is begun is ended now */
    bool broker_configs_dirty;
    list_t waits;
    map_t loading;    /* name -> kafka_topic_t whose partitions are not all open */
    map_t unfinished; /* name -> unfinished_t: a look at the topic that its turn was too short for */
    map_t dropping;   /* name -> dropping_t: topics that are gone, and have partitions to remove */
    uint64_t turn_ns; /* the turn of the loop that began_ns is of */
    uint64_t began_ns;
};

/* What the tree says of a topic, of which the partitions from `next` on were not looked at yet. */
typedef struct unfinished {
    arena_t arena;
    znode_topic_t node;
    int32_t next;
} unfinished_t;

typedef struct dropping {
    kafka_topic_t *topic;
    int32_t next; /* partition to remove */
} dropping_t;

/* ---- store.c ---- */

/* The work goes on in the next turn. */
void topics__work_later(topics_store_t *store);
/* Tells those who wait for the topic of that name, when what they wait for has come. */
void topics__end_waits(topics_store_t *store, bytes_t asked);

/* ---- store_partitions.c ---- */

/* Whether the rest must wait for the next turn. */
bool topics__turn_is_over(topics_store_t *store);
/* Opens partitions in order, from `from` up to the first that has no state, or to the end of the turn's time; returns where.
 * One that has lost its state (somebody is deleting the topic node by node) stays as it is. */
int32_t topics__open_partitions(topics_store_t *store, kafka_topic_t *topic, const znode_topic_t *node, int32_t from,
                                arena_t *arena);
/* Removes a topic that nobody finds any more, with its partitions, in this turn and those that follow. */
void topics__drop(topics_store_t *store, kafka_topic_t *topic);
void topics__drop_more(topics_store_t *store);
/* Removes at once what is being dropped. */
void topics__drop_all(topics_store_t *store);
/* Closes the partitions and frees the topic; the files stay. */
void topics__close(kafka_topic_t *topic);

#endif
