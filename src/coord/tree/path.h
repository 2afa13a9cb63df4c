/* path.h: what a znode's path may look like. */
#ifndef TRIVET_COORD_PATH_H
#define TRIVET_COORD_PATH_H

#include "base/base.h"

/* Absolute, no trailing slash, no empty or relative ("." "..") component, no control or private-use character. "/" is
 * valid, "" is not. As ZooKeeper's PathUtils.validatePath. */
bool path_valid(bytes_t path);
/* The part before the last slash ("" for a child of the root). False when there is no slash or a NUL within. */
bool path_parent(bytes_t path, bytes_t *ret_parent);
static inline bool path_is_root(bytes_t path) { return path.len == 0 || (path.len == 1 && path.ptr[0] == '/'); }
static inline bool path_starts_with(bytes_t path, bytes_t prefix)
{
    return path.len >= prefix.len && memcmp(path.ptr, prefix.ptr, prefix.len) == 0;
}
/* `path` is `prefix` or below it. */
bool path_within(bytes_t path, bytes_t prefix);

#endif
