/* write_txn_markers.c: WriteTxnMarkers: ends transactions in partitions, in the name of their coordinator: Kafka's brokers ask
 * one another for it, and kafka-transactions.sh ends one that hangs. One partition a step. */
#include "kafka/api/apis.h"
#include "kafka/coordinator/txn/marker.h"

typedef struct markers_job {
    kafka_request_t *request;
    kafka_write_txn_markers_response_t *response;
    int32_t marker, topic, partition; /* whose turn it is */
    uint32_t pending;
    bool walked;
} markers_job_t;

typedef struct marker_write {
    txn_marker_write_t write;
    markers_job_t *job;
    kafka_write_txn_markers_response_partition_t *out;
} marker_write_t;

static void finish(const markers_job_t *job)
{
    if (job->walked && job->pending == 0) kafka_respond(job->request, job->response);
}

static void written(txn_marker_write_t *write, kafka_code_t error)
{
    marker_write_t *w = CONTAINER_OF(write, marker_write_t, write);
    w->out->error_code = error;
    w->job->pending--;
    finish(w->job);
}

static void write_one(markers_job_t *job, const kafka_write_txn_markers_request_marker_t *in,
                      const kafka_write_txn_markers_request_topic_t *topic,
                      kafka_write_txn_markers_response_topic_t *out)
{
    kafka_request_t *request = job->request;
    marker_write_t *w = ARENA_NEW(&request->arena, marker_write_t);
    record_marker_t marker = {in->producer_id, in->producer_epoch, in->coordinator_epoch, in->transaction_result};
    w->job = job;
    w->out = &out->partitions[out->partitions_count++];
    w->out->partition_index = topic->partition_indexes[job->partition];
    job->pending++;
    txn_marker_write(request->kafka, topic->name, w->out->partition_index, &marker, &w->write, written);
}

static void begin_marker(markers_job_t *job, const kafka_write_txn_markers_request_marker_t *in)
{
    kafka_write_txn_markers_response_marker_t *out = &job->response->markers[job->response->markers_count++];
    out->producer_id = in->producer_id;
    out->topics =
        kafka_array_new(&kafka_write_txn_markers_response_topic_shape, &job->request->arena, in->topics_count);
}

static kafka_write_txn_markers_response_topic_t *begin_topic(markers_job_t *job,
                                                             const kafka_write_txn_markers_request_topic_t *in)
{
    kafka_write_txn_markers_response_marker_t *marker = &job->response->markers[job->marker];
    kafka_write_txn_markers_response_topic_t *out = &marker->topics[marker->topics_count++];
    out->name = in->name;
    out->partitions = kafka_array_new(&kafka_write_txn_markers_response_partition_shape, &job->request->arena,
                                      in->partition_indexes_count);
    return out;
}

/* The answer of the topic whose partition is next; NULL behind the last of a topic or of a marker, whose follower is next then. */
static kafka_write_txn_markers_response_topic_t *next_topic(markers_job_t *job,
                                                            const kafka_write_txn_markers_request_marker_t *marker)
{
    kafka_write_txn_markers_response_marker_t *out = &job->response->markers[job->marker];
    if (job->topic == marker->topics_count) {
        job->marker++;
        job->topic = 0;
        return NULL;
    }
    const kafka_write_txn_markers_request_topic_t *topic = &marker->topics[job->topic];
    kafka_write_txn_markers_response_topic_t *out_topic =
        out->topics_count == job->topic ? begin_topic(job, topic) : &out->topics[job->topic];
    if (job->partition < topic->partition_indexes_count) return out_topic;
    job->topic++;
    job->partition = 0;
    return NULL;
}

static slice_state_t step(slice_t *slice)
{
    kafka_request_t *request = CONTAINER_OF(slice, kafka_request_t, slice);
    const kafka_write_txn_markers_request_t *body = request->body;
    markers_job_t *job = request->state;
    if (job->marker == body->markers_count) {
        job->walked = true;
        finish(job);
        return SLICE_ENDED;
    }
    const kafka_write_txn_markers_request_marker_t *marker = &body->markers[job->marker];
    if (job->topic == 0 && job->partition == 0 && job->response->markers_count == job->marker)
        begin_marker(job, marker);
    kafka_write_txn_markers_response_topic_t *out = next_topic(job, marker);
    if (out) {
        write_one(job, marker, &marker->topics[job->topic], out);
        job->partition++;
    }
    return SLICE_MORE;
}

void kafka_handle_write_txn_markers(kafka_request_t *request)
{
    const kafka_write_txn_markers_request_t *body = request->body;
    markers_job_t *job = request->state = ARENA_NEW(&request->arena, markers_job_t);
    job->request = request;
    job->response = KAFKA_MESSAGE(request, write_txn_markers_response);
    job->response->markers =
        kafka_array_new(&kafka_write_txn_markers_response_marker_shape, &request->arena, body->markers_count);
    kafka_request_run(request, step, NULL);
}
