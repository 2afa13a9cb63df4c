/* main.c: the command `trivet`: options in, one banner or one JSON line out, then the loop. */
#include "base/slog.h"
#include "server/called_as.h"
#include "server/server.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static uint64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void print_ready_json(const server_t *server)
{
    json_t *line = json_object();
    json_object_set_new(line, "pid", json_integer(getpid()));
    for (int door = 0; door < DOORS_COUNT; door++)
        json_object_set_new(line, server_door_names[door], json_integer(server_port(server, (server_door_t)door)));
    json_object_set_new(line, "data", json_string(server_data_dir(server)));
    json_object_set_new(line, "ready_ms", json_real(server_ready_ms(server)));
    char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(4));
    printf("%s\n", text);
    fflush(stdout);
    free(text);
    json_decref(line);
}

static void print_ports(const server_t *server)
{
    static const char *const titles[DOORS_COUNT] = {"Redis", "Kafka", "ZooKeeper", "HTTP"};
    for (int door = 0; door < DOORS_COUNT; door++) {
        int port = server_port(server, (server_door_t)door);
        if (port < 0)
            printf("%s%s off", door ? " · " : "  ", titles[door]);
        else
            printf("%s%s %d", door ? " · " : "  ", titles[door], port);
    }
}

static void print_next_steps(const server_t *server)
{
    int redis = server_port(server, DOOR_REDIS), kafka = server_port(server, DOOR_KAFKA),
        zookeeper = server_port(server, DOOR_ZOOKEEPER);
    printf("\n  Try:\n");
    if (redis >= 0) printf("    redis-cli -p %d set greeting hello\n", redis);
    if (kafka >= 0) printf("    echo hello | kcat -b %s:%d -t greetings -P\n", server_bind(server), kafka);
    if (zookeeper >= 0) printf("    zkCli.sh -server %s:%d ls /brokers/ids\n", server_bind(server), zookeeper);
    printf("\n");
}

static void print_banner(const server_t *server)
{
    char *durability = server_durability(server);
    printf("\n  Trivet %s: ready in %.1f ms, %.1f MB resident\n", TRIVET_VERSION, server_ready_ms(server),
           (double)server_resident_bytes() / 1e6);
    print_ports(server);
    printf(" on %s\n  data %s\n  durability %s\n", server_bind(server), server_data_dir(server), durability);
    print_next_steps(server);
    fflush(stdout);
    mem_free(durability);
}

/* What tools that start an original wait for. */
static void print_called_as(const char *name)
{
    printf("Trivet %s as %s, PID: %d\nReady to accept connections\n", TRIVET_VERSION, name, getpid());
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uint64_t started_ns = monotonic_ns();
    char error[OPTIONS_ERROR_CHARS_MAX];
    options_t options;
    server_t *server = NULL;
    const called_as_t *as = called_as(argv[0]);
    int err = as ? called_as_parse(as, argc, argv, &options, error) : options_parse(argc, argv, &options, error);
    if (err != 0) {
        fprintf(stderr, "trivet: %s\n", error);
        return 2;
    }
    int status = 0;
    if (options.show_help) {
        fputs(options.help, stdout);
    } else if (options.show_version) {
        printf("trivet %s\n", TRIVET_VERSION);
    } else if (server_start(&options, started_ns, &server, error) != 0) {
        fprintf(stderr, "trivet: %s\n", error);
        status = 1;
    } else {
        if (options.ready_json)
            print_ready_json(server);
        else if (options.called_as)
            print_called_as(options.called_as);
        else
            print_banner(server);
        server_run(server);
        server_stop(server);
    }
    options_deinit(&options);
    return status;
}
