/*
 * zkload: a ZooKeeper load that costs little itself, so that the server is what is measured.
 *
 *   zkload HOST PORT create|set|get CONNECTIONS IN_FLIGHT COUNT DATA_BYTES
 *
 * Opens the connections, makes a node for each, and keeps IN_FLIGHT requests outstanding on every one until COUNT
 * replies have come. Prints "<operations per second> <p50 microseconds> <p99 microseconds>". Any error ends it.
 * The requests of a connection are answered in order, so a ring of send times is all the bookkeeping there is.
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

#define CONNECTIONS_MAX 256
#define IN_FLIGHT_MAX   4096
#define DATA_BYTES_MAX  65536
#define FRAME_BYTES_MAX (DATA_BYTES_MAX + 256)
#define IN_BYTES_MAX    (1 << 18)

enum opcode { OP_CREATE = 1, OP_GET = 4, OP_SET = 5 };

typedef struct {
    int fd;
    int number;
    int32_t xid;
    uint32_t outstanding;
    uint32_t oldest; /* index into sent_us of the next reply's request */
    uint64_t sent_us[IN_FLIGHT_MAX];
    size_t in_bytes;
    uint8_t in[IN_BYTES_MAX];
} connection_t;

typedef struct {
    enum opcode op;
    uint32_t in_flight;
    uint64_t to_send;
    uint64_t to_come;
    size_t data_bytes;
    uint32_t *latency_us;
    uint64_t latencies;
    uint64_t created; /* gives every created node its own name */
} load_t;

static void die(const char *what)
{
    fprintf(stderr, "zkload: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
    exit(1);
}

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint8_t *put_i32(uint8_t *at, int32_t value)
{
    uint32_t wire = htonl((uint32_t)value);
    memcpy(at, &wire, 4);
    return at + 4;
}

static int32_t get_i32(const uint8_t *at)
{
    uint32_t wire;
    memcpy(&wire, at, 4);
    return (int32_t)ntohl(wire);
}

static uint8_t *put_bytes(uint8_t *at, const void *data, size_t count)
{
    at = put_i32(at, (int32_t)count);
    memcpy(at, data, count);
    return at + count;
}

static void write_all(int fd, const uint8_t *data, size_t count)
{
    while (count > 0) {
        ssize_t written = write(fd, data, count);
        if (written < 0) {
            die("write");
        }
        data += written;
        count -= (size_t)written;
    }
}

static void read_all(int fd, uint8_t *data, size_t count)
{
    while (count > 0) {
        ssize_t taken = read(fd, data, count);
        if (taken <= 0) {
            die("read");
        }
        data += taken;
        count -= (size_t)taken;
    }
}

/* Writes one framed request into `frame` and returns its size. */
static size_t make_request(uint8_t *frame, int32_t xid, enum opcode op, const char *path, size_t data_bytes)
{
    static const uint8_t data[DATA_BYTES_MAX];
    uint8_t *at = put_i32(put_i32(frame + 4, xid), (int32_t)op);
    at = put_bytes(at, path, strlen(path));
    if (op == OP_GET) {
        *at++ = 0; /* no watch */
    } else {
        at = put_bytes(at, data, data_bytes);
    }
    if (op == OP_CREATE) {
        at = put_i32(put_i32(at, 1), 31); /* one ACL: all rights */
        at = put_bytes(at, "world", 5);
        at = put_bytes(at, "anyone", 6);
        at = put_i32(at, 0); /* persistent */
    }
    if (op == OP_SET) {
        at = put_i32(at, -1); /* any version */
    }
    put_i32(frame, (int32_t)(at - frame - 4));
    return (size_t)(at - frame);
}

static void connect_session(connection_t *c, const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    uint8_t frame[64] = {0}, reply[64];
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) {
        die("not an IPv4 address");
    }
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        die("connect");
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* protocol 0, last zxid 0, timeout, session 0, password of 16 zeros, not read-only */
    uint8_t *at = put_i32(frame, 45);
    at = put_i32(at + 4 + 8, 30000);
    put_i32(at + 8, 16);
    write_all(c->fd, frame, 49);
    read_all(c->fd, reply, 4);
    int32_t size = get_i32(reply);
    if (size < 36 || size > 60) {
        die("handshake");
    }
    read_all(c->fd, reply, (size_t)size);
    if (get_i32(reply + 4) <= 0) {
        die("no session given");
    }
}

/* A node for the connection's sets and gets; that it may exist already is fine. */
static void create_node(connection_t *c, size_t data_bytes)
{
    static uint8_t frame[FRAME_BYTES_MAX];
    char path[64];
    uint8_t reply[256];
    snprintf(path, sizeof path, "/load-%d", c->number);
    write_all(c->fd, frame, make_request(frame, ++c->xid, OP_CREATE, path, data_bytes));
    read_all(c->fd, reply, 4);
    int32_t size = get_i32(reply);
    if (size < 16 || size > (int32_t)sizeof reply) {
        die("reply to create");
    }
    read_all(c->fd, reply, (size_t)size);
    int32_t err = get_i32(reply + 12);
    if (err != 0 && err != -110) {
        die("create was refused");
    }
}

/* Sends until the connection has its share in flight. All of it goes out in one write. */
static void fill(load_t *load, connection_t *c)
{
    static uint8_t out[IN_BYTES_MAX];
    size_t bytes = 0;
    uint64_t now = now_us();
    while (c->outstanding < load->in_flight && load->to_send > 0 && bytes + FRAME_BYTES_MAX < sizeof out) {
        char path[96];
        if (load->op == OP_CREATE) {
            snprintf(path, sizeof path, "/load-%d/%d-%llu", c->number, (int)getpid(),
                     (unsigned long long)load->created++);
        } else {
            snprintf(path, sizeof path, "/load-%d", c->number);
        }
        bytes += make_request(out + bytes, ++c->xid, load->op, path, load->data_bytes);
        c->sent_us[(c->oldest + c->outstanding) % IN_FLIGHT_MAX] = now;
        c->outstanding++;
        load->to_send--;
    }
    if (bytes > 0) {
        write_all(c->fd, out, bytes);
    }
}

static void take_reply(load_t *load, connection_t *c, const uint8_t *body, uint64_t now)
{
    errno = 0;
    if (get_i32(body + 12) != 0) {
        fprintf(stderr, "zkload: error %d\n", get_i32(body + 12));
        die("a request was refused");
    }
    load->latency_us[load->latencies++] = (uint32_t)(now - c->sent_us[c->oldest]);
    c->oldest = (c->oldest + 1) % IN_FLIGHT_MAX;
    c->outstanding--;
    load->to_come--;
}

static void take_replies(load_t *load, connection_t *c)
{
    ssize_t taken = read(c->fd, c->in + c->in_bytes, sizeof c->in - c->in_bytes);
    if (taken <= 0) {
        die("the server closed");
    }
    c->in_bytes += (size_t)taken;
    size_t at = 0;
    uint64_t now = now_us();
    while (c->in_bytes - at >= 4) {
        int32_t size = get_i32(c->in + at);
        if (size < 16 || size > (int32_t)sizeof c->in - 4) {
            die("a frame of an impossible size");
        }
        if (c->in_bytes - at < 4 + (size_t)size) {
            break;
        }
        take_reply(load, c, c->in + at + 4, now);
        at += 4 + (size_t)size;
    }
    memmove(c->in, c->in + at, c->in_bytes - at);
    c->in_bytes -= at;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void run(load_t *load, connection_t *connections, int count)
{
    struct pollfd polled[CONNECTIONS_MAX];
    for (int i = 0; i < count; i++) {
        polled[i] = (struct pollfd){.fd = connections[i].fd, .events = POLLIN};
        fill(load, &connections[i]);
    }
    while (load->to_come > 0) {
        if (poll(polled, (nfds_t)count, 10000) <= 0) {
            die("no reply for ten seconds");
        }
        for (int i = 0; i < count; i++) {
            if (polled[i].revents != 0) {
                take_replies(load, &connections[i]);
                fill(load, &connections[i]);
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: zkload HOST PORT create|set|get CONNECTIONS IN_FLIGHT COUNT DATA_BYTES\n");
        return 2;
    }
    int count = atoi(argv[4]);
    load_t load = {
        .op = strcmp(argv[3], "create") == 0 ? OP_CREATE
              : strcmp(argv[3], "set") == 0  ? OP_SET
                                             : OP_GET,
        .in_flight = (uint32_t)atoi(argv[5]),
        .to_send = strtoull(argv[6], NULL, 10),
        .data_bytes = strtoull(argv[7], NULL, 10),
    };
    load.to_come = load.to_send;
    if (count < 1 || count > CONNECTIONS_MAX || load.in_flight < 1 || load.in_flight > IN_FLIGHT_MAX ||
        load.to_send == 0 || load.data_bytes > DATA_BYTES_MAX) {
        fprintf(stderr, "zkload: a number out of range\n");
        return 2;
    }
    connection_t *connections = calloc((size_t)count, sizeof *connections);
    load.latency_us = malloc(load.to_send * sizeof *load.latency_us);
    if (connections == NULL || load.latency_us == NULL) {
        die("memory");
    }
    for (int i = 0; i < count; i++) {
        connections[i].number = i;
        connect_session(&connections[i], argv[1], atoi(argv[2]));
        create_node(&connections[i], load.data_bytes);
    }
    uint64_t begun = now_us();
    run(&load, connections, count);
    double seconds = (double)(now_us() - begun) / 1e6;
    qsort(load.latency_us, load.latencies, sizeof *load.latency_us, compare_u32);
    printf("%.0f %u %u\n", (double)load.latencies / seconds, load.latency_us[load.latencies / 2],
           load.latency_us[load.latencies * 99 / 100]);
    free(load.latency_us);
    free(connections);
    return 0;
}
