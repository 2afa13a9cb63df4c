/* setting.c: see setting.h. Messages are worded as Kafka words them, since tools show them to people. */
#include "kafka/config/setting.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define NUMBER_CHARS_MAX 40

const kafka_setting_def_t *kafka_setting_find(const kafka_setting_def_t *table, size_t count, bytes_t name)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = bytes_cmp(bytes_str(table[middle].name), name);
        if (order == 0) return &table[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bytes_t trim(bytes_t text)
{
    while (text.len && isspace(text.ptr[0])) text = bytes_of(text.ptr + 1, text.len - 1);
    while (text.len && isspace(text.ptr[text.len - 1])) text.len--;
    return text;
}

/* Takes the next piece before `separator` off the front. */
static bytes_t take_word(bytes_t *rest, char separator)
{
    const uint8_t *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    bytes_t word = bytes_of(rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = end ? bytes_of(end + 1, rest->len - word.len - 1) : BYTES_NULL;
    return trim(word);
}

static PRINTF_LIKE(5, 6) int refuse(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes,
                                    const char *fmt, ...)
{
    char why[KAFKA_SETTING_ERROR_BYTES_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    snprintf(err, err_bytes, "Invalid value %.*s for configuration %s: %s", (int)MIN(value.len, (size_t)200),
             value.len ? (const char *)value.ptr : "", def->name, why);
    return ERR_INVALID;
}

static const char *type_name(const kafka_setting_def_t *def)
{
    static const char *const names[] = {"",     "BOOLEAN", "STRING", "INT",   "SHORT",
                                        "LONG", "DOUBLE",  "LIST",   "CLASS", "PASSWORD"};
    return names[def->type];
}

static bool parse_integer(const kafka_setting_def_t *def, bytes_t text, int64_t *ret_v)
{
    char copy[NUMBER_CHARS_MAX];
    if (text.len == 0 || text.len >= sizeof(copy) || isspace(text.ptr[0])) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    char *end;
    errno = 0;
    int64_t v = strtoll(copy, &end, 10);
    if (end != copy + text.len || errno) return false;
    if (def->type == KAFKA_SETTING_INT && (v < INT32_MIN || v > INT32_MAX)) return false;
    if (def->type == KAFKA_SETTING_SHORT && (v < INT16_MIN || v > INT16_MAX)) return false;
    *ret_v = v;
    return true;
}

static bool parse_double(bytes_t text, double *ret_v)
{
    char copy[NUMBER_CHARS_MAX], *end;
    if (text.len == 0 || text.len >= sizeof(copy)) return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    *ret_v = strtod(copy, &end);
    return end == copy + text.len;
}

/* As Java's Double.toString: at least one digit behind the point, E notation from 1e7 on and below 1e-3. */
static void format_double(double v, char *out, size_t bytes)
{
    int digits = 0;
    do snprintf(out, bytes, "%.*e", digits, v);
    while (strtod(out, NULL) != v && digits++ < 17);
    int exponent = (int)strtol(strchr(out, 'e') + 1, NULL, 10);
    if (exponent >= 7 || exponent < -3) {
        if (digits == 0) snprintf(out, bytes, "%.1e", v);
        snprintf(strchr(out, 'e'), 8, "E%d", exponent);
        return;
    }
    snprintf(out, bytes, "%.*f", MAX(digits - exponent, 1), v);
}

static int check_range(const kafka_setting_def_t *def, bytes_t value, double v, char *err, size_t err_bytes)
{
    bool in_range = v >= def->min && v <= def->max;
    if (in_range || v == def->or_else) return 0;
    if (def->or_else < def->min)
        return refuse(def, value, err, err_bytes, "Value must be between %.17g and %.17g or equal to %.17g", def->min,
                      def->max, def->or_else);
    if (v < def->min) return refuse(def, value, err, err_bytes, "Value must be at least %.17g", def->min);
    return refuse(def, value, err, err_bytes, "Value must be no more than %.17g", def->max);
}

static int check_number(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes)
{
    int64_t whole = 0;
    double v = 0;
    if (def->type == KAFKA_SETTING_DOUBLE ? !parse_double(value, &v) : !parse_integer(def, value, &whole))
        return refuse(def, value, err, err_bytes, "Not a number of type %s", type_name(def));
    if (def->type != KAFKA_SETTING_DOUBLE) v = (double)whole;
    char text[NUMBER_CHARS_MAX];
    if (def->type == KAFKA_SETTING_DOUBLE)
        format_double(v, text, sizeof(text));
    else
        snprintf(text, sizeof(text), "%" PRId64, whole);
    return check_range(def, bytes_str(text), v, err, err_bytes);
}

/* Its place among the words, from 1 on; 0 when it is none of them. */
static uint32_t word_number(const kafka_setting_def_t *def, bytes_t word)
{
    bytes_t rest = bytes_str(def->valid);
    for (uint32_t number = 1; rest.len; number++) {
        bytes_t valid = take_word(&rest, ' ');
        if (def->nocase ? bytes_eq_nocase(valid, word) : bytes_eq(valid, word)) return number;
    }
    return 0;
}

static int refuse_word(const kafka_setting_def_t *def, bytes_t word, char *err, size_t err_bytes)
{
    char list[KAFKA_SETTING_ERROR_BYTES_MAX / 2];
    size_t n = 0;
    for (const char *p = def->valid; *p && n + 3 < sizeof(list); p++) {
        if (*p == ' ') list[n++] = ',';
        list[n++] = *p;
    }
    list[n] = '\0';
    return refuse(def, word, err, err_bytes, "String must be one of: %s", list);
}

/* "0:1,2:1" or "*", or nothing. */
static bool is_replica_list(bytes_t value)
{
    if (value.len == 0 || bytes_eq(value, BYTES_LIT("*"))) return true;
    while (value.len) {
        bytes_t pair = take_word(&value, ',');
        bytes_t partition = take_word(&pair, ':');
        if (!partition.len || !pair.len) return false;
        for (size_t i = 0; i < partition.len; i++)
            if (!isdigit(partition.ptr[i])) return false;
        for (size_t i = 0; i < pair.len; i++)
            if (!isdigit(pair.ptr[i])) return false;
    }
    return true;
}

/* As Java shows a list, as far as there is room. */
static void format_list(bytes_t value, char *out, size_t out_bytes)
{
    size_t n = 0;
    out[0] = '\0';
    while (value.len && n < out_bytes - 1) {
        bytes_t word = take_word(&value, ',');
        n += (size_t)snprintf(out + n, out_bytes - n, "%s%.*s", n ? ", " : "", (int)MIN(word.len, (size_t)100),
                              (const char *)word.ptr);
    }
}

static int check_words(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes)
{
    if (def->nonempty && value.len == 0) return refuse(def, value, err, err_bytes, "String must be non-empty");
    if (!def->valid) return 0;
    if (strcmp(def->valid, "replicas") == 0) {
        if (is_replica_list(value)) return 0;
        char list[128];
        format_list(value, list, sizeof(list));
        snprintf(err, err_bytes,
                 "Invalid value [%s] for configuration %s: %s must be the literal '*' or a list of "
                 "replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
                 list, def->name, def->name);
        return ERR_INVALID;
    }
    if (def->type != KAFKA_SETTING_LIST) return word_number(def, value) ? 0 : refuse_word(def, value, err, err_bytes);
    while (value.len) {
        bytes_t word = take_word(&value, ',');
        if (!word_number(def, word)) return refuse_word(def, word, err, err_bytes);
    }
    return 0;
}

int kafka_setting_check(const kafka_setting_def_t *def, bytes_t value, char *err, size_t err_bytes)
{
    if (!bytes_are_text(value))
        return refuse(def, BYTES_LIT("(bytes)"), err, err_bytes, "Value must be UTF-8 without NUL");
    value = trim(value);
    switch ((kafka_setting_type_t)def->type) {
    case KAFKA_SETTING_BOOLEAN:
        if (bytes_eq_nocase(value, BYTES_LIT("true")) || bytes_eq_nocase(value, BYTES_LIT("false"))) return 0;
        return refuse(def, value, err, err_bytes, "Expected value to be either true or false");
    case KAFKA_SETTING_INT:
    case KAFKA_SETTING_SHORT:
    case KAFKA_SETTING_LONG:
    case KAFKA_SETTING_DOUBLE: return check_number(def, value, err, err_bytes);
    case KAFKA_SETTING_STRING:
    case KAFKA_SETTING_LIST:
    case KAFKA_SETTING_CLASS:
    case KAFKA_SETTING_PASSWORD: return check_words(def, value, err, err_bytes);
    }
    UNREACHABLE();
}

static char *normal_list(bytes_t value)
{
    char *text = mem_alloc(value.len + 1);
    size_t n = 0;
    while (value.len) {
        bytes_t word = take_word(&value, ',');
        if (n) text[n++] = ',';
        memcpy(text + n, word.ptr, word.len);
        n += word.len;
    }
    text[n] = '\0';
    return text;
}

char *kafka_setting_normal(const kafka_setting_def_t *def, bytes_t value)
{
    char number[NUMBER_CHARS_MAX];
    int64_t whole;
    double v;
    value = trim(value);
    switch ((kafka_setting_type_t)def->type) {
    case KAFKA_SETTING_BOOLEAN: return mem_strdup(bytes_eq_nocase(value, BYTES_LIT("true")) ? "true" : "false");
    case KAFKA_SETTING_INT:
    case KAFKA_SETTING_SHORT:
    case KAFKA_SETTING_LONG:
        if (!parse_integer(def, value, &whole)) break;
        snprintf(number, sizeof(number), "%" PRId64, whole);
        return mem_strdup(number);
    case KAFKA_SETTING_LIST: return normal_list(value);
    case KAFKA_SETTING_DOUBLE:
        if (!parse_double(value, &v)) break;
        format_double(v, number, sizeof(number));
        return mem_strdup(number);
    case KAFKA_SETTING_STRING:
    case KAFKA_SETTING_CLASS:
    case KAFKA_SETTING_PASSWORD: break;
    }
    return mem_strndup(value);
}

static uint32_t words_value(const kafka_setting_def_t *def, bytes_t value)
{
    uint32_t bits = 0;
    if (def->type != KAFKA_SETTING_LIST) return word_number(def, value);
    while (value.len) {
        uint32_t number = word_number(def, take_word(&value, ','));
        if (number) bits |= 1u << (number - 1);
    }
    return bits;
}

void kafka_setting_assign(const kafka_setting_def_t *def, const char *value, void *config)
{
    void *at = (uint8_t *)config + def->offset;
    if (def->words) {
        *(uint32_t *)at = value ? words_value(def, bytes_str(value)) : 0;
        return;
    }
    switch ((kafka_setting_type_t)def->type) {
    case KAFKA_SETTING_BOOLEAN: *(bool *)at = value && strcasecmp(value, "true") == 0; break;
    case KAFKA_SETTING_INT:
    case KAFKA_SETTING_SHORT:
    case KAFKA_SETTING_LONG: *(int64_t *)at = value ? strtoll(value, NULL, 10) : -1; break;
    case KAFKA_SETTING_DOUBLE: *(double *)at = value ? strtod(value, NULL) : 0; break;
    case KAFKA_SETTING_STRING:
    case KAFKA_SETTING_LIST:
    case KAFKA_SETTING_CLASS:
    case KAFKA_SETTING_PASSWORD: *(const char **)at = value; break;
    }
}
