/* banner.h: what a person reads who starts the server in a terminal. */
#ifndef TRIVET_SERVER_BANNER_H
#define TRIVET_SERVER_BANNER_H

#include "server/server.h"

/* Prints ports, data directory, durability, and what to try with the clients that this machine has. */
void banner_print(const server_t *server);

/* What tools that start an original wait for before it reads its data; "Ready to accept connections" follows when that is done. */
void banner_begun(const char *called_as);

#endif
