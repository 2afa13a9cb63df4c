/* config_alter.c: see config_alter.h. One resource a step. The request is answered when the tree has taken the last change. */
#include "kafka/api/config_alter.h"

#include "kafka/api/apis.h"
#include "kafka/topics/name_count.h"

typedef struct config_alter_job {
    kafka_request_t *request;
    config_alteration_t *all;
    int32_t count, pending;
    int32_t counted, next; /* resources whose names were counted; which were begun */
    name_count_t names;
    config_altered_cb done;
} config_alter_job_t;

static void one_less(config_alter_job_t *job)
{
    if (--job->pending == 0) job->done(job->request, job->all, job->count);
}

static void changed(void *user, kafka_code_t error, const char *message)
{
    config_alteration_t *one = user;
    one->error = error;
    one->message = kafka_text(one->job->request, message);
    one_less(one->job);
}

/* Type and name as one key. */
static bytes_t resource_key(arena_t *arena, const config_change_t *change)
{
    bytes_t name = change->resource_name;
    uint8_t *key = arena_alloc(arena, name.len + 1);
    key[0] = (uint8_t)change->resource_type;
    if (name.len) memcpy(key + 1, name.ptr, name.len);
    return bytes_of(key, name.len + 1);
}

static void alter(config_alter_job_t *job, config_alteration_t *one)
{
    arena_t *arena = &job->request->arena;
    one->job = job;
    if (name_count_of(&job->names, resource_key(arena, &one->change)) > 1)
        changed(one, KAFKA_INVALID_REQUEST, "Each resource must appear at most once.");
    else
        config_change(job->request->kafka, &one->change, arena, changed, one);
}

static slice_state_t alter_step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    config_alter_job_t *job = request->state;
    if (job->counted < job->count) {
        name_count_add(&job->names, resource_key(&request->arena, &job->all[job->counted++].change));
        return SLICE_MORE;
    }
    if (job->next < job->count) {
        alter(job, &job->all[job->next++]);
        return SLICE_MORE;
    }
    name_count_deinit(&job->names);
    one_less(job);
    return SLICE_ENDED;
}

void config_alter_all(kafka_request_t *request, config_alteration_t *all, int32_t count, config_altered_cb done)
{
    config_alter_job_t *job = request->state = ARENA_NEW(&request->arena, config_alter_job_t);
    *job = (config_alter_job_t){.request = request, .all = all, .count = count, .pending = count + 1, .done = done};
    kafka_request_run(request, alter_step, NULL);
}
