/* cgroup_regex.c: see cgroup_regex.h. */
#include "kafka/groups/cgroup_regex.h"

#include <regex.h>
#include <stdio.h>

#define NAME_BYTES_MAX 249 /* of a topic */

struct cgroup_regex {
    regex_t compiled;
};

/* What the library would take but read otherwise than RE2 (escaped letters and digits, lazy quantifiers,
 * flags), or what lets a short expression grow without bound (counted repetition). */
static bool is_common(bytes_t pattern)
{
    for (size_t i = 0; i < pattern.len; i++) {
        uint8_t c = pattern.ptr[i], next = i + 1 < pattern.len ? pattern.ptr[i + 1] : '\0';
        bool quantifier = c == '*' || c == '+' || c == '?';
        if (c == '\0' || c == '{' || (c == '(' && next == '?') || (quantifier && (next == '?' || next == '+')))
            return false;
        if (c == '\\') {
            bool letter = (next >= '0' && next <= '9') || (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z');
            if (letter || next == '\0' || next == '<' || next == '>' || next == '`' || next == '\'') return false;
            i++;
        }
    }
    return true;
}

int cgroup_regex_new(bytes_t pattern, cgroup_regex_t **ret_regex)
{
    char text[CGROUP_REGEX_BYTES_MAX + 8];
    if (pattern.len > CGROUP_REGEX_BYTES_MAX || !is_common(pattern)) return ERR_INVALID;
    snprintf(text, sizeof(text), "^(%.*s)$", (int)pattern.len, (const char *)pattern.ptr);
    cgroup_regex_t *regex = mem_alloc(sizeof(*regex));
    if (regcomp(&regex->compiled, text, REG_EXTENDED | REG_NOSUB) != 0) {
        mem_free(regex);
        return ERR_INVALID;
    }
    *ret_regex = regex;
    return 0;
}

void cgroup_regex_free(cgroup_regex_t *regex)
{
    if (!regex) return;
    regfree(&regex->compiled);
    mem_free(regex);
}

bool cgroup_regex_matches(const cgroup_regex_t *regex, bytes_t name)
{
    char text[NAME_BYTES_MAX + 1];
    if (name.len > NAME_BYTES_MAX) return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return regexec(&regex->compiled, text, 0, NULL, 0) == 0;
}
