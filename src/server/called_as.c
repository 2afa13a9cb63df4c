/* called_as.c: see called_as.h. Each directive becomes a setting of the one section; those that speak of the process
 * are translated or refused here. What is not given has the original's default where it matters (addresses,
 * the directory), not where Trivet's is safer: the append-only file stays on, as there are no snapshots yet. */
#include "server/called_as_internal.h"

#include "base/buf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 8192

int called_as__fail(reader_t *reader, const char *origin, const char *text, const char *name)
{
    snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX, "%.200s: %s%.100s", origin, text, name);
    return ERR_INVALID;
}

/* ---- directives ------------------------------------------------------------------------------------------------- */

int called_as__take(reader_t *reader, const char *name, const char *value, const char *origin)
{
    const called_as_t *as = reader->as;
    int err = as->take_own ? as->take_own(reader, name, value, origin) : ERR_NOT_FOUND;
    if (err != ERR_NOT_FOUND) return err;
    options_add(reader->options, as->section, name, value, origin);
    if (as->also) as->also(reader, name, value, origin);
    return 0;
}

int called_as__read_file(reader_t *reader, const char *path)
{
    char line[LINE_BYTES_MAX], origin[300];
    int err = 0, number = 0;
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    if (!file) {
        snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX, "cannot read the configuration file %.300s", path);
        return ERR_NOT_FOUND;
    }
    while (!err && fgets(line, sizeof(line), file)) {
        snprintf(origin, sizeof(origin), "%.200s:%d", path, ++number);
        size_t len = strlen(line);
        if (len + 1 == sizeof(line) && line[len - 1] != '\n') {
            err = called_as__fail(reader, origin, "the line is too long", "");
            break;
        }
        while (len && isspace((unsigned char)line[len - 1])) line[--len] = '\0';
        char *text = line + strspn(line, " \t");
        if (*text && *text != '#') err = reader->as->read_line(reader, text, origin);
    }
    if (file != stdin) fclose(file);
    return err;
}

/* ---- properties: zoo.cfg, server.properties ---------------------------------------------------------------------- */

static int properties_line(reader_t *reader, char *line, const char *origin)
{
    if (*line == '!') return 0;
    char *value = line + strcspn(line, "=: \t"), *end = value;
    if (!*value) return called_as__fail(reader, origin, "expected NAME=VALUE, not ", line);
    value += strspn(value, " \t");
    if (*value == '=' || *value == ':') value++;
    value += strspn(value, " \t");
    *end = '\0';
    return called_as__take(reader, line, value, origin);
}

static int zookeeper_args(reader_t *reader, int argc, char **argv)
{
    int i = 1;
    if (i < argc && (strcmp(argv[i], "start-foreground") == 0 || strcmp(argv[i], "start") == 0)) {
        if (strcmp(argv[i], "start") == 0)
            return called_as__fail(reader, "command line", "only start-foreground fits, not ", argv[i]);
        i++;
    }
    if (argc - i > 1)
        return called_as__fail(reader, "command line", "one configuration file fits, not also ", argv[i + 1]);
    return called_as__read_file(reader, i < argc ? argv[i] : "zoo.cfg");
}

static const char *const zookeeper_presets[][3] = {
    {"kafka", "enabled", "no"}, {"redis", "enabled", "no"}, {"http", "enabled", "no"},
    {"trivet", "bind", "*"},    {NULL, NULL, NULL},
};
static void zookeeper_also(reader_t *reader, const char *name, const char *value, const char *origin)
{
    if (strcmp(name, "dataDir") == 0) options_add(reader->options, "trivet", "data", value, origin);
}

static int kafka_args(reader_t *reader, int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-')
        return called_as__fail(reader, "command line", "the configuration file comes first", "");
    int err = called_as__read_file(reader, argv[1]);
    for (int i = 2; !err && i < argc; i += 2) {
        if (strcmp(argv[i], "--override") != 0 || i + 1 == argc)
            return called_as__fail(reader, "command line", "expected --override NAME=VALUE, not ", argv[i]);
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
/* A directory in log.dirs that is no partition would stop the original: the tree lies beside it. */
static void kafka_also(reader_t *reader, const char *name, const char *value, const char *origin)
{
    char path[LINE_BYTES_MAX + 8];
    if (strcmp(name, "log.dirs") != 0 && strcmp(name, "log.dir") != 0) return;
    snprintf(path, sizeof(path), "%s-tree", value);
    options_add(reader->options, "trivet", "data", path, origin);
}

/* ---- names ------------------------------------------------------------------------------------------------------ */

static const called_as_t zookeeper = {
    .name = "zkServer",
    .section = "zookeeper",
    .usage = "Usage: zkServer [start-foreground] [FILE]\n",
    .presets = zookeeper_presets,
    .read_line = properties_line,
    .read_args = zookeeper_args,
    .also = zookeeper_also,
};

static const called_as_t kafka = {
    .name = "kafka-server-start",
    .section = "kafka",
    .usage = "Usage: kafka-server-start FILE [--override NAME=VALUE]...\n",
    .presets = kafka_presets,
    .read_line = properties_line,
    .read_args = kafka_args,
    .also = kafka_also,
};

static const called_as_t *const names[] = {&called_as__redis, &called_as__valkey, &zookeeper, &kafka};

/* Programs of the originals that this is not: a link of their name must not start a server. */
static const char *const strangers[] = {
    "redis-cli",        "redis-benchmark", "redis-sentinel",   "redis-check-aof",  "redis-check-rdb", "valkey-cli",
    "valkey-benchmark", "valkey-sentinel", "valkey-check-aof", "valkey-check-rdb", "zkCli",
};

static const char *last_part(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    return slash ? slash + 1 : argv0;
}

static bool is_called(const char *argv0, const char *name)
{
    const char *part = last_part(argv0);
    size_t len = strlen(part);
    if (len > 3 && strcmp(part + len - 3, ".sh") == 0) len -= 3;
    return strlen(name) == len && memcmp(name, part, len) == 0;
}

const called_as_t *called_as(const char *argv0)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (is_called(argv0, names[i]->name)) return names[i];
    return NULL;
}

bool called_as_stranger(const char *argv0, char error[OPTIONS_ERROR_CHARS_MAX])
{
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++) {
        if (!is_called(argv0, strangers[i])) continue;
        snprintf(
            error, OPTIONS_ERROR_CHARS_MAX,
            "called as %s, which it is not; of the originals' programs it is redis-server, valkey-server, zkServer "
            "and kafka-server-start",
            strangers[i]);
        return true;
    }
    return false;
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
    if (!err && as->finish) as->finish(&reader);
    mem_free(reader.appendonly_no);
    if (err)
        options_deinit(&options);
    else
        *ret_options = options;
    return err;
}
