/* settings.c: see settings.h. */
#include "redis/exec/settings.h"

#include "base/slog.h"
#include "redis/exec/state.h"

#include <stdlib.h>

#define HZ_MAX 500

/* As the original does, what is out of range is taken for the nearest that is not. */
void settings__hz(redis_t *redis) { redis->config->hz = MAX(MIN(redis->config->hz, HZ_MAX), 1); }

/* Goes for the whole server: there is one log. */
void settings__loglevel(redis_t *redis)
{
    static const slog_level_t levels[] = {SLOG_DEBUG, SLOG_DEBUG, SLOG_INFO, SLOG_WARN, SLOG_NOTHING};
    slog_set_level(levels[redis->config->loglevel]);
}

int settings__oom_score(redis_t *redis, const redis_config_t *config)
{
    int score = 0, err = redis->oom_score_changed ? 0 : io_oom_score(&redis->oom_score_before);
    if (config->oom_score_adj == OOM_NO && !redis->oom_score_changed) return 0;
    if (!err && config->oom_score_adj != OOM_NO)
        score = atoi(config->oom_score_adj_values); /* the first: of a primary */
    if (config->oom_score_adj != OOM_ABSOLUTE) score += redis->oom_score_before;
    if (!err) err = io_set_oom_score(MAX(MIN(score, 1000), -1000));
    if (!err) redis->oom_score_changed = config->oom_score_adj != OOM_NO;
    return err;
}

void settings__log_format(redis_t *redis)
{
    slog_set_format(redis->config->log_format, redis->config->log_timestamp_format);
}
