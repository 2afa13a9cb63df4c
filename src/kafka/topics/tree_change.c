/* tree_change.c: changes of the tree that the wing asks for: built, submitted, and told of when they are carried out.
 *
 * What clients can ask for by the thousand goes through a queue: each change that is carried out opens or removes files, and
 * a turn of the loop must not have to do that for all of them. */
#include "kafka/topics/tree_change.h"

#define TREE_CHANGES_AT_ONCE 4

tree_change_t *tree_change_new(kafka_t *kafka)
{
    tree_change_t *change = mem_zalloc(sizeof(*change));
    change->kafka = kafka;
    arena_init(&change->arena, 0);
    return change;
}

static void tree_changes_pump(kafka_t *kafka);

static void add_op(tree_change_t *change, coord_op_kind_t kind, const char *path, bytes_t data)
{
    if (change->ops_count == change->ops_cap) {
        change->ops_cap = MAX(change->ops_cap * 2, 8);
        change->ops = mem_realloc(change->ops, sizeof(*change->ops) * (size_t)change->ops_cap);
    }
    change->ops[change->ops_count++] = (coord_op_t){
        .kind = kind,
        .path = arena_strdup(&change->arena, bytes_str(path)),
        .data = arena_copy(&change->arena, data),
        .version = -1,
        .make_parents = kind == COORD_CREATE || kind == COORD_CREATE_EPHEMERAL,
    };
}

void tree_change_create(tree_change_t *change, const char *path, bytes_t data)
{
    add_op(change, COORD_CREATE, path, data);
}
void tree_change_set(tree_change_t *change, const char *path, bytes_t data) { add_op(change, COORD_SET, path, data); }
void tree_change_delete(tree_change_t *change, const char *path) { add_op(change, COORD_DELETE, path, BYTES_NULL); }
void tree_change_create_ephemeral(tree_change_t *change, const char *path, bytes_t data)
{
    add_op(change, COORD_CREATE_EPHEMERAL, path, data);
}

void tree_change_put(tree_change_t *change, const char *path, bytes_t data)
{
    add_op(change, mirror_exists(change->kafka->tree, path) ? COORD_SET : COORD_CREATE, path, data);
}

static void change_free(tree_change_t *change)
{
    mem_free(change->ops);
    arena_deinit(&change->arena);
    mem_free(change);
}

static void change_done(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    tree_change_t *change = CONTAINER_OF(request, tree_change_t, request);
    kafka_t *kafka = change->kafka;
    bool queued = change->queued;
    if (queued) kafka->changes_running--;
    if (change->done) change->done(change, err, failed_index);
    change_free(change);
    if (queued) tree_changes_pump(kafka);
}

static void submit(tree_change_t *change)
{
    mirror_submit(change->kafka->tree, change->ops, change->ops_count, &change->request, change_done);
}

void tree_change_submit(tree_change_t *change, tree_change_cb done, void *user)
{
    change->done = done;
    change->user = user;
    submit(change);
}

/* ---- one after the other --------------------------------------------------------------------------------------------- */

static void tree_changes_pump(kafka_t *kafka)
{
    tree_change_t *change;
    while (kafka->changes_running < TREE_CHANGES_AT_ONCE &&
           (change = LIST_FIRST(&kafka->changes_queued, tree_change_t, node))) {
        list_remove(&change->node);
        kafka->changes_running++;
        submit(change);
    }
}

void tree_change_queue(tree_change_t *change, tree_change_cb done, void *user)
{
    change->done = done;
    change->user = user;
    change->queued = true;
    list_push_back(&change->kafka->changes_queued, &change->node);
    tree_changes_pump(change->kafka);
}

void tree_changes_close(kafka_t *kafka)
{
    tree_change_t *change;
    while ((change = LIST_FIRST(&kafka->changes_queued, tree_change_t, node))) {
        list_remove(&change->node);
        change->done(change, ZCONNECTION_LOSS, -1);
        change_free(change);
    }
}
