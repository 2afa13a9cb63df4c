/* queue.c: see queue.h. One record is in flight a call: the example shows what is certain, not what is fast. */
#include "queue.h"

#include <stdatomic.h>
#include <string.h>

#define ANSWER_MS_MAX   2000
#define DELIVERY_MS_MAX "5000"
#define ERROR_BYTES     512

/* What the delivery report of one record says. */
typedef struct report {
    rd_kafka_resp_err_t error;
    atomic_bool done; /* set by whichever thread polls the producer */
} report_t;

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char problem[ERROR_BYTES];
    if (rd_kafka_conf_set(conf, name, value, problem, sizeof problem) != RD_KAFKA_CONF_OK) die("Kafka: %s", problem);
}

static void delivered(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque)
{
    report_t *report = message->_private;
    report->error = message->err;
    report->done = true;
}

static void set_producer(rd_kafka_conf_t *conf)
{
    set(conf, "acks", "all");
    set(conf, "enable.idempotence", "true");
    set(conf, "delivery.timeout.ms", DELIVERY_MS_MAX);
    set(conf, "linger.ms", "0");
    rd_kafka_conf_set_dr_msg_cb(conf, delivered);
}

static void set_consumer(rd_kafka_conf_t *conf, const char *group)
{
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "enable.auto.commit", "false");
    set(conf, "session.timeout.ms", "6000"); /* how soon another worker takes over from a dead one */
    set(conf, "heartbeat.interval.ms", "1000");
    set(conf, "allow.auto.create.topics", "true");
    set(conf, "topic.metadata.refresh.interval.ms", "2000");
    set(conf, "isolation.level", "read_committed");
}

rd_kafka_t *queue_new(const config_t *config, const char *group)
{
    char problem[ERROR_BYTES];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", config->kafka_brokers);
    set(conf, "client.id", config->kafka_client_id);
    set(conf, "reconnect.backoff.max.ms", "1000");
    if (config->kafka_username) {
        set(conf, "security.protocol", config->kafka_protocol);
        set(conf, "sasl.mechanism", config->kafka_mechanism);
        set(conf, "sasl.username", config->kafka_username);
        set(conf, "sasl.password", config->kafka_password ? config->kafka_password : "");
    }
    if (group)
        set_consumer(conf, group);
    else
        set_producer(conf);
    rd_kafka_t *client = rd_kafka_new(group ? RD_KAFKA_CONSUMER : RD_KAFKA_PRODUCER, conf, problem, sizeof problem);
    if (!client) die("Kafka: %s", problem);
    if (group) rd_kafka_poll_set_consumer(client);
    return client;
}

void queue_free(rd_kafka_t *client)
{
    if (client) rd_kafka_destroy(client);
}

void queue_subscribe(rd_kafka_t *consumer, const char *first, const char *second)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(2);
    rd_kafka_topic_partition_list_add(topics, first, RD_KAFKA_PARTITION_UA);
    rd_kafka_topic_partition_list_add(topics, second, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (error) die("Kafka: cannot subscribe to %s and %s: %s", first, second, rd_kafka_err2str(error));
}

int queue_produce(rd_kafka_t *producer, const char *topic, const char *key, const char *id, const char *reason,
                  const void *value, size_t size)
{
    report_t report = {0};
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    rd_kafka_header_add(headers, "id", -1, id, -1);
    if (reason) rd_kafka_header_add(headers, "reason", -1, reason, -1);
    rd_kafka_resp_err_t error =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_KEY(key, strlen(key)),
                          RD_KAFKA_V_VALUE((void *)value, size), RD_KAFKA_V_HEADERS(headers),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_OPAQUE(&report), RD_KAFKA_V_END);
    if (error) {
        rd_kafka_headers_destroy(headers);
        say("Kafka: %s: %s", topic, rd_kafka_err2str(error));
        return -1;
    }
    while (!report.done) rd_kafka_poll(producer, 100); /* ends by delivery.timeout.ms at the latest */
    if (report.error) say("Kafka: %s: %s", topic, rd_kafka_err2str(report.error));
    return report.error ? -1 : 0;
}

bool queue_answers(rd_kafka_t *client)
{
    const struct rd_kafka_metadata *metadata;
    if (rd_kafka_metadata(client, 0, NULL, &metadata, ANSWER_MS_MAX)) return false;
    rd_kafka_metadata_destroy(metadata);
    return true;
}
