/* server.c: see server.h. A wing is a row in the table below: its section, its directives, its start and stop; the order of
 * the rows is the order of start, and stop runs backwards. */
#include "server/server.h"

#include "base/buf.h"
#include "base/digest.h"
#include "base/hash.h"
#include "base/slog.h"
#include "bridge/bridge.h"
#include "coord/coord.h"
#include "coord/session.h"
#include "io/io.h"
#include "kafka/kafka.h"
#include "net/net.h"
#include "redis/redis.h"
#include "server/banner.h"
#include "server/called_as.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define EXIT_NOT_DURABLE 70

const char *const server_door_names[DOORS_COUNT] = {"redis", "kafka", "zookeeper", "http"};
const server__wing_t *const server__wings[DOORS_COUNT] = {&server__redis, &server__kafka, &server__zookeeper,
                                                          &server__http};

static const int default_ports[DOORS_COUNT] = {6379, 9092, 2181, 8080};

/* ---- start ------------------------------------------------------------------------------------------------------ */

/* A second signal does not wait for what the first one began. */
static void on_terminate(void *user, bool interrupt)
{
    server_t *server = user;
    if (server__redis_signal(server, interrupt)) return;
    server->terminated = true;
    io_loop_stop(server->loop);
}

static bool door_on(const server_t *server, server_door_t door)
{
    return server->doors[door].enabled &&
           (server->doors[door].port >= 0 || server->doors[door].path || server->doors[door].tls_port > 0);
}

static bool flush_redis(server_t *server);

/* Nobody knows what is on its disk, so nothing may go on: not through the wings, which would ask it. The other reactors end
 * what they are at. */
static void on_tree_failed(void *user, const char *what, int err)
{
    server__reactors_join(user);
    (void)flush_redis(user);
    _exit(EXIT_NOT_DURABLE);
}

static void explain_coord(const server_t *server, const coord_opening_t *opening, int err, char *error)
{
    const char *why = opening->why[0] ? opening->why : err_text(err),
               *colon = opening->why[0] && opening->warning[0] ? "; " : "";
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot open the coordination tree in %.200s: %s%s%s%s", server->coord_dir,
             colon[0] ? opening->warning : "", colon, why,
             err == ERR_DAMAGED
                 ? ". Nothing was changed: `trivet check DIR` tells more, `trivet repair DIR` mends a copy"
                 : "");
}

/* One line, of what was found and what was done to it. */
static void tell_coord(const server_t *server, const coord_opening_t *opening)
{
    coord_figures_t figures;
    if (opening->fresh && !opening->warning[0]) return;
    coord_figures(server->coord, &figures);
    slog(opening->warning[0] ? SLOG_WARN : SLOG_INFO, "coord", "tree recovered",
         "dir=%s snapshot=%" PRIu64 " entries=%" PRIu64 " znodes=%" PRIu64 "%s%s%s", server->coord_dir,
         opening->snapshot_index, opening->entries, (uint64_t)figures.znodes, opening->warning[0] ? " warning=\"" : "",
         opening->warning, opening->warning[0] ? "\"" : "");
}

/* NULL: the log lies with the snapshots. */
static char *tree_log_dir(const server_t *server)
{
    const char *dir = server->tree_dir ? server->tree_dir : server->data_dir;
    if (!server->tree_log_dir || strcmp(server->tree_log_dir, dir) == 0) return NULL;
    return server__path_in(server->tree_log_dir, "coord");
}

/* The tree is there for Kafka and ZooKeeper. */
static int start_coord(server_t *server, char *error)
{
    if (!door_on(server, DOOR_KAFKA) && !door_on(server, DOOR_ZOOKEEPER)) return 0;
    server->coord_dir = server->tree_dir ? server__path_in(server->tree_dir, "coord") : server__path(server, "coord");
    coord_opening_t opening;
    int err = server__refuse_zookeeper(server, error);
    if (err) return err;
    coord_options_t options = server->coord_options;
    char *log_dir = tree_log_dir(server);
    options.dir = server->coord_dir;
    options.log_dir = log_dir;
    options.reserve_bytes = SERVER_RESERVE_BYTES;
    options.fatal = on_tree_failed;
    options.fatal_user = server;
    options.opening = &opening;
    err = coord_open(server->loop, &options, &server->coord);
    mem_free(log_dir);
    if (!err) {
        io_loop_t *loop = server__reactor_of(server, DOOR_KAFKA)->loop;
        server->tree = mirror_new(server->coord, server->loop, loop, kafka_tree_prefixes, KAFKA_TREE_PREFIXES);
        io_loop_drain(loop); /* now the mirror has its first picture */
    }
    if (err)
        explain_coord(server, &opening, err, error);
    else
        tell_coord(server, &opening);
    return err;
}

static void explain_listen(server_door_t door, int port, const char *address, int err, char *error)
{
    if (err == ERR_ADDRINUSE)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX,
                 "%s port %d on %.100s is taken by another process; choose one with --%s.port N (0 = any free one)",
                 server_door_names[door], port, address, server_door_names[door]);
    else
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot open the %s port %d on %.100s: %s", server_door_names[door],
                 port, address, err_text(err));
}

static int start_wings(server_t *server, char *error)
{
    int err = 0;
    for (int door = 0; door < DOORS_COUNT && !err; door++) {
        if (!door_on(server, (server_door_t)door)) continue;
        error[0] = '\0';
        if (server__wings[door]->start) err = server__wings[door]->start(server->doors[door].wing, server, error);
        server->doors[door].started = err == 0;
        if (err && error[0] == '\0')
            snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot start %s: %s", server_door_names[door], err_text(err));
    }
    return err;
}

static int open_path(server_t *server, server_door_t door, char *error)
{
    server__door_t *d = &server->doors[door];
    uint16_t none;
    int err = d->path ? server__wings[door]->listen(d->wing, d->path, 0, &none) : 0;
    if (err)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot open the socket %.200s of %s: %s", d->path,
                 server_door_names[door], err_text(err));
    return err;
}

static int open_address(server__door_t *d, const server__wing_t *wing, const char *address, int port, bool secure,
                        int *ret_port)
{
    uint16_t bound = (uint16_t)port;
    if (strcmp(address, "::*") == 0) address = "::";
    int err = secure ? wing->listen_secure(d->wing, address, (uint16_t)port)
                     : wing->listen(d->wing, address, (uint16_t)port, &bound);
    if (!err) *ret_port = bound;
    return err;
}

/* On every address, with the port that the first one got. An address behind a minus may be missing on this machine. */
static int open_addresses(server_t *server, server_door_t door, bool secure, char *error)
{
    server__door_t *d = &server->doors[door];
    int err = 0, port = secure ? d->tls_port : d->port;
    const char *bind = secure && d->tls_bind ? d->tls_bind : d->bind ? d->bind : server->bind;
    char *addresses = mem_strdup(bind), *rest = addresses;
    for (const char *address; !err && (address = strsep(&rest, " ,"));) {
        bool optional = address[0] == '-';
        if (!address[0] && rest) continue;
        if (optional) address++;
        err = open_address(d, server__wings[door], address, port, secure, &port);
        if (err && err != ERR_ADDRINUSE && err != ERR_ACCESS && optional) err = 0;
        if (err) explain_listen(door, port, address, err, error);
    }
    if (!err && !secure) d->bound_port = port;
    mem_free(addresses);
    return err;
}

static int open_door(server_t *server, server_door_t door, char *error)
{
    server__door_t *d = &server->doors[door];
    int err = open_path(server, door, error);
    if (!err && d->port >= 0) err = open_addresses(server, door, false, error);
    if (!err && d->tls_port > 0) err = open_addresses(server, door, true, error);
    return err;
}

static int open_doors(server_t *server, char *error)
{
    int err = 0;
    for (int door = 0; door < DOORS_COUNT && !err; door++)
        if (door_on(server, (server_door_t)door)) err = open_door(server, (server_door_t)door, error);
    return err;
}

/* What the settings ask of the bridge; it starts once its wings are ready (readiness.c). */
static int check_bridge(server_t *server, char *error)
{
    if (server->bridge && server->outbox_bytes_max) bridge_set_bytes_max(server->bridge, server->outbox_bytes_max);
    if (server->bridge) return 0;
    if (server->outbox_bytes_max) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX,
                 "outbox-bytes-max: there is no outbox while the Redis protocol is off");
        return ERR_STATE;
    }
    if (!bridge_feeds_any(server->feeds)) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "changefeed: there is nothing to feed while the Redis protocol is off");
    return ERR_STATE;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static server_t *server_new(uint64_t started_ns)
{
    server_t *server = mem_zalloc(sizeof(*server));
    server->started_ns = started_ns;
    server->data_dir = mem_strdup("./trivet-data");
    server->bind = mem_strdup("127.0.0.1");
    server->reactors_count = REACTORS_COUNT_MAX;
    server->coord_options = coord_options_default;
    server->feeds = bridge_feeds_new();
    for (int door = 0; door < DOORS_COUNT; door++) {
        server->doors[door] =
            (server__door_t){.port = default_ports[door], .enabled = true, .protected = true, .bound_port = -1};
        server->doors[door].wing = server__wings[door]->init(server);
    }
    return server;
}

/* Chosen by chance, or by Redis' hash-seed, which makes SCAN go the same way in each server that has it. */
static void seed_hashes(const server_t *server)
{
    uint8_t seed[DIGEST_SHA1_BYTES];
    const char *given = options_value(server->options, "redis", "hash-seed");
    if (given && *given)
        digest_sha1(given, strlen(given), seed);
    else
        io_random(server->loop, seed, sizeof(seed));
    hash_seed(seed);
}

static void mark_settings_error(char *error)
{
    char text[OPTIONS_ERROR_CHARS_MAX];
    snprintf(text, sizeof(text), SETTINGS_ERROR "%.*s", (int)(sizeof(text) - sizeof(SETTINGS_ERROR)), error);
    memcpy(error, text, sizeof(text));
}

/* That wings look after; Redis does so by itself. */
static bool has_wings_tls(const server_t *server)
{
    return server->has_secure_tree || (server->kafka && kafka_speaks_tls(server->kafka));
}

int server_start(const options_t *options, uint64_t started_ns, server_ready_cb on_ready, server_t **ret_server,
                 char error[OPTIONS_ERROR_CHARS_MAX])
{
    server_t *server = server_new(started_ns);
    server->on_ready = on_ready;
    server->options = options;
    server__explain_exhaustion(server);
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot start the event loop");
    int err = io_loop_new_uv(&server->loop);
    if (!err) {
        seed_hashes(server);
        err = server__apply_settings(server, options, error);
        if (err && options->called_as) mark_settings_error(error);
    }
    if (!err) err = server__open_data_dir(server, error);
    if (!err) err = server__reactors_make(server, error);
    if (!err) server__limits_start(server);
    if (!err) err = start_coord(server, error);
    if (!err) err = io_on_terminate(server->loop, on_terminate, server);
    if (!err) err = server__tls_start(server, error);
    if (!err) err = start_wings(server, error);
    if (!err) err = check_bridge(server, error);
    if (!err) err = open_doors(server, error);
    if (!err && options->called_as) banner_begun(options->called_as);
    if (!err) server__readiness_watch(server);
    if (!err) err = server__reactors_spawn(server, error);
    if (!err) err = server__readiness_wait(server, error);
    if (err) {
        (void)server_stop(server);
        return err;
    }
    io_loop_update_time(server->loop);
    server->ready_ns = io_hrtime_ns(server->loop);
    server__say_strangers(server);
    server__tls_watch(server, has_wings_tls(server));
    *ret_server = server;
    return 0;
}

void server_run(server_t *server) { io_loop_run(server->loop); }

/* What Redis has acknowledged is written before anything else is tried that might fail. */
static bool flush_redis(server_t *server)
{
    int err = server->redis ? redis_flush(server->redis) : 0;
    if (err)
        slog(SLOG_ERROR, "server", "what Redis acknowledged last could not be written", "error=\"%s\"", err_text(err));
    return err == 0 && !(server->redis && redis_failed(server->redis));
}

/* What wings, tree and bridge still have to tell each other is delivered between the steps. */
bool server_stop(server_t *server)
{
    server__tls_stop(server);
    server__reactors_join(server);
    if (server->bridge) bridge_stop(server->bridge);
    bool well = flush_redis(server);
    for (int door = DOORS_COUNT - 1; door >= 0; door--)
        if (server->doors[door].started) server__wings[door]->stop(server->doors[door].wing);
    if (server->bridge) bridge_free(server->bridge);
    bridge_feeds_free(server->feeds);
    if (server->tree) mirror_detach(server->tree);
    server__reactors_drain(server);
    if (server->coord) coord_close(server->coord);
    server__carriers_join(server);
    server__reactors_drain(server);
    for (int door = 0; door < DOORS_COUNT; door++) server__wings[door]->deinit(server->doors[door].wing);
    mirror_free(server->tree);
    server__reactors_free(server);
    if (server->loop) io_loop_free(server->loop);
    for (int door = 0; door < DOORS_COUNT; door++) {
        mem_free(server->doors[door].bind);
        mem_free(server->doors[door].path);
        mem_free(server->doors[door].tls_bind);
    }
    server__tls_deinit(server);
    mem_free(server->tree_dir);
    mem_free(server->tree_log_dir);
    mem_free(server->coord_dir);
    mem_free(server->data_dir);
    mem_free(server->bind);
    mem_on_exhausted(NULL, NULL);
    mem_free(server);
    return well;
}

/* ---- what it tells of itself ------------------------------------------------------------------------------------ */

int server_port(const server_t *server, server_door_t door) { return server->doors[door].bound_port; }
const char *server_data_dir(const server_t *server) { return server->data_dir; }
const char *server_bind(const server_t *server) { return server->bind; }
size_t server_resident_bytes(void) { return io_resident_bytes(); }

double server_ready_ms(const server_t *server) { return (double)(server->ready_ns - server->started_ns) / 1e6; }

double server_door_ready_ms(const server_t *server, server_door_t door)
{
    return (double)(server->doors[door].ready_ns - server->started_ns) / 1e6;
}

char *server_durability(const server_t *server)
{
    buf_t text = BUF_INIT;
    for (int door = 0; door < DOORS_COUNT; door++) {
        if (!server__wings[door]->durability || !door_on(server, (server_door_t)door)) continue;
        buf_printf(&text, "%s%s", text.len ? "; " : "", server__wings[door]->durability(server->doors[door].wing));
    }
    buf_u8(&text, 0);
    return (char *)text.ptr;
}

typedef struct wing_troubles {
    const char *wing;
    void (*each)(void *user, const char *wing, const char *what, const char *text);
    void *user;
} wing_troubles_t;

static void each_of_wing(void *user, const char *what, const char *text)
{
    const wing_troubles_t *troubles = user;
    troubles->each(troubles->user, troubles->wing, what, text);
}

static void tell_troubles(const health_t *health,
                          void (*each)(void *user, const char *wing, const char *what, const char *text), void *user)
{
    wing_troubles_t troubles = {health->wing, each, user};
    health_each(health, each_of_wing, &troubles);
}

void server__each_trouble(server_t *server, const server__reactor_t *reactor,
                          void (*each)(void *user, const char *wing, const char *what, const char *text), void *user)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        const server__door_t *d = &server->doors[door];
        bool here = server__reactor_of(server, (server_door_t)door) == reactor;
        if (!here || !d->started || !server__wings[door]->health) continue;
        tell_troubles(server__wings[door]->health(d->wing), each, user);
    }
    if (server->coord && reactor == &server->reactors[0]) tell_troubles(coord_health(server->coord), each, user);
}

char *server__path_in(const char *dir, const char *name)
{
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/%s", dir, name);
    buf_u8(&path, 0);
    return (char *)path.ptr;
}

char *server__path(const server_t *server, const char *name) { return server__path_in(server->data_dir, name); }
