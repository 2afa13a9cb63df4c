/* snapshot_format.h: the bytes of a snapshot (drawn in snapshot.h), for its writer and its loader. */
#ifndef TRIVET_COORD_SNAPSHOT_FORMAT_H
#define TRIVET_COORD_SNAPSHOT_FORMAT_H

#define SNAPSHOT_MAGIC            "TRVSNAP1"
#define SNAPSHOT_MAGIC_BYTES      8
#define SNAPSHOT_BLOCK_HEAD_BYTES 8
#define SNAPSHOT_BLOCK_BYTES_AIM  KIB(128) /* a block is closed above */
#define SNAPSHOT_BLOCK_BYTES_MAX  MIB(64)  /* one record may be large, as large as an entry of the log */
#define SNAPSHOT_NODE_BYTES_MIN   74       /* of a node's record */
#define SNAPSHOT_TAIL_BYTES       9        /* tag and count, the last bytes of the file */

enum { TAG_HEAD = 1, TAG_SESSION, TAG_ACL, TAG_NODE, TAG_TAIL };

#endif
