/*
 * outbox_load: "set this key unless it is there, and produce a record" from many clients, each with one step in flight.
 *
 *   outbox_load once|multi|pair REDIS_PORT KAFKA_PORT TOPIC CLIENTS COUNT
 *
 * once    KAFKA.PRODUCE topic KEY k ONCE key 60 value              one step of Trivet, one command
 * multi   MULTI, SET key 1 NX EX 60, KAFKA.PRODUCE …, EXEC         one step of Trivet, sent in one write
 * pair    SET key 1 NX EX 60 on Redis, and at its OK a produce     two steps of two servers: acks=all, idempotent, no linger
 *
 * One thread waits for all clients, so that the servers are what is measured; librdkafka adds its own, as in any program
 * that uses it. Its one producer is shared by all clients, which lets it send what they have for Kafka in one batch. Prints
 * "<steps per second> <p50 µs> <p99 µs> <CPU-seconds of its own>". A step that is refused ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS_MAX     1024
#define REQUEST_BYTES   1024
#define REPLY_BYTES_MAX 512
#define VALUE_BYTES     100

typedef enum way { WAY_ONCE, WAY_MULTI, WAY_PAIR } way_t;

/* How many lines answer a step when all went well. */
static const int lines_of[] = {[WAY_ONCE] = 3, [WAY_MULTI] = 6, [WAY_PAIR] = 1};

typedef struct client {
    int fd;
    uint64_t sent_us;
    char reply[REPLY_BYTES_MAX];
    size_t reply_bytes;
} client_t;

typedef struct load {
    way_t way;
    const char *topic;
    char value[VALUE_BYTES + 1];
    uint64_t to_send, to_come, count;
    uint32_t *latency_us;
    rd_kafka_t *producer;
    rd_kafka_queue_t *reports;
    int reports_fd; /* readable when there are delivery reports; -1 without a producer */
} load_t;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "outbox_load: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- what is sent -------------------------------------------------------------------------------------- */

static size_t add(char *request, size_t at, const char *word)
{
    int added = snprintf(request + at, REQUEST_BYTES - at, "$%zu\r\n%s\r\n", strlen(word), word);
    if (added < 0 || at + added >= REQUEST_BYTES) die("a request", "too long");
    return at + added;
}

static size_t add_all(char *request, size_t at, int count, const char *const words[])
{
    at += snprintf(request + at, REQUEST_BYTES - at, "*%d\r\n", count);
    for (int i = 0; i < count; i++) at = add(request, at, words[i]);
    return at;
}

static size_t make_request(const load_t *load, char *request)
{
    char key[64];
    snprintf(key, sizeof key, "once:%d:%llu", (int)getpid(), (unsigned long long)load->to_send);
    const char *set[] = {"SET", key, "1", "NX", "EX", "60"}, *multi[] = {"MULTI"}, *exec[] = {"EXEC"};
    const char *once[] = {"KAFKA.PRODUCE", load->topic, "KEY", key, "ONCE", key, "60", load->value};
    const char *produce[] = {"KAFKA.PRODUCE", load->topic, "KEY", key, load->value};
    size_t size = 0;
    if (load->way == WAY_ONCE) return add_all(request, 0, 8, once);
    if (load->way == WAY_PAIR) return add_all(request, 0, 6, set);
    size = add_all(request, size, 1, multi);
    size = add_all(request, size, 6, set);
    size = add_all(request, size, 5, produce);
    return add_all(request, size, 1, exec);
}

static void begin(load_t *load, client_t *c)
{
    char request[REQUEST_BYTES];
    if (!load->to_send) return;
    size_t size = make_request(load, request);
    load->to_send--;
    c->reply_bytes = 0;
    c->sent_us = now_us();
    if (write(c->fd, request, size) != (ssize_t)size) die("write", strerror(errno));
}

static void produce(load_t *load, client_t *c)
{
    rd_kafka_resp_err_t error =
        rd_kafka_producev(load->producer, RD_KAFKA_V_TOPIC(load->topic), RD_KAFKA_V_KEY(&c->sent_us, sizeof c->sent_us),
                          RD_KAFKA_V_VALUE(load->value, VALUE_BYTES), RD_KAFKA_V_OPAQUE(c), RD_KAFKA_V_END);
    if (error) die("produce", rd_kafka_err2str(error));
}

/* --- what comes back ----------------------------------------------------------------------------------- */

static void end(load_t *load, client_t *c)
{
    load->latency_us[--load->to_come] = (uint32_t)(now_us() - c->sent_us);
    begin(load, c);
}

/* Whether all lines of the reply are there. One that tells of an error or of a key that exists ends the program. */
static bool is_whole(const load_t *load, const client_t *c)
{
    int lines = 0;
    for (const char *line = c->reply, *stop; (stop = strchr(line, '\n')); line = stop + 1, lines++)
        if (*line == '-' || !strncmp(line + 1, "-1\r", 3)) die("a step was refused", c->reply);
    return lines == lines_of[load->way];
}

static void take_reply(load_t *load, client_t *c)
{
    ssize_t taken = read(c->fd, c->reply + c->reply_bytes, sizeof c->reply - 1 - c->reply_bytes);
    if (taken <= 0) die("read", taken ? strerror(errno) : "the server closed, or its reply is too long");
    c->reply_bytes += taken;
    c->reply[c->reply_bytes] = 0;
    if (!is_whole(load, c)) return;
    if (load->way == WAY_PAIR)
        produce(load, c);
    else
        end(load, c);
}

static void take_reports(load_t *load)
{
    char woken[64];
    rd_kafka_event_t *event;
    const rd_kafka_message_t *message;
    while (read(load->reports_fd, woken, sizeof woken) > 0) continue;
    while ((event = rd_kafka_queue_poll(load->reports, 0))) {
        while ((message = rd_kafka_event_message_next(event))) {
            if (message->err) die("a record was refused", rd_kafka_err2str(message->err));
            end(load, message->_private);
        }
        rd_kafka_event_destroy(event);
    }
}

static void run(load_t *load, client_t *clients, int count)
{
    struct pollfd polled[CLIENTS_MAX + 1];
    for (int i = 0; i < count; i++) polled[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
    polled[count] = (struct pollfd){.fd = load->reports_fd, .events = POLLIN};
    for (int i = 0; i < count; i++) begin(load, &clients[i]);
    while (load->to_come) {
        if (poll(polled, count + 1, 30000) <= 0) die("poll", "nothing came for 30 seconds");
        for (int i = 0; i < count; i++)
            if (polled[i].revents) take_reply(load, &clients[i]);
        if (polled[count].revents) take_reports(load);
    }
}

/* --- the two ends -------------------------------------------------------------------------------------- */

static int connect_to(int port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char problem[512];
    if (rd_kafka_conf_set(conf, name, value, problem, sizeof problem) != RD_KAFKA_CONF_OK) die(name, problem);
}

static void open_producer(load_t *load, const char *port)
{
    char problem[512], broker[64];
    int ends[2];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    snprintf(broker, sizeof broker, "127.0.0.1:%s", port);
    set(conf, "bootstrap.servers", broker);
    set(conf, "acks", "all");
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "0");
    set(conf, "socket.nagle.disable", "true");
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR);
    load->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem, sizeof problem);
    if (!load->producer) die("the producer", problem);
    if (pipe2(ends, O_NONBLOCK)) die("pipe", strerror(errno));
    load->reports_fd = ends[0];
    load->reports = rd_kafka_queue_get_main(load->producer);
    rd_kafka_queue_io_event_enable(load->reports, ends[1], "r", 1);
}

/* Connects, asks for metadata and a producer id: what a program has done long before its thousandth step. */
static void warm_up(load_t *load, client_t *c)
{
    uint64_t to_send = load->to_send, to_come = load->to_come;
    load->to_send = 0;
    load->to_come = 1;
    c->sent_us = now_us();
    produce(load, c);
    while (load->to_come) {
        struct pollfd polled = {.fd = load->reports_fd, .events = POLLIN};
        if (poll(&polled, 1, 30000) <= 0) die("poll", "no delivery report for 30 seconds");
        take_reports(load);
    }
    load->to_send = to_send;
    load->to_come = to_come;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double cpu_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
           (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

static void print_result(load_t *load, double seconds, double cpu)
{
    qsort(load->latency_us, load->count, sizeof *load->latency_us, compare_u32);
    printf("%.0f %u %u %.3f\n", (double)load->count / seconds, load->latency_us[load->count / 2],
           load->latency_us[load->count * 99 / 100], cpu);
}

int main(int argc, char **argv)
{
    static client_t clients[CLIENTS_MAX];
    static const char *const ways[] = {"once", "multi", "pair"};
    load_t load = {.way = WAY_PAIR + 1, .reports_fd = -1};
    if (argc != 7) die("usage", "outbox_load once|multi|pair REDIS_PORT KAFKA_PORT TOPIC CLIENTS COUNT");
    for (way_t way = WAY_ONCE; way <= WAY_PAIR; way++)
        if (!strcmp(argv[1], ways[way])) load.way = way;
    int count = atoi(argv[5]);
    load.topic = argv[4];
    load.count = load.to_send = load.to_come = strtoull(argv[6], NULL, 10);
    if (load.way > WAY_PAIR || count < 1 || count > CLIENTS_MAX || !load.count) die("usage", "out of range");
    memset(load.value, 'v', VALUE_BYTES);
    load.latency_us = calloc(load.count, sizeof *load.latency_us);
    if (!load.latency_us) die("memory", "none");
    for (int i = 0; i < count; i++) clients[i].fd = connect_to(atoi(argv[2]));
    if (load.way == WAY_PAIR) open_producer(&load, argv[3]);
    if (load.way == WAY_PAIR) warm_up(&load, &clients[0]);
    double cpu = cpu_seconds();
    uint64_t begun = now_us();
    run(&load, clients, count);
    print_result(&load, (double)(now_us() - begun) / 1e6, cpu_seconds() - cpu);
    if (load.producer) rd_kafka_queue_destroy(load.reports);
    if (load.producer) rd_kafka_destroy(load.producer);
    free(load.latency_us);
    return 0;
}
