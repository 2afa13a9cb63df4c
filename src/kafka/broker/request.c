/* request.c: a request from its frame to its handler: its memory, its header, its body. Called by connection.c.
 *
 * The body of a large request is decoded by the pool: a million names take longer than a turn may. One at a time, in the order in which
 * they came, so that the pool's other threads stay free. */
#include "kafka/broker/request.h"

#define REQUESTS_FREE_MAX  128
#define OUT_KEPT_BYTES_MAX KIB(64)

kafka_request_t *request__new(kafka_t *kafka)
{
    kafka_request_t *request = LIST_FIRST(&kafka->requests_free, kafka_request_t, node);
    if (request) {
        list_remove(&request->node);
        kafka->requests_free_count--;
    } else {
        request = mem_zalloc(sizeof(*request));
        arena_init(&request->arena, 0);
        request->out = KAFKA_WRITER_INIT;
        list_init(&request->node);
    }
    list_init(&request->encoding_node);
    list_init(&request->reading_node);
    request->kafka = kafka;
    request->started_ns = io_now_ns(kafka->loop);
    return request;
}

void request__free(kafka_request_t *request)
{
    kafka_t *kafka = request->kafka;
    if (request->out.buf.cap > OUT_KEPT_BYTES_MAX)
        kafka_writer_deinit(&request->out);
    else
        kafka_writer_clear(&request->out);
    net_output_drop(kafka->net, &request->pieces);
    buf_deinit(&request->frame);
    list_remove(&request->node);
    if (kafka->requests_free_count >= REQUESTS_FREE_MAX) {
        kafka_writer_deinit(&request->out);
        arena_deinit(&request->arena);
        mem_free(request);
        return;
    }
    arena_reset(&request->arena);
    arena_t arena = request->arena;
    kafka_writer_t out = request->out;
    *request = (kafka_request_t){.arena = arena, .out = out};
    list_push_front(&kafka->requests_free, &request->node);
    kafka->requests_free_count++;
}

void request__free_spare(kafka_t *kafka)
{
    LIST_EACH(&kafka->requests_free, request, kafka_request_t, node) {
        list_remove(&request->node);
        kafka_writer_deinit(&request->out);
        arena_deinit(&request->arena);
        mem_free(request);
    }
}

/* ---- header and body ---------------------------------------------------------------------------------------------------- */

static const kafka_api_t *find_api(int16_t key)
{
    size_t low = 0, high = KAFKA_APIS_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (kafka_apis[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return low < KAFKA_APIS_COUNT && kafka_apis[low].key == key ? &kafka_apis[low] : NULL;
}

int request__read_header(kafka_request_t *request, kafka_reader_t *frame)
{
    kafka_request_header_t *header = &request->header;
    request->frame_bytes = kafka_reader_left(frame);
    kafka_read_header_start(frame, header);
    if (frame->err) return frame->err;
    request->api = find_api(header->api_key);
    request->handler = request->kafka->handler_of(header->api_key);
    if (!request->api || !request->handler) return ERR_UNSUPPORTED;
    if (header->api_version >= request->api->version_min && header->api_version <= request->api->version_max) return 0;
    request->unsupported_version = true;
    return header->api_key == KAFKA_API_API_VERSIONS ? 0 : ERR_UNSUPPORTED;
}

int request__read_body(kafka_request_t *request, kafka_reader_t *r)
{
    const kafka_api_t *api = request->api;
    request->arena.bytes_max = request->arena.bytes_used + KAFKA_REQUEST_ARENA_BYTES_MAX;
    kafka_read_header_rest(r, &request->header, request->header.api_version >= api->flexible_since);
    request->header.client_id = arena_copy(&request->arena, request->header.client_id);
    request->body = arena_alloc(&request->arena, api->request->bytes);
    int err = kafka_decode(r, api->request, request->header.api_version, &request->arena, request->body);
    request->arena.bytes_max = 0;
    return err;
}

/* ---- bodies that the pool reads -------------------------------------------------------------------------------------- */

static void read_apart(io_work_t *work)
{
    kafka_request_t *request = CONTAINER_OF(work, kafka_request_t, reading);
    request->read_err = request__read_body(request, &request->unread);
}

static void read_next(kafka_t *kafka)
{
    kafka_request_t *request = LIST_FIRST(&kafka->reading, kafka_request_t, reading_node);
    if (request) io_work_start(kafka->loop, &request->reading);
}

static void was_read(io_work_t *work)
{
    kafka_request_t *request = CONTAINER_OF(work, kafka_request_t, reading);
    kafka_t *kafka = request->kafka;
    list_remove(&request->reading_node);
    read_next(kafka);
    request->read(request, request->read_err);
}

void request__read_body_apart(kafka_request_t *request, const kafka_reader_t *r,
                              void (*read)(kafka_request_t *request, int err))
{
    list_t *waiting = &request->kafka->reading;
    bool idle = list_empty(waiting);
    request->unread = *r;
    request->read = read;
    request->reading = (io_work_t){.work = read_apart, .done = was_read};
    list_push_back(waiting, &request->reading_node);
    if (idle) read_next(request->kafka);
}

void request__stop_reading(kafka_t *kafka)
{
    LIST_EACH(&kafka->reading, request, kafka_request_t, reading_node) {
        io_work_cancel(&request->reading);
        list_remove(&request->reading_node);
        request__free(request);
    }
}
