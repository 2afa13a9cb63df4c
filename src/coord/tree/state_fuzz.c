/* state_fuzz.c: hostile commands and hostile snapshots. Input: a byte that chooses, then commands of {type i8, length u16, body},
 * or a snapshot's blocks. */
#include "coord/service/tree_snapshot.h"
#include "coord/tree/state.h"
#include "io/sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int32_t types[] = {
    ZK_OP_CREATE,         ZK_OP_DELETE,        ZK_OP_SET_DATA,         ZK_OP_SET_ACL,          ZK_OP_CHECK,
    ZK_OP_MULTI,          ZK_OP_CREATE2,       ZK_OP_CREATE_CONTAINER, ZK_OP_DELETE_CONTAINER, ZK_OP_CREATE_TTL,
    ZK_OP_CREATE_SESSION, ZK_OP_CLOSE_SESSION, STATE_OP_LOCAL_MULTI,   ZK_OP_RECONFIG,         99};

static void fuzz_commands(bytes_t input)
{
    state_t state;
    state_init(&state);
    state_make_roots(&state);
    sessions_add(&state.sessions, 7, 1000, BYTES_LIT("0123456789abcdef"), 0);
    while (input.len >= 3) {
        size_t bytes = MIN((size_t)load_be16(input.ptr + 1), input.len - 3);
        zk_id_t id = {BYTES_LIT("digest"), BYTES_LIT("u:h")};
        zk_command_t command = {types[input.ptr[0] % ARRAY_LEN(types)], 7, &id, 1, bytes_of(input.ptr + 3, bytes)};
        coord_result_t result;
        state_apply(&state, &command, 1, &result);
        input = bytes_of(input.ptr + 3 + bytes, input.len - 3 - bytes);
    }
    state_deinit(&state);
}

static void fuzz_snapshot(bytes_t input)
{
    sim_t *sim = sim_new(1);
    io_loop_t *loop = sim_node_loop(sim_node_new(sim, "10.0.0.1"));
    state_t state;
    snapshot_reader_t *reader;
    state_init(&state);
    int err = io_replace_whole(loop, "/data/snapshot", input);
    if (err == 0) err = snapshot_reader_open(loop, "/data/snapshot", NULL, &reader);
    if (err == 0) {
        tree_loader_t *loader = tree_loader_new(reader, &state);
        while (tree_loader_step(loader, 1) == 0) continue;
        tree_loader_free(loader);
        snapshot_reader_free(reader);
    }
    state_deinit(&state);
    sim_free(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    if (data[0] & 1)
        fuzz_commands(bytes_of(data + 1, size - 1));
    else
        fuzz_snapshot(bytes_of(data + 1, size - 1));
    return 0;
}
