"""Helpers for what spans Redis and Kafka: a server of the test's own, and everything that a topic holds."""

import contextlib
import time

import pytest
from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness.trivet import Trivet
from wire import resp


def messages_of(server, topic, partitions=1):
    """All that the topic holds, partition by partition, as the client gives it."""
    consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}", "group.id": "reader",
                         "enable.partition.eof": True, "enable.auto.commit": False})  # fmt: skip
    found = []
    try:
        for partition in range(partitions):
            consumer.assign([TopicPartition(topic, partition, 0)])
            while True:
                message = consumer.poll(20)
                assert message is not None, "no end of the partition within 20 s"
                if message.error():
                    assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                    break
                found.append(message)
    finally:
        consumer.close()
    return found


def records_of(server, topic, partitions=1):
    """All records as (partition, offset, key, value, headers, timestamp), partition by partition."""
    found = []
    for message in messages_of(server, topic, partitions):
        kind, stamp = message.timestamp()
        assert kind != TIMESTAMP_NOT_AVAILABLE
        found.append((message.partition(), message.offset(), message.key(), message.value(), message.headers() or [], stamp))
    return found


def values_of(server, topic, partitions=1):
    return [record[3] for record in records_of(server, topic, partitions)]


def info_of(connection):
    words = connection.ask("KAFKA.OUTBOX", "INFO")[1]
    return {words[i][1].decode(): words[i + 1][1] for i in range(0, len(words), 2)}


def make_topic(server, name, partitions=1, **config):
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{server.port_of('kafka')}"})
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
        future.result(30)


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def start():
    """start(redis={...}, kafka={...}, trivet={...}): a server of the test's own."""
    with contextlib.ExitStack() as stack:

        def start_one(redis=None, kafka=None, trivet=None, data=None, args=()):
            directives = {
                "redis": {"appendfsync": "always", **(redis or {})},
                "kafka": kafka or {},
                "zookeeper": {"port": 0},
                "trivet": trivet or {},
            }
            server = stack.enter_context(Trivet(directives, data, args))
            return server.start()

        yield start_one


@pytest.fixture
def connect():
    opened = []

    def connect_one(server):
        opened.append(resp.Connection(server.port_of("redis")))
        return opened[-1]

    yield connect_one
    for one in opened:
        one.socket.close()


@pytest.fixture
def transact():
    """transact(connection, *commands): MULTI, the commands, EXEC; EXEC's reply."""

    def run(connection, *commands):
        assert connection.ask("MULTI") == ("+", "OK")
        for command in commands:
            assert connection.ask(*command) == ("+", "QUEUED"), command
        return connection.ask("EXEC")

    return run


@pytest.fixture
def mirror():
    """A connection to a server without anything, to replay a feed's records into."""
    with Trivet({"redis": {"appendonly": "no"}, "kafka": {"port": -1}, "zookeeper": {"port": -1}}) as server:
        server.start()
        with resp.Connection(server.port_of("redis")) as connection:
            yield connection
