/* tree_records.h: the tree's records in a snapshot (coord/raft/snapshot.h): session…, acl…, node…, each 1 byte tag and a Jute record
 * of schema/zookeeper/records.schema. A snapshot's revision is the zxid, and it counts nodes. */
#ifndef TRIVET_COORD_TREE_RECORDS_H
#define TRIVET_COORD_TREE_RECORDS_H

#define TREE_NODE_BYTES_MIN 74 /* of a node's record */

enum { TREE_TAG_SESSION = 2, TREE_TAG_ACL, TREE_TAG_NODE };

#endif
