/* cgroup_regex.h: topic patterns that the broker resolves (ConsumerGroupHeartbeat 1). The original speaks
 * RE2; here POSIX extended expressions serve what the two have in common, and all else is refused as
 * INVALID_SUBSCRIPTION_REGEX rather than read differently. The whole name must match. */
#ifndef TRIVET_KAFKA_GROUPS_CGROUP_REGEX_H
#define TRIVET_KAFKA_GROUPS_CGROUP_REGEX_H

#include "base/base.h"

#define CGROUP_REGEX_BYTES_MAX 512

typedef struct cgroup_regex cgroup_regex_t;

/* ERR_INVALID: no such expression, or one that is not common to both languages. */
int cgroup_regex_new(bytes_t pattern, cgroup_regex_t **ret_regex) MUST_CHECK;
void cgroup_regex_free(cgroup_regex_t *regex);
bool cgroup_regex_matches(const cgroup_regex_t *regex, bytes_t name);

#endif
