/* settings.h: settings that take effect outside this wing, or within bounds: at the start, and when CONFIG SET changes them. */
#ifndef TRIVET_REDIS_SETTINGS_H
#define TRIVET_REDIS_SETTINGS_H

#include "base/base.h"

typedef struct redis redis_t;
typedef struct redis_config redis_config_t;

void settings__loglevel(redis_t *redis);
void settings__log_format(redis_t *redis);
void settings__hz(redis_t *redis);
/* As `config` says; on failure it is as it was. */
int settings__oom_score(redis_t *redis, const redis_config_t *config) MUST_CHECK;

#endif
