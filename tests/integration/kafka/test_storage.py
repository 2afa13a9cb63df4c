"""What stays on the disk: flush.messages and flush.ms, retention by size and by time, and a topic of many partitions."""

import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .conftest import WAIT_SECONDS, eventually, send

MIB = 1 << 20
HOUR_MS = 3_600_000


@pytest.fixture
def broker(launch):
    """A server of the test's own that looks at its disk all the time."""
    return launch(
        "kafka",
        **{"log.retention.check.interval.ms": 100, "log.flush.offset.checkpoint.interval.ms": 100,
           "log.flush.start.offset.checkpoint.interval.ms": 100, "log.initial.task.delay.ms": 0},
    )  # fmt: skip


def address(server):
    return {"bootstrap.servers": f"{server.host}:{server.port_of('kafka')}"}


def new_topic(server, name, partitions=1, **config):
    config = {key.replace("_", "."): str(value) for key, value in config.items()}
    admin = AdminClient(address(server))
    admin.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(WAIT_SECONDS)
    return name


def recovery_point(server, topic):
    """Up to where the broker says the disk has it, from its checkpoint; None when it says nothing."""
    for path in server.data.rglob("recovery-point-offset-checkpoint"):
        for line in path.read_text().splitlines()[2:]:
            name, partition, offset = line.split()
            if (name, partition) == (topic, "0"):
                return int(offset)
    return None


def ends(server, topic):
    reader = Consumer(address(server) | {"group.id": "ends"})
    low, high = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT_SECONDS)
    reader.close()
    return low, high


def test_flush_messages_makes_records_durable_before_they_are_acknowledged(broker):
    flushed, lazy = new_topic(broker, "flushed", flush_messages=1), new_topic(broker, "lazy")
    producer = Producer(address(broker) | {"linger.ms": 0})
    for topic in (flushed, lazy):
        for n in range(20):
            assert send(producer, topic, [(None, b"x")]) == [n]
    eventually(lambda: recovery_point(broker, flushed) == 20)
    assert recovery_point(broker, lazy) in (0, None)
    assert ends(broker, flushed) == (0, 20)


def test_flush_ms_makes_records_durable_in_time(broker):
    topic = new_topic(broker, "timed", flush_ms=200)
    producer = Producer(address(broker) | {"linger.ms": 0})
    for n in range(3):
        send(producer, topic, [(None, b"x")] * 10)
        eventually(lambda: recovery_point(broker, topic) == 10 * (n + 1))  # noqa: B023


def test_a_topic_keeps_no_more_bytes_than_it_may(broker):
    topic = new_topic(broker, "small", segment_bytes=MIB, retention_bytes=2 * MIB, file_delete_delay_ms=100)
    producer = Producer(address(broker))
    for _ in range(10):
        send(producer, topic, [(None, b"v" * 500_000)])
    eventually(lambda: ends(broker, topic) == (4, 10))
    files = sum(path.stat().st_size for path in broker.data.rglob(f"{topic}-0/*.log"))
    assert 2 * MIB <= files <= 3 * MIB + 2000
    eventually(lambda: not list(broker.data.rglob(f"{topic}-0/*.deleted")), 75)
    reader = Consumer(address(broker) | {"group.id": "late", "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(topic, 0, 0)])  # an offset that is gone
    assert reader.poll(WAIT_SECONDS).offset() == 4
    reader.close()


def test_records_older_than_the_topic_keeps_them_go(broker):
    topic = new_topic(broker, "old", retention_ms=HOUR_MS)
    producer = Producer(address(broker))
    send(producer, topic, [(None, b"x")] * 5, timestamp=int(time.time() * 1000) - 2 * HOUR_MS)
    eventually(lambda: ends(broker, topic) == (5, 5))
    assert send(producer, topic, [(None, b"new")]) == [5]
    time.sleep(0.5)
    assert ends(broker, topic) == (5, 6)


@pytest.mark.trivet_only
def test_a_thousand_partitions_cost_little(launch):
    broker = launch("kafka")
    topic = new_topic(broker, "wide", 1000)
    producer = Producer(address(broker))
    assert send(producer, topic, [(None, b"x")], partition=999) == [0]
    before = broker.cpu_seconds()
    broker.restart()
    assert broker.cpu_seconds() < before
    assert broker.cpu_seconds() < 1
    assert broker.resident_bytes() < 32 * MIB
    assert send(producer, topic, [(None, b"x")], partition=999) == [1]
