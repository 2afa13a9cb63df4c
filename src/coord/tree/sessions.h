/* sessions.h: the replicated table of sessions: made, closed and expired by entries of the log only.
 *
 * A session's password is drawn when it is made and travels in its entry, so that any server can check it and a restart
 * forgets nobody. `expiry` belongs to the leader's clock (service/expiry.c) and is not replicated. */
#ifndef TRIVET_COORD_SESSIONS_H
#define TRIVET_COORD_SESSIONS_H

#include "base/list.h"
#include "base/map.h"
#include "coord/session.h"

typedef struct session {
    int64_t id;
    int32_t timeout_ms;
    int32_t own_server; /* the server whose own session it is; 0 = a client's */
    uint32_t ephemerals_count;
    uint32_t bucket; /* service/expiry.c: the tick at which it ends; 0 = none */
    bool closing;    /* service/expiry.c: its end was proposed */
    uint8_t passwd[COORD_PASSWD_BYTES];
    list_t ephemerals; /* znode_t.owned */
    list_t expiry;
} session_t;

typedef struct sessions {
    map_t by_id;
    int64_t id_max;
} sessions_t;

void sessions_init(sessions_t *sessions);
void sessions_deinit(sessions_t *sessions);
session_t *sessions_find(const sessions_t *sessions, int64_t id);
/* A session of that id that exists already is returned as it is. */
session_t *sessions_add(sessions_t *sessions, int64_t id, int32_t timeout_ms, bytes_t passwd, int32_t own_server);
void sessions_remove(sessions_t *sessions, session_t *session);
static inline session_t *sessions_next(const sessions_t *sessions, size_t *cursor)
{
    map_entry_t *e = map_next(&sessions->by_id, cursor);
    return e == NULL ? NULL : e->value;
}

#endif
