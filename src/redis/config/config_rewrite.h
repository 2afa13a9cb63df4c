/* config_rewrite.h: a redis.conf written anew. */
#ifndef TRIVET_REDIS_CONFIG_REWRITE_H
#define TRIVET_REDIS_CONFIG_REWRITE_H

#include "base/buf.h"
#include "redis/config/config.h"

/* Appends to `out` what the file becomes; `initial` tells what need not be said; NULL: all is. */
void config_rewrite(const redis_config_t *config, const redis_config_t *initial, bytes_t file, buf_t *out);

#endif
