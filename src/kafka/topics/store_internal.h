/* store_internal.h: what the files share that keep the broker's topics what the tree says: store.c, which follows the tree,
 * store_look.c, which reads what it says of a topic and decides, and store_partitions.c, which opens and removes partitions. */
#ifndef TRIVET_KAFKA_STORE_INTERNAL_H
#define TRIVET_KAFKA_STORE_INTERNAL_H

#include "kafka/topics/topics.h"

#define PATH_CHARS_MAX 400

typedef struct topics_store topics_store_t;

struct topics_store {
    kafka_t *kafka;
    coord_subscription_t topics, configs, deletions;
    io_timer_t work;
    map_t dirty; /* topic name -> topic_news_t */
    size_t dirty_cursor;
    bool stopped;          /* the last opening of partitions went no further: no time, or checksums are read before */
    uint32_t opened_count; /* partitions looked at: whether a turn got anything done */
    bool opening;          /* the first look at the tree is not over */
    void (*opened)(kafka_t *kafka); /* when it is */
    bool closing;                   /* what is begun is ended now */
    bool broker_configs_dirty;
    list_t waits;
    map_t loading;     /* name -> kafka_topic_t whose partitions are not all open */
    map_t unfinished;  /* name -> topic_look_t that its turn was too short for */
    map_t stateless;   /* name -> topic_look_t that waits for the state of its next partition */
    map_t dropping;    /* name -> dropping_t: topics that are gone, and have partitions to remove */
    uint64_t since_ns; /* when what is done now began: slices_spent */
};

/* What changed of a topic since it was looked at. */
typedef struct topic_news {
    bool node, settings;
    int32_t from, end; /* the partitions whose states changed lie in [from, end) */
} topic_news_t;

/* A look at partitions of a topic, [next, end), that goes on over turns. */
typedef struct topic_look {
    arena_t arena;
    znode_topic_t node; /* without partitions when only states of those that are open changed */
    int32_t next, end;
} topic_look_t;

typedef struct dropping {
    kafka_topic_t *topic;
    int32_t next; /* partition to remove */
} dropping_t;

/* ---- store.c ---- */

/* The work goes on in the next turn. */
void topics__work_later(topics_store_t *store);
/* Tells those who wait for the topic of that name, when what they wait for has come. */
void topics__end_waits(topics_store_t *store, bytes_t asked);

/* ---- store_look.c ---- */

/* What is noted there is looked at in a later turn. */
topic_news_t *topics__mark(topics_store_t *store, bytes_t name);
/* The same, of a path below /brokers/topics/ that changed. */
void topics__mark_path(topics_store_t *store, const char *path);
void topics__look(topics_store_t *store, bytes_t name, const topic_news_t *news);
/* Takes the look. */
void topics__look_go_on(topics_store_t *store, bytes_t name, topic_look_t *look);
void topics__look_free(topic_look_t *look);
void topics__tell_configured(kafka_topic_t *topic);

/* ---- store_partitions.c ---- */

/* The rest must wait for the next turn. */
bool topics__turn_is_over(topics_store_t *store);
/* Opens partitions in order, up to the first that has no state (look->next is below look->end then), or to the end of the turn's time
 * (store->stopped). One that has lost its state (somebody is deleting the topic node by node) stays as it is. */
void topics__open_partitions(topics_store_t *store, kafka_topic_t *topic, topic_look_t *look);
/* Removes a topic that nobody finds any more, with its partitions, in this turn and those that follow. */
void topics__drop(topics_store_t *store, kafka_topic_t *topic);
void topics__drop_more(topics_store_t *store);
/* Removes at once what is being dropped. */
void topics__drop_all(topics_store_t *store);
/* Closes the partitions and frees the topic; the files stay. */
void topics__close(kafka_topic_t *topic);

#endif
