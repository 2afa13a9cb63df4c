"""Kafka clients on the shared server; topics and groups have names that no other test uses."""

import itertools
import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from harness import java

numbers = itertools.count(time.time_ns() // 1_000_000 % 1_000_000_000)
WAIT_SECONDS = 60


@pytest.fixture
def bootstrap(kafka_server):
    return f"{kafka_server.host}:{kafka_server.port_of('kafka')}"


@pytest.fixture
def name():
    """A name for topics and groups."""
    return f"t{next(numbers)}"


@pytest.fixture
def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


@pytest.fixture
def topic(admin, name):
    """topic(partitions, **config) -> the name of a new topic."""

    def create(partitions=1, **config):
        config = {key.replace("_", "."): str(value) for key, value in config.items()}
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
            future.result(WAIT_SECONDS)
        return name

    return create


@pytest.fixture
def producer(bootstrap):
    """producer(**options): a confluent producer; what it could not deliver fails the test at flush()."""

    def create(**options):
        return Producer({"bootstrap.servers": bootstrap, "linger.ms": 1} | options)

    return create


@pytest.fixture
def consumer(bootstrap):
    opened = []

    def create(group, topics=None, **options):
        settings = {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest"} | options
        one = Consumer(settings)
        opened.append(one)
        if topics:
            one.subscribe(topics)
        return one

    yield create
    for one in opened:
        one.close()


def send(producer, topic, records, **where):
    """Produces [(key, value)] and returns their offsets, all of which must have been acknowledged."""
    reports = []
    for key, value in records:
        producer.produce(topic, value, key, on_delivery=lambda error, message: reports.append((error, message)), **where)
        producer.poll(0)
    assert producer.flush(WAIT_SECONDS) == 0, "not all were acknowledged"
    assert [error for error, _ in reports if error] == []
    return [message.offset() for _, message in reports]


def take(consumer, count, seconds=WAIT_SECONDS):
    """The next messages, exactly so many."""
    taken, deadline = [], time.monotonic() + seconds
    while len(taken) < count:
        message = consumer.poll(0.2)
        if message is not None:
            assert message.error() is None or message.error().code() == KafkaError._PARTITION_EOF, message.error()
            if message.error() is None:
                taken.append(message)
        assert time.monotonic() < deadline, f"only {len(taken)} of {count} came"
    return taken


def eventually(condition, seconds=WAIT_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.fixture
def tools(kafka_server):
    """Kafka's own command-line tools."""
    if not list((java.JARS / "kafka").glob("*.jar")):
        pytest.skip("no Kafka libraries: run tools/install test")
    return java.Kafka(kafka_server.port_of("kafka"), kafka_server.host)
