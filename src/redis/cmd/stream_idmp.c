/* stream_idmp.c: XCFGSET and XIDMPRECORD: how messages of producers are known again. Their sending is XADD's (stream.c). */
#include "redis/types/stream_idmp.h"

#include "redis/cmd/stream.h"
#include "redis_commands.h"

static bool find_stream(redis_call_t *call, stream_t **ret_stream)
{
    redis_entry_t *entry;
    if (!key_write_type(call, call->argv[1], TYPE_STREAM, &entry)) return false;
    if (entry)
        *ret_stream = entry_value(entry);
    else
        reply_error_no_such_key(call->client);
    return entry != NULL;
}

void redis_cmd_xcfgset(redis_call_t *call)
{
    int64_t duration_s = 0, maxsize = 0;
    stream_t *s;
    for (int i = 2; i < call->argc; i += 2) {
        bool duration = arg_is(call, i, "IDMP-DURATION"), known = duration || arg_is(call, i, "IDMP-MAXSIZE");
        int64_t max = duration ? STREAM_IDMP_DURATION_S_MAX : STREAM_IDMP_MAXSIZE_MAX;
        const char *error = duration ? "ERR invalid duration" : "ERR invalid maxsize";
        if (!known || i + 1 == call->argc) {
            reply_error_syntax(call->client);
            return;
        }
        if (!arg_i64_in(call, i + 1, 1, max, error, duration ? &duration_s : &maxsize)) return;
    }
    if (duration_s == 0 && maxsize == 0) {
        reply_error_syntax(call->client);
        return;
    }
    if (!find_stream(call, &s)) return;
    stream_idmp_configure(s, duration_s, maxsize);
    call->dirty++;
    reply_ok(call->client);
}

/* While the file is read, entries that were deleted since are told of too. */
void redis_cmd_xidmprecord(redis_call_t *call)
{
    stream_t *s;
    stream_id_t id, had;
    bytes_t producer = call->argv[2], iid = call->argv[3];
    if (!stream__id(call, 4, 0, &id) || !find_stream(call, &s)) return;
    if (producer.len == 0 || iid.len == 0) {
        reply_error(call->client, "ERR the producer's and the message's ID must not be empty");
        return;
    }
    if (!(call->flags & CALL_LOADING) && !stream_has(s, id)) {
        reply_error(call->client, "ERR no such entry in the stream");
        return;
    }
    if (!stream_idmp_find(s, producer, iid, call->now_ms, false, &had)) {
        stream_idmp_add(s, producer, iid, id, call->now_ms);
        call->dirty++;
    } else if (!stream_id_eq(had, id)) {
        reply_error(call->client, "ERR the message has made another entry");
        return;
    }
    reply_ok(call->client);
}
