/* admit.c: who gets in: how many connections there are in all and from each address, and who is a stranger.
 *
 * Invariant: an address is in the map exactly while a connection of its service is open from it. */
#include "net/net_internal.h"

#define KEY_BYTES_MAX (sizeof(void *) + IO_ADDR_CHARS_MAX)

/* Of one service's connections from one address. */
struct net_address {
    uint32_t conns;
    size_t key_bytes;
    uint8_t key[KEY_BYTES_MAX];
};

bytes_t net_conn_host(const net_conn_t *conn)
{
    const char *peer = net_conn_peer(conn), *colon = strrchr(peer, ':');
    size_t len = colon ? (size_t)(colon - peer) : strlen(peer);
    if (len >= 2 && peer[0] == '[') return bytes_of(peer + 1, len - 2);
    return bytes_of(peer, len);
}

static size_t make_key(const net_conn_t *conn, uint8_t key[KEY_BYTES_MAX])
{
    bytes_t host = net_conn_host(conn);
    memcpy(key, &conn->def, sizeof(conn->def));
    memcpy(key + sizeof(conn->def), host.ptr, host.len);
    return sizeof(conn->def) + host.len;
}

void net__address_enter(net_conn_t *conn)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t len = make_key(conn, key);
    net_address_t *address = map_get(&conn->net->addresses, bytes_of(key, len));
    if (!address) {
        address = mem_zalloc(sizeof(*address));
        address->key_bytes = len;
        memcpy(address->key, key, len);
        map_put(&conn->net->addresses, bytes_of(address->key, len), address);
    }
    address->conns++;
    conn->address = address;
}

void net__address_leave(net_conn_t *conn)
{
    net_address_t *address = conn->address;
    conn->address = NULL;
    if (!address || --address->conns > 0) return;
    map_remove(&conn->net->addresses, bytes_of(address->key, address->key_bytes));
    mem_free(address);
}

uint32_t net_conn_siblings(const net_conn_t *conn) { return conn->address ? conn->address->conns : 1; }

static bool has_prefix(bytes_t host, const char *prefix)
{
    size_t len = strlen(prefix);
    return host.len >= len && memcmp(host.ptr, prefix, len) == 0;
}

bool net_conn_has_path(const net_conn_t *conn) { return net_conn_peer(conn)[0] == '/'; }

bool net_host_is_loopback(bytes_t host)
{
    return has_prefix(host, "/") || has_prefix(host, "127.") || bytes_eq(host, BYTES_LIT("::1")) ||
           has_prefix(host, "::ffff:127.");
}

void net_protect(net_t *net, const char *service_name)
{
    ASSERT(net->protected_count < NET_PROTECTED_MAX);
    net->protected[net->protected_count++] = service_name;
}

bool net__protects(const net_t *net, const net_service_t *def)
{
    for (int i = 0; i < net->protected_count; i++)
        if (strcmp(net->protected[i], def -> name) == 0) return true;
    return false;
}

bool net_conn_is_stranger(const net_conn_t *conn) { return conn->stranger; }

void net_refuse_stranger(net_conn_t *conn)
{
    conn->net->totals.strangers++;
    net__tell(conn->net, NET_EVENT_STRANGER, conn, 0);
    net_close(conn);
}

net_event_t net__admit(net_conn_t *conn)
{
    const net_t *net = conn->net;
    if (net->conns_max && atomic_load_explicit(net->conns_all, memory_order_relaxed) > net->conns_max)
        return NET_EVENT_CONNS_MAX;
    uint32_t service_max = conn->def->limits.conns_max;
    return service_max && conn->stats->open > service_max ? NET_EVENT_SERVICE_CONNS_MAX : NET_EVENT_NONE;
}
