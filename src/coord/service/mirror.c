/* mirror.c: see mirror.h. The feed is the half on the tree's reactor; a change travels as its header, path and data, one
 * behind the other in the turn's buffer. */
#include "coord/mirror.h"

#include "base/buf.h"
#include "coord/service/coord_internal.h"
#include "coord/tree/path.h"

#define FEED_HOOK_RANK (COORD_HOOK_RANK + 1) /* what a turn applied leaves in that turn */

typedef struct feed_prefix {
    coord_subscription_t subscription;
    struct feed *feed;
} feed_prefix_t;

typedef struct feed {
    coord_t *coord; /* also once detached: submissions that are under way still go there */
    io_loop_t *loop;
    io_hook_t hook;
    feed_prefix_t prefixes[MIRROR_PREFIXES_MAX];
    int prefixes_count;
    buf_t changes; /* since the last message */
} feed_t;

struct mirror {
    io_loop_t *loop;
    feed_t feed; /* the tree's reactor's alone */
    tree_t tree;
    list_t subscriptions;
    bool ready, closed;
};

typedef struct change_head {
    coord_change_t what;
    bool null_data;
    uint32_t path_bytes, data_bytes;
    coord_stat_t stat;
} change_head_t;

typedef struct news {
    io_message_t message;
    mirror_t *mirror;
    buf_t changes;
} news_t;

/* ---- the feed -------------------------------------------------------------------------------------------------------- */

static void run_news(io_message_t *message);

static void put_change(feed_t *feed, coord_change_t what, bytes_t path)
{
    change_head_t change = {.what = what, .path_bytes = (uint32_t)path.len};
    bytes_t data = BYTES_NULL;
    const znode_t *node = what == COORD_DELETED ? NULL : tree_find(&feed->coord->state.tree, path);
    if (node) {
        data = znode_data(node);
        znode_stat(node, &change.stat);
    }
    change.null_data = data.ptr == NULL;
    change.data_bytes = (uint32_t)data.len;
    buf_append(&feed->changes, &change, sizeof(change));
    buf_append(&feed->changes, path.ptr, path.len);
    if (data.len) buf_append(&feed->changes, data.ptr, data.len);
}

static void tell(mirror_t *mirror)
{
    feed_t *feed = &mirror->feed;
    if (feed->changes.len == 0 && mirror->ready) return;
    news_t *news = mem_alloc(sizeof(*news));
    *news = (news_t){.message = {.run = run_news}, .mirror = mirror, .changes = feed->changes};
    feed->changes = BUF_INIT;
    io_post(mirror->loop, &news->message);
}

static void on_change(coord_subscription_t *subscription, coord_change_t what, const char *path)
{
    feed_prefix_t *prefix = CONTAINER_OF(subscription, feed_prefix_t, subscription);
    put_change(prefix->feed, what, bytes_str(path));
}

static void run_feed(io_hook_t *hook)
{
    mirror_t *mirror = CONTAINER_OF(hook, mirror_t, feed.hook);
    if (mirror->feed.changes.len && !coord_is_applying(mirror->feed.coord)) tell(mirror);
}

/* Parents before their children. */
static void copy_subtree(feed_t *feed, const char *prefix)
{
    const znode_t *top = tree_find(&feed->coord->state.tree, bytes_str(prefix));
    for (const znode_t *node = top; node && path_within(znode_path(node), bytes_str(prefix)); node = tree_next(node))
        put_change(feed, COORD_CREATED, znode_path(node));
}

static void start_feed(feed_t *feed, const char *const *prefixes, int count)
{
    for (int i = 0; i < count; i++) {
        feed_prefix_t *prefix = &feed->prefixes[i];
        *prefix = (feed_prefix_t){.subscription = {.prefix = prefixes[i], .changed = on_change}, .feed = feed};
        coord_subscribe(feed->coord, &prefix->subscription);
        copy_subtree(feed, prefixes[i]);
    }
    feed->prefixes_count = count;
    feed->hook = (io_hook_t){.rank = FEED_HOOK_RANK, .name = "the tree's mirrors", .run = run_feed};
    io_hook_add(feed->loop, &feed->hook);
}

mirror_t *mirror_new(coord_t *coord, io_loop_t *coord_loop, io_loop_t *loop, const char *const *prefixes, int count)
{
    ASSERT(count > 0 && count <= MIRROR_PREFIXES_MAX);
    mirror_t *mirror = mem_zalloc(sizeof(*mirror));
    mirror->loop = loop;
    list_init(&mirror->subscriptions);
    tree_init(&mirror->tree);
    tree_link(&mirror->tree, NULL, znode_new(BYTES_LIT("/"), BYTES_NULL, NULL));
    mirror->feed = (feed_t){.coord = coord, .loop = coord_loop, .changes = BUF_INIT};
    start_feed(&mirror->feed, prefixes, count);
    tell(mirror); /* also when there is nothing: an empty picture is one */
    return mirror;
}

void mirror_detach(mirror_t *mirror)
{
    feed_t *feed = &mirror->feed;
    if (feed->prefixes_count == 0) return;
    for (int i = 0; i < feed->prefixes_count; i++) coord_unsubscribe(&feed->prefixes[i].subscription);
    io_hook_remove(&feed->hook);
    feed->prefixes_count = 0;
}

void mirror_free(mirror_t *mirror)
{
    if (!mirror) return;
    ASSERT(mirror->feed.prefixes_count == 0);
    buf_deinit(&mirror->feed.changes);
    tree_deinit(&mirror->tree);
    mem_free(mirror);
}

/* ---- the copy -------------------------------------------------------------------------------------------------------- */

static void take_stat(znode_t *node, const coord_stat_t *stat)
{
    node->czxid = stat->czxid;
    node->mzxid = stat->mzxid;
    node->ctime_ms = stat->ctime_ms;
    node->mtime_ms = stat->mtime_ms;
    node->version = stat->version;
    node->aversion = stat->aversion;
    node->owner = stat->ephemeral_owner;
}

/* What the mirror has of a node's way up; at the top of a prefix that is the root alone. */
static znode_t *parent_of(const mirror_t *mirror, bytes_t path)
{
    bytes_t parent;
    znode_t *node = path_parent(path, &parent) ? tree_find(&mirror->tree, parent) : NULL;
    return node ? node : mirror->tree.root;
}

/* Nodes have no ACL here: rights are asked where the tree is. */
static void put_node(mirror_t *mirror, bytes_t path, bytes_t data, const coord_stat_t *stat)
{
    znode_t *node = tree_find(&mirror->tree, path);
    if (node) {
        mem_free(tree_swap_data(&mirror->tree, node, tree_copy_data(data), (uint32_t)data.len));
    } else {
        node = znode_new(path, data, NULL);
        tree_link(&mirror->tree, parent_of(mirror, path), node);
    }
    take_stat(node, stat);
}

static void drop_node(mirror_t *mirror, bytes_t path)
{
    znode_t *node = tree_find(&mirror->tree, path);
    if (!node) return;
    tree_unlink(&mirror->tree, node);
    znode_free(&mirror->tree, node);
}

static void announce(mirror_t *mirror, coord_change_t what, bytes_t path)
{
    if (!mirror->ready || mirror->closed || list_empty(&mirror->subscriptions)) return;
    char *text = mem_strndup(path);
    LIST_EACH(&mirror->subscriptions, subscription, coord_subscription_t, node)
        if (path_within(path, bytes_str(subscription->prefix))) subscription->changed(subscription, what, text);
    mem_free(text);
}

static void run_news(io_message_t *message)
{
    news_t *news = CONTAINER_OF(message, news_t, message);
    mirror_t *mirror = news->mirror;
    for (size_t at = 0; at < news->changes.len;) {
        change_head_t change;
        memcpy(&change, news->changes.ptr + at, sizeof(change));
        bytes_t path = bytes_of(news->changes.ptr + at + sizeof(change), change.path_bytes);
        bytes_t data = change.null_data ? BYTES_NULL : bytes_of(bytes_end(path), change.data_bytes);
        at += sizeof(change) + change.path_bytes + change.data_bytes;
        if (change.what == COORD_DELETED)
            drop_node(mirror, path);
        else
            put_node(mirror, path, data, &change.stat);
        announce(mirror, change.what, path);
    }
    mirror->ready = true;
    buf_deinit(&news->changes);
    mem_free(news);
}

void mirror_close(mirror_t *mirror) { mirror->closed = true; }
bool mirror_ready(const mirror_t *mirror) { return mirror->ready; }

coord_zerr_t mirror_get(const mirror_t *mirror, const char *path, bytes_t *ret_data, coord_stat_t *ret_stat)
{
    const znode_t *node = tree_find(&mirror->tree, bytes_str(path));
    if (!node) return ZNO_NODE;
    if (ret_data) *ret_data = znode_data(node);
    if (ret_stat) znode_stat(node, ret_stat);
    return ZOK;
}

bool mirror_exists(const mirror_t *mirror, const char *path) { return mirror_get(mirror, path, NULL, NULL) == ZOK; }

coord_zerr_t mirror_children(const mirror_t *mirror, const char *path, void (*each)(void *user, const char *name),
                             void *user)
{
    const znode_t *node = tree_find(&mirror->tree, bytes_str(path));
    if (!node) return ZNO_NODE;
    for (const znode_t *child = node->first_child; child; child = child->next)
        each(user, (const char *)znode_name(child).ptr); /* the path ends in a NUL, and so does its last part */
    return ZOK;
}

void mirror_subscribe(mirror_t *mirror, coord_subscription_t *subscription)
{
    list_push_back(&mirror->subscriptions, &subscription->node);
}

void mirror_unsubscribe(coord_subscription_t *subscription) { list_remove(&subscription->node); }

/* ---- writing: to the tree's reactor and back --------------------------------------------------------------------------- */

typedef struct submission {
    io_message_t message;
    mirror_t *mirror;
    coord_request_t inner, *outer;
    arena_t arena; /* holds the operations on their way */
    coord_op_t *ops;
    int ops_count;
    coord_zerr_t err;
    int failed_index;
    int64_t zxid;
} submission_t;

static void run_answer(io_message_t *message)
{
    submission_t *s = CONTAINER_OF(message, submission_t, message);
    if (s->mirror->closed) s->err = ZCONNECTION_LOSS;
    s->outer->done(s->outer, s->err, s->failed_index, s->zxid);
    mem_free(s);
}

/* What was applied by now goes first. */
static void submitted(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    submission_t *s = CONTAINER_OF(request, submission_t, inner);
    s->err = err;
    s->failed_index = failed_index;
    s->zxid = zxid;
    s->message.run = run_answer;
    if (s->mirror->feed.changes.len) tell(s->mirror);
    io_post(s->mirror->loop, &s->message);
}

static void run_submission(io_message_t *message)
{
    submission_t *s = CONTAINER_OF(message, submission_t, message);
    coord_submit(s->mirror->feed.coord, s->ops, s->ops_count, &s->inner, submitted);
    arena_deinit(&s->arena);
}

void mirror_submit(mirror_t *mirror, const coord_op_t *ops, int ops_count, coord_request_t *request,
                   void (*done)(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid))
{
    submission_t *s = mem_zalloc(sizeof(*s));
    s->message.run = run_submission;
    s->mirror = mirror;
    s->outer = request;
    request->done = done;
    arena_init(&s->arena, 0);
    s->ops = arena_alloc(&s->arena, sizeof(*ops) * (size_t)MAX(ops_count, 1));
    s->ops_count = ops_count;
    for (int i = 0; i < ops_count; i++) {
        s->ops[i] = ops[i];
        s->ops[i].path = arena_strdup(&s->arena, bytes_str(ops[i].path));
        if (ops[i].data.ptr) s->ops[i].data = bytes_of(arena_strdup(&s->arena, ops[i].data), ops[i].data.len);
    }
    io_post(mirror->feed.loop, &s->message);
}
