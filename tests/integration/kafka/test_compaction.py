"""Compacted topics in a running server: what consumers see, what a restart finds, and the offsets topic."""

import random
import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from wire import kafka

from .conftest import WAIT_SECONDS, eventually, send

QUICK = {
    "log.cleaner.backoff.ms": 50, "log.flush.offset.checkpoint.interval.ms": 200, "log.initial.task.delay.ms": 0,
    "log.retention.check.interval.ms": 200,
}  # fmt: skip
SOON = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "200"}


@pytest.fixture
def broker(launch):
    return launch("kafka", **QUICK)


def address(server):
    return {"bootstrap.servers": f"{server.host}:{server.port_of('kafka')}"}


def new_topic(server, name, **config):
    admin = AdminClient(address(server))
    configs = SOON | {key.replace("_", "."): str(value) for key, value in config.items()}
    admin.create_topics([NewTopic(name, 1, 1, config=configs)])[name].result(WAIT_SECONDS)
    return name


def cleaned(server, topic, partition=0):
    """Up to where the cleaner has come, as its file says; a line that is void counts for nothing."""
    if any(f"{topic} {partition}" in path.read_text().splitlines() for path in server.data.rglob(".checkpoint-void")):
        return 0
    for path in server.data.rglob("cleaner-offset-checkpoint"):
        for line in path.read_text().splitlines()[2:]:
            name, index, offset = line.split()
            if (name, index) == (topic, str(partition)):
                return int(offset)
    return 0


def read_all(server, topic):
    """[(offset, key, value)] from the start to the end."""
    consumer = Consumer(address(server) | {"group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, deadline = [], time.monotonic() + WAIT_SECONDS
    while True:
        assert time.monotonic() < deadline, "the end never came"
        message = consumer.poll(1)
        if message is None:
            continue
        if message.error():
            consumer.close()
            return found
        found.append((message.offset(), message.key(), message.value()))


def test_the_newest_of_each_key_is_left_also_after_kill_9(broker):
    topic = new_topic(broker, "table")
    producer = Producer(address(broker))
    expected = {}
    for offset in range(3000):
        key, value = b"k%d" % random.randrange(40), b"v%d" % offset
        producer.produce(topic, value, key)
        expected[key] = (offset, key, value)
    producer.flush()
    eventually(lambda: cleaned(broker, topic) == 3000)
    left = read_all(broker, topic)
    assert left == sorted(expected.values())
    broker.kill9()
    broker.start()
    assert read_all(broker, topic) == left
    assert send(Producer(address(broker)), topic, [(b"k0", b"new")]) == [3000]
    eventually(lambda: cleaned(broker, topic) == 3001)
    expected[b"k0"] = (3000, b"k0", b"new")
    assert read_all(broker, topic) == sorted(expected.values())


def test_a_tombstone_goes_when_its_time_is_over(broker):
    topic = new_topic(broker, "deleted", delete_retention_ms=500)
    producer = Producer(address(broker))
    send(producer, topic, [(b"a", b"1"), (b"b", b"1"), (b"a", None)])
    eventually(lambda: cleaned(broker, topic) == 3)
    assert read_all(broker, topic) == [(1, b"b", b"1"), (2, b"a", None)]
    time.sleep(0.6)
    send(producer, topic, [(b"c", b"1")])
    eventually(lambda: cleaned(broker, topic) == 4)
    assert read_all(broker, topic) == [(1, b"b", b"1"), (3, b"c", b"1")]


def test_compact_and_delete_does_both(broker):
    topic = new_topic(broker, "both", cleanup_policy="compact,delete", retention_ms=2000, file_delete_delay_ms=100)
    producer = Producer(address(broker))
    send(producer, topic, [(b"a", b"%d" % n) for n in range(100)])
    eventually(lambda: cleaned(broker, topic) == 100)
    assert read_all(broker, topic) == [(99, b"a", b"99")]
    eventually(lambda: read_all(broker, topic) == [])
    assert send(producer, topic, [(b"a", b"x")]) == [100]


def test_a_topic_made_again_is_not_taken_for_clean(broker):
    topic = new_topic(broker, "again")
    producer = Producer(address(broker))
    send(producer, topic, [(b"a", b"%d" % n) for n in range(50)])
    eventually(lambda: cleaned(broker, topic) == 50)
    admin = AdminClient(address(broker))
    admin.delete_topics([topic])[topic].result(WAIT_SECONDS)
    new_topic(broker, topic, max_compaction_lag_ms=3_600_000)
    assert cleaned(broker, topic) == 0
    send(Producer(address(broker)), topic, [(b"a", b"%d" % n) for n in range(60)])
    broker.kill9()
    broker.start()
    assert len(read_all(broker, topic)) == 60
    assert cleaned(broker, topic) == 0


def produce(server, topic, data):
    """The offset at which a batch was put, or was found."""
    connection = kafka.Connection(server.port_of("kafka"))
    topics = [{"name": topic, "partitions": [{"index": 0, "records": data}]}]
    reply = connection.ask("Produce", 9, transaction=None, acks=-1, timeout=5000, topics=topics)
    connection.close()
    part = reply["topics"][0]["partitions"][0]
    assert part["error"] == 0, part
    return part["offset"]


def test_a_batch_sent_twice_is_known_from_what_a_clean_left_of_it(broker):
    """The snapshots of the producers are taken away: only the header without records tells of the first time."""
    topic = new_topic(broker, "numbered")
    now = {"time": time.time_ns() // 1_000_000}  # who was idle for a day is forgotten
    data = kafka.batch([b"1", b"2"], keys=[b"a", b"a"], producer=77, epoch=0, sequence=5, **now)
    assert produce(broker, topic, data) == 0
    assert produce(broker, topic, kafka.batch([b"3"], keys=[b"a"], **now)) == 2
    eventually(lambda: cleaned(broker, topic) == 3)
    assert read_all(broker, topic) == [(2, b"a", b"3")]
    broker.kill9()
    for path in broker.data.rglob("numbered-0/*.snapshot"):
        path.unlink()
    broker.start()
    assert produce(broker, topic, data) == 0
    assert produce(broker, topic, kafka.batch([b"4"], keys=[b"a"], producer=77, epoch=0, sequence=7, **now)) == 3


def committed(server, group, topic):
    admin = AdminClient(address(server))
    request = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, 0)])
    return admin.list_consumer_group_offsets([request])[group].result(WAIT_SECONDS).topic_partitions[0].offset


def test_the_offsets_topic_is_cleaned_and_read_back(launch):
    one = {"offsets.topic.num.partitions": 1, "log.cleaner.max.compaction.lag.ms": 200, "log.cleaner.min.cleanable.ratio": 0}
    broker = launch("kafka", **QUICK | one | {"log.cleaner.delete.retention.ms": 300})
    topic = new_topic(broker, "read")
    send(Producer(address(broker)), topic, [(b"k", b"v")] * 5)
    for group in ("first", "second", "gone"):
        consumer = Consumer(address(broker) | {"group.id": group, "enable.auto.commit": False})
        for n in range(200):
            consumer.commit(offsets=[TopicPartition(topic, 0, n)], asynchronous=False)
        consumer.close()
    admin = AdminClient(address(broker))
    admin.delete_consumer_groups(["gone"])["gone"].result(WAIT_SECONDS)
    end = high_watermark(broker, "__consumer_offsets")
    eventually(lambda: cleaned(broker, "__consumer_offsets") >= end)
    bytes_left = sum(path.stat().st_size for path in broker.data.rglob("__consumer_offsets-0/*.log"))
    assert bytes_left < 3000, "six hundred commits are still there"
    for _ in range(2):  # with the tombstones, and when they may be gone
        broker.kill9()
        broker.start()
        assert [committed(broker, group, topic) for group in ("first", "second", "gone")] == [199, 199, -1001]
        time.sleep(0.5)
        consumer = Consumer(address(broker) | {"group.id": "second", "enable.auto.commit": False})
        consumer.commit(offsets=[TopicPartition(topic, 0, 199)], asynchronous=False)
        consumer.close()
        end = high_watermark(broker, "__consumer_offsets")
        eventually(lambda: cleaned(broker, "__consumer_offsets") >= end)  # noqa: B023


def high_watermark(server, topic):
    reader = Consumer(address(server) | {"group.id": "ends"})
    _, high = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=WAIT_SECONDS)
    reader.close()
    return high
