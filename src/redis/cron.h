/* cron.h: what the wing does some times a second. */
#ifndef TRIVET_REDIS_CRON_H
#define TRIVET_REDIS_CRON_H

typedef struct redis redis_t;

void cron__init(redis_t *redis);
void cron__start(redis_t *redis);

#endif
