/* acl.h: access lists: shared copies of them, who may do what, and how a requested list becomes a stored one.
 *
 * Most nodes share very few lists, so each distinct list exists once, counted by the nodes that point to it. The
 * identities of a requester come with its request (a connection's ip, the digests it proved, "super"). */
#ifndef TRIVET_COORD_ACL_H
#define TRIVET_COORD_ACL_H

#include "base/map.h"
#include "coord/session.h"

enum { ACL_READ = 1, ACL_WRITE = 2, ACL_CREATE = 4, ACL_DELETE = 8, ACL_ADMIN = 16, ACL_ALL = 31 };

typedef struct acl {
    uint32_t number; /* its name in a snapshot */
    uint32_t refs;
    int world_perms; /* what world:anyone may do: decides nearly every check */
    int32_t count;
    zk_acl_t *entries; /* points into `wire` */
    bytes_t wire;      /* the entries as a Jute vector: the key in the table */
    /* The same, for checks: a list may be long, and each watch of its node is checked by it. */
    map_t digests; /* id -> what it may do */
    struct acl_ip *ips;
    int32_t ips_count;
} acl_t;

typedef struct acls {
    map_t by_wire;
    uint32_t last_number;
} acls_t;

void acls_init(acls_t *acls);
void acls_deinit(acls_t *acls);
/* The shared copy of a list, with one more reference. */
acl_t *acl_intern(acls_t *acls, const zk_acl_t *entries, int32_t count);
acl_t *acl_ref(acl_t *acl);
void acl_unref(acls_t *acls, acl_t *acl);

/* One of `perms` is granted. */
bool acl_allows(const acl_t *acl, int perms, coord_who_t who);
/* Makes the list that is stored of the one a client asked for: duplicates dropped, `auth` replaced by the requester's
 * proved identities, schemes and ids checked. False = InvalidACL. The result is in `arena`. */
bool acl_fix(const zk_acl_t *asked, int32_t count, coord_who_t who, arena_t *arena, zk_acl_t **ret_entries,
             int32_t *ret_count);

#endif
