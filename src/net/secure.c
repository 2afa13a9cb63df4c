/* secure.c: TLS between a connection and its stream (tls/engine.h), the owner's side: what the engine's state means for the
 * connection. Of one that is carried the engine is the link's, and its state is reported. */
#include "net/net_internal.h"

void net__secure(net_conn_t *conn, tls_context_t *context, bool allows_plain)
{
    conn->tls = tls_engine_new(context, allows_plain);
    conn->tls_state = tls_engine_state(conn->tls);
    if (conn->tls_state == TLS_SHAKING) net__deadline_shaking(conn);
}

/* ---- listeners ---- */

static void present(net_listener_t *listener, tls_context_t *context, bool allows_plain)
{
    tls_context_t *before = listener->tls;
    listener->tls = context ? tls_context_ref(context) : NULL;
    listener->allows_plain = allows_plain;
    tls_context_unref(before);
}

void net_listener_secure(net_listener_t *listener, tls_context_t *context, bool allows_plain)
{
    listener->has_own_tls = true;
    present(listener, context, allows_plain);
}

static net_secured_t *secured_of(net_t *net, const char *service_name)
{
    for (int i = 0; i < net->secured_count; i++)
        if (strcmp(net->secured[i].service_name, service_name) == 0) return &net->secured[i];
    return NULL;
}

void net__listener_secure(net_listener_t *listener)
{
    const net_secured_t *secured = secured_of(listener->net, listener->def->name);
    if (secured && !listener->has_own_tls) present(listener, secured->context, secured->allows_plain);
}

void net_secure(net_t *net, const char *service_name, tls_context_t *context, bool allows_plain)
{
    net_secured_t *secured = secured_of(net, service_name);
    if (!secured) {
        ASSERT(net->secured_count < NET_SECURED_MAX);
        secured = &net->secured[net->secured_count++];
        *secured = (net_secured_t){.service_name = service_name};
    }
    tls_context_t *before = secured->context;
    secured->context = tls_context_ref(context);
    secured->allows_plain = allows_plain;
    tls_context_unref(before);
    LIST_EACH(&net->listeners, listener, net_listener_t, node)
        if (!listener->has_path) net__listener_secure(listener);
}

void net__secured_deinit(net_t *net)
{
    for (int i = 0; i < net->secured_count; i++) tls_context_unref(net->secured[i].context);
}

/* ---- connections ---- */

bool net_conn_is_secure(const net_conn_t *conn) { return conn->tls_state == TLS_OPEN; }

static void tell_failure(net_conn_t *conn, const char *why)
{
    conn->net->totals.tls_failed++;
    net__tell_why(conn->net, NET_EVENT_TLS_FAILED, conn, 0, why);
}

/* What waited for it leaves, and the protocol's own limits begin. */
static void opened(net_conn_t *conn)
{
    conn->net->totals.tls_handshakes++;
    net__deadline_opened(conn);
    if (conn->out.first) net__queue_work(conn);
}

void net__secure_became(net_conn_t *conn, tls_state_t state, size_t held_bytes, const char *why)
{
    tls_state_t before = conn->tls_state;
    if (conn->state >= CONN_DEAD) return;
    conn->tls_state = state;
    if (held_bytes != conn->held_bytes) {
        conn->held_bytes = held_bytes;
        net__count_input(conn);
        if (conn->state != CONN_DEAD) net__deadline_input(conn, false);
    }
    if (state == before || conn->state >= CONN_DEAD) return;
    if (state == TLS_SHAKING) net__deadline_shaking(conn);
    if (before < TLS_OPEN && state == TLS_OPEN) opened(conn);
    if (state == TLS_FAILED) tell_failure(conn, why);
}

static void look_at_engine(net_conn_t *conn)
{
    tls_state_t state = tls_engine_state(conn->tls);
    net__secure_became(conn, state, tls_engine_held(conn->tls), state == TLS_FAILED ? tls_engine_why(conn->tls) : NULL);
    conn->blocked |= tls_engine_unsent(conn->tls) > 0;
    if (state != TLS_PLAIN) return;
    tls_engine_free(conn->tls);
    conn->tls = NULL;
    if (conn->out.first) net__queue_work(conn);
}

ssize_t net__secure_read(net_conn_t *conn, bool *ret_more)
{
    net_t *net = conn->net;
    ssize_t n = tls_engine_read(conn->tls, &net->tls, conn->stream, net->scratch, sizeof(net->scratch), ret_more);
    look_at_engine(conn);
    if (n > 0) net__take_input(conn, net->scratch, (size_t)n);
    return n;
}

void net__secure_settle(net_conn_t *conn)
{
    if (conn->tls_state != TLS_UNKNOWN) return;
    if (conn->link) {
        net__order(conn->link)->settles = true;
    } else if (conn->tls) {
        tls_engine_settle(conn->tls);
        look_at_engine(conn);
    }
}
