/* bitfield.c: BITFIELD and BITFIELD_RO: integers of 1 to 64 bits at any bit offset of a string. All operations are
 * parsed before the first runs, so that an error changes nothing. */
#include "redis/cmd/bitmap.h"

#include "base/buf.h"
#include "base/num.h"
#include "redis_commands.h"

typedef enum field_action { FIELD_GET, FIELD_SET, FIELD_INCRBY } field_action_t;
typedef enum field_overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL } field_overflow_t;

typedef struct field_op {
    field_action_t action;
    field_overflow_t overflow;
    bool is_signed;
    unsigned bits;
    uint64_t offset;
    int64_t operand;
} field_op_t;

/* Wide enough for any field plus any operand. */
__extension__ typedef __int128 wide_t;

/* ---- bits -------------------------------------------------------------------------------- */

/* What lies behind the string is zero. */
static uint64_t read_bits(bytes_t s, uint64_t offset, unsigned bits)
{
    uint64_t v = 0;
    for (uint64_t at = offset; at < offset + bits; at++) {
        uint8_t byte = at >> 3 < s.len ? s.ptr[at >> 3] : 0;
        v = v << 1 | (byte >> (7 - (at & 7)) & 1);
    }
    return v;
}

static void write_bits(uint8_t *p, uint64_t offset, unsigned bits, uint64_t v)
{
    for (unsigned i = 0; i < bits; i++) {
        uint64_t at = offset + i;
        uint8_t mask = (uint8_t)(0x80 >> (at & 7));
        bool on = v >> (bits - 1 - i) & 1;
        p[at >> 3] = (uint8_t)(on ? p[at >> 3] | mask : p[at >> 3] & ~mask);
    }
}

static wide_t field_value(const field_op_t *op, uint64_t raw)
{
    if (!op->is_signed) return raw;
    unsigned unused = 64 - op->bits;
    return (int64_t)(raw << unused) >> unused;
}

/* Brings a result into the field's range as its OVERFLOW says; false: the operation fails. */
static bool fit(const field_op_t *op, wide_t *v)
{
    wide_t one = 1, max = (one << (op->bits - op->is_signed)) - 1, min = op->is_signed ? -max - 1 : 0;
    if (*v >= min && *v <= max) return true;
    if (op->overflow == OVERFLOW_FAIL) return false;
    if (op->overflow == OVERFLOW_SAT)
        *v = *v > max ? max : min;
    else
        *v = field_value(op, (uint64_t)*v & (op->bits == 64 ? UINT64_MAX : (UINT64_C(1) << op->bits) - 1));
    return true;
}

/* ---- arguments --------------------------------------------------------------------------- */

static bool parse_type(redis_call_t *call, int i, field_op_t *op)
{
    bytes_t text = call->argv[i];
    int64_t bits = 0;
    op->is_signed = text.len && text.ptr[0] == 'i';
    bool known = op->is_signed || (text.len && text.ptr[0] == 'u');
    if (known && num_parse_i64(bytes_of(text.ptr + 1, text.len - 1), &bits) && bits >= 1 &&
        bits <= 63 + op->is_signed) {
        op->bits = (unsigned)bits;
        return true;
    }
    reply_error(call->client, "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not "
                              "supported but i64 is.");
    return false;
}

static bool parse_overflow(redis_call_t *call, int i, field_overflow_t *ret)
{
    static const char *const names[] = {"WRAP", "SAT", "FAIL"};
    for (unsigned k = 0; k < ARRAY_LEN(names); k++) {
        if (!arg_is(call, i, names[k])) continue;
        *ret = (field_overflow_t)k;
        return true;
    }
    reply_error(call->client, "ERR Invalid OVERFLOW type specified");
    return false;
}

static bool parse_op(redis_call_t *call, int *i, field_op_t *op)
{
    int left = call->argc - *i - 1;
    if (arg_is(call, *i, "GET") && left >= 2) {
        op->action = FIELD_GET;
    } else if (arg_is(call, *i, "SET") && left >= 3) {
        op->action = FIELD_SET;
    } else if (arg_is(call, *i, "INCRBY") && left >= 3) {
        op->action = FIELD_INCRBY;
    } else {
        reply_error_syntax(call->client);
        return false;
    }
    if (!parse_type(call, *i + 1, op) || !bitmap__arg_offset(call, *i + 2, op->bits, &op->offset)) return false;
    if (op->action != FIELD_GET && !arg_i64(call, *i + 3, &op->operand)) return false;
    *i += op->action == FIELD_GET ? 2 : 3;
    return true;
}

static bool parse_ops(redis_call_t *call, buf_t *ops)
{
    field_op_t op = {.overflow = OVERFLOW_WRAP};
    for (int i = 2; i < call->argc; i++) {
        if (arg_is(call, i, "OVERFLOW") && i + 1 < call->argc) {
            if (!parse_overflow(call, ++i, &op.overflow)) return false;
            continue;
        }
        if (!parse_op(call, &i, &op)) return false;
        buf_append(ops, &op, sizeof(op));
    }
    return true;
}

/* ---- running ----------------------------------------------------------------------------- */

static void run_get(redis_call_t *call, const field_op_t *op, bytes_t s)
{
    reply_int(call->client, (int64_t)field_value(op, read_bits(s, op->offset, op->bits)));
}

/* True when the field has another value than before. */
static bool run_write(redis_call_t *call, const field_op_t *op, uint8_t *bytes, size_t len, bool *ret_wrote)
{
    wide_t old = field_value(op, read_bits(bytes_of(bytes, len), op->offset, op->bits));
    wide_t v = op->action == FIELD_INCRBY ? old + op->operand
               : op->is_signed            ? op->operand
                                          : (wide_t)(uint64_t)op->operand;
    *ret_wrote = fit(op, &v);
    if (!*ret_wrote) {
        reply_null(call->client);
        return false;
    }
    reply_int(call->client, (int64_t)(op->action == FIELD_SET ? old : v));
    write_bits(bytes, op->offset, op->bits, (uint64_t)v);
    return v != old;
}

static void run_all(redis_call_t *call, const field_op_t *ops, size_t count, uint8_t *bytes, size_t len, bool grown)
{
    uint64_t changes = 0;
    for (size_t i = 0; i < count; i++) {
        bool wrote = false, changed = false;
        if (ops[i].action == FIELD_GET)
            run_get(call, &ops[i], bytes_of(bytes, len));
        else
            changed = run_write(call, &ops[i], bytes, len, &wrote);
        changes += wrote && (changed || grown);
    }
    if (changes == 0) return;
    key_changed(call, call->argv[1], NOTIFY_STRING, "setbit");
    call->dirty += changes;
}

static void read_all(redis_call_t *call, const field_op_t *ops, size_t count)
{
    redis_entry_t *e;
    char scratch[NUM_I64_CHARS_MAX];
    if (!key_read_type(call, call->argv[1], TYPE_STRING, &e)) return;
    bytes_t s = e ? string_text(e, scratch) : BYTES_LIT("");
    reply_array(call->client, count);
    for (size_t i = 0; i < count; i++) run_get(call, &ops[i], s);
}

static void bitfield(redis_call_t *call, bool read_only)
{
    buf_t list = BUF_INIT;
    bool writes = false, grown;
    uint64_t last = 0;
    size_t len;
    if (!parse_ops(call, &list)) goto out;
    const field_op_t *ops = (const void *)list.ptr;
    size_t count = list.len / sizeof(*ops);
    for (size_t i = 0; i < count; i++) {
        if (ops[i].action == FIELD_GET) continue;
        writes = true;
        last = MAX(last, ops[i].offset + ops[i].bits - 1);
    }
    if (!writes) {
        read_all(call, ops, count);
    } else if (read_only) {
        reply_error(call->client, "ERR BITFIELD_RO only supports the GET subcommand");
    } else {
        uint8_t *bytes = bitmap__open(call, last, &len, &grown);
        if (!bytes) goto out;
        reply_array(call->client, count);
        run_all(call, ops, count, bytes, len, grown);
    }
out:
    buf_deinit(&list);
}

void redis_cmd_bitfield(redis_call_t *call) { bitfield(call, false); }
void redis_cmd_bitfield_ro(redis_call_t *call) { bitfield(call, true); }
