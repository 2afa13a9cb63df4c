/* fetch.c: Fetch: batches from partitions to a consumer, waiting for them when there are too few.
 *
 *   start ──enough, or an error, or nothing to wait for──> answer
 *     └── else wait on each partition, and for max_wait_ms ──news──> look again ──enough──> answer
 *                                                          └──time is up, client gone──> answer
 *
 * Large stretches leave by sendfile and are never read here; small ones are copied, which costs less than the
 * system calls they would need of their own. The partitions of a fetch belong to its session, or to the
 * request's arena. */
#include "kafka/apis.h"
#include "kafka/fetch_session.h"

#define VERSION_WITH_TOPIC_IDS 13
/* Up to here a copy costs less than a sendfile of its own (measured: even at 32 to 64 KiB). */
#define COPY_BYTES_MAX KIB(32)

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
    io_timer_t timer;
} fetch_t;

/* ---- one partition --------------------------------------------------------------------------------------------------- */

static int16_t part_partition(const fetch_t *fetch, const fetch_part_t *part, partition_t **ret_partition)
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

static int16_t part_tighten(const fetch_t *fetch, fetch_part_t *part)
{
    partition_t *partition;
    if (part->slice.segment) return KAFKA_NONE;
    int16_t error = part_partition(fetch, part, &partition);
    if (error) return error;
    return partition_find(partition, part->fetch_offset, part->slice.bytes, true, fetch->read_committed, &part->slice);
}

/* Looks at one partition; *left is what may still be sent, *first whether nothing was found yet. */
static void part_look(const fetch_t *fetch, fetch_part_t *part, size_t *left, bool *first)
{
    partition_t *partition = NULL;
    part_clear(part);
    part->error = part_partition(fetch, part, &partition);
    if (!part->error) part->error = partition_check_epoch(partition, part->current_leader_epoch);
    if (part->error) return;
    if (!part_diverges(part, partition)) {
        size_t bytes_max = MIN((size_t)MAX(part->bytes_max, 0), *left);
        part->error =
            partition_find(partition, part->fetch_offset, bytes_max, *first, fetch->read_committed, &part->slice);
        if (part->error) return;
    }
    part->high_watermark = partition_high_watermark(partition);
    part->last_stable_offset = partition_last_stable_offset(partition);
    part->log_start = partition_log_start_offset(partition);
    if (partition_files_scarce(partition)) part_loosen(part);
    if (part->slice.bytes > 0) *first = false;
    *left -= MIN(part->slice.bytes, *left);
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
static int16_t part_records(const fetch_t *fetch, fetch_part_t *part, kafka_records_t *records)
{
    kafka_request_t *request = fetch->request;
    log_slice_t *slice = &part->slice;
    bool loose = slice->bytes > 0 && !slice->segment;
    if (slice->bytes == 0) return KAFKA_NONE;
    int16_t error = part_tighten(fetch, part);
    if (error || slice->bytes == 0) return error;
    request->kafka->stats.fetched_bytes += slice->bytes;
    if (slice->bytes > COPY_BYTES_MAX && !loose) {
        *records = (kafka_records_t){.file = slice->file,
                                     .file_position = slice->position,
                                     .file_bytes = slice->bytes,
                                     .release = log_slice_release,
                                     .release_user = slice->segment};
        *slice = (log_slice_t){0};
        return KAFKA_NONE;
    }
    uint8_t *copy = arena_alloc(&request->arena, slice->bytes);
    bool ok = io_file_read(slice->file, slice->position, copy, slice->bytes) == (ssize_t)slice->bytes;
    if (ok) records->bytes = bytes_of(copy, slice->bytes);
    log_slice_release(slice->segment);
    *slice = (log_slice_t){0};
    return ok ? KAFKA_NONE : KAFKA_KAFKA_STORAGE_ERROR;
}

static void part_answer(fetch_t *fetch, fetch_part_t *part, kafka_fetch_response_partition_t *out)
{
    bool sends = part->slice.bytes > 0;
    out->records.bytes = bytes_of("", 0); /* never null: there are just none */
    if (!part->error) part->error = part_records(fetch, part, &out->records);
    out->partition_index = part->partition;
    out->error_code = part->error;
    out->high_watermark = part->error ? -1 : part->high_watermark;
    out->last_stable_offset = part->error ? -1 : part->last_stable_offset;
    out->log_start_offset = part->error ? -1 : part->log_start;
    bool unknown = part->error == KAFKA_UNKNOWN_TOPIC_OR_PARTITION || part->error == KAFKA_UNKNOWN_TOPIC_ID;
    out->aborted_transactions_count = unknown || (fetch->read_committed && !part->error) ? 0 : -1; /* else null */
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

/* Neighbours of one topic share its entry. */
static void build(fetch_t *fetch, kafka_fetch_response_t *response)
{
    arena_t *arena = &fetch->request->arena;
    answer_size_t n = count_news(fetch);
    response->responses = kafka_array_new(&kafka_fetch_response_topic_shape, arena, n.topics);
    kafka_fetch_response_partition_t *out = kafka_array_new(&kafka_fetch_response_partition_shape, arena, n.partitions);
    kafka_fetch_response_topic_t *topic = NULL;
    fetch_part_t *last =
        fetch->parts->prev == fetch->parts ? NULL : CONTAINER_OF(fetch->parts->prev, fetch_part_t, node);
    bool more = last != NULL;
    for (list_t *node = fetch->parts->next; more;) { /* answered ones move to the end: stop at who was last */
        fetch_part_t *part = CONTAINER_OF(node, fetch_part_t, node);
        node = node->next;
        more = part != last;
        if (!part_is_news(fetch, part)) continue;
        if (!topic || !same_topic(fetch, part, topic)) {
            topic = &response->responses[response->responses_count++];
            topic->topic = part->topic;
            topic->topic_id = part->topic_id;
            topic->partitions = out;
        }
        topic->partitions_count++;
        part_answer(fetch, part, out++);
    }
    ASSERT(response->responses_count == n.topics);
}

static void stop_waiting(fetch_t *fetch)
{
    if (!fetch->waiting) return;
    fetch->waiting = false;
    io_timer_stop(&fetch->timer);
    LIST_EACH(fetch->parts, part, fetch_part_t, node) list_remove(&part->waiter.node);
}

/* Ends the fetch with what its last look found. */
static void answer(fetch_t *fetch)
{
    kafka_request_t *request = fetch->request;
    kafka_fetch_response_t *response = KAFKA_MESSAGE(request, fetch_response);
    stop_waiting(fetch);
    build(fetch, response);
    LIST_EACH(fetch->parts, part, fetch_part_t, node) part_clear(part);
    if (fetch->session) {
        response->session_id = fetch->session->id;
        fetch->session->fetch = NULL;
    }
    kafka_respond(request, response);
}

static void answer_error(kafka_request_t *request, int16_t error)
{
    kafka_fetch_response_t *response = KAFKA_MESSAGE(request, fetch_response);
    response->error_code = error;
    kafka_respond(request, response);
}

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

/* Looks at every partition; true when the answer may go. */
static bool look(fetch_t *fetch)
{
    size_t left = fetch->bytes_max;
    bool first = true, urgent = false;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) {
        part_look(fetch, part, &left, &first);
        urgent = urgent || part->error || part->diverging_epoch >= 0;
    }
    size_t found = 0;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) found += part->slice.bytes;
    return urgent || found >= fetch->bytes_min;
}

static void woken(partition_waiter_t *waiter, int16_t error)
{
    fetch_part_t *part = CONTAINER_OF(waiter, fetch_part_t, waiter);
    fetch_t *fetch = part->fetch;
    partition_t *partition;
    if (look(fetch) || error) {
        answer(fetch);
        return;
    }
    part_partition(fetch, part, &partition);
    partition_wait(partition, &part->waiter);
    LIST_EACH(fetch->parts, each, fetch_part_t, node) part_clear(each);
}

static void time_is_up(io_timer_t *timer)
{
    fetch_t *fetch = CONTAINER_OF(timer, fetch_t, timer);
    look(fetch);
    answer(fetch);
}

static void gone(kafka_request_t *request)
{
    fetch_t *fetch = request->state;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) part_clear(part);
    answer(fetch); /* to nobody: for the session's sake */
}

static void wait_for_more(fetch_t *fetch, int32_t wait_ms)
{
    fetch->waiting = true;
    fetch->request->state = fetch;
    fetch->request->gone = gone;
    LIST_EACH(fetch->parts, part, fetch_part_t, node) {
        partition_t *partition;
        part_clear(part);
        int16_t error = part_partition(fetch, part, &partition);
        ASSERT(error == KAFKA_NONE); /* an error would have been answered */
        part->waiter.wake = woken;
        partition_wait(partition, &part->waiter);
    }
    io_timer_init(fetch->request->kafka->loop, &fetch->timer, time_is_up);
    io_timer_start(&fetch->timer, (uint64_t)wait_ms, 0);
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
    if (session && session->fetch) answer(session->fetch);
}

static int16_t take_session(fetch_t *fetch, const kafka_fetch_request_t *body)
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
        int16_t error = fetch_session_continue(kafka, body, fetch->by_topic_id, &fetch->session);
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
    int16_t error = take_session(fetch, body);
    if (error) {
        answer_error(request, error);
        return;
    }
    LIST_EACH(fetch->parts, part, fetch_part_t, node) part->fetch = fetch;
    if (look(fetch) || body->max_wait_ms <= 0 || list_empty(fetch->parts))
        answer(fetch);
    else
        wait_for_more(fetch, body->max_wait_ms);
}
