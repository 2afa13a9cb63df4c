/* reactors.c: the threads. Control is the main one's loop: the tree, ZooKeeper, HTTP, signals. Redis and Kafka run on reactors
 * of their own, or with `reactors` below that on an earlier one; carriers read and write for all.
 *
 * Until server__reactors_spawn all is made on the main thread, and after server__reactors_join all is its again. */
#include "server/server_internal.h"

#include <stdio.h>

/* The last one of fewer takes what the others would. */
static const char *const names[REACTORS_COUNT_MAX][REACTORS_COUNT_MAX] = {
    {"control"}, {"control", "data"}, {"control", "redis", "kafka"}};
static const int places[DOORS_COUNT] = {[DOOR_REDIS] = 1, [DOOR_KAFKA] = 2}; /* all others: control */

server__reactor_t *server__reactor_of(server_t *server, server_door_t door)
{
    return &server->reactors[MIN(places[door], server->reactors_count - 1)];
}

static int fail(char *error, const char *what, const char *name, int err)
{
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot start the %s %s: %s", what, name, err_text(err));
    return err;
}

static int make_reactor(server_t *server, int index, char *error)
{
    server__reactor_t *reactor = &server->reactors[index];
    const char *name = names[server->reactors_count - 1][index];
    int err = index == 0 ? 0 : io_loop_new_uv(&reactor->loop);
    if (err) return fail(error, "reactor", name, err);
    reactor->name = name;
    reactor->net = net_new(reactor->loop);
    server->reactors_made++;
    server__watchdog_start(&reactor->watchdog, reactor->loop, reactor->name);
    return 0;
}

static int make_carrier(server_t *server, int index, char *error)
{
    server__carrier_t *carrier = &server->carriers[index];
    snprintf(carrier->name, sizeof(carrier->name), "carrier-%d", index + 1);
    int err = io_loop_new_uv(&carrier->loop);
    if (err) return fail(error, "carrier", carrier->name, err);
    server->carriers_made++;
    server__watchdog_start(&carrier->watchdog, carrier->loop, carrier->name);
    for (int i = 0; i < server->reactors_made; i++) net_add_carrier(server->reactors[i].net, carrier->loop);
    return 0;
}

int server__reactors_make(server_t *server, char *error)
{
    int err = 0;
    server->reactors[0].loop = server->loop;
    for (int i = 0; i < server->reactors_count && !err; i++) err = make_reactor(server, i, error);
    for (int i = 0; i < server->carriers_count && !err; i++) err = make_carrier(server, i, error);
    return err;
}

static int spawn(io_loop_t *loop, const char *name, char *error)
{
    int err = io_loop_spawn(loop, name);
    return err ? fail(error, "thread", name, err) : 0;
}

int server__reactors_spawn(server_t *server, char *error)
{
    int err = 0;
    for (int i = 0; i < server->carriers_made && !err; i++) {
        err = spawn(server->carriers[i].loop, server->carriers[i].name, error);
        server->carriers[i].spawned = !err;
    }
    for (int i = 1; i < server->reactors_made && !err; i++) {
        err = spawn(server->reactors[i].loop, server->reactors[i].name, error);
        server->reactors[i].spawned = !err;
    }
    return err;
}

/* Wings stop after it, on this thread: what they tell each other from then on, io_loop_drain delivers. Of what clients ask, that
 * carriers go on reading, nothing must run any more: it would meet wings that are gone. */
void server__reactors_join(server_t *server)
{
    for (int i = 1; i < server->reactors_made; i++)
        if (server->reactors[i].spawned) io_loop_join(server->reactors[i].loop);
    for (int i = 0; i < server->reactors_made; i++)
        if (server->reactors[i].net) net_quiet(server->reactors[i].net);
}

void server__reactors_drain(server_t *server)
{
    for (int i = server->reactors_made - 1; i >= 0; i--) io_loop_drain(server->reactors[i].loop);
}

void server__carriers_join(server_t *server)
{
    for (int i = 0; i < server->carriers_made; i++)
        if (server->carriers[i].spawned) io_loop_join(server->carriers[i].loop);
    for (int i = server->reactors_made - 1; i >= 0; i--) net_free(server->reactors[i].net);
    for (int i = 0; i < server->carriers_made; i++) io_loop_free(server->carriers[i].loop);
}

void server__reactors_free(server_t *server)
{
    for (int i = 1; i < server->reactors_made; i++) io_loop_free(server->reactors[i].loop);
}
