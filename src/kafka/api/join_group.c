/* join_group.c: JoinGroup: enters a classic group; answered when the join phase ends. */
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_migrate.h"

static void reply_error(kafka_request_t *request, bytes_t member_id, int16_t error)
{
    kafka_join_group_response_t *response = KAFKA_MESSAGE(request, join_group_response);
    response->error_code = error;
    response->member_id = member_id;
    kafka_respond(request, response);
}

static void list_members(kafka_request_t *request, const group_t *group, bytes_t protocol,
                         kafka_join_group_response_t *response)
{
    response->members = kafka_join_group_response_member_array(&request->arena, (int32_t)group->members_count);
    LIST_EACH(&group->members, m, group_member_t, node) {
        kafka_join_group_response_member_t *out = &response->members[response->members_count++];
        out->member_id = m->id;
        out->group_instance_id = m->instance_id;
        out->metadata = group_member_metadata(m, protocol);
    }
}

void kafka_join_group_reply(kafka_request_t *request, const group_t *group, const group_join_reply_t *reply)
{
    kafka_join_group_response_t *response = KAFKA_MESSAGE(request, join_group_response);
    response->error_code = reply->error;
    response->generation_id = reply->generation;
    response->protocol_type = reply->protocol_type;
    response->protocol_name = reply->protocol_name;
    response->leader = reply->leader;
    response->skip_assignment = reply->skip_assignment;
    response->member_id = reply->member_id;
    if (reply->with_members) list_members(request, group, reply->protocol_name, response);
    kafka_respond(request, response);
}

static group_protocol_t *protocols_of(kafka_request_t *request, const kafka_join_group_request_t *asked)
{
    group_protocol_t *protocols = ARENA_ARRAY(&request->arena, group_protocol_t, asked->protocols_count);
    for (int32_t i = 0; i < asked->protocols_count; i++) {
        protocols[i] = (group_protocol_t){asked->protocols[i].name, asked->protocols[i].metadata};
    }
    return protocols;
}

static group_join_t join_of(kafka_request_t *request, const kafka_join_group_request_t *asked)
{
    int16_t version = request->header.api_version;
    bytes_t host = kafka_request_client_host(request);
    const char *client_host = arena_printf(&request->arena, "/%.*s", (int)host.len, (const char *)host.ptr);
    return (group_join_t){
        .member_id = asked->member_id,
        .instance_id = asked->group_instance_id,
        .client_id = request->header.client_id,
        .client_host = bytes_str(client_host),
        .protocol_type = asked->protocol_type,
        .protocols = protocols_of(request, asked),
        .protocols_count = (size_t)asked->protocols_count,
        .session_timeout_ms = asked->session_timeout_ms,
        /* Version 0 knows one timeout only. */
        .rebalance_timeout_ms = version == 0 ? asked->session_timeout_ms : asked->rebalance_timeout_ms,
        .member_id_required = version >= 4,
        .skip_assignment_known = version >= 9,
        .request = request,
    };
}

/* ---- into a group of the consumer protocol ------------------------------------------------------------- */

typedef struct consumer_join {
    groups_write_t write;
    kafka_request_t *request;
    group_entry_t *entry;
    cgroup_join_reply_t reply;
} consumer_join_t;

static void on_written(groups_write_t *write, int16_t error)
{
    consumer_join_t *j = CONTAINER_OF(write, consumer_join_t, write);
    group_entry_t *entry = j->entry;
    record_builder_deinit(&write->records.builder);
    if (error == KAFKA_NONE) {
        group_join_reply_t reply = {
            .generation = j->reply.generation,
            .protocol_type = BYTES_LIT("consumer"),
            .protocol_name = j->reply.protocol_name,
            .leader = BYTES_LIT(""), /* the coordinator assigns */
            .member_id = j->reply.member_id,
        };
        kafka_join_group_reply(j->request, NULL, &reply);
    } else {
        reply_error(j->request, j->reply.member_id, error);
    }
    group_entry_unref(entry);
}

static void write_join(kafka_request_t *request, group_entry_t *entry, const cgroup_join_reply_t *reply)
{
    kafka_groups_t *groups = entry->groups;
    consumer_join_t *j = ARENA_NEW(&request->arena, consumer_join_t);
    *j = (consumer_join_t){.request = request, .entry = entry, .reply = *reply};
    j->reply.member_id = arena_copy(&request->arena, reply->member_id);
    j->reply.protocol_name = arena_copy(&request->arena, reply->protocol_name);
    j->write.records = (group_records_t){RECORD_BUILDER_INIT, groups_now(groups).wall_ms};
    group_entry_ref(entry);
    if (cgroup_records_add(&j->write.records, entry->cgroup)) {
        groups_write(groups, entry->partition, &j->write, on_written);
    } else {
        on_written(&j->write, KAFKA_NONE);
    }
}

static bytes_t new_member_id(kafka_request_t *request)
{
    kafka_uuid_t id;
    io_random(request->kafka->loop, id.bytes, sizeof(id.bytes));
    char *text = arena_alloc(&request->arena, KAFKA_UUID_CHARS + 1);
    kafka_uuid_format(id, text);
    return bytes_str(text);
}

/* What the member reads and owns stands in the first of its protocols, as in all others. */
static int16_t read_subscription(kafka_request_t *request, const group_join_t *join, cgroup_set_t *owned,
                                 cgroup_subscription_t *subscription)
{
    if (join->protocols_count == 0) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    bool is_consumer = bytes_eq(join->protocol_type, BYTES_LIT("consumer"));
    if (!is_consumer) return KAFKA_INCONSISTENT_GROUP_PROTOCOL;
    int err = groups_read_subscription(request->kafka->groups, join->protocols[0].metadata, &request->arena, owned,
                                       subscription);
    return err ? KAFKA_UNKNOWN_SERVER_ERROR : KAFKA_NONE; /* the original does not expect it either */
}

static void join_consumer(kafka_request_t *request, group_entry_t *entry, const group_join_t *join)
{
    cgroup_set_t owned = {0};
    cgroup_subscription_t subscription;
    cgroup_join_reply_t reply = {.member_id = BYTES_LIT("")};
    reply.error = read_subscription(request, join, &owned, &subscription);
    if (reply.error == KAFKA_NONE)
        cgroup_classic_join(entry->cgroup, join, &subscription, new_member_id(request), groups_now(entry->groups),
                            &reply);
    cgroup_set_deinit(&owned);
    bool downgrade = reply.replaced_consumer;
    group_entry_ref(entry);
    if (reply.error == KAFKA_NONE) {
        write_join(request, entry, &reply);
    } else {
        reply_error(request, reply.member_id, reply.error);
    }
    /* The last member of the consumer protocol has been replaced: the others need not join again for that. */
    if (downgrade && !entry->removed && entry->cgroup) groups_downgrade(entry, false);
    groups_settle(entry);
    group_entry_unref(entry);
}

/* ---- the request ------------------------------------------------------------------------------------------- */

void kafka_handle_join_group(kafka_request_t *request)
{
    const kafka_join_group_request_t *asked = request->body;
    kafka_groups_t *groups = request->kafka->groups;
    group_join_t join = join_of(request, asked);
    group_entry_t *entry;
    int16_t error = group_join_check(groups_config(groups), asked->group_id, &join);
    if (error == KAFKA_NONE) error = groups_find(groups, asked->group_id, &entry);
    /* A group begins with a member that has no id yet; who has one speaks of a group that is gone. */
    if (error == KAFKA_NONE && !entry && join.member_id.len > 0) error = KAFKA_UNKNOWN_MEMBER_ID;
    /* Those who have an id are let in all the same: they replace what they brought before. */
    size_t bytes = group_protocols_bytes(join.protocols, join.protocols_count);
    if (error == KAFKA_NONE && join.member_id.len == 0 && !groups_have_room(groups, bytes))
        error = KAFKA_COORDINATOR_NOT_AVAILABLE;
    if (error != KAFKA_NONE) {
        reply_error(request, asked->member_id, error);
        return;
    }
    if (!entry) entry = groups_create(groups, asked->group_id);
    if (entry->cgroup && !groups_become_classic(entry)) {
        join_consumer(request, entry, &join);
        return;
    }
    group_join(entry->group, &join, groups_now(groups));
    groups_settle(entry);
}
