/* idtree.h: an ordered map from a stream's 128-bit IDs to pointers: a B+ tree.
 *
 *      inner   | least ID | child | ... 62 children       the first child's ID is not looked at
 *      leaf    | ID | value | ... 62 values, linked to its neighbours
 *
 * A stream's nodes and the pending entries of a group and of each consumer are such trees. All of them grow at their end
 * and shrink mostly at their front, so both ends are reached without a descent, a full last leaf is not halved, and a leaf
 * goes when it is empty. A tree of a few IDs is one small leaf. Values belong to the owner. */
#ifndef TRIVET_REDIS_TYPES_IDTREE_H
#define TRIVET_REDIS_TYPES_IDTREE_H

#include "base/base.h"

typedef struct stream_id {
    uint64_t ms, seq;
} stream_id_t;

#define STREAM_ID_LEAST    ((stream_id_t){0, 0})
#define STREAM_ID_GREATEST ((stream_id_t){UINT64_MAX, UINT64_MAX})

static inline int stream_id_cmp(stream_id_t a, stream_id_t b)
{
    if (a.ms != b.ms) return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}
static inline bool stream_id_eq(stream_id_t a, stream_id_t b) { return a.ms == b.ms && a.seq == b.seq; }
static inline bool stream_id_is_least(stream_id_t id) { return id.ms == 0 && id.seq == 0; }

typedef struct idtree_node idtree_node_t;

typedef struct idtree {
    idtree_node_t *root; /* NULL: empty */
    idtree_node_t *first, *last;
    size_t count;
    uint32_t nodes_count;
    uint32_t inners_count;
} idtree_t;

/* A value's place; leaf NULL: past an end. Dead after a change. */
typedef struct idtree_pos {
    idtree_node_t *leaf;
    unsigned index;
} idtree_pos_t;

#define IDTREE_INIT ((idtree_t){0})
/* `free_value` may be NULL. */
void idtree_deinit(idtree_t *t, void (*free_value)(void *value));
/* The value's slot, added (holding NULL) when the ID was not there. It is valid until the next change. */
void **idtree_slot(idtree_t *t, stream_id_t id, bool *ret_added);
/* The value, or NULL. */
void *idtree_get(const idtree_t *t, stream_id_t id);
/* Takes the ID out and returns its value; NULL when it was not there. */
void *idtree_remove(idtree_t *t, stream_id_t id);
void *idtree_remove_at(idtree_t *t, idtree_pos_t pos);

idtree_pos_t idtree_first(const idtree_t *t);
idtree_pos_t idtree_last(const idtree_t *t);
/* The first ID not before `id`, the last not behind it. */
idtree_pos_t idtree_seek_ge(const idtree_t *t, stream_id_t id);
idtree_pos_t idtree_seek_le(const idtree_t *t, stream_id_t id);
idtree_pos_t idtree_next(idtree_pos_t pos);
idtree_pos_t idtree_prev(idtree_pos_t pos);
stream_id_t idtree_id(idtree_pos_t pos);
void *idtree_value(idtree_pos_t pos);
void idtree_set_value(idtree_pos_t pos, void *value);
/* Bytes of heap of the tree itself. */
size_t idtree_heap_bytes(const idtree_t *t);
/* Dies unless everything is in order (for tests). */
void idtree_check(const idtree_t *t);

#endif
