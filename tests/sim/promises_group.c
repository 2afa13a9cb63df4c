/* promises_group.c: see promises_group.h. It joins, takes what the leader of one member gives itself, reads how far its partition was
 * read, as any consumer does, and after a while joins anew: as the same member, or as another one while the old is thrown out. */
#include "promises_group.h"

#include <stdio.h>

#define JOIN_VERSION          3 /* the last that needs no id of before */
#define SYNC_VERSION          2
#define OFFSET_FETCH_VERSION  4
#define AGAIN_MS              5
#define GENERATION_MS_MAX     20
#define SESSION_MS            6000
#define REBALANCE_MS          40 /* who does not come back within it is thrown out */
#define NEW_MEMBER_PERCENT    10
#define LOAD_IN_PROGRESS      14
#define NOT_AVAILABLE         15
#define NOT_COORDINATOR       16
#define ILLEGAL_GENERATION    22
#define UNKNOWN_MEMBER_ID     25
#define REBALANCE_IN_PROGRESS 27

/* ---- OffsetFetch ---- */

void offset_ask(kafka_client_t *client, const char *group, const char *topic, kafka_answered_t *answered, int64_t tag)
{
    int32_t partition = 0;
    kafka_offset_fetch_request_topic_t of_topic = {
        .name = bytes_str(topic), .partition_indexes = &partition, .partition_indexes_count = 1};
    kafka_offset_fetch_request_t request = {.group_id = bytes_str(group), .topics = &of_topic, .topics_count = 1};
    kafka_client_ask(client, KAFKA_API_OFFSET_FETCH, OFFSET_FETCH_VERSION, &request, answered, tag);
}

int64_t offset_told(run_t *run, const void *answer)
{
    const kafka_offset_fetch_response_t *response = answer;
    int16_t error = response->error_code;
    if (!error && response->topics_count == 1) error = response->topics[0].partitions[0].error_code;
    if (error == LOAD_IN_PROGRESS || error == NOT_AVAILABLE || error == NOT_COORDINATOR) return OFFSET_NOT_TOLD;
    CHECK(run, error == 0 && response->topics_count == 1, "OffsetFetch is answered %d", error);
    return response->topics[0].partitions[0].committed_offset;
}

/* ---- generations ---- */

static void again_later(group_member_t *m) { io_timer_start(&m->timer, AGAIN_MS, 0); }

static void on_read(void *user, int64_t generation, const void *answer)
{
    group_member_t *m = user;
    int64_t offset = offset_told(m->run, answer);
    if (offset == OFFSET_NOT_TOLD) {
        again_later(m);
        return;
    }
    m->read[generation] = offset;
    m->began(m->user, (int32_t)generation, offset);
    io_timer_start(&m->timer, 1 + draw(m->run, GENERATION_MS_MAX), 0);
}

static void read_offset(group_member_t *m) { offset_ask(&m->kafka, m->group, m->topic, on_read, m->generation); }

static void forget(group_member_t *m, int16_t error)
{
    m->generation = 0;
    if (error == UNKNOWN_MEMBER_ID) m->id[0] = '\0';
    bool known = error == UNKNOWN_MEMBER_ID || error == ILLEGAL_GENERATION || error == REBALANCE_IN_PROGRESS ||
                 error == LOAD_IN_PROGRESS || error == NOT_AVAILABLE || error == NOT_COORDINATOR;
    CHECK(m->run, known, "the coordinator answers a member %d", error);
    again_later(m);
}

static void on_synced(void *user, int64_t generation, const void *answer)
{
    group_member_t *m = user;
    const kafka_sync_group_response_t *response = answer;
    if (response->error_code)
        forget(m, response->error_code);
    else
        read_offset(m);
}

static void sync(group_member_t *m)
{
    kafka_sync_group_request_assignment_t all = {.member_id = bytes_str(m->id), .assignment = BYTES_LIT("all")};
    kafka_sync_group_request_t request = {.group_id = bytes_str(m->group),
                                          .generation_id = m->generation,
                                          .member_id = bytes_str(m->id),
                                          .assignments = &all,
                                          .assignments_count = 1};
    kafka_client_ask(&m->kafka, KAFKA_API_SYNC_GROUP, SYNC_VERSION, &request, on_synced, m->generation);
}

static void on_joined(void *user, int64_t tag, const void *answer)
{
    group_member_t *m = user;
    const kafka_join_group_response_t *response = answer;
    if (response->error_code) {
        forget(m, response->error_code);
        return;
    }
    CHECK(m->run, response->generation_id > m->now.generation && response->generation_id < GENERATIONS_MAX,
          "generation %d follows %d", response->generation_id, m->now.generation);
    CHECK(m->run, bytes_eq(response->leader, response->member_id), "somebody else leads");
    snprintf(m->id, sizeof(m->id), "%.*s", (int)response->member_id.len, (const char *)response->member_id.ptr);
    m->generation = response->generation_id;
    m->before = m->now;
    m->now.generation = m->generation;
    memcpy(m->now.id, m->id, sizeof(m->id));
    scenario_note(m->run, "generation %d of %s", m->generation, m->id);
    sync(m);
}

static void join(group_member_t *m)
{
    kafka_join_group_request_protocol_t protocol = {.name = BYTES_LIT("range"), .metadata = BYTES_LIT("")};
    kafka_join_group_request_t request = {.group_id = bytes_str(m->group),
                                          .session_timeout_ms = SESSION_MS,
                                          .rebalance_timeout_ms = REBALANCE_MS,
                                          .member_id = bytes_str(m->id),
                                          .protocol_type = BYTES_LIT("consumer"),
                                          .protocols = &protocol,
                                          .protocols_count = 1};
    m->generation = 0;
    kafka_client_ask(&m->kafka, KAFKA_API_JOIN_GROUP, JOIN_VERSION, &request, on_joined, 0);
}

static void on_timer(io_timer_t *timer)
{
    group_member_t *m = CONTAINER_OF(timer, group_member_t, timer);
    if (m->kafka.failed || m->now.generation == GENERATIONS_MAX - 1) return;
    if (m->generation > 0 && m->read[m->generation] == OFFSET_NOT_TOLD) { /* it waits for offsets that are under way */
        read_offset(m);
        return;
    }
    if (chance(m->run, NEW_MEMBER_PERCENT)) m->id[0] = '\0';
    join(m);
}

void group_member_start(group_member_t *m, run_t *run, io_loop_t *loop, const char *host, uint16_t port)
{
    m->run = run;
    m->id[0] = '\0';
    m->generation = 0;
    m->now = m->before = (membership_t){0};
    for (int i = 0; i < GENERATIONS_MAX; i++) m->read[i] = OFFSET_NOT_TOLD;
    m->kafka.user = m;
    kafka_client_connect(&m->kafka, run, loop, host, port);
    io_timer_init(loop, &m->timer, on_timer);
    join(m);
}

void group_member_stop(group_member_t *m)
{
    io_timer_stop(&m->timer);
    kafka_client_close(&m->kafka);
}
