/* options_test.c: the command line and the configuration file, what they give and how what is wrong is named; and the same for
 * the program called by the name of an original. */
#include "server/called_as.h"
#include "server/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 16

static char error[OPTIONS_ERROR_CHARS_MAX];

/* The words of a line, as a shell would part them. */
static int split(const char *line, char *copy, char *argv[ARGS_MAX])
{
    int argc = 0;
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) argv[argc++] = word;
    return argc;
}

static int parse(const char *line, options_t *ret_options)
{
    char copy[512], *argv[ARGS_MAX];
    int argc = split(line, copy, argv);
    const called_as_t *as = called_as(argv[0]);
    return as ? called_as_parse(as, argc, argv, ret_options, error) : options_parse(argc, argv, ret_options, error);
}

/* The last value of a setting, as later ones win; NULL = it is not set. */
static const setting_t *find(const options_t *options, const char *section, const char *name)
{
    const setting_t *found = NULL;
    for (size_t i = 0; i < options->settings_count; i++) {
        const setting_t *s = &options->settings[i];
        if (strcmp(s->section, section) == 0 && strcmp(s->name, name) == 0) found = s;
    }
    return found;
}

static void assert_set(const options_t *options, const char *section, const char *name, const char *value)
{
    const setting_t *s = find(options, section, name);
    if (!s || strcmp(s->value, value) != 0)
        fail_msg("%s.%s is %s, not %s", section, name, s ? s->value : "not set", value);
}

static void refuse(const char *line, const char *words)
{
    options_t options;
    error[0] = '\0';
    assert_int_not_equal(parse(line, &options), 0);
    if (!strstr(error, words)) fail_msg("%s: %s", line, error);
}

/* A file of this text, in the line in place of FILE. */
static int parse_file(const char *text, const char *line, options_t *ret_options)
{
    char path[] = "/tmp/trivet-options-XXXXXX", whole[512];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    snprintf(whole, sizeof(whole), "%.*s%s%s", (int)(strstr(line, "FILE") - line), line, path,
             strstr(line, "FILE") + strlen("FILE"));
    int err = parse(whole, ret_options);
    unlink(path);
    return err;
}

/* ---- by its own name ---- */

static void names_find_their_sections(void **state)
{
    options_t o;
    assert_int_equal(
        parse("trivet --data /d --redis.port 1 --kafka.num.partitions 3 --trivet.bind ::1 --zookeeper.tickTime "
              "5 --changefeed.a.topic t --ready-json",
              &o),
        0);
    assert_set(&o, "trivet", "data", "/d");
    assert_set(&o, "redis", "port", "1");
    assert_set(&o, "kafka", "num.partitions", "3");
    assert_set(&o, "trivet", "bind", "::1");
    assert_set(&o, "zookeeper", "tickTime", "5");
    assert_set(&o, "trivet", "changefeed.a.topic", "t");
    assert_string_equal(find(&o, "trivet", "data")->origin, "command line");
    assert_true(o.ready_json);
    assert_false(o.show_version || o.show_help);
    options_deinit(&o);
}

static void a_value_may_look_like_an_option(void **state)
{
    options_t o;
    assert_int_equal(parse("trivet --redis.requirepass --help --version", &o), 0);
    assert_set(&o, "redis", "requirepass", "--help");
    assert_true(o.show_version);
    assert_false(o.show_help);
    options_deinit(&o);
}

static void what_is_wrong_on_the_command_line_is_named(void **state)
{
    refuse("trivet --dat /d", "unknown option '--dat' (did you mean 'data'?)");
    refuse("trivet --redsi.port 1", "unknown option '--redsi.port' (did you mean 'redis'?)");
    refuse("trivet data", "unknown option 'data'");
    refuse("trivet --redis. 1", "unknown option '--redis.'");
    refuse("trivet --data", "option '--data' needs a value");
    refuse("trivet --config /nowhere/at/all", "cannot read the configuration file /nowhere/at/all: ");
}

static void a_file_has_sections_and_the_later_wins(void **state)
{
    options_t o;
    const char *text = "[redis]\nport = 5\n; a comment\n[kafka]\nnum.partitions=2\nnum.partitions = 7\n";
    assert_int_equal(parse_file(text, "trivet --redis.port 4 --config FILE --redis.port 6", &o), 0);
    assert_set(&o, "redis", "port", "6");
    assert_set(&o, "kafka", "num.partitions", "7");
    const char *origin = find(&o, "kafka", "num.partitions")->origin;
    assert_string_equal(strrchr(origin, ':'), ":6");
    options_deinit(&o);
}

static void what_is_wrong_in_a_file_is_named_with_its_line(void **state)
{
    options_t o;
    assert_int_equal(parse_file("[redis]\nport = 5\n[kafak]\nx = 1\n", "trivet --config FILE", &o), ERR_INVALID);
    assert_non_null(strstr(error, ":4: unknown section [kafak] (did you mean 'kafka'?)"));
    assert_int_equal(parse_file("[redis]\nport = 5\nnonsense\n", "trivet --config FILE", &o), ERR_INVALID);
    assert_non_null(strstr(error, ":3: expected NAME = VALUE"));
}

/* ---- by the name of an original ---- */

static void only_whole_names_are_an_original(void **state)
{
    assert_non_null(called_as("/usr/bin/redis-server"));
    assert_non_null(called_as("zkServer.sh"));
    assert_non_null(called_as("./kafka-server-start.sh"));
    assert_null(called_as("trivet"));
    assert_null(called_as("redis-server-old"));
    assert_null(called_as("redis"));
    assert_null(called_as("/redis-server/trivet"));
    assert_true(called_as_stranger("/usr/bin/redis-cli", error));
    assert_non_null(strstr(error, "called as redis-cli, which it is not"));
    assert_false(called_as_stranger("redis-server", error));
}

static void an_original_opens_its_door_alone(void **state)
{
    options_t o;
    assert_int_equal(parse_file("clientPort=2182\n# comment\ndataDir = /zk\n", "zkServer.sh start-foreground FILE", &o),
                     0);
    assert_set(&o, "zookeeper", "clientPort", "2182");
    assert_set(&o, "trivet", "data", "/zk");
    assert_set(&o, "redis", "enabled", "no");
    assert_set(&o, "kafka", "enabled", "no");
    assert_set(&o, "http", "enabled", "no");
    assert_null(find(&o, "zookeeper", "enabled"));
    options_deinit(&o);
}

static void overrides_come_behind_the_file(void **state)
{
    options_t o;
    const char *text = "num.partitions=2\nlog.dirs : /logs\n! comment\n";
    assert_int_equal(parse_file(text, "kafka-server-start.sh FILE --override num.partitions=9", &o), 0);
    assert_set(&o, "kafka", "num.partitions", "9");
    assert_set(&o, "kafka", "log.dirs", "/logs");
    assert_set(&o, "trivet", "data", "/logs-tree");
    assert_null(find(&o, "kafka", "!"));
    assert_set(&o, "zookeeper", "enabled", "no");
    options_deinit(&o);
}

static void what_an_original_would_refuse_is_refused(void **state)
{
    options_t o;
    refuse("kafka-server-start --override a=b", "the configuration file comes first");
    refuse("zkServer start", "only start-foreground fits");
    refuse("zkServer a.cfg b.cfg", "one configuration file fits, not also b.cfg");
    refuse("zkServer /nowhere/at/all", "cannot read the configuration file /nowhere/at/all");
    assert_int_equal(parse_file("clientPort\n", "zkServer FILE", &o), ERR_INVALID);
    assert_non_null(strstr(error, ":1: expected NAME=VALUE, not clientPort"));
    assert_int_equal(parse_file("a=b\n", "kafka-server-start FILE --override", &o), ERR_INVALID);
    assert_non_null(strstr(error, "expected --override NAME=VALUE"));
}

static void redis_takes_directives_as_arguments(void **state)
{
    options_t o;
    assert_int_equal(parse_file("port 7000\nmaxmemory 10mb\n", "redis-server FILE --port 7001 --save 60 1", &o), 0);
    assert_set(&o, "redis", "port", "7001");
    assert_set(&o, "redis", "maxmemory", "10mb");
    assert_set(&o, "redis", "save", "60 1");
    assert_set(&o, "kafka", "enabled", "no");
    options_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_find_their_sections),
        cmocka_unit_test(a_value_may_look_like_an_option),
        cmocka_unit_test(what_is_wrong_on_the_command_line_is_named),
        cmocka_unit_test(a_file_has_sections_and_the_later_wins),
        cmocka_unit_test(what_is_wrong_in_a_file_is_named_with_its_line),
        cmocka_unit_test(only_whole_names_are_an_original),
        cmocka_unit_test(an_original_opens_its_door_alone),
        cmocka_unit_test(overrides_come_behind_the_file),
        cmocka_unit_test(what_an_original_would_refuse_is_refused),
        cmocka_unit_test(redis_takes_directives_as_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
