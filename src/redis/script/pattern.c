/* pattern.c: see pattern.h. Backtracking, as the language defines it: a pattern may need more steps than anybody waits for, so
 * steps are counted and the host is asked; and nesting is bounded, since each repeated item of a pattern is a frame here. */
#include "redis/script/pattern.h"

#include "redis/script/script_internal.h"

#include <ctype.h>

#define DEPTH_MAX 5000 /* frames of match(), some 100 bytes each */

static const char *match(matcher_t *m, const char *s, const char *p);

static int byte_of(const char *p) { return (unsigned char)*p; }

void pattern_init(matcher_t *m, lua_State *lua, const char *subject, size_t len)
{
    m->lua = lua;
    m->start = subject;
    m->end = subject + len;
    m->depth = m->level = 0;
}

/* ---- single characters ----------------------------------------------------------------------------------------------- */

static const char *set_end(matcher_t *m, const char *p)
{
    if (*p == '^') p++;
    do { /* a ']' in the first place is a member */
        if (*p == '\0') luaL_error(m->lua, "malformed pattern (missing " LUA_QL("]") ")");
        if (*p++ == '%' && *p != '\0') p++;
    } while (*p != ']');
    return p + 1;
}

/* Behind the item at p: a character, a class or a set. */
static const char *item_end(matcher_t *m, const char *p)
{
    if (*p == '[') return set_end(m, p + 1);
    if (*p != '%') return p + 1;
    if (p[1] == '\0') luaL_error(m->lua, "malformed pattern (ends with " LUA_QL("%%") ")");
    return p + 2;
}

static bool is_in_class(int c, int class)
{
    bool in;
    switch (tolower(class)) {
    case 'a': in = isalpha(c); break;
    case 'c': in = iscntrl(c); break;
    case 'd': in = isdigit(c); break;
    case 'l': in = islower(c); break;
    case 'p': in = ispunct(c); break;
    case 's': in = isspace(c); break;
    case 'u': in = isupper(c); break;
    case 'w': in = isalnum(c); break;
    case 'x': in = isxdigit(c); break;
    case 'z': in = c == 0; break;
    default: return class == c;
    }
    return isupper(class) ? !in : in;
}

/* p is at the '[', last at the ']'. */
static bool is_in_set(int c, const char *p, const char *last)
{
    bool negated = p[1] == '^';
    if (negated) p++;
    while (++p < last) {
        if (*p == '%') {
            p++;
            if (is_in_class(c, byte_of(p))) return !negated;
        } else if (p[1] == '-' && p + 2 < last) {
            p += 2;
            if (byte_of(p - 2) <= c && c <= byte_of(p)) return !negated;
        } else if (byte_of(p) == c) {
            return !negated;
        }
    }
    return negated;
}

static bool is_single_match(matcher_t *m, const char *s, const char *p, const char *end)
{
    if (s >= m->end) return false;
    script__work(m->lua, (size_t)(end - p));
    switch (*p) {
    case '.': return true;
    case '%': return is_in_class(byte_of(s), byte_of(p + 1));
    case '[': return is_in_set(byte_of(s), p, end - 1);
    default: return *p == *s;
    }
}

/* ---- items ----------------------------------------------------------------------------------------------------------- */

/* %bxy: p is behind the b. */
static const char *match_balanced(matcher_t *m, const char *s, const char *p)
{
    if (p[0] == '\0' || p[1] == '\0') luaL_error(m->lua, "unbalanced pattern");
    if (s >= m->end || *s != p[0]) return NULL;
    const char *first = s;
    for (int open = 1; ++s < m->end;) {
        if (*s == p[1]) {
            if (--open == 0) break;
        } else if (*s == p[0]) {
            open++;
        }
    }
    script__work(m->lua, (size_t)(s - first));
    return s < m->end ? s + 1 : NULL;
}

static const char *match_most(matcher_t *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t count = 0;
    while (is_single_match(m, s + count, p, end)) count++;
    for (; count >= 0; count--) {
        const char *found = match(m, s + count, end + 1);
        if (found) return found;
    }
    return NULL;
}

static const char *match_least(matcher_t *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *found = match(m, s, end + 1);
        if (found) return found;
        if (!is_single_match(m, s, p, end)) return NULL;
    }
}

static const char *open_capture(matcher_t *m, const char *s, const char *p, ptrdiff_t len)
{
    if (m->level >= PATTERN_CAPTURES_MAX) luaL_error(m->lua, "too many captures");
    m->captures[m->level++] = (capture_t){s, len};
    const char *found = match(m, s, p);
    if (!found) m->level--;
    return found;
}

static const char *close_capture(matcher_t *m, const char *s, const char *p)
{
    int i = m->level - 1;
    while (i >= 0 && m->captures[i].len != CAPTURE_UNFINISHED) i--;
    if (i < 0) luaL_error(m->lua, "invalid pattern capture");
    m->captures[i].len = s - m->captures[i].start;
    const char *found = match(m, s, p);
    if (!found) m->captures[i].len = CAPTURE_UNFINISHED;
    return found;
}

/* %1 and so on: where the text of that capture, found again at s, ends. */
static const char *match_capture(matcher_t *m, const char *s, int digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->level || m->captures[i].len == CAPTURE_UNFINISHED) luaL_error(m->lua, "invalid capture index");
    size_t len = (size_t)m->captures[i].len;
    if ((size_t)(m->end - s) < len) return NULL;
    script__work(m->lua, len);
    return memcmp(m->captures[i].start, s, len) == 0 ? s + len : NULL;
}

/* %f[set]: p is at the set. */
static bool is_frontier(matcher_t *m, const char *s, const char *p, const char *end)
{
    int before = s == m->start ? 0 : byte_of(s - 1);
    return !is_in_set(before, p, end - 1) && is_in_set(byte_of(s), p, end - 1);
}

/* ---- patterns -------------------------------------------------------------------------------------------------------- */

/* %b, %f and %1 to %9 at *p, which is moved behind the item: where the match ends, NULL = none. */
static const char *match_special(matcher_t *m, const char *s, const char **p)
{
    const char *at = *p;
    if (at[1] == 'b') {
        s = match_balanced(m, s, at + 2);
        *p = at + 4;
    } else if (at[1] == 'f') {
        if (at[2] != '[') luaL_error(m->lua, "missing " LUA_QL("[") " after " LUA_QL("%%f") " in pattern");
        const char *end = item_end(m, at + 2);
        if (!is_frontier(m, s, at + 2, end)) s = NULL;
        *p = end;
    } else {
        s = match_capture(m, s, byte_of(at + 1));
        *p = at + 2;
    }
    return s;
}

static bool is_special(const char *p) { return *p == '%' && (p[1] == 'b' || p[1] == 'f' || isdigit(byte_of(p + 1))); }

static const char *match_optional(matcher_t *m, const char *s, const char *p, const char *end)
{
    const char *found = is_single_match(m, s, p, end) ? match(m, s + 1, end + 1) : NULL;
    return found ? found : match(m, s, end + 1);
}

/* Goes past the items that match in one way only; the others try what is behind them in a frame of their own. */
static const char *match_here(matcher_t *m, const char *s, const char *p)
{
    while (s && *p) {
        script__work(m->lua, 1);
        if (*p == '(')
            return p[1] == ')' ? open_capture(m, s, p + 2, CAPTURE_POSITION)
                               : open_capture(m, s, p + 1, CAPTURE_UNFINISHED);
        if (*p == ')') return close_capture(m, s, p + 1);
        if (*p == '$' && p[1] == '\0') return s == m->end ? s : NULL;
        if (is_special(p)) {
            s = match_special(m, s, &p);
            continue;
        }
        const char *end = item_end(m, p);
        switch (*end) {
        case '?': return match_optional(m, s, p, end);
        case '*': return match_most(m, s, p, end);
        case '+': return is_single_match(m, s, p, end) ? match_most(m, s + 1, p, end) : NULL;
        case '-': return match_least(m, s, p, end);
        default: break;
        }
        if (!is_single_match(m, s, p, end)) return NULL;
        s++;
        p = end;
    }
    return s;
}

static const char *match(matcher_t *m, const char *s, const char *p)
{
    if (m->depth >= DEPTH_MAX) luaL_error(m->lua, "pattern too complex");
    m->depth++;
    const char *found = match_here(m, s, p);
    m->depth--;
    return found;
}

const char *pattern_match(matcher_t *m, const char *s, const char *p)
{
    m->depth = m->level = 0;
    return match(m, s, p);
}

void pattern_push_capture(matcher_t *m, int i, const char *s, const char *e)
{
    if (i >= m->level) {
        if (i != 0) luaL_error(m->lua, "invalid capture index");
        lua_pushlstring(m->lua, s, (size_t)(e - s));
        return;
    }
    const capture_t *c = &m->captures[i];
    if (c->len == CAPTURE_UNFINISHED) luaL_error(m->lua, "unfinished capture");
    if (c->len == CAPTURE_POSITION)
        lua_pushinteger(m->lua, c->start - m->start + 1);
    else
        lua_pushlstring(m->lua, c->start, (size_t)c->len);
}

int pattern_push_captures(matcher_t *m, const char *s, const char *e)
{
    int count = m->level == 0 && s ? 1 : m->level;
    luaL_checkstack(m->lua, count, "too many captures");
    for (int i = 0; i < count; i++) pattern_push_capture(m, i, s, e);
    return count;
}
