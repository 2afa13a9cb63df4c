/* quota.c: see quota.h. Costs one comparison a write while nobody uses quotas. */
#include "coord/tree/quota.h"

#include "base/buf.h"
#include "coord/tree/path.h"

#include <stdio.h>
#include <stdlib.h>

#define LIMITS_NAME "zookeeper_limits"
#define STATS_NAME  "zookeeper_stats"

static const int set_marker; /* any address that is not NULL: the map is used as a set */

static int64_t parse_number(const char *text, size_t len)
{
    char copy[24];
    if (len == 0 || len >= sizeof(copy)) return -1;
    memcpy(copy, text, len);
    copy[len] = '\0';
    char *end;
    long long v = strtoll(copy, &end, 10);
    return *end == '\0' ? v : -1;
}

quota_track_t quota_parse(bytes_t text)
{
    quota_track_t track = {-1, -1, -1, -1};
    const char *p = (const char *)text.ptr, *end = p + text.len;
    while (p < end) {
        const char *stop = p;
        while (stop < end && *stop != ',' && *stop != ';') stop++;
        const char *equals = memchr(p, '=', (size_t)(stop - p));
        if (equals) {
            const char *value_end = memchr(equals + 1, '=', (size_t)(stop - equals - 1)); /* "bytes=1=;..." */
            int64_t v = parse_number(equals + 1, (size_t)((value_end ? value_end : stop) - equals - 1));
            bytes_t name = bytes_of(p, (size_t)(equals - p));
            if (bytes_eq(name, BYTES_LIT("count"))) track.count = v;
            if (bytes_eq(name, BYTES_LIT("bytes"))) track.bytes = v;
            if (bytes_eq(name, BYTES_LIT("countHardLimit"))) track.count_hard = v;
            if (bytes_eq(name, BYTES_LIT("byteHardLimit"))) track.bytes_hard = v;
        }
        p = stop + 1;
    }
    return track;
}

bytes_t quota_covering(const quotas_t *quotas, bytes_t path)
{
    if (quotas->limited.count == 0) return BYTES_NULL;
    while (path.len > 1) {
        if (map_get(&quotas->limited, path)) return path;
        if (!path_parent(path, &path)) break;
    }
    return BYTES_NULL;
}

static znode_t *quota_node(const tree_t *tree, bytes_t prefix, const char *name)
{
    buf_t path = BUF_INIT;
    buf_printf(&path, QUOTA_ROOT "%.*s/%s", (int)prefix.len, prefix.ptr, name);
    znode_t *node = tree_find(tree, buf_bytes(&path));
    buf_deinit(&path);
    return node;
}

bool quota_exceeded(const quotas_t *quotas, const tree_t *tree, bytes_t path, int64_t count, int64_t bytes)
{
    bytes_t prefix = quota_covering(quotas, path);
    if (prefix.len == 0) return false;
    znode_t *limits = quota_node(tree, prefix, LIMITS_NAME), *stats = quota_node(tree, prefix, STATS_NAME);
    if (!limits || !stats) return false;
    quota_track_t limit = quota_parse(znode_data(limits)), used = quota_parse(znode_data(stats));
    if (count != 0 && limit.count_hard > -1 && used.count + count > limit.count_hard) return true;
    return bytes != 0 && limit.bytes_hard > -1 && used.bytes + bytes > limit.bytes_hard;
}

static void set_stats(tree_t *tree, znode_t *node, int64_t count, int64_t bytes)
{
    char text[64];
    int len = snprintf(text, sizeof(text), "count=%" PRId64 ",bytes=%" PRId64, count, bytes);
    mem_free(tree_swap_data(tree, node, tree_copy_data(bytes_of(text, (size_t)len)), (uint32_t)len));
}

static void add_to_stats(const quotas_t *quotas, tree_t *tree, bytes_t path, int64_t count, int64_t bytes,
                         quota_touch_cb touch, void *user)
{
    bytes_t prefix = quota_covering(quotas, path);
    if (prefix.len == 0) return;
    znode_t *stats = quota_node(tree, prefix, STATS_NAME);
    if (!stats) return;
    quota_track_t used = quota_parse(znode_data(stats));
    touch(user, stats);
    set_stats(tree, stats, used.count + count, used.bytes + bytes);
}

/* Sums up everything at and below the path whose statistics node was just made. */
static void count_subtree(tree_t *tree, bytes_t path, znode_t *stats, quota_touch_cb touch, void *user)
{
    const znode_t *top = path.len == 0 ? NULL : tree_find(tree, path);
    int64_t count = 0, bytes = 0;
    for (const znode_t *node = top; node && path_within(znode_path(node), path); node = tree_next(node)) {
        count++;
        bytes += node->data_bytes;
    }
    touch(user, stats);
    set_stats(tree, stats, count, bytes);
}

/* "/zookeeper/quota/a/b/zookeeper_limits" -> "/a/b". */
static bool quota_target(bytes_t path, const char *name, bytes_t *ret_target)
{
    bytes_t root = BYTES_LIT(QUOTA_ROOT), tail = bytes_str(name);
    if (path.len < root.len + 1 + tail.len || !path_starts_with(path, root)) return false;
    if (!bytes_eq(bytes_of(path.ptr + path.len - tail.len, tail.len), tail)) return false;
    if (path.ptr[path.len - tail.len - 1] != '/') return false;
    *ret_target = bytes_of(path.ptr + root.len, path.len - root.len - tail.len - 1);
    return true;
}

void quota_created(quotas_t *quotas, tree_t *tree, const znode_t *node, int64_t bytes, quota_touch_cb touch, void *user)
{
    bytes_t target;
    if (quota_target(znode_path(node), LIMITS_NAME, &target)) map_put(&quotas->limited, target, (void *)&set_marker);
    if (quota_target(znode_path(node), STATS_NAME, &target)) count_subtree(tree, target, (znode_t *)node, touch, user);
    if (quotas->limited.count > 0) add_to_stats(quotas, tree, znode_path(node), 1, bytes, touch, user);
}

void quota_deleted(quotas_t *quotas, tree_t *tree, const znode_t *node, int64_t bytes, quota_touch_cb touch, void *user)
{
    if (quotas->limited.count == 0) return;
    bytes_t target;
    if (quota_target(znode_path(node), LIMITS_NAME, &target)) map_remove(&quotas->limited, target);
    add_to_stats(quotas, tree, znode_path(node), -1, -bytes, touch, user);
}

void quota_changed(quotas_t *quotas, tree_t *tree, bytes_t path, int64_t bytes, quota_touch_cb touch, void *user)
{
    if (quotas->limited.count > 0 && bytes != 0) add_to_stats(quotas, tree, path, 0, bytes, touch, user);
}

void quota_rebuild(quotas_t *quotas, tree_t *tree)
{
    map_deinit(&quotas->limited);
    const znode_t *top = tree_find(tree, BYTES_LIT(QUOTA_ROOT));
    for (const znode_t *node = top; node && path_within(znode_path(node), BYTES_LIT(QUOTA_ROOT));
         node = tree_next(node)) {
        bytes_t target;
        if (quota_target(znode_path(node), LIMITS_NAME, &target))
            map_put(&quotas->limited, target, (void *)&set_marker);
    }
}
