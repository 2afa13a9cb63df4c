/* config_out_limits.c: the value of client-output-buffer-limit: CLASS HARD SOFT SECONDS, once or more. conn/out_limits.c enforces
 * it. */
#include "redis/config/config_table.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

static const char *const class_names[REDIS_OUT_CLASSES] = {"normal", "slave", "pubsub"};

static int class_of(bytes_t name)
{
    if (bytes_eq_nocase(name, BYTES_LIT("replica"))) return OUT_REPLICA;
    for (int i = 0; i < REDIS_OUT_CLASSES; i++)
        if (bytes_eq_nocase(name, bytes_str(class_names[i]))) return i;
    return -1;
}

static int refuse(char *why, size_t why_bytes, const char *text)
{
    snprintf(why, why_bytes, "%s", text);
    return ERR_INVALID;
}

static int set_class(redis_out_limit_t *limits, bytes_t *rest, char *why, size_t why_bytes)
{
    bytes_t words[4];
    redis_out_limit_t limit;
    int64_t seconds;
    for (size_t i = 0; i < ARRAY_LEN(words); i++) words[i] = directive_take_word(rest);
    int class = class_of(words[0]);
    if (words[3].len == 0) return refuse(why, why_bytes, "Wrong number of arguments in buffer limit configuration.");
    if (class < 0) return refuse(why, why_bytes, "Invalid client class specified in buffer limit configuration.");
    if (!num_parse_memory(words[1], &limit.hard_bytes) || !num_parse_memory(words[2], &limit.soft_bytes) ||
        !num_parse_i64(words[3], &seconds) || seconds < 0)
        return refuse(why, why_bytes, "Error in hard, soft or soft_seconds setting in buffer limit configuration.");
    limit.soft_s = (uint64_t)seconds;
    limits[class] = limit;
    return 0;
}

int out_limits_set(redis_out_limit_t *limits, const char *value, char *why, size_t why_bytes)
{
    redis_out_limit_t trial[REDIS_OUT_CLASSES];
    bytes_t rest = bytes_str(value);
    memcpy(trial, limits, sizeof(trial));
    int err = 0;
    while (!err && rest.len) err = set_class(trial, &rest, why, why_bytes);
    if (!err) memcpy(limits, trial, sizeof(trial));
    return err;
}

void out_limits_get(const redis_out_limit_t *limits, buf_t *out)
{
    for (int i = 0; i < REDIS_OUT_CLASSES; i++)
        buf_printf(out, "%s%s %" PRIu64 " %" PRIu64 " %" PRIu64, i ? " " : "", class_names[i], limits[i].hard_bytes,
                   limits[i].soft_bytes, limits[i].soft_s);
}
