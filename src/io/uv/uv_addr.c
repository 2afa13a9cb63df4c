/* uv_addr.c: hosts and ports to socket addresses and back. */
#include "io/uv/uv_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <strings.h>
#include <sys/un.h>

int uv__addr_resolve(const char *host, uint16_t port, bool passive, struct sockaddr_storage *ret_addr,
                     socklen_t *ret_len)
{
    if (host && host[0] == '/') {
        if (passive) return ERR_NOT_FOUND; /* io_listen_path */
        if (strlen(host) > IO_PATH_CHARS_MAX) return ERR_LIMIT;
        uv__addr_of_path(host, ret_addr, ret_len);
        return 0;
    }
    if (!host || !*host || strcmp(host, "*") == 0) host = passive ? "0.0.0.0" : "127.0.0.1";
    if (strcasecmp(host, "localhost") == 0) host = "127.0.0.1";
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (passive)
        hints.ai_flags |= AI_PASSIVE;
    else
        hints.ai_flags |= AI_NUMERICHOST; /* a lookup could block the loop */
    char service[8];
    snprintf(service, sizeof(service), "%u", port);
    struct addrinfo *found;
    int rc = getaddrinfo(host, service, &hints, &found);
    if (rc == EAI_MEMORY) return ERR_NOMEM;
    if (rc) return ERR_NOT_FOUND;
    memcpy(ret_addr, found->ai_addr, found->ai_addrlen);
    *ret_len = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

void uv__addr_of_path(const char *path, struct sockaddr_storage *ret_addr, socklen_t *ret_len)
{
    struct sockaddr_un *addr = (struct sockaddr_un *)ret_addr;
    size_t len = strlen(path);
    ASSERT(len <= IO_PATH_CHARS_MAX);
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(addr->sun_path, path, len);
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
}

uint16_t uv__addr_port(const struct sockaddr_storage *addr)
{
    if (addr->ss_family == AF_UNIX) return 0;
    if (addr->ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)addr)->sin6_port);
    return ntohs(((const struct sockaddr_in *)addr)->sin_port);
}

void uv__addr_format(const struct sockaddr_storage *addr, char out[IO_ADDR_CHARS_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (addr->ss_family == AF_UNIX) {
        snprintf(out, IO_ADDR_CHARS_MAX, "%.*s:0", IO_PATH_CHARS_MAX, ((const struct sockaddr_un *)addr)->sun_path);
        return;
    }
    if (addr->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)addr)->sin6_addr, host, sizeof(host));
        snprintf(out, IO_ADDR_CHARS_MAX, "[%s]:%u", host, uv__addr_port(addr));
    } else {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)addr)->sin_addr, host, sizeof(host));
        snprintf(out, IO_ADDR_CHARS_MAX, "%s:%u", host, uv__addr_port(addr));
    }
}
