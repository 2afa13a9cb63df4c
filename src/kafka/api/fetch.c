/* fetch.c: Fetch: batches from partitions to a consumer, waiting for them when there are too few.
 *
 *   look ──enough, or an error, or nothing to wait for──> answer
 *     └── else wait on each partition, and for max_wait_ms ──news of enough, time is up──> look ──> answer
 *
 * A partition that has more than its limit or the answer's lets through is enough: whole batches may stop short of what the
 * consumer wants at least, and waiting would not bring more. Looking and answering go partition by partition, in slices:
 * there may be thousands, whose files are closed. News costs a look at the one partition that has it.
 *
 * The partitions of a fetch belong to its session, or to the request's arena. */
#include "kafka/api/apis.h"
#include "kafka/broker/fetch_records.h"
#include "kafka/broker/fetch_session.h"

#define VERSION_WITH_TOPIC_IDS 13

typedef struct fetch {
    kafka_request_t *request;
    fetch_session_t *session; /* NULL = none */
    list_t *parts;            /* the session's, or `own_parts` */
    list_t own_parts;
    bool incremental;
    bool by_topic_id;
    bool read_committed;
    bool waiting;
    size_t bytes_max, bytes_min;
    /* the look under way */
    list_t *next; /* the node of the part whose turn it is; parts itself: the look is over */
    size_t left;  /* what may still be sent */
    size_t found; /* over all parts, as each was seen last */
    bool first;   /* nothing was found yet */
    bool full;    /* a part has more than a limit let through: waiting brings no more of it */
    bool urgent;  /* an error, or a part whose reader must learn something */
    bool last;    /* answer after it, whatever it finds */
    /* the answer being built */
    kafka_fetch_response_t *response; /* NULL while looking */
    kafka_fetch_response_topic_t *topic;
    kafka_fetch_response_partition_t *out; /* room for what is still to be told */
    fetch_part_t *end;                     /* who was last when the answer began */
    int32_t topics_max;
    fetch_records_t sent;
    io_timer_t timer;
} fetch_t;

/* ---- one partition --------------------------------------------------------------------------------------------------- */

static kafka_code_t part_partition(const fetch_t *fetch, const fetch_part_t *part, partition_t **ret_partition)
{
    const kafka_t *kafka = fetch->request->kafka;
    if (!fetch->by_topic_id) return kafka_partition_get(kafka, part->topic, part->partition, ret_partition);
    const kafka_topic_t *topic = kafka_topic_by_id(kafka, part->topic_id);
    return topic ? kafka_topic_partition_get(topic, part->partition, ret_partition) : KAFKA_UNKNOWN_TOPIC_ID;
}

static void part_clear(fetch_part_t *part)
{
    log_slice_release(part->slice.segment);
    part->slice = (log_slice_t){0};
    part->error = KAFKA_NONE;
    part->high_watermark = part->last_stable_offset = part->log_start = -1;
    part->diverging_epoch = -1;
    part->diverging_end_offset = -1;
}

/* A reader whose last record is of another history than ours must learn where they parted. */
static bool part_diverges(fetch_part_t *part, partition_t *partition)
{
    if (part->last_fetched_epoch < 0) return false;
    int32_t epoch;
    int64_t end_offset;
    log_epoch_end(partition_log(partition), part->last_fetched_epoch, &epoch, &end_offset);
    if (epoch >= part->last_fetched_epoch && end_offset >= part->fetch_offset) return false;
    part->diverging_epoch = epoch;
    part->diverging_end_offset = end_offset;
    return true;
}

/* Ten thousand partitions of one fetch must not keep as many files open: where they are scarce a slice only says what there
 * is, and is found again when its bytes are copied. */
static void part_loosen(fetch_part_t *part)
{
    log_slice_release(part->slice.segment);
    part->slice.segment = NULL;
    part->slice.file = NULL;
}

static kafka_code_t part_tighten(const fetch_t *fetch, fetch_part_t *part)
{
    partition_t *partition;
    if (part->slice.segment) return KAFKA_NONE;
    kafka_code_t error = part_partition(fetch, part, &partition);
    if (error) return error;
    return partition_find(partition, part->fetch_offset, part->slice.bytes, true, fetch->read_committed, &part->slice);
}

/* Where the part's reader may read to, and whether its batches stopped short of that at a limit. */
static bool part_is_full(const fetch_t *fetch, const fetch_part_t *part)
{
    int64_t end = fetch->read_committed ? part->last_stable_offset : part->high_watermark;
    return part->diverging_epoch < 0 && part->slice.next_offset < end;
}

/* Looks at one partition; takes what it finds off fetch->left. */
static void part_look(fetch_t *fetch, fetch_part_t *part)
{
    partition_t *partition = NULL;
    part_clear(part);
    part->error = part_partition(fetch, part, &partition);
    if (!part->error) part->error = partition_check_epoch(partition, part->current_leader_epoch);
    if (part->error) return;
    if (!part_diverges(part, partition)) {
        size_t bytes_max = MIN((size_t)MAX(part->bytes_max, 0), fetch->left);
        part->error =
            partition_find(partition, part->fetch_offset, bytes_max, fetch->first, fetch->read_committed, &part->slice);
        if (part->error) return;
    }
    part->high_watermark = partition_high_watermark(partition);
    part->last_stable_offset = partition_last_stable_offset(partition);
    part->log_start = partition_log_start_offset(partition);
    if (partition_files_scarce(partition)) part_loosen(part);
    if (part->slice.bytes > 0) fetch->first = false;
    fetch->left -= MIN(part->slice.bytes, fetch->left);
}

/* The same, and what it means for the answer. */
static void part_weigh(fetch_t *fetch, fetch_part_t *part)
{
    part_look(fetch, part);
    fetch->found = fetch->found - part->seen_bytes + part->slice.bytes;
    part->seen_bytes = part->slice.bytes;
    if (part->error || part->diverging_epoch >= 0) fetch->urgent = true;
    if (!part->error && part_is_full(fetch, part)) fetch->full = true;
}

/* ---- the answer ------------------------------------------------------------------------------------------------------ */

/* In an incremental answer only what the client does not know yet. */
static bool part_is_news(const fetch_t *fetch, const fetch_part_t *part)
{
    if (!fetch->incremental) return true;
    return part->error || part->slice.bytes > 0 || part->diverging_epoch >= 0 ||
           part->high_watermark != part->told_high_watermark || part->log_start != part->told_log_start;
}

/* The bytes themselves, or why they cannot be had. */
static kafka_code_t part_records(fetch_t *fetch, fetch_part_t *part, kafka_records_t *records)
{
    log_slice_t *slice = &part->slice;
    bool loose = slice->bytes > 0 && !slice->segment;
    if (slice->bytes == 0) return KAFKA_NONE;
    kafka_code_t error = part_tighten(fetch, part);
    if (error || slice->bytes == 0) return error;
    return fetch_records_take(&fetch->sent, fetch->request, slice, loose, records);
}

typedef struct aborted_list {
    kafka_fetch_response_aborted_transaction_t *items; /* NULL while they are counted */
    int32_t count;
} aborted_list_t;

static void take_aborted(void *user, const log_aborted_t *aborted)
{
    aborted_list_t *list = user;
    if (list->items) {
        list->items[list->count].producer_id = aborted->producer_id;
        list->items[list->count].first_offset = aborted->first_offset;
    }
    list->count++;
}

/* Which of the records that are sent to a reader of committed ones he must leave out. */
static kafka_code_t part_aborted(const fetch_t *fetch, const fetch_part_t *part, kafka_fetch_response_partition_t *out)
{
    partition_t *partition;
    aborted_list_t list = {0};
    int64_t from = part->fetch_offset, to = part->slice.next_offset;
    kafka_code_t error = part_partition(fetch, part, &partition);
    if (!error) error = partition_aborted(partition, from, to, take_aborted, &list);
    if (error || list.count == 0) return error;
    list.items = kafka_array_new(&kafka_fetch_response_aborted_transaction_shape, &fetch->request->arena, list.count);
    out->aborted_transactions = list.items;
    out->aborted_transactions_count = list.count;
    list.count = 0;
    return partition_aborted(partition, from, to, take_aborted, &list);
}

static void part_answer(fetch_t *fetch, fetch_part_t *part, kafka_fetch_response_partition_t *out)
{
    bool sends = part->slice.bytes > 0;
    if (!part->error && sends && fetch->read_committed) part->error = part_aborted(fetch, part, out);
    out->records.bytes = bytes_of("", 0); /* never null: there are just none */
    if (!part->error) part->error = part_records(fetch, part, &out->records);
    out->partition_index = part->partition;
    out->error_code = part->error;
    out->high_watermark = part->error ? -1 : part->high_watermark;
    out->last_stable_offset = part->error ? -1 : part->last_stable_offset;
    out->log_start_offset = part->error ? -1 : part->log_start;
    bool unknown = part->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || part->error == KAFKA_UNKNOWN_TOPIC_ID;
    if (part->error || !fetch->read_committed) out->aborted_transactions_count = unknown ? 0 : -1; /* null */
    out->diverging_epoch.epoch = part->diverging_epoch;
    out->diverging_epoch.end_offset = part->diverging_end_offset;
    if (!fetch->session) return;
    part->told_high_watermark = out->high_watermark;
    part->told_log_start = out->log_start_offset;
    if (sends) { /* who got something stands at the end of the queue next time */
        list_remove(&part->node);
        list_push_back(fetch->parts, &part->node);
    }
}

static bool same_topic(const fetch_t *fetch, const fetch_part_t *part, const kafka_fetch_response_topic_t *topic)
{
    return fetch->by_topic_id ? kafka_uuid_eq(part->topic_id, topic->topic_id) : bytes_eq(part->topic, topic->topic);
}

typedef struct answer_size {
    int32_t topics, partitions;
} answer_size_t;

static answer_size_t count_news(const fetch_t *fetch)
{
    answer_size_t n = {0, 0};
    kafka_fetch_response_topic_t last = {0};
    LIST_EACH(fetch->parts, part, fetch_part_t, node) {
        if (!part_is_news(fetch, part)) continue;
        if (n.topics == 0 || !same_topic(fetch, part, &last)) {
            last.topic = part->topic;
            last.topic_id = part->topic_id;
            n.topics++;
        }
        n.partitions++;
    }
    return n;
}

static void stop_waiting(fetch_t *fetch)
{
    if (!fetch->waiting) return;
    fetch->waiting = false;
    io_timer_stop(&fetch->timer);
    LIST_EACH(fetch->parts, part, fetch_part_t, node) list_remove(&part->waiter.node);
}

static void begin_answer(fetch_t *fetch)
{
    arena_t *arena = &fetch->request->arena;
    answer_size_t n = count_news(fetch);
    fetch->response = KAFKA_MESSAGE(fetch->request, fetch_response);
    fetch->response->responses = kafka_array_new(&kafka_fetch_response_topic_shape, arena, n.topics);
    fetch->topics_max = n.topics;
    fetch->out = kafka_array_new(&kafka_fetch_response_partition_shape, arena, n.partitions);
    fetch->topic = NULL;
    bool any = !list_empty(fetch->parts);
    fetch->end = any ? CONTAINER_OF(fetch->parts->prev, fetch_part_t, node) : NULL;
    fetch->next = any ? fetch->parts->next : NULL;
}

/* Tells of one part; neighbours of one topic share its entry. Parts that were told of move to the end: who was last when
 * the answer began ends it. */
static void answer_part(fetch_t *fetch)
{
    fetch_part_t *part = CONTAINER_OF(fetch->next, fetch_part_t, node);
    fetch->next = part == fetch->end ? NULL : part->node.next;
    if (!part_is_news(fetch, part)) return;
    if (!fetch->topic || !same_topic(fetch, part, fetch->topic)) {
        ASSERT(fetch->response->responses_count < fetch->topics_max);
        fetch->topic = &fetch->response->responses[fetch->response->responses_count++];
        fetch->topic->topic = part->topic;
        fetch->topic->topic_id = part->topic_id;
        fetch->topic->partitions = fetch->out;
    }
    fetch->topic->partitions_count++;
    part_answer(fetch, part, fetch->out++);
}

static void end_answer(fetch_t *fetch)
{
    kafka_fetch_response_t *response = fetch->response;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) part_clear(part);
    if (fetch->session) {
        response->session_id = fetch->session->id;
        fetch->session->fetch = NULL;
    }
    kafka_respond(fetch->request, response);
}

/* Ends the fetch at once, with what was found so far. */
static void answer_now(fetch_t *fetch)
{
    stop_waiting(fetch);
    slice_stop(&fetch->request->slice);
    if (!fetch->response) begin_answer(fetch);
    while (fetch->next) answer_part(fetch);
    end_answer(fetch);
}

static void answer_error(kafka_request_t *request, kafka_code_t error)
{
    kafka_fetch_response_t *response = KAFKA_MESSAGE(request, fetch_response);
    response->error_code = error;
    kafka_respond(request, response);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

static void begin_look(fetch_t *fetch, bool last)
{
    fetch->next = fetch->parts->next;
    fetch->left = fetch->bytes_max;
    fetch->first = true;
    fetch->full = fetch->urgent = false;
    fetch->last = last;
}

/* What was found is enough, or time is up: a last look at all, to take it along. */
static void look_and_answer(fetch_t *fetch)
{
    stop_waiting(fetch);
    begin_look(fetch, true);
    slice_run(&fetch->request->kafka->slices, &fetch->request->slice);
}

static bool has_found_enough(const fetch_t *fetch)
{
    return fetch->found >= fetch->bytes_min || (fetch->full && fetch->found > 0);
}

static void woken(partition_waiter_t *waiter, kafka_code_t error)
{
    fetch_part_t *part = CONTAINER_OF(waiter, fetch_part_t, waiter);
    fetch_t *fetch = part->fetch;
    partition_t *partition;
    fetch->left = fetch->bytes_max;
    fetch->first = true;
    part_weigh(fetch, part);
    part_clear(part);
    if (error || fetch->urgent || has_found_enough(fetch)) {
        look_and_answer(fetch);
        return;
    }
    error = part_partition(fetch, part, &partition);
    ASSERT(error == KAFKA_NONE); /* it would be urgent */
    partition_wait(partition, &part->waiter);
}

static void time_is_up(io_timer_t *timer) { look_and_answer(CONTAINER_OF(timer, fetch_t, timer)); }

/* To nobody: for the session's sake. */
static void gone(kafka_request_t *request)
{
    fetch_t *fetch = request->state;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) part_clear(part);
    answer_now(fetch);
}

static void wait_for_more(fetch_t *fetch)
{
    const kafka_fetch_request_t *body = fetch->request->body;
    fetch->waiting = true;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) {
        partition_t *partition;
        part_clear(part);
        kafka_code_t error = part_partition(fetch, part, &partition);
        part->waiter.wake = woken;
        if (!error) partition_wait(partition, &part->waiter);
        if (error) fetch->urgent = true; /* it went while the others were looked at */
    }
    io_timer_init(fetch->request->kafka->loop, &fetch->timer, time_is_up);
    io_timer_start(&fetch->timer, fetch->urgent ? 0 : (uint64_t)body->max_wait_ms, 0);
}

/* The look is over: true when the answer may go. */
static bool is_enough(const fetch_t *fetch)
{
    const kafka_fetch_request_t *body = fetch->request->body;
    return fetch->last || fetch->urgent || has_found_enough(fetch) || body->max_wait_ms <= 0 ||
           list_empty(fetch->parts);
}

static slice_state_t fetch_step(slice_t *slice)
{
    fetch_t *fetch = CONTAINER_OF(slice, kafka_request_t, slice)->state;
    if (fetch->response && fetch->next) {
        answer_part(fetch);
    } else if (fetch->response) {
        end_answer(fetch);
        return SLICE_ENDED;
    } else if (fetch->next != fetch->parts) {
        fetch_part_t *part = CONTAINER_OF(fetch->next, fetch_part_t, node);
        fetch->next = fetch->next->next;
        part_weigh(fetch, part);
    } else if (is_enough(fetch)) {
        begin_answer(fetch);
    } else {
        wait_for_more(fetch);
        return SLICE_WAITS;
    }
    return SLICE_MORE;
}

/* ---- the request ----------------------------------------------------------------------------------------------------- */

static void take_parts(fetch_t *fetch, const kafka_fetch_request_t *body)
{
    for (int32_t t = 0; t < body->topics_count; t++) {
        const kafka_fetch_request_topic_t *topic = &body->topics[t];
        for (int32_t p = 0; p < topic->partitions_count; p++) {
            fetch_part_t *part = ARENA_NEW(&fetch->request->arena, fetch_part_t);
            list_init(&part->waiter.node);
            part->topic = topic->topic;
            fetch_part_set(part, topic, &topic->partitions[p]);
            list_push_back(&fetch->own_parts, &part->node);
        }
    }
}

/* A session that another request still waits on is set free by answering that one. */
static void end_fetch_of(const kafka_t *kafka, int32_t session_id)
{
    fetch_session_t *session = fetch_session_get(kafka, session_id);
    if (session && session->fetch) answer_now(session->fetch);
}

static kafka_code_t take_session(fetch_t *fetch, const kafka_fetch_request_t *body)
{
    kafka_t *kafka = fetch->request->kafka;
    if (body->session_id != FETCH_SESSION_ID_NONE) end_fetch_of(kafka, body->session_id);
    if (body->session_epoch == FETCH_SESSION_EPOCH_INITIAL || body->session_epoch == FETCH_SESSION_EPOCH_FINAL) {
        fetch_session_t *old = fetch_session_get(kafka, body->session_id);
        if (old) fetch_session_remove(kafka, old);
        if (body->session_epoch == FETCH_SESSION_EPOCH_INITIAL) {
            fetch->session = fetch_session_create(kafka, body, fetch->by_topic_id);
        }
    } else {
        kafka_code_t error = fetch_session_continue(kafka, body, fetch->by_topic_id, &fetch->session);
        if (error) return error;
        if (list_empty(&fetch->session->parts)) { /* all were forgotten: so is the session */
            fetch_session_remove(kafka, fetch->session);
            fetch->session = NULL;
            return KAFKA_NONE;
        }
        fetch->incremental = true;
    }
    if (fetch->session) {
        fetch->session->fetch = fetch;
        fetch->parts = &fetch->session->parts;
    } else {
        take_parts(fetch, body);
    }
    return KAFKA_NONE;
}

void kafka_handle_fetch(kafka_request_t *request)
{
    const kafka_fetch_request_t *body = request->body;
    fetch_t *fetch = ARENA_NEW(&request->arena, fetch_t);
    fetch->request = request;
    fetch->by_topic_id = request->header.api_version >= VERSION_WITH_TOPIC_IDS;
    fetch->read_committed = body->isolation_level == 1;
    fetch->bytes_max = (size_t)MIN((int64_t)MAX(body->max_bytes, 0), request->kafka->config.fetch_max_bytes);
    fetch->bytes_min = MIN((size_t)MAX(body->min_bytes, 0), fetch->bytes_max);
    list_init(&fetch->own_parts);
    fetch->parts = &fetch->own_parts;
    kafka_code_t error = take_session(fetch, body);
    if (error) {
        answer_error(request, error);
        return;
    }
    LIST_EACH(fetch->parts, part, fetch_part_t, node) {
        part->fetch = fetch;
        part->seen_bytes = 0;
    }
    request->state = fetch;
    request->gone = gone;
    begin_look(fetch, false);
    kafka_request_run(request, fetch_step, NULL);
}
