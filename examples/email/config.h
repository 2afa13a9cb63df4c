/* config.h: the configuration of the service and the worker, all of it from the environment (README.md lists
 * the names). */
#pragma once

#include "util.h"

#define NAME_BYTES_MAX 256

typedef struct config {
    char redis_host[NAME_BYTES_MAX], redis_user[NAME_BYTES_MAX], redis_password[NAME_BYTES_MAX];
    int redis_port, redis_database;
    const char *kafka_brokers, *kafka_client_id, *kafka_username, *kafka_password; /* the last two NULL without SASL */
    const char *kafka_protocol, *kafka_mechanism;
    const char *topic;
    char topic_retry[NAME_BYTES_MAX], topic_dead[NAME_BYTES_MAX];
    char zookeeper[NAME_BYTES_MAX]; /* host:port */
    const char *smtp_url, *mail_from;
    bool atomic;
    const char *http_host;
    int http_port;
    int once_seconds;                  /* how long a duplicate is recognised */
    int keep_seconds;                  /* how long GET /emails/{id} knows an email */
    int rate_max, rate_window_seconds; /* emails a recipient may get in any window of that length */
    int request_bytes_max;
    int attempts_max, backoff_ms; /* the n-th retry waits backoff_ms * 2^(n-1) */
    int lease_ms;                 /* how long a worker owns an email that it sends */
} config_t;

/* Fills `config`; on -1 `problem` says which variable is wrong and what would be right. Strings point into
 * environ. */
MUST_CHECK int config_load(config_t *config, char *problem, size_t problem_bytes);
