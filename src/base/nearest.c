/* nearest.c: see nearest.h. The distance is the number of letters to change, add, drop or swap with their neighbour
 * (optimal string alignment), whatever their case. */
#include "base/nearest.h"

#include <ctype.h>
#include <stdio.h>

nearest_t nearest_to(const char *wanted) { return (nearest_t){.wanted = wanted, .distance = SIZE_MAX}; }

static bool same(char a, char b) { return tolower((unsigned char)a) == tolower((unsigned char)b); }

/* Three rows of the matrix are enough: row i needs the two before it. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][NEAREST_CHARS_MAX + 1];
    for (size_t j = 0; j <= b_len; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *higher = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            row[j] = MIN(MIN(above[j], row[j - 1]) + 1, above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = MIN(row[j], higher[j - 2] + 1);
        }
    }
    return rows[a_len % 3][b_len];
}

void nearest_offer(nearest_t *nearest, const char *name)
{
    size_t wanted_len = strlen(nearest->wanted), len = strlen(name);
    if (wanted_len > NEAREST_CHARS_MAX || len > NEAREST_CHARS_MAX) return;
    size_t away = distance(nearest->wanted, wanted_len, name, len);
    if (away >= nearest->distance || away > MAX(1, wanted_len / 3)) return;
    nearest->name = name;
    nearest->distance = away;
}

const char *nearest_hint(const nearest_t *nearest, char *out, size_t out_bytes)
{
    out[0] = '\0';
    if (nearest->name) snprintf(out, out_bytes, " (did you mean '%s'?)", nearest->name);
    return out;
}
