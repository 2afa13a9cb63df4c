/* monitor.h: MONITOR: clients that are told of every command. */
#ifndef TRIVET_REDIS_MONITOR_H
#define TRIVET_REDIS_MONITOR_H

#include "redis/exec/command.h"

/* Tells monitoring clients of a command that ran (a script's caller: that begins). */
void monitor__tell(const redis_call_t *call);
void monitor__forget(redis_client_t *c);

#endif
