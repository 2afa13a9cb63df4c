/* producer_ids.c: see producer_ids.h. The node holds
 * {"version":1,"broker":N,"block_start":"S","block_end":"E"}, as Kafka's brokers wrote it; who sets it at the
 * version he read owns the block. */
#include "kafka/coordinator/txn/producer_ids.h"

#include <stdio.h>
#include <stdlib.h>

#define NODE_BYTES_MAX  512
#define CLAIM_TRIES_MAX 10

struct producer_ids {
    kafka_t *kafka;
    int64_t next, end; /* left of our block: [next, end) */
    int64_t claimed;   /* start of the block that is being claimed */
    int tries;
    bool claiming;
    bool closed;
    list_t waiting;
    coord_request_t request;
};

static void claim(struct producer_ids *ids);

/* The number behind "block_end": in the node; -1 when it is not there. */
static int64_t parse_block_end(bytes_t data)
{
    char text[NODE_BYTES_MAX + 1];
    if (data.len > NODE_BYTES_MAX || data.len == 0) return -1;
    memcpy(text, data.ptr, data.len);
    text[data.len] = 0;
    const char *at = strstr(text, "\"block_end\"");
    if (!at) return -1;
    at += sizeof("\"block_end\"") - 1;
    at += strspn(at, " :\"");
    char *end;
    long long value = strtoll(at, &end, 10);
    return end == at || value < 0 || value > INT64_MAX - 2 * PRODUCER_IDS_BLOCK ? -1 : value;
}

static void serve(struct producer_ids *ids)
{
    while (ids->next < ids->end && !list_empty(&ids->waiting)) {
        producer_id_request_t *request = LIST_FIRST(&ids->waiting, producer_id_request_t, node);
        list_remove(&request->node);
        request->done(request, KAFKA_NONE, ids->next++);
    }
}

static void fail(struct producer_ids *ids, kafka_code_t error)
{
    list_t all;
    list_init(&all);
    list_splice_back(&all, &ids->waiting);
    while (!list_empty(&all)) {
        producer_id_request_t *request = LIST_FIRST(&all, producer_id_request_t, node);
        list_remove(&request->node);
        request->done(request, error, -1);
    }
}

static void claimed(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid)
{
    struct producer_ids *ids = CONTAINER_OF(request, struct producer_ids, request);
    ids->claiming = false;
    if (ids->closed) {
        mem_free(ids);
        return;
    }
    if (err == ZOK) {
        ids->next = ids->claimed;
        ids->end = ids->claimed + PRODUCER_IDS_BLOCK;
        ids->tries = 0;
        serve(ids);
        if (!list_empty(&ids->waiting)) claim(ids);
    } else if ((err == ZBAD_VERSION || err == ZNODE_EXISTS) && ++ids->tries < CLAIM_TRIES_MAX) {
        claim(ids); /* another broker was faster */
    } else {
        ids->tries = 0;
        fail(ids, KAFKA_COORDINATOR_LOAD_IN_PROGRESS);
    }
}

static void claim(struct producer_ids *ids)
{
    char text[NODE_BYTES_MAX];
    bytes_t data = BYTES_NULL;
    coord_stat_t stat;
    coord_zerr_t err = mirror_get(ids->kafka->tree, PRODUCER_IDS_PATH, &data, &stat);
    int64_t end = err == ZOK ? parse_block_end(data) : -1;
    ids->claimed = end + 1;
    ids->claiming = true;
    int n =
        snprintf(text, sizeof(text),
                 "{\"version\":1,\"broker\":%" PRId32 ",\"block_start\":\"%" PRId64 "\",\"block_end\":\"%" PRId64 "\"}",
                 ids->kafka->broker_id, ids->claimed, ids->claimed + PRODUCER_IDS_BLOCK - 1);
    coord_op_t op = {.kind = err == ZOK ? COORD_SET : COORD_CREATE,
                     .path = PRODUCER_IDS_PATH,
                     .data = bytes_of(text, (size_t)n),
                     .version = err == ZOK ? stat.version : -1};
    mirror_submit(ids->kafka->tree, &op, 1, &ids->request, claimed);
}

void producer_ids_next(kafka_t *kafka, producer_id_request_t *request,
                       void (*done)(producer_id_request_t *request, kafka_code_t error, int64_t producer_id))
{
    struct producer_ids *ids = kafka->producer_ids;
    if (!ids) {
        ids = kafka->producer_ids = mem_zalloc(sizeof(*ids));
        ids->kafka = kafka;
        list_init(&ids->waiting);
    }
    request->done = done;
    list_push_back(&ids->waiting, &request->node);
    serve(ids);
    if (!list_empty(&ids->waiting) && !ids->claiming) claim(ids);
}

void producer_ids_free(kafka_t *kafka)
{
    struct producer_ids *ids = kafka->producer_ids;
    if (!ids) return;
    kafka->producer_ids = NULL;
    fail(ids, KAFKA_NOT_COORDINATOR);
    if (ids->claiming)
        ids->closed = true; /* the tree still answers: that frees it */
    else
        mem_free(ids);
}
