/* hash_common.c: what the commands of hashes share; see hash.h. */
#include "redis/cmd/hash.h"
#include "redis/db/keyspace.h"

#include "redis/db/db.h"

#include "base/num.h"

bool cmd__hash_is_over(const redis_call_t *call, value_t v, bytes_t field)
{
    hash_item_t item;
    char room[NUM_I64_CHARS_MAX];
    return hash_timed(v) && hash_look(v, field, room, &item) && hash_is_over(item.at_ms, cmd__hash_now(call));
}

void cmd__hash_count_expired(redis_call_t *call, size_t fields) { call->db->keyspace->stats.expired_fields += fields; }

bool cmd__hash_begin(redis_call_t *call, redis_entry_t **ret_entry, value_t *ret_v)
{
    if (!key_write_type(call, call->argv[1], TYPE_HASH, ret_entry)) return false;
    *ret_v = *ret_entry ? value_of(*ret_entry) : hash_new();
    return true;
}

void cmd__hash_changed(redis_call_t *call, redis_entry_t *entry, value_t v, size_t over, const char *event)
{
    if (entry) {
        value_store(entry, v);
        if (v.encoding == ENC_HASHTABLE_TIMED) db__clock_set(call->db, entry);
    } else {
        key_add(call, call->argv[1], TYPE_HASH, v.encoding, v.ptr);
    }
    if (over) {
        cmd__hash_count_expired(call, over);
        key_event(call, call->argv[1], NOTIFY_HASH, "hexpired");
    }
    key_changed(call, call->argv[1], NOTIFY_HASH, event);
}

void cmd__hash_deleted(redis_call_t *call, redis_entry_t *entry, value_t v, const char *event)
{
    bytes_t key = call->argv[1];
    bool empty = hash_length(v) == 0;
    value_store(entry, v);
    if (v.encoding == ENC_HASHTABLE_TIMED) db__clock_set(call->db, entry);
    key_changed(call, key, NOTIFY_HASH, event);
    if (empty) {
        key_delete(call, key);
        key_event(call, key, NOTIFY_GENERIC, "del");
    }
}

void hash_draft_init(hash_draft_t *d, int words_max)
{
    size_t bytes = sizeof(*d->argv) * (size_t)(HASH_DRAFT_HEAD + words_max);
    d->argv = words_max <= HASH_DRAFT_SMALL ? d->small : mem_alloc(bytes);
    d->argc = 0;
}

void hash_draft_deinit(hash_draft_t *d)
{
    if (d->argv != d->small) mem_free(d->argv);
}

/* The words in front of those that were gathered. */
static void send(redis_call_t *call, hash_draft_t *d, const bytes_t *head, int n)
{
    bytes_t *argv = d->argv + HASH_DRAFT_HEAD - n;
    ASSERT(n <= HASH_DRAFT_HEAD);
    memcpy(argv, head, sizeof(*argv) * (size_t)n);
    propagate(call, n + d->argc, argv);
}

void hash_draft_send(redis_call_t *call, hash_draft_t *d, const char *name)
{
    bytes_t head[] = {bytes_str(name), call->argv[1]};
    send(call, d, head, ARRAY_LEN(head));
}

void hash_draft_send_time(redis_call_t *call, hash_draft_t *d, int64_t at_ms)
{
    char at[NUM_I64_CHARS_MAX], count[NUM_I64_CHARS_MAX];
    bytes_t head[] = {BYTES_LIT("HPEXPIREAT"), call->argv[1], bytes_of(at, num_format_i64(at, at_ms)),
                      BYTES_LIT("FIELDS"), bytes_of(count, num_format_i64(count, d->argc))};
    send(call, d, head, ARRAY_LEN(head));
}

void hash_draft_send_fields(redis_call_t *call, hash_draft_t *d, const char *name, const char *option, int64_t number,
                            int words)
{
    char count_room[NUM_I64_CHARS_MAX], number_room[NUM_I64_CHARS_MAX];
    bytes_t head[HASH_DRAFT_HEAD] = {bytes_str(name), call->argv[1]};
    int n = 2;
    if (option) head[n++] = bytes_str(option);
    if (option && number >= 0) head[n++] = bytes_of(number_room, num_format_i64(number_room, number));
    head[n++] = BYTES_LIT("FIELDS");
    head[n++] = bytes_of(count_room, num_format_i64(count_room, d->argc / words));
    send(call, d, head, n);
}
