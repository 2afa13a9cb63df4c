/* auth.c: the identities of a connection: its address from the start, digests as it proves them, "super" for one of them. */
#define ERR_STATE OPENSSL_ERR_STATE /* a type there, an error code here */
#include <openssl/evp.h>
#include <openssl/sha.h>
#undef ERR_STATE

#include "zookeeper/zookeeper_internal.h"

#define BASE64_SHA1_CHARS 28

static bytes_t copy(bytes_t b) { return bytes_of(mem_strndup(b), b.len); }

static bool known(const zk_conn_t *conn, bytes_t scheme, bytes_t id)
{
    for (int i = 0; i < conn->ids_count; i++) {
        if (bytes_eq(conn->ids[i].scheme, scheme) && bytes_eq(conn->ids[i].id, id)) return true;
    }
    return false;
}

bool zk__auth_add(zk_conn_t *conn, bytes_t scheme, bytes_t id)
{
    if (known(conn, scheme, id)) return true;
    if (conn->ids_count == ZK_AUTH_IDS_MAX) return false;
    conn->ids = mem_realloc(conn->ids, ((size_t)conn->ids_count + 1) * sizeof(zk_id_t));
    conn->ids[conn->ids_count++] = (zk_id_t){copy(scheme), copy(id)};
    conn->watcher.who = zk__who(conn);
    return true;
}

void zk__auth_drop(zk_conn_t *conn)
{
    for (int i = 0; i < conn->ids_count; i++) {
        mem_free((void *)conn->ids[i].scheme.ptr);
        mem_free((void *)conn->ids[i].id.ptr);
    }
    mem_free(conn->ids);
    conn->ids = NULL;
    conn->ids_count = 0;
}

/* "user:" base64(sha1("user:password")); without a colon the whole is the user. */
bool zk__auth_digest(zk_conn_t *conn, bytes_t user_password)
{
    uint8_t hash[SHA_DIGEST_LENGTH];
    char base64[BASE64_SHA1_CHARS + 1];
    const uint8_t *colon = user_password.len ? memchr(user_password.ptr, ':', user_password.len) : NULL;
    size_t user_len = colon != NULL ? (size_t)(colon - user_password.ptr) : user_password.len;
    SHA1(user_password.ptr != NULL ? user_password.ptr : (const uint8_t *)"", user_password.len, hash);
    EVP_EncodeBlock((unsigned char *)base64, hash, sizeof(hash));
    uint8_t *id = arena_alloc(&conn->zookeeper->arena, user_len + 1 + BASE64_SHA1_CHARS);
    if (user_len) memcpy(id, user_password.ptr, user_len);
    id[user_len] = ':';
    memcpy(id + user_len + 1, base64, BASE64_SHA1_CHARS);
    bytes_t proved = bytes_of(id, user_len + 1 + BASE64_SHA1_CHARS);
    const char *super = conn->zookeeper->config.super_digest;
    if (super && bytes_eq(bytes_str(super), proved) && !zk__auth_add(conn, BYTES_LIT("super"), BYTES_LIT("")))
        return false;
    return zk__auth_add(conn, BYTES_LIT("digest"), proved);
}
