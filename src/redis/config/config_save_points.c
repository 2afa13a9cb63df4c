/* config_save_points.c: the value of `save`: SECONDS CHANGES, any number of times. persist/snapshot.c acts on it. */
#include "redis/config/config_table.h"

#include "base/num.h"

#include <stdio.h>

static int refuse(char *why, size_t why_bytes)
{
    snprintf(why, why_bytes, "Invalid save parameters");
    return ERR_INVALID;
}

static bool take_number(bytes_t *rest, int64_t min, uint64_t *ret)
{
    int64_t v;
    if (!num_parse_i64(directive_take_word(rest), &v) || v < min) return false;
    *ret = (uint64_t)v;
    return true;
}

int save_points_set(redis_save_points_t *points, const char *value, char *why, size_t why_bytes)
{
    redis_save_points_t trial = {.count = 0};
    bytes_t rest = bytes_str(strcmp(value, "\"\"") == 0 ? "" : value);
    while (rest.len) {
        redis_save_point_t *p = &trial.at[trial.count];
        if (trial.count == REDIS_SAVE_POINTS_MAX || !take_number(&rest, 1, &p->seconds) ||
            !take_number(&rest, 0, &p->changes))
            return refuse(why, why_bytes);
        trial.count++;
    }
    *points = trial;
    return 0;
}

int save_points_add(redis_save_points_t *points, const char *value, char *why, size_t why_bytes)
{
    redis_save_points_t more;
    int err = save_points_set(&more, value, why, why_bytes);
    if (err) return err;
    if (more.count == 0) points->count = 0;
    if (points->count + more.count > REDIS_SAVE_POINTS_MAX) return refuse(why, why_bytes);
    for (size_t i = 0; i < more.count; i++) points->at[points->count++] = more.at[i];
    return 0;
}

void save_points_get(const redis_save_points_t *points, buf_t *out)
{
    for (size_t i = 0; i < points->count; i++)
        buf_printf(out, "%s%" PRIu64 " %" PRIu64, i ? " " : "", points->at[i].seconds, points->at[i].changes);
}
