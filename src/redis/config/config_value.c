/* config_value.c: a directive's value, from text into its field and back. */
#include "redis/config/config_table.h"

#include "base/buf.h"
#include "base/num.h"
#include "redis/config/notify_classes.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

bytes_t directive_take_word(bytes_t *rest)
{
    while (rest->len && rest->ptr[0] == ' ') *rest = bytes_of(rest->ptr + 1, rest->len - 1);
    const uint8_t *end = rest->len ? memchr(rest->ptr, ' ', rest->len) : NULL;
    bytes_t word = bytes_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = bytes_of(rest->ptr + word.len, rest->len - word.len);
    return word;
}

static int refuse(char *why, size_t why_bytes, const char *text)
{
    snprintf(why, why_bytes, "%s", text);
    return ERR_INVALID;
}

static int check_bounds(const directive_t *d, int64_t v, char *why, size_t why_bytes)
{
    if (v >= d->min && v <= d->max) return 0;
    if (d->kind == KIND_OCTAL)
        snprintf(why, why_bytes, "argument must be between %" PRIo64 " and %" PRIo64 " inclusive", d->min, d->max);
    else
        snprintf(why, why_bytes, "argument must be between %" PRId64 " and %" PRId64 " inclusive", d->min, d->max);
    return ERR_INVALID;
}

static const directive_word_t *word_of(const directive_t *d, bytes_t text)
{
    for (const directive_word_t *w = d->words; w->name; w++)
        if (bytes_eq_nocase(bytes_str(w->name), text)) return w;
    return NULL;
}

static int refuse_word(const directive_t *d, char *why, size_t why_bytes)
{
    size_t n = (size_t)snprintf(why, why_bytes, "argument(s) must be one of the following: ");
    for (const directive_word_t *w = d->words; w->name && n < why_bytes; w++)
        n += (size_t)snprintf(why + n, why_bytes - n, "%s%s", w == d->words ? "" : ", ", w->name);
    return ERR_INVALID;
}

static int set_flags(int *field, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    int all = 0;
    bytes_t rest = bytes_str(value), word = directive_take_word(&rest);
    do {
        const directive_word_t *w = word_of(d, word);
        if (!w) return refuse_word(d, why, why_bytes);
        all |= w->value;
    } while ((word = directive_take_word(&rest)).len);
    *field = all;
    return 0;
}

static int set_enum(int *field, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    const directive_word_t *w = word_of(d, bytes_str(value));
    if (!w) return refuse_word(d, why, why_bytes);
    *field = w->value;
    return 0;
}

/* "7%" is -7. */
static bool parse_percent(const char *value, int64_t *ret)
{
    size_t n = strlen(value);
    if (n < 2 || value[n - 1] != '%' || !num_parse_i64(bytes_of(value, n - 1), ret) || *ret < 0) return false;
    *ret = -*ret;
    return true;
}

static int set_memory_or_percent(int64_t *field, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    int64_t v = 0;
    uint64_t bytes = 0;
    if (*value && num_parse_memory(bytes_str(value), &bytes) && bytes <= INT64_MAX)
        v = (int64_t)bytes;
    else if (*value && !parse_percent(value, &v))
        return refuse(why, why_bytes, "argument must be a memory or percent value");
    if (v < d->min) {
        snprintf(why, why_bytes, "percentage argument must be less or equal to %" PRId64, -d->min);
        return ERR_INVALID;
    }
    *field = v;
    return 0;
}

static int set_number(void *field, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    int64_t v;
    uint64_t bytes;
    if (d->kind == KIND_MEMORY) {
        bytes = 0;
        if (*value && (!num_parse_memory(bytes_str(value), &bytes) || bytes > INT64_MAX))
            return refuse(why, why_bytes, "argument must be a memory value");
        v = (int64_t)bytes;
    } else if (d->kind == KIND_OCTAL) {
        char *end;
        v = strtoll(value, &end, 8);
        if (end == value || *end) return refuse(why, why_bytes, "argument couldn't be parsed as an octal number");
    } else if (!num_parse_i64(bytes_str(value), &v)) {
        return refuse(why, why_bytes, "argument couldn't be parsed into an integer");
    }
    int err = check_bounds(d, v, why, why_bytes);
    if (!err) memcpy(field, &v, sizeof(v));
    return err;
}

static int set_events(uint32_t *field, const char *value, char *why, size_t why_bytes)
{
    bool ok = true;
    uint32_t events = notify_classes__parse(value, &ok);
    if (!ok) return refuse(why, why_bytes, "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
    *field = events;
    return 0;
}

static int set_string(char **field, const char *value)
{
    mem_free(*field);
    *field = mem_strdup(strcmp(value, "\"\"") == 0 ? "" : value);
    return 0;
}

static int set_bool(bool *field, const char *value, char *why, size_t why_bytes)
{
    bool yes = strcasecmp(value, "yes") == 0;
    if (!yes && strcasecmp(value, "no") != 0) return refuse(why, why_bytes, "argument must be 'yes' or 'no'");
    *field = yes;
    return 0;
}

static int set_text(redis_config_t *config, const directive_t *d, const char *value, char *why, size_t why_bytes)
{
    void *field = directive_field(config, d);
    const char *wrong = d->check ? d->check(value) : NULL;
    if (wrong) return refuse(why, why_bytes, wrong);
    switch (d->kind) {
    case KIND_OUT_LIMITS: return out_limits_set(field, value, why, why_bytes);
    case KIND_SAVE_POINTS: return save_points_set(field, value, why, why_bytes);
    case KIND_PERCENTILES: return percentiles_set(field, value, why, why_bytes);
    case KIND_BOOL: return set_bool(field, value, why, why_bytes);
    case KIND_ENUM: return set_enum(field, d, value, why, why_bytes);
    case KIND_FLAGS: return set_flags(field, d, value, why, why_bytes);
    case KIND_EVENTS: return set_events(field, value, why, why_bytes);
    case KIND_STRING: return set_string(field, value);
    case KIND_MEMORY_OR_PERCENT: return set_memory_or_percent(field, d, value, why, why_bytes);
    default: return set_number(field, d, value, why, why_bytes);
    }
}

/* The value is set already. */
static int check_initial(redis_config_t *config, const directive_t *d, char *why, size_t why_bytes)
{
    buf_t shown = BUF_INIT;
    char unused[128];
    directive_get(config, d, &shown);
    bool same = bytes_eq_nocase(buf_bytes(&shown), bytes_str(d->initial));
    buf_deinit(&shown);
    if (same) return 0;
    int err = set_text(config, d, d->initial, unused, sizeof(unused));
    ASSERT(!err);
    if (d->flags & DIRECTIVE_AS_SAID) return refuse(why, why_bytes, d->why);
    snprintf(why, why_bytes, "%s: only \"%s\" fits", d->why, d->initial);
    return ERR_INVALID;
}

static void replace_bytes(bytes_t *field, bytes_t value)
{
    mem_free((void *)field->ptr);
    *field = bytes_of(mem_strndup(value), value.len);
}

int directive_set(redis_config_t *config, const directive_t *d, bytes_t value, char *why, size_t why_bytes)
{
    if (d->kind == KIND_BYTES) {
        replace_bytes(directive_field(config, d), value);
        return 0;
    }
    if (value.len && memchr(value.ptr, '\0', value.len))
        return refuse(why, why_bytes, "argument must not hold a NUL byte");
    char *text = mem_strndup(value);
    int err = set_text(config, d, text, why, why_bytes);
    if (!err && d->flags & DIRECTIVE_INITIAL_ONLY) err = check_initial(config, d, why, why_bytes);
    mem_free(text);
    return err;
}

static void get_flags(int all, const directive_t *d, buf_t *out)
{
    bool any = false;
    for (const directive_word_t *w = d->words; w->name; w++) {
        if (w->value ? !(all & w->value) : all != 0) continue;
        buf_printf(out, "%s%s", any ? " " : "", w->name);
        any = true;
    }
}

static void get_enum(int value, const directive_t *d, buf_t *out)
{
    for (const directive_word_t *w = d->words; w->name; w++) {
        if (w->value != value) continue;
        buf_printf(out, "%s", w->name);
        return;
    }
}

static void get_events(uint32_t events, buf_t *out)
{
    char text[64] = "";
    notify_classes__format(events, text);
    buf_printf(out, "%s", text);
}

static void get_memory_or_percent(int64_t value, buf_t *out)
{
    buf_printf(out, "%" PRId64 "%s", value < 0 ? -value : value, value < 0 ? "%" : "");
}

void directive_get(const redis_config_t *config, const directive_t *d, buf_t *out)
{
    const void *field = directive_field((redis_config_t *)config, d);
    switch (d->kind) {
    case KIND_OUT_LIMITS: out_limits_get(field, out); return;
    case KIND_SAVE_POINTS: save_points_get(field, out); return;
    case KIND_PERCENTILES: percentiles_get(field, out); return;
    case KIND_BOOL: buf_printf(out, "%s", *(const bool *)field ? "yes" : "no"); return;
    case KIND_STRING: buf_printf(out, "%s", *(char *const *)field ? *(char *const *)field : ""); return;
    case KIND_BYTES: buf_append(out, ((const bytes_t *)field)->ptr, ((const bytes_t *)field)->len); return;
    case KIND_EVENTS: get_events(*(const uint32_t *)field, out); return;
    case KIND_ENUM: get_enum(*(const int *)field, d, out); return;
    case KIND_FLAGS: get_flags(*(const int *)field, d, out); return;
    case KIND_MEMORY_OR_PERCENT: get_memory_or_percent(*(const int64_t *)field, out); return;
    case KIND_OCTAL: buf_printf(out, "%" PRIo64, *(const int64_t *)field); return;
    default: buf_printf(out, "%" PRId64, *(const int64_t *)field); return;
    }
}
