/* client.h: what CLIENT LIST shows of a client. */
#ifndef TRIVET_REDIS_CMD_CLIENT_H
#define TRIVET_REDIS_CMD_CLIENT_H

#include "redis/conn/client.h"

/* Its letters: "N" for none. */
void client__put_flags(const redis_client_t *c, buf_t *out);

#endif
