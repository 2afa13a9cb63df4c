/* kafka_internal.h: what the files of the Kafka wing share: the broker, its topics, a request and how it is answered.
 *
 * Everything runs on one reactor. A request is decoded, handed to its API's handler (apis.c has one row an API) and
 * answered by kafka_respond exactly once, at once or later; answers leave a connection in the order of its requests. */
#ifndef TRIVET_KAFKA_INTERNAL_H
#define TRIVET_KAFKA_INTERNAL_H

#include "base/arena.h"
#include "base/health.h"
#include "base/list.h"
#include "base/map.h"
#include "kafka/errors.h"
#include "kafka/kafka.h"
#include "kafka/slices.h"
#include "kafka_configs.h"
#include "kafka_schema.h"
#include "wire/kafka.h"

typedef struct kafka_conn kafka_conn_t;
typedef struct kafka_topic kafka_topic_t;
typedef struct kafka_request kafka_request_t;
typedef struct partition partition_t;                   /* partition/partition.h */
typedef struct kafka_groups kafka_groups_t;             /* coordinator/groups.h */
typedef struct kafka_txns kafka_txns_t;                 /* coordinator/txn/txns.h */
typedef struct kafka_share_states kafka_share_states_t; /* coordinator/share/share_state.h */
typedef struct fetch_sessions fetch_sessions_t;         /* broker/fetch_session.h */
typedef struct shares shares_t;                         /* share/shares.h */
typedef struct partition_store partition_store_t;       /* partition/store.h */
typedef struct opener opener_t;                         /* partition/opener.h */

#define KAFKA_REQUEST_ARENA_BYTES_MAX  MIB(8)   /* what decoding one request may take beside the request's own bytes */
#define KAFKA_RESPONSE_ARENA_BYTES_MAX MIB(256) /* what building one response may take: kafka_response_is_full */
#define KAFKA_TOPIC_NAME_BYTES_MAX     249
#define KAFKA_NO_LEADER                (-1)
#define KAFKA_PARTITIONS_MAX           10000 /* of one topic */
#define KAFKA_IN_FLIGHT_MAX            64    /* unanswered requests of one connection */

/* ---- the broker ---- */

typedef struct listeners listeners_t;

struct kafka {
    io_loop_t *loop;
    net_t *net;
    mirror_t *tree;
    char *data_dir; /* holds <topic>-<partition>/, meta.properties */

    kafka_broker_config_t config;      /* effective values: config.num_partitions, config.message_max_bytes ... */
    struct config_store *config_store; /* where each value comes from: config/config.c */
    uint32_t config_version;           /* counts what changed `config` */

    int32_t broker_id;                     /* node.id */
    char cluster_id[KAFKA_UUID_CHARS + 1]; /* znode /cluster/id */
    int64_t broker_epoch;                  /* czxid of /brokers/ids/N */
    bool opened;                           /* all partitions that the tree had at the start */
    bool listening;                        /* somewhere */
    bool ready;                            /* registered in the tree: clients are served */

    map_t topics;        /* name -> kafka_topic_t */
    map_t topics_by_id;  /* 16 bytes -> kafka_topic_t */
    map_t topics_folded; /* name with '_' for each '.' -> a kafka_topic_t of that name: topic_colliding */
    list_t topic_listeners;

    partition_store_t *partitions; /* checkpoints and timers: open before partition_open, close last */
    kafka_groups_t *groups;
    kafka_txns_t *txns;
    kafka_share_states_t *share_states;
    fetch_sessions_t *fetch_sessions; /* made at the first fetch; fetch_sessions_free */
    shares_t *shares;
    int64_t kept_producer_id;                        /* the bridge's: partitions never forget it; -1 = none */
    int produce_codec;                               /* kafka_produce_compress; record_codec_t */
    bool (*commit_waits)(void *user, bytes_t group); /* kafka_commits_hold */
    void *commit_waits_user;
    struct producer_ids *producer_ids; /* made at the first InitProducerId; producer_ids_free */

    const struct kafka_handler *(*handler_of)(int16_t api_key); /* NULL when the API has none: api/apis.c */

    opener_t *opener; /* made by kafka_new, as the slices are */
    slices_t slices;

    list_t connections;
    struct listeners *listeners;       /* broker/listeners.c */
    struct topics_store *topics_store; /* the image of the tree: topics.c */
    list_t changes_queued;             /* tree_change.c */
    uint32_t changes_running;          /* of those that were queued */
    list_t encoding; /* kafka_request_t.encoding_node: whose answers are written in pieces, in order */
    slice_t encoder;
    list_t reading;       /* kafka_request_t.reading_node: whose bodies the pool reads, the first of them now */
    list_t requests_free; /* kafka_request_t that wait for work, with warm arenas */
    uint32_t requests_free_count;
    io_timer_t idle_timer;
    kafka_stats_t stats;
    health_t health;
};

/* ---- topics ---- */

typedef struct kafka_partition_state { /* as in /brokers/topics/T/partitions/P/state */
    int32_t leader;
    int32_t leader_epoch;
    int32_t isr_count;
    int32_t *isr;
    int32_t replicas_count;
    int32_t *replicas;
    partition_t *log; /* NULL when this broker does not hold it, or it is offline */
    struct partition_offline *offline;
    struct partition_precheck *precheck; /* while it is to be opened after a crash */
} kafka_partition_state_t;

struct kafka_topic {
    kafka_t *kafka;
    char *name;
    size_t name_len;
    kafka_uuid_t id;
    bool internal; /* __consumer_offsets, __transaction_state */
    bool deleting;
    int32_t partitions_count;
    int32_t partitions_cap; /* of `partitions`: those that are still to be opened have their places already */
    kafka_partition_state_t *partitions;
    kafka_topic_config_t config; /* effective values: config.retention_ms, config.cleanup_policy ... */
    uint32_t next_partition;     /* for records of the bridge without a key */
    map_t overrides;             /* what /config/topics/T sets: name -> char * */
};

static inline bytes_t kafka_topic_name(const kafka_topic_t *t) { return bytes_of(t->name, t->name_len); }
/* NULL when there is none (or it is being deleted). */
kafka_topic_t *kafka_topic_get(const kafka_t *kafka, bytes_t name);
kafka_topic_t *kafka_topic_by_id(const kafka_t *kafka, kafka_uuid_t id);
/* KAFKA_NONE, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR; the partition when 0. */
kafka_code_t kafka_partition_get(const kafka_t *kafka, bytes_t topic, int32_t index,
                                 partition_t **ret_partition) MUST_CHECK;
kafka_code_t kafka_topic_partition_get(const kafka_topic_t *topic, int32_t index,
                                       partition_t **ret_partition) MUST_CHECK;
/* As Kafka's Topic.validate: NULL when the name is legal, else the reason in Kafka's words (in the arena). */
const char *kafka_topic_name_problem(bytes_t name, arena_t *arena);

/* Creates a topic through the tree; `done` runs once it is there with its partitions open (or refused). An existing
 * topic is TOPIC_ALREADY_EXISTS. partitions -1 and replication -1 take the broker's defaults. `overrides` is read
 * before the call returns. */
typedef struct kafka_topic_spec {
    bytes_t name;
    int32_t partitions_count;
    int16_t replication_factor;
    const struct kafka_setting {
        bytes_t name, value;
    } * overrides;
    int32_t overrides_count;
} kafka_topic_spec_t;
typedef struct kafka_setting kafka_setting_t;
/* `topic` is NULL on an error; `message` is then never NULL, and borrowed. */
typedef void (*kafka_topic_created_cb)(void *user, kafka_topic_t *topic, kafka_code_t error, const char *message);
/* As the broker makes topics by itself: with its defaults, or for __consumer_offsets and __transaction_state with theirs. */
void kafka_topic_create_auto(kafka_t *kafka, bytes_t name, kafka_topic_created_cb done, void *user);
void kafka_topic_create(kafka_t *kafka, const kafka_topic_spec_t *spec, kafka_topic_created_cb done, void *user);

/* Told of every topic: `created` once its partitions are open (also for each one found at start), `grown` when it has
 * got partitions from `first` on, `deleted` before its partitions close, `configured` when its settings changed, `online` when a partition
 * that was offline serves again, `altered` when something else decides otherwise whether records can be appended (a partition
 * went offline, a deletion began or was given up, groups of a partition could or could not be read). Each may be NULL. */
typedef struct kafka_topic_listener {
    list_t node;
    void (*created)(struct kafka_topic_listener *listener, kafka_topic_t *topic);
    void (*grown)(struct kafka_topic_listener *listener, kafka_topic_t *topic, int32_t first);
    void (*deleted)(struct kafka_topic_listener *listener, kafka_topic_t *topic);
    void (*configured)(struct kafka_topic_listener *listener, kafka_topic_t *topic);
    void (*online)(struct kafka_topic_listener *listener, kafka_topic_t *topic, int32_t index);
    void (*altered)(struct kafka_topic_listener *listener, kafka_topic_t *topic);
} kafka_topic_listener_t;
static inline void kafka_topic_listen(kafka_t *kafka, kafka_topic_listener_t *listener)
{
    list_push_back(&kafka->topic_listeners, &listener->node);
}

static inline void kafka_topic_altered(kafka_topic_t *topic)
{
    LIST_EACH(&topic->kafka->topic_listeners, listener, kafka_topic_listener_t, node)
        if (listener->altered) listener->altered(listener, topic);
}

/* ---- requests ---- */

struct kafka_request {
    kafka_t *kafka;
    kafka_conn_t *conn; /* NULL once the client has gone; the request must be answered all the same */
    const struct kafka_handler *handler;
    const kafka_api_t *api;
    bool unsupported_version;      /* ApiVersions alone comes to its handler so: without a body */
    kafka_request_header_t header; /* client_id lives as long as the request */
    arena_t arena;                 /* for the request and for building its response; freed by kafka_respond */
    void *body;                    /* decoded request: kafka_NAME_request_t */
    /* For handlers that answer later: theirs to use. `gone`, when set, runs if the client closes before the answer;
     * it may answer (to nobody) at once, or later. */
    void *state;
    void (*gone)(kafka_request_t *request);
    uint64_t started_ns;
    size_t frame_bytes;
    buf_t frame;   /* the memory in which a large one came: kafka_request_keep_frame */
    slice_t slice; /* kafka_request_run */
    bool holds;    /* kafka_request_hold */
    /* request.c: of a body that the pool reads */
    io_work_t reading;
    list_t reading_node;
    kafka_reader_t unread;
    int read_err;
    void (*read)(kafka_request_t *request, int err);
    /* the connection's */
    list_t node;
    kafka_writer_t out;
    kafka_encoding_t encoding; /* answer.c: of an answer that is written in pieces */
    list_t encoding_node;
    net_output_t pieces; /* those that are written */
    uint8_t *size_at;    /* where in them the answer's size belongs */
    enum { KAFKA_REQUEST_OPEN, KAFKA_REQUEST_DONE, KAFKA_REQUEST_SILENT } answer;
};

enum {
    /* The body's bytes are borrowed from the connection and gone when the handler returns. Without it the frame is
     * copied into the arena, so that the body lives as long as the request. */
    KAFKA_HANDLER_BORROWS = 1,
    /* The connection's next request may start before this one is answered (Kafka itself serves one at a time; answers
     * are in order in any case). */
    KAFKA_HANDLER_OVERLAPS = 2,
    /* All that a response refers to lives as long as its request, so that a large one is written in pieces, over several
     * turns; it refers to no file. */
    KAFKA_HANDLER_LASTS = 4,
};

typedef struct kafka_handler {
    void (*handle)(kafka_request_t *request);
    unsigned flags;
} kafka_handler_t;

/* Told when a connection has closed, after the requests that were under way on it have heard `gone`. Unlinked before it runs;
 * list_remove(&watch->node) gives it up earlier. */
typedef struct kafka_conn_watch {
    list_t node;
    void (*closed)(struct kafka_conn_watch *watch);
} kafka_conn_watch_t;
void kafka_conn_on_close(kafka_conn_t *conn, kafka_conn_watch_t *watch);

/* Encodes `response` (a kafka_NAME_response_t of the request's API) and ends the request, which is invalid afterwards.
 * Borrowed bytes in `response` are copied; files in kafka_records_t are taken over. */
void kafka_respond(kafka_request_t *request, const void *response);
/* Ends the request without an answer (Produce with acks=0). */
void kafka_respond_nothing(kafka_request_t *request);
/* Ends the request and closes its connection, as Kafka does where no response can carry the error. */
void kafka_respond_close(kafka_request_t *request);

/* Serves a request in steps (slices.h). The first `pause` must make what is borrowed last; NULL where nothing is. */
void kafka_request_run(kafka_request_t *request, slice_state_t (*step)(slice_t *slice), void (*pause)(slice_t *slice));
/* The next request of the connection must wait, though the handler overlaps; until this one releases it or is answered. */
void kafka_request_hold(kafka_request_t *request);
void kafka_request_release(kafka_request_t *request);

/* Before the handler returns, and of a large request: what is borrowed from its frame lasts as long as the request. False: it
 * must be copied. */
bool kafka_request_keep_frame(kafka_request_t *request) MUST_CHECK;

/* The address at which this request's client reaches us: advertised.listeners, else the connection's local address. */
void kafka_advertised(const kafka_request_t *request, bytes_t *ret_host, int32_t *ret_port);
/* "127.0.0.1", without the port, as Kafka's client_host shows it behind a slash. */
bytes_t kafka_request_client_host(const kafka_request_t *request);

/* A client that names the same thing over and over could make an answer of any size: handlers that list ask this
 * before each item, and refuse the rest. */
static inline bool kafka_response_is_full(const kafka_request_t *request)
{
    return request->arena.bytes_used > KAFKA_RESPONSE_ARENA_BYTES_MAX;
}

/* Arena helpers for responses. */
#define KAFKA_MESSAGE(request_, type_)                                                                                 \
    ((kafka_##type_##_t *)kafka_message_new(&(request_)->arena, &kafka_##type_##_shape))
static inline void *kafka_message_new(arena_t *arena, const kafka_shape_t *shape)
{
    return kafka_array_new(shape, arena, 1);
}

#endif
