/* list.h: the list type: one listpack while it is small, a quicklist beyond. A list takes its shape from the configuration
 * when it becomes a quicklist. */
#ifndef TRIVET_REDIS_TYPES_LIST_H
#define TRIVET_REDIS_TYPES_LIST_H

#include "redis/types/quicklist.h"
#include "redis/types/value.h"

/* A position in either encoding; p NULL: past an end. */
typedef struct list_pos {
    ql_node_t *node; /* NULL in a listpack */
    const uint8_t *p;
} list_pos_t;

value_t rlist_new(void);
size_t rlist_length(value_t v);
/* Before pushing: becomes a quicklist if these elements would make it too large. */
void rlist_expect(value_t *v, const bytes_t *texts, size_t count, const redis_config_t *config);
/* After shrinking: becomes a listpack again below half of the limits. */
void rlist_shrunk(value_t *v, const redis_config_t *config);
/* The caller has called rlist_expect. `text` must not lie in the list. */
void rlist_push(value_t *v, bytes_t text, bool at_head);

/* A list made of whole nodes: the caller appends them in between. */
quicklist_t *rlist_nodes_begin(const redis_config_t *config);
/* Of a list that is not empty: a listpack if all fits in one. */
void rlist_nodes_end(value_t *v, const redis_config_t *config);

list_pos_t rlist_first(value_t v);
list_pos_t rlist_last(value_t v);
list_pos_t rlist_seek(value_t v, int64_t index);
list_pos_t rlist_next(value_t v, list_pos_t pos);
list_pos_t rlist_prev(value_t v, list_pos_t pos);
bytes_t rlist_text(list_pos_t pos, char room[NUM_I64_CHARS_MAX]);

void rlist_insert(value_t *v, list_pos_t pos, bytes_t text, bool after);
void rlist_replace(value_t *v, list_pos_t pos, bytes_t text);
/* The next position (backwards: the previous one). */
list_pos_t rlist_remove(value_t *v, list_pos_t pos, bool backwards);
void rlist_delete_range(value_t *v, size_t start, size_t count);

#endif
