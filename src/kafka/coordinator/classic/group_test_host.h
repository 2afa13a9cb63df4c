/* group_test_host.h: a host for the group state machine under test: it keeps every reply, answers stores at
 * once unless told to hold them, and gives each request a number. Shared by the group tests. */
#ifndef TRIVET_KAFKA_GROUPS_GROUP_TEST_HOST_H
#define TRIVET_KAFKA_GROUPS_GROUP_TEST_HOST_H

#include "kafka/coordinator/classic/group.h"
#include "kafka/errors.h"

#define TEST_REQUESTS_MAX 20000
#define TEST_TEXT_MAX     80
#define NO_REPLY          9999 /* no protocol error has this code */

typedef struct test_reply {
    int answers; /* must never pass 1 */
    kafka_code_t error;
    int32_t generation;
    char protocol[TEST_TEXT_MAX];
    char leader[TEST_TEXT_MAX];
    char member_id[TEST_TEXT_MAX];
    char assignment[TEST_TEXT_MAX];
    bool skip_assignment;
    bool with_members;
    size_t members;
} test_reply_t;

typedef struct test_host {
    group_config_t config;
    group_host_t host;
    group_t *group;
    runtime_now_t now;
    int requests; /* numbered from 1 */
    test_reply_t replies[TEST_REQUESTS_MAX];
    bool hold_stores;
    kafka_code_t store_error;
    group_store_t *stores[64];
    int stores_count;
    int stored_empty, stored_assignment, stored_static;
    uint64_t random;
} test_host_t;

test_host_t *test_host_new(void);
void test_host_free(test_host_t *h);
/* Answers the stores that wait, with store_error. */
void test_host_flush(test_host_t *h);
/* Moves the clock, running the group at each of its deadlines on the way. */
void test_host_advance(test_host_t *h, int64_t ms);

typedef struct test_member {
    const char *id; /* "" when new */
    const char *instance;
    const char *protocols; /* "range,roundrobin"; metadata of each is "m-" and the name */
    const char *metadata;  /* instead of the above, for the first protocol */
    int32_t session_ms;
    int32_t rebalance_ms;
    int version; /* of JoinGroup; 0 means 9 */
    const char *type;
} test_member_t;

/* Each returns the request's number; look at h->replies[n]. */
int test_join(test_host_t *h, test_member_t member);
/* `assignments`: "member=bytes member=bytes", NULL for a follower. */
int test_sync(test_host_t *h, const char *id, const char *instance, int32_t generation, const char *assignments);
kafka_code_t test_heartbeat(test_host_t *h, const char *id, int32_t generation);
kafka_code_t test_leave(test_host_t *h, const char *id, const char *instance);
/* The reply's error, NO_REPLY while it is parked. */
int test_error(test_host_t *h, int request);
/* Joins with no id, then with the one given; the number of the second request. */
int test_join_twice(test_host_t *h, test_member_t member);
/* A stable group of `count` dynamic members, whose ids go to `ids`; the first leads. */
void test_stable_group(test_host_t *h, int count, char (*ids)[TEST_TEXT_MAX]);

#endif
