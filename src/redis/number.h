/* number.h: numbers with a fraction, as Redis reads and writes them. */
#ifndef TRIVET_REDIS_NUMBER_H
#define TRIVET_REDIS_NUMBER_H

#include "base/base.h"

bool parse_double(bytes_t text, double *ret); /* strict: whole text, no NaN */
/* Writes the text Redis gives the number in replies (shortest that reads back); returns the length, at most
 * DOUBLE_CHARS_MAX. */
#define DOUBLE_CHARS_MAX 40
size_t format_double(char *out, double v);
/* The numbers of INCRBYFLOAT and HINCRBYFLOAT: strict as parse_double; seventeen decimals at most, without
 * trailing zeros (what people expect of 10.5 + 0.1). */
#define LONG_DOUBLE_CHARS_MAX 5120
bool parse_long_double(bytes_t text, long double *ret);
size_t format_long_double(char out[LONG_DOUBLE_CHARS_MAX], long double v);
/* Degrees, within 180 on either side: seventeen decimals, without trailing zeros. */
#define DEGREES_CHARS_MAX 24
size_t format_degrees(char out[DEGREES_CHARS_MAX], double v);

#endif
