/* banner.c: see banner.h. A client is named only where it is installed. */
#include "server/banner.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PATH_CHARS_MAX 4096

/* A command line to try: the client, where it may be beside $PATH, and what follows its name (with the port in it). */
typedef struct try_line {
    server_door_t door;
    const char *client, *elsewhere;
    const char *before, *after; /* printf formats of the address and the port */
} try_line_t;

static const try_line_t try_lines[] = {
    {DOOR_REDIS, "redis-cli", NULL, "", "-h %s -p %d set greeting hello"},
    {DOOR_REDIS, "valkey-cli", NULL, "", "-h %s -p %d set greeting hello"},
    {DOOR_KAFKA, "kcat", NULL, "echo hello | ", "-b %s:%d -t greetings -P"},
    {DOOR_ZOOKEEPER, "zkCli.sh", "/usr/share/zookeeper/bin", "", "-server %s:%d ls /brokers/ids"},
    {DOOR_HTTP, "curl", NULL, "", "http://%s:%d/readyz"},
};

/* Of the directories of $PATH, apart by colons. */
static bool in_path(const char *client)
{
    char file[PATH_CHARS_MAX];
    const char *path = getenv("PATH");
    for (const char *at = path ? path : ""; *at; at += *at == ':') {
        size_t len = strcspn(at, ":");
        int n = snprintf(file, sizeof(file), "%.*s/%s", (int)MIN(len, sizeof(file)), at, client);
        if (n > 0 && (size_t)n < sizeof(file) && access(file, X_OK) == 0) return true;
        at += len;
    }
    return false;
}

/* How to call the client; false where it is not installed. */
static bool find_client(const try_line_t *line, char out[PATH_CHARS_MAX])
{
    snprintf(out, PATH_CHARS_MAX, "%s", line->client);
    if (in_path(line->client)) return true;
    if (!line->elsewhere) return false;
    snprintf(out, PATH_CHARS_MAX, "%s/%s", line->elsewhere, line->client);
    return access(out, X_OK) == 0;
}

/* An address to connect to: "every address" is not one. */
static void address_to_try(const server_t *server, char out[128])
{
    snprintf(out, 128, "%s", server_bind(server));
    out[strcspn(out, " ,")] = '\0';
    if (strcmp(out, "0.0.0.0") == 0 || strcmp(out, "*") == 0 || out[0] == '\0') snprintf(out, 128, "127.0.0.1");
    if (strcmp(out, "::") == 0 || strcmp(out, "::*") == 0) snprintf(out, 128, "::1");
}

/* One line a door, with the first client that is there. Returns whether each door has one. */
static bool print_try_lines(const server_t *server, const char *address)
{
    bool shown[DOORS_COUNT] = {false}, all = true;
    char client[PATH_CHARS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(try_lines); i++) {
        const try_line_t *line = &try_lines[i];
        int port = server_port(server, line->door);
        if (port < 0 || shown[line->door] || !find_client(line, client)) continue;
        printf("    %s%s ", line->before, client);
        printf(line->after, address, port);
        printf("\n");
        shown[line->door] = true;
    }
    for (int door = 0; door < DOOR_HTTP; door++)
        all = all && (shown[door] || server_port(server, (server_door_t)door) < 0);
    return all;
}

/* With the authority that --tls auto made: one line a protocol, whatever is installed. */
static void print_tls_lines(const server_t *server, const char *address)
{
    const char *ca = server_tls_authority(server);
    int port;
    if (!ca) return;
    printf("\n  With TLS, at the same ports:\n");
    if ((port = server_port(server, DOOR_REDIS)) >= 0)
        printf("    redis-cli --tls --cacert %s -h %s -p %d ping\n", ca, address, port);
    if ((port = server_port(server, DOOR_KAFKA)) >= 0)
        printf("    kcat -X security.protocol=ssl -X ssl.ca.location=%s -b %s:%d -L\n", ca, address, port);
    if ((port = server_port(server, DOOR_HTTP)) >= 0)
        printf("    curl --cacert %s https://%s:%d/readyz\n", ca, address, port);
}

static void print_next_steps(const server_t *server)
{
    char address[128];
    address_to_try(server, address);
    printf("\n  Try:\n");
    if (!print_try_lines(server, address))
        printf("    what is missing of redis-cli, kcat and zkCli.sh: make tools, or apt-get install redis-tools kcat "
               "zookeeper\n");
    print_tls_lines(server, address);
    printf("\n");
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

static void print_strangers(const server_t *server)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        const char *name = server_door_names[door];
        if (server_refuses_strangers(server, (server_door_t)door))
            printf("  %s serves this machine alone until there are users; --%s.protected-mode no lets everybody in\n",
                   name, name);
        if (server_lets_strangers_in(server, (server_door_t)door))
            printf("  %s serves everybody who reaches its port, without a password\n", name);
    }
}

void banner_print(const server_t *server)
{
    char *durability = server_durability(server);
    printf("\n  Trivet %s: ready in %.1f ms, %.1f MB resident\n", TRIVET_VERSION, server_ready_ms(server),
           (double)server_resident_bytes() / 1e6);
    print_ports(server);
    printf(" on %s\n  data %s\n  durability %s\n", server_bind(server), server_data_dir(server), durability);
    print_strangers(server);
    print_next_steps(server);
    fflush(stdout);
    mem_free(durability);
}

void banner_begun(const char *called_as)
{
    printf("Trivet %s as %s, PID: %d\nServer initialized\n", TRIVET_VERSION, called_as, (int)getpid());
    fflush(stdout);
}
