/* wing_absent.c: a door that this build does not have yet. */
#include "server/server_internal.h"

static void *init(server_t *server) { return NULL; }
static int start_listening(void *wing, const char *host, uint16_t port, uint16_t *ret_port) { return ERR_UNSUPPORTED; }
static void nothing(void *wing) {}

#define ABSENT {.init = init, .listen = start_listening, .stop = nothing, .deinit = nothing}
#ifndef HAVE_REDIS
const server__wing_t server__redis = ABSENT;
#endif
#ifndef HAVE_ZOOKEEPER
const server__wing_t server__zookeeper = ABSENT;
#endif
