/* share_state_steps.c: see share_state_steps.h. */
#include "kafka/api/share_state_steps.h"

void share_state_steps_told(share_state_request_t *request, kafka_code_t error, const char *message,
                            const share_state_value_t *value)
{
    share_state_steps_t *s = CONTAINER_OF(request, share_state_steps_t, state);
    if (error && !message) message = kafka_error_text(error);
    s->api->answer(s, error, message, value);
    s->partition++;
    s->asking = false;
    if (!s->stepping) slice_run(&s->request->kafka->slices, &s->request->slice);
}

static bool has_next(share_state_steps_t *s)
{
    while (s->partition == s->partitions_count) {
        if (++s->topic == s->topics_count) return false;
        s->partition = 0;
        s->partitions_count = s->api->count(s->request, s->topic);
        s->api->begin(s);
    }
    return true;
}

static slice_state_t step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    share_state_steps_t *s = request->state;
    if (!has_next(s)) {
        kafka_respond(request, s->response);
        return SLICE_ENDED;
    }
    s->stepping = s->asking = true;
    s->api->ask(s);
    s->stepping = false;
    return s->asking ? SLICE_WAITS : SLICE_MORE;
}

static bool names_something(const kafka_request_t *request, const share_state_api_t *api, bytes_t group_id,
                            int32_t topics_count)
{
    for (int32_t t = 0; t < topics_count; t++) {
        if (api->count(request, t) <= 0) return false;
    }
    return group_id.len > 0 && topics_count > 0;
}

void share_state_steps_run(kafka_request_t *request, const share_state_api_t *api, bytes_t group_id,
                           int32_t topics_count, void *response)
{
    if (!names_something(request, api, group_id, topics_count)) {
        kafka_respond(request, response);
        return;
    }
    share_state_steps_t *s = request->state = ARENA_NEW(&request->arena, share_state_steps_t);
    *s = (share_state_steps_t){.request = request,
                               .api = api,
                               .response = response,
                               .group_id = group_id,
                               .topics_count = topics_count,
                               .topic = -1};
    kafka_request_run(request, step, NULL);
}
