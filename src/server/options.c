/* options.c: see options.h. The file is read by inih; a line it cannot take is an error with its number. */
#include "server/options.h"

#include "base/nearest.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>

static const char *const sections[] = {"trivet", "redis", "kafka", "zookeeper", "http"};

/* --data DIR is short for --trivet.data DIR, and so on. */
static const char *const trivet_names[] = {"data",
                                           "bind",
                                           "reactors",
                                           "carriers",
                                           "log-level",
                                           "outbox-bytes-max",
                                           "input-bytes-max",
                                           "output-bytes-max",
                                           "connections-max",
                                           "protected-mode",
                                           "tls",
                                           "tls-cert-file",
                                           "tls-key-file",
                                           "tls-key-file-pass",
                                           "tls-ca-cert-file",
                                           "tls-auth-clients"};

static const char help[] =
    "Usage: trivet [OPTION VALUE]...\n"
    "One server that speaks the Redis, Kafka and ZooKeeper protocols.\n"
    "\n"
    "  --config FILE         read settings from FILE (sections [trivet] [redis] [kafka] [zookeeper] [http])\n"
    "  --data DIR            where everything durable lives (default ./trivet-data)\n"
    "  --bind ADDR           address to listen on (default 127.0.0.1)\n"
    "  --redis.port N        default 6379; 0 picks a free port, -1 leaves the protocol off\n"
    "  --kafka.port N        default 9092\n"
    "  --zookeeper.port N    default 2181\n"
    "  --http.port N         default 8080: /metrics /healthz /readyz\n"
    "  --reactors N          threads that own what they run: 3 (the default) gives ZooKeeper with HTTP, Redis and "
    "Kafka\n"
    "                        one each, so that none holds the others; 2: Redis and Kafka share one; 1 is the smallest\n"
    "  --carriers N          further threads that read and write for them (default 0)\n"
    "  --changefeed.NAME.topic TOPIC\n"
    "                        a Kafka record of each change to keys; also .patterns, .databases, .format\n"
    "  --trivet.produce.compression.type TYPE\n"
    "                        of what KAFKA.PRODUCE appends: none, gzip, snappy, lz4 or zstd\n"
    "  --trivet.outbox-bytes-max N\n"
    "                        what may wait for its partition (default 1 GiB); more is refused\n"
    "  --trivet.input-bytes-max N, --trivet.output-bytes-max N\n"
    "                        memory for all connections' unfinished input and unsent output, as 64mb (default a\n"
    "                        sixteenth of the memory, 64 to 512 MiB each); beyond it the greediest is closed\n"
    "  --trivet.connections-max N\n"
    "                        of all protocols together (default what the open files' limit leaves)\n"
    "  --protected-mode no   let everybody in who reaches a port bound beyond loopback; --kafka.protected-mode and so\n"
    "                        on for one protocol. Otherwise Redis without a password, and the others until there are\n"
    "                        users, serve this machine alone\n"
    "  --tls MODE            off (the default), allow (TLS and plain text on every port), require, or auto: allow, "
    "with\n"
    "                        a certificate that is made for this machine; --http.tls and so on for one protocol\n"
    "  --tls-cert-file FILE, --tls-key-file FILE, --tls-key-file-pass WORD\n"
    "                        the certificate in PEM with its chain, and its key; read again when they change\n"
    "  --tls-ca-cert-file FILE, --tls-auth-clients yes|optional|no\n"
    "                        whether clients need a certificate, and who may have signed it\n"
    "  --log-level LEVEL     debug, info, warn or error (default info)\n"
    "  --SECTION.NAME VALUE  any directive of redis.conf, server.properties or zoo.cfg:\n"
    "                        --redis.appendfsync always --kafka.num.partitions 3 --zookeeper.tickTime 2000\n"
    "  --ready-json          print JSON lines on standard output and nothing else there: one for each wing that has\n"
    "                        recovered (wing, port, ready_ms), and a last one once all are ready (pid, ports, data)\n"
    "  --version             print the version\n"
    "  --help                print this\n";

/* NULL when there is none of that name. */
static const char *find_section(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++)
        if (strlen(sections[i]) == len && memcmp(sections[i], name, len) == 0) return sections[i];
    return NULL;
}

static nearest_t nearest_section(const char *name)
{
    nearest_t nearest = nearest_to(name);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) nearest_offer(&nearest, sections[i]);
    return nearest;
}

void options_add(options_t *options, const char *section, const char *name, const char *value, const char *origin)
{
    options->settings = mem_realloc(options->settings, (options->settings_count + 1) * sizeof(*options->settings));
    options->settings[options->settings_count++] = (setting_t){
        .section = mem_strdup(section),
        .name = mem_strdup(name),
        .value = mem_strdup(value),
        .origin = mem_strdup(origin),
    };
}

typedef struct file_reader {
    options_t *options;
    FILE *file;
    const char *path;
    int line; /* the one inih is at: Debian's build of it does not tell its handler */
    char *error;
} file_reader_t;

static char *next_line(char *out, int chars, void *user)
{
    file_reader_t *reader = user;
    reader->line++;
    return fgets(out, chars, reader->file);
}

static int on_file_setting(void *user, const char *section, const char *name, const char *value)
{
    file_reader_t *reader = user;
    char origin[256];
    snprintf(origin, sizeof(origin), "%.200s:%d", reader->path, reader->line);
    if (!find_section(section, strlen(section))) {
        char hint[2 * NEAREST_CHARS_MAX];
        nearest_t nearest = nearest_section(section);
        snprintf(reader->error, OPTIONS_ERROR_CHARS_MAX,
                 "%s: unknown section [%.40s]%s; use [trivet], [redis], [kafka], [zookeeper] or [http]", origin,
                 section, nearest_hint(&nearest, hint, sizeof(hint)));
        return 0;
    }
    options_add(reader->options, section, name, value, origin);
    return 1;
}

static int read_file(options_t *options, const char *path, char *error)
{
    file_reader_t reader = {.options = options, .path = path, .error = error, .file = fopen(path, "re")};
    error[0] = '\0';
    if (!reader.file) {
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "cannot read the configuration file %.300s: %s", path,
                 err_text(err_from_errno(errno)));
        return ERR_NOT_FOUND;
    }
    int bad_line = ini_parse_stream(next_line, &reader, on_file_setting, &reader);
    fclose(reader.file);
    if (bad_line == 0) return 0;
    if (error[0] == '\0')
        snprintf(error, OPTIONS_ERROR_CHARS_MAX, "%.300s:%d: expected NAME = VALUE under a [section]", path, bad_line);
    return ERR_INVALID;
}

/* "--redis.port" -> section "redis", name "port"; "--data" -> "trivet", "data"; a change feed's settings are [trivet]'s. */
static bool split_name(const char *arg, const char **ret_section, const char **ret_name)
{
    const char *dot = strchr(arg, '.');
    *ret_section = dot && dot[1] ? find_section(arg, (size_t)(dot - arg)) : NULL;
    if (*ret_section) {
        *ret_name = dot + 1;
        return true;
    }
    if (strncmp(arg, OPTIONS_FEED_PREFIX, sizeof(OPTIONS_FEED_PREFIX) - 1) == 0) {
        *ret_section = "trivet";
        *ret_name = arg;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(trivet_names); i++) {
        if (strcmp(arg, trivet_names[i]) != 0) continue;
        *ret_section = "trivet";
        *ret_name = trivet_names[i];
        return true;
    }
    return false;
}

static const char *const flags[] = {"config", "ready-json", "version", "help"};

/* Of an argument that is no option: what stands before its dot may be nearly a section, or the whole nearly an option. */
static void say_unknown(const char *arg, char *error)
{
    char hint[2 * NEAREST_CHARS_MAX], section[NEAREST_CHARS_MAX];
    const char *name = arg + strspn(arg, "-"), *dot = strchr(name, '.');
    nearest_t nearest = nearest_to(name);
    if (dot) {
        snprintf(section, sizeof(section), "%.*s", (int)MIN((size_t)(dot - name), sizeof(section) - 1), name);
        nearest = nearest_section(section);
    } else {
        for (size_t i = 0; i < ARRAY_LEN(trivet_names); i++) nearest_offer(&nearest, trivet_names[i]);
        for (size_t i = 0; i < ARRAY_LEN(flags); i++) nearest_offer(&nearest, flags[i]);
    }
    snprintf(error, OPTIONS_ERROR_CHARS_MAX, "unknown option '%.200s'%s; --help lists them", arg,
             nearest_hint(&nearest, hint, sizeof(hint)));
}

static int parse_flag(options_t *options, const char *arg)
{
    if (strcmp(arg, "--ready-json") == 0)
        options->ready_json = true;
    else if (strcmp(arg, "--version") == 0)
        options->show_version = true;
    else if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0)
        options->show_help = true;
    else
        return ERR_NOT_FOUND;
    return 0;
}

int options_parse(int argc, char **argv, options_t *ret_options, char error[OPTIONS_ERROR_CHARS_MAX])
{
    options_t options = {.help = help};
    int err = 0;
    for (int i = 1; i < argc && !err; i++) {
        const char *section, *name;
        if (parse_flag(&options, argv[i]) == 0) continue;
        bool is_config = strcmp(argv[i], "--config") == 0;
        if (!is_config && (strncmp(argv[i], "--", 2) != 0 || !split_name(argv[i] + 2, &section, &name))) {
            say_unknown(argv[i], error);
            err = ERR_INVALID;
        } else if (i + 1 == argc) {
            snprintf(error, OPTIONS_ERROR_CHARS_MAX, "option '%s' needs a value", argv[i]);
            err = ERR_INVALID;
        } else if (is_config) {
            err = read_file(&options, argv[++i], error);
        } else {
            options_add(&options, section, name, argv[++i], "command line");
        }
    }
    if (err)
        options_deinit(&options);
    else
        *ret_options = options;
    return err;
}

void options_deinit(options_t *options)
{
    for (size_t i = 0; i < options->settings_count; i++) {
        setting_t *s = &options->settings[i];
        mem_free(s->section);
        mem_free(s->name);
        mem_free(s->value);
        mem_free(s->origin);
    }
    mem_free(options->settings);
    mem_free(options->config_file);
    mem_free(options->notes);
    *options = (options_t){0};
}

const char *options_value(const options_t *options, const char *section, const char *name)
{
    for (size_t i = options->settings_count; i--;) {
        const setting_t *s = &options->settings[i];
        if (strcmp(s->section, section) == 0 && strcasecmp(s->name, name) == 0) return s->value;
    }
    return NULL;
}
