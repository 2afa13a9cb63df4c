/* share_fetch.c: ShareFetch: a member of a share group acquires records of partitions, waiting for them when there are too few, and
 * answers those that it has had.
 *
 *   the answers that it brings are stored
 *     └── look ──enough, an error, nothing to wait for──> take ──> answer
 *          └── else wait on each partition, and for max_wait_ms ──news of enough, time is up──> look ──> take ──> answer
 *
 * A look only says what could be acquired: what is acquired is sent. Both go partition by partition, in slices. */
#include "kafka/api/apis.h"
#include "kafka/api/share_fetch_internal.h"

enum { ACQUIRE_BATCHES, ACQUIRE_RECORDS }; /* share_acquire_mode */

static share_part_t *part_of(list_t *node) { return CONTAINER_OF(node, share_part_t, node); }

static kafka_code_t leader_of(share_fetch_t *fetch, const share_part_t *part, share_leader_t **ret_leader)
{
    return share_leader_get(fetch->session->group, part->topic_id, part->index, ret_leader);
}

/* ---- looking --------------------------------------------------------------------------------------------------------- */

/* What the metadata says of a partition is no reason to hurry: the member learns it when it gets an answer. */
static bool is_urgent(kafka_code_t error)
{
    return error && error != KAFKA_UNKNOWN_TOPIC_ID && error != KAFKA_UNKNOWN_TOPIC_OR_PARTITION;
}

static void part_look(share_fetch_t *fetch, share_part_t *part)
{
    share_leader_t *leader;
    part->found_bytes = 0;
    part->error = leader_of(fetch, part, &leader);
    if (!part->error) part->error = share_leader_look(leader, &fetch->settings, fetch->bytes_max, &part->found_bytes);
    fetch->found_bytes += part->found_bytes;
    if (part->found_bytes > 0) fetch->found_count++;
    if (!part->error) fetch->valid_count++;
    if (!part->error && share_leader_is_open(leader, &fetch->settings)) fetch->open_count++;
    if (is_urgent(part->error)) fetch->urgent = true;
}

static void begin_look(share_fetch_t *fetch, bool last)
{
    fetch->next = fetch->session->parts.next;
    fetch->found_bytes = 0;
    fetch->found_count = fetch->open_count = fetch->valid_count = 0;
    fetch->urgent = false;
    fetch->last = last;
}

static bool has_found_enough(const share_fetch_t *fetch)
{
    return fetch->open_count > 0 && fetch->found_bytes >= fetch->bytes_min;
}

static bool is_enough(const share_fetch_t *fetch)
{
    const kafka_share_fetch_request_t *body = fetch->request->body;
    return fetch->last || fetch->urgent || has_found_enough(fetch) || body->max_wait_ms <= 0 || fetch->valid_count == 0;
}

/* ---- taking ---------------------------------------------------------------------------------------------------------- */

static void begin_take(share_fetch_t *fetch)
{
    list_t *parts = &fetch->session->parts;
    fetch->taking = true;
    fetch->next = list_empty(parts) ? NULL : parts->next;
    fetch->end = list_empty(parts) ? NULL : part_of(parts->prev);
    fetch->bytes_left = fetch->bytes_max;
    share_fetch__begin_rows(fetch, fetch->session->by_key.count);
}

static bool is_scarce(const share_fetch_t *fetch, const share_part_t *part)
{
    partition_t *partition;
    const kafka_topic_t *topic = kafka_topic_by_id(fetch->request->kafka, part->topic_id);
    return !topic || kafka_topic_partition_get(topic, part->index, &partition) || partition_files_scarce(partition);
}

/* Acquires, in as many pieces as it takes to find a record that counts. */
static kafka_code_t part_take(share_fetch_t *fetch, share_part_t *part, share_taken_t *ret_taken)
{
    const kafka_share_fetch_request_t *body = fetch->request->body;
    share_leader_t *leader;
    share_take_t take = {.member = fetch->session->number,
                         .bytes_max = fetch->bytes_left / MAX(fetch->found_count, 1),
                         .records_max = fetch->records_left,
                         .range_records = MAX(body->batch_size, 1),
                         .strictly = body->share_acquire_mode == ACQUIRE_RECORDS};
    *ret_taken = (share_taken_t){0};
    kafka_code_t error = leader_of(fetch, part, &leader);
    if (!error && fetch->initial) part->untold = share_leader_is_open(leader, &fetch->settings);
    if (error || fetch->bytes_left == 0 || fetch->records_left <= 0) return error;
    return share_leader_take(leader, &fetch->settings, &take, &fetch->request->arena, ret_taken);
}

static bool is_told(const share_part_t *part, const share_taken_t *taken)
{
    return taken->count > 0 || part->error || part->untold;
}

/* Parts of which something was acquired move to the end: who was last when it began ends it. */
static void take_part(share_fetch_t *fetch)
{
    share_part_t *part = part_of(fetch->next);
    share_taken_t taken;
    part->error = part_take(fetch, part, &taken);
    if (!part->error && taken.passed_over) return; /* once more */
    fetch->next = part == fetch->end ? NULL : part->node.next;
    if (part->found_bytes > 0 && fetch->found_count > 0) fetch->found_count--;
    if (!is_told(part, &taken)) return;
    share_fetch_row_t *row = share_fetch__row(fetch, part->topic_id, part->index);
    row->out.error_code = part->error;
    part->untold = part->error != KAFKA_NONE;
    if (taken.count == 0) return;
    part->acquired = true;
    fetch->bytes_left -= MIN(taken.slice.bytes, fetch->bytes_left);
    fetch->records_left -= (int32_t)MIN(taken.records, fetch->records_left);
    share_fetch__put_taken(fetch, row, &taken, is_scarce(fetch, part));
    list_remove(&part->node);
    list_push_back(&fetch->session->parts, &part->node);
}

/* ---- the end --------------------------------------------------------------------------------------------------------- */

static void stop_waiting(share_fetch_t *fetch)
{
    if (!fetch->waiting) return;
    fetch->waiting = false;
    io_timer_stop(&fetch->timer);
    LIST_EACH(&fetch->session->parts, part, share_part_t, node) list_remove(&part->waiter.node);
}

/* The session is for the next request. */
static void leave_session(share_fetch_t *fetch)
{
    stop_waiting(fetch);
    if (fetch->session) fetch->session->fetch = NULL;
    fetch->session = NULL;
}

static void answer(share_fetch_t *fetch)
{
    const kafka_share_fetch_request_t *body = fetch->request->body;
    share_session_t *session = fetch->session;
    leave_session(fetch);
    if (session && body->share_session_epoch == SHARE_SESSION_EPOCH_FINAL) share_session_end(session);
    if (!fetch->rows) share_fetch__begin_rows(fetch, 0);
    share_fetch__respond(fetch);
}

/* Another request has come to the session, or it ends: what was acquired is told, unless answers are still being stored; then it is
 * told with them. */
static void end_fetch(share_fetch_t *fetch)
{
    slice_stop(&fetch->request->slice);
    leave_session(fetch);
    if (fetch->acks.waiting == 0) answer(fetch);
}

static void gone(kafka_request_t *request)
{
    share_fetch_t *fetch = request->state;
    if (fetch->session) end_fetch(fetch);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

static void look_and_answer(share_fetch_t *fetch)
{
    stop_waiting(fetch);
    begin_look(fetch, true);
    slice_run(&fetch->request->kafka->slices, &fetch->request->slice);
}

/* Looks at the one part that has news. */
static void woken(share_waiter_t *waiter, kafka_code_t error)
{
    share_part_t *part = CONTAINER_OF(waiter, share_part_t, waiter);
    share_fetch_t *fetch = part->fetch;
    share_leader_t *leader;
    fetch->found_bytes -= part->found_bytes;
    if (part->found_bytes > 0) fetch->found_count--;
    if (!error) part_look(fetch, part);
    if (error || part->error || has_found_enough(fetch)) {
        look_and_answer(fetch);
        return;
    }
    error = leader_of(fetch, part, &leader);
    if (error)
        look_and_answer(fetch);
    else
        share_leader_wait(leader, waiter);
}

static void time_is_up(io_timer_t *timer) { look_and_answer(CONTAINER_OF(timer, share_fetch_t, timer)); }

static void wait_for_more(share_fetch_t *fetch)
{
    const kafka_share_fetch_request_t *body = fetch->request->body;
    fetch->waiting = true;
    LIST_EACH(&fetch->session->parts, part, share_part_t, node) {
        share_leader_t *leader;
        if (part->error) continue; /* the rest may still have something */
        part->error = leader_of(fetch, part, &leader);
        part->waiter.wake = woken;
        if (part->error) continue;
        share_leader_wait(leader, &part->waiter);
        share_leader_wake(leader); /* the look may have taken several turns */
    }
    io_timer_init(fetch->request->kafka->loop, &fetch->timer, time_is_up);
    io_timer_start(&fetch->timer, (uint64_t)body->max_wait_ms, 0);
}

static slice_state_t fetch_step(slice_t *slice)
{
    share_fetch_t *fetch = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    if (fetch->taking && fetch->next) {
        take_part(fetch);
    } else if (fetch->taking) {
        answer(fetch);
        return SLICE_ENDED;
    } else if (fetch->next != &fetch->session->parts) {
        share_part_t *part = part_of(fetch->next);
        fetch->next = fetch->next->next;
        part_look(fetch, part);
    } else if (is_enough(fetch)) {
        begin_take(fetch);
    } else {
        wait_for_more(fetch);
        return SLICE_WAITS;
    }
    return SLICE_MORE;
}

/* ---- the request ----------------------------------------------------------------------------------------------------- */

static void on_acknowledged(share_acks_t *acks)
{
    share_fetch_t *fetch = CONTAINER_OF(acks, share_fetch_t, acks);
    if (!fetch->session || !fetch->fetches) {
        answer(fetch);
        return;
    }
    LIST_EACH(&fetch->session->parts, part, share_part_t, node) part->fetch = fetch;
    begin_look(fetch, false);
    kafka_request_run(fetch->request, fetch_step, NULL);
}

static size_t count_parts(const kafka_share_fetch_request_t *body)
{
    size_t parts = 0;
    for (int32_t t = 0; t < body->topics_count; t++) parts += (size_t)body->topics[t].partitions_count;
    return parts;
}

static size_t take_acks(share_fetch_t *fetch, const kafka_share_fetch_request_t *body)
{
    size_t batches = 0;
    share_acks_init(&fetch->acks, fetch->request, body->is_renew_ack, count_parts(body));
    for (int32_t t = 0; t < body->topics_count; t++) {
        for (int32_t p = 0; p < body->topics[t].partitions_count; p++) {
            const kafka_share_fetch_request_partition_t *part = &body->topics[t].partitions[p];
            if (part->acknowledgement_batches_count == 0) continue;
            share_acks_part(&fetch->acks, body->topics[t].topic_id, part->partition_index);
            for (int32_t i = 0; i < part->acknowledgement_batches_count; i++, batches++) {
                const kafka_share_fetch_request_acknowledgement_batch_t *b = &part->acknowledgement_batches[i];
                share_acks_batch(&fetch->acks, b->first_offset, b->last_offset, b->acknowledge_types,
                                 b->acknowledge_types_count);
            }
        }
    }
    return batches;
}

static kafka_code_t take_session(share_fetch_t *fetch, const kafka_share_fetch_request_t *body, size_t acks)
{
    kafka_request_t *request = fetch->request;
    fetch->initial = body->share_session_epoch == SHARE_SESSION_EPOCH_INITIAL;
    if (fetch->initial) return acks ? KAFKA_INVALID_REQUEST : share_session_open(request, body, &fetch->session);
    kafka_code_t error = share_session_find(request->kafka, body->group_id, body->member_id, &fetch->session);
    if (error) return error;
    error = share_session_step(fetch->session, body->share_session_epoch);
    if (error) return error;
    if (fetch->session->fetch) end_fetch(fetch->session->fetch);
    bool ends = body->share_session_epoch == SHARE_SESSION_EPOCH_FINAL;
    return ends ? KAFKA_NONE : share_session_apply(fetch->session, body);
}

static void run(share_fetch_t *fetch, const kafka_share_fetch_request_t *body)
{
    kafka_request_t *request = fetch->request;
    share_settings_read(request->kafka, body->group_id, &fetch->settings);
    fetch->bytes_max = (size_t)MIN((int64_t)MAX(body->max_bytes, 0), request->kafka->config.fetch_max_bytes);
    fetch->bytes_min = MIN((size_t)MAX(body->min_bytes, 0), fetch->bytes_max);
    fetch->records_left = body->max_records;
    fetch->fetches =
        body->share_session_epoch != SHARE_SESSION_EPOCH_FINAL && fetch->bytes_max > 0 && fetch->records_left > 0;
    fetch->session->fetch = fetch;
    fetch->session->end_fetch = end_fetch;
    request->state = fetch;
    request->gone = gone;
    share_acks_run(&fetch->acks, fetch->session, &fetch->settings, on_acknowledged);
}

/* ---- refusals -------------------------------------------------------------------------------------------------------- */

typedef struct refusal {
    kafka_request_t *request;
    kafka_code_t error;
    io_timer_t timer;
} refusal_t;

static void refuse(refusal_t *refusal)
{
    kafka_request_t *request = refusal->request;
    kafka_share_fetch_response_t *response = KAFKA_MESSAGE(request, share_fetch_response);
    response->error_code = refusal->error;
    kafka_respond(request, response);
}

static void refuse_late(io_timer_t *timer) { refuse(CONTAINER_OF(timer, refusal_t, timer)); }

static void refused_is_gone(kafka_request_t *request)
{
    refusal_t *refusal = request->state;
    io_timer_stop(&refusal->timer);
    refuse(refusal);
}

/* Who finds no room for a session would come again at once: it is told when its time is up. */
static void refuse_when_due(kafka_request_t *request, kafka_code_t error)
{
    const kafka_share_fetch_request_t *body = request->body;
    refusal_t *refusal = ARENA_NEW(&request->arena, refusal_t);
    *refusal = (refusal_t){.request = request, .error = error};
    if (error != KAFKA_SHARE_SESSION_LIMIT_REACHED || body->max_wait_ms <= 0) {
        refuse(refusal);
        return;
    }
    request->state = refusal;
    request->gone = refused_is_gone;
    io_timer_init(request->kafka->loop, &refusal->timer, refuse_late);
    io_timer_start(&refusal->timer, (uint64_t)body->max_wait_ms, 0);
}

/* A request that renews asks for no records. */
static bool is_sound(const kafka_share_fetch_request_t *body)
{
    bool asks = body->max_bytes || body->min_bytes || body->max_records || body->max_wait_ms;
    return share_request_names_session(body->group_id, body->member_id) &&
           count_parts(body) <= SHARE_REQUEST_PARTS_MAX && !(body->is_renew_ack && asks);
}

void kafka_handle_share_fetch(kafka_request_t *request)
{
    const kafka_share_fetch_request_t *body = request->body;
    share_fetch_t *fetch = ARENA_NEW(&request->arena, share_fetch_t);
    fetch->request = request;
    kafka_code_t error = KAFKA_INVALID_REQUEST;
    if (is_sound(body)) error = take_session(fetch, body, take_acks(fetch, body));
    if (error)
        refuse_when_due(request, error);
    else
        run(fetch, body);
}
