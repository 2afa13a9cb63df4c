/* question.c: what KAFKA.COMMIT ... MEMBER and KAFKA.COMMITTED must know of a group before they run, asked of Kafka's reactor while
 * their client waits (redis_question_t).
 *
 *   COMMIT ... MEMBER   may this member commit? yes: the group's offsets are held from this moment on (commit_far.c), so that whoever
 *                       takes over its partitions reads what is behind the offset. The hold becomes the offset's own when the
 *                       command runs; it is given back when the command was not run or was refused.
 *   COMMITTED           what has the group? An offset that is placed between the answer and the command replaces the answer. (What
 *                       was placed before the answer is in it: Kafka's messages come in order.) */
#include "bridge/far.h"

struct group_question {
    redis_question_t question;
    far_request_t request;
    far_commits_t *commits; /* the far half's */
    list_t node;            /* bridge->questions */
    bridge_t *bridge;       /* NULL: it has stopped */
    kafka_commit_t asked;   /* its bytes are behind this struct; the offset is the answer, -1 = none */
    kafka_member_t member;
    bool of_member;
    bool under_way, ended;
    bool holds; /* the group is counted for it, on Kafka's reactor */
};

static void finish(group_question_t *q);

/* ---- far ------------------------------------------------------------------------------------------------------------- */

static void ask_member(far_request_t *request)
{
    group_question_t *q = CONTAINER_OF(request, group_question_t, request);
    char words[KAFKA_MESSAGE_BYTES_MAX] = "";
    kafka_code_t error = kafka_member_check(request->kafka, q->asked.group, &q->member, words);
    if (!error) far_commits_add(q->commits, q->asked.group);
    far_answer(request, 0, error, words);
}

static void ask_offset(far_request_t *request)
{
    group_question_t *q = CONTAINER_OF(request, group_question_t, request);
    char words[KAFKA_MESSAGE_BYTES_MAX] = "";
    int64_t offset = -1;
    kafka_code_t error =
        kafka_committed_offset(request->kafka, q->asked.group, q->asked.topic, q->asked.partition, &offset, words);
    far_answer(request, offset, error, words);
}

static void give_back(far_request_t *request)
{
    group_question_t *q = CONTAINER_OF(request, group_question_t, request);
    far_commits_remove(q->commits, q->asked.group);
    far_answer(request, 0, 0, NULL);
}

/* ---- near ------------------------------------------------------------------------------------------------------------ */

static void on_answered(bridge_t *bridge, far_request_t *request)
{
    group_question_t *q = CONTAINER_OF(request, group_question_t, request);
    q->under_way = false;
    q->asked.offset = request->value;
    q->holds = q->of_member && !request->error;
    if (q->ended)
        finish(q);
    else if (bridge)
        redis_question_answered(&q->question);
}

static void on_given_back(bridge_t *bridge, far_request_t *request)
{
    mem_free(CONTAINER_OF(request, group_question_t, request));
}

static void finish(group_question_t *q)
{
    if (q->bridge) list_remove(&q->node);
    if (q->bridge && q->holds)
        far_send(q->bridge, &q->request, give_back, on_given_back);
    else
        mem_free(q);
}

static void on_end(redis_question_t *question)
{
    group_question_t *q = CONTAINER_OF(question, group_question_t, question);
    q->ended = true;
    if (!q->under_way) finish(q);
}

static bytes_t keep(uint8_t **at, bytes_t bytes)
{
    if (bytes.len) memcpy(*at, bytes.ptr, bytes.len);
    bytes.ptr = *at;
    *at += bytes.len;
    return bytes;
}

static group_question_t *new_question(bridge_t *bridge, const kafka_commit_t *asked, bytes_t member_id)
{
    group_question_t *q = mem_zalloc(sizeof(*q) + asked->group.len + asked->topic.len + member_id.len);
    uint8_t *at = (uint8_t *)(q + 1);
    q->question.end = on_end;
    q->commits = bridge->far_commits;
    q->bridge = bridge;
    q->asked = (kafka_commit_t){.group = keep(&at, asked->group), .topic = keep(&at, asked->topic)};
    q->asked.partition = asked->partition;
    q->member.id = keep(&at, member_id);
    q->under_way = true;
    list_push_back(&bridge->questions, &q->node);
    return q;
}

redis_question_t *question_of_member(bridge_t *bridge, const kafka_commit_t *asked, const kafka_member_t *member)
{
    group_question_t *q = new_question(bridge, asked, member->id);
    q->of_member = true;
    q->member.generation = member->generation;
    (void)far_ask(bridge, &q->request, ask_member, on_answered);
    return &q->question;
}

redis_question_t *question_of_offset(bridge_t *bridge, const kafka_commit_t *asked)
{
    group_question_t *q = new_question(bridge, asked, BYTES_NULL);
    (void)far_ask(bridge, &q->request, ask_offset, on_answered);
    return &q->question;
}

/* ---- the answers ----------------------------------------------------------------------------------------------------- */

kafka_code_t question_answer(const redis_question_t *question, int64_t *ret_offset, const char **ret_words)
{
    const group_question_t *q = CONTAINER_OF(question, group_question_t, question);
    ASSERT(question->answered);
    *ret_offset = q->asked.offset;
    *ret_words = q->request.words;
    return q->request.error;
}

bool question_take_hold(redis_question_t *question)
{
    group_question_t *q = question ? CONTAINER_OF(question, group_question_t, question) : NULL;
    if (!q || !q->holds) return false;
    q->holds = false;
    return true;
}

static bool is_of(const group_question_t *q, const kafka_commit_t *commit)
{
    return !q->of_member && q->asked.partition == commit->partition && bytes_eq(q->asked.group, commit->group) &&
           bytes_eq(q->asked.topic, commit->topic);
}

void questions_placed(bridge_t *bridge, const outbox_record_t *record)
{
    kafka_commit_t commit;
    if (list_empty(&bridge->questions) || kafka_commit_of(&record->record, &commit)) return;
    LIST_EACH(&bridge->questions, q, group_question_t, node) {
        if (q->under_way || !is_of(q, &commit)) continue;
        q->asked.offset = commit.offset;
        q->request.error = KAFKA_NONE;
    }
}

void questions_stop(bridge_t *bridge)
{
    LIST_EACH(&bridge->questions, q, group_question_t, node) {
        list_remove(&q->node);
        q->bridge = NULL;
    }
}
