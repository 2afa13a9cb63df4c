/* stream.h: the stream type: entries with rising IDs in nodes (stream_node.h) of some thousand bytes, which a tree (idtree.h)
 * finds by the ID of their first entry; and the stream's consumer groups (stream_group.h).
 *
 * A node without live entries is not kept. `first_id` is the first live entry's ID (0-0: there is none); `last_id` never
 * goes back but by stream_set_id. */
#ifndef TRIVET_REDIS_TYPES_STREAM_H
#define TRIVET_REDIS_TYPES_STREAM_H

#include "redis/types/stream_node.h"
#include "redis/types/value.h"

typedef struct stream {
    idtree_t nodes; /* listpacks */
    uint64_t length;
    stream_id_t first_id, last_id, max_deleted_id;
    uint64_t entries_added;
    table_t groups;           /* stream_group_t */
    struct stream_idmp *idmp; /* stream_idmp.h; NULL: no message was sent with an ID of its own */
} stream_t;

stream_t *stream_new(void);
void stream_free(stream_t *s);

/* ---- IDs as text ----------------------------------------------------------------------------------------------------- */

#define STREAM_ID_CHARS_MAX (2 * NUM_I64_CHARS_MAX + 1)
size_t stream_id_format(char out[STREAM_ID_CHARS_MAX], stream_id_t id);
/* `ms-seq` or `ms` alone, which takes `missing_seq`. */
bool stream_id_parse(bytes_t text, uint64_t missing_seq, stream_id_t *ret_id);
/* The next and the previous ID; false at the greatest and the least, which then turn around. */
bool stream_id_increment(stream_id_t *id);
bool stream_id_decrement(stream_id_t *id);

/* ---- changing -------------------------------------------------------------------------------------------------------- */

/* The ID is greater than last_id. ERR_LIMIT: the entry is too large. */
int stream_append(stream_t *s, stream_id_t id, const stream_fields_in_t *in, const redis_config_t *config) MUST_CHECK;
/* False when it was not there. The ID counts as deleted (max_deleted_id). */
bool stream_delete(stream_t *s, stream_id_t id);

/* What becomes of an entry that groups still have pending, or have yet to be given, when it is to be deleted. */
typedef enum {
    STREAM_REFS_KEEP,   /* it goes; it stays pending */
    STREAM_REFS_DELETE, /* it goes, and is pending no longer */
    STREAM_REFS_ACKED,  /* it stays */
} stream_refs_t;
typedef enum { STREAM_ABSENT, STREAM_DELETED, STREAM_REFERRED } stream_deleted_t;
/* The same as the policy says. STREAM_REFS_DELETE drops what is pending of an absent entry too; *ret_dropped counts. */
stream_deleted_t stream_delete_with(stream_t *s, stream_id_t id, stream_refs_t refs, size_t *ret_dropped);

typedef enum { STREAM_TRIM_NOT, STREAM_TRIM_MAXLEN, STREAM_TRIM_MINID } stream_trim_by_t;
typedef struct stream_trim {
    stream_trim_by_t by;
    bool approximate; /* only whole nodes */
    stream_refs_t refs;
    uint64_t limit; /* entries removed (with STREAM_REFS_ACKED: looked at) at most; 0 = any number */
    uint64_t maxlen;
    stream_id_t minid;
} stream_trim_t;
/* Removes entries from the front, but for those that the policy protects; returns how many. */
uint64_t stream_trim(stream_t *s, const stream_trim_t *how);

/* ---- reading --------------------------------------------------------------------------------------------------------- */

/* Live entries of [from, to], from either end. Dead after a change. */
typedef struct stream_cursor {
    const stream_t *stream;
    stream_id_t from, to;
    bool backwards;
    bool tombstones; /* shows deleted entries too */
    bool inside;     /* `entry` is one of `node` */
    idtree_pos_t pos;
    stream_node_t node;
    stream_entry_t entry;
} stream_cursor_t;
stream_cursor_t stream_range(const stream_t *s, stream_id_t from, stream_id_t to, bool backwards);
bool stream_next(stream_cursor_t *c);
bool stream_has(const stream_t *s, stream_id_t id);
/* The greatest ID of a live entry; false when there is none. */
bool stream_last_live(const stream_t *s, stream_id_t *ret_id);
/* The ID of the first entry that the nodes hold, deleted ones counted in; the greatest ID when they hold none. */
stream_id_t stream_first_kept(const stream_t *s);
/* How many entries had been added when `id` was the last one; false when that cannot be told (of an ID in the middle, or
 * with entries deleted behind it). */
bool stream_entries_before(const stream_t *s, stream_id_t id, uint64_t *ret_count);
/* An entry from `from` on was deleted. */
bool stream_has_hole(const stream_t *s, stream_id_t from);

/* ---- nodes as bytes, for files --------------------------------------------------------------------------------------- */

static inline bytes_t stream_node_image(idtree_pos_t pos)
{
    const uint8_t *lp = idtree_value(pos);
    return bytes_of(lp, lp_bytes(lp));
}
/* Adds a node of bytes from outside behind those there are; a node without live entries is dropped. Counts its entries to
 * the length and moves first_id; what else a stream has the caller sets. ERR_CORRUPT. */
int stream_add_node(stream_t *s, stream_id_t key, bytes_t image) MUST_CHECK;

#endif
