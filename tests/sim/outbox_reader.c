/* outbox_reader.c: see outbox_reader.h. Commits are in order, and only one is under way, so whatever is there after a crash is the
 * last answered one or that: an older one that was given again would show. */
#include "outbox_reader.h"

#include <stdio.h>

#define STEP_MS_MAX           30
#define AGAIN_MS              20
#define OFFSET_COMMIT_VERSION 2
#define OFFSET_FETCH_VERSION  1
#define NOTHING_TOLD          (-1)

enum { NONE = 0, COORDINATOR_LOAD_IN_PROGRESS = 14, COORDINATOR_NOT_AVAILABLE = 15 };

static void next_later(reader_t *r) { io_timer_start(&r->timer, 1 + draw(r->run, STEP_MS_MAX), 0); }

/* ---- through Redis ---- */

static void commit_by_redis(reader_t *r)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", r->sent);
    resp_text_put(&r->redis.out, 1, "MULTI");
    resp_text_put(&r->redis.out, 3, "SET", READER_STATE, number);
    resp_text_put(&r->redis.out, 5, "KAFKA.COMMIT", READER_GROUP, r->topic, "0", number);
    resp_text_put(&r->redis.out, 1, "EXEC");
    resp_client_expect(&r->redis, r->sent, 4);
    resp_client_flush(&r->redis);
}

static void on_redis_answered(void *user, int number)
{
    reader_t *r = user;
    r->answered = r->promised = number;
    r->run->acknowledged++;
    next_later(r);
}

/* ---- through Kafka ---- */

static bool comes_again(reader_t *r, int16_t error)
{
    bool again = error == COORDINATOR_LOAD_IN_PROGRESS || error == COORDINATOR_NOT_AVAILABLE;
    CHECK(r->run, again || error == NONE, "the coordinator answers %d", error);
    if (again) io_timer_start(&r->timer, AGAIN_MS, 0);
    return again;
}

static void on_committed(void *user, int64_t number, const void *answer)
{
    reader_t *r = user;
    const kafka_offset_commit_response_t *response = answer;
    if (comes_again(r, response->topics[0].partitions[0].error_code)) return;
    r->answered = (int)number;
    r->run->acknowledged++;
    next_later(r);
}

static void commit_by_kafka(reader_t *r)
{
    kafka_offset_commit_request_partition_t partition = {.committed_offset = r->sent};
    kafka_offset_commit_request_topic_t topic = {
        .name = bytes_str(r->topic), .partitions = &partition, .partitions_count = 1};
    kafka_offset_commit_request_t request = {.group_id = BYTES_LIT(READER_GROUP), .topics = &topic, .topics_count = 1};
    request.generation_id_or_member_epoch = -1; /* a simple consumer */
    request.retention_time_ms = -1;
    kafka_client_ask(&r->kafka, KAFKA_API_OFFSET_COMMIT, OFFSET_COMMIT_VERSION, &request, on_committed, r->sent);
}

/* What OffsetFetch told is what it will find when it looks closer. */
static void take_offset(reader_t *r, int64_t offset)
{
    CHECK(r->run, MAX(offset, 0) >= r->least && offset <= r->sent,
          "OffsetFetch tells %" PRId64 ", of %d sent and %d promised", offset, r->sent, r->least);
    r->told = MAX(offset, 0);
    r->asking = false;
}

static void on_fetched(void *user, int64_t tag, const void *answer)
{
    reader_t *r = user;
    const kafka_offset_fetch_response_t *response = answer;
    const kafka_offset_fetch_response_partition_t *partition = &response->topics[0].partitions[0];
    if (partition->error_code == COORDINATOR_NOT_AVAILABLE && r->least == 0)
        r->asking = false; /* nothing was promised, and there is no topic for it */
    else if (!comes_again(r, partition->error_code))
        take_offset(r, partition->committed_offset);
}

static void fetch_by_kafka(reader_t *r)
{
    int32_t partition = 0;
    kafka_offset_fetch_request_topic_t topic = {
        .name = bytes_str(r->topic), .partition_indexes = &partition, .partition_indexes_count = 1};
    kafka_offset_fetch_request_t request = {.group_id = BYTES_LIT(READER_GROUP), .topics = &topic, .topics_count = 1};
    kafka_client_ask(&r->kafka, KAFKA_API_OFFSET_FETCH, OFFSET_FETCH_VERSION, &request, on_fetched, 0);
}

/* ---- one after the other ---- */

static void on_timer(io_timer_t *timer)
{
    reader_t *r = CONTAINER_OF(timer, reader_t, timer);
    bool again = r->sent > r->answered && !r->by_redis[r->sent]; /* Kafka said so */
    if (r->asking) {
        fetch_by_kafka(r);
        return;
    }
    if (r->sent == READER_COMMITS_MAX || r->kafka.failed || r->redis.failed) return;
    if (!again) r->by_redis[++r->sent] = chance(r->run, 50);
    if (r->by_redis[r->sent])
        commit_by_redis(r);
    else
        commit_by_kafka(r);
}

static void connect_to_kafka(reader_t *r, io_loop_t *loop)
{
    r->kafka.user = r;
    kafka_client_connect(&r->kafka, r->run, loop, r->host, r->kafka_port);
    io_timer_init(loop, &r->timer, on_timer);
}

void reader_ask(reader_t *r, io_loop_t *loop, bool power_lost)
{
    r->least = power_lost ? r->promised : r->answered;
    r->asking = true;
    r->told = NOTHING_TOLD;
    connect_to_kafka(r, loop);
    fetch_by_kafka(r);
}

void reader_start(reader_t *r, io_loop_t *loop)
{
    r->redis.answered = on_redis_answered;
    r->redis.user = r;
    resp_client_connect(&r->redis, r->run, loop, r->host, r->redis_port);
    connect_to_kafka(r, loop);
    next_later(r);
}

void reader_stop(reader_t *r)
{
    if (!r->kafka.stream) return;
    r->asking = false;
    io_timer_stop(&r->timer);
    resp_client_close(&r->redis);
    kafka_client_close(&r->kafka);
}

void reader_deinit(reader_t *r)
{
    reader_stop(r);
    resp_client_deinit(&r->redis);
    kafka_client_deinit(&r->kafka);
}

void reader_check(reader_t *r, int64_t offset, int64_t state)
{
    CHECK(r->run, state >= r->promised, "the state is %" PRId64 ", and %d was answered", state, r->promised);
    CHECK(r->run, offset <= r->sent, "the offset is %" PRId64 ", and %d were sent", offset, r->sent);
    CHECK(r->run, r->told == NOTHING_TOLD || offset == r->told,
          "the offset is %" PRId64 ", and OffsetFetch told %" PRId64, offset, r->told);
    CHECK(r->run, offset >= state, "the offset is %" PRId64 ", behind its state %" PRId64, offset, state);
    bool agree = offset == state || !r->by_redis[offset];
    CHECK(r->run, agree, "the offset is %" PRId64 ", ahead of its state %" PRId64, offset, state);
    r->told = NOTHING_TOLD;
    r->sent = r->answered = (int)offset; /* what is seen is where it goes on */
    r->promised = (int)state;
}
