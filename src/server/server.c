/* server.c: see server.h. A wing is a row in the table below: its section, its directives, its start and stop; the order of
 * the rows is the order of start, and stop runs backwards. */
#include "server/server.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/slog.h"
#include "bridge/bridge.h"
#include "coord/coord.h"
#include "io/io.h"
#include "net/net.h"
#include "server/server_internal.h"

#include <stdio.h>
#include <stdlib.h>

#define REACTORS_MAX (1 + NET_CARRIERS_MAX)

const char *const server_door_names[DOORS_COUNT] = {"redis", "kafka", "zookeeper", "http"};
static const server__wing_t *const wings[DOORS_COUNT] = {&server__redis, &server__kafka, &server__zookeeper,
                                                         &server__http};
static const int default_ports[DOORS_COUNT] = {6379, 9092, 2181, 8080};

/* ---- settings --------------------------------------------------------------------------------------------------- */

static bool parse_int(const char *text, long min, long max, long *ret_value)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < min || value > max) return false;
    *ret_value = value;
    return true;
}

static int set_log_level(const char *value)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) != 0) continue;
        slog_set_level((slog_level_t)i);
        return 0;
    }
    return ERR_INVALID;
}

static void replace_string(char **kept, const char *value)
{
    mem_free(*kept);
    *kept = mem_strdup(value);
}

static int set_own(server_t *server, const setting_t *s, char *error)
{
    long value;
    if (strcmp(s->name, "data") == 0) {
        replace_string(&server->data_dir, s->value);
    } else if (strcmp(s->name, "bind") == 0) {
        replace_string(&server->bind, s->value);
    } else if (strcmp(s->name, "reactors") == 0) {
        if (!parse_int(s->value, 1, REACTORS_MAX, &value)) {
            snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: reactors is a number from 1 to %d, not '%s'", s->origin,
                     REACTORS_MAX, s->value);
            return ERR_INVALID;
        }
        server->reactors_count = (int)value;
    } else if (strcmp(s->name, "log-level") == 0) {
        if (set_log_level(s->value) == 0) return 0;
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: log-level is debug, info, warn or error, not '%s'", s->origin,
                 s->value);
        return ERR_INVALID;
    } else {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: [trivet] has no '%s'; it has data, bind, reactors, log-level",
                 s->origin, s->name);
        return ERR_NOT_FOUND;
    }
    return 0;
}

/* "port" and "enabled" mean the same for each door. ERR_NOT_FOUND: the directive is the wing's own. */
static int set_door(server_t *server, server_door_t door, const setting_t *s, char *error)
{
    long port;
    if (strcmp(s->name, "port") == 0) {
        if (parse_int(s->value, -1, 65535, &port)) {
            server->doors[door].port = (int)port;
            return 0;
        }
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: %s.port is a port, 0 (any free one) or -1 (off), not '%s'",
                 s->origin, s->section, s->value);
        return ERR_INVALID;
    }
    if (strcmp(s->name, "enabled") != 0) return ERR_NOT_FOUND;
    bool yes = strcmp(s->value, "yes") == 0, no = strcmp(s->value, "no") == 0;
    if (!yes && !no) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%s: %s.enabled is yes or no, not '%s'", s->origin, s->section,
                 s->value);
        return ERR_INVALID;
    }
    server->doors[door].enabled = yes;
    return 0;
}

static int set_wing(server_t *server, server_door_t door, const setting_t *s, char *error)
{
    char why[300] = "";
    const server__wing_t *wing = wings[door];
    int err = ERR_NOT_FOUND;
    if (wing->configure) err = wing->configure(server->doors[door].wing, s->name, s->value, why, sizeof(why));
    if (err == 0) return 0;
    if (why[0])
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s", s->origin, why);
    else
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.100s: [%s] has no directive '%.200s'", s->origin, s->section,
                 s->name);
    return err;
}

static int apply_settings(server_t *server, const options_t *options, char *error)
{
    for (size_t i = 0; i < options->settings_count; i++) {
        const setting_t *s = &options->settings[i];
        int err = ERR_NOT_FOUND;
        if (strcmp(s->section, "trivet") == 0) {
            err = set_own(server, s, error);
        } else {
            for (int door = 0; door < DOORS_COUNT; door++) {
                if (strcmp(s->section, server_door_names[door]) != 0) continue;
                err = set_door(server, (server_door_t)door, s, error);
                if (err == ERR_NOT_FOUND) err = set_wing(server, (server_door_t)door, s, error);
            }
        }
        if (err != 0) return err;
    }
    return 0;
}

/* ---- start ------------------------------------------------------------------------------------------------------ */

static void on_terminate(void *user)
{
    server_t *server = user;
    server->terminated = true;
    io_loop_stop(server->loop);
}

static int open_data_dir(server_t *server, char *error)
{
    char *lock_path = NULL;
    int err = io_mkdir(server->loop, server->data_dir);
    if (err != 0) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot make the data directory %.300s: %s", server->data_dir,
                 err_text(err));
        return err;
    }
    lock_path = server__path(server, "lock");
    err = io_lock_file(server->loop, lock_path);
    mem_free(lock_path);
    if (err == ERR_BUSY)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "another trivet already runs on the data directory %.300s",
                 server->data_dir);
    else if (err != 0)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot lock the data directory %.300s: %s", server->data_dir,
                 err_text(err));
    return err;
}

static int start_coord(server_t *server, char *error)
{
    server->coord_dir = server__path(server, "coord");
    coord_options_t options = server->coord_options;
    options.dir = server->coord_dir;
    int err = coord_open(server->loop, &options, &server->coord);
    if (err != 0)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot open the coordination tree in %.300s: %s", server->coord_dir,
                 err_text(err));
    return err;
}

static void explain_listen(server_t *server, server_door_t door, int err, char *error)
{
    if (err == ERR_ADDRINUSE)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX,
                 "%s port %d on %s is taken by another process; choose one with --%s.port N (0 = any free one)",
                 server_door_names[door], server->doors[door].port, server->bind, server_door_names[door]);
    else
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot open the %s port %d on %s: %s", server_door_names[door],
                 server->doors[door].port, server->bind, err_text(err));
}

static bool door_on(const server_t *server, server_door_t door)
{
    return server->doors[door].enabled && server->doors[door].port >= 0;
}

static int start_wings(server_t *server, char *error)
{
    int err = 0;
    for (int door = 0; door < DOORS_COUNT && err == 0; door++) {
        if (!door_on(server, (server_door_t)door)) continue;
        error[0] = '\0';
        if (wings[door]->start) err = wings[door]->start(server->doors[door].wing, server, error);
        server->doors[door].started = err == 0;
        if (err != 0 && error[0] == '\0')
            snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot start %s: %s", server_door_names[door], err_text(err));
    }
    return err;
}

static bool wings_ready(const server_t *server)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        const server__door_t *d = &server->doors[door];
        if (d->started && wings[door]->ready && !wings[door]->ready(d->wing)) return false;
    }
    return true;
}

static void on_ready_hook(io_hook_t *hook)
{
    server_t *server = CONTAINER_OF(hook, server_t, ready_hook);
    if (wings_ready(server)) io_loop_stop(server->loop);
}

/* Runs the loop until what opening the doors submitted (the broker's registration, say) is committed. */
static int wait_until_ready(server_t *server, char *error)
{
    server->ready_hook = (io_hook_t){.rank = 100, .run = on_ready_hook};
    io_hook_add(server->loop, &server->ready_hook);
    while (!wings_ready(server) && !server->terminated) io_loop_run(server->loop);
    io_hook_remove(&server->ready_hook);
    if (!server->terminated) return 0;
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "stopped by a signal before it was ready");
    return ERR_CLOSED;
}

static int open_doors(server_t *server, char *error)
{
    for (int door = 0; door < DOORS_COUNT; door++) {
        uint16_t bound = 0;
        if (!door_on(server, (server_door_t)door)) continue;
        int err =
            wings[door]->listen(server->doors[door].wing, server->bind, (uint16_t)server->doors[door].port, &bound);
        if (err != 0) {
            explain_listen(server, (server_door_t)door, err, error);
            return err;
        }
        server->doors[door].bound_port = bound;
    }
    return 0;
}

/* ---- reactors --------------------------------------------------------------------------------------------------- */

/* Reactor 0 is this thread; the others carry bytes for it. */
static int start_reactors(server_t *server, char *error)
{
    for (int i = 1; i < server->reactors_count; i++) {
        char name[24];
        io_loop_t *loop = NULL;
        snprintf(name, sizeof(name), "trivet-%d", i);
        int err = io_loop_new_uv(&loop);
        if (err == 0) {
            server->reactors[server->reactors_started++] = loop;
            net_add_carrier(server->net, loop);
            err = io_loop_spawn(loop, name);
        }
        if (err != 0) {
            snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot start reactor %d of %d: %s", i, server->reactors_count,
                     err_text(err));
            return err;
        }
    }
    return 0;
}

static void join_reactors(server_t *server)
{
    for (int i = 0; i < server->reactors_started; i++) io_loop_join(server->reactors[i]);
}

static void free_reactors(server_t *server)
{
    for (int i = 0; i < server->reactors_started; i++) io_loop_free(server->reactors[i]);
}

static server_t *server_new(uint64_t started_ns)
{
    server_t *server = mem_zalloc(sizeof(*server));
    server->started_ns = started_ns;
    server->data_dir = mem_strdup("./trivet-data");
    server->bind = mem_strdup("127.0.0.1");
    server->reactors_count = 1;
    server->coord_options = coord_options_default;
    for (int door = 0; door < DOORS_COUNT; door++) {
        server->doors[door] = (server__door_t){.port = default_ports[door], .enabled = true, .bound_port = -1};
        server->doors[door].wing = wings[door]->init(server);
    }
    return server;
}

int server_start(const options_t *options, uint64_t started_ns, server_t **ret_server,
                 char error[OPTIONS_ERROR_CHARS_MAX])
{
    server_t *server = server_new(started_ns);
    uint8_t seed[16];
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot start the event loop");
    int err = io_loop_new_uv(&server->loop);
    if (err == 0) {
        io_random(server->loop, seed, sizeof(seed));
        hash_seed(seed);
        err = apply_settings(server, options, error);
    }
    if (err == 0) err = open_data_dir(server, error);
    if (err == 0) {
        server->net = net_new(server->loop);
        err = start_reactors(server, error);
    }
    if (err == 0) err = start_coord(server, error);
    if (err == 0) err = io_on_terminate(server->loop, on_terminate, server);
    if (err == 0) err = start_wings(server, error);
    if (err == 0 && server->bridge && (err = bridge_start(server->bridge)) != 0)
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "the append-only file's KAFKA.JOURNAL commands cannot be understood");
    if (err == 0) err = open_doors(server, error);
    if (err == 0) err = wait_until_ready(server, error);
    if (err != 0) {
        server_stop(server);
        return err;
    }
    io_loop_update_time(server->loop);
    server->ready_ns = io_hrtime_ns(server->loop);
    *ret_server = server;
    return 0;
}

void server_run(server_t *server) { io_loop_run(server->loop); }

void server_stop(server_t *server)
{
    if (server->bridge) bridge_stop(server->bridge);
    for (int door = DOORS_COUNT - 1; door >= 0; door--)
        if (server->doors[door].started) wings[door]->stop(server->doors[door].wing);
    if (server->bridge) bridge_free(server->bridge);
    if (server->coord) coord_close(server->coord);
    join_reactors(server);
    if (server->net) net_free(server->net);
    free_reactors(server);
    for (int door = 0; door < DOORS_COUNT; door++) wings[door]->deinit(server->doors[door].wing);
    if (server->loop) io_loop_free(server->loop);
    mem_free(server->coord_dir);
    mem_free(server->data_dir);
    mem_free(server->bind);
    mem_free(server);
}

/* ---- what it tells of itself ------------------------------------------------------------------------------------ */

int server_port(const server_t *server, server_door_t door) { return server->doors[door].bound_port; }
const char *server_data_dir(const server_t *server) { return server->data_dir; }
const char *server_bind(const server_t *server) { return server->bind; }
size_t server_resident_bytes(void) { return io_resident_bytes(); }

double server_ready_ms(const server_t *server) { return (double)(server->ready_ns - server->started_ns) / 1e6; }

char *server_durability(const server_t *server)
{
    buf_t text = BUF_INIT;
    for (int door = 0; door < DOORS_COUNT; door++) {
        if (!wings[door]->durability || !door_on(server, (server_door_t)door)) continue;
        buf_printf(&text, "%s%s", text.len ? "; " : "", wings[door]->durability(server->doors[door].wing));
    }
    buf_u8(&text, 0);
    return (char *)text.ptr;
}

void server__metrics(const server_t *server, buf_t *out)
{
    for (int door = 0; door < DOORS_COUNT; door++)
        if (wings[door]->metrics && server->doors[door].started) wings[door]->metrics(server->doors[door].wing, out);
}

char *server__path(const server_t *server, const char *name)
{
    buf_t path = BUF_INIT;
    buf_printf(&path, "%s/%s", server->data_dir, name);
    buf_u8(&path, 0);
    return (char *)path.ptr;
}
