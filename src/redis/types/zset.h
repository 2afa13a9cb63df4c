/* zset.h: the sorted set type: a listpack of member, score, member, score ... in order, and past the
 * configured limits a B+ tree for the order with a table for the members, both pointing to the same items.
 *
 * Every range (by rank, score or member) becomes an interval of ranks: zset_seek turns a bound into a rank,
 * zset_at a rank into a cursor. */
#ifndef TRIVET_REDIS_TYPES_ZSET_H
#define TRIVET_REDIS_TYPES_ZSET_H

#include "base/num.h"
#include "redis/types/value.h"
#include "redis/types/ztree.h"

typedef struct zset {
    table_t members; /* of zitem_t; they are freed with it */
    ztree_t tree;
} zset_t;

typedef void (*zset_each_cb)(void *user, bytes_t member, double score);

/* An empty set for about `count` members of at most `longest` bytes. */
value_t zset_new_for(size_t count, size_t longest, const redis_config_t *config);
/* Leaves the listpack at once when so many more members are coming. */
void zset_expect(value_t *v, size_t count, size_t longest, const redis_config_t *config);
/* Leaves the listpack, if it is one (SORT does so to what it sorts). */
void zset_unpack(value_t *v);
size_t zset_length(value_t v);
bool zset_score(value_t v, bytes_t member, double *ret_score);
/* The member's rank from the least score. */
bool zset_rank(value_t v, bytes_t member, size_t *ret_rank, double *ret_score);
bool zset_remove(value_t *v, bytes_t member);
/* Removes the members of ranks [start, start + count). */
void zset_delete_ranks(value_t *v, size_t start, size_t count);

enum { ZADD_INCR = 1, ZADD_NX = 2, ZADD_XX = 4, ZADD_GT = 8, ZADD_LT = 16 };
typedef enum {
    ZADD_NAN,     /* the increment made no number: nothing was changed */
    ZADD_NOTHING, /* forbidden by a flag: nothing was changed */
    ZADD_SAME,    /* there with this score already */
    ZADD_ADDED,
    ZADD_UPDATED,
} zset_added_t;
/* `ret_score` (may be NULL): the member's score afterwards, unless NAN or NOTHING. `score` is a number. */
zset_added_t zset_add(value_t *v, bytes_t member, double score, unsigned flags, const redis_config_t *config,
                      double *ret_score);

/* ---- walking: a cursor is dead after a change -------------------------------------------- */

typedef struct zset_cursor {
    const uint8_t *lp; /* listpack encoding */
    const uint8_t *p;
    ztree_pos_t pos;
} zset_cursor_t;

/* The rank of the first member not before the bound; the length when there is none. */
size_t zset_seek(value_t v, const ztree_bound_t *bound);
zset_cursor_t zset_at(value_t v, size_t rank);
/* False when past an end. `ret_score` may be NULL. */
bool zset_get(const zset_cursor_t *c, char room[NUM_I64_CHARS_MAX], bytes_t *ret_member, double *ret_score);
void zset_next(zset_cursor_t *c);
void zset_prev(zset_cursor_t *c);
void zset_each(value_t v, zset_each_cb each, void *user); /* in order */
/* What a handle of sample.h stands for. */
void zset_of_handle(value_t v, const void *handle, char room[NUM_I64_CHARS_MAX], bytes_t *ret_member,
                    double *ret_score);

/* ---- building (ZUNIONSTORE and the like): members first, their order last ---------------- */

zset_t *zset_begin(void);
/* The item of `member`, added with `score` when it was not there. */
zitem_t *zset_accumulate(zset_t *z, bytes_t member, double score, bool *ret_added);
/* Takes an accumulated member out again. */
void zset_drop(zset_t *z, bytes_t member);
/* Orders the members: a sorted set in its large encoding. */
value_t zset_finish(zset_t *z);
/* Makes a set from zset_finish a listpack if it is small enough. */
void zset_compact(value_t *v, const redis_config_t *config);
void zset_free(value_t v);

#endif
