/* digest.c: see digest.h. */
#include "base/digest.h"

#include <openssl/evp.h>
#include <stdlib.h>

void digest_sha1(const void *data, size_t bytes, uint8_t ret_digest[DIGEST_SHA1_BYTES])
{
    if (EVP_Digest(bytes ? data : "", bytes, ret_digest, NULL, EVP_sha1(), NULL) != 1) abort();
}
