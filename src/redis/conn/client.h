/* client.h: a client: a connection, or what runs commands without one. */
#ifndef TRIVET_REDIS_CLIENT_H
#define TRIVET_REDIS_CLIENT_H

#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "net/net.h"
#include "redis/conn/client_memory.h"
#include "wire/resp.h"

typedef struct redis redis_t;
typedef struct clients clients_t; /* clients.h */
typedef struct redis_db redis_db_t;
typedef struct redis_client redis_client_t;
typedef struct redis_command redis_command_t;
typedef struct saved_command saved_command_t; /* exec.h */

enum {
    CLIENT_NEED_AUTH = 1 << 0,
    CLIENT_MULTI = 1 << 1,
    CLIENT_DIRTY_CAS = 1 << 2,  /* a watched key changed: EXEC fails */
    CLIENT_DIRTY_EXEC = 1 << 3, /* a command was refused while queueing: EXEC aborts */
    CLIENT_PUBSUB = 1 << 4,     /* subscribed to something */
    CLIENT_REPLY_OFF = 1 << 5,
    CLIENT_REPLY_SKIP = 1 << 6,
    CLIENT_REPLY_SKIP_NEXT = 1 << 7,
    CLIENT_BLOCKED = 1 << 8,
    CLIENT_CLOSING = 1 << 9, /* nothing more is read; output still goes out */
    CLIENT_NO_TOUCH = 1 << 10,
    CLIENT_NO_EVICT = 1 << 11,
    CLIENT_INTERNAL = 1 << 12, /* no connection: the append-only file's, a test's */
    CLIENT_IN_EXEC = 1 << 13,
    CLIENT_PAUSED = 1 << 14,      /* waits for the end of CLIENT PAUSE */
    CLIENT_CLOSE_AFTER = 1 << 15, /* CLIENT KILL of itself */
    CLIENT_MONITOR = 1 << 16,
    CLIENT_CONGESTED = 1 << 17, /* too many replies are unsent: what else it sent comes again when they are out */
    CLIENT_IN_LINE = 1 << 18,   /* answers are under way, behind which only some commands may take their place */
    CLIENT_REDIRECTS = 1 << 20, /* CLIENT CAPA REDIRECT: it would follow one */
    CLIENT_DROPPED = 1 << 19,   /* closed without waiting for its output: it is listed no more */
    /* Any of these takes a command off the fast way. */
    CLIENT_SLOW_WAY = CLIENT_NEED_AUTH | CLIENT_MULTI | CLIENT_PUBSUB | CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP |
                      CLIENT_REPLY_SKIP_NEXT | CLIENT_IN_LINE,
};

typedef struct tracked tracked_t; /* tracking.h */
typedef struct blocked blocked_t; /* blocking.c */
typedef struct inquiry inquiry_t; /* inquiry.c */

struct redis_client {
    /* Output under construction: [out_start, out) is written, up to out_end is room. NULL = none reserved. */
    uint8_t *out, *out_end, *out_start;
    uint32_t flags;
    uint8_t resp;
    bool out_dirty; /* in clients->writing */
    bool failed;    /* the command that runs has replied an error */
    uint16_t deferred_depth;
    redis_db_t *db;
    clients_t *clients;
    redis_t *redis;   /* for the rooms above */
    net_conn_t *conn; /* NULL: internal */
    buf_t *sink;      /* internal: where replies go; NULL = nowhere */
    buf_t deferred;   /* what follows an open deferred length */
    list_t writing_node;
    list_t node;         /* clients->all */
    list_t monitor_node; /* redis->monitors, if CLIENT_MONITOR */
    uint64_t id;
    resp_resume_t resume;
    /* Of a request that is not whole: how long it is, and where its last argument begins. */
    size_t query_expected, query_parsed;
    const redis_command_t *last_command;
    int64_t created_ms, active_ms;
    int64_t out_soft_since_ms; /* above the soft limit of unsent output; 0 = it is not */
    char *name, *lib_name, *lib_version;
    /* MULTI */
    saved_command_t **queue;
    size_t queue_len, queue_cap, queue_bytes, queue_words; /* the last two: of the arguments */
    list_t watches;                                        /* watch_t */
    size_t watch_count;
    bool queue_asks; /* one of them must know something before EXEC runs */
    /* what the request that runs next asked; NULL = nothing */
    inquiry_t *inquiry;
    struct redis_question *question; /* of a command alone */
    /* pub/sub: names, as keys of sets */
    map_t channels, patterns, shard_channels;
    size_t names_bytes;   /* of these, and of the prefixes that it tracks */
    buf_t pushed_to_self; /* messages that its own command published: they follow the reply */
    blocked_t *blocked;
    tracked_t *tracking; /* NULL: it does not track */
    list_t asyncs;       /* redis_async_t: answers from outside that are under way, in the order of the calls */
    uint32_t in_line;    /* of them, those that it does not wait for */
    uint64_t commands, in_bytes, out_bytes;
    client_count_t count; /* for maxmemory-clients */
};

redis_client_t *client__new(clients_t *clients, net_conn_t *conn);
void client__free(redis_client_t *c);
redis_client_t *client__new_internal(clients_t *clients, buf_t *sink);
/* Closes once its output is out. */
void client__close(redis_client_t *c);
/* Closes now; it is gone a little later, and for everybody else at once. */
void client__drop(redis_client_t *c);
/* Makes the client wait (its input stays unread) or go on. */
void client__pause(redis_client_t *c);
void client__resume(redis_client_t *c);
/* The reply to its command is written: what CLIENT REPLY SKIP silenced ends here. */
void client__answered(redis_client_t *c);
bool client__name_is_valid(bytes_t name);
void client__set_name(redis_client_t *c, bytes_t name);

#endif
