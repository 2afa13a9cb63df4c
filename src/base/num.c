/* num.c: see num.h. */
#include "base/num.h"

static const char digit_pairs[] = "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
                                  "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static size_t digits_count(uint64_t v)
{
    size_t n = 1;
    for (;;) {
        if (v < 10) return n;
        if (v < 100) return n + 1;
        if (v < 1000) return n + 2;
        if (v < 10000) return n + 3;
        v /= 10000;
        n += 4;
    }
}

size_t num_format_u64(char *out, uint64_t v)
{
    size_t len = digits_count(v), at = len;
    while (v >= 100) {
        at -= 2;
        memcpy(out + at, digit_pairs + (v % 100) * 2, 2);
        v /= 100;
    }
    if (v >= 10)
        memcpy(out, digit_pairs + v * 2, 2);
    else
        out[0] = (char)('0' + v);
    return len;
}

size_t num_format_i64(char *out, int64_t v)
{
    if (v >= 0) return num_format_u64(out, (uint64_t)v);
    out[0] = '-';
    return 1 + num_format_u64(out + 1, 0 - (uint64_t)v);
}

bool num_parse_i64(bytes_t text, int64_t *ret_v)
{
    size_t i = 0;
    bool negative = false;
    if (text.len == 0 || text.len >= NUM_I64_CHARS_MAX) return false;
    if (text.ptr[0] == '-') {
        negative = true;
        if (++i == text.len) return false;
    }
    if (text.ptr[i] == '0') {
        if (text.len != 1) return false;
        *ret_v = 0;
        return true;
    }
    uint64_t v = 0;
    for (; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9) return false;
        if (v > UINT64_MAX / 10 || v * 10 > UINT64_MAX - digit) return false;
        v = v * 10 + digit;
    }
    if (v > (negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX)) return false;
    *ret_v = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool num_parse_memory(bytes_t text, uint64_t *ret_bytes)
{
    static const struct {
        const char *suffix;
        uint64_t factor;
    } units[] = {{"", 1},        {"b", 1},        {"k", 1000},       {"kb", 1024},
                 {"m", 1000000}, {"mb", 1048576}, {"g", 1000000000}, {"gb", 1073741824}};
    size_t digits = 0;
    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9') digits++;
    int64_t v;
    if (digits == 0 || !num_parse_i64(bytes_of(text.ptr, digits), &v)) return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (bytes_eq_nocase(bytes_of(text.ptr + digits, text.len - digits), bytes_str(units[i].suffix)))
            return !__builtin_mul_overflow((uint64_t)v, units[i].factor, ret_bytes);
    return false;
}
