/* config_alter.c: see config_alter.h. The request is answered when the tree has taken the last change. */
#include "kafka/config_alter.h"

#include "kafka/apis.h"
#include "kafka/name_count.h"

typedef struct config_alter_job {
    kafka_request_t *request;
    config_alteration_t *all;
    int32_t count, pending;
    config_altered_cb done;
} config_alter_job_t;

static void one_less(config_alter_job_t *job)
{
    if (--job->pending == 0) job->done(job->request, job->all, job->count);
}

static void changed(void *user, int16_t error, const char *message)
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

void config_alter_all(kafka_request_t *request, config_alteration_t *all, int32_t count, config_altered_cb done)
{
    arena_t *arena = &request->arena;
    name_count_t names = {0};
    config_alter_job_t *job = ARENA_NEW(arena, config_alter_job_t);
    *job = (config_alter_job_t){request, all, count, count + 1, done};
    for (int32_t i = 0; i < count; i++) name_count_add(&names, resource_key(arena, &all[i].change));
    for (int32_t i = 0; i < count; i++) {
        all[i].job = job;
        if (name_count_of(&names, resource_key(arena, &all[i].change)) > 1)
            changed(&all[i], KAFKA_INVALID_REQUEST, "Each resource must appear at most once.");
        else
            config_change(request->kafka, &all[i].change, arena, changed, &all[i]);
    }
    name_count_deinit(&names);
    one_less(job);
}
