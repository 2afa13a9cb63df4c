/* tree_change.h: changes of the tree that the wing asks for: a change is built operation by operation, submitted as a whole,
 * and its caller is told when the tree has carried it out or refused it. */
#ifndef TRIVET_KAFKA_TREE_CHANGE_H
#define TRIVET_KAFKA_TREE_CHANGE_H

#include "kafka/kafka_internal.h"

struct tree_change;
typedef void (*tree_change_cb)(struct tree_change *change, coord_zerr_t err, int failed_index);

/* A change that the tree is asked for: its operations and who wants to know. */
typedef struct tree_change {
    coord_request_t request;
    kafka_t *kafka;
    arena_t arena;
    coord_op_t *ops;
    int ops_count, ops_cap;
    tree_change_cb done;
    void *user;
    bool queued;
    list_t node; /* in kafka->changes_queued */
} tree_change_t;

tree_change_t *tree_change_new(kafka_t *kafka);
void tree_change_create(tree_change_t *change, const char *path, bytes_t data);
void tree_change_set(tree_change_t *change, const char *path, bytes_t data);
/* Creates or sets, as the tree is now. */
void tree_change_put(tree_change_t *change, const char *path, bytes_t data);
void tree_change_delete(tree_change_t *change, const char *path);
void tree_change_create_ephemeral(tree_change_t *change, const char *path, bytes_t data);
/* `done` runs once; the change is freed after it. */
void tree_change_submit(tree_change_t *change, tree_change_cb done, void *user);
/* The same, after those that were queued before. */
void tree_change_queue(tree_change_t *change, tree_change_cb done, void *user);
/* Whoever is still queued is told that the connection is lost. */
void tree_changes_close(kafka_t *kafka);

#endif
