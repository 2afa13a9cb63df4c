/* group_apis.h: the handlers of the group APIs, one file each, and what they share. Rows of apis.c. */
#ifndef TRIVET_KAFKA_API_GROUP_APIS_H
#define TRIVET_KAFKA_API_GROUP_APIS_H

#include "kafka/coordinator/groups.h"
#include "kafka/kafka_internal.h"

/* X(api key, handler, flags) */
#define KAFKA_GROUP_HANDLERS(X)                                                                                        \
    X(KAFKA_API_OFFSET_COMMIT, kafka_handle_offset_commit, KAFKA_HANDLER_LASTS)                                        \
    X(KAFKA_API_OFFSET_FETCH, kafka_handle_offset_fetch, KAFKA_HANDLER_LASTS)                                          \
    X(KAFKA_API_FIND_COORDINATOR, kafka_handle_find_coordinator, KAFKA_HANDLER_LASTS)                                  \
    X(KAFKA_API_JOIN_GROUP, kafka_handle_join_group, KAFKA_HANDLER_BORROWS)                                            \
    X(KAFKA_API_HEARTBEAT, kafka_handle_heartbeat, KAFKA_HANDLER_BORROWS)                                              \
    X(KAFKA_API_LEAVE_GROUP, kafka_handle_leave_group, KAFKA_HANDLER_BORROWS)                                          \
    X(KAFKA_API_SYNC_GROUP, kafka_handle_sync_group, KAFKA_HANDLER_BORROWS)                                            \
    X(KAFKA_API_DESCRIBE_GROUPS, kafka_handle_describe_groups, KAFKA_HANDLER_LASTS)                                    \
    X(KAFKA_API_LIST_GROUPS, kafka_handle_list_groups, KAFKA_HANDLER_LASTS)                                            \
    X(KAFKA_API_DELETE_GROUPS, kafka_handle_delete_groups, KAFKA_HANDLER_LASTS)                                        \
    X(KAFKA_API_OFFSET_DELETE, kafka_handle_offset_delete, KAFKA_HANDLER_LASTS)                                        \
    X(KAFKA_API_CONSUMER_GROUP_HEARTBEAT, kafka_handle_consumer_group_heartbeat, KAFKA_HANDLER_BORROWS)                \
    X(KAFKA_API_CONSUMER_GROUP_DESCRIBE, kafka_handle_consumer_group_describe, KAFKA_HANDLER_LASTS)                    \
    X(KAFKA_API_SHARE_GROUP_HEARTBEAT, kafka_handle_share_group_heartbeat, KAFKA_HANDLER_BORROWS)                      \
    X(KAFKA_API_SHARE_GROUP_DESCRIBE, kafka_handle_share_group_describe, KAFKA_HANDLER_LASTS)                          \
    X(KAFKA_API_DESCRIBE_SHARE_GROUP_OFFSETS, kafka_handle_describe_share_group_offsets, KAFKA_HANDLER_LASTS)          \
    X(KAFKA_API_ALTER_SHARE_GROUP_OFFSETS, kafka_handle_alter_share_group_offsets, KAFKA_HANDLER_LASTS)                \
    X(KAFKA_API_DELETE_SHARE_GROUP_OFFSETS, kafka_handle_delete_share_group_offsets, KAFKA_HANDLER_LASTS)              \
    X(KAFKA_API_INITIALIZE_SHARE_GROUP_STATE, kafka_handle_initialize_share_group_state, KAFKA_HANDLER_LASTS)          \
    X(KAFKA_API_READ_SHARE_GROUP_STATE, kafka_handle_read_share_group_state, KAFKA_HANDLER_LASTS)                      \
    X(KAFKA_API_WRITE_SHARE_GROUP_STATE, kafka_handle_write_share_group_state, KAFKA_HANDLER_LASTS)                    \
    X(KAFKA_API_DELETE_SHARE_GROUP_STATE, kafka_handle_delete_share_group_state, KAFKA_HANDLER_LASTS)                  \
    X(KAFKA_API_READ_SHARE_GROUP_STATE_SUMMARY, kafka_handle_read_share_group_state_summary, KAFKA_HANDLER_LASTS)

#define X(key, handler, flags) void handler(kafka_request_t *request);
KAFKA_GROUP_HANDLERS(X)
#undef X

#endif
