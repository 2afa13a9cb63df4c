/* pause.h: CLIENT PAUSE: commands wait, all of them or those that write. */
#ifndef TRIVET_REDIS_PAUSE_H
#define TRIVET_REDIS_PAUSE_H

typedef struct redis redis_t;

/* Those that waited go on. */
void pause__end(redis_t *redis);

#endif
