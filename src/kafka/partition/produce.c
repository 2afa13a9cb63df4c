/* produce.c: a client's batch on its way into a partition: checked on the loop when it is small, else by the
 * opener, and appended in its turn.
 *
 *   partition_produce ──nobody is before it, and it is small──> appended
 *        └── else it is queued, copied if it must be ──it is the first──> opened ──> appended; the next
 *
 * Invariant: of the queued batches of a partition exactly the first is with the opener. */
#include "kafka/partition/check.h"
#include "kafka/partition/opener.h"

typedef struct produce {
    opener_job_t job;
    partition_check_t check; /* check.partition is NULL once the partition is gone */
    partition_appended_t appended;
    kafka_code_t error; /* why it is gone */
    partition_produced_cb produced;
    void *user;
    list_t node; /* in partition->produces */
} produce_t;

static void start_first(partition_t *partition);

static int open_records(opener_job_t *job, size_t bytes_max, size_t *ret_bytes)
{
    produce_t *p = CONTAINER_OF(job, produce_t, job);
    buf_clear(&p->check.packed); /* of the try before */
    int err = partition__check_open(&p->check, bytes_max);
    *ret_bytes = p->check.facts.opened_bytes;
    return err;
}

/* The batch is opened: what is left to do takes no time. */
static kafka_code_t take_in(produce_t *p, int open_err)
{
    kafka_code_t error = partition__check_end(&p->check, open_err);
    return error ? error : partition__append_checked(&p->check, true);
}

/* Tells the caller, whose memory the batch is in. */
static void end(produce_t *p, kafka_code_t error)
{
    if (p->check.partition) partition__tell_log_start(p->check.partition, error, &p->appended);
    partition__check_deinit(&p->check);
    p->produced(p->user, error, &p->appended);
}

static void opened(opener_job_t *job, int err)
{
    produce_t *p = CONTAINER_OF(job, produce_t, job);
    partition_t *partition = p->check.partition;
    if (!partition) {
        end(p, p->error);
        return;
    }
    kafka_code_t error = take_in(p, err);
    list_remove(&p->node);
    start_first(partition); /* now: the caller may end the partition */
    end(p, error);
}

static void start_first(partition_t *partition)
{
    produce_t *p = LIST_FIRST(&partition->produces, produce_t, node);
    if (!p) return;
    p->job = (opener_job_t){.run = open_records, .done = opened};
    opener_start(partition->topic->kafka->opener, &p->job);
}

/* Behind those that are on their way already. False: it cannot be kept. */
static bool queue(partition_t *partition, const produce_t *from, bool lasts, arena_t *arena)
{
    uint8_t *copy = lasts ? NULL : arena_try_alloc(arena, from->check.bytes);
    if (!lasts && !copy) return false;
    produce_t *p = ARENA_NEW(arena, produce_t);
    *p = *from;
    if (copy) p->check.records = memcpy(copy, from->check.records, from->check.bytes);
    p->check.out = &p->appended;
    bool first = list_empty(&partition->produces);
    list_push_back(&partition->produces, &p->node);
    if (first) start_first(partition);
    return true;
}

/* Plain bytes are walked in no time, unless there are many; what is packed, or is to be, goes by the opener's measure. */
static bool opened_now(produce_t *p, int *ret_err)
{
    bool plain = !p->check.repacks && (p->check.batch.attributes & RECORD_COMPRESSION_MASK) == RECORD_NONE;
    if (!plain || p->check.sums_later)
        return opener_try(p->check.partition->topic->kafka->opener, &p->job, p->check.bytes, ret_err);
    *ret_err = partition__check_open(&p->check, OPENER_LARGE_BYTES_MAX);
    return true;
}

bool partition_produce(partition_t *partition, bytes_t records, bool lasts, int64_t guard, arena_t *arena,
                       partition_produced_cb produced, void *user)
{
    produce_t p;
    int err = 0;
    p.job = (opener_job_t){.run = open_records, .done = opened};
    p.appended = PARTITION_APPENDED_NONE;
    p.error = KAFKA_NONE;
    p.produced = produced;
    p.user = user;
    partition__check_init(&p.check, partition, records, arena, &p.appended);
    p.check.guard = guard;
    kafka_code_t error = partition__check_begin(&p.check);
    bool over = error || (list_empty(&partition->produces) && opened_now(&p, &err));
    if (!over && queue(partition, &p, lasts, arena)) return false;
    if (!over) error = KAFKA_UNKNOWN_SERVER_ERROR;
    if (!error) error = take_in(&p, err);
    end(&p, error);
    return true;
}

void partition__produces_end(partition_t *partition, kafka_code_t error)
{
    list_t produces;
    list_init(&produces);
    list_splice_back(&produces, &partition->produces);
    produce_t *first = LIST_FIRST(&produces, produce_t, node);
    if (first) list_remove(&first->node); /* the opener has it */
    LIST_EACH(&produces, p, produce_t, node) {
        list_remove(&p->node);
        p->check.partition = NULL;
        end(p, error);
    }
    if (!first) return;
    first->check.partition = NULL;
    first->error = error;
}
