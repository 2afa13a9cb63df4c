/* quicklist_internal.h: the part that packs a list's inner nodes (list-compress-depth); see quicklist_pack.c. */
#ifndef TRIVET_REDIS_TYPES_QUICKLIST_INTERNAL_H
#define TRIVET_REDIS_TYPES_QUICKLIST_INTERNAL_H

#include "redis/types/quicklist.h"

/* Makes `data` of a node usable, until the next ql__settle that does not keep it. */
void ql__open(quicklist_t *ql, ql_node_t *node);
/* The same for one that is about to change. */
void ql__edit(quicklist_t *ql, ql_node_t *node);
/* Packs what was opened, but for `keep` (may be NULL). */
void ql__close_opened(quicklist_t *ql, const ql_node_t *keep);
/* After nodes came or went: opens what is near an end now, packs what is no longer, then as ql__close_opened. */
void ql__settle(quicklist_t *ql, const ql_node_t *keep);
/* The node is about to be freed. */
void ql__forget(quicklist_t *ql, ql_node_t *node);
/* Gives a node that has no data the packed bytes of another. */
void ql__copy_packed(quicklist_t *ql, ql_node_t *node, const ql_node_t *from);

#endif
