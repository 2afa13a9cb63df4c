/* stream_node.h: some of a stream's entries in one listpack, as the original lays them out, so that an RDB file carries
 * the bytes unchanged.
 *
 *      | live | deleted | fields n | name 1 | ... | name n | 0 |      the master entry: of the first entry, whose ID is
 *                                                                     the node's key
 *      | flags | ms | seq | value 1 | ... | value n | count |         SAME_FIELDS: with the master's names
 *      | flags | ms | seq | fields m | name 1 | value 1 | ... | count |
 *
 * `ms` and `seq` are differences to the node's key, modulo 2^64. `count` is how many elements of the entry precede it, so
 * that a reader can go backwards; the master's is 0. A deleted entry is only flagged. */
#ifndef TRIVET_REDIS_TYPES_STREAM_NODE_H
#define TRIVET_REDIS_TYPES_STREAM_NODE_H

#include "redis/types/idtree.h"
#include "redis/types/listpack.h"

enum { STREAM_ENTRY_DELETED = 1, STREAM_ENTRY_SAME_FIELDS = 2 };

/* A node that is read. */
typedef struct stream_node {
    const uint8_t *lp;
    stream_id_t key;
    size_t live, deleted, fields_count;
    const uint8_t *names;   /* the master's */
    const uint8_t *entries; /* the first entry, or the end byte */
} stream_node_t;

typedef struct stream_entry {
    stream_id_t id;
    unsigned flags;
    size_t fields_count;
    const uint8_t *start;  /* its flags */
    const uint8_t *names;  /* NULL: each value's name precedes it */
    const uint8_t *values; /* the first value, or the first name */
} stream_entry_t;

stream_node_t stream_node_open(const uint8_t *lp, stream_id_t key);
/* False where there is none. All entries are shown, deleted ones too. */
bool stream_node_first(const stream_node_t *node, stream_entry_t *ret_entry);
bool stream_node_last(const stream_node_t *node, stream_entry_t *ret_entry);
bool stream_node_next(const stream_node_t *node, stream_entry_t *entry);
bool stream_node_prev(const stream_node_t *node, stream_entry_t *entry);
/* An entry that no live entry with an ID from `id` on precedes, and no live entry with a lesser ID follows: where reading
 * from `id` on begins. */
bool stream_node_seek(const stream_node_t *node, stream_id_t id, stream_entry_t *ret_entry);

/* The fields of an entry one by one: both point to elements of the listpack. */
typedef struct stream_field {
    const uint8_t *name, *value;
    const uint8_t *next_name, *next;
    size_t left;
} stream_field_t;
static inline stream_field_t stream_fields(const stream_entry_t *e)
{
    return (stream_field_t){.next_name = e->names, .next = e->values, .left = e->fields_count};
}
static inline bool stream_field_next(stream_field_t *f)
{
    if (f->left == 0) return false;
    f->left--;
    f->name = f->next_name ? f->next_name : f->next;
    f->value = f->next_name ? f->next : lp_skip(f->next);
    if (f->next_name) f->next_name = lp_skip(f->next_name);
    f->next = lp_skip(f->value);
    return true;
}

/* ---- changing: a node's listpack may move, and what was opened of it is dead --------------------------------------- */

/* `pairs`: names and values in turn. */
typedef struct stream_fields_in {
    const bytes_t *pairs;
    size_t count;
    size_t bytes; /* of all names and values */
} stream_fields_in_t;

/* What appending such an entry, or beginning a node with it, takes at most. */
size_t stream_node_bytes_max(const stream_fields_in_t *in);
uint8_t *stream_node_new(size_t room_bytes, const stream_fields_in_t *in);
/* The ID is greater than any live one; there is room (lp_room_for). */
uint8_t *stream_node_append(uint8_t *lp, stream_id_t key, stream_id_t id, const stream_fields_in_t *in);
/* Flags an entry; stream_node_count must follow. The listpack stays where it is. */
void stream_node_flag_deleted(const stream_entry_t *entry);
/* So many more of its entries are deleted. */
uint8_t *stream_node_count_deleted(uint8_t *lp, size_t count);

/* Whether bytes from outside are a node with this key whose live entries' IDs rise: ERR_CORRUPT. Nothing that passes leads
 * a reader astray. Outputs: live entries, and the first and the last of their IDs when there are any. */
typedef struct stream_node_sum {
    size_t live;
    stream_id_t first, last;
} stream_node_sum_t;
int stream_node_validate(bytes_t image, stream_id_t key, stream_node_sum_t *ret_sum) MUST_CHECK;

#endif
