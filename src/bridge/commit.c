/* commit.c: KAFKA.COMMIT and KAFKA.COMMITTED: how far a consumer group has read, stored in one step with what was made
 * of it. An offset is a record of __consumer_offsets and goes the way of all records; what is kept here beside is which
 * offsets a group does not have yet: KAFKA.COMMITTED reads those first. (Kafka's clients wait for them: commit_far.c.) */
#include "bridge/far.h"

#include "base/num.h"

#define OPTIONS_FROM 5                  /* KAFKA.COMMIT group topic partition offset */
#define WORDS_MAX    (OPTIONS_FROM + 5) /* METADATA text MEMBER id generation */

/* ---- what is under way ---- */

void commits_init(bridge_t *bridge) { bridge->commit_groups = bridge->coming = MAP_INIT; }

/* ---- topics that records are to make: offsets of them may be committed behind those records ---- */

/* What was promised in an earlier turn of the loop is queued by now, or was not to be. */
static void begin_turn(bridge_t *bridge)
{
    if (bridge->coming_ns == io_now_ns(bridge->loop)) return;
    bridge->coming_ns = io_now_ns(bridge->loop);
    map_deinit(&bridge->coming);
    bridge->coming = MAP_INIT;
}

void topic_promise(bridge_t *bridge, bytes_t topic)
{
    if (!bridge->kafka || kafka_topic_exists(bridge->catalog, topic)) return;
    begin_turn(bridge);
    map_put(&bridge->coming, topic, bridge);
}

static bool is_queued(const bridge_t *bridge, bytes_t topic)
{
    const outbox_topic_t *t = map_get(&bridge->topics_by_name, topic);
    return t && !list_empty(&t->records);
}

/* A script that waited for an answer goes on in a later turn, and what it produced has yet to be written. */
static bool is_unwritten(const bridge_t *bridge, bytes_t topic)
{
    LIST_EACH(&bridge->unwritten, r, outbox_record_t, queue)
        if (r->due_ms == 0 && bytes_eq(r->record.topic, topic)) return true;
    return false;
}

bool topic_comes(bridge_t *bridge, bytes_t topic)
{
    if (kafka_topic_exists(bridge->catalog, topic)) return false;
    begin_turn(bridge);
    return map_get(&bridge->coming, topic) || is_queued(bridge, topic) || is_unwritten(bridge, topic);
}

bool commit_must_wait(bridge_t *bridge, const outbox_record_t *r)
{
    if (!r->group || kafka_topic_exists(bridge->catalog, r->commit_topic)) return false;
    return is_queued(bridge, r->commit_topic);
}

void commits_deinit(bridge_t *bridge)
{
    LIST_EACH(&bridge->all, r, outbox_record_t, node) commit_untrack(bridge, r);
    map_deinit(&bridge->commit_groups);
    map_deinit(&bridge->coming);
}

static commit_group_t *group_of(bridge_t *bridge, bytes_t id)
{
    commit_group_t *g = map_get(&bridge->commit_groups, id);
    if (g) return g;
    g = mem_zalloc(sizeof(*g));
    g->id = bytes_of(mem_strndup(id), id.len);
    list_init(&g->records);
    map_put(&bridge->commit_groups, id, g);
    return g;
}

void commit_track(bridge_t *bridge, outbox_record_t *r)
{
    kafka_commit_t commit;
    if (kafka_commit_of(&r->record, &commit)) return; /* of another topic: what is read back was looked at */
    r->group = group_of(bridge, commit.group);
    r->commit_topic = commit.topic;
    list_push_back(&r->group->records, &r->commit);
    bridge->commits_count++;
}

void commit_untrack(bridge_t *bridge, outbox_record_t *r)
{
    commit_group_t *g = r->group;
    if (!g) return;
    list_remove(&r->commit);
    r->group = NULL;
    bridge->commits_count--;
    if (!list_empty(&g->records)) return;
    map_remove(&bridge->commit_groups, g->id);
    mem_free((void *)g->id.ptr);
    mem_free(g);
}

/* The newest that is under way; false: none is. */
static bool find_under_way(bridge_t *bridge, const kafka_commit_t *asked, int64_t *ret_offset)
{
    const commit_group_t *g = map_get(&bridge->commit_groups, asked->group);
    bool found = false;
    if (!g) return false;
    LIST_EACH(&g->records, r, outbox_record_t, commit) {
        kafka_commit_t commit;
        if (kafka_commit_of(&r->record, &commit) || commit.partition != asked->partition ||
            !bytes_eq(commit.topic, asked->topic))
            continue;
        *ret_offset = commit.offset;
        found = true;
    }
    return found;
}

/* ---- KAFKA.COMMIT ---- */

typedef struct commit_args {
    kafka_commit_t commit;
    kafka_member_t member;
    bool has_member;
} commit_args_t;

static bool read_partition(bytes_t word, int32_t *ret_partition)
{
    int64_t v;
    if (!num_parse_i64(word, &v) || v < 0 || v > INT32_MAX) return false;
    *ret_partition = (int32_t)v;
    return true;
}

static const char *read_options(int argc, const bytes_t *argv, commit_args_t *args)
{
    int64_t generation;
    for (int i = OPTIONS_FROM; i < argc;) {
        if (bytes_eq_nocase(argv[i], BYTES_LIT("METADATA")) && i + 1 < argc) {
            args->commit.metadata = argv[i + 1];
            i += 2;
        } else if (bytes_eq_nocase(argv[i], BYTES_LIT("MEMBER")) && i + 2 < argc) {
            if (!num_parse_i64(argv[i + 2], &generation) || generation < 0 || generation > INT32_MAX)
                return "ERR generation is not an integer or out of range";
            args->member = (kafka_member_t){argv[i + 1], (int32_t)generation};
            args->has_member = true;
            i += 3;
        } else {
            return "ERR syntax error";
        }
    }
    return NULL;
}

static const char *read_args(int argc, const bytes_t *argv, commit_args_t *args)
{
    if (argc < OPTIONS_FROM) return "ERR wrong number of arguments";
    if (argc > WORDS_MAX) return "ERR syntax error";
    *args = (commit_args_t){.commit = {.group = argv[1], .topic = argv[2]}};
    if (!read_partition(argv[3], &args->commit.partition)) return "ERR partition is not an integer or out of range";
    if (!num_parse_i64(argv[4], &args->commit.offset) || args->commit.offset < 0)
        return "ERR offset is not an integer or out of range";
    return read_options(argc, argv, args);
}

#define NOT_ASKED "ERR the consumer group cannot be asked here: it needs a connection that can wait for the answer"

static const char *check_member(bridge_t *bridge, const redis_question_t *question)
{
    int64_t none;
    const char *words;
    if (!question) return NOT_ASKED;
    kafka_code_t error = question_answer(question, &none, &words);
    return bridge__problem(bridge, error, words);
}

static const char *check(bridge_t *bridge, int argc, const bytes_t *argv, const redis_question_t *question, bool midway,
                         commit_args_t *args)
{
    char message[KAFKA_MESSAGE_BYTES_MAX] = "";
    const char *problem = read_args(argc, argv, args);
    if (!problem) problem = outbox_problem(bridge, midway);
    if (problem) return problem;
    bool comes = topic_comes(bridge, args->commit.topic);
    kafka_code_t error = kafka_commit_check(bridge->catalog, &args->commit, comes, message);
    problem = bridge__problem(bridge, error, message);
    return problem || !args->has_member ? problem : check_member(bridge, question);
}

const char *commit_precondition(int argc, const bytes_t *argv, redis_question_t *question, void *user)
{
    commit_args_t args;
    bridge__update(user);
    return check(user, argc, argv, question, false, &args);
}

redis_question_t *commit_ask(int argc, const bytes_t *argv, void *user)
{
    bridge_t *bridge = user;
    commit_args_t args;
    if (!bridge->kafka || read_args(argc, argv, &args) || !args.has_member) return NULL;
    return question_of_member(bridge, &args.commit, &args.member);
}

static outbox_record_t *record_of(const kafka_commit_t *commit, int64_t now_ms)
{
    buf_t bytes = BUF_INIT;
    kafka_produce_t record;
    kafka_commit_record(commit, now_ms, &bytes, &record);
    outbox_record_t *r = outbox_record_new(&record);
    buf_deinit(&bytes);
    r->added_ms = now_ms;
    return r;
}

/* Where the group is held already, because a member was asked about, nobody need be told. */
static void commit_one(bridge_t *bridge, redis_call_t *call, const kafka_commit_t *commit)
{
    redis_client_t *client = redis_call_client(call);
    outbox_record_t *r = record_of(commit, redis_call_now_ms(call));
    r->record.partition = kafka_produce_choose(bridge->catalog, &r->record);
    outbox_add(bridge, r);
    journal_add(bridge, call, r);
    commit_track(bridge, r);
    r->client_id = redis_client_id(client);
    if (r->client_id) waiters_added(bridge, r->client_id);
    if (!question_take_hold(redis_call_question(call))) far_commits_announce(bridge->far_commits, commit->group);
    redis_reply_int(client, r->number);
}

void commit_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    commit_args_t args;
    bytes_t argv[WORDS_MAX];
    int argc = redis_call_argc(call);
    for (int i = 0; i < MIN(argc, WORDS_MAX); i++) argv[i] = redis_call_arg(call, i);
    bridge__update(bridge);
    bool midway = redis_call_is_midway(call);
    const char *problem = redis_call_was_asked(call)
                              ? read_args(argc, argv, &args)
                              : check(bridge, argc, argv, redis_call_question(call), midway, &args);
    if (problem)
        redis_reply_error(redis_call_client(call), problem);
    else
        commit_one(bridge, call, &args.commit);
}

/* ---- KAFKA.COMMITTED ---- */

redis_question_t *committed_ask(int argc, const bytes_t *argv, void *user)
{
    bridge_t *bridge = user;
    kafka_commit_t asked = {.group = argv[1], .topic = argv[2]};
    if (!bridge->kafka || !read_partition(argv[3], &asked.partition)) return NULL;
    return question_of_offset(bridge, &asked);
}

static const char *read_answer(bridge_t *bridge, const redis_question_t *question, int64_t *ret_offset)
{
    const char *words;
    if (!question) return NOT_ASKED;
    kafka_code_t error = question_answer(question, ret_offset, &words);
    return bridge__problem(bridge, error, words);
}

void committed_command(redis_call_t *call, void *user)
{
    bridge_t *bridge = user;
    redis_client_t *client = redis_call_client(call);
    const char *problem = NULL;
    int64_t offset = -1;
    kafka_commit_t asked = {.group = redis_call_arg(call, 1), .topic = redis_call_arg(call, 2)};
    if (!read_partition(redis_call_arg(call, 3), &asked.partition))
        problem = "ERR partition is not an integer or out of range";
    else if (!bridge->kafka)
        problem = "ERR the Kafka wing is off";
    else if (!find_under_way(bridge, &asked, &offset))
        problem = read_answer(bridge, redis_call_question(call), &offset);
    if (problem)
        redis_reply_error(client, problem);
    else if (offset < 0)
        redis_reply_null(client);
    else
        redis_reply_int(client, offset);
}
