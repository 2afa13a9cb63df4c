/* context.c: settings become a context: certificates are read, and every one of them is checked against its key. See tls.h. */
#include "net/tls/engine.h"
#include "net/tls/openssl.h"

#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define SESSION_ID_CONTEXT "trivet"

/* What is made of one set of settings, and where the reason of a failure goes. */
typedef struct maker {
    const tls_settings_t *settings;
    SSL_CTX *ctx;
    char *why;
} maker_t;

static int fail(const maker_t *m, const char *what, const char *where)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(m->why, TLS_WHY_CHARS_MAX, "%s%s%.200s%s%s", what, where ? " " : "", where ? where : "",
             reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return ERR_INVALID;
}

/* OpenSSL would ask the terminal. */
static int give_pass(char *out, int bytes, int writes, void *user)
{
    const char *pass = user;
    size_t len = pass ? strlen(pass) : 0;
    if (!pass || len > (size_t)bytes) return -1;
    memcpy(out, pass, len);
    return (int)len;
}

static BIO *bio_of(const char *text) { return BIO_new_mem_buf(text, -1); }

/* ---- what is presented ------------------------------------------------------------------------------------------------ */

static int take_chain_pem(const maker_t *m, BIO *bio)
{
    X509 *own = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int ok = own && SSL_CTX_use_certificate(m->ctx, own) == 1;
    X509_free(own);
    for (X509 *next; ok && (next = PEM_read_bio_X509(bio, NULL, NULL, NULL));) {
        ok = SSL_CTX_add0_chain_cert(m->ctx, next) == 1;
        if (!ok) X509_free(next);
    }
    if (ok) ERR_clear_error(); /* the end of the text was met as one */
    return ok ? 0 : fail(m, "cannot load the certificate", NULL);
}

static int take_pem(const maker_t *m)
{
    BIO *cert = bio_of(m->settings->cert_pem), *text = bio_of(m->settings->key_pem);
    int err = cert && text ? take_chain_pem(m, cert) : ERR_NOMEM;
    if (!err) {
        EVP_PKEY *key = PEM_read_bio_PrivateKey(text, NULL, give_pass, (void *)m->settings->key_pass);
        if (!key || SSL_CTX_use_PrivateKey(m->ctx, key) != 1) err = fail(m, "cannot load the private key", NULL);
        EVP_PKEY_free(key);
    }
    BIO_free(cert);
    BIO_free(text);
    return err;
}

static int take_files(const maker_t *m)
{
    const tls_settings_t *s = m->settings;
    if (SSL_CTX_use_certificate_chain_file(m->ctx, s->cert_file) != 1)
        return fail(m, "cannot load the certificate", s->cert_file);
    if (SSL_CTX_use_PrivateKey_file(m->ctx, s->key_file, SSL_FILETYPE_PEM) != 1)
        return fail(m, "cannot load the private key", s->key_file);
    return 0;
}

/* A Java keystore of the older kind begins so. */
static bool is_jks(const uint8_t *head, size_t len) { return len >= 4 && load_be32(head) == 0xFEEDFEED; }

static int open_store(const maker_t *m, const char *path, PKCS12 **ret_store)
{
    uint8_t head[4];
    BIO *file = BIO_new_file(path, "rb");
    if (!file) return fail(m, "cannot read", path);
    int n = BIO_read(file, head, sizeof(head));
    (void)BIO_seek(file, 0);
    PKCS12 *store = d2i_PKCS12_bio(file, NULL);
    BIO_free(file);
    *ret_store = store;
    if (store) return 0;
    ERR_clear_error();
    if (is_jks(head, (size_t)MAX(n, 0)))
        return fail(
            m,
            "a JKS keystore is not read, only PKCS#12 and PEM: keytool -importkeystore -deststoretype pkcs12 makes "
            "one of",
            path);
    return fail(m, "this is no PKCS#12 file:", path);
}

/* With the extra certificates; each of the outputs may be NULL. */
static int parse_store(const maker_t *m, const char *path, const char *pass, EVP_PKEY **key, X509 **cert,
                       STACK_OF(X509) * *others)
{
    PKCS12 *store = NULL;
    int err = open_store(m, path, &store);
    if (err) return err;
    if (PKCS12_parse(store, pass ? pass : "", key, cert, others) != 1)
        err = fail(m, "the password does not open", path);
    PKCS12_free(store);
    return err;
}

static int take_store(const maker_t *m)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    STACK_OF(X509) *others = NULL;
    int err = parse_store(m, m->settings->store_file, m->settings->key_pass, &key, &cert, &others);
    if (!err && (!key || !cert)) err = fail(m, "there is no key with its certificate in", m->settings->store_file);
    if (!err && SSL_CTX_use_cert_and_key(m->ctx, cert, key, others, 1) != 1)
        err = fail(m, "cannot use", m->settings->store_file);
    EVP_PKEY_free(key);
    X509_free(cert);
    sk_X509_pop_free(others, X509_free);
    return err;
}

static int take_own(const maker_t *m)
{
    const tls_settings_t *s = m->settings;
    int err;
    if (s->store_file)
        err = take_store(m);
    else if (s->cert_pem && s->key_pem)
        err = take_pem(m);
    else if (s->cert_file && s->key_file)
        err = take_files(m);
    else
        return fail(m, "TLS needs a certificate and its private key", NULL);
    if (!err && SSL_CTX_check_private_key(m->ctx) != 1) err = fail(m, "the private key is not the certificate's", NULL);
    return err;
}

/* ---- what is asked of clients ------------------------------------------------------------------------------------------ */

/* Whoever is trusted is named to clients as well, so that they choose the fitting one of their certificates. */
static int trust(const maker_t *m, X509 *ca)
{
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(m->ctx), ca) != 1 || SSL_CTX_add_client_CA(m->ctx, ca) != 1)
        return fail(m, "cannot trust a certificate", NULL);
    return 0;
}

static int trust_pem(const maker_t *m)
{
    BIO *text = bio_of(m->settings->ca_pem);
    int err = text ? 0 : ERR_NOMEM, count = 0;
    for (X509 *ca; !err && (ca = PEM_read_bio_X509(text, NULL, NULL, NULL)); count++) {
        err = trust(m, ca);
        X509_free(ca);
    }
    BIO_free(text);
    ERR_clear_error(); /* the end of the text was met as one */
    if (!err && !count) return fail(m, "there is no trusted certificate in the text", NULL);
    return err;
}

static int trust_store(const maker_t *m)
{
    EVP_PKEY *key = NULL;
    X509 *cert = NULL;
    STACK_OF(X509) *others = NULL;
    int err = parse_store(m, m->settings->ca_store_file, m->settings->ca_store_pass, &key, &cert, &others);
    for (int i = 0; !err && i < sk_X509_num(others); i++) err = trust(m, sk_X509_value(others, i));
    if (!err && cert) err = trust(m, cert);
    if (!err && !cert && sk_X509_num(others) <= 0)
        err = fail(m, "there is no trusted certificate in", m->settings->ca_store_file);
    EVP_PKEY_free(key);
    X509_free(cert);
    sk_X509_pop_free(others, X509_free);
    return err;
}

static int trust_files(const maker_t *m)
{
    const tls_settings_t *s = m->settings;
    if (SSL_CTX_load_verify_locations(m->ctx, s->ca_file, s->ca_dir) != 1)
        return fail(m, "cannot load the trusted certificates", s->ca_file ? s->ca_file : s->ca_dir);
    if (s->ca_file) SSL_CTX_set_client_CA_list(m->ctx, SSL_load_client_CA_file(s->ca_file));
    ERR_clear_error();
    return 0;
}

static int take_clients(const maker_t *m)
{
    static const int modes[] = {[TLS_CLIENTS_UNASKED] = SSL_VERIFY_NONE,
                                [TLS_CLIENTS_OPTIONAL] = SSL_VERIFY_PEER,
                                [TLS_CLIENTS_REQUIRED] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT};
    const tls_settings_t *s = m->settings;
    int err = 0;
    SSL_CTX_set_verify(m->ctx, modes[s->clients], NULL);
    if (s->ca_file || s->ca_dir) err = trust_files(m);
    if (!err && s->ca_pem) err = trust_pem(m);
    if (!err && s->ca_store_file) err = trust_store(m);
    return err;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------------ */

static void take_protocols(const maker_t *m)
{
    static const struct {
        unsigned bit;
        uint64_t off;
    } rows[] = {{TLS_PROTOCOL_1_0, SSL_OP_NO_TLSv1},
                {TLS_PROTOCOL_1_1, SSL_OP_NO_TLSv1_1},
                {TLS_PROTOCOL_1_2, SSL_OP_NO_TLSv1_2},
                {TLS_PROTOCOL_1_3, SSL_OP_NO_TLSv1_3}};
    unsigned wanted = m->settings->protocols ? m->settings->protocols : TLS_PROTOCOL_1_2 | TLS_PROTOCOL_1_3;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!(wanted & rows[i].bit)) SSL_CTX_set_options(m->ctx, rows[i].off);
}

static int take_dh_params(const maker_t *m)
{
    const char *path = m->settings->dh_params_file;
    if (!path) {
        SSL_CTX_set_dh_auto(m->ctx, 1);
        return 0;
    }
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *params = file ? PEM_read_bio_Parameters(file, NULL) : NULL;
    BIO_free(file);
    if (params && SSL_CTX_set0_tmp_dh_pkey(m->ctx, params) == 1) return 0;
    EVP_PKEY_free(params);
    return fail(m, "cannot load the DH parameters", path);
}

static int take_ciphers(const maker_t *m)
{
    const tls_settings_t *s = m->settings;
    if (s->ciphers && SSL_CTX_set_cipher_list(m->ctx, s->ciphers) != 1) return fail(m, "no such ciphers:", s->ciphers);
    if (s->ciphersuites && SSL_CTX_set_ciphersuites(m->ctx, s->ciphersuites) != 1)
        return fail(m, "no such cipher suites:", s->ciphersuites);
    if (s->prefers_own_ciphers) SSL_CTX_set_options(m->ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
    return take_dh_params(m);
}

/* Renegotiation is off: it serves nobody and lets one peer make a server sign again and again. */
static void take_manners(const maker_t *m)
{
    const tls_settings_t *s = m->settings;
    SSL_CTX_set_options(m->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_SINGLE_DH_USE);
    SSL_CTX_set_mode(m->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_id_context(m->ctx, (const unsigned char *)SESSION_ID_CONTEXT, sizeof(SESSION_ID_CONTEXT) - 1);
    SSL_CTX_set_session_cache_mode(m->ctx, s->caches_sessions ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
    if (s->caches_sessions) SSL_CTX_sess_set_cache_size(m->ctx, s->sessions_max);
    if (s->session_timeout_s) SSL_CTX_set_timeout(m->ctx, s->session_timeout_s);
    SSL_CTX_set_default_passwd_cb(m->ctx, give_pass);
    SSL_CTX_set_default_passwd_cb_userdata(m->ctx, (void *)s->key_pass);
}

int tls_context_new(const tls_settings_t *settings, tls_context_t **ret_context, char why[TLS_WHY_CHARS_MAX])
{
    ERR_clear_error();
    maker_t m = {settings, SSL_CTX_new(TLS_server_method()), why};
    if (!m.ctx) return fail(&m, "OpenSSL makes no context", NULL);
    take_protocols(&m);
    take_manners(&m);
    int err = take_ciphers(&m);
    if (!err) err = take_own(&m);
    if (!err) err = take_clients(&m);
    SSL_CTX_set_default_passwd_cb_userdata(m.ctx, NULL); /* it was the caller's */
    if (err) {
        SSL_CTX_free(m.ctx);
        return err;
    }
    tls_context_t *context = mem_zalloc(sizeof(*context));
    context->ctx = m.ctx;
    context->bio = tls__engine_bio();
    atomic_init(&context->refs, 1);
    *ret_context = context;
    return 0;
}

/* ---- what it is ----------------------------------------------------------------------------------------------------------- */

static bool is_pem(const char *type) { return type && strcasecmp(type, "PEM") == 0; }

void tls_settings_keystore(tls_settings_t *settings, const char *path, const char *type, const char *pass)
{
    if (!path) return;
    if (is_pem(type))
        settings->cert_file = settings->key_file = path;
    else
        settings->store_file = path;
    settings->key_pass = pass;
}

void tls_settings_truststore(tls_settings_t *settings, const char *path, const char *type, const char *pass)
{
    if (!path) return;
    if (is_pem(type)) {
        settings->ca_file = path;
        return;
    }
    settings->ca_store_file = path;
    settings->ca_store_pass = pass;
}

uint64_t tls_settings_files(const tls_settings_t *s)
{
    const char *const files[] = {s->cert_file, s->key_file,      s->store_file,    s->ca_file,
                                 s->ca_dir,    s->ca_store_file, s->dh_params_file};
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct stat st = {0};
        if (files[i]) (void)stat(files[i], &st);
        const uint64_t parts[] = {(uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_size,
                                  (uint64_t)st.st_ino};
        for (size_t k = 0; k < ARRAY_LEN(parts); k++) sum = (sum ^ parts[k]) * 0x9E3779B97F4A7C15u + i + k + 1;
    }
    return sum;
}

static void facts_of(const X509 *cert, char serial[44], int64_t *ret_ends_s)
{
    struct tm ends;
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(cert), NULL);
    char *text = number ? BN_bn2hex(number) : NULL;
    if (text) snprintf(serial, 44, "%s", text);
    OPENSSL_free(text);
    BN_free(number);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &ends) == 1) *ret_ends_s = timegm(&ends);
}

tls_facts_t tls_context_facts(const tls_context_t *context)
{
    tls_facts_t facts = {0};
    const X509 *own = SSL_CTX_get0_certificate(context->ctx);
    STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context->ctx));
    if (own) facts_of(own, facts.serial, &facts.ends_s);
    for (int i = 0; i < sk_X509_OBJECT_num(trusted); i++) {
        const X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
        if (!ca) continue;
        facts_of(ca, facts.ca_serial, &facts.ca_ends_s);
        break;
    }
    return facts;
}

tls_context_t *tls_context_ref(tls_context_t *context)
{
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

void tls_context_unref(tls_context_t *context)
{
    if (!context || atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) > 1) return;
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->bio);
    mem_free(context);
}
