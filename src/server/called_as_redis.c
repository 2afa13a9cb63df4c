/* called_as_redis.c: redis-server and valkey-server: redis.conf, flags, and what they say of the process. What is not given has the
 * original's default where it matters (addresses, the directory), not where Trivet's is safer: the append-only file
 * is on unless somebody turns it off. */
#include "server/called_as_internal.h"

#include "base/buf.h"
#include "io/io.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INCLUDES_DEEP_MAX 8
#define SAVE_POINTS       "3600 1 300 100 60 10000" /* the original's default */

/* ---- redis.conf ------------------------------------------------------------------------------------------------- */

/* The byte that an escape in double quotes means: \n \r \t \b \a, \xHH, or what is behind the backslash. */
static char unescape(char **at)
{
    static const char letters[] = "nrtba", bytes[] = "\n\r\t\b\a";
    char c = *(*at)++;
    const char *letter = strchr(letters, c);
    if (letter) return bytes[letter - letters];
    if (c != 'x' || !isxdigit((unsigned char)(*at)[0]) || !isxdigit((unsigned char)(*at)[1])) return c;
    char digits[3] = {(*at)[0], (*at)[1], '\0'};
    *at += 2;
    return (char)strtoul(digits, NULL, 16);
}

/* The next word, unquoted in place; NULL at the end. *ret_ok false: a quote is not closed, or not the end of its word, or holds \x00. */
static char *next_word(char **rest, bool *ret_ok)
{
    char *at = *rest + strspn(*rest, " \t"), *out = at, *word = at;
    *ret_ok = true;
    if (!*at) return NULL;
    if (*at != '"' && *at != '\'') {
        at += strcspn(at, " \t");
        *rest = *at ? at + 1 : at;
        *at = '\0';
        return word;
    }
    char quote = *at++;
    bool holds_nul = false; /* the value would end there */
    while (*at && *at != quote) {
        char c = *at++;
        bool escapes = c == '\\' && *at && (quote == '"' || *at == quote);
        c = escapes ? unescape(&at) : c;
        holds_nul |= c == '\0';
        *out++ = c;
    }
    *ret_ok = !holds_nul && *at == quote && (!at[1] || at[1] == ' ' || at[1] == '\t');
    *rest = *at ? at + 1 : at;
    *out = '\0';
    return word;
}

static int redis_line(reader_t *reader, char *line, const char *origin)
{
    bool ok = true;
    char *name = next_word(&line, &ok);
    buf_t value = BUF_INIT;
    for (char *word; ok && (word = next_word(&line, &ok));) buf_printf(&value, "%s%s", value.len ? " " : "", word);
    buf_u8(&value, 0);
    const char *text = (const char *)value.ptr;
    int err;
    if (!ok)
        err = called_as__fail(
            reader, origin,
            "a quote is not closed, something stands right behind it, or it holds \\x00, in the value of ", name);
    else if (strcasecmp(name, "include") != 0)
        err = called_as__take(reader, name, text, origin);
    else if (reader->depth == INCLUDES_DEEP_MAX)
        err = called_as__fail(reader, origin, "files include one another too deep: ", text);
    else {
        reader->depth++;
        err = called_as__read_file(reader, text);
        reader->depth--;
    }
    buf_deinit(&value);
    return err;
}

/* Words behind a flag up to the next are its value: --save 900 1 --port 7000. A flag may bring its value itself:
 * "--maxmemory 700mb". */
static int read_flag(reader_t *reader, int argc, char **argv, int *i)
{
    const char *first = argv[(*i)++]; /* the original reads one without the dashes all the same */
    char *flag = mem_strdup(first + (strncmp(first, "--", 2) == 0 ? 2 : 0)), *rest = flag;
    bool ok = true;
    buf_t value = BUF_INIT;
    const char *name = next_word(&rest, &ok);
    for (char *word; ok && name && (word = next_word(&rest, &ok));)
        buf_printf(&value, "%s%s", value.len ? " " : "", word);
    for (; *i < argc && strncmp(argv[*i], "--", 2) != 0; (*i)++)
        buf_printf(&value, "%s%s", value.len ? " " : "", argv[*i]);
    buf_u8(&value, 0);
    int err = !ok || !name ? called_as__fail(reader, "command line", "no directive in the flag ", argv[*i - 1])
                           : called_as__take(reader, name, (const char *)value.ptr, "command line");
    buf_deinit(&value);
    mem_free(flag);
    return err;
}

static int redis_args(reader_t *reader, int argc, char **argv)
{
    int i = 1, err = 0;
    if (argc > 1 && (argv[1][0] != '-' || strcmp(argv[1], "-") == 0)) err = called_as__read_file(reader, argv[i++]);
    if (i == 2 && strcmp(argv[1], "-") != 0) reader->options->config_file = io_absolute(argv[1]);
    while (!err && i < argc) err = read_flag(reader, argc, argv, &i);
    return err;
}

static const char *const redis_presets[][3] = {
    {"kafka", "enabled", "no"},  {"zookeeper", "enabled", "no"}, {"http", "enabled", "no"}, {"trivet", "data", "."},
    {"redis", "bind", "* -::*"}, {"redis", "dir", "."},          {NULL, NULL, NULL},
};
/* ---- the process ------------------------------------------------------------------------------------------------ */

static int refuse(reader_t *reader, const char *name, const char *value, const char *origin, const char *fits)
{
    snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s is %s, not '%.100s'", origin, name, fits, value);
    return ERR_UNSUPPORTED;
}

static void note(options_t *options, const char *origin, const char *name, const char *value, const char *text)
{
    buf_t all = BUF_INIT;
    buf_printf(&all, "%s%s: %s %s: %s\n", options->notes ? options->notes : "", origin, name, value, text);
    mem_free(options->notes);
    options->notes = mem_strndup(buf_bytes(&all));
    buf_deinit(&all);
}

/* Defaults of the original that are done in another way here: accepted with a word about it. */
static bool is_noted(reader_t *reader, const char *name, const char *value, const char *origin)
{
    static const char at_once[] = "memory is freed at once in this version";
    static const char *const noted[][2] = {
        {"lazyfree-lazy-eviction", at_once},   {"lazyfree-lazy-expire", at_once},
        {"lazyfree-lazy-server-del", at_once}, {"lazyfree-lazy-user-del", at_once},
        {"lazyfree-lazy-user-flush", at_once},
    };
    for (size_t i = 0; i < ARRAY_LEN(noted); i++) {
        if (strcasecmp(noted[i][0], name) != 0 || strcasecmp(value, "yes") != 0) continue;
        note(reader->options, origin, name, value, noted[i][1]);
        return true;
    }
    return false;
}

static int take_switch(reader_t *reader, const char *name, const char *value, const char *origin, bool *ret_on)
{
    *ret_on = strcasecmp(value, "yes") == 0;
    return *ret_on || strcasecmp(value, "no") == 0 ? 0 : refuse(reader, name, value, origin, "yes or no");
}

static int take_appendonly(reader_t *reader, const char *value, const char *origin)
{
    bool on;
    int err = take_switch(reader, "appendonly", value, origin, &on);
    mem_free(reader->appendonly_no);
    reader->appendonly_no = !err && !on ? mem_strdup(origin) : NULL;
    if (!err) options_add(reader->options, "redis", "appendonly", on ? "yes" : "no", origin);
    return err;
}

static int redis_own(reader_t *reader, const char *name, const char *value, const char *origin)
{
    if (strcasecmp(name, "appendonly") == 0) return take_appendonly(reader, value, origin);
    reader->save_given |= strcasecmp(name, "save") == 0;
    return is_noted(reader, name, value, origin) ? 0 : ERR_NOT_FOUND;
}

/* Who turns the append-only file off and says no more relies on the original's save points. */
static void redis_finish(reader_t *reader)
{
    if (reader->appendonly_no && !reader->save_given)
        options_add(reader->options, "redis", "save", SAVE_POINTS, reader->appendonly_no);
}

static void redis_also(reader_t *reader, const char *name, const char *value, const char *origin)
{
    if (strcasecmp(name, "dir") == 0) options_add(reader->options, "trivet", "data", value, origin);
    if (strcasecmp(name, "port") == 0 && strcmp(value, "0") == 0) /* there: no port; here: any */
        options_add(reader->options, "redis", "port", "-1", origin);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

#define REDIS_NAMED(program)                                                                                           \
    {                                                                                                                  \
        .name = program, .section = "redis", .usage = "Usage: " program " [FILE or -] [--DIRECTIVE VALUE...]...\n",    \
        .presets = redis_presets, .read_line = redis_line, .read_args = redis_args, .take_own = redis_own,             \
        .also = redis_also, .finish = redis_finish,                                                                    \
    }

const called_as_t called_as__redis = REDIS_NAMED("redis-server");
const called_as_t called_as__valkey = REDIS_NAMED("valkey-server");
