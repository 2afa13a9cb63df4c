/* openssl.h: OpenSSL's headers, of which one name is ours as well, and a context as OpenSSL has it. */
#ifndef TRIVET_NET_TLS_OPENSSL_H
#define TRIVET_NET_TLS_OPENSSL_H

#include "net/tls.h"

#define ERR_STATE OPENSSL_ERR_STATE /* a type there, an error code here */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE

#include <stdatomic.h>

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *bio; /* of the engines that are made from it */
    atomic_uint refs;
};

#endif
