/* authority.c: an authority of one's own and a certificate for this machine's loopback, for development: `--tls auto`. */
#include "net/tls/openssl.h"

#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

#define SECONDS_BACK   3600 /* clocks differ */
#define SERIAL_BYTES   16
#define CURVE          "P-256"
#define AUTHORITY_NAME "Trivet development authority"
#define SERVER_NAME    "localhost"
#define SERVER_NAMES   "DNS:localhost,IP:127.0.0.1,IP:::1"

typedef struct made {
    X509 *cert;
    EVP_PKEY *key;
} made_t;

static bool add(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool number(X509 *cert)
{
    uint8_t bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof(bytes)) != 1) return false;
    bytes[0] &= 0x7f;
    BIGNUM *n = BN_bin2bn(bytes, sizeof(bytes), NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
    BN_free(n);
    return ok;
}

/* Everything but what it is for and its signature. */
static bool begin(made_t *made, const char *name, X509 *issuer, long days)
{
    made->cert = X509_new();
    made->key = EVP_EC_gen(CURVE);
    if (!made->cert || !made->key || !number(made->cert)) return false;
    X509_NAME *subject = X509_get_subject_name(made->cert);
    X509_set_version(made->cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(made->cert), -SECONDS_BACK);
    X509_time_adj_ex(X509_getm_notAfter(made->cert), (int)days, 0, NULL);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    return X509_set_issuer_name(made->cert, issuer ? X509_get_subject_name(issuer) : subject) == 1 &&
           X509_set_pubkey(made->cert, made->key) == 1;
}

static bool make_authority(made_t *made, long days)
{
    return begin(made, AUTHORITY_NAME, NULL, days) &&
           add(made->cert, made->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add(made->cert, made->cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add(made->cert, made->cert, NID_subject_key_identifier, "hash") &&
           X509_sign(made->cert, made->key, EVP_sha256()) > 0;
}

static bool make_server(made_t *made, const made_t *authority, long days)
{
    X509 *issuer = authority->cert;
    return begin(made, SERVER_NAME, issuer, days) &&
           add(made->cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add(made->cert, issuer, NID_key_usage, "critical,digitalSignature") &&
           add(made->cert, issuer, NID_ext_key_usage, "serverAuth") &&
           add(made->cert, issuer, NID_subject_alt_name, SERVER_NAMES) &&
           add(made->cert, issuer, NID_authority_key_identifier, "keyid") &&
           X509_sign(made->cert, authority->key, EVP_sha256()) > 0;
}

static char *text_of(BIO *bio, bool ok)
{
    char *text = NULL;
    long len = ok ? BIO_get_mem_data(bio, &text) : 0;
    char *copy = ok ? mem_strndup(bytes_of(text, (size_t)len)) : NULL;
    BIO_free(bio);
    return copy;
}

static char *pem_of_cert(X509 *cert)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return text_of(bio, bio && PEM_write_bio_X509(bio, cert) == 1);
}

static char *pem_of_key(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    return text_of(bio, bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
}

int tls_authority_make(long days, tls_authority_t *ret_authority)
{
    made_t authority = {0}, server = {0};
    tls_authority_t texts = {0};
    if (make_authority(&authority, days) && make_server(&server, &authority, days))
        texts = (tls_authority_t){pem_of_cert(authority.cert), pem_of_cert(server.cert), pem_of_key(server.key)};
    X509_free(authority.cert);
    X509_free(server.cert);
    EVP_PKEY_free(authority.key);
    EVP_PKEY_free(server.key);
    ERR_clear_error();
    if (texts.ca_pem && texts.cert_pem && texts.key_pem) {
        *ret_authority = texts;
        return 0;
    }
    tls_authority_deinit(&texts);
    return ERR_IO;
}

void tls_authority_deinit(tls_authority_t *authority)
{
    mem_free(authority->ca_pem);
    mem_free(authority->cert_pem);
    mem_free(authority->key_pem);
}
