/* number.c: numbers with a fraction, as Redis reads and writes them. */
#include "redis/number.h"

#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define NUMBER_TEXT_MAX 1024 /* the longest double written out takes 309 digits and some decimals */

/* ---- doubles to text -------------------------------------------------------------------- */

/* The fewest significant digits that read back as v: digits without trailing zeros, and the exponent of the
 * last one. */
static int shortest_digits(double v, char *digits, int *ret_exponent)
{
    char text[40];
    /* Decimals of 15 digits survive in a normal double, so that fewer show as zeros at the end; a denormal holds fewer. */
    for (int precision = v < DBL_MIN ? 0 : 14;; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, v);
        if (precision == 16 || strtod(text, NULL) == v) break;
    }
    char *e = strchr(text, 'e');
    int count = 0;
    for (char *p = text; p < e; p++)
        if (*p != '.') digits[count++] = *p;
    while (count > 1 && digits[count - 1] == '0') count--;
    *ret_exponent = atoi(e + 1) - (count - 1);
    return count;
}

/* The same for a number that is a decimal of few places, such as 3.14: no other decimal of at most 15 digits
 * is nearer to v than the one with the fewest places that reads back. 0 when it is not such a number. */
static int decimal_digits(double v, char *digits, int *ret_exponent)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};
    for (int places = 1; places < (int)ARRAY_LEN(tens); places++) {
        double scaled = v * tens[places];
        if (scaled > 1e15 || v < 1e-5) return 0;
        int64_t n = (int64_t)(scaled + 0.5);
        if ((double)n / tens[places] != v) continue;
        *ret_exponent = -places;
        return (int)num_format_i64(digits, n);
    }
    return 0;
}

/* Plain where that is short, else d.ddde+x; the bounds are those of the printer that Redis uses. */
static size_t place_point(char *out, const char *digits, int count, int k)
{
    int exponent = abs(k + count - 1);
    char *p = out;
    if (k >= 0 && exponent < count + 7) {
        memcpy(p, digits, (size_t)count);
        memset(p + count, '0', (size_t)k);
        return (size_t)(count + k);
    }
    if (k < 0 && (k > -7 || exponent < 4)) {
        int whole = count + k;
        if (whole <= 0) {
            *p++ = '0';
            *p++ = '.';
            memset(p, '0', (size_t)-whole);
            p += -whole;
            memcpy(p, digits, (size_t)count);
            return (size_t)(p + count - out);
        }
        memcpy(p, digits, (size_t)whole);
        p[whole] = '.';
        memcpy(p + whole + 1, digits + whole, (size_t)(count - whole));
        return (size_t)count + 1;
    }
    *p++ = digits[0];
    if (count > 1) {
        *p++ = '.';
        memcpy(p, digits + 1, (size_t)count - 1);
        p += count - 1;
    }
    *p++ = 'e';
    *p++ = k + count - 1 < 0 ? '-' : '+';
    return (size_t)(p - out) + num_format_u64(p, (uint64_t)exponent);
}

static size_t put(char *out, const char *text)
{
    size_t n = strlen(text);
    memcpy(out, text, n);
    return n;
}

size_t format_double(char *out, double v)
{
    if (isnan(v)) return put(out, "nan");
    if (isinf(v)) return put(out, v < 0 ? "-inf" : "inf");
    if (v == 0) return put(out, signbit(v) ? "-0" : "0");
    if (fabs(v) <= (double)(INT64_MAX / 2) && v == (double)(int64_t)v) return num_format_i64(out, (int64_t)v);
    char digits[40];
    int k, negative = v < 0;
    if (negative) out[0] = '-';
    int count = decimal_digits(fabs(v), digits, &k);
    if (count == 0) count = shortest_digits(fabs(v), digits, &k);
    return (size_t)negative + place_point(out + negative, digits, count, k);
}

/* ---- text to numbers ------------------------------------------------------------------------------------------------- */

#define EXACT_MAX ((uint64_t)1 << 53)

/* Decimals without an exponent whose digits fit in a double are exact as integer over a power of ten. */
static bool parse_short_decimal(bytes_t text, double *ret)
{
    static const double tens[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    size_t i = 0, digits = 0, decimals = 0;
    bool negative = text.len && text.ptr[0] == '-', point = false;
    uint64_t v = 0;
    if (text.len > 17) return false;
    for (i = negative; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit <= 9) {
            v = v * 10 + digit;
            digits++;
            decimals += point;
        } else if (text.ptr[i] == '.' && !point) {
            point = true;
        } else {
            return false;
        }
    }
    if (digits == 0 || v > EXACT_MAX || decimals >= ARRAY_LEN(tens) || (negative && v == 0)) return false;
    double d = (double)v / tens[decimals];
    *ret = negative ? -d : d;
    return true;
}

bool parse_double(bytes_t text, double *ret)
{
    if (parse_short_decimal(text, ret)) return true;
    char copy[NUMBER_TEXT_MAX], *end;
    if (text.len == 0 || text.len >= sizeof(copy) || isspace(text.ptr[0])) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    double v = strtod(copy, &end);
    if (end != copy + text.len || isnan(v)) return false;
    if (errno == ERANGE && (v == HUGE_VAL || v == -HUGE_VAL || fpclassify(v) == FP_ZERO)) return false;
    *ret = v;
    return true;
}

bool parse_long_double(bytes_t text, long double *ret)
{
    char copy[LONG_DOUBLE_CHARS_MAX], *end;
    if (text.len == 0 || text.len >= sizeof(copy) || isspace(text.ptr[0])) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    errno = 0;
    long double v = strtold(copy, &end);
    bool overflow = errno == ERANGE && (isinf(v) || v == 0);
    if (end != copy + text.len || overflow || isnan(v)) return false;
    *ret = v;
    return true;
}

size_t format_long_double(char out[LONG_DOUBLE_CHARS_MAX], long double v)
{
    size_t len = (size_t)snprintf(out, LONG_DOUBLE_CHARS_MAX, "%.17Lf", v);
    while (out[len - 1] == '0') len--;
    if (out[len - 1] == '.') len--;
    if (len != 2 || memcmp(out, "-0", 2) != 0) return len;
    out[0] = '0';
    return 1;
}

#define DEGREES_DECIMALS 17
#define DEGREES_SCALE    100000000000000000u /* ten to that */

/* The double is a whole number over a power of two, so that 128 bits hold it times ten to the 17th and round it exactly. */
static uint64_t scaled_degrees(double v)
{
    int exponent;
    uint64_t mantissa = (uint64_t)ldexp(frexp(v, &exponent), 53);
    int shift = 53 - exponent;
    if (shift > 120) return 0;
    unsigned __int128 product = (unsigned __int128)mantissa * DEGREES_SCALE, half = (unsigned __int128)1 << (shift - 1);
    unsigned __int128 quotient = product >> shift, rest = product - (quotient << shift);
    return (uint64_t)quotient + (rest > half || (rest == half && quotient & 1));
}

size_t format_degrees(char out[DEGREES_CHARS_MAX], double v)
{
    ASSERT(fabs(v) <= 180);
    uint64_t scaled = scaled_degrees(fabs(v)), whole = scaled / DEGREES_SCALE, decimals = scaled % DEGREES_SCALE;
    size_t len = 0;
    if (v < 0 && scaled) out[len++] = '-';
    len += num_format_u64(out + len, whole);
    if (decimals == 0) return len;
    out[len] = '.';
    for (size_t i = len + DEGREES_DECIMALS; i > len; i--, decimals /= 10) out[i] = (char)('0' + decimals % 10);
    len += DEGREES_DECIMALS + 1;
    while (out[len - 1] == '0') len--;
    return len;
}
