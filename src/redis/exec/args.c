/* args.c: the arguments of a command, as numbers and options: see command.h. */
#include "redis/exec/command.h"

#include "base/num.h"

#include <math.h>
#include <strings.h>

bool arg_i64(redis_call_t *call, int i, int64_t *ret)
{
    if (num_parse_i64(call->argv[i], ret)) return true;
    reply_error_not_integer(call->client);
    return false;
}

bool arg_i64_in(redis_call_t *call, int i, int64_t min, int64_t max, const char *error, int64_t *ret)
{
    int64_t v;
    if (!num_parse_i64(call->argv[i], &v)) {
        if (error)
            reply_error(call->client, error);
        else
            reply_error_not_integer(call->client);
        return false;
    }
    if (v >= min && v <= max) {
        *ret = v;
        return true;
    }
    if (error)
        reply_error(call->client, error);
    else if (min == 0)
        reply_error(call->client, "ERR value is out of range, must be positive");
    else
        reply_errorf(call->client, "ERR value is out of range, value must between %" PRId64 " and %" PRId64, min, max);
    return false;
}

bool arg_double(redis_call_t *call, int i, double *ret)
{
    if (parse_double(call->argv[i], ret)) return true;
    reply_error_not_float(call->client);
    return false;
}

/* The moment of the end has to fit beside now. */
static bool timeout_fits(redis_call_t *call, long double ms)
{
    if (ms < 0)
        reply_error(call->client, "ERR timeout is negative");
    else if (ms > (long double)(INT64_MAX - call->now_ms))
        reply_error(call->client, "ERR timeout is out of range");
    else
        return true;
    return false;
}

bool arg_timeout(redis_call_t *call, int i, int64_t *ret_ms)
{
    long double seconds;
    if (!parse_long_double(call->argv[i], &seconds)) {
        reply_error(call->client, "ERR timeout is not a float or out of range");
        return false;
    }
    if (!timeout_fits(call, ceill(seconds * 1000))) return false;
    *ret_ms = (int64_t)ceill(seconds * 1000);
    return true;
}

bool arg_timeout_ms(redis_call_t *call, int i, int64_t *ret_ms)
{
    int64_t ms;
    if (!num_parse_i64(call->argv[i], &ms)) {
        reply_error(call->client, "ERR timeout is not an integer or out of range");
        return false;
    }
    if (!timeout_fits(call, ms)) return false;
    *ret_ms = ms;
    return true;
}

bool arg_is(const redis_call_t *call, int i, const char *option)
{
    bytes_t arg = call->argv[i];
    return strlen(option) == arg.len && strncasecmp((const char *)arg.ptr, option, arg.len) == 0;
}
