/* digest.c: see digest.h. The parts of what has an order are mixed, each into what came before it; the parts of what has none
 * are joined by exclusive or. The bytes are those of the original, so that the two can be compared. */
#include "redis/db/digest.h"

#include "redis/number.h"
#include "redis/types/hash.h"
#include "redis/types/list.h"
#include "redis/types/set.h"
#include "redis/types/stream.h"
#include "redis/types/zset.h"

#include <arpa/inet.h>
#include <openssl/sha.h>

static void join(uint8_t *digest, const void *data, size_t len)
{
    uint8_t hash[SHA_DIGEST_LENGTH];
    _Static_assert(sizeof(hash) == DIGEST_BYTES, "a digest is one SHA-1");
    SHA1(data, len, hash);
    for (int i = 0; i < DIGEST_BYTES; i++) digest[i] ^= hash[i];
}

static void mix(uint8_t *digest, const void *data, size_t len)
{
    uint8_t hash[SHA_DIGEST_LENGTH];
    join(digest, data, len);
    SHA1(digest, DIGEST_BYTES, hash);
    memcpy(digest, hash, DIGEST_BYTES);
}

static void mix_bytes(uint8_t *digest, bytes_t b) { mix(digest, b.ptr ? b.ptr : (const uint8_t *)"", b.len); }

static void mix_number(uint8_t *digest, uint32_t n)
{
    uint32_t wire = htonl(n);
    mix(digest, &wire, sizeof(wire));
}

static void join_member(void *digest, bytes_t member) { join(digest, member.ptr, member.len); }

static void join_pair(uint8_t *digest, bytes_t name, bytes_t value)
{
    uint8_t pair[DIGEST_BYTES] = {0};
    mix_bytes(pair, name);
    mix_bytes(pair, value);
    join(digest, pair, sizeof(pair));
}

static void join_field(void *digest, bytes_t field, bytes_t value) { join_pair(digest, field, value); }

static void join_scored(void *digest, bytes_t member, double score)
{
    char text[DOUBLE_CHARS_MAX];
    join_pair(digest, member, bytes_of(text, format_double(text, score)));
}

static void mix_elements(uint8_t *digest, value_t list)
{
    char room[NUM_I64_CHARS_MAX];
    for (list_pos_t pos = rlist_first(list); pos.p; pos = rlist_next(list, pos))
        mix_bytes(digest, rlist_text(pos, room));
}

/* IDs with a point, as nowhere else. */
static void mix_entries(uint8_t *digest, const stream_t *s)
{
    char room[NUM_I64_CHARS_MAX], id[STREAM_ID_CHARS_MAX];
    stream_cursor_t c = stream_range(s, STREAM_ID_LEAST, STREAM_ID_GREATEST, false);
    while (stream_next(&c)) {
        size_t n = stream_id_format(id, c.entry.id);
        *(char *)memchr(id, '-', n) = '.';
        mix(digest, id, n);
        for (stream_field_t f = stream_fields(&c.entry); stream_field_next(&f);) {
            mix_bytes(digest, lp_text(f.name, room));
            mix_bytes(digest, lp_text(f.value, room));
        }
    }
}

/* Type and value go on from what the digest holds. */
static void mix_entry(uint8_t *digest, const redis_entry_t *e, int64_t now_ms)
{
    char scratch[NUM_I64_CHARS_MAX];
    mix_number(digest, e->type);
    switch ((redis_type_t)e->type) {
    case TYPE_STRING: mix_bytes(digest, string_text(e, scratch)); break;
    case TYPE_LIST: mix_elements(digest, value_of(e)); break;
    case TYPE_SET: set_each(value_of(e), join_member, digest); break;
    case TYPE_HASH: hash_each(value_of(e), now_ms, join_field, digest); break;
    case TYPE_ZSET: zset_each(value_of(e), join_scored, digest); break;
    case TYPE_STREAM: mix_entries(digest, entry_value(e)); break;
    default: ASSERT(false);
    }
    if (entry_expire_ms(e) >= 0) join(digest, "!!expire!!", 10);
}

void digest_value(const redis_entry_t *e, int64_t now_ms, uint8_t ret_digest[DIGEST_BYTES])
{
    memset(ret_digest, 0, DIGEST_BYTES);
    mix_entry(ret_digest, e, now_ms);
}

typedef struct joining {
    uint8_t *digest;
    int64_t now_ms;
} joining_t;

static void join_entry(void *user, void *entry)
{
    const joining_t *j = user;
    uint8_t digest[DIGEST_BYTES] = {0};
    mix_bytes(digest, entry_key(entry));
    mix_entry(digest, entry, j->now_ms);
    join(j->digest, digest, sizeof(digest));
}

void digest_all(const keyspace_t *k, uint8_t ret_digest[DIGEST_BYTES])
{
    memset(ret_digest, 0, DIGEST_BYTES);
    for (int i = 0; i < k->db_count; i++) {
        if (table_count(&k->dbs[i].keys) == 0) continue;
        mix_number(ret_digest, (uint32_t)i);
        table_each(&k->dbs[i].keys, join_entry, &(joining_t){ret_digest, k->now_ms});
    }
}
