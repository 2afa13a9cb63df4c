/* kafka.h: the Kafka wing: brokers, topics, partitions, groups, spoken over Kafka's own protocol.
 *
 * One kafka_t a reactor. The server makes it, starts it, opens a listener; the bridge produces through it. Topics,
 * broker id and configuration live in the coordination tree at the paths where Kafka with ZooKeeper kept them; data
 * lives under the data directory as <topic>-<partition>/. */
#ifndef TRIVET_KAFKA_KAFKA_H
#define TRIVET_KAFKA_KAFKA_H

#include "base/base.h"
#include "base/buf.h"
#include "base/health.h"
#include "coord/mirror.h"
#include "io/io.h"
#include "kafka/errors.h"
#include "net/net.h"

typedef struct kafka kafka_t;
typedef struct kafka_config kafka_config_t;

/* Settings by their server.properties names. Unknown or ill-typed: ERR_INVALID and one line in `err` that names what
 * was wrong and what would fit. */
kafka_config_t *kafka_config_new(void);
void kafka_config_free(kafka_config_t *config);
int kafka_configure(kafka_config_t *config, const char *name, const char *value, char *err,
                    size_t err_bytes) MUST_CHECK;
/* The value as text (NULL when it has none, or the name is unknown); valid until the next call. */
const char *kafka_config_get(kafka_config_t *config, const char *name);
/* Whether it was configured, and does not just have its default. */
bool kafka_config_is_set(const kafka_config_t *config, const char *name);

/* The parts of the tree that the wing reads, for mirror_new. */
#define KAFKA_TREE_PREFIXES 10
extern const char *const kafka_tree_prefixes[KAFKA_TREE_PREFIXES];

/* `tree` lives on `loop` and has kafka_tree_prefixes; it must outlive the wing, and be ready before kafka_start. `data_dir` is
 * the wing's own directory (made when missing); the configuration is copied. */
kafka_t *kafka_new(io_loop_t *loop, net_t *net, mirror_t *tree, const char *data_dir, const kafka_config_t *config);
/* Reads meta.properties and the checkpoints. The loop then recovers every partition, turn by turn, and registers the broker in
 * the tree, once somebody listens: only then is it ready. */
int kafka_start(kafka_t *kafka, char *err, size_t err_bytes) MUST_CHECK;
bool kafka_ready(const kafka_t *kafka);
/* And the groups have been read back: no client of theirs is told to come again. */
bool kafka_loaded(const kafka_t *kafka);
/* Partitions that are offline, writes that the disk refuses. */
const health_t *kafka_health(const kafka_t *kafka);
/* Port 0 picks a free one; may be called for several addresses. */
int kafka_listen(kafka_t *kafka, const char *host, uint16_t port, uint16_t *ret_port) MUST_CHECK;
/* Reads the certificates of SSL listeners again when their files have changed, or in any case. */
void kafka_reload(kafka_t *kafka, bool forced);
bool kafka_speaks_tls(const kafka_t *kafka);
/* Closes listeners and connections, flushes and closes partitions. */
void kafka_stop(kafka_t *kafka);
void kafka_free(kafka_t *kafka);

/* ---- the bridge's door ---- */

typedef struct kafka_header {
    bytes_t key, value;
} kafka_header_t;

typedef struct kafka_produce {
    bytes_t topic;
    int32_t partition;  /* -1: murmur2 of the key, or without key the sticky partition */
    bytes_t key, value; /* ptr NULL = null */
    const kafka_header_t *headers;
    int32_t headers_count;
    int64_t timestamp_ms; /* -1 = now */
} kafka_produce_t;

/* `error` is a Kafka error code (0 = none), and then `message` says more or is NULL. */
typedef void (*kafka_produced_cb)(void *user, int32_t partition, int64_t offset, kafka_code_t error,
                                  const char *message);
/* Appends one record, creating the topic when the broker may (auto.create.topics.enable). The callback may run inside
 * the call; its arguments are borrowed, and so are `record`'s bytes until it has run. */
void kafka_produce_record(kafka_t *kafka, const kafka_produce_t *record, kafka_produced_cb done, void *user);
/* The same for each of the records in their order; those of one partition are one batch as far as they fit. */
typedef struct kafka_single {
    const kafka_produce_t *record;
    kafka_produced_cb done;
    void *user;
    int32_t partition; /* filled in, as is the next */
    bool taken;
} kafka_single_t;
void kafka_produce_records(kafka_t *kafka, kafka_single_t *records, int count);

/* compression.type of a producer by its name (none, gzip, snappy, lz4, zstd), for kafka_produce_compress; ERR_INVALID. */
int kafka_codec_of(const char *name) MUST_CHECK;
/* What comes through this door is compressed so, at the Java client's levels, where the topic leaves it to producers. */
void kafka_produce_compress(kafka_t *kafka, int codec);

/* The outbox's way, for records (and offsets, below) that may be given again after a crash. What is asked before they are
 * promised is in catalog.h. A number rises over all
 * records of its producer; a partition takes only those above the last that it has of that producer, and never forgets
 * a producer that is kept. */
#define KAFKA_NUMBER_MAX        (((int64_t)1 << 46) - 1)
#define KAFKA_MESSAGE_BYTES_MAX 300
/* Takes the first of the records, at least one, all of one partition (chosen before) and in the order of their numbers:
 * those that the partition has already, with offset -1, or else those that fit one batch, which is appended. */
#define KAFKA_BATCH_BYTES 16384 /* as batch.size of the Java client: what several records together may take */
typedef struct kafka_numbered {
    const kafka_produce_t *record;
    int64_t number;
    int64_t offset; /* filled in */
} kafka_numbered_t;
kafka_code_t kafka_produce_numbered(kafka_t *kafka, kafka_numbered_t *records, int count, int64_t producer_id,
                                    int *ret_taken, char message[KAFKA_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* Creates the topic if the broker may; `done` runs once, at once or later. */
typedef void (*kafka_door_cb)(void *user, int64_t value, kafka_code_t error, const char *message);
void kafka_topic_ensure(kafka_t *kafka, bytes_t topic, kafka_door_cb done, void *user);
/* `done` runs once everything in the partition so far is on stable storage. */
void kafka_partition_sync(kafka_t *kafka, bytes_t topic, int32_t partition, kafka_door_cb done, void *user);
/* A producer id that nobody else has: `value`. */
void kafka_producer_id_new(kafka_t *kafka, kafka_door_cb done, void *user);
/* Partitions keep what they know of this producer (any others expire; -1 = they all do). Before kafka_start, when it is not known yet:
 * all are kept, until it is. */
#define KAFKA_PRODUCERS_ALL INT64_MIN
void kafka_producer_keep(kafka_t *kafka, int64_t producer_id);
/* The highest number that any partition has of it; -1 = none. */
int64_t kafka_producer_last_number(const kafka_t *kafka, int64_t producer_id);
/* The name of an error code: "UNKNOWN_TOPIC_OR_PARTITION". */
const char *kafka_error_name(kafka_code_t error);

/* ---- the bridge's door to the groups ---- */

/* How far a group has read a partition: what it has committed. As a record of __consumer_offsets it goes the outbox's
 * way: kafka_produce_numbered, and the group has it. */
typedef struct kafka_commit {
    bytes_t group, topic;
    int32_t partition;
    int64_t offset;
    bytes_t metadata; /* ptr NULL = none */
} kafka_commit_t;
/* Who says so; without one it is anybody, as in a transaction's commit of Kafka's. */
typedef struct kafka_member {
    bytes_t id;
    int32_t generation; /* or member epoch */
} kafka_member_t;

/* Whether the member may commit for its group now: 0, or an error code with its words. */
kafka_code_t kafka_member_check(kafka_t *kafka, bytes_t group, const kafka_member_t *member,
                                char message[KAFKA_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* The record; its key and value are in `out`, which is emptied first. The key tells group, topic and partition alone. */
void kafka_commit_record(const kafka_commit_t *commit, int64_t commit_ms, buf_t *out, kafka_produce_t *ret_record);
/* And back; borrowed. ERR_NOT_FOUND: a record of another topic. ERR_INVALID. */
int kafka_commit_of(const kafka_produce_t *record, kafka_commit_t *ret_commit) MUST_CHECK;
/* What the group has: *ret_offset is -1 when that is nothing. */
kafka_code_t kafka_committed_offset(kafka_t *kafka, bytes_t group, bytes_t topic, int32_t partition,
                                    int64_t *ret_offset, char message[KAFKA_MESSAGE_BYTES_MAX]) MUST_CHECK;
/* Clients neither see nor change the offsets of a group while `waits` says that offsets of it are on their way: they
 * are told to come again (COORDINATOR_LOAD_IN_PROGRESS). NULL = none. */
void kafka_commits_hold(kafka_t *kafka, bool (*waits)(void *user, bytes_t group), void *user);

/* ---- figures ---- */

typedef struct kafka_stats {
    uint64_t requests, request_errors;
    uint64_t produced_records, produced_bytes, fetched_bytes;
    uint64_t clean_rounds, clean_failures, clean_read_bytes, clean_written_bytes, clean_dropped_records;
    uint32_t connections, topics, partitions, partitions_offline, files_open, groups;
    uint32_t share_sessions, share_partitions; /* that members of share groups read */
} kafka_stats_t;
kafka_stats_t kafka_stats(const kafka_t *kafka);
/* Prometheus text. */
void kafka_metrics(const kafka_t *kafka, buf_t *out);

#endif
