/* topic_patterns.h: the topic patterns of all consumer groups, each compiled once however many members have it, and the
 * topics that each matches. A new pattern is matched against all topics a piece at a time (topic_patterns_scan, by the
 * coordinator's timer); from then on only topics that come are matched, and those that go are forgotten. So no heartbeat
 * waits for thousands of topics, and none matches anything again. Does no I/O and reads no clock.
 *
 * What a pattern matches grows while it is scanned: members get what is known at their next heartbeat. */
#ifndef TRIVET_KAFKA_GROUPS_TOPIC_PATTERNS_H
#define TRIVET_KAFKA_GROUPS_TOPIC_PATTERNS_H

#include "base/list.h"
#include "base/map.h"
#include "kafka/pattern/pattern.h"

#define TOPIC_PATTERNS_SCAN_COUNT   2000     /* topics matched in one piece */
#define TOPIC_PATTERNS_MEMORY_BYTES MIB(512) /* of all compiled patterns together; further ones are refused */

typedef struct topic_patterns topic_patterns_t;

typedef struct topic_pattern {
    topic_patterns_t *patterns;
    list_t node;   /* patterns->scanning while not all topics were looked at */
    bytes_t text;  /* owned */
    uint32_t refs; /* members, and whoever asks */
    size_t next;   /* of the names to scan */
    map_t topics;  /* matched: name -> the pattern */
    pattern_t *compiled;
} topic_pattern_t;

typedef struct topic_patterns_host {
    void (*each_topic)(void *user, void (*each)(void *arg, bytes_t name), void *arg);
    bool (*topic_exists)(void *user, bytes_t name);
    /* A pattern waits for topic_patterns_scan. */
    void (*scan_wanted)(void *user);
} topic_patterns_host_t;

topic_patterns_t *topic_patterns_new(const topic_patterns_host_t *host, void *user);
/* All patterns must have been given back. */
void topic_patterns_free(topic_patterns_t *patterns);

/* Counted. The first piece of a new pattern's scan is done at once. ERR_INVALID: not a pattern; `ret_problem` says why.
 * ERR_LIMIT: too many of them. */
int topic_pattern_take(topic_patterns_t *patterns, bytes_t text, topic_pattern_t **ret_pattern,
                       char ret_problem[PATTERN_PROBLEM_BYTES]) MUST_CHECK;
void topic_pattern_ref(topic_pattern_t *pattern);
void topic_pattern_unref(topic_pattern_t *pattern);
bool topic_pattern_matches(const topic_pattern_t *pattern, bytes_t topic);

/* One more piece. True when there is more to do. */
bool topic_patterns_scan(topic_patterns_t *patterns);
void topic_patterns_created(topic_patterns_t *patterns, bytes_t topic);
void topic_patterns_deleted(topic_patterns_t *patterns, bytes_t topic);

#endif
