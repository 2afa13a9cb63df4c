/* setting_test.c: what the tables of settings and their layers promise. */
#include "kafka/config/config.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void check(const char *name, const char *value, const char *expected)
{
    char err[KAFKA_SETTING_ERROR_BYTES_MAX] = "";
    const kafka_setting_def_t *def = config_topic_setting(bytes_str(name));
    assert_non_null(def);
    assert_int_equal(kafka_setting_check(def, bytes_str(value), err, sizeof(err)), expected ? ERR_INVALID : 0);
    if (expected) assert_string_equal(err, expected);
}

static void only_text_that_reads_back_the_same_is_a_value(void **state)
{
    static const struct {
        const char *name;
        bytes_t value;
        bool fits;
    } cases[] = {
        {"retention.ms",
         BYTES_LIT("1000\0"
                   "9"),
         false},
        {"min.cleanable.dirty.ratio", BYTES_LIT("0.5\0"), false},
        {"cleanup.policy", BYTES_LIT("delete\0"), false},
        {"preallocate", BYTES_LIT("true\0"), false},
        {"leader.replication.throttled.replicas", BYTES_LIT("*\0"), false},
        {"message.format.version", BYTES_LIT("3.0\xff"), false},
        {"retention.ms", BYTES_LIT("1000"), true},
    };
    char err[KAFKA_SETTING_ERROR_BYTES_MAX];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const kafka_setting_def_t *def = config_topic_setting(bytes_str(cases[i].name));
        if (def) assert_int_equal(kafka_setting_check(def, cases[i].value, err, sizeof(err)) == 0, cases[i].fits);
    }
}

static void values_are_refused_in_the_words_of_kafka(void **state)
{
    check("retention.ms", "-1", NULL);
    check("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1");
    check("retention.ms", "x", "Invalid value x for configuration retention.ms: Not a number of type LONG");
    check("max.message.bytes", "2147483648",
          "Invalid value 2147483648 for configuration max.message.bytes: Not a number of type INT");
    check("cleanup.policy", "delete, compact", NULL);
    check("cleanup.policy", "delete,forget",
          "Invalid value forget for configuration cleanup.policy: String must be one of: compact, delete");
    check("preallocate", "TRUE", NULL);
    check("preallocate", "yes",
          "Invalid value yes for configuration preallocate: Expected value to be either true or false");
    check("min.cleanable.dirty.ratio", "1.5",
          "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1");
    check("min.cleanable.dirty.ratio", "2",
          "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1");
    check("compression.gzip.level", "77",
          "Invalid value 77 for configuration compression.gzip.level: Value must be between 1 and 9 or equal "
          "to -1");
    check("compression.gzip.level", "-1", NULL);
    check("leader.replication.throttled.replicas", "0:1,1:2", NULL);
}

static void doubles_are_spelt_as_java_spells_them(void **state)
{
    static const char *const spelt[][2] = {{"2", "2.0"},         {".5", "0.5"},
                                           {"0.001", "0.001"},   {"1e7", "1.0E7"},
                                           {"123.25", "123.25"}, {"0.1", "0.1"},
                                           {"0.0001", "1.0E-4"}, {"1.7976931348623157E308", "1.7976931348623157E308"}};
    const kafka_setting_def_t *def = config_topic_setting(BYTES_LIT("min.cleanable.dirty.ratio"));
    for (size_t i = 0; i < ARRAY_LEN(spelt); i++) {
        char *text = kafka_setting_normal(def, bytes_str(spelt[i][0]));
        assert_string_equal(text, spelt[i][1]);
        mem_free(text);
    }
}

static kafka_topic_t topic_of(kafka_t *kafka) { return (kafka_topic_t){.kafka = kafka, .overrides = MAP_INIT}; }

static void a_topic_inherits_through_its_synonyms_in_their_units(void **state)
{
    kafka_config_t *config = kafka_config_new();
    char err[200];
    assert_int_equal(kafka_configure(config, "log.retention.minutes", "2", err, sizeof(err)), 0);
    assert_int_equal(kafka_configure(config, "log.retnetion.ms", "2", err, sizeof(err)), ERR_NOT_FOUND);
    assert_string_equal(kafka_config_get(config, "num.partitions"), "1");
    kafka_t kafka = {.config_store = config_store_new(config)};
    config_compute_broker(&kafka);
    assert_int_equal(kafka.config.offsets_topic_replication_factor, 1);
    kafka_topic_t topic = topic_of(&kafka);
    config_compute_topic(&topic);
    assert_int_equal(topic.config.retention_ms, 120000);
    assert_int_equal(topic.config.segment_ms, 7 * 24 * 3600000);
    assert_true(topic.config.flush_ms == INT64_MAX);
    assert_int_equal(topic.config.cleanup_policy, KAFKA_CLEANUP_POLICY_DELETE);
    assert_int_equal(topic.config.compression_type, KAFKA_COMPRESSION_TYPE_PRODUCER);
    map_put(&topic.overrides, BYTES_LIT("cleanup.policy"), (void *)(uintptr_t) "delete,compact");
    map_put(&topic.overrides, BYTES_LIT("compression.type"), (void *)(uintptr_t) "zstd");
    config_compute_topic(&topic);
    assert_int_equal(topic.config.cleanup_policy, KAFKA_CLEANUP_POLICY_DELETE | KAFKA_CLEANUP_POLICY_COMPACT);
    assert_int_equal(topic.config.compression_type, KAFKA_COMPRESSION_TYPE_ZSTD);
    map_put(&topic.overrides, BYTES_LIT("cleanup.policy"), (void *)(uintptr_t) "");
    config_compute_topic(&topic);
    assert_int_equal(topic.config.cleanup_policy, 0);
    map_put(&topic.overrides, BYTES_LIT("retention.ms"), (void *)(uintptr_t) "-1");
    config_compute_topic(&topic);
    assert_int_equal(topic.config.retention_ms, -1);
    map_deinit(&topic.overrides);
    config_store_free(kafka.config_store);
    kafka_config_free(config);
}

static void every_default_passes_its_own_check(void **state)
{
    for (size_t i = 0; i < KAFKA_TOPIC_SETTINGS_COUNT; i++) {
        char err[KAFKA_SETTING_ERROR_BYTES_MAX] = "";
        const kafka_setting_def_t *def = &kafka_topic_settings[i];
        if (def->default_value)
            assert_int_equal(kafka_setting_check(def, bytes_str(def->default_value), err, sizeof(err)), 0);
        assert_ptr_equal(config_topic_setting(bytes_str(def->name)), def);
    }
    for (size_t i = 0; i < KAFKA_BROKER_SETTINGS_COUNT; i++) {
        char err[KAFKA_SETTING_ERROR_BYTES_MAX] = "";
        const kafka_setting_def_t *def = &kafka_broker_settings[i];
        if (!def->default_value) continue;
        (void)!kafka_setting_check(def, bytes_str(def->default_value), err, sizeof(err));
        assert_string_equal(err, "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_text_that_reads_back_the_same_is_a_value),
        cmocka_unit_test(values_are_refused_in_the_words_of_kafka),
        cmocka_unit_test(doubles_are_spelt_as_java_spells_them),
        cmocka_unit_test(a_topic_inherits_through_its_synonyms_in_their_units),
        cmocka_unit_test(every_default_passes_its_own_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
