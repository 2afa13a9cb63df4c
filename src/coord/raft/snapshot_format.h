/* snapshot_format.h: the bytes around a machine's records (drawn in snapshot.h), for the writer and the reader. */
#ifndef TRIVET_COORD_SNAPSHOT_FORMAT_H
#define TRIVET_COORD_SNAPSHOT_FORMAT_H

#define SNAPSHOT_MAGIC            "TRVSNAP1"
#define SNAPSHOT_MAGIC_BYTES      8
#define SNAPSHOT_BLOCK_HEAD_BYTES 8
#define SNAPSHOT_TAIL_BYTES       9 /* tag and count, the last bytes of the file */

enum { SNAPSHOT_TAG_HEAD = 1, SNAPSHOT_TAG_TAIL = 5 };

#endif
