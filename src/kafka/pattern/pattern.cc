/* pattern.cc: see pattern.h. No exception leaves it: the library throws none. */
#include "kafka/pattern/pattern.h"

#include <cstdio>
#include <re2/re2.h>

#define INSTRUCTION_BYTES 16

struct pattern {
    RE2 compiled;
    pattern(const re2::StringPiece &text, const RE2::Options &options) : compiled(text, options) {}
};

/* As RE2/J describes it: those words reach the client's log. */
static const char *describe(const RE2 &compiled)
{
    switch (compiled.error_code()) {
    case RE2::ErrorBadEscape: return "invalid escape sequence";
    case RE2::ErrorBadCharClass:
    case RE2::ErrorBadCharRange: return "invalid character class range";
    case RE2::ErrorMissingBracket: return "missing closing ]";
    case RE2::ErrorMissingParen: return "missing closing )";
    case RE2::ErrorUnexpectedParen: return "regexp/syntax: internal error";
    case RE2::ErrorTrailingBackslash: return "trailing backslash at end of expression";
    case RE2::ErrorRepeatArgument: return "missing argument to repetition operator";
    case RE2::ErrorRepeatSize: return "invalid repeat count";
    case RE2::ErrorRepeatOp: return "invalid nested repetition operator";
    case RE2::ErrorBadPerlOp: return "invalid or unsupported Perl syntax";
    case RE2::ErrorBadNamedCapture: return "invalid named capture";
    default: return compiled.error().c_str(); /* too large, or not UTF-8 */
    }
}

extern "C" pattern_t *pattern_new(const char *text, size_t text_bytes, char ret_problem[PATTERN_PROBLEM_BYTES])
{
    if (text_bytes > PATTERN_TEXT_BYTES_MAX) {
        snprintf(ret_problem, PATTERN_PROBLEM_BYTES, "longer than %d bytes", PATTERN_TEXT_BYTES_MAX);
        return nullptr;
    }
    RE2::Options options;
    options.set_log_errors(false);
    options.set_never_capture(true);
    options.set_max_mem(PATTERN_MEMORY_BYTES_MAX);
    pattern_t *pattern = new struct pattern(re2::StringPiece(text, text_bytes), options);
    if (pattern->compiled.ok()) return pattern;
    snprintf(ret_problem, PATTERN_PROBLEM_BYTES, "%s", describe(pattern->compiled));
    delete pattern;
    return nullptr;
}

extern "C" void pattern_free(pattern_t *pattern) { delete pattern; }

extern "C" bool pattern_matches(const pattern_t *pattern, const char *name, size_t name_bytes)
{
    return RE2::FullMatch(re2::StringPiece(name, name_bytes), pattern->compiled);
}

extern "C" size_t pattern_memory_bytes(const pattern_t *pattern)
{
    size_t program = static_cast<size_t>(pattern->compiled.ProgramSize()) * INSTRUCTION_BYTES;
    return program + PATTERN_MEMORY_BYTES_MAX / 3;
}
