/* jute_fuzz.c: any bytes as any record that a client or the log may hand us. */
#include "zk_records.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TRY(number, type)                                                                                              \
    case number: {                                                                                                     \
        zk_##type##_t record;                                                                                          \
        zk_##type##_get(&r, &record);                                                                                  \
        if (!r.bad && zk_##type##_size(&record) != (size_t)(r.at - (data + 1))) __builtin_trap();                      \
        break;                                                                                                         \
    }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    arena_t arena;
    arena_init(&arena, MIB(4));
    jute_reader_t r = jute_reader(bytes_of(data + 1, size - 1), &arena);
    switch (data[0] % 14) {
        TRY(0, connect_request)
        TRY(1, create_request)
        TRY(2, create_ttl_request)
        TRY(3, set_watches)
        TRY(4, set_watches2)
        TRY(5, set_acl_request)
        TRY(6, set_data_request)
        TRY(7, path_watch_request)
        TRY(8, auth_packet)
        TRY(9, command)
        TRY(10, local_multi_command)
        TRY(11, snapshot_node)
        TRY(12, snapshot_acl)
        TRY(13, create_session_command)
    }
    arena_deinit(&arena);
    return 0;
}
