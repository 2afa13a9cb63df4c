/* list.h: an intrusive doubly linked list. The head is a node that belongs to the list's owner. */
#ifndef TRIVET_BASE_LIST_H
#define TRIVET_BASE_LIST_H

#include "base/base.h"

typedef struct list_node {
    struct list_node *prev;
    struct list_node *next;
} list_t;

static inline void list_init(list_t *l) { l->prev = l->next = l; }
static inline bool list_empty(const list_t *l) { return l->next == l; }
static inline bool list_has_one(const list_t *l) { return l->next != l && l->next == l->prev; }
static inline bool list_linked(const list_t *node) { return node->next != NULL && node->next != node; }
static inline void list_insert_after(list_t *at, list_t *node)
{
    node->prev = at;
    node->next = at->next;
    at->next->prev = node;
    at->next = node;
}
static inline void list_push_front(list_t *l, list_t *node) { list_insert_after(l, node); }
static inline void list_push_back(list_t *l, list_t *node) { list_insert_after(l->prev, node); }
static inline void list_remove(list_t *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}
/* Moves every node of `from` to the back of `to`. */
static inline void list_splice_back(list_t *to, list_t *from)
{
    if (list_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#define LIST_FIRST(l, type, member) (list_empty(l) ? NULL : CONTAINER_OF((l)->next, type, member))
/* Safe against removal of `it` in the body. */
#define LIST_EACH(l, it, type, member)                                                                                 \
    for (type *it = CONTAINER_OF((l)->next, type, member), *it##_next = CONTAINER_OF(it->member.next, type, member);   \
         &it->member != (l); it = it##_next, it##_next = CONTAINER_OF(it->member.next, type, member))

#endif
