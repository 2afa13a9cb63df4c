/* znodes_test.c: what is written into the tree is Kafka's own text, and what is read from it is checked. */
#include "kafka/topics/topics.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static arena_t arena;

static int setup(void **state)
{
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    arena_deinit(&arena);
    return 0;
}

static void assert_text(bytes_t actual, const char *expected)
{
    assert_string_equal(arena_strdup(&arena, actual), expected);
}

static void a_topic_is_written_as_kafka_writes_it_and_read_back(void **state)
{
    int32_t ids[] = {1, 2};
    znode_replicas_t partitions[] = {{ids, 2}, {ids, 1}};
    znode_topic_t topic = {.has_id = true, .partitions_count = 2, .partitions = partitions}, back;
    assert_true(kafka_uuid_parse(BYTES_LIT("LwE2F4Y6ScyUBfxH5W6ySA"), &topic.id));
    bytes_t text = znode_format_topic(&topic, &arena);
    assert_text(text, "{\"partitions\":{\"0\":[1,2],\"1\":[1]},\"topic_id\":\"LwE2F4Y6ScyUBfxH5W6ySA\","
                      "\"adding_replicas\":{},\"removing_replicas\":{},\"version\":3}");
    assert_int_equal(znode_parse_topic(text, &arena, &back), 0);
    assert_true(back.has_id && kafka_uuid_eq(back.id, topic.id));
    assert_int_equal(back.partitions_count, 2);
    assert_int_equal(back.partitions[0].count, 2);
    assert_int_equal(back.partitions[0].ids[1], 2);
}

static void older_topics_without_an_id_are_read(void **state)
{
    znode_topic_t topic;
    assert_int_equal(znode_parse_topic(BYTES_LIT("{\"version\":1,\"partitions\":{\"0\":[7]}}"), &arena, &topic), 0);
    assert_false(topic.has_id);
    assert_int_equal(topic.partitions[0].ids[0], 7);
}

static void what_is_not_a_topic_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "garbage",
        "{}",
        "[]",
        "{\"partitions\":[]}",
        "{\"partitions\":{\"1\":[1]}}",
        "{\"partitions\":{\"0\":1}}",
        "{\"partitions\":{\"0\":[\"x\"]}}",
        "{\"partitions\":{\"0\":[1]},\"topic_id\":\"short\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        znode_topic_t topic;
        assert_int_equal(znode_parse_topic(bytes_str(texts[i]), &arena, &topic), ERR_CORRUPT);
    }
}

static void a_partition_state_survives_the_way_there_and_back(void **state)
{
    int32_t isr[] = {3, 1};
    znode_state_t written = {.leader = 3, .leader_epoch = 4, .controller_epoch = 5, .isr = {isr, 2}}, back;
    bytes_t text = znode_format_state(&written, &arena);
    assert_text(text, "{\"controller_epoch\":5,\"leader\":3,\"version\":1,\"leader_epoch\":4,\"isr\":[3,1]}");
    assert_int_equal(znode_parse_state(text, &arena, &back), 0);
    assert_int_equal(back.leader_epoch, 4);
    assert_int_equal(back.isr.ids[1], 1);
    assert_int_equal(znode_parse_state(BYTES_LIT("{\"leader\":3,\"isr\":[3]}"), &arena, &back), ERR_CORRUPT);
}

static void a_controller_epoch_is_a_number_that_may_grow(void **state)
{
    assert_int_equal(znode_parse_controller_epoch(BYTES_LIT("7")), 7);
    assert_int_equal(znode_parse_controller_epoch(BYTES_LIT("2147483646")), INT32_MAX - 1);
    const char *const others[] = {
        "", "-1", "7x", "2147483647", "99999999999", "9223372036854775807", "99999999999999999999"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_int_equal(znode_parse_controller_epoch(bytes_str(others[i])), 0);
}

static void take_config(void *user, const char *name, const char *value)
{
    assert_string_equal(name, "cleanup.policy");
    assert_string_equal(value, "a\"b");
    ++*(int *)user;
}

static void settings_are_json_with_escapes(void **state)
{
    kafka_setting_t setting = {BYTES_LIT("cleanup.policy"), BYTES_LIT("a\"b")};
    int seen = 0;
    bytes_t text = znode_format_config(&setting, 1, &arena);
    assert_text(text, "{\"version\":1,\"config\":{\"cleanup.policy\":\"a\\\"b\"}}");
    assert_int_equal(znode_parse_config(text, take_config, &seen), 0);
    assert_int_equal(seen, 1);
    assert_int_equal(znode_parse_config(BYTES_LIT("{\"version\":1}"), take_config, &seen), ERR_CORRUPT);
}

static void topic_names_are_refused_in_the_words_of_kafka(void **state)
{
    assert_null(kafka_topic_name_problem(BYTES_LIT("orders.v1_a-B"), &arena));
    assert_string_equal(kafka_topic_name_problem(BYTES_LIT(""), &arena),
                        "Topic name is invalid: the empty string is not allowed");
    assert_string_equal(kafka_topic_name_problem(BYTES_LIT(".."), &arena),
                        "Topic name is invalid: '..' is not allowed");
    assert_string_equal(kafka_topic_name_problem(BYTES_LIT("a b"), &arena),
                        "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, "
                        "'.', '_' and '-'");
    char longest[KAFKA_TOPIC_NAME_BYTES_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    assert_null(kafka_topic_name_problem(bytes_of(longest, KAFKA_TOPIC_NAME_BYTES_MAX), &arena));
    assert_non_null(kafka_topic_name_problem(bytes_of(longest, sizeof(longest)), &arena));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_topic_is_written_as_kafka_writes_it_and_read_back),
        cmocka_unit_test(older_topics_without_an_id_are_read),
        cmocka_unit_test(what_is_not_a_topic_is_refused),
        cmocka_unit_test(a_partition_state_survives_the_way_there_and_back),
        cmocka_unit_test(a_controller_epoch_is_a_number_that_may_grow),
        cmocka_unit_test(settings_are_json_with_escapes),
        cmocka_unit_test(topic_names_are_refused_in_the_words_of_kafka),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
