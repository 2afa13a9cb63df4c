/* share_jobs.c: see share_jobs.h. */
#include "kafka/coordinator/share/share_jobs.h"

share_job_t *share_job_new(kafka_t *kafka, share_job_kind_t kind, bytes_t group_id, size_t count,
                           void (*done)(share_job_t *job), void *user)
{
    share_job_t *job = mem_zalloc(sizeof(*job));
    job->kafka = kafka;
    job->kind = kind;
    job->group_id = bytes_of(mem_strndup(group_id), group_id.len);
    job->items = mem_zalloc(sizeof(job->items[0]) * (count + 1));
    job->count = count;
    job->done = done;
    job->user = user;
    return job;
}

static void finish(share_job_t *job)
{
    job->done(job);
    mem_free((void *)job->group_id.ptr);
    mem_free(job->items);
    mem_free(job);
}

static void on_answer(share_state_request_t *request, kafka_code_t error, const char *message,
                      const share_state_value_t *value)
{
    share_job_t *job = CONTAINER_OF(request, share_job_t, request);
    share_job_item_t *item = &job->items[job->next++];
    item->error = error;
    item->message = message;
    if (value) {
        item->start_offset = value->start_offset;
        item->leader_epoch = value->leader_epoch;
        item->delivery_complete_count = value->delivery_complete_count;
    }
    job->asking = false;
    if (!job->stepping) slice_run(&job->kafka->slices, &job->slice);
}

static void ask(share_job_t *job)
{
    const share_job_item_t *item = &job->items[job->next];
    share_state_key_t key = {job->group_id, item->tp.topic, item->tp.partition};
    switch (job->kind) {
    case SHARE_JOB_INITIALIZE:
        share_state_initialize(job->kafka, &key, item->state_epoch, item->start_offset, &job->request, on_answer);
        return;
    case SHARE_JOB_DELETE: share_state_delete(job->kafka, &key, &job->request, on_answer); return;
    case SHARE_JOB_SUMMARY: share_state_summary(job->kafka, &key, item->leader_epoch, &job->request, on_answer); return;
    }
    UNREACHABLE();
}

static slice_state_t step(slice_t *slice)
{
    share_job_t *job = CONTAINER_OF(slice, share_job_t, slice);
    if (job->next == job->count) {
        finish(job);
        return SLICE_ENDED;
    }
    job->stepping = job->asking = true;
    ask(job);
    job->stepping = false;
    return job->asking ? SLICE_WAITS : SLICE_MORE;
}

void share_job_run(share_job_t *job)
{
    job->slice = (slice_t){.step = step};
    slice_run(&job->kafka->slices, &job->slice);
}
