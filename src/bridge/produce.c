/* produce.c: KAFKA.PRODUCE alone: the arguments of a Redis command become one Kafka record, and its place in the log
 * becomes the reply. The record's bytes are copied into the job's arena, because the answer may come later (the topic is
 * being created, or the partition syncs): then the client waits and its arguments are gone. */
#include "base/arena.h"
#include "base/num.h"
#include "bridge/bridge.h"

#include <stdio.h>

#define HEADERS_COUNT_MAX 128

struct bridge {
    redis_t *redis;
    kafka_t *kafka;
};

typedef struct produce_job {
    arena_t arena;
    redis_async_t *async; /* NULL while the command is still running */
    redis_client_t *client;
    bool answered;
} produce_job_t;

static void reply_refused(redis_client_t *client, int16_t error, const char *message)
{
    char text[512];
    snprintf(text, sizeof(text), "%s %.400s", kafka_error_name(error), message ? message : "the record was refused");
    redis_reply_error(client, text);
}

static void reply_place(redis_client_t *client, int32_t partition, int64_t offset)
{
    redis_reply_array(client, 2);
    redis_reply_int(client, partition);
    redis_reply_int(client, offset);
}

static void job_free(produce_job_t *job)
{
    arena_deinit(&job->arena);
    mem_free(job);
}

static void on_produced(void *user, int32_t partition, int64_t offset, int16_t error, const char *message)
{
    produce_job_t *job = user;
    redis_client_t *client = job->async ? redis_async_client(job->async) : job->client;
    if (error != 0)
        reply_refused(client, error, message);
    else
        reply_place(client, partition, offset);
    job->answered = true;
    if (!job->async) return; /* still inside the command, which frees it */
    redis_async_done(job->async);
    job_free(job);
}

/* Reads the options; NULL, or what is wrong with them. */
static const char *parse_record(const redis_call_t *call, arena_t *arena, kafka_produce_t *record)
{
    int last = redis_call_argc(call) - 1;
    kafka_header_t *headers = NULL;
    int64_t partition;
    *record = (kafka_produce_t){.topic = arena_copy(arena, redis_call_arg(call, 1)), .partition = -1, .timestamp_ms = -1};
    for (int i = 2; i < last;) {
        bytes_t option = redis_call_arg(call, i);
        if (bytes_eq_nocase(option, BYTES_LIT("PARTITION")) && i + 1 < last) {
            if (!num_parse_i64(redis_call_arg(call, i + 1), &partition) || partition < 0 || partition > INT32_MAX)
                return "ERR partition is not an integer or out of range";
            record->partition = (int32_t)partition;
            i += 2;
        } else if (bytes_eq_nocase(option, BYTES_LIT("KEY")) && i + 1 < last) {
            record->key = arena_copy(arena, redis_call_arg(call, i + 1));
            i += 2;
        } else if (bytes_eq_nocase(option, BYTES_LIT("HEADER")) && i + 2 < last) {
            if (!headers) headers = ARENA_ARRAY(arena, kafka_header_t, HEADERS_COUNT_MAX);
            if (record->headers_count == HEADERS_COUNT_MAX) return "ERR too many headers (128 at most)";
            headers[record->headers_count++] = (kafka_header_t){
                .key = arena_copy(arena, redis_call_arg(call, i + 1)),
                .value = arena_copy(arena, redis_call_arg(call, i + 2)),
            };
            i += 3;
        } else {
            return "ERR syntax error";
        }
    }
    record->headers = headers;
    record->value = arena_copy(arena, redis_call_arg(call, last));
    return NULL;
}

static void on_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    kafka_produce_t record;
    produce_job_t *job = mem_zalloc(sizeof(*job));
    arena_init(&job->arena, 0);
    job->client = redis_call_client(call);
    const char *problem = parse_record(call, &job->arena, &record);
    if (problem) {
        redis_reply_error(job->client, problem);
        job_free(job);
        return;
    }
    kafka_produce_record(bridge->kafka, &record, on_produced, job);
    if (job->answered) {
        job_free(job);
        return;
    }
    job->async = redis_async(call);
    ASSERT(job->async != NULL); /* the flag no-multi keeps it out of MULTI */
}

bridge_t *bridge_new(redis_t *redis, kafka_t *kafka)
{
    bridge_t *bridge = mem_zalloc(sizeof(*bridge));
    *bridge = (bridge_t){.redis = redis, .kafka = kafka};
    redis_extra_command_t produce = {
        .name = "KAFKA.PRODUCE",
        .arity = -3,
        .flags = "write,denyoom,fast,no-multi",
        .summary = "Appends a record to a Kafka topic.",
        .since = "0.1.0",
        .group = "kafka",
        .handler = on_command,
        .user = bridge,
    };
    redis_register_command(redis, &produce);
    return bridge;
}

void bridge_free(bridge_t *bridge) { mem_free(bridge); }
