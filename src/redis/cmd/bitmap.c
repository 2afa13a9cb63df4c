/* bitmap.c: SETBIT, GETBIT, BITCOUNT, BITPOS and BITOP: a string as a row of bits. A string that is absent or too
 * short continues as zeros. */
#include "redis/cmd/bitmap.h"

#include "base/num.h"
#include "redis/config/config.h"
#include "redis_commands.h"

/* ---- single bits ------------------------------------------------------------------------- */

bool bitmap__arg_offset(redis_call_t *call, int i, unsigned width, uint64_t *ret_offset)
{
    bytes_t text = call->argv[i];
    int64_t offset, bytes_max = (int64_t)MIN(call->config->proto_max_bulk_len, (uint64_t)UINT32_MAX);
    bool nth = width && text.len && text.ptr[0] == '#';
    if (nth) text = bytes_of(text.ptr + 1, text.len - 1);
    if (num_parse_i64(text, &offset) && !(nth && __builtin_mul_overflow(offset, (int64_t)width, &offset)) &&
        offset >= 0 && offset >> 3 < bytes_max) {
        *ret_offset = (uint64_t)offset;
        return true;
    }
    reply_error(call->client, "ERR bit offset is not an integer or out of range");
    return false;
}

uint8_t *bitmap__open(redis_call_t *call, uint64_t bit, size_t *ret_len, bool *ret_grown)
{
    redis_entry_t *e;
    char scratch[NUM_I64_CHARS_MAX];
    if (!key_write_type(call, call->argv[1], TYPE_STRING, &e)) return NULL;
    size_t old = e ? string_text(e, scratch).len : 0, len = MAX(old, (size_t)(bit >> 3) + 1);
    *ret_len = len;
    *ret_grown = len > old;
    if (!e) e = key_set_text(call, call->argv[1], BYTES_LIT(""));
    return key_string_resize(call, e, len);
}

void redis_cmd_setbit(redis_call_t *call)
{
    static const char error[] = "ERR bit is not an integer or out of range";
    uint64_t offset;
    int64_t on;
    size_t len;
    bool grown;
    if (!bitmap__arg_offset(call, 2, 0, &offset) || !arg_i64_in(call, 3, 0, 1, error, &on)) return;
    uint8_t *bytes = bitmap__open(call, offset, &len, &grown);
    if (!bytes) return;
    uint8_t mask = (uint8_t)(0x80 >> (offset & 7)), *byte = bytes + (offset >> 3);
    bool was = *byte & mask;
    if (grown || was != (bool)on) {
        *byte = (uint8_t)(on ? *byte | mask : *byte & ~mask);
        key_changed(call, call->argv[1], NOTIFY_STRING, "setbit");
        call->dirty++;
    }
    reply_int(call->client, was);
}

void redis_cmd_getbit(redis_call_t *call)
{
    uint64_t offset;
    redis_entry_t *e;
    char scratch[NUM_I64_CHARS_MAX];
    if (!bitmap__arg_offset(call, 2, 0, &offset)) return;
    if (!key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    bytes_t s = e ? string_text(e, scratch) : BYTES_LIT("");
    reply_int(call->client, (offset >> 3) < s.len && s.ptr[offset >> 3] & 0x80 >> (offset & 7));
}

/* ---- ranges: [start [end [BYTE | BIT]]] -------------------------------------------------- */

typedef struct bit_range {
    int64_t start, end;
    bool in_bits, has_end;
} bit_range_t;

static bool parse_range(redis_call_t *call, int i, bit_range_t *r)
{
    *r = (bit_range_t){.end = -1};
    if (call->argc > i + 3) {
        reply_error_syntax(call->client);
        return false;
    }
    if (call->argc > i && !arg_i64(call, i, &r->start)) return false;
    if (call->argc > i + 2) {
        r->in_bits = arg_is(call, i + 2, "BIT");
        if (!r->in_bits && !arg_is(call, i + 2, "BYTE")) {
            reply_error_syntax(call->client);
            return false;
        }
    }
    r->has_end = call->argc > i + 1;
    return !r->has_end || arg_i64(call, i + 1, &r->end);
}

/* The first and last bit of the range within a string of `len` bytes; false when it is empty. */
static bool resolve(const bit_range_t *r, size_t len, uint64_t *ret_first, uint64_t *ret_last)
{
    int64_t total = (int64_t)len * (r->in_bits ? 8 : 1);
    int64_t start = r->start < 0 ? MAX(r->start + total, (int64_t)0) : r->start;
    int64_t end = r->end < 0 ? MAX(r->end + total, (int64_t)0) : r->end;
    end = MIN(end, total - 1);
    if (start > end) return false;
    *ret_first = (uint64_t)start * (r->in_bits ? 1 : 8);
    *ret_last = r->in_bits ? (uint64_t)end : (uint64_t)end * 8 + 7;
    return true;
}

static uint64_t count_bits(const uint8_t *p, size_t n)
{
    uint64_t count = 0, word;
    for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        count += (uint64_t)__builtin_popcountll(word);
    }
    while (n-- > 0) count += (uint64_t)__builtin_popcount(*p++);
    return count;
}

/* The bits of the byte that holds `first` which lie in front of it, and those behind `last` in its byte. */
static uint8_t before(uint64_t first) { return (uint8_t) ~(0xff >> (first & 7)); }
static uint8_t behind(uint64_t last) { return (uint8_t)(0x7f >> (last & 7)); }

void redis_cmd_bitcount(redis_call_t *call)
{
    bit_range_t r;
    redis_entry_t *e;
    uint64_t first, last, count = 0;
    char scratch[NUM_I64_CHARS_MAX];
    if (!parse_range(call, 2, &r) || !key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    bytes_t s = e ? string_text(e, scratch) : BYTES_LIT("");
    bool crossed = r.start < 0 && r.end < 0 && r.start > r.end;
    if (!crossed && resolve(&r, s.len, &first, &last)) {
        uint8_t outside[2] = {s.ptr[first >> 3] & before(first), s.ptr[last >> 3] & behind(last)};
        count = count_bits(s.ptr + (first >> 3), (last >> 3) - (first >> 3) + 1) - count_bits(outside, 2);
    }
    reply_int(call->client, (int64_t)count);
}

/* The first such bit in [first, last], or -1. */
static int64_t find_bit(const uint8_t *p, uint64_t first, uint64_t last, bool on)
{
    uint64_t at = first >> 3, end = last >> 3, skipped = on ? 0 : UINT64_MAX, word;
    for (; at <= end; at++) {
        for (; at != first >> 3 && at + sizeof(word) <= end; at += sizeof(word)) {
            memcpy(&word, p + at, sizeof(word));
            if (word != skipped) break;
        }
        uint8_t candidates = on ? p[at] : (uint8_t)~p[at];
        if (at == first >> 3) candidates &= (uint8_t)~before(first);
        if (at == end) candidates &= (uint8_t)~behind(last);
        if (candidates) return (int64_t)at * 8 + __builtin_clz(candidates) - 24;
    }
    return -1;
}

void redis_cmd_bitpos(redis_call_t *call)
{
    bit_range_t r;
    redis_entry_t *e;
    uint64_t first, last;
    int64_t on, found = -1;
    char scratch[NUM_I64_CHARS_MAX];
    if (!arg_i64(call, 2, &on)) return;
    if (on != 0 && on != 1) {
        reply_error(call->client, "ERR The bit argument must be 1 or 0.");
        return;
    }
    if (!parse_range(call, 3, &r) || !key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    if (!e) {
        reply_int(call->client, on ? -1 : 0);
        return;
    }
    bytes_t s = string_text(e, scratch);
    if (resolve(&r, s.len, &first, &last)) {
        found = find_bit(s.ptr, first, last, on);
        /* Without an end the zeros behind the string count. */
        if (found < 0 && !on && !r.has_end) found = (int64_t)s.len * 8;
    }
    reply_int(call->client, found);
}

/* ---- BITOP ------------------------------------------------------------------------------- */

typedef enum bitop { OP_AND, OP_OR, OP_XOR, OP_NOT } bitop_t;

static bool parse_op(redis_call_t *call, bitop_t *ret)
{
    static const char *const names[] = {"AND", "OR", "XOR", "NOT"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (!arg_is(call, 1, names[i])) continue;
        *ret = (bitop_t)i;
        if (i != OP_NOT || call->argc == 4) return true;
        reply_error(call->client, "ERR BITOP NOT must be called with a single source key.");
        return false;
    }
    reply_error_syntax(call->client);
    return false;
}

/* Loops that the compiler turns into vectors. */
static void combine(bitop_t op, uint8_t *to, size_t len, bytes_t from)
{
    size_t n = from.len;
    switch (op) {
    case OP_AND:
        for (size_t i = 0; i < n; i++) to[i] &= from.ptr[i];
        if (n < len) memset(to + n, 0, len - n);
        break;
    case OP_OR:
        for (size_t i = 0; i < n; i++) to[i] |= from.ptr[i];
        break;
    case OP_XOR:
        for (size_t i = 0; i < n; i++) to[i] ^= from.ptr[i];
        break;
    case OP_NOT:
        for (size_t i = 0; i < len; i++) to[i] = (uint8_t)~to[i];
        break;
    }
}

static void store_bits(redis_call_t *call, bytes_t key, bytes_t bits)
{
    if (bits.len) {
        key_delete(call, key);
        redis_entry_t *e = key_set_text(call, key, BYTES_LIT(""));
        memcpy(key_string_resize(call, e, bits.len), bits.ptr, bits.len);
        key_changed(call, key, NOTIFY_STRING, "set");
        call->dirty++;
    } else if (key_delete(call, key)) {
        key_changed(call, key, NOTIFY_GENERIC, "del");
        call->dirty++;
    }
    reply_int(call->client, (int64_t)bits.len);
}

void redis_cmd_bitop(redis_call_t *call)
{
    bitop_t op;
    size_t len = 0;
    char scratch[NUM_I64_CHARS_MAX];
    redis_entry_t *e;
    if (!parse_op(call, &op)) return;
    for (int i = 3; i < call->argc; i++) {
        if (!key_read_type(call, call->argv[i], TYPE_STRING, &e)) return;
        if (e) len = MAX(len, string_text(e, scratch).len);
    }
    uint8_t *bits = mem_zalloc(MAX(len, (size_t)1));
    for (int i = 3; i < call->argc; i++) {
        e = key_peek(call, call->argv[i]);
        bytes_t s = e ? string_text(e, scratch) : BYTES_LIT("");
        if (i > 3)
            combine(op, bits, len, s);
        else if (s.len)
            memcpy(bits, s.ptr, s.len);
    }
    if (op == OP_NOT) combine(op, bits, len, BYTES_NULL);
    store_bits(call, call->argv[2], bytes_of(bits, len));
    mem_free(bits);
}
