/* lcs.c: LCS: the longest common subsequence of two strings, by the classic table. */
#include "redis/db/evict.h"
#include "redis/exec/key.h"
#include "redis_commands.h"

#include "base/num.h"

typedef struct lcs_options {
    bool length_only, positions, with_match_len;
    int64_t match_len_min;
} lcs_options_t;

static bool read_options(redis_call_t *call, lcs_options_t *o)
{
    *o = (lcs_options_t){0};
    for (int i = 3; i < call->argc; i++) {
        if (arg_is(call, i, "IDX")) {
            o->positions = true;
        } else if (arg_is(call, i, "LEN")) {
            o->length_only = true;
        } else if (arg_is(call, i, "WITHMATCHLEN")) {
            o->with_match_len = true;
        } else if (arg_is(call, i, "MINMATCHLEN") && i + 1 < call->argc) {
            if (!arg_i64(call, ++i, &o->match_len_min)) return false;
            if (o->match_len_min < 0) o->match_len_min = 0;
        } else {
            reply_error_syntax(call->client);
            return false;
        }
    }
    if (o->positions && o->length_only) {
        reply_error(call->client, "ERR If you want both the length and indexes, please just use IDX.");
        return false;
    }
    return true;
}

typedef struct range {
    int64_t a_start, a_end, b_start, b_end;
} range_t;

static void reply_range(redis_client_t *c, const range_t *r, bool with_len)
{
    reply_array(c, with_len ? 3 : 2);
    reply_array(c, 2);
    reply_int(c, r->a_start);
    reply_int(c, r->a_end);
    reply_array(c, 2);
    reply_int(c, r->b_start);
    reply_int(c, r->b_end);
    if (with_len) reply_int(c, r->a_end - r->a_start + 1);
}

/* table[i * (b.len + 1) + j]: the length for the first i bytes of a and j of b. */
static uint32_t *fill_table(bytes_t a, bytes_t b, uint64_t bytes_max)
{
    size_t width = b.len + 1;
    if (a.len >= bytes_max / sizeof(uint32_t) / width) return NULL;
    uint32_t *t = mem_try_alloc((a.len + 1) * width * sizeof(*t));
    if (!t) return NULL;
    memset(t, 0, width * sizeof(*t));
    for (size_t i = 1; i <= a.len; i++) {
        t[i * width] = 0;
        for (size_t j = 1; j <= b.len; j++)
            t[i * width + j] = a.ptr[i - 1] == b.ptr[j - 1] ? t[(i - 1) * width + j - 1] + 1
                                                            : MAX(t[(i - 1) * width + j], t[i * width + j - 1]);
    }
    return t;
}

/* Walks back from the end; fills `text` and, when asked, replies each run of matches (the last comes first).
 */
static size_t walk_back(redis_call_t *call, const lcs_options_t *o, bytes_t a, bytes_t b, const uint32_t *t,
                        uint8_t *text)
{
    size_t i = a.len, j = b.len, width = b.len + 1, at = t[i * width + j], runs = 0;
    bool open = false;
    range_t r = {0};
    while (i && j) {
        bool match = a.ptr[i - 1] == b.ptr[j - 1], close = !match;
        if (match) {
            text[--at] = a.ptr[i - 1];
            if (!open) {
                r = (range_t){(int64_t)i - 1, (int64_t)i - 1, (int64_t)j - 1, (int64_t)j - 1};
                open = true;
            } else {
                r.a_start--;
                r.b_start--;
            }
            i--;
            j--;
            close = i == 0 || j == 0 || a.ptr[i - 1] != b.ptr[j - 1];
        } else if (t[(i - 1) * width + j] > t[i * width + j - 1]) {
            i--;
        } else {
            j--;
        }
        if (!open || !close) continue;
        open = false;
        if (o->positions && r.a_end - r.a_start + 1 >= MAX(o->match_len_min, 1)) {
            reply_range(call->client, &r, o->with_match_len);
            runs++;
        }
    }
    return runs;
}

static void reply_lcs(redis_call_t *call, const lcs_options_t *o, bytes_t a, bytes_t b, const uint32_t *t)
{
    redis_client_t *c = call->client;
    uint32_t length = t[a.len * (b.len + 1) + b.len];
    uint8_t *text = mem_alloc(length + 1u);
    if (o->length_only) {
        reply_int(c, length);
    } else if (!o->positions) {
        walk_back(call, o, a, b, t, text);
        reply_bulk(c, bytes_of(text, length));
    } else {
        reply_map(c, 2);
        reply_bulk_str(c, "matches");
        reply_deferred_t d = reply_deferred_begin(c);
        reply_deferred_array(c, d, walk_back(call, o, a, b, t, text));
        reply_bulk_str(c, "len");
        reply_int(c, length);
    }
    mem_free(text);
}

void redis_cmd_lcs(redis_call_t *call)
{
    lcs_options_t o;
    char scratch[2][NUM_I64_CHARS_MAX];
    bytes_t texts[2];
    for (int i = 0; i < 2; i++) {
        redis_entry_t *e = key_read(call, call->argv[1 + i]);
        if (e && e->type != TYPE_STRING) {
            reply_error(call->client, "ERR The specified keys must contain string values");
            return;
        }
        texts[i] = e ? string_text(e, scratch[i]) : BYTES_LIT("");
    }
    if (!read_options(call, &o)) return;
    uint32_t *table = fill_table(texts[0], texts[1], call->config->proto_max_bulk_len);
    if (!table) {
        reply_error(call->client, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
        return;
    }
    reply_lcs(call, &o, texts[0], texts[1], table);
    mem_free(table);
}
