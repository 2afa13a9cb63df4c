/* sessions.c: see sessions.h. */
#include "coord/tree/sessions.h"

static bytes_t key_of(const int64_t *id) { return bytes_of(id, sizeof(*id)); }

void sessions_init(sessions_t *sessions) { *sessions = (sessions_t){MAP_INIT, 0}; }

void sessions_deinit(sessions_t *sessions)
{
    size_t cursor = 0;
    for (session_t *session; (session = sessions_next(sessions, &cursor));) mem_free(session);
    map_deinit(&sessions->by_id);
}

session_t *sessions_find(const sessions_t *sessions, int64_t id) { return map_get(&sessions->by_id, key_of(&id)); }

session_t *sessions_add(sessions_t *sessions, int64_t id, int32_t timeout_ms, bytes_t passwd, int32_t own_server)
{
    session_t *session = sessions_find(sessions, id);
    if (session) return session;
    session = mem_zalloc(sizeof(*session));
    session->id = id;
    session->timeout_ms = timeout_ms;
    session->own_server = own_server;
    if (passwd.len > 0) memcpy(session->passwd, passwd.ptr, MIN(passwd.len, (size_t)COORD_PASSWD_BYTES));
    list_init(&session->ephemerals);
    list_init(&session->expiry);
    map_put(&sessions->by_id, key_of(&session->id), session);
    sessions->id_max = MAX(sessions->id_max, id);
    return session;
}

void sessions_remove(sessions_t *sessions, session_t *session)
{
    ASSERT(list_empty(&session->ephemerals));
    list_remove(&session->expiry);
    map_remove(&sessions->by_id, key_of(&session->id));
    mem_free(session);
}
