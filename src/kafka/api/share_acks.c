/* share_acks.c: see share_acks.h. */
#include "kafka/api/share_acks.h"

#include "kafka/share/shares_internal.h"

#define MEMBER_ID_BYTES_MAX 36

bool share_request_names_session(bytes_t group_id, bytes_t member_id)
{
    return group_id.ptr && member_id.len > 0 && member_id.len <= MEMBER_ID_BYTES_MAX;
}

/* ---- as they come ---------------------------------------------------------------------------------------------------- */

void share_acks_init(share_acks_t *acks, kafka_request_t *request, bool says_renews, size_t parts_max)
{
    *acks = (share_acks_t){.request = request,
                           .may_renew = request->header.api_version >= SHARE_VERSION_WITH_RENEW,
                           .says_renews = says_renews,
                           .parts = ARENA_ARRAY(&request->arena, share_acks_part_t, parts_max)};
}

void share_acks_part(share_acks_t *acks, kafka_uuid_t topic_id, int32_t index)
{
    acks->parts[acks->count++] = (share_acks_part_t){.acks = acks, .topic_id = topic_id, .index = index, .last = -1};
}

static bool types_fit(const share_acks_t *acks, const int8_t *types, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        if (types[i] < SHARE_GAP || types[i] > (acks->may_renew ? SHARE_RENEW : SHARE_REJECT)) return false;
        if (types[i] == SHARE_RENEW && !acks->says_renews) return false;
    }
    return true;
}

static void add(share_acks_part_t *part, share_ack_t ack)
{
    share_ack_t *before = part->count ? &part->items[part->count - 1] : NULL;
    if (before && before->last >= ack.first) part->disordered = true; /* two answers to one record */
    if (before && before->last + 1 == ack.first && before->type == ack.type) {
        before->last = ack.last;
        return;
    }
    if (++part->acks->ranges > SHARE_REQUEST_ACKS_MAX) {
        part->error = KAFKA_INVALID_REQUEST;
        return;
    }
    if (part->count == part->cap) {
        part->cap = MAX(8, part->cap * 2);
        share_ack_t *wider = ARENA_ARRAY(&part->acks->request->arena, share_ack_t, part->cap);
        if (part->count) memcpy(wider, part->items, part->count * sizeof(wider[0]));
        part->items = wider;
    }
    part->items[part->count++] = ack;
}

void share_acks_batch(share_acks_t *acks, int64_t first, int64_t last, const int8_t *types, int32_t types_count)
{
    share_acks_part_t *part = &acks->parts[acks->count - 1];
    bool each = types_count > 1;
    if (first > last || first < part->last || types_count <= 0 ||
        (each && (uint64_t)last - (uint64_t)first != (uint64_t)types_count - 1) ||
        !types_fit(acks, types, types_count)) {
        part->error = KAFKA_INVALID_REQUEST;
        return;
    }
    part->last = last;
    if (!each) add(part, (share_ack_t){first, last, (uint8_t)types[0]});
    for (int32_t i = 0; each && i < types_count; i++) add(part, (share_ack_t){first + i, first + i, (uint8_t)types[i]});
}

/* ---- handed in ------------------------------------------------------------------------------------------------------- */

static void end_one(share_acks_t *acks)
{
    ASSERT(acks->waiting > 0);
    if (--acks->waiting == 0) acks->done(acks);
}

static void on_answered(share_answer_t *answer, kafka_code_t error)
{
    share_acks_part_t *part = CONTAINER_OF(answer, share_acks_part_t, answer);
    part->error = error;
    end_one(part->acks);
}

static kafka_code_t find_leader(const share_acks_part_t *part, const share_session_t *session,
                                share_leader_t **ret_leader)
{
    const kafka_t *kafka = part->acks->request->kafka;
    const kafka_topic_t *topic = kafka_topic_by_id(kafka, part->topic_id);
    if (!topic) return KAFKA_UNKNOWN_TOPIC_ID;
    if (part->error) return part->error;
    share_leader_t *leader = share_leader_find(session->group, part->topic_id, part->index);
    if (!leader) return KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
    *ret_leader = leader;
    return part->disordered ? KAFKA_INVALID_RECORD_STATE : KAFKA_NONE;
}

static void run_part(share_acks_part_t *part, const share_session_t *session, const share_settings_t *settings)
{
    share_leader_t *leader;
    share_acks_t *acks = part->acks;
    part->error = find_leader(part, session, &leader);
    if (part->error || part->count == 0) return;
    part->answer.done = on_answered;
    acks->waiting++;
    share_leader_acknowledge(leader, settings, session->number, part->items, part->count, &acks->request->arena,
                             &part->answer);
}

void share_acks_run(share_acks_t *acks, const share_session_t *session, const share_settings_t *settings,
                    void (*done)(share_acks_t *acks))
{
    acks->done = done;
    acks->waiting = 1;
    for (size_t i = 0; i < acks->count; i++) run_part(&acks->parts[i], session, settings);
    end_one(acks);
}
