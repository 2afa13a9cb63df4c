/* decode.c: whether a client's write can be read at all. One that cannot is answered without an entry of the log, so that it takes no zxid,
 * as in the original; but for a multi, whose parts the original reads when it is that request's turn. */
#include "coord/session.h"

#define DECODES(name)                                                                                                  \
    do {                                                                                                               \
        zk_##name##_t record;                                                                                          \
        zk_##name##_get(&r, &record);                                                                                  \
    } while (0)

bool coord_write_decodes(int32_t type, bytes_t body, arena_t *arena)
{
    jute_reader_t r = jute_reader(body, arena);
    switch (type) {
    case ZK_OP_CREATE:
    case ZK_OP_CREATE2:
    case ZK_OP_CREATE_CONTAINER: DECODES(create_request); break;
    case ZK_OP_CREATE_TTL: DECODES(create_ttl_request); break;
    case ZK_OP_DELETE: DECODES(delete_request); break;
    case ZK_OP_DELETE_CONTAINER: DECODES(path_request); break;
    case ZK_OP_SET_DATA: DECODES(set_data_request); break;
    case ZK_OP_SET_ACL: DECODES(set_acl_request); break;
    case ZK_OP_RECONFIG: DECODES(reconfig_request); break;
    default: break;
    }
    return !r.bad;
}
