/* propose.c: the way of a write: into the turn's batch, through the quorum, applied, answered. Answers come in the order
 * of proposal, because batches are applied in order and a batch's slots are its commands in order. */
#include "coord/service/coord_internal.h"

#define ENTRY_HEADER_BYTES 16
#define COMMAND_IDS_MAX    1024

static coord_batch_t *batch_new(void)
{
    coord_batch_t *batch = mem_zalloc(sizeof(*batch));
    list_init(&batch->node);
    buf_reserve(&batch->buf, WAL_HEADROOM_BYTES + ENTRY_HEADER_BYTES + 1024);
    batch->buf.len = WAL_HEADROOM_BYTES + ENTRY_HEADER_BYTES;
    return batch;
}

static void batch_free(coord_batch_t *batch)
{
    list_remove(&batch->node);
    buf_deinit(&batch->buf);
    mem_free(batch->slots);
    mem_free(batch);
}

static void add_slot(coord_batch_t *batch, coord_write_t *write, coord_slot_kind_t kind)
{
    if (batch->slots_count == batch->slots_cap) {
        batch->slots_cap = batch->slots_cap ? batch->slots_cap * 2 : 16;
        batch->slots = mem_realloc(batch->slots, batch->slots_cap * sizeof(coord_slot_t));
    }
    batch->slots[batch->slots_count++] = (coord_slot_t){write, kind};
}

static coord_batch_t *current(coord_t *coord)
{
    if (!coord->batch) coord->batch = batch_new();
    return coord->batch;
}

static void close_batch(coord_t *coord)
{
    if (!coord->batch) return;
    list_push_back(&coord->ready, &coord->batch->node);
    coord->batch = NULL;
}

void coord__propose(coord_t *coord, coord_write_t *write, const zk_command_t *command)
{
    coord_batch_t *batch = current(coord);
    size_t size = zk_command_size(command);
    uint8_t *at = buf_reserve(&batch->buf, size + WAL_TAIL_BYTES);
    zk_command_put(at, command);
    batch->buf.len += size;
    batch->commands++;
    coord->outstanding++;
    add_slot(batch, write, COORD_SLOT_COMMAND);
    batch->cost += command->type == ZK_OP_CLOSE_SESSION ? COORD_CLOSE_COST : 1;
    if (batch->buf.len >= COORD_BATCH_BYTES_AIM || batch->cost >= COORD_BATCH_COST_AIM) close_batch(coord);
}

/* It is answered in its turn. */
static void refuse(coord_t *coord, coord_write_t *write)
{
    add_slot(current(coord), write, COORD_SLOT_REFUSED);
    coord->outstanding++;
    io_loop_wake(coord->loop);
}

void coord_write(coord_t *coord, coord_write_t *write, int32_t type, int64_t session_id, coord_who_t who, bytes_t body,
                 void (*done)(coord_write_t *write, const coord_result_t *result))
{
    write->done = done;
    zk_command_t command = {type, session_id, (zk_id_t *)who.ids, who.ids_count, body};
    if (LIKELY(coord__disk_allows(coord, type)))
        coord__propose(coord, write, &command);
    else
        refuse(coord, write);
}

void coord_sync(coord_t *coord, coord_write_t *write, void (*done)(coord_write_t *write, const coord_result_t *result))
{
    write->done = done;
    add_slot(current(coord), write, COORD_SLOT_SYNC);
    coord->outstanding++;
    io_loop_wake(coord->loop);
}

/* ---- answering ----------------------------------------------------------------------------------------------------- */

static void answer(coord_t *coord, coord_slot_t *slot, const coord_result_t *result)
{
    coord_write_t *write = slot->write;
    slot->write = NULL;
    coord->outstanding--;
    if (write) write->done(write, result);
}

static void answer_one(coord_t *coord, coord_slot_t *slot)
{
    coord_result_t result = {.type = ZK_OP_SYNC, .zxid = coord->state.zxid, .failed_index = -1};
    if (slot->kind != COORD_SLOT_SYNC) result.err = ZSYSTEM_ERROR;
    answer(coord, slot, &result);
}

/* Those at the head that have no command. */
void coord__answer_others(coord_t *coord, coord_batch_t *batch)
{
    while (batch->next < batch->slots_count && batch->slots[batch->next].kind != COORD_SLOT_COMMAND)
        answer_one(coord, &batch->slots[batch->next++]);
}

void coord__answer(coord_t *coord, coord_batch_t *batch, const coord_result_t *result)
{
    answer(coord, &batch->slots[batch->next++], result);
}

void coord__batch_applied(coord_t *coord, coord_batch_t *batch)
{
    coord->flying_count--;
    coord__answer_others(coord, batch);
    batch_free(batch);
}

/* Nothing of it was proposed. */
static void refuse_batch(coord_t *coord, coord_batch_t *batch)
{
    while (batch->next < batch->slots_count) answer_one(coord, &batch->slots[batch->next++]);
    batch_free(batch);
    coord__expiry_again(coord);
}

static void answer_lost(coord_t *coord, coord_batch_t *batch)
{
    coord_result_t lost = {.err = ZCONNECTION_LOSS, .failed_index = -1, .zxid = coord->state.zxid};
    while (batch->next < batch->slots_count) answer(coord, &batch->slots[batch->next++], &lost);
    batch_free(batch);
}

void coord__dropped(void *user, void *tag)
{
    coord_t *coord = user;
    coord->flying_count--;
    answer_lost(coord, tag);
}

void coord__drop_all(coord_t *coord)
{
    close_batch(coord);
    LIST_EACH(&coord->ready, batch, coord_batch_t, node) answer_lost(coord, batch);
}

/* ---- proposing ------------------------------------------------------------------------------------------------------ */

static void fill_header(coord_t *coord, coord_batch_t *batch)
{
    zk_entry_header_t header = {COORD_ENTRY_FORMAT, io_wall_ms(coord->loop), batch->commands};
    zk_entry_header_put(batch->buf.ptr + WAL_HEADROOM_BYTES, &header);
}

static void submit(coord_t *coord, coord_batch_t *batch)
{
    list_remove(&batch->node);
    fill_header(coord, batch);
    list_push_back(&coord->flying, &batch->node);
    coord->flying_count++;
    uint8_t *buf = batch->buf.ptr;
    size_t payload_bytes = batch->buf.len - WAL_HEADROOM_BYTES;
    batch->buf = BUF_INIT; /* the quorum's from here on */
    if (quorum_submit(coord->quorum, buf, payload_bytes, batch) == 0) return;
    mem_free(buf);
    coord__dropped(coord, batch);
}

static void submit_or_refuse(coord_t *coord, coord_batch_t *batch)
{
    if (coord__disk_allows_batch(coord, batch->buf.len))
        submit(coord, batch);
    else
        refuse_batch(coord, batch);
    coord__disk_check(coord);
}

void coord__flush(coord_t *coord)
{
    close_batch(coord);
    uint32_t ahead = quorum_voters(coord->quorum) > 1 ? COORD_BATCHES_AHEAD_MANY : COORD_BATCHES_AHEAD_ONE;
    while (!list_empty(&coord->ready) && coord->flying_count < ahead) {
        coord_batch_t *batch = LIST_FIRST(&coord->ready, coord_batch_t, node);
        if (batch->commands > 0) {
            submit_or_refuse(coord, batch);
        } else if (coord->flying_count == 0) {
            coord__answer_others(coord, batch);
            batch_free(batch);
        } else {
            break;
        }
    }
}

/* ---- sessions ------------------------------------------------------------------------------------------------------- */

/* As ZooKeeper forms them: the server in the top byte, milliseconds below; never one that was used before. */
static int64_t next_session_id(coord_t *coord)
{
    if (coord->session_id_next == 0) {
        uint64_t ms = (uint64_t)io_wall_ms(coord->loop);
        coord->session_id_next = (int64_t)(((ms << 24) >> 8) | ((uint64_t)coord->options.server_id << 56));
    }
    while (sessions_find(&coord->state.sessions, coord->session_id_next)) coord->session_id_next++;
    return coord->session_id_next++;
}

static int64_t propose_session(coord_t *coord, coord_write_t *write, int32_t timeout_ms, int32_t own_server)
{
    uint8_t passwd[COORD_PASSWD_BYTES], body[64];
    io_random(coord->loop, passwd, sizeof(passwd));
    int64_t id = next_session_id(coord);
    zk_create_session_command_t record = {id, timeout_ms, bytes_of(passwd, sizeof(passwd)), own_server};
    ASSERT(zk_create_session_command_size(&record) <= sizeof(body));
    uint8_t *end = zk_create_session_command_put(body, &record);
    zk_command_t command = {ZK_OP_CREATE_SESSION, id, NULL, 0, bytes_of(body, (size_t)(end - body))};
    coord__propose(coord, write, &command);
    return id;
}

void coord_session_create(coord_t *coord, int32_t timeout_ms, coord_write_t *write,
                          void (*done)(coord_write_t *write, const coord_result_t *result))
{
    write->done = done;
    if (coord__disk_allows_opening(coord))
        propose_session(coord, write, timeout_ms, 0);
    else
        refuse(coord, write);
}

void coord__own_session_begin(coord_t *coord)
{
    size_t cursor = 0;
    for (session_t *s; (s = sessions_next(&coord->state.sessions, &cursor));) {
        if (s->own_server != coord->options.server_id) continue;
        zk_command_t command = {ZK_OP_CLOSE_SESSION, s->id, NULL, 0, BYTES_NULL};
        coord__propose(coord, NULL, &command);
    }
    coord->own_session = propose_session(coord, NULL, INT32_MAX, coord->options.server_id);
}

/* ---- the inside door ------------------------------------------------------------------------------------------------ */

typedef struct local_write {
    coord_write_t write;
    coord_request_t *request;
} local_write_t;

static void local_done(coord_write_t *write, const coord_result_t *result)
{
    local_write_t *local = CONTAINER_OF(write, local_write_t, write);
    coord_request_t *request = local->request;
    mem_free(local);
    request->done(request, result->err, result->failed_index, result->zxid);
}

/* The broker's own nodes. */
static bool registers(const coord_op_t *ops, int ops_count)
{
    for (int i = 0; i < ops_count; i++)
        if (ops[i].kind == COORD_CREATE_EPHEMERAL) return true;
    return false;
}

static void propose_local(coord_t *coord, const coord_op_t *ops, int ops_count, coord_write_t *write)
{
    static const zk_id_t super = {{(const uint8_t *)"super", 5}, {(const uint8_t *)"", 0}};
    zk_local_op_t *records = mem_alloc(sizeof(zk_local_op_t) * (size_t)ops_count + 1);
    for (int i = 0; i < ops_count; i++) {
        const coord_op_t *op = &ops[i];
        records[i] = (zk_local_op_t){op->kind, bytes_str(op->path), op->data, op->version, op->make_parents};
    }
    zk_local_multi_command_t multi = {records, ops_count};
    buf_t body = BUF_INIT;
    size_t size = zk_local_multi_command_size(&multi);
    zk_local_multi_command_put(buf_reserve(&body, size), &multi);
    body.len = size;
    zk_command_t command = {STATE_OP_LOCAL_MULTI, coord->own_session, (zk_id_t *)&super, 1, buf_bytes(&body)};
    coord__propose(coord, write, &command);
    buf_deinit(&body);
    mem_free(records);
    io_loop_wake(coord->loop);
}

void coord_submit(coord_t *coord, const coord_op_t *ops, int ops_count, coord_request_t *request,
                  void (*done)(coord_request_t *request, coord_zerr_t err, int failed_index, int64_t zxid))
{
    request->done = done;
    local_write_t *local = mem_alloc(sizeof(*local));
    *local = (local_write_t){.write = {.done = local_done}, .request = request};
    bool allowed =
        registers(ops, ops_count) ? coord__disk_allows_opening(coord) : coord__disk_allows(coord, STATE_OP_LOCAL_MULTI);
    if (LIKELY(allowed))
        propose_local(coord, ops, ops_count, &local->write);
    else
        refuse(coord, &local->write);
}
