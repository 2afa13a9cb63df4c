/* notify.h: keyspace notifications, which go out on channels. */
#ifndef TRIVET_REDIS_NOTIFY_H
#define TRIVET_REDIS_NOTIFY_H

typedef struct clients clients_t;

void notify__init(clients_t *clients);
/* notify-keyspace-events has changed. */
void notify__update(clients_t *clients);

#endif
