/* quota.h: the limits below /zookeeper/quota, as ZooKeeper keeps them.
 *
 * A quota on PATH is the node /zookeeper/quota/PATH/zookeeper_limits ("count=N,bytes=M[=;byteHardLimit=..;countHardLimit=..]");
 * beside it zookeeper_stats holds what is used. The deepest quota on a path counts. Soft limits only tell; hard ones
 * refuse, when enforced. */
#ifndef TRIVET_COORD_QUOTA_H
#define TRIVET_COORD_QUOTA_H

#include "base/map.h"
#include "coord/tree/tree.h"

#define QUOTA_ROOT "/zookeeper/quota"

typedef struct quotas {
    map_t limited; /* paths that have a quota */
} quotas_t;

typedef struct quota_track { /* -1 = not set */
    int64_t count, bytes, count_hard, bytes_hard;
} quota_track_t;

quota_track_t quota_parse(bytes_t text);
/* The deepest path at or above `path` that has a quota; empty when there is none. */
bytes_t quota_covering(const quotas_t *quotas, bytes_t path);
/* Would `count` more nodes and `bytes` more of data break a hard limit? */
bool quota_exceeded(const quotas_t *quotas, const tree_t *tree, bytes_t path, int64_t count, int64_t bytes);

/* After a node came, went or changed by `bytes`: keeps the statistics and the set of limits. `touch` runs before a
 * statistics node is changed. */
typedef void (*quota_touch_cb)(void *user, znode_t *node);
void quota_created(quotas_t *quotas, tree_t *tree, const znode_t *node, int64_t bytes, quota_touch_cb touch,
                   void *user);
void quota_deleted(quotas_t *quotas, tree_t *tree, const znode_t *node, int64_t bytes, quota_touch_cb touch,
                   void *user);
void quota_changed(quotas_t *quotas, tree_t *tree, bytes_t path, int64_t bytes, quota_touch_cb touch, void *user);
/* After a snapshot was loaded: finds the limits anew. */
void quota_rebuild(quotas_t *quotas, tree_t *tree);

#endif
