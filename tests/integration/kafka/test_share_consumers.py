"""A share consumer of Kafka's own tools: what it releases and rejects."""

from wire import kafka

from .conftest import send


def begin_at_the_start(port, group):
    configs = [{"name": "share.auto.offset.reset", "operation": 0, "value": "earliest"}]
    resources = [{"type": 32, "name": group, "configs": configs}]
    with kafka.Connection(port) as connection:
        connection.ask("IncrementalAlterConfigs", 0, resources=resources, validate=False)


def test_what_a_share_consumer_releases_the_next_gets_and_what_it_rejects_nobody(tools, topic, producer, kafka_server, name):
    def consume(count, *options):
        told = tools("console-share-consumer", "--topic", name, "--group", f"{name}-group", "--max-messages", count,
                     "--timeout-ms", 60_000, *options)  # fmt: skip
        return sorted(int(line) for line in told.splitlines() if line.isdigit())

    begin_at_the_start(kafka_server.port_of("kafka"), f"{name}-group")
    send(producer(), topic(), [(None, str(n)) for n in range(50)])
    assert consume(10, "--release") == list(range(10))
    assert consume(5, "--reject") == list(range(5))
    assert consume(45) == list(range(5, 50))
