/* tree_snapshot.c: the tree's records into a snapshot. See tree_snapshot.h; loading is in tree_loader.c. Called by snapshots.c. */
#include "coord/service/tree_snapshot.h"

#include "coord/service/tree_records.h"

struct tree_snapshot {
    state_t *state;
    snapshot_writer_t *writer;
    uint64_t nodes;
};

#define PUT_RECORD(writer, tag, type, record)                                                                          \
    do {                                                                                                               \
        size_t size_ = zk_##type##_size(record);                                                                       \
        buf_t *block_ = snapshot_writer_block(writer);                                                                 \
        uint8_t *at_ = buf_reserve(block_, 1 + size_);                                                                 \
        *at_ = (tag);                                                                                                  \
        zk_##type##_put(at_ + 1, record);                                                                              \
        block_->len += 1 + size_;                                                                                      \
        snapshot_writer_next(writer);                                                                                  \
    } while (0)

static void put_node(tree_snapshot_t *s, const znode_t *node)
{
    zk_snapshot_node_t record = {znode_path(node), znode_data(node), (int32_t)node->acl->number,
                                 node->czxid,      node->mzxid,      node->pzxid,
                                 node->ctime_ms,   node->mtime_ms,   node->version,
                                 node->cversion,   node->aversion,   node->owner};
    PUT_RECORD(s->writer, TREE_TAG_NODE, snapshot_node, &record);
    s->nodes++;
}

static void touch(state_t *state, znode_t *node) { put_node(state->snapshot_user, node); }

static void put_tables(tree_snapshot_t *s)
{
    const state_t *state = s->state;
    size_t cursor = 0;
    for (session_t *session; (session = sessions_next(&state->sessions, &cursor));) {
        zk_snapshot_session_t record = {session->id, session->timeout_ms, bytes_of(session->passwd, COORD_PASSWD_BYTES),
                                        session->own_server};
        PUT_RECORD(s->writer, TREE_TAG_SESSION, snapshot_session, &record);
    }
    cursor = 0;
    for (map_entry_t *e; (e = map_next(&state->tree.acls.by_wire, &cursor));) {
        const acl_t *acl = e->value;
        zk_snapshot_acl_t record = {(int32_t)acl->number, acl->entries, acl->count};
        PUT_RECORD(s->writer, TREE_TAG_ACL, snapshot_acl, &record);
    }
}

tree_snapshot_t *tree_snapshot_begin(state_t *state, snapshot_writer_t *writer)
{
    ASSERT(!state->snapshotting);
    tree_snapshot_t *s = mem_zalloc(sizeof(*s));
    s->state = state;
    s->writer = writer;
    snapshot_writer_head(writer, state->zxid, state->time_ms);
    put_tables(s);
    state->snapshot++;
    state->snapshotting = true;
    state->snapshot_cursor = state->tree.root;
    state->snapshot_touch = touch;
    state->snapshot_user = s;
    return s;
}

int tree_snapshot_step(tree_snapshot_t *s, size_t bytes)
{
    state_t *state = s->state;
    uint64_t until = snapshot_writer_bytes(s->writer) + bytes;
    int err = snapshot_writer_err(s->writer);
    while (!err && state->snapshot_cursor && snapshot_writer_bytes(s->writer) < until) {
        znode_t *node = state->snapshot_cursor;
        state->snapshot_cursor = tree_next(node);
        if (node->snapshot == state->snapshot) continue;
        put_node(s, node);
        node->snapshot = state->snapshot;
        err = snapshot_writer_err(s->writer);
    }
    if (err) return err;
    if (state->snapshot_cursor) return 0;
    state->snapshotting = false;
    err = snapshot_writer_tail(s->writer, s->nodes);
    return err ? err : 1;
}

void tree_snapshot_end(tree_snapshot_t *s)
{
    if (!s) return;
    ASSERT(s->state->snapshot_user == s);
    s->state->snapshotting = false;
    s->state->snapshot_user = NULL;
    mem_free(s);
}
