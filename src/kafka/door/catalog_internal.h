/* catalog_internal.h: what the catalog holds, and how it travels (catalog.c, catalog_feed.c, catalog_ask.c). */
#ifndef TRIVET_KAFKA_CATALOG_INTERNAL_H
#define TRIVET_KAFKA_CATALOG_INTERNAL_H

#include "kafka/catalog.h"
#include "kafka/door/produce_record.h"
#include "kafka/kafka_internal.h"

#include <stdatomic.h>

/* What a batch of the bridge's must keep to in a topic. */
typedef struct catalog_rules {
    int64_t batch_bytes_max;
    produce_packing_t packing;
    bool compacted;
} catalog_rules_t;

typedef struct catalog_broker {
    bool ready, makes_topics; /* auto.create.topics.enable */
    int16_t replication_factor;
    int32_t partitions_count;        /* of a topic that is made */
    int32_t groups_partitions_count; /* __consumer_offsets, as groups are spread over it; 0 = it does not exist yet */
    int64_t metadata_bytes_max;      /* of an offset */
    catalog_rules_t as_made;         /* of a topic that is made */
} catalog_broker_t;

typedef struct catalog_topic {
    catalog_rules_t rules;
    int32_t partitions_count;
    bool internal, deleting;
    uint32_t next_partition; /* for records without a key */
    uint32_t name_bytes;
    kafka_code_t *errors; /* why a partition takes no records; NULL = each takes them */
    char name[];
} catalog_topic_t;

typedef struct catalog_news catalog_news_t;

/* Kafka's reactor's alone. */
typedef struct catalog_feed {
    kafka_t *kafka;
    kafka_topic_listener_t listener;
    io_hook_t hook;
    map_t dirty; /* names of topics that changed since the last message -> the feed */
    bool told;   /* the first picture has gone */
    uint32_t config_version;
    catalog_broker_t broker; /* as it was told last */
} catalog_feed_t;

struct kafka_catalog {
    catalog_feed_t feed;
    _Atomic(catalog_news_t *) mailbox; /* the newest first: the feed puts, kafka_catalog_update takes all */
    /* the asking reactor's alone */
    catalog_broker_t broker;
    map_t topics; /* name -> catalog_topic_t */
    map_t folded; /* topic_fold of a name -> one topic of such a name */
};

/* How a topic travels: this, its name, and if it has any the errors of its partitions. */
typedef struct catalog_head {
    catalog_rules_t rules;
    int32_t partitions_count; /* -1 = it is gone */
    uint32_t name_bytes;
    bool internal, deleting, has_errors;
} catalog_head_t;

struct catalog_news {
    struct catalog_news *next;
    catalog_broker_t broker;
    buf_t topics;
};

/* catalog_feed.c */
void catalog__feed_start(kafka_catalog_t *catalog, kafka_t *kafka);
void catalog__feed_stop(catalog_feed_t *feed);
/* NULL: there is none, or it is being deleted. */
catalog_topic_t *catalog__find(const kafka_catalog_t *catalog, bytes_t name);

#endif
