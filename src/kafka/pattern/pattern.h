/* pattern.h: patterns of topic names in RE2's language, which is what Kafka's clients send (the original runs RE2/J). This
 * is the C face of the C++ library, and the only place that knows of it: matching takes time linear in the name, whatever
 * the pattern, and a pattern's memory has a bound. See docs/decisions/0065-re2.md. */
#ifndef TRIVET_KAFKA_PATTERN_PATTERN_H
#define TRIVET_KAFKA_PATTERN_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PATTERN_TEXT_BYTES_MAX   4096
#define PATTERN_MEMORY_BYTES_MAX (1024 * 1024) /* compiled, and what matching keeps */
#define PATTERN_PROBLEM_BYTES    96

typedef struct pattern pattern_t;

/* NULL when the text is no such pattern, or one that takes too much memory; `ret_problem` says why in RE2/J's words. */
pattern_t *pattern_new(const char *text, size_t text_bytes, char ret_problem[PATTERN_PROBLEM_BYTES]);
void pattern_free(pattern_t *pattern);
/* The whole name must match. */
bool pattern_matches(const pattern_t *pattern, const char *name, size_t name_bytes);
/* At most: the program, and the states that matching builds from it. */
size_t pattern_memory_bytes(const pattern_t *pattern);

#ifdef __cplusplus
}
#endif

#endif
