/* produce.c: KAFKA.PRODUCE. Two ways: a record alone goes straight into its partition; one in a transaction or script,
 * with ONCE or with AT goes through the outbox. */
#include "bridge/far.h"

#include "base/num.h"

#include <stdio.h>

void produce__reply_place(redis_client_t *client, int32_t partition, int64_t offset)
{
    redis_reply_array(client, 2);
    redis_reply_int(client, partition);
    redis_reply_int(client, offset);
}

/* ---- through the outbox ---- */

/* The key's value is the record's number, which it has by now: a change feed may take the next for the key. */
static void set_once(redis_call_t *call, const produce_args_t *args, int64_t number)
{
    char digits[NUM_I64_CHARS_MAX];
    bytes_t value = bytes_of(digits, num_format_i64(digits, number));
    redis_set_until(call, args->once_key, value, redis_call_now_ms(call) + args->once_seconds * 1000);
}

static void produce_outbox(bridge_t *bridge, redis_call_t *call, produce_args_t *args)
{
    redis_client_t *client = redis_call_client(call);
    if (args->once_seconds && redis_key_exists(call, args->once_key)) {
        redis_reply_null(client);
        return;
    }
    bool delayed = args->at_ms > redis_call_now_ms(call);
    args->record.timestamp_ms = redis_call_now_ms(call);
    bool partition_asked = args->record.partition >= 0;
    args->record.partition = kafka_produce_choose(bridge->catalog, &args->record);
    outbox_record_t *r = outbox_record_new(&args->record);
    r->partition_asked = partition_asked;
    r->due_ms = delayed ? args->at_ms : 0;
    r->added_ms = args->record.timestamp_ms;
    outbox_add(bridge, r);
    if (!delayed) topic_promise(bridge, r->record.topic);
    journal_add(bridge, call, r);
    if (args->once_seconds) set_once(call, args, r->number);
    if (!delayed && redis_client_id(client)) {
        r->client_id = redis_client_id(client);
        waiters_added(bridge, r->client_id);
    }
    bool waits = args->once_seconds && !args->at_ms && redis_call_may_wait(call);
    if (waits)
        r->async = redis_async(call);
    else
        redis_reply_int(client, r->number);
}

/* ---- the command ---- */

/* Neither ONCE nor AT: its answer is its place, as that of those before it. What is wrong with it, the command says later. */
bool produce_follows(int argc, const bytes_t *argv)
{
    for (int i = 2; i + 1 < argc; i += 2) {
        if (bytes_eq_nocase(argv[i], BYTES_LIT("HEADER")))
            i++;
        else if (!bytes_eq_nocase(argv[i], BYTES_LIT("KEY")) && !bytes_eq_nocase(argv[i], BYTES_LIT("PARTITION")))
            return false;
    }
    return true;
}

const char *produce_precondition(int argc, const bytes_t *argv, redis_question_t *question, void *user)
{
    produce_args_t args;
    bridge__update(user);
    const char *problem = record__check(user, argc, argv, false, &args);
    if (!problem) topic_promise(user, args.record.topic);
    return problem;
}

void produce_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    produce_args_t args;
    bytes_t argv_few[16], *argv = argv_few;
    int argc = redis_call_argc(call);
    if (argc > (int)ARRAY_LEN(argv_few)) argv = mem_alloc(sizeof(*argv) * (size_t)argc);
    for (int i = 0; i < argc; i++) argv[i] = redis_call_arg(call, i);
    bridge__update(bridge);
    bool asked = redis_call_was_asked(call);
    const char *problem =
        asked ? record__parse(argc, argv, &args) : record__check(bridge, argc, argv, redis_call_is_midway(call), &args);
    if (problem)
        straight_refuse(bridge, call, problem);
    else if (redis_call_may_wait(call) && !args.once_seconds && !args.at_ms)
        straight_produce(bridge, call, &args.record);
    else
        produce_outbox(bridge, call, &args);
    if (argv != argv_few) mem_free(argv);
}
