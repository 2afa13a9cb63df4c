/* list_groups.c: ListGroups: all groups of this broker, by state (version 4 on) and type (version 5 on), some a step. */
#include "kafka/api/group_apis.h"
#include "kafka/coordinator/groups_walk.h"

#include <ctype.h>

enum { GROUPS_A_STEP = 16 };

static bytes_t trim(bytes_t b)
{
    while (b.len && isspace(b.ptr[0])) b = bytes_of(b.ptr + 1, b.len - 1);
    while (b.len && isspace(b.ptr[b.len - 1])) b.len--;
    return b;
}

/* Which of the texts that groups have pass a filter: asked once a request, however long the filter is. */
typedef struct passing {
    const char *const *texts;
    size_t count;
    bool all;
    bool passes[8];
} passing_t;

static const char *const state_texts[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable",
                                          "Dead",  "Assigning",          "Reconciling"};
static const char *const type_texts[] = {"classic", "consumer", "share"};

/* An empty filter lets all pass; case does not count. */
static passing_t passing_of(const char *const *texts, size_t count, const bytes_t *filter, int32_t filter_count)
{
    passing_t p = {.texts = texts, .count = count, .all = filter_count <= 0};
    ASSERT(count <= ARRAY_LEN(p.passes));
    for (int32_t i = 0; i < filter_count; i++) {
        bytes_t wanted = trim(filter[i]);
        for (size_t n = 0; n < count; n++) p.passes[n] = p.passes[n] || bytes_eq_nocase(wanted, bytes_str(texts[n]));
    }
    return p;
}

static bool passes(const passing_t *p, const char *text)
{
    if (p->all) return true;
    for (size_t i = 0; i < p->count; i++) {
        if (strcmp(p->texts[i], text) == 0) return p->passes[i];
    }
    UNREACHABLE(); /* the tables above name every text */
}

typedef struct list_job {
    kafka_request_t *request;
    kafka_list_groups_response_t *response;
    groups_walk_t walk;
    passing_t types, states;
    int32_t room; /* groups that there were when it began */
} list_job_t;

/* What is told of a group is copied: it may be gone before the answer is written. */
static void list_one(list_job_t *job, const group_entry_t *entry)
{
    kafka_list_groups_response_t *response = job->response;
    arena_t *arena = &job->request->arena;
    const char *state = groups_state_text(entry), *type = groups_type_text(entry);
    if (response->groups_count == job->room || !passes(&job->types, type) || !passes(&job->states, state)) return;
    kafka_list_groups_response_group_t *out = &response->groups[response->groups_count++];
    out->group_id = arena_copy(arena, entry->id);
    out->protocol_type = arena_copy(arena, groups_protocol_type(entry));
    out->group_state = bytes_str(state);
    out->group_type = bytes_str(type);
}

static slice_state_t list_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    list_job_t *job = request->state;
    group_entry_t *entry;
    for (int i = 0; i < GROUPS_A_STEP; i++) {
        if (!groups_walk_next(&job->walk, &entry)) {
            kafka_respond(request, job->response);
            return SLICE_ENDED;
        }
        if (entry) list_one(job, entry);
    }
    return SLICE_MORE;
}

static void list(kafka_request_t *request, kafka_list_groups_response_t *response)
{
    const kafka_list_groups_request_t *asked = request->body;
    kafka_groups_t *groups = request->kafka->groups;
    list_job_t *job = request->state = ARENA_NEW(&request->arena, list_job_t);
    *job = (list_job_t){.request = request, .response = response, .room = (int32_t)kafka_groups_count(groups)};
    job->types = passing_of(type_texts, ARRAY_LEN(type_texts), asked->types_filter, asked->types_filter_count);
    job->states = passing_of(state_texts, ARRAY_LEN(state_texts), asked->states_filter, asked->states_filter_count);
    response->groups = kafka_list_groups_response_group_array(&request->arena, job->room);
    groups_walk_begin(&job->walk, groups);
    kafka_request_run(request, list_step, NULL);
}

void kafka_handle_list_groups(kafka_request_t *request)
{
    kafka_list_groups_response_t *response = KAFKA_MESSAGE(request, list_groups_response);
    if (groups_loaded(request->kafka->groups)) {
        list(request, response);
        return;
    }
    response->error_code = KAFKA_COORDINATOR_LOAD_IN_PROGRESS;
    kafka_respond(request, response);
}
