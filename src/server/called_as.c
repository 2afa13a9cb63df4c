/* called_as.c: see called_as.h. Each directive becomes a setting of the one section; those that speak of the process
 * are translated or refused here. What is not given has the original's default where it matters (addresses,
 * the directory), not where Trivet's is safer: the append-only file stays on, as there are no snapshots yet. */
#include "server/called_as.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX    8192
#define INCLUDES_DEEP_MAX 8

typedef struct reader {
    const called_as_t *as;
    options_t *options;
    char *error;
    int depth; /* of include */
} reader_t;

struct called_as {
    const char *name, *section, *usage;
    const char *const (*presets)[3]; /* section, name, value; ends with NULL */
    const char *const (
        *only_fits)[2]; /* directives of the original's process that need nothing, and the value that says so */
    int (*read_line)(reader_t *reader, char *line, const char *origin);
    int (*read_args)(reader_t *reader, int argc, char **argv);
    /* What a directive means beside what the wing makes of it; may be NULL. */
    void (*also)(reader_t *reader, const char *name, const char *value, const char *origin);
};

static int fail(reader_t *reader, const char *origin, const char *text, const char *name)
{
    snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s%.100s", origin, text, name);
    return ERR_INVALID;
}

/* ---- directives ------------------------------------------------------------------------------------------------- */

static int take(reader_t *reader, const char *name, const char *value, const char *origin)
{
    const called_as_t *as = reader->as;
    for (const char *const(*d)[2] = as->only_fits; (*d)[0]; d++) {
        if (strcasecmp((*d)[0], name) != 0) continue;
        if (strcasecmp((*d)[1], value) == 0) return 0;
        snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s: only '%s' fits, not '%.100s'", origin, name,
                 (*d)[1], value);
        return ERR_UNSUPPORTED;
    }
    options_add(reader->options, as->section, name, value, origin);
    if (as->also) as->also(reader, name, value, origin);
    return 0;
}

static int read_file(reader_t *reader, const char *path)
{
    char line[LINE_BYTES_MAX], origin[300];
    int err = 0, number = 0;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!file) {
        snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX, "cannot read the configuration file %.300s", path);
        return ERR_NOT_FOUND;
    }
    while (err == 0 && fgets(line, sizeof(line), file)) {
        snprintf(origin, sizeof(origin), "%.200s:%d", path, ++number);
        size_t len = strlen(line);
        if (len + 1 == sizeof(line) && line[len - 1] != '\n') {
            err = fail(reader, origin, "the line is too long", "");
            break;
        }
        while (len && isspace((unsigned char)line[len - 1])) line[--len] = '\0';
        char *text = line + strspn(line, " \t");
        if (*text && *text != '#') err = reader->as->read_line(reader, text, origin);
    }
    if (file != stdin) fclose(file);
    return err;
}

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

/* The next word, unquoted in place; NULL at the end. *ret_ok false: a quote is not closed, or not the end of its word. */
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
    while (*at && *at != quote) {
        char c = *at++;
        bool escapes = c == '\\' && *at && (quote == '"' || *at == quote);
        *out++ = escapes ? unescape(&at) : c;
    }
    *ret_ok = *at == quote && (!at[1] || at[1] == ' ' || at[1] == '\t');
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
        err =
            fail(reader, origin, "a quote is not closed, or something stands right behind it, in the value of ", name);
    else if (strcasecmp(name, "include") != 0)
        err = take(reader, name, text, origin);
    else if (reader->depth == INCLUDES_DEEP_MAX)
        err = fail(reader, origin, "files include one another too deep: ", text);
    else {
        reader->depth++;
        err = read_file(reader, text);
        reader->depth--;
    }
    buf_deinit(&value);
    return err;
}

/* Words behind a flag up to the next are its value: --save 900 1 --port 7000. */
static int redis_args(reader_t *reader, int argc, char **argv)
{
    int i = 1, err = 0;
    if (argc > 1 && (argv[1][0] != '-' || strcmp(argv[1], "-") == 0)) err = read_file(reader, argv[i++]);
    while (err == 0 && i < argc) {
        if (strncmp(argv[i], "--", 2) != 0) return fail(reader, "command line", "expected --DIRECTIVE, not ", argv[i]);
        const char *name = argv[i++] + 2;
        buf_t value = BUF_INIT;
        for (bool first = true; i < argc && strncmp(argv[i], "--", 2) != 0; first = false)
            buf_printf(&value, "%s%s", first ? "" : " ", argv[i++]);
        buf_u8(&value, 0);
        err = take(reader, name, (const char *)value.ptr, "command line");
        buf_deinit(&value);
    }
    return err;
}

static const char *const redis_presets[][3] = {
    {"kafka", "enabled", "no"},  {"zookeeper", "enabled", "no"}, {"http", "enabled", "no"}, {"trivet", "data", "."},
    {"redis", "bind", "* -::*"}, {"redis", "dir", "."},          {NULL, NULL, NULL},
};
static const char *const redis_only_fits[][2] = {
    {"daemonize", "no"}, {"supervised", "no"}, {"always-show-logo", "no"}, {"pidfile", ""}, {NULL, NULL}};

static void redis_also(reader_t *reader, const char *name, const char *value, const char *origin)
{
    if (strcasecmp(name, "dir") == 0) options_add(reader->options, "trivet", "data", value, origin);
    if (strcasecmp(name, "port") == 0 && strcmp(value, "0") == 0) /* there: no port; here: any */
        options_add(reader->options, "redis", "port", "-1", origin);
}

/* ---- properties: zoo.cfg, server.properties ---------------------------------------------------------------------- */

static int properties_line(reader_t *reader, char *line, const char *origin)
{
    if (*line == '!') return 0;
    char *value = line + strcspn(line, "=: \t"), *end = value;
    if (!*value) return fail(reader, origin, "expected NAME=VALUE, not ", line);
    value += strspn(value, " \t");
    if (*value == '=' || *value == ':') value++;
    value += strspn(value, " \t");
    *end = '\0';
    return take(reader, line, value, origin);
}

static int zookeeper_args(reader_t *reader, int argc, char **argv)
{
    int i = 1;
    if (i < argc && (strcmp(argv[i], "start-foreground") == 0 || strcmp(argv[i], "start") == 0)) {
        if (strcmp(argv[i], "start") == 0)
            return fail(reader, "command line", "only start-foreground fits, not ", argv[i]);
        i++;
    }
    if (argc - i > 1) return fail(reader, "command line", "one configuration file fits, not also ", argv[i + 1]);
    return read_file(reader, i < argc ? argv[i] : "zoo.cfg");
}

static const char *const zookeeper_presets[][3] = {
    {"kafka", "enabled", "no"}, {"redis", "enabled", "no"}, {"http", "enabled", "no"},
    {"trivet", "bind", "*"},    {NULL, NULL, NULL},
};
static const char *const zookeeper_only_fits[][2] = {{NULL, NULL}};

static void zookeeper_also(reader_t *reader, const char *name, const char *value, const char *origin)
{
    if (strcmp(name, "dataDir") == 0) options_add(reader->options, "trivet", "data", value, origin);
}

static int kafka_args(reader_t *reader, int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') return fail(reader, "command line", "the configuration file comes first", "");
    int err = read_file(reader, argv[1]);
    for (int i = 2; err == 0 && i < argc; i += 2) {
        if (strcmp(argv[i], "--override") != 0 || i + 1 == argc)
            return fail(reader, "command line", "expected --override NAME=VALUE, not ", argv[i]);
        char *pair = mem_strdup(argv[i + 1]);
        err = properties_line(reader, pair, "command line");
        mem_free(pair);
    }
    return err;
}

static const char *const kafka_presets[][3] = {
    {"redis", "enabled", "no"}, {"zookeeper", "enabled", "no"},           {"http", "enabled", "no"},
    {"trivet", "bind", "*"},    {"kafka", "log.dirs", "/tmp/kafka-logs"}, {"trivet", "data", "/tmp/kafka-logs-tree"},
    {NULL, NULL, NULL},
};
static const char *const kafka_only_fits[][2] = {{NULL, NULL}};

/* A directory in log.dirs that is no partition would stop the original: the tree lies beside it. */
static void kafka_also(reader_t *reader, const char *name, const char *value, const char *origin)
{
    char path[LINE_BYTES_MAX + 8];
    if (strcmp(name, "log.dirs") != 0 && strcmp(name, "log.dir") != 0) return;
    snprintf(path, sizeof(path), "%s-tree", value);
    options_add(reader->options, "trivet", "data", path, origin);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static const called_as_t names[] = {
    {
        .name = "redis-server",
        .section = "redis",
        .usage = "Usage: redis-server [FILE or -] [--DIRECTIVE VALUE...]...\n",
        .presets = redis_presets,
        .only_fits = redis_only_fits,
        .read_line = redis_line,
        .read_args = redis_args,
        .also = redis_also,
    },
    {
        .name = "zkServer",
        .section = "zookeeper",
        .usage = "Usage: zkServer [start-foreground] [FILE]\n",
        .presets = zookeeper_presets,
        .only_fits = zookeeper_only_fits,
        .read_line = properties_line,
        .read_args = zookeeper_args,
        .also = zookeeper_also,
    },
    {
        .name = "kafka-server-start",
        .section = "kafka",
        .usage = "Usage: kafka-server-start FILE [--override NAME=VALUE]...\n",
        .presets = kafka_presets,
        .only_fits = kafka_only_fits,
        .read_line = properties_line,
        .read_args = kafka_args,
        .also = kafka_also,
    },
};

const called_as_t *called_as(const char *argv0)
{
    const char *slash = strrchr(argv0, '/'), *name = slash ? slash + 1 : argv0;
    size_t len = strlen(name);
    if (len > 3 && strcmp(name + len - 3, ".sh") == 0) len -= 3;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i].name) == len && memcmp(names[i].name, name, len) == 0) return &names[i];
    return NULL;
}

static bool asks(int argc, char **argv, const char *brief, const char *full)
{
    return argc == 2 && (strcmp(argv[1], brief) == 0 || strcmp(argv[1], full) == 0);
}

int called_as_parse(const called_as_t *as, int argc, char **argv, options_t *ret_options,
                    char error[OPTIONS_ERROR_CHARS_MAX])
{
    options_t options = {.called_as = as->name, .help = as->usage};
    reader_t reader = {.as = as, .options = &options, .error = error};
    int err = 0;
    options.show_version = asks(argc, argv, "-v", "--version");
    options.show_help = asks(argc, argv, "-h", "--help");
    for (const char *const(*preset)[3] = as->presets; (*preset)[0]; preset++)
        options_add(&options, (*preset)[0], (*preset)[1], (*preset)[2], as->name);
    if (!options.show_version && !options.show_help) err = as->read_args(&reader, argc, argv);
    if (err != 0)
        options_deinit(&options);
    else
        *ret_options = options;
    return err;
}
