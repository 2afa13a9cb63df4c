/* wing.c: the wing's life: made, started, opened, stopped. See kafka.h for who calls what.
 *
 * Order of start: who am I (meta.properties), strays aside, checkpoints; then, turn by turn, the tree's topics with their
 * partitions, and groups. When all is open and somebody listens the broker is registered, and only when that is committed
 * are requests read. Stop runs backwards. */
#include "kafka/api/apis.h"
#include "kafka/broker/cluster.h"
#include "kafka/broker/connection.h"
#include "kafka/broker/fetch_session.h"
#include "kafka/broker/listeners.h"
#include "kafka/broker/request.h"
#include "kafka/config/config.h"
#include "kafka/coordinator/groups.h"
#include "kafka/coordinator/share/share_state.h"
#include "kafka/coordinator/txn/producer_ids.h"
#include "kafka/coordinator/txn/txns.h"
#include "kafka/partition/opener.h"
#include "kafka/partition/partition.h"
#include "kafka/partition/store.h"
#include "kafka/share/shares.h"
#include "kafka/topics/topics.h"
#include "kafka/topics/tree_change.h"

#include <stdio.h>

#define LISTENER_CHARS_MAX 300

const char *const kafka_tree_prefixes[KAFKA_TREE_PREFIXES] = {
    "/brokers",
    "/config",
    "/admin",
    "/cluster",
    "/consumers",
    "/controller",
    "/controller_epoch",
    "/isr_change_notification",
    PRODUCER_IDS_PATH,
    "/log_dir_event_notification",
};

kafka_t *kafka_new(io_loop_t *loop, net_t *net, mirror_t *tree, const char *data_dir, const kafka_config_t *config)
{
    kafka_t *kafka = mem_zalloc(sizeof(*kafka));
    kafka->loop = loop;
    kafka->net = net;
    kafka->tree = tree;
    kafka->data_dir = mem_strdup(data_dir);
    kafka->config_store = config_store_new(config);
    config_compute_broker(kafka);
    config_set_found(kafka, "log.dirs", data_dir);
    kafka->topics = kafka->topics_by_id = kafka->topics_folded = MAP_INIT;
    list_init(&kafka->changes_queued);
    kafka->kept_producer_id = -1;
    health_init(&kafka->health, "kafka");
    list_init(&kafka->topic_listeners);
    list_init(&kafka->connections);
    kafka->listeners = listeners_new();
    list_init(&kafka->requests_free);
    list_init(&kafka->encoding);
    kafka->handler_of = kafka_handler_find;
    list_init(&kafka->reading);
    kafka->opener = opener_new(loop);
    slices_init(&kafka->slices, loop);
    return kafka;
}

static int start_failed(char *err, size_t err_bytes, const char *what, int code)
{
    if (!err[0]) snprintf(err, err_bytes, "%s: %s", what, err_text(code));
    return code;
}

/* Who is registered is served, so all must be open by then. */
static void register_when_open(kafka_t *kafka)
{
    if (kafka->opened && kafka->listening) cluster_register(kafka);
}

/* A checkpoint that cannot be written now is written later; the next start reads more for it. */
static void opened(kafka_t *kafka)
{
    partition_store_opened(kafka);
    kafka->opened = true;
    register_when_open(kafka);
}

int kafka_start(kafka_t *kafka, char *err, size_t err_bytes)
{
    err[0] = '\0';
    int result = listeners_configure(kafka, err, err_bytes);
    if (result) return result;
    result = io_mkdir(kafka->loop, kafka->data_dir);
    if (result) return start_failed(err, err_bytes, "cannot make the data directory", result);
    if ((result = cluster_identify(kafka, err, err_bytes))) return result;
    result = cluster_remove_strays(kafka);
    if (result) return start_failed(err, err_bytes, "cannot read the data directory", result);
    result = partition_store_open(kafka);
    if (result) return start_failed(err, err_bytes, "cannot read the checkpoints", result);
    kafka->groups = kafka_groups_new(kafka); /* hears of __consumer_offsets when the topics are read */
    kafka->txns = kafka_txns_new(kafka);
    kafka->share_states = kafka_share_states_new(kafka);
    kafka->shares = kafka_shares_new(kafka);
    result = topics_store_open(kafka, opened);
    if (result) return start_failed(err, err_bytes, "cannot read the topics", result);
    connection__start_all(kafka);
    return 0;
}

const health_t *kafka_health(const kafka_t *kafka) { return &kafka->health; }
bool kafka_ready(const kafka_t *kafka) { return kafka->ready; }
bool kafka_loaded(const kafka_t *kafka) { return kafka->ready && groups_loaded(kafka->groups); }

int kafka_listen(kafka_t *kafka, const char *host, uint16_t port, uint16_t *ret_port)
{
    int err = listeners_open(kafka, host, port, ret_port);
    if (err || kafka->listening) return err;
    char text[LISTENER_CHARS_MAX];
    snprintf(text, sizeof(text), "PLAINTEXT://%s:%u", host, *ret_port);
    config_set_found(kafka, "listeners", text);
    kafka->listening = true;
    register_when_open(kafka);
    return 0;
}

void kafka_reload(kafka_t *kafka, bool forced) { listeners_reload(kafka, forced); }
bool kafka_speaks_tls(const kafka_t *kafka) { return listeners_speak_tls(kafka); }

void kafka_stop(kafka_t *kafka)
{
    if (kafka->tree) mirror_close(kafka->tree);
    listeners_close(kafka);
    kafka->ready = false;
    connection__stop_all(kafka);
    opener_close(kafka->opener);
    slices_close(&kafka->slices);
    if (kafka->shares) kafka_shares_stop(kafka->shares);
    if (kafka->share_states) kafka_share_states_stop(kafka->share_states);
    if (kafka->txns) kafka_txns_stop(kafka->txns);
    if (kafka->groups) kafka_groups_stop(kafka->groups);
    tree_changes_close(kafka);
    topics_store_close(kafka);
    partition_store_close(kafka);
    fetch_sessions_free(kafka);
    producer_ids_free(kafka);
}

void kafka_free(kafka_t *kafka)
{
    if (!kafka) return;
    if (kafka->share_states) kafka_share_states_free(kafka->share_states);
    if (kafka->shares) kafka_shares_free(kafka->shares);
    if (kafka->txns) kafka_txns_free(kafka->txns);
    if (kafka->groups) kafka_groups_free(kafka->groups);
    opener_free(kafka->opener);
    request__free_spare(kafka);
    config_store_free(kafka->config_store);
    health_deinit(&kafka->health);
    listeners_free(kafka->listeners);
    mem_free(kafka->data_dir);
    mem_free(kafka);
}

static void count_partitions(const kafka_t *kafka, kafka_stats_t *stats)
{
    size_t cursor = 0;
    stats->topics = stats->partitions = 0;
    for (map_entry_t *entry; (entry = map_next(&kafka->topics, &cursor));) {
        stats->topics++;
        stats->partitions += (uint32_t)((kafka_topic_t *)entry->value)->partitions_count;
    }
}

kafka_stats_t kafka_stats(const kafka_t *kafka)
{
    kafka_stats_t stats = kafka->stats;
    stats.groups = kafka->groups ? kafka_groups_count(kafka->groups) : 0;
    stats.share_sessions = kafka->shares ? kafka_shares_sessions(kafka->shares) : 0;
    stats.share_partitions = kafka->shares ? kafka_shares_leaders(kafka->shares) : 0;
    count_partitions(kafka, &stats);
    stats.partitions_offline = partition_offline_count(kafka);
    stats.files_open = partition_store_files_open(kafka);
    return stats;
}

void kafka_metrics(const kafka_t *kafka, buf_t *out)
{
    kafka_stats_t s = kafka_stats(kafka);
    const struct {
        const char *name, *type;
        uint64_t value;
    } rows[] = {
        {"requests_total", "counter", s.requests},
        {"request_errors_total", "counter", s.request_errors},
        {"produced_records_total", "counter", s.produced_records},
        {"produced_bytes_total", "counter", s.produced_bytes},
        {"fetched_bytes_total", "counter", s.fetched_bytes},
        {"clean_rounds_total", "counter", s.clean_rounds},
        {"clean_failures_total", "counter", s.clean_failures},
        {"clean_read_bytes_total", "counter", s.clean_read_bytes},
        {"clean_written_bytes_total", "counter", s.clean_written_bytes},
        {"clean_dropped_records_total", "counter", s.clean_dropped_records},
        {"connections", "gauge", s.connections},
        {"topics", "gauge", s.topics},
        {"partitions", "gauge", s.partitions},
        {"partitions_offline", "gauge", s.partitions_offline},
        {"files_open", "gauge", s.files_open},
        {"groups", "gauge", s.groups},
        {"share_sessions", "gauge", s.share_sessions},
        {"share_partitions", "gauge", s.share_partitions},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        buf_printf(out, "# TYPE trivet_kafka_%s %s\ntrivet_kafka_%s %" PRIu64 "\n", rows[i].name, rows[i].type,
                   rows[i].name, rows[i].value);
    }
}
