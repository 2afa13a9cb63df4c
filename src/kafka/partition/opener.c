/* opener.c: see opener.h. Two lanes: one takes only small jobs, so that honest ones pass by hostile ones; the other takes
 * large ones first. */
#include "kafka/partition/opener.h"

enum { LANE_SMALL, LANE_LARGE, LANES_COUNT };

typedef struct lane {
    io_work_t work;
    opener_t *opener;
    opener_job_t *job; /* NULL = idle */
    size_t bytes_max;
    int err;
} lane_t;

struct opener {
    io_loop_t *loop;
    lane_t lanes[LANES_COUNT];
    list_t small, large; /* opener_job_t */
    uint64_t turn_ns;    /* the turn that turn_bytes are of */
    size_t turn_bytes;
    bool closed;
};

static void pump(opener_t *opener);

/* ---- off the loop ---------------------------------------------------------------------------------------------------- */

static void work(io_work_t *work)
{
    lane_t *lane = CONTAINER_OF(work, lane_t, work);
    size_t bytes;
    lane->err = lane->job->run(lane->job, lane->bytes_max, &bytes);
}

static void worked(io_work_t *work)
{
    lane_t *lane = CONTAINER_OF(work, lane_t, work);
    opener_t *opener = lane->opener;
    opener_job_t *job = lane->job;
    lane->job = NULL;
    if (lane->err == ERR_LIMIT && lane->bytes_max < OPENER_LARGE_BYTES_MAX)
        list_push_back(&opener->large, &job->node);
    else
        job->done(job, lane->err);
    pump(opener);
}

static void lane_start(lane_t *lane, list_t *from, size_t bytes_max)
{
    lane->job = LIST_FIRST(from, opener_job_t, node);
    lane->bytes_max = bytes_max;
    list_remove(&lane->job->node);
    io_work_start(lane->opener->loop, &lane->work);
}

static void pump(opener_t *opener)
{
    lane_t *small = &opener->lanes[LANE_SMALL], *large = &opener->lanes[LANE_LARGE];
    if (opener->closed) return;
    if (!large->job && !list_empty(&opener->large)) lane_start(large, &opener->large, OPENER_LARGE_BYTES_MAX);
    if (!small->job && !list_empty(&opener->small)) lane_start(small, &opener->small, OPENER_SMALL_BYTES_MAX);
    if (!large->job && !list_empty(&opener->small)) lane_start(large, &opener->small, OPENER_SMALL_BYTES_MAX);
}

void opener_start(opener_t *opener, opener_job_t *job)
{
    list_push_back(&opener->small, &job->node);
    pump(opener);
}

/* ---- on the loop ----------------------------------------------------------------------------------------------------- */

static bool turn_is_spent(opener_t *opener)
{
    uint64_t now_ns = io_now_ns(opener->loop);
    if (now_ns != opener->turn_ns) {
        opener->turn_ns = now_ns;
        opener->turn_bytes = 0;
    }
    return opener->turn_bytes >= OPENER_TURN_BYTES_MAX;
}

bool opener_try(opener_t *opener, opener_job_t *job, size_t bytes, int *ret_err)
{
    size_t opened = 0;
    *ret_err = ERR_CLOSED;
    if (opener->closed) return true;
    if (bytes > OPENER_INLINE_BYTES_MAX || turn_is_spent(opener)) return false;
    *ret_err = job->run(job, OPENER_INLINE_BYTES_MAX, &opened);
    opener->turn_bytes += MAX(opened, bytes);
    return *ret_err != ERR_LIMIT;
}

/* ---- life ------------------------------------------------------------------------------------------------------------ */

opener_t *opener_new(io_loop_t *loop)
{
    opener_t *opener = mem_zalloc(sizeof(*opener));
    opener->loop = loop;
    list_init(&opener->small);
    list_init(&opener->large);
    for (int i = 0; i < LANES_COUNT; i++) {
        opener->lanes[i] = (lane_t){.work = {.work = work, .done = worked}, .opener = opener};
    }
    return opener;
}

static void end_all(list_t *jobs)
{
    opener_job_t *job;
    while ((job = LIST_FIRST(jobs, opener_job_t, node))) {
        list_remove(&job->node);
        job->done(job, ERR_CLOSED);
    }
}

void opener_close(opener_t *opener)
{
    opener->closed = true;
    for (int i = 0; i < LANES_COUNT; i++) {
        opener_job_t *job = opener->lanes[i].job;
        io_work_cancel(&opener->lanes[i].work);
        opener->lanes[i].job = NULL;
        if (job) job->done(job, ERR_CLOSED);
    }
    end_all(&opener->large);
    end_all(&opener->small); /* among them those that one which ended was in the way of */
}

void opener_free(opener_t *opener)
{
    if (!opener) return;
    if (!opener->closed) opener_close(opener);
    mem_free(opener);
}
