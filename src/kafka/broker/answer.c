/* answer.c: responses into bytes, and bytes to the connection. Called by connection.c.
 *
 * A large answer would hold the loop: one of 40 MB takes 150 ms to write. So only the first piece is written at once. If there is
 * more, the pieces are written in slices, those of one answer after another's, and the answer goes to its connection when it is
 * whole: only then is its size known, which stands in front. So of all answers but one there is either the response alone,
 * or what net/ counts among the connection's unsent output. */
#include "kafka/broker/answer.h"

#include "kafka/broker/connection.h"

#define PIECE_BYTES KIB(64)

static bool response_is_flexible(const kafka_api_t *api, int16_t version)
{
    return api->key != KAFKA_API_API_VERSIONS && version >= api->flexible_since;
}

static void write_header(kafka_request_t *request, int16_t version)
{
    kafka_write_int32(&request->out, 0); /* the size, once it is known */
    kafka_write_int32(&request->out, request->header.correlation_id);
    if (response_is_flexible(request->api, version)) kafka_write_uvarint(&request->out, 0);
}

static void put_size(uint8_t *at, size_t answer_bytes)
{
    size_t bytes = answer_bytes - KAFKA_FRAME_SIZE_BYTES;
    ASSERT(bytes <= INT32_MAX);
    store_be32(at, (uint32_t)bytes);
}

void answer_encode(kafka_request_t *request, int16_t version, const void *response)
{
    write_header(request, version);
    kafka_encode(&request->out, request->api->response, version, response);
    put_size(request->out.buf.ptr, kafka_writer_bytes(&request->out));
}

/* ---- in pieces -------------------------------------------------------------------------------------------------------- */

/* Returns where it lies. */
static uint8_t *take_piece(kafka_request_t *request)
{
    kafka_writer_t *out = &request->out;
    ASSERT(out->splices_count == 0);
    uint8_t *at = net_output_add(request->kafka->net, &request->pieces, out->buf.ptr, out->buf.len);
    kafka_writer_clear(out);
    return at;
}

/* One piece of the first answer; one whose client is gone ends there. */
static slice_state_t encode_some(slice_t *slice)
{
    kafka_t *kafka = CONTAINER_OF(slice, kafka_t, encoder);
    kafka_request_t *request = LIST_FIRST(&kafka->encoding, kafka_request_t, encoding_node);
    bool last = kafka_encoding_step(&request->encoding, &request->out, PIECE_BYTES);
    (void)take_piece(request);
    if (!last && request->conn) return SLICE_MORE;
    put_size(request->size_at, request->pieces.bytes);
    list_remove(&request->encoding_node);
    connection__answered(request);
    return list_empty(&kafka->encoding) ? SLICE_ENDED : SLICE_MORE;
}

bool answer_encode_first(kafka_request_t *request, int16_t version, const void *response)
{
    kafka_t *kafka = request->kafka;
    write_header(request, version);
    kafka_encoding_begin(&request->encoding, request->api->response, version, response);
    if (kafka_encoding_step(&request->encoding, &request->out, PIECE_BYTES)) {
        put_size(request->out.buf.ptr, kafka_writer_bytes(&request->out));
        return true;
    }
    request->gone = NULL;
    request->size_at = take_piece(request);
    bool idle = list_empty(&kafka->encoding);
    list_push_back(&kafka->encoding, &request->encoding_node);
    if (!idle) return false;
    kafka->encoder = (slice_t){.step = encode_some};
    slice_run(&kafka->slices, &kafka->encoder);
    return false;
}

/* ---- sending ---------------------------------------------------------------------------------------------------------- */

/* Bytes are copied, stretches of files go as they are. */
static void send_out(net_conn_t *net, kafka_writer_t *out)
{
    size_t at = 0;
    for (int32_t i = 0; i < out->splices_count; i++) {
        kafka_splice_t *splice = &out->splices[i];
        net_write(net, out->buf.ptr + at, splice->at - at);
        at = splice->at;
        kafka_records_t *records = &splice->records;
        net_write_file(net, records->file, records->file_position, records->file_bytes, records->release,
                       records->release_user);
    }
    net_write(net, out->buf.ptr + at, out->buf.len - at);
    out->splices_count = 0; /* the connection releases them */
    out->splices_bytes = 0;
}

void answer_send(net_conn_t *net, kafka_request_t *request)
{
    if (request->pieces.first)
        net_write_output(net, &request->pieces);
    else
        send_out(net, &request->out);
}
