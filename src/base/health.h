/* health.h: what keeps a wing from doing its whole work: a disk that is full, a file that cannot be synced, a partition that
 * is offline. The wing owns its health and tells of each trouble when it begins, changes and ends; /readyz and /metrics show
 * what is there. Each of these moments is one line of the log, so the caller may raise the same trouble as often as it
 * meets it. */
#ifndef TRIVET_BASE_HEALTH_H
#define TRIVET_BASE_HEALTH_H

#include "base/base.h"
#include "base/list.h"

#define HEALTH_TROUBLES_MAX   16
#define HEALTH_TEXT_CHARS_MAX 1024 /* what is longer is cut: room for a path, what is wrong with it, and what helps */

typedef struct health {
    const char *wing; /* "redis": the module of its log lines; lives as long as the health */
    list_t troubles;
    int troubles_count;
} health_t;

void health_init(health_t *health, const char *wing);
void health_deinit(health_t *health);

/* Begins the trouble `what`, or changes its text. `what` is a literal that names the kind ("aof", "partitions"): there are at
 * most HEALTH_TROUBLES_MAX kinds. The text says what is wrong and what would help. */
void health_raise(health_t *health, const char *what, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Ends it; harmless when it is not there. */
void health_clear(health_t *health, const char *what);

static inline bool health_ok(const health_t *health) { return health->troubles_count == 0; }
/* The trouble's text, or NULL while all is well with `what`. Valid until it changes or ends. */
const char *health_text(const health_t *health, const char *what);
/* In the order in which they began. */
void health_each(const health_t *health, void (*each)(void *user, const char *what, const char *text), void *user);

#endif
