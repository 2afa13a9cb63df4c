/* op_write.c: the replies of single writes, once they were applied. */
#include "zookeeper/zookeeper_internal.h"

#define Z_RECONFIG_DISABLED (-123)

static bool refused(const zk_call_t *call)
{
    if (call->result->err == ZOK) return false;
    zk__reply_err(call, call->result->err);
    return true;
}

void zk__op_create(const zk_call_t *call)
{
    if (refused(call)) return;
    zk_create_response_t response = {call->result->path};
    ZK_REPLY_RECORD(call, create_response, &response);
}

void zk__op_create2(const zk_call_t *call)
{
    if (refused(call)) return;
    zk_create2_response_t response = {call->result->path, zk__stat(&call->result->stat)};
    ZK_REPLY_RECORD(call, create2_response, &response);
}

void zk__op_delete(const zk_call_t *call)
{
    if (!refused(call)) zk__reply_err(call, ZOK);
}

static void reply_stat(const zk_call_t *call)
{
    if (refused(call)) return;
    zk_stat_response_t response = {zk__stat(&call->result->stat)};
    ZK_REPLY_RECORD(call, stat_response, &response);
}

void zk__op_set_data(const zk_call_t *call) { reply_stat(call); }
void zk__op_set_acl(const zk_call_t *call) { reply_stat(call); }

/* What is only ever part of a multi is refused before it comes here. */
void zk__op_part(const zk_call_t *call) { UNREACHABLE(); }

/* As a standalone original: off unless enabled, and then not for one server. */
void zk__op_reconfig(const zk_call_t *call)
{
    bool enabled = call->zookeeper->config.reconfig;
    zk__reply_err(call, enabled ? call->result->err : Z_RECONFIG_DISABLED);
}
