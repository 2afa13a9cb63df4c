/* stream_fuzz.c: bytes are refused as a stream's node, or all that a stream does to its nodes works on them. The input is the
 * node's key in 16 bytes and its listpack. */
#include "redis/redis.h"
#include "redis/types/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_nodes(const stream_t *s)
{
    uint64_t live = 0;
    for (idtree_pos_t pos = idtree_first(&s->nodes); pos.leaf; pos = idtree_next(pos)) {
        stream_node_sum_t sum;
        ASSERT(stream_node_validate(stream_node_image(pos), idtree_id(pos), &sum) == 0 && sum.live > 0);
        live += sum.live;
    }
    ASSERT(live == s->length);
}

/* Counts the entries of a range, reading all of them; their IDs rise or fall. */
static uint64_t walk(const stream_t *s, stream_id_t from, bool backwards)
{
    char room[NUM_I64_CHARS_MAX];
    uint64_t count = 0;
    stream_id_t last = STREAM_ID_LEAST;
    stream_cursor_t c = stream_range(s, from, STREAM_ID_GREATEST, backwards);
    while (stream_next(&c)) {
        int order = stream_id_cmp(c.entry.id, last);
        ASSERT(count == 0 || (backwards ? order < 0 : order > 0));
        for (stream_field_t f = stream_fields(&c.entry); stream_field_next(&f);)
            ASSERT(lp_text(f.name, room).len + lp_text(f.value, room).len < LP_BYTES_MAX);
        last = c.entry.id;
        count++;
    }
    return count;
}

static void change(stream_t *s, const redis_config_t *config)
{
    bytes_t pairs[] = {BYTES_LIT("f"), BYTES_LIT("1"), BYTES_LIT("g"), BYTES_LIT("text")};
    stream_fields_in_t in = {pairs, 2, 7};
    stream_id_t last, first = s->first_id;
    if (stream_last_live(s, &last) && stream_id_increment(&last)) {
        s->last_id = STREAM_ID_LEAST;
        ASSERT(stream_append(s, last, &in, config) == 0);
    }
    check_nodes(s);
    uint64_t half = s->length / 2;
    ASSERT(stream_has(s, first) && stream_delete(s, first) && !stream_has(s, first));
    check_nodes(s);
    stream_trim(s, &(stream_trim_t){.by = STREAM_TRIM_MAXLEN, .maxlen = half});
    ASSERT(s->length <= half);
    check_nodes(s);
    stream_trim(s, &(stream_trim_t){.by = STREAM_TRIM_MINID, .minid = STREAM_ID_GREATEST});
    ASSERT(s->length <= 1);
    check_nodes(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static redis_config_t *config;
    if (!config) config = redis_config_new();
    if (size < 16) return 0;
    stream_id_t key = {load_be64(data), load_be64(data + 8)};
    stream_t *s = stream_new();
    if (stream_add_node(s, key, bytes_of(data + 16, size - 16)) == 0 && s->length) {
        ASSERT(walk(s, STREAM_ID_LEAST, false) == s->length && walk(s, STREAM_ID_LEAST, true) == s->length);
        stream_id_t after = s->first_id;
        if (stream_id_increment(&after)) ASSERT(walk(s, after, false) == s->length - 1);
        change(s, config);
    }
    stream_free(s);
    return 0;
}
