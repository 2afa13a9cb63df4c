/* promises_scenario.c: what the bridge promises of the moment in which it answers, with control, Kafka and Redis on loops of their own
 * whose messages to one another are delayed at random, and clients of both protocols on another machine:
 *
 *   an EXEC (or a script) with KAFKA.COMMIT is answered only when no OffsetFetch misses the offset any more;
 *   with MEMBER it is refused, whole, once the member's generation is over; and what was taken of a generation is what the
 *     next one reads: nothing comes behind that;
 *   KAFKA.COMMITTED in a transaction is in step with the state that was set with it;
 *   what Kafka would refuse is refused before the first command has run, and a topic that Kafka has said it made is known.
 *
 * The machine dies again and again, and then each step is there whole or not at all, and whole if it was answered. */
#include "bridge_world.h"
#include "promises_group.h"
#include "resp_client.h"

#include <stdio.h>
#include <stdlib.h>

#define LIVES_MAX          3
#define STEPS_PER_LIFE_MAX 150
#define STEPS_MAX          ((LIVES_MAX + 1) * STEPS_PER_LIFE_MAX + 1)
#define TOPICS_MAX         128
#define TOPIC              "t"
#define IN_FLIGHT_MAX      16
#define STEP_MS_MAX        8
#define TOPIC_MS_MAX       60
#define TOPIC_EXISTS       36
#define CREATE_VERSION     2
#define STATE_CHARS_MAX    32

/* The groups: of members, and of whoever says so. */
enum { MEMBERS, ANYBODY, GROUPS };
static const char *const groups[GROUPS] = {"members", "anybody"};

typedef enum expectation {
    TAKEN,
    REFUSED,
    EITHER,
} expectation_t;

typedef struct step {
    expectation_t expected;
    int life;
    int group;          /* whose offset it commits: its own number; -1 = none */
    int32_t generation; /* in which, 0 = it is no member */
    int topic;          /* x<n> that it sends a record to, 0 = none */
    bool answered, taken;
} step_t;

typedef struct promises_world promises_world_t;

typedef struct requester { /* a connection to Redis: steps on one, questions on the other */
    promises_world_t *world;
    resp_client_t redis;
} requester_t;

struct promises_world {
    run_t *run;
    bridge_world_t server;
    sim_node_t *client;
    int life;
    step_t steps[STEPS_MAX]; /* numbers from 1 */
    int steps_count, steps_left;
    int64_t promised[GROUPS]; /* the last offset that was answered, or seen */
    requester_t stepping, asking;
    group_member_t member;
    kafka_client_t fetching, creating;
    io_timer_t sender, creator;
    int topics_count;
    bool creating_now, topic_exists;
    int records[STEPS_MAX]; /* found, while checking */
};

/* ---- steps ---- */

static step_t *new_step(promises_world_t *w, expectation_t expected, int group, char number[16])
{
    step_t *step = &w->steps[++w->steps_count];
    *step = (step_t){.expected = expected, .life = w->life, .group = group};
    snprintf(number, 16, "%d", w->steps_count);
    return step;
}

static void begin_step(promises_world_t *w, const char *number, int group)
{
    buf_t *out = &w->stepping.redis.out;
    char key[STATE_CHARS_MAX];
    snprintf(key, sizeof(key), "step%s", number);
    resp_text_put(out, 1, "MULTI");
    resp_text_put(out, 3, "SET", key, number);
    if (group < 0) return;
    snprintf(key, sizeof(key), "state-%s", groups[group]);
    resp_text_put(out, 3, "SET", key, number);
}

static void end_step(promises_world_t *w)
{
    const step_t *step = &w->steps[w->steps_count];
    resp_text_put(&w->stepping.redis.out, 1, "EXEC");
    resp_client_expect(&w->stepping.redis, w->steps_count, step->group < 0 ? 4 : 5);
}

/* As the member that it is, or as one whose time is over, or as one that never was. */
static void send_commit_of_member(promises_world_t *w)
{
    const group_member_t *m = &w->member;
    char number[16], generation[16];
    uint64_t kind = draw(w->run, 10);
    const membership_t *as = kind < 2 && m->before.generation ? &m->before : &m->now;
    bool stranger = kind == 9;
    if (as->generation == 0) return;
    step_t *step = new_step(w, as != &m->now || stranger ? REFUSED : EITHER, MEMBERS, number);
    step->generation = as->generation;
    snprintf(generation, sizeof(generation), "%d", as->generation);
    begin_step(w, number, MEMBERS);
    resp_text_put(&w->stepping.redis.out, 8, "KAFKA.COMMIT", groups[MEMBERS], TOPIC, "0", number, "MEMBER",
                  stranger ? "nobody" : as->id, generation);
    end_step(w);
}

static void send_commit_of_anybody(promises_world_t *w)
{
    static const char script[] = "redis.call('SET', 'step'..ARGV[1], ARGV[1]) redis.call('SET', KEYS[1], ARGV[1]) "
                                 "return redis.call('KAFKA.COMMIT', 'anybody', 't', 0, ARGV[1])";
    char number[16];
    (void)new_step(w, TAKEN, ANYBODY, number);
    if (chance(w->run, 30)) {
        resp_text_put(&w->stepping.redis.out, 5, "EVAL", script, "1", "state-anybody", number);
        resp_client_expect(&w->stepping.redis, w->steps_count, 1);
        return;
    }
    begin_step(w, number, ANYBODY);
    resp_text_put(&w->stepping.redis.out, 5, "KAFKA.COMMIT", groups[ANYBODY], TOPIC, "0", number);
    end_step(w);
}

/* What Kafka has not got. */
static void send_impossible(promises_world_t *w)
{
    buf_t *out = &w->stepping.redis.out;
    char number[16];
    (void)new_step(w, REFUSED, -1, number);
    begin_step(w, number, -1);
    switch (draw(w->run, 4)) {
    case 0: resp_text_put(out, 3, "KAFKA.PRODUCE", "absent", number); break;
    case 1: resp_text_put(out, 5, "KAFKA.PRODUCE", TOPIC, "PARTITION", "7", number); break;
    case 2: resp_text_put(out, 5, "KAFKA.COMMIT", groups[ANYBODY], TOPIC, "7", number); break;
    default: resp_text_put(out, 5, "KAFKA.COMMIT", groups[ANYBODY], "absent", "0", number); break;
    }
    end_step(w);
}

/* To a topic that Kafka said a moment ago it has made. */
static void send_to_new_topic(promises_world_t *w)
{
    char number[16], topic[16];
    if (w->steps_left == 0 || w->stepping.redis.failed || w->stepping.redis.in_flight >= IN_FLIGHT_MAX) return;
    w->steps_left--;
    step_t *step = new_step(w, TAKEN, -1, number);
    step->topic = w->topics_count;
    snprintf(topic, sizeof(topic), "x%d", step->topic);
    begin_step(w, number, -1);
    resp_text_put(&w->stepping.redis.out, 5, "KAFKA.PRODUCE", topic, "PARTITION", "0", number);
    end_step(w);
    resp_client_flush(&w->stepping.redis);
}

static void send_step(promises_world_t *w)
{
    uint64_t kind = draw(w->run, 10);
    if (kind < 5)
        send_commit_of_member(w);
    else if (kind < 9)
        send_commit_of_anybody(w);
    else
        send_impossible(w);
}

/* ---- what is answered ---- */

static void on_fetched(void *user, int64_t promised, const void *answer)
{
    promises_world_t *w = user;
    int64_t told = offset_told(w->run, answer);
    CHECK(w->run, told == OFFSET_NOT_TOLD || told >= promised,
          "OffsetFetch tells %" PRId64 ", and the step of %" PRId64 " was answered before it was asked", told,
          promised);
    w->run->acknowledged++;
}

/* Of an older generation than one that has begun, and behind what that has read? */
static void check_generation(promises_world_t *w, int number, const step_t *step)
{
    for (int g = step->generation + 1; g < GENERATIONS_MAX && step->generation > 0; g++) {
        int64_t read = w->member.read[g];
        CHECK(w->run, read == OFFSET_NOT_TOLD || read >= number,
              "generation %d commits %d, and generation %d began with %" PRId64, step->generation, number, g, read);
    }
}

static void on_began(void *user, int32_t generation, int64_t offset)
{
    promises_world_t *w = user;
    for (int n = 1; n <= w->steps_count; n++) {
        const step_t *step = &w->steps[n];
        if (step->taken && step->life == w->life) check_generation(w, n, step);
    }
}

static void on_step(void *user, int number, bytes_t reply)
{
    promises_world_t *w = ((requester_t *)user)->world;
    step_t *step = &w->steps[number];
    step->answered = true;
    step->taken = *reply.ptr != '-';
    w->run->acknowledged++;
    bool fits = step->expected == EITHER || step->taken == (step->expected == TAKEN);
    CHECK(w->run, fits, "step %d should be %s: %.*s", number, step->expected == TAKEN ? "taken" : "refused",
          (int)reply.len, (const char *)reply.ptr);
    if (!step->taken || step->group < 0) return;
    check_generation(w, number, step);
    w->promised[step->group] = number;
    if (w->fetching.failed || w->fetching.in_flight == KAFKA_IN_FLIGHT_MAX) return;
    offset_ask(&w->fetching, groups[step->group], TOPIC, on_fetched, number);
}

/* ---- questions: an offset and its state are always the same ---- */

static void send_question(promises_world_t *w)
{
    int group = (int)draw(w->run, GROUPS);
    buf_t *out = &w->asking.redis.out;
    char state[STATE_CHARS_MAX];
    snprintf(state, sizeof(state), "state-%s", groups[group]);
    resp_text_put(out, 1, "MULTI");
    resp_text_put(out, 4, "KAFKA.COMMITTED", groups[group], TOPIC, "0");
    resp_text_put(out, 2, "GET", state);
    resp_text_put(out, 1, "EXEC");
    resp_client_expect(&w->asking.redis, group + 1, 4);
}

static long number_at(const char **at)
{
    const char *line = strchr(*at, '\n') + 1; /* behind "*2" or the reply before */
    if (*line == '$' && line[1] != '-') line = strchr(line, '\n');
    *at = line;
    return *line == '$' ? 0 : strtol(line + 1, NULL, 10);
}

static void on_question(void *user, int tag, bytes_t reply)
{
    promises_world_t *w = ((requester_t *)user)->world;
    char text[256] = "";
    memcpy(text, reply.ptr, MIN(reply.len, sizeof(text) - 1));
    bool loading = strstr(text, "LOAD_IN_PROGRESS") || strstr(text, "NOT_AVAILABLE");
    if (loading) return;
    CHECK(w->run, *text == '*' && text[4] != '-', "KAFKA.COMMITTED: %s", text);
    const char *at = text;
    long offset = number_at(&at), state = number_at(&at);
    CHECK(w->run, offset == state, "in one transaction %s is at %ld and its state at %ld", groups[tag - 1], offset,
          state);
    w->run->acknowledged++;
}

/* ---- topics ---- */

static void create_topic(promises_world_t *w, const char *name, kafka_answered_t *answered)
{
    kafka_create_topics_request_topic_t topic;
    kafka_create_topics_request_topic_init(&topic);
    topic.name = bytes_str(name);
    topic.num_partitions = 1;
    topic.replication_factor = 1;
    topic.assignments_count = topic.configs_count = 0;
    kafka_create_topics_request_t request = {.topics = &topic, .topics_count = 1, .timeout_ms = 10000};
    kafka_client_ask(&w->creating, KAFKA_API_CREATE_TOPICS, CREATE_VERSION, &request, answered, 0);
}

static int16_t error_of(const void *answer)
{
    const kafka_create_topics_response_t *response = answer;
    return response->topics[0].error_code;
}

static void on_created(void *user, int64_t tag, const void *answer)
{
    promises_world_t *w = user;
    int16_t error = error_of(answer);
    w->creating_now = false;
    CHECK(w->run, error == 0 || error == TOPIC_EXISTS, "a topic is not made: %d", error);
    send_to_new_topic(w);
}

static void on_creator(io_timer_t *timer)
{
    promises_world_t *w = CONTAINER_OF(timer, promises_world_t, creator);
    char name[16];
    io_timer_start(timer, 1 + draw(w->run, TOPIC_MS_MAX), 0);
    if (w->creating.failed || w->creating_now || w->topics_count + 1 == TOPICS_MAX || w->steps_left == 0) return;
    snprintf(name, sizeof(name), "x%d", ++w->topics_count);
    w->creating_now = true;
    create_topic(w, name, on_created);
}

/* ---- the clients ---- */

static void on_sender(io_timer_t *timer)
{
    promises_world_t *w = CONTAINER_OF(timer, promises_world_t, sender);
    resp_client_t *c = &w->stepping.redis;
    for (uint64_t n = 1 + draw(w->run, 3); n > 0 && w->steps_left > 0 && c->in_flight < IN_FLIGHT_MAX; n--) {
        w->steps_left--;
        send_step(w);
    }
    if (w->asking.redis.in_flight < IN_FLIGHT_MAX && chance(w->run, 50)) send_question(w);
    resp_client_flush(c);
    resp_client_flush(&w->asking.redis);
    if (!c->failed && w->steps_left > 0) io_timer_start(timer, draw(w->run, STEP_MS_MAX), 0);
}

static void requester_connect(promises_world_t *w, requester_t *r, void (*replied)(void *user, int tag, bytes_t reply))
{
    r->world = w;
    r->redis.replied = replied;
    r->redis.user = r;
    resp_client_connect(&r->redis, w->run, sim_node_loop(w->client), WORLD_HOST, WORLD_REDIS_PORT);
}

static void kafka_connect(promises_world_t *w, kafka_client_t *c)
{
    c->user = w;
    kafka_client_connect(c, w->run, sim_node_loop(w->client), WORLD_HOST, WORLD_KAFKA_PORT);
}

static void clients_start(promises_world_t *w)
{
    io_loop_t *loop = sim_node_loop(w->client);
    requester_connect(w, &w->stepping, on_step);
    requester_connect(w, &w->asking, on_question);
    kafka_connect(w, &w->fetching);
    w->member.group = groups[MEMBERS];
    w->member.topic = TOPIC;
    w->member.began = on_began;
    w->member.user = w;
    group_member_start(&w->member, w->run, loop, WORLD_HOST, WORLD_KAFKA_PORT);
    io_timer_init(loop, &w->sender, on_sender);
    io_timer_init(loop, &w->creator, on_creator);
    io_timer_start(&w->sender, 1, 0);
    io_timer_start(&w->creator, 1, 0);
}

static void clients_stop(promises_world_t *w)
{
    io_timer_stop(&w->sender);
    io_timer_stop(&w->creator);
    resp_client_close(&w->stepping.redis);
    resp_client_close(&w->asking.redis);
    kafka_client_close(&w->fetching);
    kafka_client_close(&w->creating);
    group_member_stop(&w->member);
}

/* ---- the machine's program ---- */

static bool start(void *user)
{
    promises_world_t *w = user;
    w->life++;
    w->creating_now = false;
    return bridge_world_start(&w->server) && bridge_world_settle(&w->server);
}

static void stop(void *user) { bridge_world_stop(&((promises_world_t *)user)->server); }

static void on_topic(void *user, int64_t tag, const void *answer)
{
    promises_world_t *w = user;
    int16_t error = error_of(answer);
    CHECK(w->run, error == 0 || error == TOPIC_EXISTS, "the topic is not made: %d", error);
    w->topic_exists = true;
}

static bool topic_is_made(void *user)
{
    promises_world_t *w = user;
    return !machine_runs(&w->server.machine) || w->topic_exists;
}

static bool clients_are_through(void *user)
{
    promises_world_t *w = user;
    const resp_client_t *c = &w->stepping.redis;
    if (!machine_runs(&w->server.machine) || c->failed) return true;
    return w->steps_left == 0 && c->in_flight == 0 && w->asking.redis.in_flight == 0 && w->fetching.in_flight == 0;
}

static void work(void *user)
{
    promises_world_t *w = user;
    w->steps_left = 1 + (int)draw(w->run, STEPS_PER_LIFE_MAX - 1);
    w->topic_exists = false;
    kafka_connect(w, &w->creating);
    create_topic(w, TOPIC, on_topic);
    bool made = sim_run_until(w->run->sim, topic_is_made, w, 60000);
    CHECK(w->run, made, "the topic is not made within a minute");
    if (w->topic_exists) {
        clients_start(w);
        bool through = sim_run_until(w->run->sim, clients_are_through, w, 60000);
        CHECK(w->run, through, "no answer within a minute");
        /* What was sent before the end still arrives. */
        if (!sim_node_alive(w->server.machine.node)) sim_run_for(w->run->sim, 100);
        clients_stop(w);
    }
    kafka_client_close(&w->creating);
    scenario_note(w->run, "%d steps, %d topics, generation %d", w->steps_count, w->topics_count,
                  w->member.now.generation);
}

/* ---- checking ---- */

static void check_group(promises_world_t *w, int group)
{
    char key[STATE_CHARS_MAX], why[KAFKA_MESSAGE_BYTES_MAX];
    int64_t offset = -1;
    snprintf(key, sizeof(key), "state-%s", groups[group]);
    kafka_code_t error =
        kafka_committed_offset(w->server.kafka, bytes_str(groups[group]), BYTES_LIT(TOPIC), 0, &offset, why);
    if (error) return; /* it is being read; the questions of this life see it */
    bytes_t argv[2] = {BYTES_LIT("GET"), bytes_str(key)};
    buf_t reply = BUF_INIT;
    redis_execute(w->server.redis, argv, 2, &reply);
    buf_u8(&reply, 0);
    const char *text = (const char *)reply.ptr;
    int64_t state = text[1] == '-' ? 0 : strtol(strchr(text, '\n') + 1, NULL, 10);
    buf_deinit(&reply);
    CHECK(w->run, MAX(offset, 0) == state, "%s is at %" PRId64 ", its state at %" PRId64, groups[group], offset, state);
    CHECK(w->run, state >= w->promised[group], "%s is at %" PRId64 ", and %" PRId64 " was answered", groups[group],
          state, w->promised[group]);
    w->promised[group] = state;
}

static void count_record(void *user, const record_t *record)
{
    promises_world_t *w = user;
    char text[16] = "";
    memcpy(text, record->value.ptr, MIN(record->value.len, sizeof(text) - 1));
    int number = atoi(text);
    CHECK(w->run, number >= 1 && number <= w->steps_count, "a record of no step: %s", text);
    w->records[number]++;
}

static void check_step(promises_world_t *w, int number)
{
    step_t *step = &w->steps[number];
    char key[STATE_CHARS_MAX];
    snprintf(key, sizeof(key), "step%d", number);
    bool exists = bridge_world_ask(&w->server, "EXISTS", key, NULL) == 1;
    CHECK(w->run, exists || !step->answered || !step->taken, "step %d was answered and is lost", number);
    CHECK(w->run, !exists || !step->answered || step->taken, "step %d was refused, and its key is there", number);
    CHECK(w->run, !exists || step->expected != REFUSED, "step %d is there, and nobody may take it", number);
    CHECK(w->run, w->records[number] == (exists && step->topic > 0), "step %d has its record %d times, its key %d",
          number, w->records[number], exists);
    step->answered = true; /* what is seen is promised */
    step->taken = exists;
}

static void check(void *user)
{
    promises_world_t *w = user;
    memset(w->records, 0, sizeof(w->records));
    for (int n = 1; n <= w->topics_count; n++) {
        char topic[16];
        snprintf(topic, sizeof(topic), "x%d", n);
        bridge_world_each_record(&w->server, topic, 0, count_record, w);
    }
    for (int n = 1; n <= w->steps_count; n++) check_step(w, n);
    for (int g = 0; g < GROUPS; g++) check_group(w, g);
}

void scenario_promises(run_t *run)
{
    promises_world_t *w = mem_zalloc(sizeof(*w));
    machine_program_t program = {.start = start, .check = check, .work = work, .stop = stop, .user = w};
    program.lives_max = LIVES_MAX;
    program.crash_percent = 50;
    program.crash_operations_max = 900;
    program.orderly_percent = 15;
    w->run = run;
    w->server.apart = w->server.topics_by_hand = true;
    w->server.flushed = chance(run, 20);
    bridge_world_init(&w->server, run);
    w->client = sim_node_new(run->sim, "10.0.0.2");
    machine_lives(&w->server.machine, &program);
    resp_client_deinit(&w->stepping.redis);
    resp_client_deinit(&w->asking.redis);
    kafka_client_deinit(&w->fetching);
    kafka_client_deinit(&w->creating);
    kafka_client_deinit(&w->member.kafka);
    mem_free(w);
}
