/* path.c: see path.h. Called for every create, set and check; plain ASCII takes the fast loop. */
#include "coord/tree/path.h"

/* Decodes one UTF-8 sequence at `p`; returns its length, or 1 with U+FFFD for a malformed one, as Java's decoder does. */
static size_t decode_utf8(const uint8_t *p, const uint8_t *end, uint32_t *ret_point)
{
    size_t left = (size_t)(end - p);
    *ret_point = 0xfffd;
    if (p[0] >= 0xc2 && p[0] < 0xe0 && left >= 2 && (p[1] & 0xc0) == 0x80) {
        *ret_point = ((uint32_t)(p[0] & 0x1f) << 6) | (p[1] & 0x3f);
        return 2;
    }
    if ((p[0] & 0xf0) == 0xe0 && left >= 3 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
        *ret_point = ((uint32_t)(p[0] & 0xf) << 12) | ((uint32_t)(p[1] & 0x3f) << 6) | (p[2] & 0x3f);
        return 3;
    }
    if (p[0] >= 0xf0 && p[0] < 0xf5 && left >= 4) {
        *ret_point = 0x10000; /* beyond the basic plane: a surrogate pair to Java, which the rule refuses */
        return 4;
    }
    return 1;
}

static bool point_refused(uint32_t c)
{
    return c <= 0x1f || (c >= 0x7f && c <= 0x9f) || (c >= 0xd800 && c <= 0xf8ff) || c >= 0xfff0;
}

/* "." and ".." may not be a whole component. */
static bool component_relative(const uint8_t *start, const uint8_t *end)
{
    size_t len = (size_t)(end - start);
    return (len == 1 && start[0] == '.') || (len == 2 && start[0] == '.' && start[1] == '.');
}

bool path_valid(bytes_t path)
{
    if (path.len == 0 || path.ptr[0] != '/') return false;
    if (path.len == 1) return true;
    const uint8_t *end = path.ptr + path.len, *component = path.ptr + 1;
    if (end[-1] == '/') return false;
    for (const uint8_t *p = component; p < end;) {
        if (*p == '/') {
            if (p == component || component_relative(component, p)) return false;
            component = ++p;
        } else if (*p < 0x80) {
            if (*p <= 0x1f || *p == 0x7f) return false;
            p++;
        } else {
            uint32_t point;
            p += decode_utf8(p, end, &point);
            if (point_refused(point)) return false;
        }
    }
    return !component_relative(component, end);
}

bool path_parent(bytes_t path, bytes_t *ret_parent)
{
    if (path.len == 0 || memchr(path.ptr, '\0', path.len)) return false;
    const uint8_t *slash = memrchr(path.ptr, '/', path.len);
    if (!slash) return false;
    *ret_parent = bytes_of(path.ptr, (size_t)(slash - path.ptr));
    return true;
}

bool path_within(bytes_t path, bytes_t prefix)
{
    if (path_is_root(prefix)) return true;
    return path_starts_with(path, prefix) && (path.len == prefix.len || path.ptr[prefix.len] == '/');
}
