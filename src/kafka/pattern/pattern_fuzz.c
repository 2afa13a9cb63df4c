/* pattern_fuzz.c: hostile patterns: a text, a zero byte, and a name that it is matched against. One that is refused says why; one
 * that is taken keeps to its memory, and gives the same answer twice. */
#include "kafka/pattern/pattern.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char problem[PATTERN_PROBLEM_BYTES] = "";
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t text_bytes = zero ? (size_t)(zero - data) : size;
    const char *text = (const char *)data, *name = text + text_bytes + (zero != NULL);
    size_t name_bytes = size - text_bytes - (zero != NULL);
    pattern_t *pattern = pattern_new(text, text_bytes, problem);
    if (!pattern) {
        assert(problem[0] && memchr(problem, 0, sizeof(problem)));
        return 0;
    }
    assert(text_bytes <= PATTERN_TEXT_BYTES_MAX && pattern_memory_bytes(pattern) <= PATTERN_MEMORY_BYTES_MAX);
    assert(pattern_matches(pattern, name, name_bytes) == pattern_matches(pattern, name, name_bytes));
    pattern_free(pattern);
    return 0;
}
