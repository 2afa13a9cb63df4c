/* digest.h: DEBUG DIGEST: a checksum of keys' contents that does not depend on the order in which they are kept. */
#ifndef TRIVET_REDIS_DIGEST_H
#define TRIVET_REDIS_DIGEST_H

#include "redis/db/keyspace.h"

#define DIGEST_BYTES 20

/* One value with its expiry, as DEBUG DIGEST-VALUE shows it; without the fields of a hash that are over at `now_ms`. */
void digest_value(const redis_entry_t *entry, int64_t now_ms, uint8_t ret_digest[DIGEST_BYTES]);
/* All keys of all databases. */
void digest_all(const keyspace_t *k, uint8_t ret_digest[DIGEST_BYTES]);

#endif
