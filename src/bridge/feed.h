/* feed.h: what the files of the change feed share. See docs/decisions/0022-change-feed.md.
 *
 *   feed_config.c  settings and their checks      feed_record.c  a change as a record
 *   feed.c         who is told, and when          feed_show.c    what is shown of it
 */
#ifndef TRIVET_BRIDGE_FEED_H
#define TRIVET_BRIDGE_FEED_H

#include "bridge/bridge_internal.h"

#define FEEDS_MAX           32 /* as many as a bit mask holds */
#define FEED_NAME_BYTES_MAX 64
#define FEED_WORDS_MAX      64      /* patterns, or databases, of a feed */
#define FEED_FLUSH_KEYS_MAX 1000000 /* of a database that a flush may take away */
#define FEED_KEY_CUT_BYTES  1024    /* of a key that no record of the topic can hold */
#define FEED_HEADERS_MAX    8
#define FEED_PROBLEM_BYTES  320

typedef enum feed_format {
    FEED_COMMAND, /* the commands that make the change */
    FEED_VALUE    /* what the key holds at the end of the step */
} feed_format_t;

typedef struct feed {
    char *name, *topic, *databases, *patterns; /* as they were set; NULL = not */
    feed_format_t format;
    /* read from them */
    bytes_t globs[FEED_WORDS_MAX];
    int globs_count;
    int dbs[FEED_WORDS_MAX];
    int dbs_count; /* 0 = all */
    uint64_t records, cut;
} feed_t;

/* A key that a step changed, for the feeds that send its value at the step's end. */
typedef struct feed_touch {
    list_t node; /* feeds->touched, in the order of the first change */
    int db;
    bytes_t key;
    uint32_t feeds; /* a bit for each */
    const char *command, *cause;
    int64_t now_ms;
} feed_touch_t;

struct bridge_feeds {
    bridge_t *bridge; /* NULL until they are started */
    redis_observer_t observer;
    feed_t *at[FEEDS_MAX];
    int count;
    list_t touched;
    map_t touched_by_key; /* db and key -> feed_touch_t */
    buf_t scratch;
    char problem[FEED_PROBLEM_BYTES];
};

/* ---- feed_config.c ---- */

/* Reads the lists, and checks what only a whole configuration shows. */
int feed__check(bridge_feeds_t *feeds, bridge_t *bridge, char *err, size_t err_bytes) MUST_CHECK;

/* ---- feed.c ---- */

void feed__start(bridge_feeds_t *feeds, bridge_t *bridge);
void feed__stop(bridge_feeds_t *feeds);
bool feed__takes(const feed_t *feed, int db, bytes_t key);

/* ---- feed_record.c ---- */

/* The change's own record, in the entry that is open. */
void feed__add_command(bridge_feeds_t *feeds, feed_t *feed, const redis_change_t *change);
/* What the key holds now. */
void feed__add_value(bridge_feeds_t *feeds, feed_t *feed, const feed_touch_t *touch);

/* ---- feed_show.c ---- */

/* KAFKA.OUTBOX FEEDS */
void feed__show(const bridge_feeds_t *feeds, redis_client_t *client);
void feed__metrics(const bridge_feeds_t *feeds, buf_t *out);

#endif
