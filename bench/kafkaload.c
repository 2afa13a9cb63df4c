/*
 * kafkaload: a load of Produce requests that costs little itself, so that the server is what is measured.
 *
 *   kafkaload HOST PORT TOPIC CONNECTIONS IN_FLIGHT COUNT RECORDS RECORD_BYTES
 *
 * Sends one batch again and again: RECORDS records of RECORD_BYTES, not compressed, with acks=all and without an idempotent producer
 * (Produce version 7, partition 0). Keeps IN_FLIGHT requests outstanding on each connection until COUNT were answered. Prints
 * "<MB per second> <p50 microseconds> <p99 microseconds>". Any error ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 64
#define IN_FLIGHT_MAX   64
#define FRAME_BYTES_MAX (1 << 20)
#define HEAD_BYTES_MAX  512 /* of a request or a batch without its records, and of a record without its value */
#define REPLY_BYTES_MAX 1024
#define BATCH_HEAD      61
#define CRC_AT          17 /* in a batch; what it covers follows */

typedef struct connection {
    int fd;
    uint32_t outstanding, oldest; /* the second: in sent_us, of the next reply's request */
    uint64_t sent_us[IN_FLIGHT_MAX];
    uint8_t in[REPLY_BYTES_MAX];
    size_t in_bytes;
} connection_t;

typedef struct load {
    uint8_t *frame;
    size_t frame_bytes;
    uint32_t in_flight;
    uint64_t to_send, to_come;
    uint32_t *latency_us;
    uint64_t latencies;
} load_t;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "kafkaload: %s: %s\n", what, why);
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* --- the request ---------------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, int bytes, int64_t value)
{
    for (int i = bytes - 1; i >= 0; i--, value >>= 8) at[i] = (uint8_t)value;
    return at + bytes;
}

static uint8_t *put_string(uint8_t *at, const char *text)
{
    size_t chars = strlen(text);
    at = put(at, 2, (int64_t)chars);
    memcpy(at, text, chars);
    return at + chars;
}

static uint8_t *put_varint(uint8_t *at, int64_t value)
{
    uint64_t left = (uint64_t)value << 1; /* none is negative but the length of a null */
    if (value < 0) left = 1;
    for (; left >= 0x80; left >>= 7) *at++ = (uint8_t)(left | 0x80);
    *at++ = (uint8_t)left;
    return at;
}

static size_t varint_bytes(int64_t value)
{
    uint8_t scratch[16];
    return (size_t)(put_varint(scratch, value) - scratch);
}

static uint32_t crc32c(const uint8_t *data, size_t bytes)
{
    uint32_t crc = ~0u;
    for (size_t i = 0; i < bytes; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static uint8_t *put_record(uint8_t *at, int number, int value_bytes)
{
    size_t body = 1 + 1 + varint_bytes(number) + 1 + varint_bytes(value_bytes) + (size_t)value_bytes + 1;
    at = put_varint(at, (int64_t)body);
    *at++ = 0;                   /* attributes */
    *at++ = 0;                   /* time, after the batch's */
    at = put_varint(at, number); /* offset, after the batch's */
    at = put_varint(at, -1);     /* no key */
    at = put_varint(at, value_bytes);
    for (int i = 0; i < value_bytes; i++) *at++ = (uint8_t) "0123456789abcdef"[rand() & 15];
    *at++ = 0; /* no headers */
    return at;
}

static uint8_t *put_batch(uint8_t *batch, int records, int record_bytes)
{
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    uint8_t *at = batch + BATCH_HEAD;
    for (int i = 0; i < records; i++) at = put_record(at, i, record_bytes);
    uint8_t *end = at;
    at = put(batch, 8, 0);             /* base offset */
    at = put(at, 4, end - batch - 12); /* bytes behind this */
    at = put(put(at, 4, -1), 1, 2);    /* leader epoch, magic */
    at = put(put(at, 4, 0), 2, 0);     /* CRC, attributes */
    at = put(at, 4, records - 1);      /* last offset */
    at = put(put(at, 8, now_ms), 8, now_ms);
    at = put(put(put(at, 8, -1), 2, -1), 4, -1); /* no producer */
    put(at, 4, records);
    put(batch + CRC_AT, 4, crc32c(batch + CRC_AT + 4, (size_t)(end - batch) - CRC_AT - 4));
    return end;
}

static void make_frame(load_t *load, const char *topic, int records, int record_bytes)
{
    size_t room = (size_t)records * ((size_t)record_bytes + HEAD_BYTES_MAX) + 2 * HEAD_BYTES_MAX;
    uint8_t *frame = load->frame = malloc(room);
    if (!frame || strlen(topic) > 249) die("a request", "too large");
    uint8_t *at = put(put(put(frame + 4, 2, 0), 2, 7), 4, 0); /* Produce, version 7, correlation */
    at = put(put_string(at, "kafkaload"), 2, -1);             /* no transaction */
    at = put(put(at, 2, -1), 4, 30000);                       /* acks, timeout */
    at = put_string(put(at, 4, 1), topic);
    at = put(put(at, 4, 1), 4, 0); /* one partition, the first */
    uint8_t *end = put_batch(at + 4, records, record_bytes);
    put(at, 4, end - at - 4);
    load->frame_bytes = (size_t)(end - frame);
    put(frame, 4, (int64_t)load->frame_bytes - 4);
    if (load->frame_bytes > FRAME_BYTES_MAX) die("a request", "too large");
}

/* --- sending and receiving ------------------------------------------------------------------------------- */

static void write_all(int fd, const uint8_t *data, size_t bytes)
{
    while (bytes) {
        ssize_t written = write(fd, data, bytes);
        if (written < 0) die("write", strerror(errno));
        data += written;
        bytes -= (size_t)written;
    }
}

static void fill(load_t *load, connection_t *c)
{
    for (; c->outstanding < load->in_flight && load->to_send; load->to_send--) {
        c->sent_us[(c->oldest + c->outstanding++) % IN_FLIGHT_MAX] = now_us();
        write_all(c->fd, load->frame, load->frame_bytes);
    }
}

/* A reply is: correlation, one topic with its name, one partition with its number and its error ... */
static void take_reply(load_t *load, connection_t *c, const uint8_t *reply)
{
    uint16_t name_chars, error;
    memcpy(&name_chars, reply + 8, sizeof name_chars);
    memcpy(&error, reply + 10 + ntohs(name_chars) + 8, sizeof error);
    if (error) die("a batch was refused", "the server's log may say why");
    load->latency_us[load->latencies++] = (uint32_t)(now_us() - c->sent_us[c->oldest]);
    c->oldest = (c->oldest + 1) % IN_FLIGHT_MAX;
    c->outstanding--;
    load->to_come--;
}

static void take_replies(load_t *load, connection_t *c)
{
    size_t at = 0;
    ssize_t taken = read(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes);
    if (taken <= 0) die("read", taken ? strerror(errno) : "the server closed");
    c->in_bytes += (size_t)taken;
    while (c->in_bytes - at >= 4) {
        uint32_t size;
        memcpy(&size, c->in + at, sizeof size);
        size = ntohl(size);
        if (size < 32 || size > sizeof c->in - 4) die("a reply", "of an impossible size");
        if (c->in_bytes - at < 4 + size) break;
        take_reply(load, c, c->in + at + 4);
        at += 4 + size;
    }
    memmove(c->in, c->in + at, c->in_bytes - at);
    c->in_bytes -= at;
}

static void run(load_t *load, connection_t *connections, int count)
{
    struct pollfd polled[CONNECTIONS_MAX];
    for (int i = 0; i < count; i++) {
        polled[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        fill(load, &connections[i]);
    }
    while (load->to_come) {
        if (poll(polled, (nfds_t)count, 30000) <= 0) die("poll", "no reply for 30 seconds");
        for (int i = 0; i < count; i++) {
            if (!polled[i].revents) continue;
            take_replies(load, &connections[i]);
            fill(load, &connections[i]);
        }
    }
}

static int connect_to(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die(host, "not an IPv4 address");
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    static connection_t connections[CONNECTIONS_MAX];
    if (argc != 9) die("usage", "kafkaload HOST PORT TOPIC CONNECTIONS IN_FLIGHT COUNT RECORDS RECORD_BYTES");
    int count = atoi(argv[4]), records = atoi(argv[7]), record_bytes = atoi(argv[8]);
    load_t load = {.in_flight = (uint32_t)atoi(argv[5]), .to_send = strtoull(argv[6], NULL, 10)};
    load.to_come = load.to_send;
    if (count < 1 || count > CONNECTIONS_MAX || load.in_flight < 1 || load.in_flight > IN_FLIGHT_MAX || !load.to_send ||
        records < 1 || record_bytes < 1 || (int64_t)records * record_bytes > FRAME_BYTES_MAX)
        die("usage", "a number out of range");
    make_frame(&load, argv[3], records, record_bytes);
    load.latency_us = malloc(load.to_send * sizeof *load.latency_us);
    if (!load.latency_us) die("memory", "none");
    for (int i = 0; i < count; i++) connections[i].fd = connect_to(argv[1], atoi(argv[2]));
    uint64_t begun = now_us();
    run(&load, connections, count);
    double seconds = (double)(now_us() - begun) / 1e6;
    qsort(load.latency_us, load.latencies, sizeof *load.latency_us, compare_u32);
    printf("%.1f %u %u\n", (double)load.latencies * records * record_bytes / 1e6 / seconds,
           load.latency_us[load.latencies / 2], load.latency_us[load.latencies * 99 / 100]);
    return 0;
}
