/* server.h: the process: its reactors, the tree, three wings, the bridge and HTTP, wired together. */
#ifndef TRIVET_SERVER_SERVER_H
#define TRIVET_SERVER_SERVER_H

#include "base/base.h"
#include "server/options.h"

typedef struct server server_t;

/* The four doors, in the order of the banner. */
typedef enum server_door { DOOR_REDIS, DOOR_KAFKA, DOOR_ZOOKEEPER, DOOR_HTTP, DOORS_COUNT } server_door_t;

extern const char *const server_door_names[DOORS_COUNT];

/* One door's wing has recovered and is served; the others may still be recovering. */
typedef void (*server_ready_cb)(const server_t *server, server_door_t door);

/* Reads settings, opens the doors and recovers what is on disk, each wing for itself: returns when all are ready, and meanwhile
 * each is served as soon as it is. `started_ns` is the monotonic time at which the process began. `on_ready` may be NULL. On
 * failure `error` is one clear line. */
int server_start(const options_t *options, uint64_t started_ns, server_ready_cb on_ready, server_t **ret_server,
                 char error[OPTIONS_ERROR_CHARS_MAX]) MUST_CHECK;
/* Until SIGTERM or SIGINT, or until a wing cannot go on. */
void server_run(server_t *server);
/* Flushes, syncs and closes. False when a wing could not go on, or could not write what it had acknowledged. */
bool server_stop(server_t *server);

/* What the banner and --ready-json tell. */
int server_port(const server_t *server, server_door_t door); /* -1 = off */
const char *server_data_dir(const server_t *server);
double server_ready_ms(const server_t *server);
double server_door_ready_ms(const server_t *server, server_door_t door); /* of one that is ready */
size_t server_resident_bytes(void);
/* "redis: append-only file, synced every second; ..." The text belongs to the caller. */
char *server_durability(const server_t *server);
const char *server_bind(const server_t *server);
/* Bound beyond loopback without users: whether who comes from elsewhere is refused, or let in. Redis says so itself. */
bool server_refuses_strangers(const server_t *server, server_door_t door);
bool server_lets_strangers_in(const server_t *server, server_door_t door);
/* At its port, alone or beside plain text. */
bool server_speaks_tls(const server_t *server, server_door_t door);
/* The file of the authority that --tls auto made; NULL = there is none. */
const char *server_tls_authority(const server_t *server);

#endif
