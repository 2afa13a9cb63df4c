"""What the bridge knows of Kafka's topics is what Kafka's clients have been told."""

from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic, ResourceType

from .conftest import make_topic


def admin_of(server):
    return AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}"})


def done(futures):
    for future in futures.values():
        future.result(30)


def test_a_topic_is_known_with_the_answer_that_it_was_made(start, connect, transact):
    server = start(kafka={"auto.create.topics.enable": "false"})
    connection, admin = connect(server), admin_of(server)
    for number in range(30):
        topic = f"t{number}"
        tag, text = transact(connection, ["SET", "k", number], ["KAFKA.PRODUCE", topic, "early"])
        assert tag == "-" and "UNKNOWN_TOPIC_OR_PARTITION" in text
        done(admin.create_topics([NewTopic(topic, 2, 1)]))
        assert connection.ask("KAFKA.COMMIT", "g", topic, 1, number)[0] == ":"
        assert transact(connection, ["SET", "k", number], ["KAFKA.PRODUCE", topic, "v"])[0] == "*"


def test_partitions_settings_and_the_end_of_a_topic_are_known_with_their_answers(start, connect, transact):
    server = start(kafka={"auto.create.topics.enable": "false"})
    connection, admin = connect(server), admin_of(server)
    for number in range(10):
        topic = f"t{number}"
        make_topic(server, topic)
        step = ["KAFKA.PRODUCE", topic, "PARTITION", 3, "x" * 2000]
        assert "UNKNOWN_TOPIC_OR_PARTITION" in transact(connection, step)[1]
        done(admin.create_partitions([NewPartitions(topic, 4)]))
        assert transact(connection, step)[0] == "*"
        done(admin.alter_configs([ConfigResource(ResourceType.TOPIC, topic, {"max.message.bytes": "1000"})]))
        assert "MESSAGE_TOO_LARGE" in transact(connection, step)[1]
        done(admin.alter_configs([ConfigResource(ResourceType.TOPIC, topic, {"cleanup.policy": "compact"})]))
        assert "INVALID_RECORD" in transact(connection, step)[1]
        done(admin.delete_topics([topic]))
        assert "UNKNOWN_TOPIC_OR_PARTITION" in transact(connection, step)[1]


def test_a_pipeline_of_records_alone_is_answered_in_order(start, connect):
    server = start()
    connection = connect(server)
    make_topic(server, "t")
    for number in range(200):
        connection.send("KAFKA.PRODUCE", "t", f"value {number}")
        connection.send("INCR", "n")
    for number in range(200):
        assert connection.read() == ("*", [(":", 0), (":", number)])
        assert connection.read() == (":", number + 1)
