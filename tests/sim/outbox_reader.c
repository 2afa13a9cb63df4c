/* outbox_reader.c: see outbox_reader.h. Commits are in order, and only one is under way, so whatever is there after a crash is the
 * last answered one or that: an older one that was given again would show. */
#include "outbox_reader.h"

#include "wire/kafka.h"

#include <stdio.h>

#define STEP_MS_MAX           30
#define AGAIN_MS              20
#define OFFSET_COMMIT_KEY     8
#define OFFSET_COMMIT_VERSION 2
#define OFFSET_FETCH_KEY      9
#define OFFSET_FETCH_VERSION  1
#define FRAME_BYTES_MAX       KIB(1)
#define NOTHING_TOLD          (-1)

enum { NONE = 0, COORDINATOR_LOAD_IN_PROGRESS = 14, COORDINATOR_NOT_AVAILABLE = 15 };

static void next_later(reader_t *r) { io_timer_start(&r->timer, 1 + draw(r->run, STEP_MS_MAX), 0); }

/* ---- through Redis ---- */

static void commit_by_redis(reader_t *r)
{
    char number[16];
    snprintf(number, sizeof(number), "%d", r->sent);
    resp_text_put(&r->redis.out, 1, "MULTI");
    resp_text_put(&r->redis.out, 3, "SET", READER_STATE, number);
    resp_text_put(&r->redis.out, 5, "KAFKA.COMMIT", READER_GROUP, r->topic, "0", number);
    resp_text_put(&r->redis.out, 1, "EXEC");
    resp_client_expect(&r->redis, r->sent, 4);
    resp_client_flush(&r->redis);
}

static void on_redis_answered(void *user, int number)
{
    reader_t *r = user;
    r->answered = r->promised = number;
    r->run->acknowledged++;
    next_later(r);
}

/* ---- through Kafka ---- */

static void kafka_ready_for_more(void *user, unsigned events);

static void kafka_flush(reader_t *r)
{
    struct iovec iov = {r->out.ptr, r->out.len};
    ssize_t n = r->out.len ? io_stream_writev(r->kafka, &iov, 1) : 0;
    if (n > 0) buf_consume(&r->out, (size_t)n);
    if (n < 0 && n != ERR_AGAIN) r->failed = true;
    io_stream_watch(r->kafka, r->failed ? 0 : IO_READABLE | (r->out.len ? IO_WRITABLE : 0), kafka_ready_for_more, r);
}

static void put_text(kafka_writer_t *w, const char *text) { kafka_write_string(w, bytes_str(text), false, false); }

static kafka_writer_t request_begin(const reader_t *r, int16_t key, int16_t version)
{
    kafka_writer_t w = KAFKA_WRITER_INIT;
    kafka_write_int16(&w, key);
    kafka_write_int16(&w, version);
    kafka_write_int32(&w, r->sent); /* correlation id */
    put_text(&w, "reader");
    put_text(&w, READER_GROUP);
    return w;
}

/* The topic's partition 0. */
static void put_partition(kafka_writer_t *w, const reader_t *r)
{
    kafka_write_int32(w, 1);
    put_text(w, r->topic);
    kafka_write_int32(w, 1);
    kafka_write_int32(w, 0);
}

static void request_end(reader_t *r, kafka_writer_t *w)
{
    buf_be32(&r->out, (uint32_t)w->buf.len);
    buf_append(&r->out, w->buf.ptr, w->buf.len);
    kafka_writer_deinit(w);
    kafka_flush(r);
}

static void commit_by_kafka(reader_t *r)
{
    kafka_writer_t w = request_begin(r, OFFSET_COMMIT_KEY, OFFSET_COMMIT_VERSION);
    kafka_write_int32(&w, -1); /* generation, member, retention: a simple consumer */
    put_text(&w, "");
    kafka_write_int64(&w, -1);
    put_partition(&w, r);
    kafka_write_int64(&w, r->sent);
    put_text(&w, "");
    request_end(r, &w);
}

static void fetch_by_kafka(reader_t *r)
{
    kafka_writer_t w = request_begin(r, OFFSET_FETCH_KEY, OFFSET_FETCH_VERSION);
    put_partition(&w, r);
    request_end(r, &w);
}

/* What OffsetFetch told is what it will find when it looks closer. */
static void take_commit(reader_t *r, int64_t offset)
{
    CHECK(r->run, MAX(offset, 0) >= r->least && offset <= r->sent,
          "OffsetFetch tells %" PRId64 ", of %d sent and %d promised", offset, r->sent, r->least);
    r->told = MAX(offset, 0);
    r->asking = false;
}

/* The error of the one partition is what an answer ends with; before it, when nothing is wrong, come in OffsetFetch's
 * the offset and an empty text. */
static void take_answer(reader_t *r, const uint8_t *frame, size_t bytes)
{
    int16_t error = (int16_t)load_be16(frame + bytes - 2);
    bool again = error == COORDINATOR_LOAD_IN_PROGRESS || error == COORDINATOR_NOT_AVAILABLE;
    CHECK(r->run, again || error == NONE, "the coordinator answers %d", error);
    if (r->asking && error == COORDINATOR_NOT_AVAILABLE && r->least == 0) {
        r->asking = false; /* nothing was promised, and there is no topic for it */
    } else if (again) {
        io_timer_start(&r->timer, AGAIN_MS, 0);
    } else if (r->asking) {
        take_commit(r, (int64_t)load_be64(frame + bytes - 12));
    } else {
        r->answered = r->sent;
        r->run->acknowledged++;
        next_later(r);
    }
}

static void kafka_ready_for_more(void *user, unsigned events)
{
    reader_t *r = user;
    ssize_t n = io_stream_read(r->kafka, buf_reserve(&r->in, FRAME_BYTES_MAX), FRAME_BYTES_MAX);
    if (n > 0) r->in.len += (size_t)n;
    if (n == 0 || (n < 0 && n != ERR_AGAIN)) r->failed = true;
    if (r->in.len >= 4 && r->in.len >= 4 + load_be32(r->in.ptr)) {
        size_t bytes = 4 + load_be32(r->in.ptr);
        take_answer(r, r->in.ptr, bytes);
        buf_consume(&r->in, bytes);
    }
    kafka_flush(r);
}

/* ---- one after the other ---- */

static void on_timer(io_timer_t *timer)
{
    reader_t *r = CONTAINER_OF(timer, reader_t, timer);
    bool again = r->sent > r->answered && !r->by_redis[r->sent]; /* Kafka said so */
    if (r->asking) {
        fetch_by_kafka(r);
        return;
    }
    if (r->sent == READER_COMMITS_MAX || r->failed || r->redis.failed) return;
    if (!again) r->by_redis[++r->sent] = chance(r->run, 50);
    if (r->by_redis[r->sent])
        commit_by_redis(r);
    else
        commit_by_kafka(r);
}

static void connect_to_kafka(reader_t *r, io_loop_t *loop)
{
    r->failed = false;
    int err = io_connect(loop, r->host, r->kafka_port, &r->kafka);
    CHECK(r->run, err == 0, "no connection: %s", err_text(err));
    io_timer_init(loop, &r->timer, on_timer);
}

void reader_ask(reader_t *r, io_loop_t *loop, bool power_lost)
{
    r->least = power_lost ? r->promised : r->answered;
    r->asking = true;
    r->told = NOTHING_TOLD;
    connect_to_kafka(r, loop);
    fetch_by_kafka(r);
}

void reader_start(reader_t *r, io_loop_t *loop)
{
    r->redis.answered = on_redis_answered;
    r->redis.user = r;
    resp_client_connect(&r->redis, r->run, loop, r->host, r->redis_port);
    connect_to_kafka(r, loop);
    kafka_flush(r);
    next_later(r);
}

void reader_stop(reader_t *r)
{
    if (!r->kafka) return;
    r->asking = false;
    io_timer_stop(&r->timer);
    resp_client_close(&r->redis);
    io_stream_close(r->kafka);
    r->kafka = NULL;
    buf_clear(&r->in);
    buf_clear(&r->out);
}

void reader_deinit(reader_t *r)
{
    reader_stop(r);
    resp_client_deinit(&r->redis);
    buf_deinit(&r->in);
    buf_deinit(&r->out);
}

void reader_check(reader_t *r, int64_t offset, int64_t state)
{
    CHECK(r->run, state >= r->promised, "the state is %" PRId64 ", and %d was answered", state, r->promised);
    CHECK(r->run, offset <= r->sent, "the offset is %" PRId64 ", and %d were sent", offset, r->sent);
    CHECK(r->run, r->told == NOTHING_TOLD || offset == r->told,
          "the offset is %" PRId64 ", and OffsetFetch told %" PRId64, offset, r->told);
    CHECK(r->run, offset >= state, "the offset is %" PRId64 ", behind its state %" PRId64, offset, state);
    bool agree = offset == state || !r->by_redis[offset];
    CHECK(r->run, agree, "the offset is %" PRId64 ", ahead of its state %" PRId64, offset, state);
    r->told = NOTHING_TOLD;
    r->sent = r->answered = (int)offset; /* what is seen is where it goes on */
    r->promised = (int)state;
}
