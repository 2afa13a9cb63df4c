/* digest.h: cryptographic digests, by OpenSSL. (Not through base.h: OpenSSL's headers claim some of its names.) */
#ifndef TRIVET_BASE_DIGEST_H
#define TRIVET_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA1_BYTES 20

void digest_sha1(const void *data, size_t bytes, uint8_t ret_digest[DIGEST_SHA1_BYTES]);

#endif
