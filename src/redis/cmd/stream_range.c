/* stream_range.c: XLEN, XRANGE and XREVRANGE: a stream read from one ID to another. */
#include "redis/cmd/stream.h"

#include "redis_commands.h"

void redis_cmd_xlen(redis_call_t *call)
{
    redis_entry_t *entry;
    if (!key_read_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    reply_int(call->client, entry ? (int64_t)((stream_t *)entry_value(entry))->length : 0);
}

/* COUNT n, any number of times: the last one counts; -1 = not given. */
static bool parse_count(redis_call_t *call, int64_t *ret_count)
{
    *ret_count = -1;
    for (int i = 4; i < call->argc; i += 2) {
        if (!arg_is(call, i, "COUNT") || i + 1 == call->argc) {
            reply_error_syntax(call->client);
            return false;
        }
        if (!arg_i64(call, i + 1, ret_count)) return false;
        if (*ret_count < 0) *ret_count = 0;
    }
    return true;
}

static void range(redis_call_t *call, bool backwards)
{
    redis_entry_t *entry;
    stream_id_t from, to;
    int64_t count;
    if (!stream__start(call, backwards ? 3 : 2, &from) || !stream__end(call, backwards ? 2 : 3, &to)) return;
    if (!parse_count(call, &count)) return;
    if (!key_read_type(call, call->argv[1], TYPE_STREAM, &entry)) return;
    if (!entry) {
        reply_array(call->client, 0);
    } else if (count == 0) {
        reply_null_array(call->client);
    } else {
        stream_cursor_t c = stream_range(entry_value(entry), from, to, backwards);
        stream__reply_range(call->client, &c, count == -1 ? 0 : (uint64_t)count);
    }
}

void redis_cmd_xrange(redis_call_t *call) { range(call, false); }
void redis_cmd_xrevrange(redis_call_t *call) { range(call, true); }
