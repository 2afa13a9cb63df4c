/* test_certs.h: an authority and what it signs, made anew for each test program: PEM texts. */
#ifndef TRIVET_NET_TLS_TEST_CERTS_H
#define TRIVET_NET_TLS_TEST_CERTS_H

#include "net/tls/openssl.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

typedef struct test_cert {
    X509 *cert;
    EVP_PKEY *key;
    char *cert_pem, *key_pem;
} test_cert_t;

static char *test_pem(BIO *bio)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    char *copy = mem_strndup(bytes_of(text, (size_t)len));
    BIO_free(bio);
    return copy;
}

/* Signed by `authority`; NULL = by itself, as an authority. Valid from `from_s` to `to_s` from now. */
static test_cert_t test_cert_new(const char *name, const test_cert_t *authority, long from_s, long to_s)
{
    test_cert_t made = {X509_new(), EVP_EC_gen("P-256"), NULL, NULL};
    X509_NAME *subject = X509_get_subject_name(made.cert);
    X509_set_version(made.cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made.cert), (long)strlen(name));
    X509_gmtime_adj(X509_getm_notBefore(made.cert), from_s);
    X509_gmtime_adj(X509_getm_notAfter(made.cert), to_s);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(made.cert, authority ? X509_get_subject_name(authority->cert) : subject);
    X509_set_pubkey(made.cert, made.key);
    X509V3_CTX context;
    X509V3_set_ctx(&context, authority ? authority->cert : made.cert, made.cert, NULL, NULL, 0);
    X509_EXTENSION *basic =
        X509V3_EXT_conf_nid(NULL, &context, NID_basic_constraints, authority ? "CA:FALSE" : "critical,CA:TRUE");
    X509_add_ext(made.cert, basic, -1);
    X509_EXTENSION_free(basic);
    X509_sign(made.cert, authority ? authority->key : made.key, EVP_sha256());
    BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(cert, made.cert);
    PEM_write_bio_PrivateKey(key, made.key, NULL, NULL, 0, NULL, NULL);
    made.cert_pem = test_pem(cert);
    made.key_pem = test_pem(key);
    return made;
}

static void test_cert_free(test_cert_t *cert)
{
    X509_free(cert->cert);
    EVP_PKEY_free(cert->key);
    mem_free(cert->cert_pem);
    mem_free(cert->key_pem);
}

#endif
