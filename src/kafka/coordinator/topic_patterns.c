/* topic_patterns.c: see topic_patterns.h. */
#include "kafka/coordinator/topic_patterns.h"

struct topic_patterns {
    const topic_patterns_host_t *host;
    void *user;
    map_t by_text; /* -> topic_pattern_t */
    size_t memory_bytes;
    list_t scanning;
    /* While any is being scanned: the topics that there were when the first of them came, and those that came since. */
    bytes_t *names;
    size_t names_count, names_cap;
};

topic_patterns_t *topic_patterns_new(const topic_patterns_host_t *host, void *user)
{
    topic_patterns_t *patterns = mem_zalloc(sizeof(*patterns));
    patterns->host = host;
    patterns->user = user;
    list_init(&patterns->scanning);
    return patterns;
}

static void forget_names(topic_patterns_t *patterns)
{
    for (size_t i = 0; i < patterns->names_count; i++) mem_free((void *)patterns->names[i].ptr);
    mem_free(patterns->names);
    patterns->names = NULL;
    patterns->names_count = patterns->names_cap = 0;
}

void topic_patterns_free(topic_patterns_t *patterns)
{
    ASSERT(patterns->by_text.count == 0);
    map_deinit(&patterns->by_text);
    forget_names(patterns);
    mem_free(patterns);
}

/* ---- scanning --------------------------------------------------------------------------------------- */

static void add_name(void *arg, bytes_t name)
{
    topic_patterns_t *patterns = arg;
    if (patterns->names_count == patterns->names_cap) {
        patterns->names_cap = patterns->names_cap ? patterns->names_cap * 2 : 64;
        patterns->names = mem_realloc(patterns->names, sizeof(bytes_t) * patterns->names_cap);
    }
    patterns->names[patterns->names_count++] = bytes_of(mem_strndup(name), name.len);
}

static bool match(topic_pattern_t *pattern, bytes_t topic)
{
    if (!pattern_matches(pattern->compiled, (const char *)topic.ptr, topic.len)) return false;
    map_put(&pattern->topics, topic, pattern);
    return true;
}

bool topic_patterns_scan(topic_patterns_t *patterns)
{
    topic_pattern_t *pattern = LIST_FIRST(&patterns->scanning, topic_pattern_t, node);
    if (!pattern) return false;
    size_t end = MIN(pattern->next + TOPIC_PATTERNS_SCAN_COUNT, patterns->names_count);
    for (; pattern->next < end; pattern->next++) {
        bytes_t name = patterns->names[pattern->next];
        if (patterns->host->topic_exists(patterns->user, name)) match(pattern, name);
    }
    if (pattern->next == patterns->names_count) list_remove(&pattern->node);
    if (!list_empty(&patterns->scanning)) return true;
    forget_names(patterns);
    return false;
}

static void begin_scan(topic_pattern_t *pattern)
{
    topic_patterns_t *patterns = pattern->patterns;
    bool first = list_empty(&patterns->scanning);
    if (first) patterns->host->each_topic(patterns->user, add_name, patterns);
    list_push_back(&patterns->scanning, &pattern->node);
    if (!first || topic_patterns_scan(patterns)) patterns->host->scan_wanted(patterns->user);
}

/* Also among the names that are being scanned: a pattern that comes while another is scanned gets the same names. */
void topic_patterns_created(topic_patterns_t *patterns, bytes_t topic)
{
    if (!list_empty(&patterns->scanning)) add_name(patterns, topic);
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&patterns->by_text, &cursor));) match(e->value, topic);
}

void topic_patterns_deleted(topic_patterns_t *patterns, bytes_t topic)
{
    size_t cursor = 0;
    for (map_entry_t *e; (e = map_next(&patterns->by_text, &cursor));)
        map_remove(&((topic_pattern_t *)e->value)->topics, topic);
}

/* ---- patterns --------------------------------------------------------------------------------------- */

static topic_pattern_t *pattern_of(topic_patterns_t *patterns, bytes_t text, pattern_t *compiled)
{
    topic_pattern_t *pattern = mem_zalloc(sizeof(*pattern));
    pattern->patterns = patterns;
    pattern->text = bytes_of(mem_strndup(text), text.len);
    pattern->compiled = compiled;
    pattern->refs = 1;
    list_init(&pattern->node);
    map_put(&patterns->by_text, pattern->text, pattern);
    patterns->memory_bytes += pattern_memory_bytes(compiled);
    return pattern;
}

int topic_pattern_take(topic_patterns_t *patterns, bytes_t text, topic_pattern_t **ret_pattern,
                       char ret_problem[PATTERN_PROBLEM_BYTES])
{
    topic_pattern_t *pattern = map_get(&patterns->by_text, text);
    if (pattern) {
        topic_pattern_ref(pattern);
        *ret_pattern = pattern;
        return 0;
    }
    pattern_t *compiled = pattern_new((const char *)text.ptr, text.len, ret_problem);
    if (!compiled) return ERR_INVALID;
    if (patterns->memory_bytes + pattern_memory_bytes(compiled) > TOPIC_PATTERNS_MEMORY_BYTES) {
        pattern_free(compiled);
        return ERR_LIMIT;
    }
    *ret_pattern = pattern_of(patterns, text, compiled);
    begin_scan(*ret_pattern);
    return 0;
}

void topic_pattern_ref(topic_pattern_t *pattern) { pattern->refs++; }

void topic_pattern_unref(topic_pattern_t *pattern)
{
    if (--pattern->refs > 0) return;
    topic_patterns_t *patterns = pattern->patterns;
    list_remove(&pattern->node);
    if (list_empty(&patterns->scanning)) forget_names(patterns);
    map_remove(&patterns->by_text, pattern->text);
    patterns->memory_bytes -= pattern_memory_bytes(pattern->compiled);
    pattern_free(pattern->compiled);
    map_deinit(&pattern->topics);
    mem_free((void *)pattern->text.ptr);
    mem_free(pattern);
}

bool topic_pattern_matches(const topic_pattern_t *pattern, bytes_t topic) { return map_get(&pattern->topics, topic); }
