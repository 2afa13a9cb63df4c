/* resp_text.c: see resp_text.h. */
#include "resp_text.h"

#include <stdarg.h>
#include <stdlib.h>

void resp_text_put(buf_t *out, int argc, ...)
{
    va_list args;
    va_start(args, argc);
    buf_printf(out, "*%d\r\n", argc);
    for (int i = 0; i < argc; i++) {
        const char *arg = va_arg(args, const char *);
        buf_printf(out, "$%zu\r\n%s\r\n", strlen(arg), arg);
    }
    va_end(args);
}

size_t resp_text_length(const uint8_t *at, size_t left)
{
    const uint8_t *end = memchr(at, '\n', left);
    if (!end) return 0;
    size_t line = (size_t)(end - at) + 1;
    long n = strtol((const char *)at + 1, NULL, 10);
    if (*at == '$') {
        size_t whole = n < 0 ? line : line + (size_t)n + 2;
        return whole <= left ? whole : 0;
    }
    if (*at != '*') return line;
    size_t used = line;
    for (long i = 0; i < n; i++) {
        size_t one = used < left ? resp_text_length(at + used, left - used) : 0;
        if (one == 0) return 0;
        used += one;
    }
    return used;
}
