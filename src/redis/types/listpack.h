/* listpack.h: many small strings and integers in one run of bytes, in Redis's own format, so that RDB files
 * and DUMP payloads carry it verbatim.
 *
 *     +-----------+-----------+---------+ ... +---------+------+
 *     | total u32 | count u16 | entry   |     | entry   | 0xFF |      little-endian; count 65535 = "walk and
 * see"
 *     +-----------+-----------+---------+ ... +---------+------+
 *     entry:  encoding (+ data) | backlen: length of the left part, 7 bits a byte, readable from the right
 *
 *     0xxxxxxx  integer 0..127           10xxxxxx  string, 6-bit length       0xF1 i16   0xF2 i24
 *     110xxxxx  13-bit signed integer    1110xxxx  string, 12-bit length      0xF3 i32   0xF4 i64
 *     0xF0      string, 32-bit length
 *
 * In front of the bytes that `lp` points at lives a hidden prefix that remembers the room on either side:
 *
 *     | front room ... | front u32 | cap u32 | listpack ... | back room |
 *                                            ^ lp
 *
 * so that prepending, and deleting at the head, moves 14 bytes instead of the whole listpack. Functions that
 * change a listpack return where it lives now; the old pointer is dead. */
#ifndef TRIVET_REDIS_TYPES_LISTPACK_H
#define TRIVET_REDIS_TYPES_LISTPACK_H

#include "base/base.h"
#include "base/num.h"

#define LP_HEADER_BYTES  6
#define LP_EMPTY_BYTES   7
#define LP_EOF           0xFF
#define LP_COUNT_UNKNOWN 65535
/* No listpack may grow past this: owners convert to another encoding long before. */
#define LP_BYTES_MAX ((size_t)1 << 30)
/* Encoding and backlen of one string entry never take more than this beside its bytes. */
#define LP_ENTRY_OVERHEAD_BYTES_MAX 10

/* One element: a string when ptr is set, else the integer. */
typedef struct lp_value {
    const uint8_t *ptr;
    uint32_t len;
    int64_t i64;
} lp_value_t;

uint8_t *lp_new(size_t room_bytes);
/* An empty one with `room_bytes` of room, at its front for a head that is pushed to. */
uint8_t *lp_new_with_room(size_t room_bytes, bool at_front);
/* A heap copy of serialized bytes, which must have passed lp_validate. */
uint8_t *lp_from_bytes(bytes_t image);
uint8_t *lp_copy(const uint8_t *lp);
void lp_free(uint8_t *lp);
/* Bytes of heap the listpack holds. */
size_t lp_heap_bytes(const uint8_t *lp);

static inline size_t lp_bytes(const uint8_t *lp) { return load_le32(lp); }
/* Elements; walks when there are 65535 or more. */
size_t lp_count(const uint8_t *lp);
/* `bytes` more would still be a listpack. */
static inline bool lp_room_for(const uint8_t *lp, size_t bytes)
{
    return bytes <= LP_BYTES_MAX && lp_bytes(lp) + bytes <= LP_BYTES_MAX;
}

/* ---- walking: NULL at either end --------------------------------------------------------- */

const uint8_t *lp__skip_long(const uint8_t *p);
/* The entry after `p`, or the end byte. */
static inline const uint8_t *lp_skip(const uint8_t *p)
{
    if (*p < 0x80) return p + 2;
    if (*p < 0xC0) return p + 2 + (*p & 0x3F);
    return lp__skip_long(p);
}
static inline const uint8_t *lp_first(const uint8_t *lp)
{
    return lp[LP_HEADER_BYTES] == LP_EOF ? NULL : lp + LP_HEADER_BYTES;
}
static inline const uint8_t *lp_next(const uint8_t *p)
{
    p = lp_skip(p);
    return *p == LP_EOF ? NULL : p;
}
const uint8_t *lp_prev(const uint8_t *lp, const uint8_t *p);
const uint8_t *lp_last(const uint8_t *lp);
/* Of a listpack of pairs: how many there are. */
static inline size_t lp_pairs(const uint8_t *lp)
{
    size_t count = lp_count(lp);
    ASSERT(count % 2 == 0);
    return count / 2;
}
/* The element at `index` (negative from the end). */
const uint8_t *lp_seek(const uint8_t *lp, int64_t index);

lp_value_t lp_get(const uint8_t *p);
/* Of an element that is known to be an integer. */
static inline int64_t lp_int(const uint8_t *p) { return *p < 0x80 ? *p : lp_get(p).i64; }
/* The element as text; an integer is written into `room`. */
bytes_t lp_text(const uint8_t *p, char room[NUM_I64_CHARS_MAX]);
bool lp_eq(const uint8_t *p, bytes_t text);
/* The first of every (1 + skip)th element from `p` on that equals `text`, or NULL. `p` may be NULL. */
const uint8_t *lp_find(const uint8_t *p, bytes_t text, unsigned skip);

/* ---- changing ---------------------------------------------------------------------------- */

/* A text that is put in must not lie in the listpack itself. */
uint8_t *lp_append(uint8_t *lp, bytes_t text);
uint8_t *lp_append_i64(uint8_t *lp, int64_t v);
uint8_t *lp_prepend(uint8_t *lp, bytes_t text);
/* Inserts in front of the entry at `p` (the end byte: appends). `ret_p`, when given, is where the new entry
 * is. */
uint8_t *lp_insert(uint8_t *lp, const uint8_t *p, bytes_t text, const uint8_t **ret_p);
uint8_t *lp_replace(uint8_t *lp, const uint8_t *p, bytes_t text, const uint8_t **ret_p);
uint8_t *lp_replace_i64(uint8_t *lp, const uint8_t *p, int64_t v);
/* Deletes `count` entries from `p` on; `ret_p` is the entry that followed, or NULL. */
uint8_t *lp_delete(uint8_t *lp, const uint8_t *p, size_t count, const uint8_t **ret_p);
/* Deletes `count` elements from `index` (negative from the end). */
uint8_t *lp_delete_range(uint8_t *lp, int64_t index, size_t count);
/* Gives back room that nothing is in. */
uint8_t *lp_shrink(uint8_t *lp);
/* Appends all of `tail` to `lp`; `tail` stays. */
uint8_t *lp_concat(uint8_t *lp, const uint8_t *tail);

/* Several elements appended in one go: begin, put each, end. They take at most `bytes_max`: the bytes of all texts and
 * LP_ENTRY_OVERHEAD_BYTES_MAX for each element. Between begin and end the listpack is not to be looked at. */
typedef struct lp_appender {
    uint8_t *lp, *out;
    size_t count;
} lp_appender_t;
lp_appender_t lp_append_begin(uint8_t *lp, size_t bytes_max);
void lp_append_put(lp_appender_t *a, bytes_t text);
void lp_append_put_i64(lp_appender_t *a, int64_t v);
uint8_t *lp_append_end(lp_appender_t *a);

/* The bytes are a whole, well-formed listpack (for images from disk or a client). ERR_CORRUPT. */
int lp_validate(bytes_t image) MUST_CHECK;

#endif
