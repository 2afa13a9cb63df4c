/* glob.c: Redis's pattern language: * ? [abc] [^a] [a-z] \x. Linear in practice: after a '*' only the last
 * one is retried. */
#include "redis/glob.h"

#include <ctype.h>

#define STARS_MAX 1000 /* the original's bound on nesting: a pattern with more matches nothing */

static bool too_many_stars(bytes_t p)
{
    size_t stars = 0;
    for (size_t i = 0; i < p.len; i++) stars += p.ptr[i] == '*';
    return stars > STARS_MAX;
}

static uint8_t fold(uint8_t c, bool nocase) { return nocase ? (uint8_t)tolower(c) : c; }

/* Matches `c` against the class at p[i] (behind '['); returns the position behind it and the verdict. */
static size_t match_class(bytes_t p, size_t i, uint8_t c, bool nocase, bool *ret_match)
{
    bool negated = i < p.len && p.ptr[i] == '^', match = false;
    if (negated) i++;
    for (;; i++) {
        if (i >= p.len) break;
        if (p.ptr[i] == '\\' && i + 1 < p.len) {
            i++;
            if (fold(p.ptr[i], nocase) == fold(c, nocase)) match = true;
        } else if (p.ptr[i] == ']') {
            i++;
            break;
        } else if (i + 2 < p.len && p.ptr[i + 1] == '-') {
            uint8_t low = fold(p.ptr[i], nocase), high = fold(p.ptr[i + 2], nocase), at = fold(c, nocase);
            if (low > high) {
                uint8_t swap = low;
                low = high;
                high = swap;
            }
            if (at >= low && at <= high) match = true;
            i += 2;
        } else if (fold(p.ptr[i], nocase) == fold(c, nocase)) {
            match = true;
        }
    }
    *ret_match = match != negated;
    return i;
}

/* One pattern element other than '*' against one byte. */
static size_t match_one(bytes_t p, size_t i, uint8_t c, bool nocase, bool *ret_match)
{
    switch (p.ptr[i]) {
    case '?': *ret_match = true; return i + 1;
    case '[': return match_class(p, i + 1, c, nocase, ret_match);
    case '\\':
        if (i + 1 < p.len) i++;
        break;
    }
    *ret_match = fold(p.ptr[i], nocase) == fold(c, nocase);
    return i + 1;
}

bool glob_match(bytes_t p, bytes_t t, bool nocase)
{
    if (UNLIKELY(p.len > STARS_MAX) && too_many_stars(p)) return false;
    size_t i = 0, k = 0, star = SIZE_MAX, star_text = 0;
    while (k < t.len) {
        if (i < p.len && p.ptr[i] == '*') {
            star = ++i;
            star_text = k;
            continue;
        }
        bool match = false;
        size_t next = i < p.len ? match_one(p, i, t.ptr[k], nocase, &match) : i;
        if (match) {
            i = next;
            k++;
        } else if (star != SIZE_MAX) {
            i = star;
            k = ++star_text;
        } else {
            return false;
        }
    }
    while (i < p.len && p.ptr[i] == '*') i++;
    return i == p.len;
}
