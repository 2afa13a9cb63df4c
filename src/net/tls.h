/* tls.h: what a listener presents to those who come by TLS, and asks of them. A context is made of settings, never changes, and is
 * shared by connections of all threads: who wants other certificates makes another one and gives it to the listener, while
 * connections that are open keep theirs. By OpenSSL 3; TLS 1.2 and 1.3 unless the settings say otherwise. */
#ifndef TRIVET_NET_TLS_H
#define TRIVET_NET_TLS_H

#include "base/base.h"

typedef struct tls_context tls_context_t;

/* Certificates of clients. */
typedef enum tls_clients { TLS_CLIENTS_UNASKED, TLS_CLIENTS_OPTIONAL, TLS_CLIENTS_REQUIRED } tls_clients_t;

enum { TLS_PROTOCOL_1_0 = 1, TLS_PROTOCOL_1_1 = 2, TLS_PROTOCOL_1_2 = 4, TLS_PROTOCOL_1_3 = 8 };

/* NULL = not given. A certificate and its key come from PEM files, PEM texts or one PKCS#12 file. */
typedef struct tls_settings {
    const char *cert_file, *key_file; /* PEM; the certificate's chain follows it */
    const char *cert_pem, *key_pem;   /* the same as texts */
    const char *store_file;           /* PKCS#12: key, certificate and chain */
    const char *key_pass;             /* of the key, or of the PKCS#12 file */
    const char *ca_file, *ca_dir;     /* PEM: who may have signed clients' certificates */
    const char *ca_pem;
    const char *ca_store_file, *ca_store_pass; /* PKCS#12 */
    const char *ciphers;                       /* up to TLS 1.2 */
    const char *ciphersuites;                  /* of TLS 1.3 */
    const char *dh_params_file;
    unsigned protocols; /* TLS_PROTOCOL_ bits; 0 = 1.2 and 1.3 */
    tls_clients_t clients;
    bool prefers_own_ciphers;
    bool caches_sessions; /* beside tickets */
    long sessions_max, session_timeout_s;
} tls_settings_t;

#define TLS_WHY_CHARS_MAX 384
/* On failure `why` says what was wrong with which setting. */
int tls_context_new(const tls_settings_t *settings, tls_context_t **ret_context,
                    char why[TLS_WHY_CHARS_MAX]) MUST_CHECK;
/* As Java's programs name them: a store is PKCS#12 unless its type is PEM. NULL paths change nothing. */
void tls_settings_keystore(tls_settings_t *settings, const char *path, const char *type, const char *pass);
void tls_settings_truststore(tls_settings_t *settings, const char *path, const char *type, const char *pass);
/* Changes when one of the files that are named does: by their times, sizes and places. */
uint64_t tls_settings_files(const tls_settings_t *settings);

/* Of the certificate that is presented, and of the first authority that is trusted; 0 = there is none. */
typedef struct tls_facts {
    char serial[44], ca_serial[44]; /* hexadecimal; "" = there is none */
    int64_t ends_s, ca_ends_s;      /* Unix time */
} tls_facts_t;
tls_facts_t tls_context_facts(const tls_context_t *context);

/* For development: an authority, and a certificate for localhost, 127.0.0.1 and ::1 that it signed; PEM texts. ERR_IO: OpenSSL
 * could not. */
typedef struct tls_authority {
    char *ca_pem, *cert_pem, *key_pem;
} tls_authority_t;
int tls_authority_make(long days, tls_authority_t *ret_authority) MUST_CHECK;
void tls_authority_deinit(tls_authority_t *authority);

/* Any thread. */
tls_context_t *tls_context_ref(tls_context_t *context);
void tls_context_unref(tls_context_t *context); /* NULL is fine */

#endif
